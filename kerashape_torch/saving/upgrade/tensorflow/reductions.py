"""Functions that take axes away, or go along one: sums, places of the largest, sorting."""

from __future__ import annotations

import math
from typing import Any

from kerashape_torch.saving.upgrade.constants import array, within_reason
from kerashape_torch.saving.upgrade.expressions import Key, Op, Slice, along
from kerashape_torch.saving.upgrade.sizes import Shapes
from kerashape_torch.saving.upgrade.tensorflow.elementwise import truncatediv
from kerashape_torch.saving.upgrade.tensorflow.table import (
    FUNCTIONS,
    Function,
    Untranslated,
    axis_of,
    dtype_of,
    fixed,
    is_whole,
    tf,
    word,
)

_REDUCTIONS = {
    "math.reduce_sum": "Sum", "math.reduce_mean": "Mean", "math.reduce_max": "Max", "math.reduce_min": "Min",
    "math.reduce_prod": "Prod", "math.reduce_any": "Any", "math.reduce_all": "All", "math.reduce_std": "Std",
    "math.reduce_variance": "Var", "math.reduce_logsumexp": "Logsumexp",
}


def _reduction(op: str) -> Function:
    def function(input_tensor: Any, axis: Any = None, keepdims: Any = False, keep_dims: Any = None,
                 reduction_indices: Any = None, dtype: Any = None) -> Any:
        axis = axis_of(axis if axis is not None else reduction_indices)
        how = {"axis": axis, "keepdims": bool(keepdims or keep_dims)}
        if not is_whole(dtype):
            return Op(op, input_tensor, **how)
        if op == "Mean":
            return truncatediv(Op("Sum", input_tensor, **how), Op("Sum", Op("OnesLike", input_tensor), **how))
        return Op("Cast", Op(op, input_tensor, **how), dtype=dtype_of(dtype))

    return function


FUNCTIONS.update({name: _reduction(op) for name, op in _REDUCTIONS.items()})


