"""Tables of one kind: shapes are compared axis by axis, weights by their names."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

from kerashape_torch.differences.explained import own_sizes
from kerashape_torch.differences.matching import Matching, surroundings
from kerashape_torch.differences.places import Place
from kerashape_torch.shape import to_text
from kerashape_torch.shape_table import Row, Weight, shape_text


class Change(NamedTuple):
    """One field of a row, or one weight, before and after."""

    what: str
    before: str
    after: str


class Exactly:
    """How two tables are compared when every axis has to stay where it is."""

    def match(self, before: Sequence[Place], after: Sequence[Place], names: Mapping[str, str]) -> Matching:
        """Names first, where a person gave them; then what a layer is and where it stands, ever less strictly."""
        found = Matching(before, after)
        found.by_names(names)
        found.equal_ends()
        found.unique(lambda place: None if place.is_numbered else (place.path, place.row.class_name))
        found.unique(surroundings((before, after), lambda place: (place.kind, _made_of(place))))
        found.in_order(lambda place: (place.kind, _looks(place)))
        found.in_order(lambda place: (place.kind, _made_of(place)))
        found.in_order(lambda place: (place.kind, place.row.class_name, own_sizes(place.row)))
        found.in_order(lambda place: (place.kind, place.row.class_name))
        found.unique(lambda place: None if place.is_numbered else place.path)
        found.unique(surroundings((before, after), _looks))
        found.in_order(_looks)
        found.in_order(_made_of)
        found.in_order(lambda place: place.row.class_name)
        return found

    def seen(self, row: Row) -> Row:
        """The row in the one way in which rows of both tables can be held against each other."""
        return row

    def matters(self, place: Place) -> bool:
        """Whether it is a difference that only one table has this place."""
        return True

    def renames(self, before: Place, after: Place) -> bool:
        """Whether another name is a difference: not where it comes from numbering."""
        return before.path != after.path and before.kind != after.kind

    def same_shapes(self, before: Any, after: Any) -> bool:
        return bool(before == after) or shape_text(before) == shape_text(after)

    def changes(self, before: Place, after: Place) -> list[Change]:
        """What differs between two rows, but for what they are connected to."""
        one, other = before.row, after.row
        if one == other:
            return []
        found = [Change(what, a, b) for what, a, b in (
            ("class", one.class_name, other.class_name),
            ("input", shape_text(one.input_shape), shape_text(other.input_shape)),
            ("output", shape_text(one.output_shape), shape_text(other.output_shape))) if a != b]
        trainable = one.trainable != other.trainable
        if trainable:
            found.append(Change("trainable", *("yes" if row.trainable else "no" for row in (one, other))))
        return found + _weight_changes(one.weights, other.weights, trainable)


def _weight_changes(before: Sequence[Weight], after: Sequence[Weight], as_row: bool) -> list[Change]:
    """What differs between weights; a dtype that all of them changed is said once, and so is ``trainable`` of a row."""
    if before == after:
        return []
    dtypes = [{weight.dtype for weight in weights} for weights in (before, after)]
    as_one = dtypes[0] != dtypes[1] and len(dtypes[0]) == len(dtypes[1]) == 1
    found = [Change("dtype", *(next(iter(each)) for each in dtypes))] if as_one else []

    def text(weight: Weight | None, other: Weight | None) -> str:
        if weight is None:
            return "nothing"
        fixed = other is not None and not as_row and weight.trainable != other.trainable and not weight.trainable
        dtype = other is not None and not as_one and weight.dtype != other.dtype
        return to_text(weight.shape) + (f" {weight.dtype}" if dtype else "") + (" not trainable" if fixed else "")

    sides = [{weight.name: weight for weight in weights} for weights in (before, after)]
    for name in dict.fromkeys([*sides[0], *sides[1]]):
        one, other = (side.get(name) for side in sides)
        if (pair := (text(one, other), text(other, one)))[0] != pair[1]:
            found.append(Change(name, *pair))
    return found


def _made_of(place: Place) -> Hashable:
    row = place.row
    return row.class_name, tuple((weight.name, weight.shape) for weight in row.weights)


def _looks(place: Place) -> Hashable:
    return _made_of(place), shape_text(place.row.input_shape), shape_text(place.row.output_shape)
