"""Ops that work element by element."""

import operator
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from kerashape_torch.dtypes import is_float
from kerashape_torch.graph import TensorSpec
from kerashape_torch.ops import rules
from kerashape_torch.ops.operation import DTypeName, Off, Recipe, Rule, TorchFunction, op, own, stock, torch_dtype

Dense = Annotated[bool | None, Off("gives a tensor that layers do not take")]

_SAME = {"negative": "neg", "sign": "sign", "copy": "clone", "bitwise_not": "bitwise_not",
         "bitwise_invert": "bitwise_not"}
_FLOAT = {"exp": "exp", "exp2": "exp2", "expm1": "expm1", "log": "log", "log1p": "log1p", "log2": "log2",
          "log10": "log10", "sqrt": "sqrt", "sin": "sin", "cos": "cos", "tan": "tan", "arcsin": "asin",
          "arccos": "acos", "arctan": "atan", "sinh": "sinh", "cosh": "cosh", "tanh": "tanh", "arcsinh": "asinh",
          "arccosh": "acosh", "arctanh": "atanh", "reciprocal": "reciprocal", "ceil": "ceil", "floor": "floor",
          "sinc": "sinc", "i0": "i0", "deg2rad": "deg2rad", "rad2deg": "rad2deg", "fabs": "abs"}
_LOGICAL = {"logical_not": "logical_not", "isnan": "isnan", "isinf": "isinf", "isfinite": "isfinite",
            "isneginf": "isneginf", "isposinf": "isposinf", "isreal": "isreal", "signbit": "signbit"}
_MATH = {"rsqrt": "rsqrt", "erf": "erf", "erfc": "erfc", "erfinv": "erfinv"}
_ARITHMETIC = {"add": "add", "subtract": "sub", "multiply": "mul", "power": "pow", "floor_divide": "floordiv"}
_DIVISION = {"divide": "truediv", "true_divide": "truediv"}
_COMPARISON = {"equal": "eq", "not_equal": "ne", "less": "lt", "less_equal": "le", "greater": "gt",
               "greater_equal": "ge"}
_LOGICAL_PAIRS = ("logical_and", "logical_or", "logical_xor")
_FLOAT_PAIRS = {"hypot": "hypot", "heaviside": "heaviside", "logaddexp": "logaddexp",
                "logaddexp2": "logaddexp2", "nextafter": "nextafter"}
_PAIRS = ("fmax", "fmin", "gcd", "lcm")
_BITS = ("bitwise_and", "bitwise_or", "bitwise_xor")
_SHIFTS = {"left_shift": "bitwise_left_shift", "right_shift": "bitwise_right_shift",
           "bitwise_left_shift": "bitwise_left_shift", "bitwise_right_shift": "bitwise_right_shift"}


def _enter(recipe: Recipe, name: str, module: str, rule: Rule, casts: bool = False, **options: Any) -> None:
    op(module, rule, elementwise=True, casts=casts, name=name, doc=f"``keras.ops.{name}``, element by element.",
       **options)(recipe)


def _unary(module: str, names: Mapping[str, str], rule: Rule, **options: Any) -> None:
    def recipe_of(torch_name: str) -> Recipe:
        return lambda x, /: stock(torch_name)

    for name, torch_name in names.items():
        _enter(recipe_of(torch_name), name, module, rule, **options)


def _operators(names: Mapping[str, str], rule: Rule, **options: Any) -> None:
    """Python's operators: they take a number on either side, where torch's functions want the tensor first."""

    def recipe_of(operator_name: str) -> Recipe:
        return lambda x1, x2, /: getattr(operator, operator_name)

    for name, operator_name in names.items():
        _enter(recipe_of(operator_name), name, "numpy", rule, **options)


def _pair(x1: Any, x2: Any, torch_name: str) -> TorchFunction:
    both = isinstance(x1, TensorSpec) and isinstance(x2, TensorSpec)
    return stock(torch_name) if both else own("on_tensors", function=torch_name)