@tf("math.reduce_euclidean_norm")
def _euclidean_norm(input_tensor: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return Op("Sqrt", Op("Sum", Op("Square", input_tensor), axis=axis_of(axis), keepdims=bool(keepdims)))


@tf("math.l2_normalize", "nn.l2_normalize", "linalg.l2_normalize")
def _l2_normalize(x: Any, axis: Any = None, epsilon: float = 1e-12, dim: Any = None) -> Any:
    axis = axis_of(axis if axis is not None else dim)
    total = Op("Sum", Op("Square", x), axis=axis, keepdims=True)
    return Op("Multiply", x, Op("Rsqrt", Op("Maximum", total, epsilon)))


def _index(op: str) -> Function:
    def function(input: Any, axis: Any = None, output_type: Any = "int64", dimension: Any = None) -> Any:
        axis = axis if axis is not None else dimension
        return Op("Cast", Op(op, input, axis=0 if axis is None else axis_of(axis)), dtype=dtype_of(output_type))

    return function


FUNCTIONS.update({"math.argmax": _index("Argmax"), "math.argmin": _index("Argmin"),
                   "arg_max": _index("Argmax"), "arg_min": _index("Argmin")})


@tf("math.count_nonzero")
def _count_nonzero(input: Any, axis: Any = None, keepdims: Any = None, dtype: Any = "int64") -> Any:
    ones = Op("Cast", Op("NotEqual", input, 0), dtype=dtype_of(dtype))
    return Op("Sum", ones, axis=axis_of(axis), keepdims=bool(keepdims))


def _running(op: str, neutral: str) -> Function:
    def function(x: Any, axis: Any = 0, exclusive: bool = False, reverse: bool = False) -> Any:
        axis = axis_of(axis)
        x = Op("Flip", x, axis=axis) if reverse else x
        found = Op(op, x, axis=axis)
        if exclusive:
            first, rest = along(x, axis, Slice(0, 1, None)), along(found, axis, Slice(0, -1, None))
            found = Op("Concatenate", [Op(neutral, first), rest], axis=axis)
        return Op("Flip", found, axis=axis) if reverse else found

    return function


FUNCTIONS.update({"math.cumsum": _running("Cumsum", "ZerosLike"), "math.cumprod": _running("Cumprod", "OnesLike")})


@tf("math.cumulative_logsumexp")
def _cumulative_logsumexp(x: Any, axis: Any = 0, exclusive: bool = False, reverse: bool = False) -> Any:
    if exclusive:
        raise Untranslated("exclusive=True is not had")
    axis = axis_of(axis)
    found = Op("LogCumsumExp", Op("Flip", x, axis=axis) if reverse else x, axis=axis)
    return Op("Flip", found, axis=axis) if reverse else found


@tf("nn.moments")
def _moments(x: Any, axes: Any, shift: Any = None, keepdims: bool = False, keep_dims: Any = None) -> Any:
    return Op("Moments", x, axes=fixed(axes, "axes"), keepdims=bool(keepdims or keep_dims))


@tf("nn.weighted_moments")
def _weighted_moments(x: Any, axes: Any, frequency_weights: Any, keepdims: Any = None, keep_dims: Any = None) -> Any:
    how: dict[str, Any] = {"axis": axis_of(axes), "keepdims": True}
    weights = Op("Multiply", Op("OnesLike", x), frequency_weights)
    total = Op("Sum", weights, **how)
    mean = Op("TrueDivide", Op("Sum", Op("Multiply", x, weights), **how), total)
    variance = Op("TrueDivide", Op("Sum", Op("Multiply", Op("Square", Op("Subtract", x, mean)), weights), **how), total)
    if keepdims or keep_dims:
        return [mean, variance]
    return [Op("Squeeze", each, axis=axis_of(axes)) for each in (mean, variance)]


@tf("math.is_non_decreasing")
def _is_non_decreasing(x: Any) -> Any:
    return _ordered(x, "GreaterEqual")


@tf("math.is_strictly_increasing")
def _is_strictly_increasing(x: Any) -> Any:
    return _ordered(x, "Greater")


def _ordered(x: Any, op: str) -> Any:
    row = Op("Reshape", x, newshape=[-1])
    return Op("All", Op(op, along(row, 0, Slice(1, None, None)), along(row, 0, Slice(None, -1, None))))


@tf("math.top_k", "nn.top_k")
def _top_k(input: Any, k: Any = 1, sorted: bool = True, index_type: Any = None, dtype: Any = None) -> Any:
    """Of equal elements TensorFlow takes the first, and Keras' op any."""
    signed = Op("Cast", input, dtype="int64") if is_whole(dtype) else input
    order = along(Op("Argsort", Op("Negative", signed), axis=-1), -1, Slice(0, fixed(k, "k"), None))
    return [Op("TakeAlongAxis", input, order, axis=-1), order]


@tf("sort")
def _sort(values: Any, axis: Any = -1, direction: str = "ASCENDING") -> Any:
    found = Op("Sort", values, axis=axis_of(axis))
    return Op("Flip", found, axis=axis_of(axis)) if _descending(direction) else found


@tf("argsort")
def _argsort(values: Any, axis: Any = -1, direction: str = "ASCENDING", stable: bool = False) -> Any:
    values = Op("Negative", values) if _descending(direction) else values  # flipped, equal elements would change places
    return Op("Argsort", values, axis=axis_of(axis))


def _descending(direction: str) -> bool:
    return bool(word(direction, "direction", {"ASCENDING": False, "DESCENDING": True}))


@tf("norm", "linalg.norm")
def _norm(tensor: Any, ord: Any = "euclidean", axis: Any = None, keepdims: Any = None, keep_dims: Any = None) -> Any:
    keepdims = bool(keepdims or keep_dims)
    if ord in ("euclidean", "fro", 2) and (ord != 2 or not isinstance(axis, list)):
        return _euclidean_norm(tensor, axis, keepdims)
    size = Op("Absolute", tensor)
    how: dict[str, Any] = {"axis": axis_of(axis), "keepdims": keepdims}
    if isinstance(axis, list) and len(axis) == 2:
        return Op("Norm", tensor, ord=ord, **how)
    if ord in (math.inf, "inf"):
        return Op("Max", size, **how)
    if ord == 1:
        return Op("Sum", size, **how)
    return Op("Power", Op("Sum", Op("Power", size, ord), **how), 1 / ord)


@tf("linalg.normalize")
def _normalize(tensor: Any, ord: Any = "euclidean", axis: Any = None) -> Any:
    norm = _norm(tensor, ord, axis, keepdims=True)
    return [Op("TrueDivide", tensor, norm), norm]


@tf("reverse_sequence")
def _reverse_sequence(input: Any, seq_lengths: Any, seq_axis: Any = None, batch_axis: Any = None, seq_dim: Any = None,
                      batch_dim: Any = None, *, shapes: Shapes) -> Any:
    """The first steps of each row backwards, as many as its length says."""
    shape = shapes.of(input)
    along_steps, rows = (first if first is not None else second for first, second in (
        (seq_axis, seq_dim), (batch_axis, batch_dim)))
    if not shape or along_steps % len(shape) != 1 or (rows or 0) != 0 or shape[1] is None:
        raise Untranslated("it is had for the second axis alone, of a known size, with the batch in the first")
    lengths = Op("Cast", Op("ExpandDims", seq_lengths, axis=-1), dtype="int32")
    within_reason(shape[1])
    places = array(range(shape[1]), "int32")
    order = Op("Where", Op("Less", places, lengths), Op("Subtract", Op("Subtract", lengths, 1), places), places)
    return Op("TakeAlongAxis", input, Op("GetItem", order, Key([..., *[None] * (len(shape) - 2)])), axis=1)
