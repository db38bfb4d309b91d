"""Layers of a user's own: ``build`` makes the weights, ``forward`` is torch, and the shapes follow from running it.

A class may also state the three rules itself, as the layers of this package do. ``build``, ``add_weight`` and ``call``
are Keras' own ways, so a layer written for Keras needs other functions inside ``call`` and nothing else. It may hold
other layers, and call them: see :mod:`kerashape_torch.composed`.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import itertools
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

from kerashape_torch.dtypes import dtype_name, is_integer
from kerashape_torch.errors import ConfigError, KerashapeError, ShapeError
from kerashape_torch.shape import to_text
from kerashape_torch.weights import Place, WeightSpec

_OF_ALL_LAYERS = ("nodes", "serial", "saved_weights", "declared_shape", "training")
CONSTRUCTION_ONLY = ("input_shape", "input_dim", "batch_input_shape", "batch_shape", "batch_size")
"""Arguments of every layer that no config has, unless a class has its own of that name."""


class UserDefined:
    """What a layer class may define, besides or instead of the three rules."""

    _torch_function: ClassVar[Callable[..., Any] | None] = None
    follows_call: ClassVar[bool] = False
    """True for a model whose ``call`` is followed on symbolic tensors; elsewhere it is run on real ones."""
    makes_its_tensor: ClassVar[bool] = False
    """True for a layer that takes nothing and gives a weight."""
    inherited: Any
    """Where the layer runs: what the class of this package, that a user's class extends, makes of tensors."""

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """What ``super().call(...)`` runs in a class that extends a layer of this package, in its own ``call``."""
        return self.inherited(*args, **kwargs)

    forward = call

    def assign_names(self) -> None:
        """Numbers the layers inside that no model has named."""
        from kerashape_torch.composed import assign_names

        assign_names(self)  # type: ignore[arg-type]

    def shapes_to_try(self, shapes: Sequence[Any]) -> Sequence[Any]:
        """The shapes of all arguments of the function, from those that the rules take."""
        return shapes

    def build(self, *shapes: Any, **_: Any) -> None:
        """Makes the weights for an input shape, with :meth:`add_weight`."""

    def add_loss(self, loss: Any) -> None:
        """Adds to the loss of a training step, in ``call``; inference takes no notice of it."""
        listener = vars(self).get("_losses")
        if listener is not None:
            for each in loss if isinstance(loss, (list, tuple)) else [loss]:
                listener(each.sum())

    def add_weight(self, shape: Sequence[int] | None = None, initializer: Any = None, dtype: Any = None,
                   trainable: bool = True, autocast: bool = True, regularizer: Any = None, constraint: Any = None,
                   aggregation: Any = None, overwrite_with_gradient: bool = False, name: str | None = None) -> Any:
        """Declares a weight, in ``__init__`` or ``build``; where the layer runs it is a tensor, under the name of the
        attribute that it was assigned to.

        Arguments are Keras'. A weight that is assigned to nothing is found under its own name.
        """
        if "training" in vars(self):  # it runs
            raise ConfigError(f"{type(self).__name__}: add_weight is called in __init__ or build(self, input_shape)")
        made = vars(self).setdefault("_made", [])
        dtype = _dtype_name(dtype)
        default = "zeros" if dtype == "bool" or is_integer(dtype or "") else "glorot_uniform"
        name = name or ("variable" if not made else f"variable_{len(made)}")
        spec = _Declared(name, tuple(shape or ()), trainable, initializer or default, regularizer, constraint,
                         dtype=dtype)
        made.append(spec)
        return spec


def Variable(initializer: Any, shape: Sequence[int] | None = None, dtype: Any = None, trainable: bool = True,
             autocast: bool = True, aggregation: Any = None, name: str | None = None, **kwargs: Any) -> Any:
    """A weight of a layer of one's own, for an attribute: ``self.scale = Variable([1.0, 2.0])`` in ``__init__`` or
    ``build``. Its first numbers are given, or drawn by an initializer for a shape.
    """
    if shape is None:
        shape = tuple(initializer.shape) if hasattr(initializer, "shape") else _shape_of(initializer)
    if hasattr(initializer, "tolist"):
        initializer = initializer.tolist()
    if isinstance(initializer, (int, float, list, tuple)):
        initializer = {"class_name": "Constant", "config": {"value": initializer}}
    dtype = _dtype_name(dtype)
    return _Declared(name or "variable", tuple(shape), trainable, initializer, dtype=dtype)


def _dtype_name(dtype: Any) -> str | None:
    return None if dtype is None else dtype_name(dtype)


class _Declared(WeightSpec):
    """A weight that knows its place in the order in which weights were declared."""

    _counter = itertools.count()

    def __new__(cls, *args: Any, **kwargs: Any) -> _Declared:
        made = super().__new__(cls, *args, **kwargs)
        made.serial = next(cls._counter)
        return made

    serial: int


