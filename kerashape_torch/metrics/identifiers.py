"""Metrics by name or config, as Keras takes them: classes, their names in snake case, and short names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any

from kerashape_torch.config import function_config
from kerashape_torch.graph import snake_case
from kerashape_torch.identifiers import FamilyIdentifiers, checked_config
from kerashape_torch.metrics.base import Metric
from kerashape_torch.metrics.functions import FUNCTIONS

_SHORT = {"bce": "BinaryCrossentropy", "mse": "MeanSquaredError", "mae": "MeanAbsoluteError",
          "mape": "MeanAbsolutePercentageError", "msle": "MeanSquaredLogarithmicError"}


class _MetricIdentifiers(FamilyIdentifiers):
    def _names(self) -> dict[str, str]:
        return {**{snake_case(name): name for name in self.family.catalog()}, **_SHORT,
                **{name.upper(): full for name, full in _SHORT.items()}}

    def names(self) -> Iterable[str]:
        return [*self.family.catalog(), *self._names(), *FUNCTIONS]

    def _look_up(self, identifier: Any) -> Any:
        if isinstance(identifier, Mapping) and checked_config(identifier)["class_name"] == "function":
            name = identifier["config"]
            return FUNCTIONS[name] if name in FUNCTIONS else super()._look_up(name)
        if isinstance(identifier, str):
            name = self._names().get(identifier, identifier)
            return super()._look_up(name) if name in self.family.catalog() else FUNCTIONS.get(
                name) or super()._look_up(name)
        return super()._look_up(identifier)

    def serialize(self, obj: Any) -> Any:
        return function_config(obj) if obj in FUNCTIONS.values() else super().serialize(obj)


_identifiers = _MetricIdentifiers(Metric)
get = _identifiers.get
serialize = _identifiers.serialize
deserialize = _identifiers.deserialize

MetricLike = Annotated[str | Mapping[str, Any] | Callable[..., Any] | Metric | None, _identifiers]
"""A field that holds a metric; written as its full config."""
