"""Losses by name or config, as Keras takes them: classes, functions and their short names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any

from kerashape_torch.identifiers import FamilyOrFunction
from kerashape_torch.losses.classes import Loss
from kerashape_torch.losses.functions import FUNCTIONS

_SHORT = {"bce": "binary_crossentropy", "kld": "kl_divergence", "mae": "mean_absolute_error",
          "mape": "mean_absolute_percentage_error", "mse": "mean_squared_error",
          "msle": "mean_squared_logarithmic_error"}
_OF_KERAS_2 = {"logcosh": "log_cosh", "cosine_proximity": "cosine_similarity",
               "kullback_leibler_divergence": "kl_divergence", "huber_loss": "huber"}
_NAMES = {**_SHORT, **{name.upper(): function for name, function in _SHORT.items()}, **_OF_KERAS_2}


class _LossIdentifiers(FamilyOrFunction):
    def names(self) -> Iterable[str]:
        return [*self.family.catalog(), *self.functions, *_NAMES]

    def _function(self, name: str) -> Any:
        return super()._function(_NAMES.get(name, name))


_identifiers = _LossIdentifiers(Loss, FUNCTIONS)
get = _identifiers.get
serialize = _identifiers.serialize
deserialize = _identifiers.deserialize

LossLike = Annotated[str | Mapping[str, Any] | Callable[..., Any] | Loss | None, _identifiers]
"""A field that holds a loss; written as its full config."""