def _shape_of(value: Any) -> tuple[int, ...]:
    return (len(value), *_shape_of(value[0])) if isinstance(value, (list, tuple)) else ()


def makes_weights(layer: Any) -> bool:
    """Whether a user's class has weights of its own: in ``build``, or from ``__init__`` on."""
    return type(layer).build is not UserDefined.build or any(
        isinstance(spec, _Declared) for value in vars(layer).values() for _, spec in declared(value, ""))


class Held(NamedTuple):
    """The path of a weight, where a list or a dict in an attribute has it."""

    path: str


def declared(value: Any, name: str) -> Iterator[tuple[str, WeightSpec]]:
    """The weights in an attribute, in lists and dicts too, and a name for each."""
    if isinstance(value, WeightSpec):
        yield name, value
    elif type(value) in (list, tuple, dict):
        for key, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from declared(each, f"{name}_{key}")


def copied(value: Any, instead: dict[int, Any]) -> Any:
    """The same lists, tuples and dicts anew, with other things in the place of some, which are known by their ids."""
    if id(value) in instead:
        return instead[id(value)]
    if type(value) is dict:
        return {key: copied(each, instead) for key, each in value.items()}
    return type(value)(copied(each, instead) for each in value) if type(value) in (list, tuple) else value


def with_weights(attributes: Mapping[str, Any], weights: Mapping[str, Any]) -> dict[str, Any]:
    """Those attributes whose lists and dicts hold weights, with the weights in their places."""
    def put(value: Any) -> Any:
        if type(value) is dict:
            return {key: put(each) for key, each in value.items()}
        if type(value) in (list, tuple):
            return type(value)(map(put, value))
        return weights[value.path] if type(value) is Held else value

    return {name: put(value) for name, value in attributes.items() if holds(value)}


def holds(value: Any) -> bool:
    """Whether lists and dicts have weights in them."""
    if type(value) in (list, tuple, dict):
        return any(map(holds, value.values() if isinstance(value, dict) else value))
    return type(value) is Held


def torch_function(layer: Any) -> Callable[..., Any] | None:
    """``forward``, or ``call`` as Keras names it, of a layer's class: a function of the layer and of tensors."""
    return type(layer)._torch_function  # type: ignore[no-any-return]


def adds_losses(layer: Any) -> bool:
    """Whether a function of a user's class calls ``add_loss``."""
    found = (function for each in type(layer).__mro__ if each is not UserDefined for function in vars(each).values())
    return any("add_loss" in function.__code__.co_names for function in found if inspect.isfunction(function))


def function_of(cls: type[Any]) -> Callable[..., Any] | None:
    """The function that a class brings or inherits, unless a class nearer to it states the torch module."""
    for each in () if cls.follows_call else cls.__mro__:
        if each is UserDefined or ("module" in vars(each) and "call" not in vars(each) and "forward" not in vars(each)):
            return None
        found = vars(each).get("forward") or vars(each).get("call")
        if found is not None:
            return found  # type: ignore[no-any-return]
    return None


