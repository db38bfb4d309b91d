"""Shapes and dtypes of ops, without torch: what comes out of operands that are :class:`TensorSpec` or numbers."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

from kerashape_torch.errors import ShapeError
from kerashape_torch.graph import TensorSpec
from kerashape_torch.shape import Shape, Size, axis_index, broadcast, product, to_text
from kerashape_torch.structure import flatten

_RANK = ("bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "int64", "uint64", "float16", "bfloat16",
         "float32", "float64")
_HALVES = {"float16", "bfloat16"}


# ---- dtypes ----------------------------------------------------------------------------------------------------------


def promoted(*operands: Any) -> str:
    """The dtype that tensors and numbers have together; a Python number gives way to a tensor.

    >>> promoted(TensorSpec((3,), "int32"), 1), promoted(TensorSpec((3,), "int32"), 0.5)
    ('int32', 'float32')
    """
    dtypes = [x.dtype for x in operands if isinstance(x, TensorSpec)]
    found = functools.reduce(_promote, dtypes) if dtypes else "bool"
    numbers = [x for x in operands if isinstance(x, (int, float))]
    if any(isinstance(x, float) for x in numbers) and "float" not in found:
        return "float32"
    if found == "bool" and any(not isinstance(x, bool) for x in numbers):
        return "int32"
    return found


def _promote(a: str, b: str) -> str:
    if {a, b} == _HALVES:
        return "float32"
    low, high = sorted((a, b), key=_RANK.index)
    if low.startswith("uint") and high == f"int{low.removeprefix('uint')}":
        return {"uint8": "int16", "uint16": "int32", "uint32": "int64"}[low]
    return high


def _as_float(dtype: str) -> str:
    return dtype if "float" in dtype else "float32"


# ---- element by element ----------------------------------------------------------------------------------------------


def same(op: Any, x: TensorSpec) -> TensorSpec:
    return TensorSpec(x.shape, x.dtype)


def floating(op: Any, x: TensorSpec) -> TensorSpec:
    return TensorSpec(x.shape, _as_float(x.dtype))


def logical(op: Any, x: TensorSpec) -> TensorSpec:
    return TensorSpec(x.shape, "bool")


def cast_to(op: Any, x: TensorSpec) -> TensorSpec:
    return TensorSpec(x.shape, op.dtype or x.dtype)


def _together(operands: Iterable[Any]) -> Shape:
    return functools.reduce(broadcast, [x.shape if isinstance(x, TensorSpec) else () for x in operands])


def broadcast_same(op: Any, *operands: Any) -> TensorSpec:
    return TensorSpec(_together(operands), promoted(*operands))


def broadcast_float(op: Any, *operands: Any) -> TensorSpec:
    return TensorSpec(_together(operands), _as_float(promoted(*operands)))


def broadcast_bool(op: Any, *operands: Any) -> TensorSpec:
    return TensorSpec(_together(operands), "bool")


def selected(op: Any, condition: TensorSpec, x1: Any = None, x2: Any = None) -> TensorSpec:
    if x1 is None or x2 is None:
        raise ShapeError("where(condition) alone gives as many places as are true; give both alternatives")
    return TensorSpec(_together((condition, x1, x2)), promoted(x1, x2))


# ---- reductions ------------------------------------------------------------------------------------------------------


def _axes(axis: Any, rank: int) -> set[int]:
    if axis is None:
        return set(range(rank))
    return {axis_index(a, rank) for a in ((axis,) if isinstance(axis, int) else axis)}


def reduced(op: Any, x: TensorSpec) -> TensorSpec:
    """The shape without the axes that are reduced, or with 1 in their place."""
    gone = _axes(op.axis, len(x.shape))
    kept = [1 if i in gone else size for i, size in enumerate(x.shape) if op.keepdims or i not in gone]
    return TensorSpec(tuple(kept), x.dtype)


def reduced_float(op: Any, x: TensorSpec) -> TensorSpec:
    return TensorSpec(reduced(op, x).shape, _as_float(x.dtype))


def reduced_sum(op: Any, x: TensorSpec) -> TensorSpec:
    return TensorSpec(reduced(op, x).shape, summed_dtype(x.dtype))


def summed_dtype(dtype: str) -> str:
    """Small integers are added up as 32 bits."""
    return {"bool": "int32", "int8": "int32", "int16": "int32", "uint8": "uint32", "uint16": "uint32"}.get(dtype, dtype)


def reduced_bool(op: Any, x: TensorSpec) -> TensorSpec:
    return TensorSpec(reduced(op, x).shape, "bool")


def reduced_index(op: Any, x: TensorSpec) -> TensorSpec:
    return TensorSpec(reduced(op, x).shape, "int32")


# ---- products --------------------------------------------------------------------------------------------------------


def matrix_product(op: Any, x1: TensorSpec, x2: TensorSpec) -> TensorSpec:
    """NumPy's rule: a vector is a row on the left and a column on the right."""
    if not isinstance(x1, TensorSpec) or not isinstance(x2, TensorSpec) or not x1.shape or not x2.shape:
        raise ShapeError("matmul takes two tensors of one axis or more")
    left = x1.shape if x1.ndim > 1 else (1, *x1.shape)
    right = x2.shape if x2.ndim > 1 else (*x2.shape, 1)
    if None not in (left[-1], right[-2]) and left[-1] != right[-2]:
        raise ShapeError(f"the last axis of {to_text(x1.shape)}, {left[-1]}, meets {right[-2]} in {to_text(x2.shape)}")
    rows = left[-2:-1] if x1.ndim > 1 else ()
    columns = right[-1:] if x2.ndim > 1 else ()
    return TensorSpec((*broadcast(left[:-2], right[:-2]), *rows, *columns), promoted(x1, x2))


