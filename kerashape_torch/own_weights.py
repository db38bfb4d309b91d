"""Weights of a model's own, beside those of its layers, where its ``call`` is followed on symbolic tensors."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kerashape_torch.dtypes import is_float
from kerashape_torch.graph import Node, TensorSpec
from kerashape_torch.layer import Layer
from kerashape_torch.models import Model
from kerashape_torch.text import identifier
from kerashape_torch.user_layers import copied, declared, in_keras_order
from kerashape_torch.weights import Place, WeightSpec

_RUNS = object()
"""As ``training`` of a model: its call runs, see ``add_weight``."""


class OwnWeight(Layer, catalog=False):
    """A weight as a layer that takes nothing and gives it.

    >>> OwnWeight(WeightSpec("scale", (3,)), name="scale")().shape
    (3,)
    """

    call_arguments = shape_arguments = ()
    makes_its_tensor = True
    spec: Any

    def __call__(self) -> Any:
        """The weight as a symbolic tensor, the same one at each call."""
        kept = self.spec.dtype
        dtype = self.compute_dtype if kept is None or is_float(kept) else kept
        return (self.nodes[0] if self.nodes else Node(self, (), {}, [], TensorSpec(self.spec.shape, dtype))).outputs

    def outputs_for(self, specs: list[Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        return TensorSpec(self().shape, self().dtype)

    def compute_output_shape(self, *shapes: Any, **_: Any) -> Any:
        return self.spec.shape

    def weight_specs(self, *shapes: Any, **_: Any) -> list[WeightSpec]:
        return [self.spec._replace(places=(Place("value"),))]

    def module(self, *shapes: Any, **_: Any) -> Any:
        from kerashape_torch.torch_modules.weight import Weight

        return Weight(self.spec.shape, self.spec.dtype or "float32")

    def _arguments(self, but: tuple[str, ...] = ()) -> str:
        return repr(self.spec.shape)


def weights_of_its_own(model: Model) -> Sequence[OwnWeight]:
    """Those of a model, once its call has been followed, in Keras' order."""
    return getattr(model, "_own_weights", ())


def weight_layers(model: Model) -> list[Layer]:
    """The layers that have a model's weights, in Keras' order: those that stand for its own come first."""
    return [*weights_of_its_own(model), *model.layers]


def declared_weights(model: Model) -> list[OwnWeight]:
    """A layer for each weight that a model has declared by now, named after the attribute that has it."""
    names = {id(spec): name for attribute, value in vars(model).items() for name, spec in declared(value, attribute)
             if attribute != "_made"}
    specs = [spec for value in vars(model).values() for _, spec in declared(value, "")]
    return [OwnWeight(spec, name=identifier(names.get(id(spec), spec.name)), dtype=model.dtype,
                      trainable=model.trainable) for spec in in_keras_order(specs)]


@contextlib.contextmanager
def as_tensors(model: Model, weights: Sequence[OwnWeight]) -> Iterator[None]:
    """The attributes of a model have symbolic tensors for these weights inside the ``with``, and none can be added."""
    tensors = {id(weight.spec): weight() for weight in weights}
    before = {name: value for name, value in vars(model).items() if any(declared(value, name))}
    is_marked = vars(model).setdefault("training", _RUNS) is _RUNS
    vars(model).update({name: copied(value, tensors) for name, value in before.items()})
    try:
        yield
    finally:
        vars(model).update(before)
        if is_marked:
            del vars(model)["training"]
