"""Functions that move, cut and repeat elements."""

from __future__ import annotations

import itertools
from typing import Any

from kerashape_torch.saving.upgrade.expressions import AsLayer, Op, Slice, along
from kerashape_torch.saving.upgrade.sizes import Shape, Size
from kerashape_torch.saving.upgrade.tensorflow.creation import everywhere, written
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
    numbers = written(multiples, "multiples")
    known = [1 if isinstance(number, Size) else number for number in numbers]
    for axis, number in enumerate(numbers):
        if isinstance(number, Size) and number.shapes.of(input)[axis:axis + 1] != (1,):
            raise Untranslated(f"multiples[{axis}] is a size that is not known before there are tensors")
    if known != numbers:
        stretched = [number if isinstance(number, Size) else 1 for number in numbers]
        input = Op("Where", everywhere(stretched), input, False)
    return Op("Tile", input, repeats=known)


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
