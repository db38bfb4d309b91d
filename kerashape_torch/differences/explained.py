"""Whether a row that moved is the same layer as before, given what it is given now: as far as shapes can tell."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator
from typing import Any

from kerashape_torch.shape_table import Row, Weight
from kerashape_torch.structure import flatten_shapes

_SLIDES = re.compile("Conv|Pool|Padding|Cropping|UpSampl")
_ANY_SIZE = re.compile("Global|Adaptive")


def follows_from_inputs(before: Row, after: Row) -> bool:
    """Whether its weights moved only along the axes that its inputs size, and its windows took the same steps."""
    if [weight.name for weight in before.weights] != [weight.name for weight in after.weights]:
        return False
    axes = {pair for a, b in _of_inputs(before, after) if len(a) == len(b) for pair in zip(a, b)}
    if not all(_is_sized_by(axes, one, other, own_axis(before, one))
               for one, other in zip(before.weights, after.weights)):
        return False
    return not _SLIDES.search(before.class_name) or _slides_alike(before, after)


def own_sizes(row: Row) -> Hashable:
    """How many units or filters a layer has by its own arguments."""
    return tuple(weight.shape[axis] for weight in row.weights if (axis := own_axis(row, weight)) is not None)


def own_axis(row: Row, weight: Weight) -> int | None:
    """The axis of a weight that the layer's own arguments size; all others come from its inputs."""
    rank, is_transposed = len(weight.shape), "Transpose" in row.class_name
    if weight.name in ("kernel", "pointwise_kernel") and rank > 1:
        return rank - 2 if is_transposed and rank > 2 else rank - 1
    return int(is_transposed) if weight.name == "weight" and rank > 1 else None


def _of_inputs(before: Row, after: Row) -> Iterator[tuple[Any, Any]]:
    return zip(*(flatten_shapes(row.input_shape) if row.input_shape else [] for row in (before, after)))


def _is_sized_by(axes: set[tuple[int | None, int | None]], one: Weight, other: Weight, own: int | None) -> bool:
    if len(one.shape) != len(other.shape) or (one.trainable, one.dtype) != (other.trainable, other.dtype):
        return False
    return all(a == b or (axis != own and (a, b) in axes) for axis, (a, b) in enumerate(zip(one.shape, other.shape)))


def _slides_alike(before: Row, after: Row) -> bool:
    """Whether a window could have gone over both inputs in steps of one size."""
    ends = (before.input_shape, before.output_shape, after.input_shape, after.output_shape)
    shapes = [flatten_shapes(shape) if shape else [] for shape in ends]
    if any(len(each) != 1 for each in shapes) or len({len(each[0]) for each in shapes}) > 1 \
            or _ANY_SIZE.search(before.class_name):
        return True
    axes = list(zip(*(each[0][1:] for each in shapes)))
    own = {weight.shape[axis] for weight in before.weights if (axis := own_axis(before, weight)) is not None}
    return all((sizes[1] in own and axis in (0, len(axes) - 1)) or _one_step(*sizes) for axis, sizes in enumerate(axes))


def _one_step(took: int | None, gave: int | None, takes: int | None, gives: int | None) -> bool:
    if not took or not gave or not takes or not gives or (took, gave) == (takes, gives):
        return True
    wider, more = takes - took, gives - gave
    down = (abs(more - wider / step) < 1 for step in range(1, round(took / gave) + 1))
    up = (abs(more - wider * step) < step for step in range(2, round(gave / took) + 1))
    return any(down) or any(up)
