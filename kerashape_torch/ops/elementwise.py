"""Ops that work element by element, activations among them."""

import inspect
import operator
from collections.abc import Mapping
from typing import Any

from kerashape_torch import activations
from kerashape_torch.config import Axis
from kerashape_torch.ops import rules
from kerashape_torch.ops.operation import Recipe, Rule, TorchFunction, op, own, stock, torch_dtype

_SAME = {"absolute": "abs", "square": "square", "negative": "neg", "sign": "sign"}
_FLOAT = {"exp": "exp", "expm1": "expm1", "log": "log", "log1p": "log1p", "log2": "log2", "log10": "log10",
          "sqrt": "sqrt", "sin": "sin", "cos": "cos", "tan": "tan", "arcsin": "asin", "arccos": "acos",
          "arctan": "atan", "sinh": "sinh", "cosh": "cosh", "tanh": "tanh", "arcsinh": "asinh", "arccosh": "acosh",
          "arctanh": "atanh", "reciprocal": "reciprocal"}
_LOGICAL = {"logical_not": "logical_not", "isnan": "isnan", "isinf": "isinf", "isfinite": "isfinite"}
_ARITHMETIC = {"add": "add", "subtract": "sub", "multiply": "mul", "power": "pow", "floor_divide": "floordiv",
               "mod": "mod"}
_DIVISION = {"divide": "truediv", "true_divide": "truediv"}
_COMPARISON = {"equal": "eq", "not_equal": "ne", "less": "lt", "less_equal": "le", "greater": "gt",
               "greater_equal": "ge"}
_ACTIVATIONS = ("relu", "relu6", "sigmoid", "softplus", "softsign", "silu", "log_sigmoid", "hard_sigmoid", "hard_silu",
                "selu", "hard_tanh", "tanh_shrink", "sparse_plus", "sparse_sigmoid")


def _enter(recipe: Recipe, name: str, module: str, rule: Rule) -> None:
    recipe.__name__ = name
    recipe.__doc__ = f"``keras.ops.{name}``, element by element."
    op(module, rule, elementwise=True)(recipe)


def _unary(module: str, names: Mapping[str, str], rule: Rule) -> None:
    def recipe_of(torch_name: str) -> Recipe:
        return lambda x, /: stock(torch_name)

    for name, torch_name in names.items():
        _enter(recipe_of(torch_name), name, module, rule)


def _binary(names: Mapping[str, str], rule: Rule) -> None:
    """Python's operators: they take a number on either side, where torch's functions want the tensor first."""

    def recipe_of(operator_name: str) -> Recipe:
        return lambda x1, x2, /: getattr(operator, operator_name)

    for name, operator_name in names.items():
        _enter(recipe_of(operator_name), name, "numpy", rule)


def _both(name: str) -> Recipe:
    return lambda x1, x2, /: stock(name)


def _activation(name: str, **arguments: Any) -> TorchFunction:
    return activations.lowered(name, arguments=arguments)  # type: ignore[return-value]


def _activation_of(name: str) -> Recipe:
    return lambda x, /: _activation(name)


_unary("numpy", _SAME, rules.same)
_unary("numpy", _FLOAT, rules.floating)
_unary("numpy", _LOGICAL, rules.logical)
_unary("math", {"rsqrt": "rsqrt", "erf": "erf"}, rules.floating)
_binary(_ARITHMETIC, rules.broadcast_same)
_binary(_DIVISION, rules.broadcast_float)
_binary(_COMPARISON, rules.broadcast_bool)
for _name in ("logical_and", "logical_or", "logical_xor"):
    _enter(_both(_name), _name, "numpy", rules.broadcast_bool)
for _name in _ACTIVATIONS:
    _enter(_activation_of(_name), _name, "nn", rules.same)


# ---- two tensors, or a tensor and a number ---------------------------------------------------------------------------


def _is_number(x: Any) -> bool:
    return isinstance(x, (int, float))


@op("numpy", rules.broadcast_same, elementwise=True)
def maximum(x1: Any, x2: Any, /) -> TorchFunction:
    """The larger of two, element by element."""
    return own("larger") if _is_number(x1) else stock("clamp_min" if _is_number(x2) else "maximum")


@op("numpy", rules.broadcast_same, elementwise=True)
def minimum(x1: Any, x2: Any, /) -> TorchFunction:
    """The smaller of two, element by element."""
    return own("smaller") if _is_number(x1) else stock("clamp_max" if _is_number(x2) else "minimum")


@op("numpy", rules.same, elementwise=True)
def clip(x: Any, /, x_min: Any, x_max: Any) -> TorchFunction:
    """``x`` held between two numbers; integers stay integers."""
    if "float" not in x.dtype:
        x_min, x_max = (None if bound is None else int(bound) for bound in (x_min, x_max))
    return stock("clamp", min=x_min, max=x_max)


@op("numpy", rules.selected, elementwise=True)
def where(condition: Any, x1: Any = None, x2: Any = None, /) -> TorchFunction:
    """``x1`` where the condition holds, ``x2`` elsewhere."""
    return stock("where") if condition.dtype == "bool" else own("where_not_zero")


