"""Values and calls as Python text."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import einops
import torch
import torch.nn.functional as F
from torch import nn

from kerashape_torch.errors import KerashapeError
from kerashape_torch.port.names import identifier
from kerashape_torch.port.program import Value
from kerashape_torch.port.support import Support, is_ours

_HOMES: tuple[tuple[str, Any], ...] = (
    ("torch", torch), ("F", F), ("nn", nn), ("torch.linalg", torch.linalg), ("torch.fft", torch.fft),
    ("torch.special", torch.special), ("operator", operator), ("einops", einops), ("math", math),
    ("functools", functools))
_INFIX: dict[Any, str] = {
    torch.add: "+", operator.add: "+", torch.sub: "-", operator.sub: "-", torch.mul: "*", operator.mul: "*",
    torch.div: "/", operator.truediv: "/", torch.matmul: "@", operator.matmul: "@", operator.gt: ">", operator.lt: "<",
    operator.ge: ">=", operator.le: "<=", operator.ne: "!=", operator.eq: "==", operator.and_: "&", operator.or_: "|",
    operator.floordiv: "//", operator.mod: "%", operator.pow: "**"}
_METHODS = {torch.permute: "permute", torch.reshape: "reshape", torch.unsqueeze: "unsqueeze", torch.mean: "mean",
            torch.sum: "sum", torch.amax: "amax", torch.amin: "amin", torch.flatten: "flatten",
            torch.squeeze: "squeeze"}
_REDUCTIONS = ("mean", "sum", "amax", "amin")
_SPREAD = ("permute", "reshape")
"""Methods that take the items of a tuple one by one."""
_DEFAULTS: dict[str, Any] = {"keepdim": False, "approximate": "none"}
"""Of functions that have no signature to be read."""


class Text(NamedTuple):
    """An expression: its text up to the arguments and each argument, so that a long one can be broken between them."""

    text: str
    compound: bool = False

    @property
    def inner(self) -> str:
        return f"({self.text})" if self.compound else self.text


def public_name(function: Any) -> str | None:
    """What a function of torch or of Python is called there: ``torch.add``."""
    name = getattr(function, "__name__", "")
    for home, module in _HOMES:
        if name and getattr(module, name, None) is function:
            return f"{home}.{name}"
    return next((f"{home}.{public}" for home, module in _HOMES for public, found in vars(module).items()
                 if found is function and not public.startswith("_")), None)


class Expressions:
    """Writes values; what they need of ours is added to the support."""

    def __init__(self, support: Support) -> None:
        self.support = support
        self.uses: dict[str, None] = {}

    def function(self, function: Any) -> str:
        """A function or class by its public name."""
        if is_ours(function):
            return self.support.name(function)
        name = public_name(function)
        if name is None:
            raise KerashapeError(f"the function {getattr(function, '__name__', function)!r} has no name in torch, so "
                                 "it is not written as source")
        self.uses[name.partition(".")[0]] = None
        return name

    def literal(self, value: Any) -> str:
        """A value as Python reads it back."""
        if value is None or value is Ellipsis or type(value) in (bool, int):
            return "..." if value is Ellipsis else repr(value)
        if type(value) is float:
            return repr(value) if math.isfinite(value) else f'float("{value}")'
        if type(value) is str:
            return double_quoted(value)
        if isinstance(value, torch.dtype):
            self.uses["torch"] = None
            return str(value)
        if isinstance(value, slice):
            return f"slice({', '.join(map(self.literal, (value.start, value.stop, value.step)))})"
        if isinstance(value, range):
            return repr(value)
        if hasattr(value, "_asdict") or (dataclasses.is_dataclass(value) and is_ours(type(value))):
            return self._record(value)
        if isinstance(value, (tuple, list)):
            items = ", ".join(map(self.literal, value))
            return f"[{items}]" if isinstance(value, list) else f"({items},)" if len(value) == 1 else f"({items})"
        if isinstance(value, dict):
            return "{" + ", ".join(f"{self.literal(key)}: {self.literal(item)}" for key, item in value.items()) + "}"
        return self._callable(value)

    def _record(self, value: Any) -> str:
        """A named tuple or a dataclass of ours, without the fields that are at their defaults."""
        if dataclasses.is_dataclass(value):
            given = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)
                     if f.init and not _is_default(getattr(value, f.name), f.default)}
        else:
            defaults = value._field_defaults
            given = {k: v for k, v in value._asdict().items() if not _is_default(v, defaults.get(k, value))}
        arguments = ", ".join(f"{name}={self.literal(item)}" for name, item in given.items())
        return f"{self.function(type(value))}({arguments})"

    def _callable(self, value: Any) -> str:
        if isinstance(value, functools.partial):
            if not value.args and not value.keywords:
                return self.function(value.func)
            self.uses["functools"] = None
            arguments = [self.function(value.func), *map(self.literal, value.args),
                         *(f"{name}={self.literal(item)}" for name, item in value.keywords.items())]
            return f"functools.partial({', '.join(arguments)})"
        if callable(value):
            return self.function(value)
        raise KerashapeError(f"a {type(value).__name__} is not written as source")

    # ---- calls -------------------------------------------------------------------------------------------------------

    def call(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], value: Callable[[Value], Text]
             ) -> Text:
        """A call of a function or of a method (a str) with values in its arguments."""
        def shown(x: Any) -> str:
            return self._structure(x, value)

        if inspect.ismethoddescriptor(function):  # torch.Tensor.to
            function = function.__name__
        if isinstance(function, str):
            return self._method(identifier(function), args, kwargs, value)
        if function is operator.getitem:
            return Text(f"{value_or_literal(args[0], value, self).inner}[{self._index(args[1], value)}]")
        if function is getattr:
            return Text(f"{value_or_literal(args[0], value, self).inner}.{args[1]}")
        if function in _INFIX and len(args) == 2 and not kwargs:
            left, right = (value_or_literal(x, value, self) for x in args)
            return Text(f"{left.inner} {_INFIX[function]} {right.inner}", True)
        if function in _METHODS and args and isinstance(args[0], Value):
            return self._method(_METHODS[function], args, kwargs, value)
        given = [*map(shown, args), *(f"{name}={shown(x)}" for name, x in kwargs.items()
                                      if not _is_default(x, _default(function, name)))]
        return Text(f"{self.function(function)}({', '.join(given)})")

    def _method(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], value: Callable[[Value], Text]) -> Text:
        first, *rest = args
        if name in _REDUCTIONS and isinstance(kwargs.get("dim"), tuple) and len(kwargs["dim"]) == 1:
            kwargs = {**kwargs, "dim": kwargs["dim"][0]}
        if name == "to" and not rest and list(kwargs) == ["dtype"]:
            rest, kwargs = [kwargs["dtype"]], {}
        if name in _SPREAD and not rest and len(kwargs) == 1:
            rest, kwargs = list(kwargs.values()), {}
        if name in _SPREAD and len(rest) == 1 and isinstance(rest[0], (tuple, list)):
            rest = list(rest[0])
        given = [*(self._structure(x, value) for x in rest),
                 *(f"{key}={self._structure(x, value)}" for key, x in kwargs.items()
                   if key not in _DEFAULTS or _DEFAULTS[key] is not x)]
        return Text(f"{value_or_literal(first, value, self).inner}.{name}({', '.join(given)})")

    def _index(self, index: Any, value: Callable[[Value], Text]) -> str:
        items = index if isinstance(index, tuple) else (index,)
        shown = []
        for item in items:
            if isinstance(item, slice):
                ends = ["" if end is None else self._structure(end, value) for end in (item.start, item.stop)]
                step = "" if item.step is None else f":{self._structure(item.step, value)}"
                shown.append(f"{ends[0]}:{ends[1]}{step}")
            else:
                shown.append(self._structure(item, value))
        return ", ".join(shown) + ("," if isinstance(index, tuple) and len(items) == 1 else "")

    def _structure(self, x: Any, value: Callable[[Value], Text]) -> str:
        if isinstance(x, Value):
            return value(x).text
        if type(x) in (list, tuple):
            items = ", ".join(self._structure(item, value) for item in x)
            return f"[{items}]" if isinstance(x, list) else f"({items},)" if len(x) == 1 else f"({items})"
        if type(x) is dict:
            return "{" + ", ".join(f"{self.literal(k)}: {self._structure(v, value)}" for k, v in x.items()) + "}"
        return self.literal(x)

    structure = _structure


def value_or_literal(x: Any, value: Callable[[Value], Text], expressions: Expressions) -> Text:
    if isinstance(x, Value):
        return value(x)
    text = expressions.structure(x, value)
    return Text(text, text.startswith("-"))


def double_quoted(text: str) -> str:
    """A string literal of ASCII alone.

    >>> print(double_quoted('a"b\\n'))
    "a\\"b\\n"
    """
    return '"' + text.encode("unicode_escape").decode().replace('"', '\\"') + '"'


def _default(function: Any, name: str) -> Any:
    if name in _DEFAULTS and not is_ours(function):
        return _DEFAULTS[name]
    try:
        return inspect.signature(function).parameters[name].default
    except (KeyError, ValueError, TypeError):
        return inspect.Parameter.empty


def _is_default(value: Any, default: Any) -> bool:
    try:
        return type(value) is type(default) and bool(value == default)
    except (TypeError, ValueError, RuntimeError):
        return False
