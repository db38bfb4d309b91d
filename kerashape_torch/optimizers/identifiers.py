"""Optimizers by name or config, in any case as Keras takes them; those that cannot be had say why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from kerashape_torch.config import custom_object
from kerashape_torch.errors import ConfigError
from kerashape_torch.identifiers import FamilyIdentifiers, checked_config
from kerashape_torch.optimizers.base import Optimizer

_LEFT_OUT = {
    "multioptimizer": "asks for each variable by a map of patterns. Make one torch optimizer for each group of "
                      "module.parameters()",
    "optimizermap": "is a part of MultiOptimizer. Make one torch optimizer for each group of module.parameters()",
}


class _OptimizerIdentifiers(FamilyIdentifiers):
    def _look_up(self, identifier: Any) -> Any:
        if isinstance(identifier, str):
            return super()._look_up(self._known(identifier))
        if isinstance(identifier, Mapping):
            name = self._known(checked_config(identifier)["class_name"])
            return super()._look_up({**identifier, "class_name": name})
        return identifier

    def _known(self, name: Any) -> Any:
        """A name as the catalog has it; Keras 2 wrote ``Custom>Adam`` for its own Adam."""
        plain = str(name).rpartition(">")[2].lower()
        if custom_object(str(name)) is None and plain in _LEFT_OUT:
            raise ConfigError(f"{name} {_LEFT_OUT[plain]}")
        found = None if custom_object(str(name)) else self.family.catalog().get(plain)
        return found.__name__ if found else name


_identifiers = _OptimizerIdentifiers(Optimizer)
get = _identifiers.get
serialize = _identifiers.serialize
deserialize = _identifiers.deserialize

OptimizerLike = Annotated[str | Mapping[str, Any] | Callable[..., Any] | Optimizer | None, _identifiers]
"""A field that holds an optimizer; written as its full config."""
