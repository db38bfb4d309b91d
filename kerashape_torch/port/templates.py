"""Units that are alike become one class: what differs between them becomes arguments of its constructor."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from kerashape_torch.port.names import Names
from kerashape_torch.port.program import Constant, Made, Part, Row, Unit, Value

_FACTORS = range(2, 9)
_SIZES = {"in_channels": "channels", "out_channels": "channels", "num_features": "channels", "num_channels": "channels",
          "in_features": "features", "out_features": "features", "input_size": "features", "hidden_size": "units",
          "embedding_dim": "features", "normalized_shape": "features"}
"""What an argument that differs is called, by the argument of torch that it is."""


def is_size(name: str) -> bool:
    """Whether an argument is one of those that go without their names."""
    return name in _SIZES or re.sub(r"_\d+$", "", name) in _SIZES.values()


# ---- which units are alike -------------------------------------------------------------------------------------------


def skeleton(unit: Unit, of: Callable[[Unit], Any]) -> Any:
    """What units of one class have in common; ``of`` gives the class of a unit below."""
    places: dict[Value, int] = {}
    parts = {part: i for i, part in enumerate(unit.parts)}

    def place(x: Value | Part) -> Any:
        return ("part", parts[x]) if isinstance(x, Part) else ("value", places.setdefault(x, len(places)))

    frozen = frozen_with(place)
    steps = tuple((frozen(step.callee), frozen(step.args), frozen(step.kwargs), frozen(step.results))
                  for step in unit.steps)
    ranks = tuple(_rank(value) for value in places)
    members = tuple((part.name, tuple(part.frozen), part.training, part.dtype, kind_of(part.what, of))
                    for part in unit.parts)
    return frozen(unit.inputs), steps, frozen(unit.output), ranks, members


def frozen_with(place: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Makes a structure one that can be compared and hashed; ``place`` says what stands for a value or a part."""

    def frozen(x: Any) -> Any:
        if isinstance(x, (Value, Part)):
            return place(x)
        if isinstance(x, slice):
            return "slice", frozen(x.start), frozen(x.stop), frozen(x.step)
        if isinstance(x, dict):
            return "dict", tuple((key, frozen(item)) for key, item in x.items())
        if isinstance(x, (list, tuple)):
            return type(x).__name__, tuple(map(frozen, x))
        return type(x).__name__, x if _hashable(x) else id(x)

    return frozen


def _hashable(x: Any) -> bool:
    try:
        hash(x)
    except TypeError:
        return False
    return True


def _rank(value: Value) -> Any:
    return len(value.shape) if isinstance(value.shape, tuple) else None


def kind_of(what: Any, of: Callable[[Unit], Any]) -> Any:
    """What parts of one class have in common: everything but numbers."""
    if isinstance(what, Unit):
        return "unit", id(of(what))
    if isinstance(what, Row):
        return "row", tuple(kind_of(unit, of) for unit in what.units)
    if isinstance(what, Constant):
        return "constant", what.tensor.dtype, tuple(what.tensor.shape), _bytes_of(what.tensor)
    if isinstance(what, Made):
        arguments = tuple((name, kind_of(value, of)) for name, value in what.arguments.items())
        return what.cls, tuple(what.absent), arguments
    if _is_number(what):
        return "number"
    if isinstance(what, (list, tuple)):
        return type(what).__name__, tuple(kind_of(item, of) for item in what)
    if isinstance(what, dict):
        return "dict", tuple((key, kind_of(item, of)) for key, item in what.items())
    return type(what).__name__, what if _hashable(what) else id(what)


def _bytes_of(tensor: Any) -> bytes:
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return bytes(flat.view(torch.uint8).numpy()) if flat.numel() else b""


def _is_number(what: Any) -> bool:
    if isinstance(what, tuple):
        return bool(what) and all(map(_is_number, what))
    return type(what) in (int, float)


# ---- what differs ----------------------------------------------------------------------------------------------------


@dataclass
class Parameter:
    """An argument of a class: its name and its value in each unit; what it mostly is goes without saying."""

    name: str
    values: tuple[Any, ...]

    @property
    def default(self) -> Any:
        value, count = Counter(self.values).most_common(1)[0]
        return value if value in (0, 1) and count * 2 > len(self.values) and not is_size(self.name) else None


@dataclass
class Template:
    """A class of units that are alike."""

    name: str
    units: list[Unit]
    parameters: list[Parameter] = field(default_factory=list)
    found: dict[tuple[Any, ...], list[str]] = field(default_factory=dict)
    """What differs, in order, with the names of the arguments that it is."""

    def collect(self, values: Sequence[Any], argument: str) -> None:
        """Notes what differs among the values that an argument has in each unit."""
        first = values[0]
        if isinstance(first, Made):
            for name in first.arguments:
                self.collect([value.arguments[name] for value in values], name)
        elif isinstance(first, (list, tuple)) and not _is_number(first):
            for items in zip(*values):
                self.collect(items, argument)
        elif isinstance(first, dict):
            for name in first:
                self.collect([value[name] for value in values], name)
        elif _is_number(first) and any(value != first for value in values):
            self.found.setdefault(tuple(values), []).append(argument)

    def settle(self) -> None:
        """Chooses the parameters: the smallest vectors, of which others are multiples."""
        names = Names()
        chosen: dict[tuple[Any, ...], None] = {}
        for values in sorted(self.found, key=_size):
            if factor_of(values, list(chosen)) is None:
                chosen[values] = None
        for values in self.found:
            if values in chosen:
                self.parameters.append(Parameter(names.take(self._wanted(values, chosen)), values))
        self.parameters.sort(key=lambda parameter: (not is_size(parameter.name), parameter.default is not None))

    def _wanted(self, values: tuple[Any, ...], chosen: dict[tuple[Any, ...], None]) -> str:
        arguments = self.found[values]
        sizes = [other for other in self.found if other in chosen and is_size(self.found[other][0])]
        alone = len(sizes) < 2 or values not in sizes
        is_end = not alone and (values == sizes[0] or (values == sizes[-1] and len(sizes) > 2))
        if is_end and arguments[0].startswith("in_" if values == sizes[0] else "out_"):
            return arguments[0]
        return re.sub(r"_\d+$", "", _SIZES.get(arguments[0], arguments[0]))

    def text(self, values: tuple[Any, ...]) -> str | None:
        """How the class says a value that differs, in terms of its parameters."""
        for parameter in self.parameters:
            if parameter.values == values:
                return parameter.name
        found = factor_of(values, [parameter.values for parameter in self.parameters])
        if found is None:
            return None
        factor, i = found
        return f"{factor} * {self.parameters[i].name}"

    def arguments(self, unit: Unit) -> dict[str, Any]:
        at = next(i for i, each in enumerate(self.units) if each is unit)
        return {parameter.name: parameter.values[at] for parameter in self.parameters}


def _size(values: tuple[Any, ...]) -> float:
    return float(sum(x for value in values for x in (value if isinstance(value, tuple) else (value,))))


def factor_of(values: tuple[Any, ...], others: list[tuple[Any, ...]]) -> tuple[int, int] | None:
    """The small whole number with which one of the others gives these values, and which one it is."""
    if not all(type(value) is int for value in values):
        return None
    for factor in _FACTORS:
        for i, other in enumerate(others):
            if all(type(value) is int for value in other) and values == tuple(factor * value for value in other):
                return factor, i
    return None