def _pairs(names: Iterable[str] | Mapping[str, str], rule: Rule, operands: str = "x1 x2", **options: Any) -> None:
    def recipe_of(torch_name: str) -> Recipe:
        if operands == "x y":
            return lambda x, y, /: _pair(x, y, torch_name)
        return lambda x1, x2, /: _pair(x1, x2, torch_name)

    for name in names:
        _enter(recipe_of(names[name] if isinstance(names, Mapping) else name), name, "numpy", rule, **options)


_unary("numpy", _SAME, rules.same)
_unary("numpy", {"conjugate": "conj_physical"}, rules.same, aliases=("conj",))
_unary("numpy", {"square": "square"}, rules.counting, casts=True)
_unary("numpy", _FLOAT, rules.floating, casts=True)
_unary("numpy", {"angle": "angle"}, rules.real_floating)
_unary("numpy", {"real": "real"}, rules.real)
_unary("numpy", _LOGICAL, rules.logical)
_unary("math", _MATH, rules.floating, casts=True)
_operators(_ARITHMETIC, rules.broadcast_same, casts=True)
_operators({"mod": "mod"}, rules.broadcast_count, casts=True)
_operators(_DIVISION, rules.broadcast_float, casts=True)
_operators(_COMPARISON, rules.broadcast_bool)
_pairs(_LOGICAL_PAIRS, rules.broadcast_bool)
_pairs(_PAIRS, rules.broadcast_same, casts=True)
_pairs({"fmod": "fmod"}, rules.broadcast_count, casts=True)
_pairs({"arctan2": "atan2"}, rules.broadcast_angle, casts=True)
_pairs(_FLOAT_PAIRS, rules.broadcast_float, casts=True)
_pairs(_BITS, rules.broadcast_same, operands="x y", casts=True)
_pairs(_SHIFTS, rules.shifted, operands="x y", casts=True)


# ---- one tensor ------------------------------------------------------------------------------------------------------


def _but_bool(x: Any, torch_name: str) -> TorchFunction:
    """torch has it for numbers alone; bool stays as it is."""
    return own("unchanged") if x.dtype == "bool" else stock(torch_name)


@op("numpy", rules.real, elementwise=True, aliases=("abs",))
def absolute(x: Any, /) -> TorchFunction:
    """Without the sign; how long, if complex."""
    return _but_bool(x, "abs")


@op("numpy", rules.same, elementwise=True)
def trunc(x: Any, /) -> TorchFunction:
    """Without what comes after the point."""
    return _but_bool(x, "trunc")


@op("numpy", rules.real, elementwise=True)
def imag(x: Any, /) -> TorchFunction:
    """The imaginary part."""
    return own("imag")


@op("numpy", rules.floating, elementwise=True, casts=True)
def cbrt(x: Any, /) -> TorchFunction:
    """The cube root, of negative numbers too."""
    return own("cbrt")


@op("numpy", rules.same, elementwise=True)
def round_(x: Any, /, decimals: int = 0) -> TorchFunction:
    """Rounded to some decimals, halves to even numbers."""
    return stock("round") if decimals == 0 else own("round_", decimals=decimals)


