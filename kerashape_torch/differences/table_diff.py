"""What differs between two tables, as data and as text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from kerashape_torch.differences.causes import Departure, Meaning, departures
from kerashape_torch.differences.exact import Change, Exactly
from kerashape_torch.differences.places import Place, places
from kerashape_torch.differences.ports import UpToLayout
from kerashape_torch.errors import ConfigError
from kerashape_torch.shape_table import Row, ShapeTable

_MEANINGS: dict[str | None, type[Meaning]] = {None: Exactly, "any": UpToLayout}


class TableDiff:
    """What differs between two tables; it is true where something does. ``str()`` is made to be read.

    Attributes:
        before, after: the tables.
        causes: where they start to differ, in order: layers that changed by themselves, came or went. What moved only
            because of one stands in its ``follows``.
        renamed: paths before and after, of the same layers under names that a person gave.
        names: paths before and after, of all layers whose paths differ: what ``names`` takes.
        matched: how many layers both have.
        layout: what the tables are the same up to.
    """

    def __init__(self, before: ShapeTable, after: ShapeTable, layout: str | None = None,
                 names: Mapping[str, str] | None = None) -> None:
        if layout not in _MEANINGS:
            raise ConfigError(f'layout must be None or "any", got {layout!r}')
        self.before = before
        self.after = after
        self.layout = layout
        meaning = _MEANINGS[layout]()
        matching = meaning.match(places(before), places(after), names or {})
        self.causes: list[Departure] = departures((before, after), matching, meaning)
        self.matched = sum(1 for _ in matching.pairs())
        pairs = [pair for pair in matching.pairs() if pair[0].path != pair[1].path]
        self.names = {one.path: other.path for one, other in pairs}
        self.renamed = {one.path: other.path for one, other in pairs if meaning.renames(one, other)}

    def __bool__(self) -> bool:
        return bool(self.causes or self.renamed)

    def __str__(self) -> str:
        from kerashape_torch.differences.lines import plain

        return plain(self)

    def __repr__(self) -> str:
        return f"<TableDiff of {self.before.name} and {self.after.name}: {len(self.causes)} causes>"

    @property
    def added(self) -> dict[str, Row]:
        """Layers that only the table after has, by path."""
        return {place.path: place.row for each in self.causes if each.before is None and (place := each.after)}

    @property
    def removed(self) -> dict[str, Row]:
        """Layers that only the table before has, by path."""
        return {place.path: place.row for each in self.causes if each.after is None and (place := each.before)}

    @property
    def changed(self) -> dict[str, list[Change]]:
        """What differs in layers that both have, by their path after; causes and what follows."""
        found = [each for cause in self.causes for each in (cause, *cause.follows) if each.before and each.after]
        return {each.path: each.changes for each in sorted(found, key=_number)}

    def to_dict(self) -> dict[str, Any]:
        """The diff as values that JSON can hold."""
        return {"same": not self, "before": _totals(self.before), "after": _totals(self.after),
                "causes": [{**_described(cause), "follows": list(map(_described, cause.follows))}
                           for cause in self.causes], "renamed": self.renamed, "names": self.names}

    def to_json(self, **kwargs: Any) -> str:
        """The diff as JSON text."""
        return json.dumps(self.to_dict(), **kwargs)


def _number(departure: Departure) -> int:
    return departure.after.number if departure.after else -1


def _totals(table: ShapeTable) -> dict[str, Any]:
    return {key: value for key, value in table.to_dict().items() if key != "layers"}


def _described(departure: Departure) -> dict[str, Any]:
    place = departure.place
    row: dict[str, Any] = {"class_name": place.row.class_name} if place else {}
    if departure.how != "changed" and place:
        row["row"] = place.row.to_dict()
    return {"how": departure.how, "name": departure.path, **_old_name(departure.before, departure.after), **row,
            "changes": [change._asdict() for change in departure.changes]}


def _old_name(before: Place | None, after: Place | None) -> dict[str, str]:
    return {"name_before": before.path} if before and after and before.path != after.path else {}


def diff(before: Any, after: Any, input_shape: Any = None, *, layout: str | None = None,
         names: Mapping[str, str] | None = None) -> TableDiff:
    """What moved from one model to another: shapes, weights, parameter counts, layers that came, went or were renamed.

    Args:
        before, after: shape tables, or anything that ``shape_table`` takes.
        input_shape: for those that know none.
        layout: ``"any"`` compares a model with its port to another framework: shapes up to the place of the channels,
            weights up to the order of their axes, and only layers that have weights or slide windows.
        names: paths before and after of layers that belong together, where the diff does not find it by itself.

    >>> from kerashape_torch.layers import Dense
    >>> from kerashape_torch.models import Sequential
    >>> print(diff(Sequential([Dense(4), Dense(1)]), Sequential([Dense(5), Dense(1)]), 3))
    sequential: 1 layer changed, 1 follows
    <BLANKLINE>
    ~ dense (Dense)
        output  (None, 4)  ->  (None, 5)
                       ^              ^
        kernel  (3, 4)     ->  (3, 5)
                    ^              ^
        bias    (4)        ->  (5)
        1 layer follows:
          dense_1  still (None, 1)  5 -> 6 params
    <BLANKLINE>
    params         21 -> 26 (+5)
    """
    from kerashape_torch.shape_table import shape_table

    one, other = (x if isinstance(x, ShapeTable) else shape_table(x, input_shape) for x in (before, after))
    return TableDiff(one, other, layout, names)
