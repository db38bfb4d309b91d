"""Shapes that are asserted where they come up: in a test, or at a function's door."""

from __future__ import annotations

import functools
import inspect
import math
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from kerashape_torch.errors import ConfigError, ShapeError
from kerashape_torch.shape import to_text
from kerashape_torch.structure import is_shape
from kerashape_torch.testing.notation import Axis, parsed

_F = TypeVar("_F", bound=Callable[..., Any])
_Sizes = dict[str, Any]


class ShapeAssertionError(ShapeError, AssertionError):
    """A tensor has another shape than it was said to have."""


def assert_shape(value: Any, shape: Any, *more: Any) -> _Sizes:
    """Holds a tensor, or a list or dict of them, to a shape.

    Args:
        value: whatever has a ``shape``: a tensor of torch, an array, a symbolic tensor; or lists and dicts of them; or
            a shape.
        shape: as text, see :mod:`kerashape_torch.testing.notation`; or a tuple of sizes and None. For lists and dicts
            a list or dict of shapes.
        more: further values and shapes, two by two; a name is the same size in all of them.

    Returns:
        The sizes by their names.

    Raises:
        ShapeAssertionError: it is another shape; this is an ``AssertionError`` and a ``ShapeError``.

    >>> from kerashape_torch import Input
    >>> assert_shape(Input((50, 50, 3)), "(None, 50, 50, 3)")
    {}
    >>> import numpy as np
    >>> assert_shape(np.zeros((2, 6, 4)), "batch (h w) c", np.zeros((2, 3)), "batch h")
    {'batch': 2, 'c': 4, 'h': 3, 'w': 2}
    >>> assert_shape(np.zeros((2, 49, 3)), "batch 50 3")
    Traceback (most recent call last):
    kerashape_torch.testing.assertions.ShapeAssertionError: got (2, 49, 3), expected (batch, 50, 3)
      axis 1: expected 50, got 49
    """
    __tracebackhide__ = True
    if len(more) % 2:
        raise ConfigError("assert_shape takes values and shapes two by two")
    pairs = [(value, shape), *zip(more[::2], more[1::2])]
    known = _Known()
    for place, (each, wanted) in enumerate(pairs):
        known.hold(each, parsed(wanted), f"value {place + 1}" if more else "")
    return known.settled()


def shapes(**wanted: Any) -> Callable[[_F], _F]:
    """Holds the arguments of a function to shapes, and what it returns to ``returns``. On a class, such as a torch
    module, it is the ``forward`` of the class that is held.

    A name is one and the same size in all of them. An argument that is None, as an optional one may be, is not looked
    at. Under ``python -O`` the function is left as it is, and ``torch.compile`` sees only the function inside.

    >>> import numpy as np
    >>> @shapes(x="batch features", kernel="features units", returns="batch units")
    ... def dense(x, kernel):
    ...     return x @ kernel
    >>> dense(np.ones((2, 3)), np.ones((4, 5)))
    Traceback (most recent call last):
    kerashape_torch.testing.assertions.ShapeAssertionError: dense(kernel): got (4, 5), expected (features, units)
      axis 0: features is 3 in x, got 4
    """

    def decorate(function: _F) -> _F:
        if not __debug__:
            return function
        if isinstance(function, type):
            name = "forward" if hasattr(function, "forward") else "__call__"
            setattr(function, name, shapes(**wanted)(getattr(function, name)))
            return function
        return _held(function, wanted)

    return decorate


