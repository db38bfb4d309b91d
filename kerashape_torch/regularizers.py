"""The regularizers of Keras 3: penalties on weights, computed on a torch tensor in Keras' layout.

>>> import torch
>>> L2(0.5)(torch.ones(2, 2))
tensor(2.)
>>> get("l1"), L1L2(l1=0.1).get_config()
(L1(), {'l1': 0.1, 'l2': 0.0})
"""

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

from kerashape_torch.config import Record
from kerashape_torch.errors import ConfigError, ShapeError
from kerashape_torch.identifiers import FamilyIdentifiers
from kerashape_torch.kinds import Choice, Kind
from kerashape_torch.shape import to_text

if TYPE_CHECKING:
    import torch


class _Factor(Kind):
    """A finite number that is not negative; None is the default, as in Keras."""

    def __init__(self, default: float) -> None:
        self.default = default

    def read(self, value: Any, where: str) -> Any:
        if value is None:
            return self.default
        number = float(value) if hasattr(value, "__float__") else math.nan
        if not 0 <= number < math.inf:
            raise ConfigError(f"{where} must be a finite number, 0 or more, got {value!r}")
        return number


class Regularizer(Record, family=True):
    """Base of all regularizers. Your own overrides ``__call__(x)``, as in Keras."""

    keras_module = "keras.regularizers"

    def __call__(self, x: "torch.Tensor") -> Any:
        """The penalty, a scalar."""
        return 0.0


class L1(Regularizer, aliases=("l1",)):
    """``l1 * sum(abs(x))``."""

    l1: Annotated[float, _Factor(0.01)] = 0.01

    def __call__(self, x: "torch.Tensor") -> "torch.Tensor":
        return self.l1 * x.abs().sum()


class L2(Regularizer, aliases=("l2",)):
    """``l2 * sum(x ** 2)``."""

    l2: Annotated[float, _Factor(0.01)] = 0.01

    def __call__(self, x: "torch.Tensor") -> "torch.Tensor":
        return self.l2 * x.square().sum()


class L1L2(Regularizer, aliases=("l1l2", "l1_l2")):
    """``l1 * sum(abs(x)) + l2 * sum(x ** 2)``. Both factors are 0 unless given, as in Keras."""

    l1: Annotated[float, _Factor(0.0)] = 0.0
    l2: Annotated[float, _Factor(0.0)] = 0.0

    def __call__(self, x: "torch.Tensor") -> "torch.Tensor":
        return self.l1 * x.abs().sum() + self.l2 * x.square().sum()


class OrthogonalRegularizer(Regularizer, aliases=("orthogonal_regularizer",)):
    """``factor`` times the mean absolute cosine between two rows, or two columns, of a matrix."""

    factor: Annotated[float, _Factor(0.01)] = 0.01
    mode: Annotated[str, Choice("rows", "columns")] = "rows"

    def __call__(self, x: "torch.Tensor") -> "torch.Tensor":
        if x.ndim != 2:
            raise ShapeError(f"OrthogonalRegularizer takes a matrix, got {to_text(x.shape)} of rank {x.ndim}")
        vectors = x if self.mode == "rows" else x.T
        unit = vectors * vectors.square().sum(dim=1, keepdim=True).rsqrt().clamp(max=1e7)
        cosines = unit @ unit.T
        size = len(vectors)
        pairs = size * (size - 1) / 2
        return self.factor * cosines.abs().triu(diagonal=1).sum() / pairs


_identifiers = FamilyIdentifiers(Regularizer)
get = _identifiers.get
serialize = _identifiers.serialize
deserialize = _identifiers.deserialize

RegularizerLike = Annotated[str | Mapping[str, Any] | Callable[..., Any] | Regularizer | None, _identifiers]
"""A field of a layer that holds a regularizer; written as its full config."""

l1, l2, l1_l2, orthogonal_regularizer = L1, L2, L1L2, OrthogonalRegularizer