# ---- elements moved --------------------------------------------------------------------------------------------------


def sliced(op: Any, x: TensorSpec, key: Any) -> TensorSpec:
    """``x[key]``: integers take an axis away, None adds one, ``...`` stands for the axes that the key leaves out."""
    keys = list(key) if isinstance(key, (tuple, list)) else [key]
    if sum(k is Ellipsis for k in keys) > 1:
        raise ShapeError(f"[{_key_text(key)}] has more than one '...'")
    if not any(k is Ellipsis for k in keys):
        keys.append(Ellipsis)
    taken = sum(k is not None and k is not Ellipsis for k in keys)
    if taken > x.ndim:
        raise ShapeError(f"[{_key_text(key)}] takes {taken} axes, and {to_text(x.shape)} has {x.ndim}")
    sizes: list[Size] = []
    rest = list(x.shape)
    for k in keys:
        if k is Ellipsis:
            sizes += [rest.pop(0) for _ in range(x.ndim - taken)]
        elif k is None:
            sizes.append(1)
        else:
            sizes += _taken(k, rest.pop(0), key)
    return TensorSpec(tuple(sizes), x.dtype)


def _taken(k: Any, size: Size, key: Any) -> list[Size]:
    if isinstance(k, slice):
        return [size if size is None else len(range(*k.indices(size)))]
    if not isinstance(k, int) or isinstance(k, bool):
        raise ShapeError(f"[{_key_text(key)}]: a key is made of integers, slices, '...' and None, got {k!r}")
    if size is not None and not -size <= k < size:
        raise ShapeError(f"[{_key_text(key)}]: index {k} is outside an axis of {size}")
    return []


def _key_text(key: Any) -> str:
    def one(k: Any) -> str:
        if isinstance(k, slice):
            parts = [k.start, k.stop] + ([k.step] if k.step is not None else [])
            return ":".join("" if part is None else str(part) for part in parts)
        return "..." if k is Ellipsis else repr(k)

    return ", ".join(map(one, key)) if isinstance(key, (tuple, list)) else one(key)


def reshaped(op: Any, x: TensorSpec) -> TensorSpec:
    wanted = [size if size is None or size >= 0 else None for size in op.newshape]
    total = product(x.shape)
    known = product(size for size in wanted if size is not None)
    if total is None or known is None:
        return TensorSpec(tuple(wanted), x.dtype)
    left = wanted.count(None)
    if left > 1 or (total != known if not left else known == 0 or total % known):
        raise ShapeError(f"{to_text(x.shape)} has {total} elements, which do not fit {to_text(tuple(op.newshape))}")
    return TensorSpec(tuple(total // known if size is None else size for size in wanted), x.dtype)


def transposed(op: Any, x: TensorSpec) -> TensorSpec:
    axes = [axis_index(a, x.ndim) for a in (op.axes if op.axes is not None else reversed(range(x.ndim)))]
    if sorted(axes) != list(range(x.ndim)):
        raise ShapeError(f"axes={tuple(op.axes)} is not an order of the {x.ndim} axes of {to_text(x.shape)}")
    return TensorSpec(tuple(x.shape[a] for a in axes), x.dtype)


def expanded(op: Any, x: TensorSpec) -> TensorSpec:
    axes = (op.axis,) if isinstance(op.axis, int) else tuple(op.axis)
    new = {axis_index(a, x.ndim + len(axes)) for a in axes}
    rest = iter(x.shape)
    return TensorSpec(tuple(1 if i in new else next(rest) for i in range(x.ndim + len(new))), x.dtype)


def squeezed(op: Any, x: TensorSpec) -> TensorSpec:
    if op.axis is None:
        return TensorSpec(tuple(size for size in x.shape if size != 1), x.dtype)
    gone = _axes(op.axis, x.ndim)
    for axis in gone:
        if x.shape[axis] not in (1, None):
            raise ShapeError(f"axis {axis} of {to_text(x.shape)} is {x.shape[axis]}, and only an axis of 1 can go")
    return TensorSpec(tuple(size for i, size in enumerate(x.shape) if i not in gone), x.dtype)


def concatenated(op: Any, xs: Any) -> TensorSpec:
    tensors = _list_of_tensors(xs)
    shapes = [x.shape for x in tensors]
    axis = axis_index(op.axis, len(shapes[0]))
    sizes = [_agreed(i, column, shapes) if i != axis else _summed(column) for i, column in enumerate(zip(*shapes))]
    return TensorSpec(tuple(sizes), promoted(*tensors))


def stacked(op: Any, x: Any) -> TensorSpec:
    tensors = _list_of_tensors(x)
    shapes = [each.shape for each in tensors]
    sizes = [_agreed(i, column, shapes) for i, column in enumerate(zip(*shapes))]
    sizes.insert(axis_index(op.axis, len(sizes) + 1), len(tensors))
    return TensorSpec(tuple(sizes), promoted(*tensors))


def _list_of_tensors(xs: Any) -> list[TensorSpec]:
    tensors = flatten(xs)
    if not tensors or not all(isinstance(x, TensorSpec) for x in tensors):
        raise ShapeError("takes a list of tensors")
    if len({x.ndim for x in tensors}) > 1:
        raise ShapeError(f"the ranks differ: {to_text([x.shape for x in tensors])}")
    return tensors


def _summed(sizes: Iterable[Size]) -> Size:
    total = 0
    for size in sizes:
        if size is None:
            return None
        total += size
    return total


def _agreed(axis: int, sizes: Iterable[Size], shapes: list[Shape]) -> Size:
    known = {size for size in sizes if size is not None}
    if len(known) > 1:
        raise ShapeError(f"axis {axis} differs: {to_text(shapes)}")
    return known.pop() if known else None