def argument_names(function: Callable[..., Any], *, shaped: bool) -> tuple[str, ...]:
    """The names of a call's arguments; or of those alone that take tensors, whose shapes the rules are told.

    >>> def forward(self, x, memory=None, scale=2.0, training=False): ...
    >>> argument_names(forward, shaped=False), argument_names(forward, shaped=True)
    (('x', 'memory', 'scale', 'training'), ('x', 'memory'))
    """
    found = list(inspect.signature(function).parameters.values())[1:]
    named = [p for p in found if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return tuple(p.name for p in named if not shaped or (
        p.name not in ("training", "mask") and (p.default is p.empty or p.default is None)))


def remembering_arguments(init: Callable[..., Any]) -> Callable[..., Any]:
    """An ``__init__`` of a user's own that keeps what it is given, which are no fields and stand in the config all the
    same, as in Keras. One of this package keeps its own."""
    if hasattr(init, "keeps_arguments") or init.__module__.split(".")[0] == __name__.split(".")[0]:
        return init

    @functools.wraps(init)
    def remembered(self: Any, *args: Any, **kwargs: Any) -> None:
        if "_given_to_init" not in vars(self):  # one that it inherits is called from inside
            vars(self)["_given_to_init"] = _given_to_init(type(self), args, kwargs)
        init(self, *args, **kwargs)

    remembered.keeps_arguments = True  # type: ignore[attr-defined]
    return remembered


def _given_to_init(cls: type[Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    signature = inspect.signature(cls.__init__)
    bound = signature.bind_partial(None, *args, **kwargs).arguments
    own = [p.name for p in list(signature.parameters.values())[1:] if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    written = set(cls._fields) - set(CONSTRUCTION_ONLY)
    return {name: bound[name] for name in own if name in bound and name not in written}


def remembering(build: Callable[..., Any]) -> Callable[..., Any]:
    """A class's own ``build`` that keeps what the layer was before it, for :func:`built` to begin with.

    Code written for Keras calls it from the ``build`` of another layer, and looks at what it did; here a layer is built
    for each shape that it is called with.
    """
    @functools.wraps(build)
    def remembered(self: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(self, UserDefined):
            vars(self).setdefault("_before_build", _users_attributes(self))
        return build(self, *args, **kwargs)

    return remembered


def after_building(rule: Callable[..., Any]) -> Callable[..., Any]:
    """A class's own ``compute_output_shape``, asked of the layer as its ``build`` leaves it for these shapes."""
    @functools.wraps(rule)
    def asked(self: Any, *shapes: Any, **kwargs: Any) -> Any:
        if "_built_for" not in vars(self) and type(self).build is not UserDefined.build:
            with contextlib.suppress(KerashapeError):  # the rule may do without the sizes that weights need
                self = built(self, shapes)[0]
        return rule(self, *shapes, **kwargs)

    return asked


def as_keras_has_them(layer: Any) -> dict[str, Any]:
    """The arguments of a layer of this package, that a user's class extends, as Keras keeps them: activations are
    functions, sizes a number for each axis. A layer here has them as they were written."""
    held: dict[str, Any] = {}
    classes: Sequence[Any] = type(layer).__mro__
    for cls in classes:
        if hasattr(cls, "_fields") and not cls.is_users_own():
            for field in cls._fields.values():
                if field.kind is not None and not field.keyword_only:
                    held[field.attribute] = field.kind.held(getattr(layer, field.attribute), layer)
            break
    return held


def _users_attributes(layer: Any) -> dict[str, Any]:
    """What a user's class has put on a layer, with lists and dicts anew, as ``build`` may add to them."""
    return {name: copied(value, {}) for name, value in vars(layer).items()
            if name == "_made" or not (name.startswith("_") or name in layer._fields or name in _OF_ALL_LAYERS)}


def built(layer: Any, shapes: Sequence[Any]) -> tuple[Any, list[WeightSpec]]:
    """A copy of a layer after ``build``, and the weights that it made: trainable ones first, as Keras lists them."""
    twin = layer.copy(nodes=[])
    vars(twin).update(as_keras_has_them(layer))
    for name in _users_attributes(layer):
        del vars(twin)[name]
    before = vars(layer).get("_before_build") or _users_attributes(layer)
    vars(twin).update({"_built_for": shapes, "_made": [], **copied(before, {})})
    build = twin.build
    takes = [p for p in inspect.signature(build).parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    torch = sys.modules.get("torch")
    try:
        with contextlib.nullcontext() if torch is None else torch.device("cpu"):  # numbers that it makes have values
            build(*shapes[:len(takes)])
    except KerashapeError:
        raise
    except Exception as error:  # whatever the user's function raises
        given = ", ".join(map(to_text, shapes))
        raise ShapeError(f"{type(layer).__name__}.build fails on {given}: {error}") from error
    made = twin.__dict__.pop("_made")
    twin.__dict__.pop("_before_build", None)
    paths = {id(spec): name for attribute, value in vars(twin).items() for name, spec in declared(value, attribute)}
    found = in_keras_order([*made, *(spec for value in vars(twin).values() for _, spec in declared(value, ""))])
    at = {id(spec): _free(layer, paths.get(id(spec), spec.name)) for spec in found}
    held = {key: Held(path) for key, path in at.items()}
    vars(twin).update({name: copied(value, held) for name, value in vars(twin).items()
                       if type(value) in (list, tuple, dict) and any(declared(value, name))})
    return twin, [spec._replace(places=(Place(at[id(spec)]),)) for spec in found]


def in_keras_order(found: Iterable[Any]) -> list[_Declared]:
    """The declared weights among these, each once: trainable ones first, as Keras lists them."""
    specs = {id(x): x for x in found if isinstance(x, _Declared)}.values()
    for spec in specs:
        if None in spec.shape:
            raise ShapeError(f"{spec.name} is {to_text(spec.shape)}: an axis is None that the weights need",
                             hint="give its size in the input shape")
    return sorted(specs, key=lambda spec: (not spec.trainable, spec.serial))


def _free(layer: Any, name: str) -> str:
    if name in layer._fields or hasattr(type(layer), name):
        raise ConfigError(f"{type(layer).__name__}: a weight named {name!r} hides what the layer has under this name. "
                          f"Way out: self.{name}_weight = self.add_weight(...)")
    return name
