"""The activations of Keras 3, by name, on torch tensors.

>>> import torch
>>> leaky_relu(torch.tensor([-1.0, 2.0]), negative_slope=0.5)
tensor([-0.5000,  2.0000])
>>> get("swish") is silu, serialize(silu)
(True, 'silu')
>>> lowered("leaky_relu").keywords
{'negative_slope': 0.2}

Each activation is written once, as a *recipe*: a function that takes the arguments other than the tensor and gives the
torch function to apply, stock wherever torch has one. The decorator turns ``recipe(axis=-1)`` into the public
``softmax(x, axis=-1)``; :func:`lowered` hands the compiler the recipe's result itself.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, ParamSpec, cast

from kerashape_torch import config
from kerashape_torch.errors import ConfigError, ShapeError
from kerashape_torch.identifiers import Identifiers, checked_config
from kerashape_torch.shape import Shape, axis_index

if TYPE_CHECKING:
    import torch

Function = Callable[..., Any]
Axes = int | tuple[int, ...] | None
_P = ParamSpec("_P")

_TABLE: dict[str, Function] = {}
_RECIPES: dict[str, Callable[..., Function]] = {}


def _activation(recipe: Callable[_P, Function]) -> Callable[Concatenate[Any, _P], Any]:
    """The public function of a recipe. Here, and only here, symbolic tensors go another way than real ones."""
    name = recipe.__name__
    signature = inspect.signature(recipe)

    @functools.wraps(recipe)
    def public(x: Any, *args: _P.args, **kwargs: _P.kwargs) -> Any:
        if getattr(x, "is_symbolic", False) is True:  # `is True`: an fx proxy answers any attribute with a proxy
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            return x.apply_function(name, bound.arguments)
        return recipe(*args, **kwargs)(x)

    tensor = inspect.Parameter("x", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    public.__signature__ = signature.replace(parameters=[tensor, *signature.parameters.values()])  # type: ignore[attr-defined]
    _TABLE[name], _RECIPES[name] = public, recipe
    return cast(Callable[Concatenate[Any, _P], Any], public)


def linear(x: Any) -> Any:
    """``x`` itself."""
    return x


_TABLE["linear"] = linear


def _stock(name: str, **arguments: Any) -> Function:
    """The function of ``torch.nn.functional``, or of ``torch`` where the former only forwards to it."""
    import torch
    import torch.nn.functional as F

    return partial(getattr(torch if name in _PLAIN else F, name), **arguments)


_PLAIN = {"relu", "sigmoid", "tanh", "exp", "softmax", "log_softmax"}


# ---- what torch has --------------------------------------------------------------------------------------------------


@_activation
def relu(negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Function:
    """``x`` above ``threshold``, at most ``max_value``; ``negative_slope * (x - threshold)`` below."""
    if threshold == 0 and max_value is None:
        return _stock("leaky_relu", negative_slope=negative_slope) if negative_slope else _stock("relu")
    if threshold == 0 and max_value == 6 and not negative_slope:
        return _stock("relu6")
    return partial(_relu, negative_slope=negative_slope, max_value=max_value, threshold=threshold)


@_activation
def leaky_relu(negative_slope: float = 0.2) -> Function:
    """``x`` where positive, ``negative_slope * x`` elsewhere. Keras' slope is 0.2, torch's is 0.01."""
    return _stock("leaky_relu", negative_slope=negative_slope)


@_activation
def relu6() -> Function:
    """``min(max(x, 0), 6)``."""
    return _stock("relu6")


@_activation
def softmax(axis: Axes = -1) -> Function:
    """``exp(x)`` over its sum along ``axis``; along several axes together if it is a tuple, along all if None."""
    return _stock("softmax", dim=axis) if isinstance(axis, int) else partial(_softmax, axes=axis)


@_activation
def log_softmax(axis: Axes = -1) -> Function:
    """``x - log(sum(exp(x)))`` along ``axis``, which may be several axes or, as None, all."""
    return _stock("log_softmax", dim=axis) if isinstance(axis, int) else partial(_log_softmax, axes=axis)


@_activation
def elu(alpha: float = 1.0) -> Function:
    """``x`` where positive, ``alpha * (exp(x) - 1)`` elsewhere."""
    return _stock("elu", alpha=alpha)


@_activation
def selu() -> Function:
    """``elu`` with the two constants that keep mean and variance."""
    return _stock("selu")


@_activation
def celu(alpha: float = 1.0) -> Function:
    """``x`` where positive, ``alpha * (exp(x / alpha) - 1)`` elsewhere."""
    return _stock("celu", alpha=alpha)


@_activation
def gelu(approximate: bool = False) -> Function:
    """``x`` times the normal distribution function of ``x``, by ``erf`` or approximated with ``tanh``."""
    return _stock("gelu", approximate="tanh" if approximate else "none")


@_activation
def glu(axis: int = -1) -> Function:
    """The first half along ``axis`` times the sigmoid of the second half."""
    return _stock("glu", dim=axis)


@_activation
def silu() -> Function:
    """``x * sigmoid(x)``, also named swish."""
    return _stock("silu")


@_activation
def mish() -> Function:
    """``x * tanh(softplus(x))``."""
    return _stock("mish")


@_activation
def sigmoid() -> Function:
    """``1 / (1 + exp(-x))``."""
    return _stock("sigmoid")


@_activation
def log_sigmoid() -> Function:
    """``log(sigmoid(x))``."""
    return _stock("logsigmoid")


@_activation
def hard_sigmoid() -> Function:
    """``x / 6 + 0.5`` held between 0 and 1. Files of Keras 1 and 2 mean :func:`keras2_hard_sigmoid` by this name."""
    return _stock("hardsigmoid")


@_activation
def hard_silu() -> Function:
    """``x * hard_sigmoid(x)``, also named hard_swish."""
    return _stock("hardswish")


@_activation
def tanh() -> Function:
    """The hyperbolic tangent."""
    return _stock("tanh")


@_activation
def hard_tanh() -> Function:
    """``x`` held between -1 and 1."""
    return _stock("hardtanh")


@_activation
def tanh_shrink() -> Function:
    """``x - tanh(x)``."""
    return _stock("tanhshrink")


@_activation
def hard_shrink(threshold: float = 0.5) -> Function:
    """``x`` where ``abs(x) > threshold``, 0 elsewhere."""
    return _stock("hardshrink", lambd=threshold)


@_activation
def soft_shrink(threshold: float = 0.5) -> Function:
    """``x`` moved by ``threshold`` towards 0, and 0 where it would pass it."""
    return _stock("softshrink", lambd=threshold)


@_activation
def threshold(threshold: float, default_value: float) -> Function:
    """``x`` where ``x > threshold``, ``default_value`` elsewhere."""
    return _stock("threshold", threshold=threshold, value=default_value)


@_activation
def softplus() -> Function:
    """``log(exp(x) + 1)``."""
    return _stock("softplus")


@_activation
def softsign() -> Function:
    """``x / (abs(x) + 1)``."""
    return _stock("softsign")


@_activation
def exponential() -> Function:
    """``exp(x)``."""
    return _stock("exp")


# ---- what torch lacks ------------------------------------------------------------------------------------------------


@_activation
def squareplus(b: float = 4) -> Function:
    """``(x + sqrt(x ** 2 + b)) / 2``."""
    return partial(_squareplus, b=b)


@_activation
def sparse_plus() -> Function:
    """0 below -1, ``(x + 1) ** 2 / 4`` up to 1, ``x`` above."""
    return partial(_sparse_plus)


@_activation
def sparse_sigmoid() -> Function:
    """``(x + 1) / 2`` held between 0 and 1."""
    return partial(_sparse_sigmoid)


@_activation
def keras2_hard_sigmoid() -> Function:
    """``0.2 * x + 0.5`` held between 0 and 1, as ``hard_sigmoid`` in Keras 1 and 2. Keras 3 has no name for it."""
    return partial(_keras2_hard_sigmoid)


@_activation
def sparsemax(axis: int = -1) -> Function:
    """Like ``softmax``, with zeros: ``max(x - t, 0)`` where ``t`` depends on the largest elements along ``axis``."""
    return partial(_sparsemax, axis=axis)


swish = silu
hard_swish = hard_silu
_TABLE.update(swish=silu, hard_swish=hard_silu)


# The functions below are what a compiled graph calls, so they hold no Python that depends on the data or on sizes.


def _relu(x: torch.Tensor, negative_slope: float, max_value: float | None, threshold: float) -> torch.Tensor:
    import torch

    kept = torch.where(x > threshold, x, 0) if threshold else torch.relu(x)
    if max_value is not None:
        kept = torch.clamp(kept, 0, max_value)
    return kept - negative_slope * torch.relu(threshold - x) if negative_slope else kept


def _log_softmax(x: torch.Tensor, axes: tuple[int, ...] | None) -> torch.Tensor:
    import torch

    return x - torch.logsumexp(x, dim=tuple(range(x.ndim)) if axes is None else tuple(axes), keepdim=True)


def _softmax(x: torch.Tensor, axes: tuple[int, ...] | None) -> torch.Tensor:
    return _log_softmax(x, axes).exp()


def _squareplus(x: torch.Tensor, b: float) -> torch.Tensor:
    return (x + (x * x + b).sqrt()) / 2


def _sparse_plus(x: torch.Tensor) -> torch.Tensor:
    import torch

    return torch.where(x < 1, (torch.clamp(x, min=-1) + 1).square() / 4, x)


def _sparse_sigmoid(x: torch.Tensor) -> torch.Tensor:
    return ((x + 1) / 2).clamp(0, 1)


def _keras2_hard_sigmoid(x: torch.Tensor) -> torch.Tensor:
    return (0.2 * x + 0.5).clamp(0, 1)


def _sparsemax(x: torch.Tensor, axis: int) -> torch.Tensor:
    import torch

    descending = torch.sort(x, dim=axis, descending=True).values
    running = torch.cumsum(descending, dim=axis)
    support = descending * torch.cumsum(torch.ones_like(x), dim=axis) > running - 1
    # The definition takes the last of these sums. Keras up to 3.15.1 adds them all up, on every backend, so that the
    # result need not sum to 1 (keras-team/keras issue 23425); a model that was trained that way needs it that way.
    total = torch.where(support, running, 0).sum(dim=axis, keepdim=True)
    return torch.relu(x - (total - 1) / support.sum(dim=axis, keepdim=True))


# ---- names, configs, and the compiler --------------------------------------------------------------------------------


def name_of(function: Any) -> str | None:
    """The Keras name of a function of this module, and None for any other."""
    name = getattr(function, "__name__", None)
    return name if isinstance(name, str) and _TABLE.get(name) is function else None


class _Activations(Identifiers):
    module = "keras.activations"

    def names(self) -> Iterable[str]:
        return _TABLE

    def get(self, identifier: Any) -> Function:
        """The activation that a name, config, or function stands for; ``linear`` for None, as in Keras."""
        if identifier is None:
            return linear
        if isinstance(identifier, Mapping):
            identifier = config.deserialize(checked_config(identifier))
        if isinstance(identifier, str):
            found = _TABLE.get(identifier) or config.custom_object(identifier)
            if found is None:
                raise self.unknown(identifier)
            identifier = found
        if isinstance(identifier, type):
            raise ConfigError(f"an activation is a function or an object, got the class {identifier.__name__}. "
                              f"Did you mean {identifier.__name__}()?")
        is_other = isinstance(identifier, config.Record) and not hasattr(identifier, "compute_output_shape")
        if is_other or not callable(identifier):  # other things with a config are called too, but with weights
            raise ConfigError(f"an activation is a name, a function or a layer, got {identifier!r}")
        return identifier  # type: ignore[no-any-return]

    def serialize(self, obj: Any) -> Any:
        """The name of an activation of Keras, or the config of any other function or layer, as Keras 3 writes it."""
        return name_of(self.get(obj)) or super().serialize(self.get(obj))


_identifiers = _Activations()
get = _identifiers.get
serialize = _identifiers.serialize
deserialize = _identifiers.deserialize

Activation = Annotated[str | Callable[..., Any] | Any | None, _identifiers]
"""A field of a layer that holds an activation. None is written as ``"linear"``, as Keras does."""


def shape_after(identifier: Any, shape: Shape) -> Shape:
    """The shape that an activation leaves: ``glu`` halves an axis, and Keras' shape rules forget it.

    >>> shape_after("glu", (None, 6)), shape_after("relu", (None, 6))
    ((None, 3), (None, 6))
    """
    if type(identifier) is str and identifier != "glu":
        return shape
    bound = identifier if isinstance(identifier, partial) else partial(identifier) if callable(identifier) else None
    if _TABLE.get(identifier) is not glu if bound is None else bound.func is not glu:
        return shape
    axis = axis_index(bound.keywords.get("axis", -1) if bound is not None else -1, len(shape))
    size = shape[axis]
    if size is not None and size % 2:
        where = "last axis" if axis == len(shape) - 1 else f"axis {axis}"
        raise ShapeError(f"{where}: 'glu' needs an even size to split, got {size}")
    return (*shape[:axis], None if size is None else size // 2, *shape[axis + 1:])


def lowered(identifier: Any, axis_map: Callable[[int], int] | None = None,
            arguments: Mapping[str, Any] | None = None) -> Function | None:
    """What the compiler emits for an activation: a torch function with keyword arguments, or None for ``linear``.

    A function that is not of this module comes back as it is; ``name_of`` tells which those are.

    Args:
        axis_map: moves an axis from Keras order to the order that the tensor runs in.
        arguments: arguments other than the tensor, in Keras' names.

    >>> lowered("softmax", axis_map=lambda axis: 1).keywords
    {'dim': 1}
    """
    function, given = get(identifier), dict(arguments or {})
    bound = function if isinstance(function, partial) else None
    if bound is not None and not bound.args and name_of(bound.func):
        function, given = bound.func, {**bound.keywords, **given}
    if function is linear:
        return None
    name = name_of(function)
    if name is None:
        return partial(function, **given) if given else function
    recipe = _RECIPES[name]
    if axis_map is not None and "axis" in inspect.signature(recipe).parameters:
        axis = given.get("axis", -1)
        if axis is not None:
            given["axis"] = axis_map(axis) if isinstance(axis, int) else tuple(axis_map(each) for each in axis)
    missing = [p.name for p in inspect.signature(recipe).parameters.values()
               if p.default is p.empty and p.name not in given]
    if missing:
        raise ConfigError(f"the activation {name!r} needs {' and '.join(missing)}, which a name alone does not give. "
                          f"functools.partial({name}, ...) does")
    return recipe(**given)