def _held(function: _F, wanted: Mapping[str, Any]) -> _F:
    signature = inspect.signature(function)
    title = re.sub(r".*<locals>\.|\.forward$|\.__call__$", "", function.__qualname__)
    unknown = [name for name in wanted if name != "returns" and name not in signature.parameters]
    if unknown:
        raise ConfigError(f"{title} has no argument {', '.join(unknown)}; it has {', '.join(signature.parameters)}")
    inputs = {name: parsed(shape) for name, shape in wanted.items() if name != "returns"}
    output = parsed(wanted["returns"]) if "returns" in wanted else None

    @functools.wraps(function)
    def held(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        if _compiling():
            return function(*args, **kwargs)
        given = signature.bind(*args, **kwargs).arguments
        known = _Known(title)
        for name, shape in inputs.items():
            if given.get(name) is not None:
                known.hold(given[name], shape, name)
        known.settled()
        result = function(*args, **kwargs)
        if output is not None:
            known.hold(result, output, "returns")
            known.settled()
        return result

    return held  # type: ignore[return-value]


def _compiling() -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and torch.compiler.is_compiling()


# ---- what is there ---------------------------------------------------------------------------------------------------


class _Known:
    """The sizes that names have so far in one call, and where each was first seen."""

    def __init__(self, title: str = "") -> None:
        self.title = title
        self.sizes: _Sizes = {}
        self.seen: dict[str, tuple[str, int]] = {}
        self.products: list[tuple[Axis, Any, int, str, str]] = []

    def hold(self, value: Any, wanted: Any, where: str) -> None:
        __tracebackhide__ = True
        if isinstance(wanted, dict):
            self._same_kind(isinstance(value, Mapping) and set(value) == set(wanted), value, wanted, where)
            for key, each in wanted.items():
                self.hold(value[key], each, f"{where}[{key!r}]")
        elif isinstance(wanted, list):
            is_list = isinstance(value, (list, tuple)) and len(value) == len(wanted)
            self._same_kind(is_list, value, wanted, where)
            for place, each in enumerate(wanted):
                self.hold(value[place], each, f"{where}[{place}]")
        else:
            self._hold_one(value, wanted, where)

    def _same_kind(self, is_same: bool, value: Any, wanted: Any, where: str) -> None:
        __tracebackhide__ = True
        if not is_same:
            what = f"keys {', '.join(map(str, wanted))}" if isinstance(wanted, dict) else f"a list of {len(wanted)}"
            keys = f" with {', '.join(map(str, value))}" if isinstance(value, Mapping) else ""
            size = f" of {len(value)}" if isinstance(value, (list, tuple)) else ""
            raise ShapeAssertionError(f"{self._at(where)}expected {what}, got {type(value).__name__}{size}{keys}")

    def _hold_one(self, value: Any, axes: tuple[Axis, ...], where: str) -> None:
        __tracebackhide__ = True
        expected = f"({', '.join(axis.text for axis in axes)})"
        shape = _shape_of(value)
        if shape is None:
            raise ShapeAssertionError(f"{self._at(where)}expected a tensor of {expected}, got {type(value).__name__}, "
                                      "which has no shape")
        text = f"got {to_text(shape)}, expected {expected}"
        several = next((place for place, axis in enumerate(axes) if axis.several), None)
        room = len(shape) - len(axes) + 1
        if room < 0 if several is not None else len(shape) != len(axes):
            least = f"{len(axes) - 1} or more" if several is not None else str(len(axes))
            raise ShapeAssertionError(f"{self._at(where)}{text}\n  rank: expected {least} axes, got {len(shape)}")
        place = 0
        for axis in axes:
            sizes = shape[place:place + room] if axis.several else shape[place]
            if axis.of:
                self.products.append((axis, sizes, place, where, text))
            else:
                self._hold_axis(axis, sizes, place, where, text)
            place += room if axis.several else 1

    def _hold_axis(self, axis: Axis, size: Any, place: int, where: str, text: str) -> None:
        __tracebackhide__ = True
        if axis.size is not None and size != axis.size:
            self._differ(where, text, place, f"expected {axis.size}", size)
        if axis.name is not None:
            first, first_place = self.seen.setdefault(axis.name, (where, place))
            known = self.sizes.setdefault(axis.name, size)
            if known != size:
                there = f"at axis {first_place}" if first == where else f"in {first}"
                self._differ(where, text, place, f"{axis.name} is {_size_text(known)} {there}", size)

    def settled(self) -> _Sizes:
        """The sizes, once products are seen to be right; what one of them leaves open follows from it."""
        __tracebackhide__ = True
        for axis, size, place, where, text in self.products:
            sizes = [inner.size if inner.size is not None else self.sizes.get(inner.name or "") for inner in axis.of]
            left = [inner for inner, known in zip(axis.of, sizes) if known is None]
            total = math.prod(known for known in sizes if known is not None)
            if size is None or len(left) > 1:
                continue
            if size % total if left and total else size != total:
                names = " and ".join(f"{x.name} is {self.sizes[x.name]}" for x in axis.of if x.name in self.sizes)
                self._differ(where, text, place, f"{axis.text} is {'a multiple of ' if left else ''}{total}"
                             f"{f', where {names}' if names else ''}", size)
            elif left and total:
                self._hold_axis(left[0], size // total, place, where, text)
        self.products = []
        return self.sizes

    def _differ(self, where: str, text: str, place: int, wanted: str, got: Any) -> None:
        __tracebackhide__ = True
        raise ShapeAssertionError(f"{self._at(where)}{text}\n  axis {place}: {wanted}, got {_size_text(got)}")

    def _at(self, where: str) -> str:
        if self.title:
            return f"{self.title}({where}): " if where != "returns" else f"{self.title} returns: "
        return f"{where}: " if where else ""


def _size_text(size: Any) -> str:
    return to_text(size) if isinstance(size, tuple) else str(size)


def _shape_of(value: Any) -> Any:
    found = getattr(value, "shape", None)
    if found is None:
        return tuple(value) if is_shape(value) else None
    try:
        return tuple(found)
    except TypeError:
        return None
