"""Where a departure starts, and what merely follows from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from kerashape_torch.differences.exact import Change
from kerashape_torch.differences.explained import follows_from_inputs
from kerashape_torch.differences.matching import Matching
from kerashape_torch.differences.places import Place
from kerashape_torch.shape_table import Row, ShapeTable, shape_text
from kerashape_torch.structure import flatten_shapes


@dataclass(eq=False)
class Departure:
    """A place that moved.

    Attributes:
        before, after: the place in either table; None where that table has none, and both None for the model itself.
        changes: what differs.
        follows: what moved because this did.
    """

    before: Place | None
    after: Place | None
    changes: list[Change]
    follows: list[Departure] = field(default_factory=list)

    @property
    def how(self) -> str:
        """``changed``, ``added`` or ``removed``."""
        if (self.before is None) == (self.after is None):
            return "changed"
        return "added" if self.before is None else "removed"

    @property
    def place(self) -> Place | None:
        """Where it is now, or was."""
        return self.after or self.before

    @property
    def path(self) -> str:
        return self.place.path if self.place else "the model"


class Meaning(Protocol):
    """What it is for two rows to be the same."""

    def match(self, before: Sequence[Place], after: Sequence[Place], names: Mapping[str, str]) -> Matching: ...
    def renames(self, before: Place, after: Place) -> bool: ...
    def matters(self, place: Place) -> bool: ...
    def same_shapes(self, before: Any, after: Any) -> bool: ...
    def changes(self, before: Place, after: Place) -> list[Change]: ...
    def seen(self, row: Row) -> Row: ...


def departures(tables: tuple[ShapeTable, ShapeTable], matching: Matching, meaning: Meaning) -> list[Departure]:
    """Where the tables start to differ, in their order; all else that differs follows from one of these."""
    return _Walk(tables, matching, meaning).found()


class _Walk:
    """Goes through the places in order and carries along what moved what."""

    def __init__(self, tables: tuple[ShapeTable, ShapeTable], matching: Matching, meaning: Meaning) -> None:
        self.tables = tables
        self.matching = matching
        self.meaning = meaning
        self.starts: dict[Departure, int] = {}  # in order, and numbered
        self.moved: dict[Place, Departure] = {}  # what gives something else than before, and where that started
        ends = tables[0].input_shape, tables[1].input_shape
        has_inputs = any(row.class_name == "InputLayer" and not row.depth for row in tables[1])
        self.of_model = None if has_inputs or meaning.same_shapes(*ends) else Departure(
            None, None, [Change("input", *map(shape_text, ends))])
        self.models: list[tuple[Departure, Place]] = []

    def found(self) -> list[Departure]:
        for place in self._in_order():
            other = self.matching.partner.get(place)
            if other is not None:
                self._visit(other, place)
            elif self.meaning.matters(place) and place not in self.matching.settled:
                self._visit_alone(place)
            elif passed := [self.moved[each] for each in place.inputs if each in self.moved]:
                self.moved[place] = passed[-1]
        for departure, place in reversed(self.models):
            self._settle(departure, place)
        ends = self.tables[0].output_shape, self.tables[1].output_shape
        if not self.starts and self.of_model is None and not self.meaning.same_shapes(*ends):
            self.of_model = Departure(None, None, [Change("output", *map(shape_text, ends))])
        found = [*([self.of_model] if self.of_model else []), *self.starts]
        for start in found:
            start.follows.sort(key=lambda each: each.after.number if each.after else -1)
        return found

    def _in_order(self) -> Iterator[Place]:
        """The places after, with those that are gone where they were."""
        gone: dict[int, list[Place]] = {}
        last = -1
        for place in self.matching.before:
            if place in self.matching.partner:
                last = max(last, self.matching.partner[place].number)
            else:
                gone.setdefault(last, []).append(place)
        yield from gone.get(-1, ())
        for place in self.matching.after:
            yield place
            yield from gone.get(place.number, ())

    def _visit_alone(self, place: Place) -> None:
        if place.above in self.moved and place.above not in self.matching.partner:
            self.moved[place] = self.moved[place.above]  # it came or went with the model that has it
            return
        is_new = place.number < len(self.matching.after) and self.matching.after[place.number] is place
        departure = Departure(None, place, []) if is_new else Departure(place, None, [])
        self._begin(departure)
        takes = place.inputs if is_new else [self.matching.partner.get(x, x) for x in place.inputs]
        through = [self.moved[each] for each in takes if each in self.moved] if _gives_what_it_takes(place.row) else []
        self.moved[place] = through[-1] if through else departure

    def _begin(self, departure: Departure) -> None:
        self.starts[departure] = len(self.starts)

    def _visit(self, before: Place, after: Place) -> None:
        changes = self.meaning.changes(before, after)
        rewired = None if before.is_model and after.is_model else self._rewired(before, after)
        if rewired:
            changes.append(rewired)
        if not changes:
            return
        departure = Departure(before, after, changes)
        if after.is_model and before.is_model:
            self.models.append((departure, after))
            return
        start = self._start(before, after)
        if start is None or rewired or not self._is_explained(before, after, changes):
            self._begin(departure)
            start = departure
        else:
            start.follows.append(departure)
        if not self.meaning.same_shapes(before.row.output_shape, after.row.output_shape):
            self._mark(after, start)

    def _is_explained(self, before: Place, after: Place, changes: Sequence[Change]) -> bool:
        is_same_layer = not any(change.what in ("class", "trainable", "dtype") for change in changes)
        return is_same_layer and follows_from_inputs(self.meaning.seen(before.row), self.meaning.seen(after.row))

    def _mark(self, place: Place, start: Departure) -> None:
        """What a nested model gives moves with what its last layers give."""
        above: Place | None = place
        while above is not None and (above is place or not self._gives_the_same(above)):
            self.moved[above] = start
            above = above.above

    def _gives_the_same(self, place: Place) -> bool:
        other = self.matching.partner.get(place)
        return other is None or self.meaning.same_shapes(other.row.output_shape, place.row.output_shape)

    def _settle(self, departure: Departure, place: Place) -> None:
        """A nested model follows from what moved inside it or before it; only what nothing explains is its own."""
        inside = [start for start in self.starts
                  if any(self._is_inside(each.place, place) for each in (start, *start.follows))]
        start = inside[-1] if inside else self._start(departure.before, departure.after)
        if start is None:
            self._begin(departure)
        else:
            start.follows.append(departure)

    def _is_inside(self, place: Place | None, model: Place) -> bool:
        above = place.above if place else None
        return above is not None and (above is model or self.matching.partner.get(above) is model)

    def _start(self, before: Place | None, after: Place | None) -> Departure | None:
        """Where what a place takes started to move: the nearest, where there are several."""
        assert before is not None and after is not None
        if self.meaning.same_shapes(before.row.input_shape, after.row.input_shape):
            return None
        sources = [*after.inputs, *(place for place in before.inputs if place not in self.matching.partner)]
        found = [self.moved[place] for place in sources if place in self.moved]
        if found:
            return max(found, key=lambda start: self.starts.get(start, -1))
        if after.above is None:
            return self.of_model
        above = self.matching.partner.get(after.above)
        return self._start(above, after.above) if above and not after.inputs else None

    def _rewired(self, before: Place, after: Place) -> Change | None:
        """The same places in other connections. Next to a place that came or went this says nothing new."""
        if not (before.row.connected_to and after.row.connected_to):
            return None
        took = [(self.matching.partner.get(place) if place else None, which) for place, which in before.takes]
        is_beside = any(place not in self.matching.partner for place in (*before.inputs, *after.inputs))
        if took == after.takes or (is_beside and not self._takes_another(before, after)):
            return None
        return Change("connected to", *(", ".join(map(str, row.connected_to)) for row in (before.row, after.row)))


    def _takes_another(self, before: Place, after: Place) -> bool:
        """Whether a place takes, instead of one that is gone, something else than that one had taken."""
        if len(before.takes) != len(after.takes):
            return False
        missing = [place for place in self.matching.free(before.inputs) if self.meaning.matters(place)]
        return any(gone is not None and gone in missing and taken[0] in self.matching.partner
                   and taken not in self._sources(gone) for (gone, _), taken in zip(before.takes, after.takes))

    def _sources(self, gone: Place) -> set[tuple[Place, tuple[int, int]]]:
        """What there still is of all that a place that is gone had taken."""
        found = set()
        waiting = [gone]
        for place in waiting:
            for taken, which in place.takes:
                partner = self.matching.partner.get(taken) if taken else None
                if partner is not None:
                    found.add((partner, which))
                elif taken is not None:
                    waiting.append(taken)
        return found


def _gives_what_it_takes(row: Row) -> bool:
    return len({shape for end in (row.input_shape, row.output_shape) if end for shape in flatten_shapes(end)}) == 1
