"""Copies of layers and models that are built for an input shape; the originals stay as they were."""

from __future__ import annotations

from typing import Any

from kerashape_torch.errors import ShapeError
from kerashape_torch.graph import SymbolicTensor
from kerashape_torch.layer import Layer
from kerashape_torch.models import Input, Model
from kerashape_torch.shape import Shape, standardize, to_text
from kerashape_torch.structure import flatten, flatten_shapes, is_shape, map_shapes
from kerashape_torch.subclassed import unbuilt


def alone(layer: Layer, shape: Any, masked: bool = False) -> Model:
    """A model of one layer, called as its call takes tensors. The shape has its batch axis: see :func:`with_batch`.

    If ``masked``, the call has a mask too, and the model a second input of that name.
    """
    own = layer.copy(nodes=[], _namer=None, name=layer.name)
    tensors = map_shapes(lambda each: Input(batch_shape=each, dtype=layer.input_dtype()), shape)
    inputs = tensors if isinstance(tensors, SymbolicTensor) else flatten(tensors)
    if masked:
        mask = Input(batch_shape=shape[:-1], dtype="bool", name="mask")
        return Model([inputs, mask], own(tensors, mask=mask), name=layer.name)
    return Model(inputs, own(*rule_arguments(layer, tensors)), name=layer.name)


def with_batch(layer: Layer, shape: Any) -> Any:
    """An input shape, or a list of them, with the batch axis, which may be left out: (3,) and 3 mean (None, 3).

    Both readings are tried: first the shape as it is, if it begins with None, else with a batch axis in front; ``LSTM``
    takes (None, 3) to be sequences of any length. Where neither fits, the first is given back, for the rules to refuse.
    """
    given = map_shapes(lambda s: standardize(s, "input_shape"), (shape,) if isinstance(shape, int) else shape)
    readings = [map_shapes(lambda each: (None, *each), given), given]
    if all(each[:1] == (None,) for each in flatten_shapes(given)):
        readings.reverse()
    for reading in readings:
        try:
            layer.compute_output_shape(*rule_arguments(layer, reading))
        except ShapeError:
            continue
        return reading
    return readings[0]


def rule_arguments(layer: Layer, shape: Any) -> tuple[Any, ...]:
    """A shape, or a list of them, or tensors instead of shapes, as the layer's three rules take it."""
    if len(layer.shape_arguments) == 1 or not isinstance(shape, list) or is_shape(shape):
        return (shape,)
    if len(shape) > len(layer.shape_arguments):
        raise ShapeError(f"takes {', '.join(layer.shape_arguments)}: got {len(shape)} shapes"
                         ).at(layer.describe(), to_text(shape))
    return tuple(shape)


def built_for(model: Model, input_shape: Any) -> tuple[Model, Any]:
    """A model that is built, if need be for an input shape, and the shape where the model had one of its own before.

    The batch axis of ``input_shape`` may be left out: see :func:`with_batch`. Without one the model is as it was.
    """
    shape = None if input_shape is None else with_batch(model, input_shape)
    return (model, shape) if model.built or shape is None else (twin(model, shape), None)


def twin(model: Model, shape: Shape) -> Model:
    """The same layers under the same names, built for a shape; the model itself is left unbuilt."""
    same: Model = unbuilt(model)
    same.build(shape)
    return same
