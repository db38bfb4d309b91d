"""A program to be written: classes, the modules that they hold, and the steps of their ``forward``.

Every call of a block is a :class:`Unit` of its own here, with its own modules; units that are alike become one class
when they are written.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from kerashape_torch.structure import map_structure

Shape = tuple[int | None, ...]


@dataclass(eq=False)
class Value:
    """A tensor in ``forward``.

    Attributes:
        hint: what it may be called: the name of the Keras layer that made it.
        shape: in Keras' order; None where it is a part of a line that states another shape.
        note: what its comment says instead of a shape.
        optional: an input that may be left out.
        dtype: by Keras' rules, where it is known.
        local: the name that people give to such a value.
    """

    hint: str
    shape: Any = None
    note: str | None = None
    optional: bool = False
    dtype: str | None = None
    local: str | None = None


@dataclass(eq=False)
class Made:
    """How a module is constructed: its class, all its arguments by name, and those that may go unsaid."""

    cls: type
    arguments: dict[str, Any]
    unsaid: set[str] = field(default_factory=set)
    positional: int = 0
    source: nn.Module | None = None
    training: bool | None = None
    """The mode it always runs in, where a Keras call said ``training=``."""
    absent: list[str] = field(default_factory=list)
    """Weights that the constructor makes and Keras does without."""
    frozen: list[str] = field(default_factory=list)
    """Weights that the constructor leaves trainable and the model does not train."""
    origin: nn.Module | None = None
    """What stood here in the compiled module, where that is not the source itself."""


@dataclass(eq=False)
class Part:
    """An attribute of a unit: a module, a unit, several in a row, or a constant tensor.

    Attributes:
        frozen: names of weights inside that are not trained; "" is all of them.
        training: the mode that it always runs in.
        dtype: of its weights, where that is another than what is around it.
    """

    name: str
    what: Any  # Made | Unit | Row | Constant
    frozen: list[str] = field(default_factory=list)
    training: bool | None = None
    dtype: Any = None


@dataclass(eq=False)
class Row:
    """Units one after the other, each on what the one before it gave: ``nn.Sequential``."""

    units: list[Unit]


@dataclass(eq=False)
class Constant:
    """A tensor that is no weight."""

    tensor: Any


@dataclass(eq=False)
class Step:
    """A line of ``forward``: a call of a part, of a function or of a method of its first argument.

    Attributes:
        results: a value, or a structure of values and None as the call gives it.
        reads: the weight of the part that is read, where it is not called.
    """

    callee: Any  # Part | Callable | str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    results: Any
    reads: str = ""

    def values(self) -> list[Value]:
        """What it uses, in order."""
        return list(_found((self.args, self.kwargs)))

    def given(self) -> list[Value]:
        """What it gives."""
        return list(_found(self.results))


@dataclass(eq=False)
class Unit:
    """A class to be: what its ``forward`` takes, does and gives."""

    name: str
    inputs: list[Value]
    steps: list[Step]
    output: Any
    parts: list[Part]
    title: str = ""
    """What the docstring says of it."""
    origin: nn.Module | None = None
    """The compiled module that it was read from, where that is a part of another module."""
    frozen: bool = False
    """Whether nothing in it is trained, if it is the whole program."""
    dtype: Any = None
    """Of all its weights, if it is the whole program and that is not float32."""

    def uses(self) -> dict[Value, list[Step | None]]:
        """The steps that use each value; None is the output."""
        found: dict[Value, list[Step | None]] = {value: [] for value in self.inputs}
        for step in self.steps:
            for value in step.values():
                found.setdefault(value, []).append(step)
            for value in step.given():
                found.setdefault(value, [])
        for value in _found(self.output):
            found[value].append(None)
        return found


def _found(structure: Any) -> Iterator[Value]:
    if isinstance(structure, Value):
        yield structure
    elif isinstance(structure, dict):
        for item in structure.values():
            yield from _found(item)
    elif isinstance(structure, (list, tuple)):
        for item in structure:
            yield from _found(item)
    elif isinstance(structure, slice):
        yield from _found((structure.start, structure.stop, structure.step))


values_in = _found


def replaced(structure: Any, by: dict[Value, Value]) -> Any:
    """The same structure with other values in it."""
    return map_structure(lambda x: by.get(x, x) if isinstance(x, Value) else x, structure)


def units_of(what: Any) -> list[Unit]:
    """The units right below something, in order."""
    if isinstance(what, Unit):
        return [what]
    if isinstance(what, Row):
        return list(what.units)
    if isinstance(what, Made):
        return [unit for value in what.arguments.values() for unit in units_in(value)]
    return []


def units_in(value: Any) -> list[Unit]:
    """The units in the value of an argument."""
    if isinstance(value, (Unit, Made)):
        return units_of(value)
    if isinstance(value, dict):
        return [unit for item in value.values() for unit in units_in(item)]
    if isinstance(value, (list, tuple)):
        return [unit for item in value for unit in units_in(item)]
    return []


def all_units(top: Unit) -> list[Unit]:
    """A unit and all below it, those below first."""
    below = [unit for part in top.parts for inner in units_of(part.what) for unit in all_units(inner)]
    return [*below, top]
