"""Functions that work element by element, activations among them."""

from __future__ import annotations

import itertools
import math
from typing import Any

from kerashape_torch.saving.upgrade.expressions import Op, Output
from kerashape_torch.saving.upgrade.sizes import Shapes
from kerashape_torch.saving.upgrade.tensorflow.table import (
    FUNCTIONS,
    Function,
    Untranslated,
    axis_of,
    dtype_of,
    fixed,
    is_tensor,
    is_whole,
    tf,
)

# ---- element by element ----------------------------------------------------------------------------------------------

_UNARY = {
    "math.abs": "Absolute", "math.acos": "Arccos", "math.acosh": "Arccosh", "math.angle": "Angle",
    "math.asin": "Arcsin", "math.asinh": "Arcsinh", "math.atan": "Arctan", "math.atanh": "Arctanh",
    "math.bessel_i0": "I0", "math.bessel_i0e": "I0e", "math.bessel_i1": "I1", "math.bessel_i1e": "I1e",
    "math.digamma": "Digamma", "math.lgamma": "Lgamma", "math.ndtri": "Ndtri", "linalg.expm": "MatrixExp",
    "math.ceil": "Ceil", "math.conj": "Conjugate", "math.cos": "Cos", "math.cosh": "Cosh",
    "math.erf": "Erf", "math.erfc": "Erfc", "math.erfinv": "Erfinv", "math.exp": "Exp", "math.expm1": "Expm1",
    "math.floor": "Floor", "math.imag": "Imag", "math.is_finite": "Isfinite", "math.is_inf": "Isinf",
    "math.is_nan": "Isnan", "math.log": "Log", "math.log1p": "Log1p", "math.log_sigmoid": "LogSigmoid",
    "math.logical_not": "LogicalNot", "math.negative": "Negative", "math.real": "Real",
    "math.reciprocal": "Reciprocal", "math.rint": "Round", "math.round": "Round", "math.rsqrt": "Rsqrt",
    "math.sigmoid": "Sigmoid", "math.sign": "Sign", "math.sin": "Sin", "math.sinh": "Sinh",
    "math.softplus": "Softplus", "math.sqrt": "Sqrt", "math.square": "Square", "math.tan": "Tan", "math.tanh": "Tanh",
    "nn.relu": "Relu", "nn.selu": "Selu", "nn.softsign": "Softsign",
    "stop_gradient": "StopGradient", "bitwise.invert": "BitwiseInvert", "image.rgb_to_hsv": "RGBToHSV",
    "image.hsv_to_rgb": "HSVToRGB", "linalg.cholesky": "Cholesky", "linalg.det": "Det", "linalg.logdet": "Logdet",
    "linalg.slogdet": "Slogdet",
}
_BINARY = {
    "math.add": "Add", "__operators__.add": "Add", "math.subtract": "Subtract", "math.multiply": "Multiply",
    "math.divide": "TrueDivide", "math.truediv": "TrueDivide", "realdiv": "TrueDivide",
    "math.divide_no_nan": "DivideNoNan", "math.floordiv": "FloorDivide", "floor_div": "FloorDivide",
    "math.floormod": "Mod", "math.mod": "Mod", "truncatemod": "Fmod", "math.pow": "Power",
    "math.maximum": "Maximum", "math.minimum": "Minimum", "math.greater": "Greater",
    "math.greater_equal": "GreaterEqual", "math.less": "Less", "math.less_equal": "LessEqual",
    "math.equal": "Equal", "math.not_equal": "NotEqual", "math.logical_and": "LogicalAnd",
    "math.logical_or": "LogicalOr", "math.logical_xor": "LogicalXor", "bitwise.bitwise_and": "BitwiseAnd",
    "bitwise.bitwise_or": "BitwiseOr", "bitwise.bitwise_xor": "BitwiseXor", "bitwise.left_shift": "BitwiseLeftShift",
    "bitwise.right_shift": "BitwiseRightShift",
}


def _unary(op: str) -> Function:
    """Whatever the one argument is called: ``x``, ``features``, ``input``."""
    def function(*given: Any, **named: Any) -> Any:
        if len(given) + len(named) != 1:
            raise Untranslated(f"it takes one tensor, got {', '.join(named) or len(given)}")
        return Op(op, *given, *named.values())

    return function


def _binary(op: str) -> Function:
    return lambda x, y: Op(op, x, y)


FUNCTIONS.update({name: _unary(op) for name, op in _UNARY.items()})
FUNCTIONS.update({name: _binary(op) for name, op in _BINARY.items()})


@tf("math.atan2")
def _atan2(y: Any, x: Any) -> Any:
    return Op("Arctan2", y, x)


@tf("truncatediv")
def truncatediv(x: Any, y: Any) -> Any:
    return Op("FloorDivide", Op("Subtract", x, Op("Fmod", x, y)), y)


@tf("raw_ops.Div")
def _div(x: Any, y: Any, dtype: Any) -> Any:
    return truncatediv(x, y) if is_whole(dtype) else Op("TrueDivide", x, y)


