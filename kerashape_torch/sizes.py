"""Numbers that are known when a model runs: sizes of axes that are None, and what is reckoned with them."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kerashape_torch.shape import to_text

_SIGNS = {"add": "+", "sub": "-", "mul": "*", "floordiv": "//", "truediv": "/", "mod": "%", "pow": "**"}


class FreeSize:
    """A number that nobody knows before the model runs.

    Python's arithmetic, :func:`math.ceil` and :func:`math.floor` make others of it. It has no order and no truth value:
    what a function does cannot depend on it.

    Args:
        does: ``size`` of a tensor's axis, or the name of a function in :mod:`operator` or :mod:`math`.
        of: the tensor and the axis; or the numbers that the function takes, which may be free themselves.

    >>> from kerashape_torch.graph import SymbolicTensor
    >>> length = FreeSize("size", SymbolicTensor((None, None, 3)), 1)
    >>> 2 * length + 1
    <(2 * size of axis 1 of (None, None, 3)) + 1>
    """

    def __init__(self, does: str, *of: Any) -> None:
        self.does, self.of = does, of

    @property
    def is_float(self) -> bool:
        """Whether it is no whole number."""
        if self.does in ("size", "ceil", "floor"):
            return False
        if self.does == "truediv" or (self.does == "pow" and isinstance(self.of[1], int) and self.of[1] < 0):
            return True
        return any(x.is_float if isinstance(x, FreeSize) else isinstance(x, float) for x in self.of)

    def tensors(self) -> Iterator[Any]:
        """The tensors whose sizes it is made of."""
        if self.does == "size":
            yield self.of[0]
        else:
            for x in self.of:
                yield from x.tensors() if isinstance(x, FreeSize) else ()

    def __repr__(self) -> str:
        return f"<{self._text()}>"

    def _text(self) -> str:
        if self.does == "size":
            return f"size of axis {self.of[1]} of {to_text(self.of[0].shape)}"
        parts = [x._text() if isinstance(x, FreeSize) else repr(x) for x in self.of]
        if self.does not in _SIGNS:
            return f"{self.does}({', '.join(parts)})"
        parts = [f"({part})" if getattr(x, "does", "") in _SIGNS else part for x, part in zip(self.of, parts)]
        return f" {_SIGNS[self.does]} ".join(parts)

    def _refuse(self, *_: Any) -> Any:
        raise TypeError(f"{self!r} is known when the model runs: it may be reckoned with, and be a size or an operand "
                        "of kerashape_torch.ops, and it has no value, order or truth before")

    __index__ = __int__ = __float__ = __bool__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, (int, float, FreeSize)) and self._refuse())

    __hash__ = object.__hash__

    def __ceil__(self) -> FreeSize:
        return FreeSize("ceil", self)

    def __floor__(self) -> FreeSize:
        return FreeSize("floor", self)

    def __neg__(self) -> FreeSize:
        return FreeSize("neg", self)


def _arithmetic(does: str) -> tuple[Callable[[FreeSize, Any], Any], Callable[[FreeSize, Any], Any]]:
    def takes(x: Any) -> bool:
        return isinstance(x, (int, float, FreeSize))

    return (lambda self, other: FreeSize(does, self, other) if takes(other) else NotImplemented,
            lambda self, other: FreeSize(does, other, self) if takes(other) else NotImplemented)


for _does in _SIGNS:
    for _name, _method in zip((f"__{_does}__", f"__r{_does}__"), _arithmetic(_does)):
        setattr(FreeSize, _name, _method)


# ---- inside a call ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Placed:
    """A :class:`FreeSize` in which numbers stand for the tensors of a call; or one of these tensors itself."""

    does: str
    of: tuple[Any, ...]


def free_sizes(given: Any) -> list[FreeSize]:
    """Those in a structure, in slices too."""
    if isinstance(given, slice):
        given = given.start, given.stop, given.step
    elif isinstance(given, dict):
        given = list(given.values())
    elif not isinstance(given, (list, tuple)):
        return [given] if isinstance(given, FreeSize) else []
    found = []  # no generator, which torch.compile would have to follow in every op
    for item in given:
        found += free_sizes(item)
    return found


def mapped(function: Callable[[Any], Any], given: Any) -> Any:
    """A structure with other leaves, in slices too."""
    if isinstance(given, (list, tuple)):
        return type(given)([mapped(function, item) for item in given])
    if isinstance(given, dict):
        return {key: mapped(function, item) for key, item in given.items()}
    if isinstance(given, slice):
        return slice(*(mapped(function, end) for end in (given.start, given.stop, given.step)))
    return function(given)


def placed(given: Any, places: Mapping[int, int]) -> Any:
    """A structure in which tensors, known by their ids, have become their places, in free sizes too."""
    def leaf(x: Any) -> Any:
        if isinstance(x, FreeSize):
            return Placed(x.does, (places[id(x.of[0])], x.of[1]) if x.does == "size" else tuple(map(leaf, x.of)))
        return Placed("tensor", (places[id(x)],)) if id(x) in places else x

    return mapped(leaf, given)


def reckoned(given: Any, tensors: Sequence[Any], size: Callable[[Any, int], Any],
             call: Callable[..., Any] = lambda function, *args: function(*args)) -> Any:
    """A structure with numbers and tensors again.

    Args:
        given: what :func:`placed` gave.
        tensors: those of the call.
        size: the size of a tensor's axis.
        call: how a function of numbers is called.
    """
    def leaf(x: Any) -> Any:
        if not isinstance(x, Placed):
            return x
        if x.does == "tensor":
            return tensors[x.of[0]]
        if x.does == "size":
            return size(tensors[x.of[0]], x.of[1])
        return call(getattr(math if x.does in ("ceil", "floor") else operator, x.does), *map(leaf, x.of))

    return mapped(leaf, given)