@op("numpy", rules.same, elementwise=True)
def nan_to_num(x: Any, /, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> TorchFunction:
    """``x`` with numbers in place of nan and the infinities."""
    return stock("nan_to_num", nan=nan, posinf=posinf, neginf=neginf)


@op("numpy", rules.counting, elementwise=True, casts=True)
def clip(x: Any, /, x_min: Any, x_max: Any) -> TorchFunction:
    """``x`` held between two numbers; integers stay integers."""
    if not is_float(x.dtype):
        x_min, x_max = (None if bound is None else int(bound) for bound in (x_min, x_max))
    return stock("clamp", min=x_min, max=x_max)


# ---- two tensors, or a tensor and a number ---------------------------------------------------------------------------


def _is_number(x: Any) -> bool:
    return isinstance(x, (int, float))


@op("numpy", rules.broadcast_same, elementwise=True, casts=True)
def maximum(x1: Any, x2: Any, /) -> TorchFunction:
    """The larger of two, element by element."""
    return own("larger") if _is_number(x1) else stock("clamp_min" if _is_number(x2) else "maximum")


@op("numpy", rules.broadcast_same, elementwise=True, casts=True)
def minimum(x1: Any, x2: Any, /) -> TorchFunction:
    """The smaller of two, element by element."""
    return own("smaller") if _is_number(x1) else stock("clamp_max" if _is_number(x2) else "minimum")


@op("numpy", rules.broadcast_float, elementwise=True, casts=True)
def divide_no_nan(x1: Any, x2: Any, /) -> TorchFunction:
    """The quotient, and 0 where the divisor is 0."""
    return own("divide_no_nan")


@op("numpy", rules.scaled_by_two, elementwise=True)
def ldexp(x1: Any, x2: Any, /) -> TorchFunction:
    """``x1 * 2 ** x2`` for integers ``x2``."""
    return own("ldexp")


@op("numpy", rules.compared, elementwise=True)
def isclose(x1: Any, x2: Any, rtol: Any = 1e-5, atol: Any = 1e-8, /, equal_nan: bool = False) -> TorchFunction:
    """Whether two are nearly equal, element by element."""
    return own("isclose", equal_nan=equal_nan)


@op("numpy", rules.one_bool, class_name="AllClose")
def allclose(x1: Any, x2: Any, /, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> TorchFunction:
    """Whether all elements of two are nearly equal."""
    return own("allclose", rtol=rtol, atol=atol, equal_nan=equal_nan)


@op("numpy", rules.selected, elementwise=True)
def where(condition: Any, x1: Any = None, x2: Any = None, /) -> TorchFunction:
    """``x1`` where the condition holds, ``x2`` elsewhere."""
    return stock("where") if getattr(condition, "dtype", None) == "bool" else own("where_not_zero")


@op("numpy", rules.chosen)
def select(condlist: Any, choicelist: Any, default: Any = 0, /) -> TorchFunction:
    """The first of some choices whose condition holds."""
    return own("select")


# ---- dtypes ----------------------------------------------------------------------------------------------------------


def _dtype(name: str | None) -> dict[str, Any]:
    return {"dtype": torch_dtype(name)} if name else {}


@op("core", rules.cast_to, elementwise=True)
def cast(x: Any, /, dtype: DTypeName) -> TorchFunction:
    """``x`` in another dtype."""
    return stock("Tensor.to", **_dtype(dtype))


@op("core", rules.cast_to, elementwise=True)
def saturate_cast(x: Any, /, dtype: DTypeName) -> TorchFunction:
    """``x`` in another dtype, with numbers that do not fit at its ends."""
    return own("saturate_cast", **_dtype(dtype))


@op("core", rules.cast_to, elementwise=True)
def convert_to_tensor(x: Any, /, dtype: DTypeName = None, sparse: Dense = None, ragged: Dense = None) -> TorchFunction:
    """A tensor of numbers, an array or a tensor."""
    return stock("Tensor.to", **_dtype(dtype)) if dtype else own("unchanged")


@op("numpy", rules.cast_to, elementwise=True)
def array(x: Any, /, dtype: DTypeName = None) -> TorchFunction:
    """A tensor of numbers, an array or a tensor."""
    return stock("Tensor.to", **_dtype(dtype)) if dtype else own("unchanged")


@op("core", rules.same, elementwise=True)
def stop_gradient(variable: Any, /) -> TorchFunction:
    """``variable`` itself, with no gradient flowing back."""
    return stock("Tensor.detach")


@op("numpy", rules.cast_to, elementwise=True)
def zeros_like(x: Any, /, dtype: DTypeName = None) -> TorchFunction:
    """Zeros in the shape of ``x``."""
    return stock("zeros_like", **_dtype(dtype))


@op("numpy", rules.cast_to, elementwise=True)
def ones_like(x: Any, /, dtype: DTypeName = None) -> TorchFunction:
    """Ones in the shape of ``x``."""
    return stock("ones_like", **_dtype(dtype))


@op("numpy", rules.cast_to, elementwise=True)
def empty_like(x: Any, /, dtype: DTypeName = None) -> TorchFunction:
    """A tensor in the shape of ``x`` with anything in it."""
    return stock("empty_like", **_dtype(dtype))


@op("numpy", rules.cast_to)
def full_like(x: Any, fill_value: Any, /, dtype: DTypeName = None) -> TorchFunction:
    """A tensor in the shape of ``x`` with one value everywhere."""
    return own("full_like", **_dtype(dtype))
