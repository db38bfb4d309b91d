"""Functions that pick elements, and put them in their places."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from kerashape_torch.saving.upgrade.constants import array
from kerashape_torch.saving.upgrade.expressions import Key, Op, Slice, strided
from kerashape_torch.saving.upgrade.sizes import Shapes, Size
from kerashape_torch.saving.upgrade.tensorflow.creation import written
from kerashape_torch.saving.upgrade.tensorflow.table import (
    FUNCTIONS,
    Function,
    Untranslated,
    axis_of,
    fixed,
    is_tensor,
    tf,
)

# ---- picking ---------------------------------------------------------------------------------------------------------

@tf("__operators__.getitem")
def _getitem(tensor: Any, slice_spec: Any, var: Any = None) -> Any:
    if isinstance(slice_spec, list):
        return Op("GetItem", tensor, Key(map(_key, slice_spec)))
    return Op("GetItem", tensor, _key(slice_spec))


def _key(spec: Any) -> Any:
    if isinstance(spec, Mapping):
        if spec.get("class_name") == "__ellipsis__":
            return ...
        spec = spec.get("config", spec)
        spec = Slice(spec.get("start"), spec.get("stop"), spec.get("step"))
    if any(is_tensor(part) for part in (spec if isinstance(spec, Slice) else [spec])):
        raise Untranslated("an index is a tensor, and must be a number")
    return spec


@tf("strided_slice")
def _strided_slice(input_: Any, begin: list[int], end: list[int], strides: Any = None, begin_mask: int = 0,
                   end_mask: int = 0, ellipsis_mask: int = 0, new_axis_mask: int = 0, shrink_axis_mask: int = 0,
                   var: Any = None) -> Any:
    strides = strides or [1] * len(begin)
    for bound, what in ((begin, "begin"), (end, "end"), (strides, "strides")):
        fixed(bound, what)
    return Op("GetItem", input_, strided(begin, end, strides, begin_mask, end_mask, ellipsis_mask, new_axis_mask,
                                         shrink_axis_mask))


@tf("slice", takes_sizes=True)
def _slice(input_: Any, begin: Any, size: Any) -> Any:
    def part(axis: int, start: Any, length: Any) -> Slice:
        if length == -1 or (isinstance(length, Size) and start == 0 and length.is_of(input_, axis)):
            return Slice(start, None, None)
        if isinstance(start, Size) or isinstance(length, Size):
            raise Untranslated(f"where it cuts axis {axis} is not known before there are tensors")
        return Slice(start, start + length, None)

    return Op("GetItem", input_, Key(map(part, itertools.count(), fixed(begin, "begin"), written(size, "size"))))


@tf("gather", "gather_v2")
def _gather(params: Any, indices: Any, axis: Any = None, batch_dims: int = 0,
            *, shapes: Shapes) -> Any:
    """With batch_dims, the elements of each row are picked by the row of indices that belongs to it."""
    axis = batch_dims if axis is None else axis_of(axis)
    if not batch_dims:
        return Op("Take", params, indices, axis=axis)
    shape, picked = shapes.of(params), shapes.of(indices)
    if not shape or not picked:
        raise Untranslated(f"batch_dims={batch_dims} of a tensor whose rank is not known")
    batch, axis = batch_dims + (len(picked) if batch_dims < 0 else 0), axis % len(shape)
    rest, more = len(shape) - axis - 1, len(picked) - batch
    if not more:
        one = Op("TakeAlongAxis", params, _beside(indices, batch, axis - batch, rest, one=True), axis=axis)
        return Op("Squeeze", one, axis=axis)
    if more == 1:
        return Op("TakeAlongAxis", params, _beside(indices, batch, axis - batch, rest), axis=axis)
    inner = picked[batch:]
    if None in inner:
        raise Untranslated(f"batch_dims={batch_dims} with indices of which not all axes are known")
    flat = Op("Reshape", indices, newshape=[-1, *picked[1:batch], math.prod(inner)])
    found = Op("TakeAlongAxis", params, _beside(flat, batch, axis - batch, rest), axis=axis)
    kept = (*shape[1:axis], *inner, *shape[axis + 1:])
    if None in kept:
        raise Untranslated(f"batch_dims={batch_dims} of a tensor of which not all axes are known")
    return Op("Reshape", found, newshape=[-1, *kept])


def _beside(indices: Any, batch: int, before: int, after: int, one: bool = False) -> Any:
    """Indices (batch..., places) with an axis of size 1 for each other axis of the tensor that they are for.

    Args:
        one: there is one place for each of the batch, and no axis of them.
    """
    whole = Slice(None, None, None)
    return Op("GetItem", indices, Key([*[whole] * batch, *[None] * before, None if one else whole, *[None] * after]))


@tf("gather_nd")
def _gather_nd(params: Any, indices: Any, batch_dims: int = 0, *, shapes: Shapes) -> Any:
    """The last axis of ``indices`` has a place for each of the first axes of ``params``."""
    shape, picked = shapes.of(params), shapes.of(indices)
    if not picked or picked[-1] is None:
        raise Untranslated("how many axes its indices are for is not known before there are tensors")
    depth = picked[-1]
    sizes: Sequence[Any] = shape[batch_dims:batch_dims + depth]
    rest = shape[batch_dims + depth:]
    if batch_dims > 1 or (batch_dims and len(picked) != 3):
        raise Untranslated(f"batch_dims={batch_dims} with indices of rank {len(picked)} is not had")
    if depth > 1 and None in (*sizes[not batch_dims:], *rest):
        if not batch_dims and len(picked) == 2 and is_tensor(indices):
            return _one_by_one(params, indices, depth, len(rest))
        raise Untranslated("it goes along axes whose sizes are not known before there are tensors")
    rows = params if depth == 1 else Op("Reshape", params, newshape=[-1, *(
        [math.prod(sizes)] if batch_dims else []), *rest])
    numbers = _numbered(indices, sizes)
    if not batch_dims:
        return Op("Take", rows, numbers, axis=0)
    return Op("TakeAlongAxis", rows, _beside(numbers, 1, 0, len(rest)), axis=1)


def _one_by_one(params: Any, indices: Any, depth: int, rest: int) -> Any:
    """Rows by the first of their indices, then in each row one element after the other."""
    places = [Op("GetItem", indices, Key([Slice(None, None, None), i])) for i in range(depth)]
    found = Op("Take", params, places[0], axis=0)
    for i, place in enumerate(places[1:], start=1):
        beside = _beside(place, 1, 0, depth - 1 - i + rest, one=True)
        found = Op("Squeeze", Op("TakeAlongAxis", found, beside, axis=1), axis=1)
    return found


def _numbered(indices: Any, sizes: Sequence[Any]) -> Any:
    """The places that lists of indices have among all elements of these axes in a row."""
    strides = [math.prod(sizes[i + 1:]) for i in range(len(sizes))]
    if len(strides) == 1:
        return Op("GetItem", indices, Key([..., 0]))
    if is_tensor(indices):
        return Op("Sum", Op("Multiply", indices, strides), axis=-1)
    import numpy as np

    return array(np.asarray(indices) @ np.asarray(strides), "int32")


@tf("boolean_mask")
def _boolean_mask(tensor: Any, mask: Any, axis: Any = None) -> Any:
    if is_tensor(mask):
        raise Untranslated("how many elements it keeps depends on the mask, so its result has a shape that depends on "
                           "numbers", "multiply by the mask, or choose with tf.where, and build the model anew")
    if not isinstance(mask, list) or any(isinstance(item, list) for item in mask):
        raise Untranslated("a mask over several axes is not had")
    places = [i for i, is_kept in enumerate(mask) if is_kept]
    return Op("Take", tensor, array(places, "int32"), axis=0 if axis is None else axis_of(axis))


@tf("nn.embedding_lookup")
def _embedding_lookup(params: Any, ids: Any, max_norm: Any = None, partition_strategy: Any = None) -> Any:
    if max_norm is not None:
        raise Untranslated("max_norm is not had")
    return Op("Take", params, ids, axis=0)


# ---- putting ---------------------------------------------------------------------------------------------------------


@tf("scatter_nd")
def _scatter_nd(indices: Any, updates: Any, shape: Any) -> Any:
    return Op("Scatter", indices, updates, shape=fixed(shape, "shape"))


def _scattered(reduction: str | None, sign: str | None = None) -> Function:
    def function(tensor: Any, indices: Any, updates: Any) -> Any:
        return Op("ScatterUpdate", tensor, indices, Op(sign, updates) if sign else updates, reduction=reduction)

    return function


FUNCTIONS.update({f"tensor_scatter_nd_{name}": _scattered(*how) for name, how in {
    "update": (None,), "add": ("add",), "sub": ("add", "Negative"), "max": ("max",), "min": ("min",)}.items()})


def _segments(op: str) -> Function:
    def function(data: Any, segment_ids: Any, num_segments: Any) -> Any:
        return Op(op, data, segment_ids, num_segments=fixed(num_segments, "num_segments"))

    return function


FUNCTIONS.update({f"math.unsorted_segment_{name}": _segments(f"Segment{name.capitalize()}")
                  for name in ("sum", "prod")})


def _extreme(op: str, neutral: float) -> Function:
    """TensorFlow's segments without elements have the smallest or largest number that there is, and not infinity."""
    def function(data: Any, segment_ids: Any, num_segments: Any) -> Any:
        found = Op(op, data, segment_ids, num_segments=fixed(num_segments, "num_segments"))
        return Op("Maximum" if op == "SegmentMax" else "Minimum", found, neutral)

    return function


_LARGEST = 3.4028234663852886e38
FUNCTIONS["math.unsorted_segment_max"] = _extreme("SegmentMax", -_LARGEST)
FUNCTIONS["math.unsorted_segment_min"] = _extreme("SegmentMin", _LARGEST)


def _average(root: bool) -> Function:
    def function(data: Any, segment_ids: Any, num_segments: Any) -> Any:
        count = fixed(num_segments, "num_segments")
        number = Op("Maximum", Op("SegmentSum", Op("OnesLike", data), segment_ids, num_segments=count), 1)
        return Op("TrueDivide", Op("SegmentSum", data, segment_ids, num_segments=count),
                  Op("Sqrt", number) if root else number)

    return function


FUNCTIONS.update({"math.unsorted_segment_mean": _average(root=False),
                  "math.unsorted_segment_sqrt_n": _average(root=True)})
