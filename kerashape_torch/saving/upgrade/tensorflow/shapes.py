"""Functions that move, cut, repeat and pick elements."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping
from typing import Any

from kerashape_torch.saving.upgrade.expressions import AsLayer, Key, Op, Slice, along, strided
from kerashape_torch.saving.upgrade.sizes import Shape, Size
from kerashape_torch.saving.upgrade.tensorflow.table import (
    Untranslated,
    axis_of,
    dtype_of,
    fixed,
    is_tensor,
    tf,
    word,
)

# ---- shapes ----------------------------------------------------------------------------------------------------------

@tf("reshape", takes_sizes=True)
def _reshape(tensor: Any, shape: Any) -> Any:
    """Where the first size is the batch's, Keras' layer of that name, which leaves the batch alone."""
    if isinstance(shape, Shape):
        raise Untranslated("the shape of another tensor is not known before there are tensors")
    sizes = shape if isinstance(shape, list) else [shape]
    if any(is_tensor(size) for size in sizes):
        raise Untranslated("a size is a tensor, and must be a number")
    free = [size for size in sizes if isinstance(size, Size) or size == -1]
    known = [-1 if isinstance(size, Size) else size for size in sizes]
    if len(free) < 2:
        return Op("Reshape", tensor, newshape=known)
    if isinstance(sizes[0], Size) and sizes[0].is_of(tensor, 0) and len(free) == 2:
        return AsLayer("Reshape", tensor, target_shape=known[1:])
    raise Untranslated("more than one of its sizes is not known before there are tensors, or one beside the batch's, "
                       "which the tensor does not have")


@tf("keras.backend.batch_flatten")
def _batch_flatten(x: Any) -> Any:
    return AsLayer("Flatten", x)


@tf("expand_dims")
def _expand_dims(input: Any, axis: Any = None, dim: Any = None) -> Any:
    return Op("ExpandDims", input, axis=axis_of(axis if axis is not None else dim))


@tf("squeeze")
def _squeeze(input: Any, axis: Any = None, squeeze_dims: Any = None) -> Any:
    axis = axis if axis not in (None, []) else squeeze_dims
    return Op("Squeeze", input, axis=axis_of(axis if axis != [] else None))


@tf("transpose")
def _transpose(a: Any, perm: Any = None, conjugate: bool = False) -> Any:
    return Op("Transpose", a, axes=fixed(perm, "perm"))


@tf("concat")
def _concat(values: Any, axis: Any) -> Any:
    return Op("Concatenate", values if isinstance(values, list) else [values], axis=axis_of(axis))


@tf("stack", "parallel_stack")
def _stack(values: Any, axis: Any = 0) -> Any:
    return Op("Stack", values if isinstance(values, list) else [values], axis=axis_of(axis))


@tf("unstack")
def _unstack(value: Any, num: Any = None, axis: Any = 0) -> Any:
    return Op("Unstack", value, num=num, axis=axis_of(axis))


_END = 2 ** 31 - 1


@tf("split")
def _split(value: Any, num_or_size_splits: Any, axis: Any = 0, num: Any = None) -> Any:
    parts, axis = fixed(num_or_size_splits, "num_or_size_splits"), axis_of(axis)
    if not isinstance(parts, list):
        return Op("Split", value, indices_or_sections=parts, axis=axis)
    if -1 not in parts[:-1]:
        cuts = [sum(parts[:i]) for i in range(1, len(parts))]  # sizes to the places where Keras cuts
        return Op("Split", value, indices_or_sections=cuts, axis=axis)
    open_part = parts.index(-1)
    cuts = [sum(parts[:i]) if i <= open_part else -sum(parts[i:]) or _END for i in range(len(parts) + 1)]
    return [along(value, axis, Slice(start, stop, None)) for start, stop in itertools.pairwise(cuts)]


@tf("tile", takes_sizes=True)
def _tile(input: Any, multiples: Any) -> Any:
    numbers = _written(multiples, "multiples")
    known = [1 if isinstance(number, Size) else number for number in numbers]
    for axis, number in enumerate(numbers):
        if isinstance(number, Size) and number.shapes.of(input)[axis:axis + 1] != (1,):
            raise Untranslated(f"multiples[{axis}] is a size that is not known before there are tensors")
    if known != numbers:
        stretched = [number if isinstance(number, Size) else 1 for number in numbers]
        input = Op("Where", _everywhere(stretched), input, False)
    return Op("Tile", input, repeats=known)


@tf("broadcast_to", takes_sizes=True)
def _broadcast_to(input: Any, shape: Any) -> Any:
    sizes = _written(shape, "shape")
    if not any(isinstance(size, Size) for size in sizes):
        return Op("BroadcastTo", input, shape=sizes)
    return Op("Where", _everywhere(sizes), input, False)


@tf("fill", takes_sizes=True)
def _fill(dims: Any, value: Any) -> Any:
    return _broadcast_to(value, dims)


def _written(sizes: Any, what: str) -> list[Any]:
    if not isinstance(fixed(sizes, what), list):
        raise Untranslated(f"{what} is the shape of another tensor, which is not known before there are tensors")
    return list(sizes)


def _everywhere(sizes: list[Any]) -> Op:
    """A condition that holds in every place of a shape, of which some sizes are open: they come from tensors."""
    parts = [_along(size, axis, len(sizes)) for axis, size in enumerate(sizes) if isinstance(size, Size)]
    known = [1 if isinstance(size, Size) else size for size in sizes]
    condition = functools.reduce(lambda x, y: Op("LogicalAnd", x, y), parts)
    return condition if set(known) == {1} else Op("Tile", condition, repeats=known)


def _along(size: Size, axis: int, rank: int) -> Op:
    """True in every place of one axis, where the others have size 1."""
    if size.axis is None:
        raise Untranslated("it asks for a size that comes of others, which are not known before there are tensors")
    after = len(size.shapes.of(size.of)) - size.axis - 1
    row = Op("GetItem", size.of, Key([*[0] * size.axis, Slice(None, None, None), *[0] * after]))
    return Op("Reshape", Op("OnesLike", row, dtype="bool"),
              newshape=[1] * axis + [-1] + [1] * (rank - axis - 1))


@tf("repeat")
def _repeat(input: Any, repeats: Any, axis: Any = None) -> Any:
    return Op("Repeat", input, repeats=fixed(repeats, "repeats"), axis=axis_of(axis))


@tf("pad")
def _pad(tensor: Any, paddings: Any, mode: str = "CONSTANT", constant_values: Any = 0) -> Any:
    mode = word(mode, "mode", {"CONSTANT": "constant", "REFLECT": "reflect", "SYMMETRIC": "symmetric"})
    value = {"constant_values": constant_values} if mode == "constant" and constant_values else {}
    return Op("Pad", tensor, pad_width=fixed(paddings, "paddings"), mode=mode, **value)


@tf("reverse")
def _reverse(tensor: Any, axis: Any) -> Any:
    return Op("Flip", tensor, axis=axis_of(axis))


@tf("roll")
def _roll(input: Any, shift: Any, axis: Any) -> Any:
    return Op("Roll", input, shift=fixed(shift, "shift"), axis=axis_of(axis))


@tf("one_hot")
def _one_hot(indices: Any, depth: Any, on_value: Any = None, off_value: Any = None, axis: Any = None,
             dtype: Any = None) -> Any:
    hot = Op("OneHot", indices, num_classes=fixed(depth, "depth"), axis=-1 if axis is None else axis,
             dtype="float32" if dtype is None else dtype_of(dtype))
    on, off = (1 if on_value is None else on_value), (0 if off_value is None else off_value)
    return hot if (on, off) == (1, 0) else Op("Add", Op("Multiply", hot, on - off), off)


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

    return Op("GetItem", input_, Key(map(part, itertools.count(), fixed(begin, "begin"), _written(size, "size"))))


@tf("gather")
def _gather(params: Any, indices: Any, validate_indices: Any = None, axis: Any = None, batch_dims: int = 0) -> Any:
    if batch_dims:
        raise Untranslated(f"batch_dims={batch_dims} is not had")
    return Op("Take", params, indices, axis=0 if axis is None else axis_of(axis))


@tf("nn.embedding_lookup")
def _embedding_lookup(params: Any, ids: Any, max_norm: Any = None, partition_strategy: Any = None) -> Any:
    if max_norm is not None:
        raise Untranslated("max_norm is not had")
    return Op("Take", params, ids, axis=0)


# ---- putting ---------------------------------------------------------------------------------------------------------


@tf("scatter_nd")
def _scatter_nd(indices: Any, updates: Any, shape: Any) -> Any:
    return Op("Scatter", indices, updates, shape=fixed(shape, "shape"))


@tf("tensor_scatter_nd_update")
def _tensor_scatter_update(tensor: Any, indices: Any, updates: Any) -> Any:
    return Op("ScatterUpdate", tensor, indices, updates)


@tf("math.unsorted_segment_sum")
def _segment_sum(data: Any, segment_ids: Any, num_segments: Any) -> Any:
    return Op("SegmentSum", data, segment_ids, num_segments=fixed(num_segments, "num_segments"))


@tf("math.unsorted_segment_prod")
def _segment_prod(data: Any, segment_ids: Any, num_segments: Any) -> Any:
    return Op("SegmentProd", data, segment_ids, num_segments=fixed(num_segments, "num_segments"))