@tf("math.squared_difference")
def _squared_difference(x: Any, y: Any) -> Any:
    return Op("Square", Op("Subtract", x, y))


@tf("math.scalar_mul")
def _scalar_mul(scalar: Any, x: Any) -> Any:
    return Op("Multiply", scalar, x)


@tf("math.add_n", "math.accumulate_n")
def _add_n(inputs: Any, shape: Any = None, tensor_dtype: Any = None) -> Any:
    inputs = inputs if isinstance(inputs, list) else [inputs]
    total = inputs[0]
    for x in inputs[1:]:
        total = Op("Add", total, x)
    return total


@tf("math.multiply_no_nan")
def _multiply_no_nan(x: Any, y: Any) -> Any:
    return Op("Where", Op("Equal", y, 0), 0.0, Op("Multiply", x, y))


@tf("math.xlogy")
def _xlogy(x: Any, y: Any) -> Any:
    return Op("Where", Op("Equal", x, 0), 0.0, Op("Multiply", x, Op("Log", y)))


@tf("math.xdivy")
def _xdivy(x: Any, y: Any) -> Any:
    return Op("Where", Op("Equal", x, 0), 0.0, Op("TrueDivide", x, y))


@tf("math.nextafter")
def _nextafter(x1: Any, x2: Any) -> Any:
    return Op("Nextafter", x1, x2)


@tf("math.igamma")
def _igamma(a: Any, x: Any) -> Any:
    return Op("Igamma", a, x)


@tf("math.igammac")
def _igammac(a: Any, x: Any) -> Any:
    return Op("Igammac", a, x)


@tf("math.zeta")
def _zeta(x: Any, q: Any) -> Any:
    return Op("Zeta", x, q)


@tf("math.polygamma")
def _polygamma(a: Any, x: Any) -> Any:
    return Op("Polygamma", x, n=int(fixed(a, "a")))


@tf("math.lbeta")
def _lbeta(x: Any) -> Any:
    return Op("Subtract", Op("Sum", Op("Lgamma", x), axis=-1), Op("Lgamma", Op("Sum", x, axis=-1)))


@tf("math.erfcinv")
def _erfcinv(x: Any) -> Any:
    return Op("Multiply", Op("Ndtri", Op("Multiply", x, 0.5)), -math.sqrt(0.5))


@tf("math.xlog1py")
def _xlog1py(x: Any, y: Any) -> Any:
    return Op("Where", Op("Equal", x, 0), 0.0, Op("Multiply", x, Op("Log1p", y)))


@tf("math.reciprocal_no_nan")
def _reciprocal_no_nan(x: Any) -> Any:
    return Op("DivideNoNan", 1.0, x)


@tf("clip_by_value")
def _clip(t: Any, clip_value_min: Any, clip_value_max: Any) -> Any:
    if isinstance(clip_value_min, (int, float)) and isinstance(clip_value_max, (int, float)):
        return Op("Clip", t, x_min=clip_value_min, x_max=clip_value_max)
    return Op("Maximum", Op("Minimum", t, clip_value_max), clip_value_min)


@tf("clip_by_norm")
def _clip_by_norm(t: Any, clip_norm: Any, axes: Any = None) -> Any:
    norm = Op("Sqrt", Op("Sum", Op("Square", t), axis=axis_of(axes), keepdims=True))
    return Op("TrueDivide", Op("Multiply", t, clip_norm), Op("Maximum", norm, clip_norm))


@tf("cast", "dtypes.saturate_cast", "saturate_cast", "bitcast")
def _cast(x: Any = None, dtype: Any = None, value: Any = None, truncate: bool = False, **other: Any) -> Any:
    if other or truncate:
        raise Untranslated("digits are not cut off" if truncate else "bits are not read as another dtype")
    return Op("Cast", x if x is not None else value, dtype=dtype_of(dtype))


@tf("identity", "ensure_shape", "guarantee_const", "debugging.check_numerics", "grad_pass_through")
def _identity(input: Any = None, shape: Any = None, message: Any = None, x: Any = None, tensor: Any = None) -> Any:
    return next(value for value in (input, x, tensor) if value is not None)


@tf("identity_n")
def _identity_n(input: Any) -> Any:
    """Custom gradients end in it, with their results first. Constants, which come last, nobody asks for."""
    return list(itertools.takewhile(is_tensor, input))


@tf("math.polyval")
def _polyval(coeffs: Any, x: Any) -> Any:
    """By Horner's rule."""
    found, *rest = coeffs if isinstance(coeffs, list) else [coeffs]
    for i, coefficient in enumerate(rest):
        found = Op("Add", Op("Multiply", found if i else Op("Multiply", Op("OnesLike", x), found), x), coefficient)
    return found


@tf("clip_by_global_norm")
def _clip_by_global_norm(t_list: Any, clip_norm: Any, use_norm: Any = None) -> Any:
    norm = use_norm if use_norm is not None else global_norm(t_list)
    scale = Op("Minimum", Op("TrueDivide", clip_norm, norm), 1.0)
    return [*(Op("Multiply", t, scale) for t in t_list), norm]


