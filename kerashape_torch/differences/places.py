"""The rows of a table as places in a graph: each knows its path, what it takes from, and what takes from it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import cache

from kerashape_torch.graph import snake_case
from kerashape_torch.shape_table import Row, ShapeTable

_OTHER_NAMES = {"input_layer": "input", "functional": "model"}  # what older versions made names of


class Place:
    """A row, and where it stands.

    Attributes:
        path: ``model/layer``, once in a table.
        kind: the path without what numbering made of it, so that ``dense_1`` and ``dense_2`` are of one kind.
        number: its place in the table.
        above: the nested model that has it, or None.
        takes: the tensors that it takes, each as a place and which of its calls and outputs; the place is None where
            the table has no row for it.
        users: places that take from it.
        is_model: whether other rows are nested in it.
        is_repeated: whether a row above it is the same module, called before.
    """

    __slots__ = ("above", "is_model", "is_repeated", "kind", "number", "path", "row", "takes", "users")

    def __init__(self, row: Row, number: int, above: Place | None) -> None:
        self.row = row
        self.number = number
        self.above = above
        self.path: str = f"{above.path}/{row.name}" if above else row.name
        self.kind: str = f"{above.kind}/{_kind(row)}" if above else _kind(row)
        self.takes: list[tuple[Place | None, tuple[int, int]]] = []
        self.users: list[Place] = []
        self.is_model = self.is_repeated = False

    def __repr__(self) -> str:
        return f"<{self.path}>"

    @property
    def is_numbered(self) -> bool:
        """Whether its name was made of its class and a number, or holds places in a list, and so moves with others."""
        return self.kind != self.path

    @property
    def inputs(self) -> list[Place]:
        return [place for place, _ in self.takes if place is not None]


def _kind(row: Row) -> str:
    name = re.sub(r"_\d+$", "", row.name)
    made = _made_name(row.class_name)
    if name in (made, _OTHER_NAMES.get(made), row.class_name.lower()):
        return f"#{made}"
    return re.sub(r"(?<![^.])\d+(?![^.])", "#", row.name)


_made_name = cache(snake_case)  # a table has many layers of few classes


def places(table: ShapeTable) -> list[Place]:
    """The places of a table. Where it does not say what is connected, each row takes what the one before it gives."""
    found: list[Place] = []
    above: list[Place] = []
    for number, row in enumerate(table):
        del above[row.depth:]
        found.append(Place(row, number, above[-1] if above else None))
        if above:
            above[-1].is_model = True
        above.append(found[-1])
    _tell_apart(found)
    _connect(found, any(row.connected_to for row in table))
    return found


def _tell_apart(found: Sequence[Place]) -> None:
    """A module that is called again has rows of one name: the second is called ``conv (2)``."""
    seen: Counter[str] = Counter()
    for place in found:
        seen[place.path] += 1
        if seen[place.path] > 1:
            place.is_repeated = True
            place.path, place.kind = (f"{text} ({seen[place.path]})" for text in (place.path, place.kind))


def _connect(found: Sequence[Place], is_told: bool) -> None:
    scopes: dict[Place | None, dict[str, Place]] = {}
    for place in found:
        scope = scopes.setdefault(place.above, {})
        scope[place.row.name] = scope[place.row.name.replace(".", "_")] = place
    last: dict[Place | None, Place] = {}
    for place in found:
        before = last.get(place.above)
        if is_told:
            scope = scopes[place.above]
            place.takes = [(scope.get(x.layer, before), (x.call, x.output)) for x in place.row.connected_to]
        elif before:
            place.takes = [(before, (0, 0))]
        for each in dict.fromkeys(place.inputs):
            each.users.append(place)
        last[place.above] = place
