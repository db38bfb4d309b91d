"""Metrics by name or config, as Keras takes them: classes, their names in snake case, and short names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any

from kerashape_torch.graph import snake_case
from kerashape_torch.identifiers import FamilyOrFunction
from kerashape_torch.metrics.base import Metric
from kerashape_torch.metrics.functions import FUNCTIONS

_SHORT = {"bce": "BinaryCrossentropy", "mse": "MeanSquaredError", "mae": "MeanAbsoluteError",
          "mape": "MeanAbsolutePercentageError", "msle": "MeanSquaredLogarithmicError"}


class _MetricIdentifiers(FamilyOrFunction):
    def _names(self) -> dict[str, str]:
        return {**{snake_case(name): name for name in self.family.catalog()}, **_SHORT,
                **{name.upper(): full for name, full in _SHORT.items()}}

    def names(self) -> Iterable[str]:
        return [*self.family.catalog(), *self._names(), *self.functions]

    def _named(self, name: str) -> Any:
        name = self._names().get(name, name)
        return self.family.catalog().get(name) or self._function(name)


_identifiers = _MetricIdentifiers(Metric, FUNCTIONS)
get = _identifiers.get
serialize = _identifiers.serialize
deserialize = _identifiers.deserialize

MetricLike = Annotated[str | Mapping[str, Any] | Callable[..., Any] | Metric | None, _identifiers]
"""A field that holds a metric; written as its full config."""
