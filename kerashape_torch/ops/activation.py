"""The activations among the ops: recipes of :mod:`kerashape_torch.activations`, with the ops' own defaults."""

from collections.abc import Mapping
from typing import Any

from kerashape_torch import activations
from kerashape_torch.errors import ConfigError
from kerashape_torch.kinds import Axes, Axis
from kerashape_torch.ops import rules
from kerashape_torch.ops.operation import PUBLIC, Operation, Recipe, TorchFunction, op

_PLAIN = {"relu": (), "relu6": (), "sigmoid": (), "softplus": (), "softsign": (), "silu": ("swish",),
          "log_sigmoid": (), "hard_sigmoid": (), "hard_silu": ("hard_swish",), "selu": (), "hard_tanh": (),
          "tanh_shrink": (), "sparse_plus": (), "sparse_sigmoid": ()}


def _activation(name: str, **arguments: Any) -> TorchFunction:
    return activations.lowered(name, arguments=arguments)  # type: ignore[return-value]


def _activation_of(name: str) -> Recipe:
    return lambda x, /: _activation(name)


for _name, _aliases in _PLAIN.items():
    op("nn", rules.same if _name == "relu" else rules.floating, elementwise=True, casts=True, aliases=_aliases,
       name=_name, doc=f"``keras.ops.{_name}``, element by element.")(_activation_of(_name))


# ---- activations with arguments --------------------------------------------------------------------------------------


@op("keras.src.activations.activations", rules.floating, elementwise=True, casts=True, class_name="ReLU")
def _relu_of_activations(x: Any, /, negative_slope: float = 0.0, max_value: Any = None,
                        threshold: float = 0.0) -> TorchFunction:
    """What ``keras.activations.relu`` makes of a symbolic tensor."""
    return _activation("relu", negative_slope=negative_slope, max_value=max_value, threshold=threshold)


@op("nn", rules.floating, elementwise=True, casts=True)
def leaky_relu(x: Any, /, negative_slope: float = 0.2) -> TorchFunction:
    """``x`` where positive, ``negative_slope * x`` elsewhere."""
    return _activation("leaky_relu", negative_slope=negative_slope)


@op("nn", rules.floating, elementwise=True, casts=True)
def elu(x: Any, /, alpha: float = 1.0) -> TorchFunction:
    """``x`` where positive, ``alpha * (exp(x) - 1)`` elsewhere."""
    return _activation("elu", alpha=alpha)


@op("nn", rules.floating, elementwise=True, casts=True)
def celu(x: Any, /, alpha: float = 1.0) -> TorchFunction:
    """``x`` where positive, ``alpha * (exp(x / alpha) - 1)`` elsewhere."""
    return _activation("celu", alpha=alpha)


@op("nn", rules.floating, elementwise=True, casts=True)
def gelu(x: Any, /, approximate: bool = True) -> TorchFunction:
    """``x`` times the normal distribution function. The default is the approximation, unlike in ``activations``."""
    return _activation("gelu", approximate=approximate)


@op("nn", rules.floating, elementwise=True, casts=True)
def squareplus(x: Any, /, b: float = 4) -> TorchFunction:
    """``(x + sqrt(x ** 2 + b)) / 2``."""
    return _activation("squareplus", b=b)


@op("nn", rules.floating, elementwise=True, casts=True)
def soft_shrink(x: Any, /, threshold: float = 0.5) -> TorchFunction:
    """``x`` moved by ``threshold`` towards 0."""
    return _activation("soft_shrink", threshold=threshold)


@op("nn", rules.floating, elementwise=True, casts=True)
def hard_shrink(x: Any, /, threshold: float = 0.5) -> TorchFunction:
    """``x`` where ``abs(x) > threshold``, 0 elsewhere."""
    return _activation("hard_shrink", threshold=threshold)


@op("nn", rules.floating, elementwise=True, casts=True)
def threshold(x: Any, /, threshold: float, default_value: float) -> TorchFunction:
    """``x`` above the threshold, ``default_value`` elsewhere."""
    return _activation("threshold", threshold=threshold, default_value=default_value)


@op("nn", rules.halved)
def glu(x: Any, /, axis: int = -1) -> TorchFunction:
    """The first half along ``axis`` times the sigmoid of the second half."""
    return _activation("glu", axis=axis)


@op("nn", rules.along_axis, elementwise=True, casts=True)
def softmax(x: Any, /, axis: Axes = -1) -> TorchFunction:
    """``exp(x)`` over its sum along one axis or several."""
    return _activation("softmax", axis=axis)


@op("nn", rules.along_axis, elementwise=True, casts=True)
def log_softmax(x: Any, /, axis: Axes = -1) -> TorchFunction:
    """The logarithm of ``softmax``."""
    return _activation("log_softmax", axis=axis)


@op("nn", rules.along_axis, elementwise=True, casts=True)
def sparsemax(x: Any, /, axis: Axis = -1) -> TorchFunction:
    """Like ``softmax``, with zeros."""
    return _activation("sparsemax", axis=axis)


# ---- what Python's operators and the activations make ----------------------------------------------------------------


def of_activation(x: Any, name: str, arguments: Mapping[str, Any]) -> Any:
    """What an activation function makes of a symbolic tensor: the op of that name, with the activation's defaults."""
    if name == "relu":
        return Operation.catalog()["ReLU"](**arguments)(x)
    public = PUBLIC.get({"exponential": "exp"}.get(name, name)) if name != "sparsemax" else None
    if public is None:
        raise ConfigError(f"Keras has no op for the activation {name!r}; use the layer Activation({name!r})")
    return public(x, **arguments)
