"""The constraints of Keras 3: projections of weights, computed on a torch tensor in Keras' layout.

>>> import torch
>>> NonNeg()(torch.tensor([-1.0, 2.0]))
tensor([0., 2.])
>>> get("MaxNorm").get_config()
{'max_value': 2, 'axis': 0}
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

from kerashape_torch.config import Record
from kerashape_torch.identifiers import FamilyIdentifiers

if TYPE_CHECKING:
    import torch


Axes = int | list[int] | tuple[int, ...] | None  # kept as given: Keras writes a list as a list
_EPSILON = 1e-7  # keras.config.epsilon()


def _norms(w: "torch.Tensor", axis: Axes) -> "torch.Tensor":
    return w.square().sum(dim=axis, keepdim=True).sqrt()


class Constraint(Record, family=True):
    """Base of all constraints. Your own overrides ``__call__(w)``, as in Keras."""

    keras_module = "keras.constraints"

    def __call__(self, w: "torch.Tensor") -> "torch.Tensor":
        """The weights that are kept in place of ``w``."""
        return w


class MaxNorm(Constraint, aliases=("max_norm",)):
    """Shrinks each vector along ``axis`` to a norm of at most ``max_value``."""

    max_value: float = 2
    axis: Axes = 0

    def __call__(self, w: "torch.Tensor") -> "torch.Tensor":
        norms = _norms(w, self.axis)
        return w * (norms.clamp(0, self.max_value) / (_EPSILON + norms))


class MinMaxNorm(Constraint, aliases=("min_max_norm",)):
    """Brings the norm of each vector along ``axis`` between two values, or ``rate`` of the way there."""

    min_value: float = 0.0
    max_value: float = 1.0
    rate: float = 1.0
    axis: Axes = 0

    def __call__(self, w: "torch.Tensor") -> "torch.Tensor":
        norms = _norms(w, self.axis)
        wanted = self.rate * norms.clamp(self.min_value, self.max_value) + (1 - self.rate) * norms
        return w * (wanted / (_EPSILON + norms))


class NonNeg(Constraint, aliases=("non_neg",)):
    """Replaces negative weights by 0."""

    def __call__(self, w: "torch.Tensor") -> "torch.Tensor":
        return w.clamp(min=0)


class UnitNorm(Constraint, aliases=("unit_norm",)):
    """Scales each vector along ``axis`` to norm 1."""

    axis: Axes = 0

    def __call__(self, w: "torch.Tensor") -> "torch.Tensor":
        return w / (_EPSILON + _norms(w, self.axis))


_identifiers = FamilyIdentifiers(Constraint)
get = _identifiers.get
serialize = _identifiers.serialize
deserialize = _identifiers.deserialize

ConstraintLike = Annotated[str | Mapping[str, Any] | Callable[..., Any] | Constraint | None, _identifiers]
"""A field of a layer that holds a constraint; written as its full config."""

max_norm, min_max_norm, non_neg, unit_norm = MaxNorm, MinMaxNorm, NonNeg, UnitNorm
