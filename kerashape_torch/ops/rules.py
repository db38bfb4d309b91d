"""Shapes and dtypes of ops, without torch: what comes out of operands that are :class:`TensorSpec` or numbers."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

from kerashape_torch.dtypes import is_integer, result_type
from kerashape_torch.errors import ConfigError, ShapeError
from kerashape_torch.graph import TensorSpec
from kerashape_torch.shape import Shape, axis_index, broadcast, product, to_text

# ---- dtypes ----------------------------------------------------------------------------------------------------------


def promoted(*operands: Any) -> str:
    """The dtype that tensors and numbers have together; a Python number gives way to a tensor.

    >>> promoted(TensorSpec((3,), "int32"), 1), promoted(TensorSpec((3,), "int32"), 0.5)
    ('int32', 'float32')
    """
    return result_type(*(x.dtype if isinstance(x, TensorSpec) else type(x) for x in operands))


def as_float(dtype: str) -> str:
    """The float dtype that numbers of a dtype become: 32 bits, if they are none."""
    return "float32" if dtype == "int64" else result_type(dtype, float)


def counted(dtype: str) -> str:
    """Numbers, where there may be bool."""
    return "int32" if dtype == "bool" else dtype


def summed_dtype(dtype: str) -> str:
    """Small integers are added up as 32 bits."""
    return "int32" if dtype in ("bool", "int8", "int16", "uint8", "uint16", "uint32") else dtype


def real_dtype(dtype: str) -> str:
    """The dtype of the parts of complex numbers."""
    return {"complex64": "float32", "complex128": "float64"}.get(dtype, dtype)


# ---- element by element ----------------------------------------------------------------------------------------------


def same(op: Any, x: TensorSpec) -> TensorSpec:
    return TensorSpec(x.shape, x.dtype)


def floating(op: Any, x: TensorSpec) -> TensorSpec:
    return TensorSpec(x.shape, as_float(x.dtype))


def counting(op: Any, x: TensorSpec) -> TensorSpec:
    return TensorSpec(x.shape, counted(x.dtype))


def real(op: Any, x: TensorSpec) -> TensorSpec:
    return TensorSpec(x.shape, real_dtype(x.dtype))


def real_floating(op: Any, x: TensorSpec) -> TensorSpec:
    return TensorSpec(x.shape, real_dtype(as_float(x.dtype)))


def logical(op: Any, x: TensorSpec) -> TensorSpec:
    return TensorSpec(x.shape, "bool")


def cast_to(op: Any, x: TensorSpec, *_: Any) -> TensorSpec:
    return TensorSpec(x.shape, op.dtype or x.dtype)


def _together(operands: Iterable[Any]) -> Shape:
    return functools.reduce(broadcast, [x.shape if isinstance(x, TensorSpec) else () for x in operands])


def broadcast_same(op: Any, *operands: Any) -> TensorSpec:
    return TensorSpec(_together(operands), promoted(*operands))


def broadcast_count(op: Any, *operands: Any) -> TensorSpec:
    return TensorSpec(_together(operands), counted(promoted(*operands)))


def broadcast_float(op: Any, *operands: Any) -> TensorSpec:
    return TensorSpec(_together(operands), as_float(promoted(*operands)))


def broadcast_angle(op: Any, *operands: Any) -> TensorSpec:
    """Here a Python number is a float of 32 bits, which does not give way."""
    kinds = [x.dtype if isinstance(x, TensorSpec) else "float32" for x in operands]
    return TensorSpec(_together(operands), result_type(*kinds, float))


def scaled_by_two(op: Any, x1: Any, x2: Any) -> TensorSpec:
    if isinstance(x2, TensorSpec) and not is_integer(x2.dtype):
        raise ConfigError(f"the exponent is an integer, got {x2.dtype}")
    return broadcast_float(op, x1, x2)


def shifted(op: Any, x: TensorSpec, y: Any) -> TensorSpec:
    return TensorSpec(_together((x, y)), x.dtype if isinstance(y, int) else promoted(x, y))


def broadcast_bool(op: Any, *operands: Any) -> TensorSpec:
    return TensorSpec(_together(operands), "bool")


def compared(op: Any, x1: Any, x2: Any, *_: Any) -> TensorSpec:
    return TensorSpec(_together((x1, x2)), "bool")


def one_bool(op: Any, *_: Any) -> TensorSpec:
    return TensorSpec((), "bool")


def chosen(op: Any, conditions: Any, choices: Any, default: Any = 0) -> TensorSpec:
    if len(conditions) != len(choices) or not choices:
        raise ShapeError(f"select takes as many choices as conditions, got {len(choices)} and {len(conditions)}")
    return TensorSpec(_together((*conditions, *choices, default)), promoted(*choices, default))


def along_axis(op: Any, x: TensorSpec) -> TensorSpec:
    _axes(op.axis, x.ndim)
    return TensorSpec(x.shape, as_float(x.dtype))


def halved(op: Any, x: TensorSpec) -> TensorSpec:
    axis = axis_index(op.axis, x.ndim)
    size = x.shape[axis]
    if size is not None and size % 2:
        raise ShapeError(f"axis {axis} of {to_text(x.shape)} is {size}, which has no half")
    return TensorSpec((*x.shape[:axis], None if size is None else size // 2, *x.shape[axis + 1:]), x.dtype)


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
    return TensorSpec(without(x.shape, op.axis, getattr(op, "keepdims", False)), x.dtype)


def without(shape: Shape, axis: Any, keepdims: bool) -> Shape:
    gone = _axes(axis, len(shape))
    return tuple(1 if i in gone else size for i, size in enumerate(shape) if keepdims or i not in gone)


def reduced_float(op: Any, x: TensorSpec) -> TensorSpec:
    return TensorSpec(reduced(op, x).shape, as_float(x.dtype))


def reduced_sum(op: Any, x: TensorSpec) -> TensorSpec:
    return TensorSpec(reduced(op, x).shape, summed_dtype(x.dtype))


def reduced_bool(op: Any, x: TensorSpec) -> TensorSpec:
    return TensorSpec(reduced(op, x).shape, "bool")


def reduced_place(op: Any, x: TensorSpec) -> TensorSpec:
    """The rule of ``argmax``: one axis, or all elements in a row."""
    if isinstance(op.axis, (list, tuple)):
        raise ShapeError(f"axis={op.axis} must be one axis or None")
    return TensorSpec(reduced(op, x).shape, "int32")


def reduced_real(op: Any, x: TensorSpec) -> TensorSpec:
    return TensorSpec(reduced(op, x).shape, real_dtype(as_float(x.dtype)))


def reduced_prod(op: Any, x: TensorSpec) -> TensorSpec:
    return TensorSpec(reduced(op, x).shape, op.dtype or summed_dtype(x.dtype))


def averaged(op: Any, x: TensorSpec, weights: Any = None) -> TensorSpec:
    if weights is not None and weights.shape != x.shape:
        if op.axis is None:
            raise ShapeError(f"without an axis, weights are of the shape of x: {to_text(weights.shape)} and "
                             f"{to_text(x.shape)}")
        size = x.shape[axis_index(op.axis, x.ndim)]
        if weights.ndim != 1 or (None not in (size, weights.shape[0]) and size != weights.shape[0]):
            raise ShapeError(f"weights of {to_text(weights.shape)} do not lie along axis {op.axis} of "
                             f"{to_text(x.shape)}")
    return TensorSpec(reduced(op, x).shape, as_float(promoted(x, *([] if weights is None else [weights]))))


def quantiles(op: Any, x: TensorSpec, q: Any) -> TensorSpec:
    """One more axis in front where there are several places."""
    count = q.shape if isinstance(q, TensorSpec) else (len(q),) if isinstance(q, (list, tuple)) else ()
    if len(count) > 1:
        raise ShapeError(f"the places are a number or a row of numbers, got {to_text(count)}")
    return TensorSpec((*count, *reduced(op, x).shape), as_float(x.dtype))


def two_moments(op: Any, x: TensorSpec) -> Any:
    spec = TensorSpec(without(x.shape, op.axes, op.keepdims), x.dtype)
    return spec, TensorSpec(spec.shape, spec.dtype)


def accumulated(op: Any, x: TensorSpec) -> TensorSpec:
    if op.axis is not None:
        axis_index(op.axis, x.ndim)
    return TensorSpec(x.shape if op.axis is not None else (product(x.shape),), op.dtype or counted(x.dtype))


def reduced_index(op: Any, x: TensorSpec) -> TensorSpec:
    return TensorSpec(reduced(op, x).shape, "int32")