@tf("linalg.global_norm")
def global_norm(t_list: Any) -> Any:
    return Op("Sqrt", _add_n([Op("Sum", Op("Square", t)) for t in t_list]))


@tf("math.zero_fraction", "nn.zero_fraction")
def _zero_fraction(value: Any) -> Any:
    return Op("Mean", Op("Cast", Op("Equal", value, 0), dtype="float32"))


@tf("searchsorted")
def _searchsorted(sorted_sequence: Any, values: Any, side: str = "left", out_type: Any = "int32", *,
                  shapes: Shapes) -> Any:
    if len(shapes.of(sorted_sequence)) != 1:
        raise Untranslated("a sorted sequence for each row is not had")
    return Op("Cast", Op("SearchSorted", sorted_sequence, values, side=side), dtype=dtype_of(out_type))


@tf("unravel_index")
def _unravel_index(indices: Any, dims: Any) -> Any:
    found = Op("UnravelIndex", indices, shape=fixed(dims, "dims"))
    return Op("Stack", [Output(found, i) for i in range(len(dims))], axis=0)


@tf("histogram_fixed_width_bins")
def _bins(values: Any, value_range: Any, nbins: Any = 100, dtype: Any = "int32") -> Any:
    low, high = fixed(value_range, "value_range")
    number = Op("Floor", Op("Multiply", Op("Subtract", values, low), fixed(nbins, "nbins") / (high - low)))
    return Op("Cast", Op("Clip", number, x_min=0, x_max=nbins - 1), dtype=dtype_of(dtype))


@tf("nn.l2_loss")
def _l2_loss(t: Any) -> Any:
    return Op("Multiply", Op("Sum", Op("Square", t)), 0.5)


@tf("raw_ops.Bucketize")
def _bucketize(input: Any, boundaries: Any) -> Any:
    return Op("Digitize", input, boundaries)


@tf("convert_to_tensor")
def _convert(value: Any, dtype: Any = None, dtype_hint: Any = None, preferred_dtype: Any = None) -> Any:
    return value if dtype is None else Op("Cast", value, dtype=dtype_of(dtype))


@tf("where", "where_v2", "compat.v1.where")
def _where(condition: Any, x: Any = None, y: Any = None) -> Any:
    if x is None or y is None:
        raise Untranslated("without x and y its result has a shape that depends on numbers")
    return Op("Where", condition, x, y)


@tf("raw_ops.Select")
def _select(condition: Any, x: Any, y: Any) -> Any:
    """The condition may have the first axis alone, which is the last one once all are turned round."""
    if isinstance(condition, bool):
        return Op("Where", condition, x, y)
    return Op("Transpose", Op("Where", *(Op("Transpose", each) for each in (condition, x, y))))


@tf("zeros_like")
def _zeros_like(input: Any = None, dtype: Any = None, tensor: Any = None, optimize: Any = None,
                layout: Any = None) -> Any:
    return Op("ZerosLike", input if input is not None else tensor, **({"dtype": dtype_of(dtype)} if dtype else {}))


@tf("ones_like")
def _ones_like(input: Any = None, dtype: Any = None, tensor: Any = None, optimize: Any = None,
               layout: Any = None) -> Any:
    return Op("OnesLike", input if input is not None else tensor, **({"dtype": dtype_of(dtype)} if dtype else {}))


# ---- activations -----------------------------------------------------------------------------------------------------

@tf("nn.elu")
def _elu(features: Any) -> Any:
    return Op("Elu", features)


@tf("nn.relu6")
def _relu6(features: Any, dtype: Any = None) -> Any:
    return Op("Minimum", Op("Relu", features), 6) if is_whole(dtype) else Op("Relu6", features)


@tf("nn.leaky_relu")
def _leaky_relu(features: Any, alpha: float = 0.2) -> Any:
    return Op("LeakyRelu", features, negative_slope=alpha)


@tf("nn.gelu")
def _gelu(features: Any, approximate: bool = False) -> Any:
    return Op("Gelu", features, approximate=approximate)


@tf("nn.silu", "nn.swish")
def _silu(features: Any, beta: float = 1.0) -> Any:
    return Op("Silu", features) if beta == 1.0 else Op(
        "Multiply", features, Op("Sigmoid", Op("Multiply", features, beta)))


@tf("nn.crelu")
def _crelu(features: Any, axis: int = -1) -> Any:
    return Op("Relu", Op("Concatenate", [features, Op("Negative", features)], axis=axis))


@tf("nn.softmax", "math.softmax")
def _softmax(logits: Any, axis: Any = None, dim: Any = None) -> Any:
    axis = axis if axis is not None else dim
    return Op("Softmax", logits, axis=-1 if axis is None else axis_of(axis))


@tf("nn.log_softmax", "math.log_softmax")
def _log_softmax(logits: Any, axis: Any = None, dim: Any = None) -> Any:
    axis = axis if axis is not None else dim
    return Op("LogSoftmax", logits, axis=-1 if axis is None else axis_of(axis))
