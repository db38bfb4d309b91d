"""Weights of other layers, read in a call of a model that is followed: ``self.embedding.embeddings``."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kerashape_torch.dtypes import is_float
from kerashape_torch.graph import Node, TensorSpec, followed_inputs, nodes_to
from kerashape_torch.layer import Layer
from kerashape_torch.models import Model
from kerashape_torch.parts import part_module, part_specs
from kerashape_torch.structure import flatten
from kerashape_torch.user_layers import UserDefined
from kerashape_torch.weights import WeightSpec


class InnerWeight(Layer, catalog=False):
    """A weight of another layer as a layer that takes nothing and gives it. The other one has been called before."""

    call_arguments = shape_arguments = ()
    has_policy = False
    makes_its_tensor = passes_weights_on = True
    layer: Any
    weight: str

    def sublayers(self) -> Sequence[Layer]:
        return (self.layer,)

    def shapes_inside(self) -> list[tuple[Layer, Any]]:
        return [(self.layer, *self.layer.call_shapes())]

    def call_shapes(self) -> list[Any]:
        return []

    @property
    def spec(self) -> WeightSpec:
        """The weight, where it lies in the module."""
        return next(spec for spec in self.weight_specs() if spec.name == self.weight)

    def __call__(self) -> Any:
        kept = self.spec.dtype
        dtype = self.layer.compute_dtype if kept is None or is_float(kept) else kept
        return Node(self, (), {}, _last_output(self.layer), TensorSpec(self.spec.shape, dtype)).outputs

    def outputs_for(self, specs: list[Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        return TensorSpec(self.nodes[0].outputs.shape, self.nodes[0].outputs.dtype)

    def compute_output_shape(self, *shapes: Any, **_: Any) -> Any:
        return self.spec.shape

    def weight_specs(self, *shapes: Any, **_: Any) -> list[WeightSpec]:
        return [spec for inner, shape in self.shapes_inside() for spec in part_specs(inner, shape, "layer")]

    def module(self, *shapes: Any, **_: Any) -> Any:
        from kerashape_torch.torch_modules.weight import InnerWeight as Module

        return Module(part_module(*self.shapes_inside()[0]), self.spec)


def _last_output(layer: Any) -> list[Any]:
    """What comes before the weight is read: that of the layer's last call, unless it was in another model."""
    last = flatten(layer.nodes[-1].outputs)[:1]
    before = nodes_to(last[0], {id(x) for x in followed_inputs() or ()})
    return last if all(node.inputs or node.layer.makes_its_tensor for node in before) else []


def _weight_of(layer: Any, name: str) -> Any:
    """The weight of a layer as a symbolic tensor.

    Raises:
        AttributeError: it has no such weight, or has not been called, so that nobody knows its shape.
    """
    if name.startswith("_") or followed_inputs() is None:
        raise AttributeError(f"{type(layer).__name__!r} object has no attribute {name!r}")
    if not layer.nodes or isinstance(layer, Model):
        more = "" if isinstance(layer, Model) else ": it has weights once it has been called"
        raise AttributeError(f"{layer.describe()} has no {name!r}{more}")
    weights = [spec.name for spec in layer.weight_specs(*layer.call_shapes())]
    if name not in weights:
        raise AttributeError(f"{layer.describe()} has no {name!r}. Its weights are {', '.join(weights) or 'none'}")
    return InnerWeight(layer=layer, weight=name, name=f"{layer.name_prefix}_{name}")()


_lock = threading.Lock()
_readers = 0


@contextlib.contextmanager
def weights_can_be_read() -> Iterator[None]:
    """Layers have their weights as attributes inside the ``with``. A class with ``__getattr__`` makes Python look up
    every attribute more slowly, so they have none at other times."""
    global _readers
    with _lock:
        _readers += 1
        UserDefined.__getattr__ = _weight_of  # type: ignore[attr-defined]
    try:
        yield
    finally:
        with _lock:
            _readers -= 1
            if not _readers:
                del UserDefined.__getattr__  # type: ignore[attr-defined]