@op("core", rules.cast_to, elementwise=True)
def cast(x: Any, /, dtype: Any) -> TorchFunction:
    """``x`` in another dtype."""
    return stock("Tensor.to", dtype=torch_dtype(str(dtype)))


@op("numpy", rules.cast_to, elementwise=True)
def zeros_like(x: Any, /, dtype: Any = None) -> TorchFunction:
    """Zeros in the shape of ``x``."""
    return stock("zeros_like", **({"dtype": torch_dtype(dtype)} if dtype else {}))


@op("numpy", rules.cast_to, elementwise=True)
def ones_like(x: Any, /, dtype: Any = None) -> TorchFunction:
    """Ones in the shape of ``x``."""
    return stock("ones_like", **({"dtype": torch_dtype(dtype)} if dtype else {}))


# ---- activations with arguments --------------------------------------------------------------------------------------


@op("keras.src.activations.activations", rules.same, elementwise=True, class_name="ReLU")
def relu_of_activations(x: Any, /, negative_slope: float = 0.0, max_value: Any = None,
                        threshold: float = 0.0) -> TorchFunction:
    """What ``keras.activations.relu`` makes of a symbolic tensor."""
    return _activation("relu", negative_slope=negative_slope, max_value=max_value, threshold=threshold)


@op("nn", rules.same, elementwise=True)
def leaky_relu(x: Any, /, negative_slope: float = 0.2) -> TorchFunction:
    """``x`` where positive, ``negative_slope * x`` elsewhere."""
    return _activation("leaky_relu", negative_slope=negative_slope)


@op("nn", rules.same, elementwise=True)
def elu(x: Any, /, alpha: float = 1.0) -> TorchFunction:
    """``x`` where positive, ``alpha * (exp(x) - 1)`` elsewhere."""
    return _activation("elu", alpha=alpha)


@op("nn", rules.same, elementwise=True)
def celu(x: Any, /, alpha: float = 1.0) -> TorchFunction:
    """``x`` where positive, ``alpha * (exp(x / alpha) - 1)`` elsewhere."""
    return _activation("celu", alpha=alpha)


@op("nn", rules.same, elementwise=True)
def gelu(x: Any, /, approximate: bool = True) -> TorchFunction:
    """``x`` times the normal distribution function. The default is the approximation, unlike in ``activations``."""
    return _activation("gelu", approximate=approximate)


@op("nn", rules.same, elementwise=True)
def squareplus(x: Any, /, b: float = 4) -> TorchFunction:
    """``(x + sqrt(x ** 2 + b)) / 2``."""
    return _activation("squareplus", b=b)


@op("nn", rules.same, elementwise=True)
def soft_shrink(x: Any, /, threshold: float = 0.5) -> TorchFunction:
    """``x`` moved by ``threshold`` towards 0."""
    return _activation("soft_shrink", threshold=threshold)


@op("nn", rules.same, elementwise=True)
def hard_shrink(x: Any, /, threshold: float = 0.5) -> TorchFunction:
    """``x`` where ``abs(x) > threshold``, 0 elsewhere."""
    return _activation("hard_shrink", threshold=threshold)


@op("nn", rules.same, elementwise=True)
def threshold(x: Any, /, threshold: float, default_value: float) -> TorchFunction:
    """``x`` above the threshold, ``default_value`` elsewhere."""
    return _activation("threshold", threshold=threshold, default_value=default_value)


@op("nn")
def glu(x: Any, /, axis: int = -1) -> TorchFunction:
    """The first half along ``axis`` times the sigmoid of the second half."""
    return _activation("glu", axis=axis)


@op("nn", rules.same, elementwise=True)
def softmax(x: Any, /, axis: Axis = -1) -> TorchFunction:
    """``exp(x)`` over its sum along one axis or several."""
    return _activation("softmax", axis=axis)


@op("nn", rules.same, elementwise=True)
def log_softmax(x: Any, /, axis: Axis = -1) -> TorchFunction:
    """The logarithm of ``softmax``."""
    return _activation("log_softmax", axis=axis)


# ---- what Python's operators and the activations make ----------------------------------------------------------------


def of_activation(x: Any, name: str, kwargs: Mapping[str, Any]) -> Any:
    """What an activation function makes of a symbolic tensor: the op of that name, with the activation's defaults."""
    from kerashape_torch.errors import ConfigError
    from kerashape_torch.ops.operation import PUBLIC, Operation

    defaults = {p.name: p.default for p in inspect.signature(activations.get(name)).parameters.values()
                if p.default is not p.empty}
    arguments = {**defaults, **kwargs}
    if name == "relu":
        return Operation.catalog()["ReLU"](**arguments)(x)
    public = PUBLIC.get({"exponential": "exp"}.get(name, name))
    if public is None:
        raise ConfigError(f"Keras has no op for the activation {name!r}; use the layer Activation({name!r})")
    return public(x, **arguments)
