"""A diff as lines: with carets under what moved where the text is plain, in colours on a terminal."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from kerashape_torch.differences.causes import Departure
from kerashape_torch.differences.exact import Change
from kerashape_torch.differences.places import Place
from kerashape_torch.differences.sequences import in_common
from kerashape_torch.shape_table import Row, ShapeTable, shape_text
from kerashape_torch.structure import is_shape
from kerashape_torch.text import aligned

if TYPE_CHECKING:
    from kerashape_torch.differences.table_diff import TableDiff

_WIDEST = 160
"""A line that is wrapped leaves its carets behind."""
_MOST_BLOCKS = 40
_MOST_ROWS = 16
_MOST_RUNS = 8
_NO_SHAPES = ("class", "trainable", "dtype")


class Part(NamedTuple):
    """A piece of a line: ``style`` is ``moved`` for what carets point at, or a colour's name."""

    text: str
    style: str = ""


Line = list[Part]


def plain(diff: TableDiff) -> str:
    """The diff as text, with carets under the axes that moved."""
    found = []
    for line in _printable(lines(diff)):
        found.append("".join(part.text for part in line).rstrip())
        if len(found[-1]) <= _WIDEST and any("moved" in part.style for part in line):
            found.append("".join(("^" if "moved" in part.style else " ") * len(part.text) for part in line).rstrip())
    return "\n".join(found)


def print_diff(diff: TableDiff) -> None:
    """Prints the diff in colours."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    for line in _printable(lines(diff)):
        console.print(Text.assemble(*((part.text, part.style.replace("moved", "bold")) for part in line)))


def _printable(found: Iterable[Line]) -> Iterator[Line]:
    for line in found:
        yield [Part(printable(part.text), part.style) for part in line]


def printable(text: str) -> str:
    """Names come from files: what would break a line, or command a terminal, is written as an escape.

    >>> print(printable("a\\nb"))
    a\\nb
    """
    return "".join(x if x.isprintable() else ascii(x)[1:-1] for x in text)


def _columns(cells: Iterable[Sequence[str]], right: Sequence[int] = ()) -> list[str]:
    return aligned([list(map(printable, row)) for row in cells], right).split("\n")


def lines(diff: TableDiff) -> Iterator[Line]:
    """Headline, a block for each cause with what follows from it, and what it comes to."""
    if not diff:
        yield [Part(_no_difference(diff))]
        return
    yield [Part(headline(diff), "bold")]
    found = list(_blocks(diff.causes))
    for block in found[:_MOST_BLOCKS]:
        yield []
        yield from _block(block, diff)
    if len(found) > _MOST_BLOCKS:
        left = sum(map(len, found[_MOST_BLOCKS:]))
        yield []
        yield [Part(f"... and {left:,} more; to_dict() and --json have all")]
    totals = [*_renamed(diff), *_totals(diff)]
    if totals:
        yield []
        yield from totals
    if diff.layout is None and len({_is_torch(table) for table in (diff.before, diff.after)}) > 1:
        yield []
        yield [Part('One is of Keras and one of torch: layout="any", or --layout any, compares them by meaning.')]


def headline(diff: TableDiff) -> str:
    """What happened, counted."""
    counts = Counter(cause.how for cause in diff.causes if cause.place)
    said = [(counts[how], how) for how in ("changed", "added", "removed")] + [(len(diff.renamed), "renamed")]
    layers = [f"{count:,} {how}" for count, how in said if count]
    if layers:
        number, _, how = layers[0].partition(" ")
        layers[0] = f"{number} layer{'' if number == '1' else 's'} {how}"
    follow = sum(len(cause.follows) for cause in diff.causes)
    ends = [f"the model's {change.what} changed" for change in _of_model(diff)]
    following = [f"{follow:,} follow{'s' if follow == 1 else ''}"] if follow else []
    name = " -> ".join(dict.fromkeys((diff.before.name, diff.after.name)))
    return f"{name}: {', '.join([*ends, *layers, *following])}"


def _of_model(diff: TableDiff) -> list[Change]:
    return [change for cause in diff.causes if not cause.place for change in cause.changes]


def _is_torch(table: ShapeTable) -> bool:
    return any(re.search(r"[a-z]\dd$|^Linear$", row.class_name) for row in table)


def _no_difference(diff: TableDiff) -> str:
    if diff.layout is not None:
        return f"no difference up to layout, in {diff.matched:,} layer{'' if diff.matched == 1 else 's'}"
    return f"no difference, but for the numbers in {len(diff.names):,} names" if diff.names else "no difference"


# ---- causes ----------------------------------------------------------------------------------------------------------


def _blocks(causes: Iterable[Departure]) -> Iterator[list[Departure]]:
    """Causes that are told together: layers that came or went side by side, and all that changed in one way."""
    alike: dict[Hashable, list[Departure]] = {}
    last: Departure | None = None
    for cause in causes:
        way: Hashable = _way(cause)
        if cause.how != "changed":
            is_beside = last and last.how == cause.how and not last.follows and _number(cause) == _number(last) + 1
            way = next(reversed(alike)) if is_beside else cause
        alike.setdefault(cause if way is None else way, []).append(cause)
        last = cause
    yield from alike.values()


def _way(cause: Departure) -> Hashable:
    """In what way a layer changed that many may have changed in: None where it is one of its own."""
    ways = [change if change.what in _NO_SHAPES else (change.what, change.before == "nothing")
            if "nothing" in change[1:] else None for change in cause.changes]
    return None if None in ways or cause.follows else tuple(ways)


def _number(cause: Departure) -> int:
    return cause.place.number if cause.place else -1


def _block(block: Sequence[Departure], diff: TableDiff) -> Iterator[Line]:
    first = block[0]
    sign, colour = {"changed": ("~", "yellow"), "added": ("+", "green"), "removed": ("-", "red")}[first.how]
    if first.how == "changed":
        title = _title(first) if len(block) == 1 else f"{len(block):,} layers: {_some([each.path for each in block])}"
        yield [Part(f"{sign} {title}", colour)]
        yield from _change_lines(list(map(_together, zip(*(each.changes for each in block)))), diff.layout is not None)
    else:
        rows = [(each.path, *_ends(each.place.row)) for each in block[:_MOST_ROWS] if each.place]
        yield from ([Part(f"{sign} {line}", colour)] for line in _columns(rows, right=(4,)))
        if left := block[_MOST_ROWS:]:
            yield [Part(f"{sign} and {_names(left)}", colour)]
        where = _where(block)
        if where:
            yield [Part(f"    {where}")]
    yield from _following([each for cause in block for each in cause.follows])


def _title(cause: Departure) -> str:
    if cause.before is None or cause.after is None:
        return cause.path
    old = f"{cause.before.path} -> " if cause.before.path != cause.after.path else ""
    return f"{old}{cause.path} ({cause.after.row.class_name})"


def _ends(row: Row) -> tuple[str, ...]:
    return (f"({row.class_name})", shape_text(row.input_shape), f"-> {shape_text(row.output_shape)}",
            f"{row.params:,} params" if row.params else "")


def _where(block: Sequence[Departure]) -> str:
    """Between which of the layers that stay."""
    inside = {each.place for each in block}

    def names(found: Iterable[Place]) -> str:
        outside = dict.fromkeys(place.path for place in found if place not in inside)
        return ", ".join(list(outside)[:3]) + (", ..." if len(outside) > 3 else "")

    before = names(x for each in block if each.place for x in each.place.inputs)
    after = names(x for each in block if each.place for x in each.place.users)
    if before and after:
        return f"between {before} and {after}"
    return f"after {before}" if before else f"before {after}" if after else ""


def _together(changes: Sequence[Change]) -> Change:
    """The same change of several layers."""
    values = [list(dict.fromkeys(each)) for each in list(zip(*changes))[1:]]
    return Change(changes[0].what, *(", ".join([*each[:3], "..."] if len(each) > 3 else each) for each in values))


def _change_lines(changes: Sequence[Change], up_to_layout: bool) -> Iterator[Line]:
    changes = [change for change in changes if change.what != "input"] or changes  # it stands where it came from
    widths = [max(len(change[i]) for change in changes) for i in (0, 1)]
    for change in changes:
        before, after = _marked(change.before, change.after, up_to_layout)
        space = " " * (widths[1] - len(change.before))
        yield [Part(f"    {change.what.ljust(widths[0])}  "), *(Part(t, f"{s} red".strip()) for t, s in before),
               Part(f"{space}  ->  "), *(Part(t, f"{s} green".strip()) for t, s in after)]


def _marked(before: str, after: str, up_to_layout: bool) -> tuple[Line, Line]:
    """Both texts in pieces; those that differ are ``moved``, unless no others are left."""
    pieces = [re.findall(r"\w+|\W+", text) for text in (before, after)]
    words = [[i for i, piece in enumerate(side) if piece[0].isalnum()] for side in pieces]
    spoken = [[side[i] for i in places] for side, places in zip(pieces, words)]
    if up_to_layout:
        kept = [_in_both(*spoken), _in_both(*reversed(spoken))]
    else:
        same = [(i, i) for i, (a, b) in enumerate(zip(*spoken)) if a == b]
        kept = list(map(set, zip(*(same if len(spoken[0]) == len(spoken[1]) else in_common(*spoken)))))
    if not any(kept):
        return [Part(before)], [Part(after)]
    stays = [{places[i] for i in each} for places, each in zip(words, kept)]
    one, other = ([Part(piece, "moved" if i in set(places) - stay else "") for i, piece in enumerate(side)]
                  for side, places, stay in zip(pieces, words, stays))
    return one, other


def _in_both(words: Sequence[str], others: Sequence[str]) -> set[int]:
    left = Counter(others)
    found = set()
    for i, word in enumerate(words):
        if left[word]:
            left[word] -= 1
            found.add(i)
    return found


# ---- what follows ----------------------------------------------------------------------------------------------------


def _following(follows: Sequence[Departure]) -> Iterator[Line]:
    """Runs of layers that give the same now; where nothing moved in what a layer gives, the departure ends."""
    if not follows:
        return
    runs = [list(run) for _, run in groupby(follows, _way_it_moved)]
    yield [Part(f"    {len(follows):,} {'layer follows' if len(follows) == 1 else 'layers follow'}:", "dim")]
    shown = runs if len(runs) <= _MOST_RUNS + 1 else runs[:_MOST_RUNS]
    cells = [(_names(run), _run_text(run), _run_params(run)) for run in shown]
    yield from ([Part(f"      {line}", "dim")] for line in _columns(cells))
    left = [each for run in runs[len(shown):] for each in run]
    if left:
        yield [Part(f"      and {_names(left)}", "dim")]


def _gave(departure: Departure) -> tuple[Any, Any]:
    """What a place gave, and what it gives."""
    before, after = (place.row.output_shape if place else None for place in (departure.before, departure.after))
    return before, after


def _way_it_moved(departure: Departure) -> Hashable:
    """Which axes moved from what to what; of several shapes, all of them."""
    before, after = _gave(departure)
    if not is_shape(before) or not is_shape(after) or len(before) != len(after):
        return shape_text(before), shape_text(after)
    return len(before), tuple((i, *pair) for i, pair in enumerate(zip(before, after)) if pair[0] != pair[1])


def _names(run: Sequence[Departure]) -> str:
    """Of neighbours: the first and the last."""
    names = [each.path for each in run]
    return ", ".join(names) if len(names) <= 2 else f"{names[0]} ... {names[-1]} ({len(names):,})"


def _some(names: Sequence[str]) -> str:
    """Of layers that stand anywhere: a few."""
    return ", ".join(names if len(names) <= 5 else [*names[:3], "...", names[-1]])


def _run_text(run: Sequence[Departure]) -> str:
    before, after = (_common_shape(shapes) for shapes in zip(*map(_gave, run)))
    return f"{before} -> {after}" if before != after else f"still {after}"


def _common_shape(shapes: Sequence[Any]) -> str:
    """One shape for several, with * for an axis in which they differ."""
    if not all(map(is_shape, shapes)):
        return shape_text(shapes[0])
    axes = [set(sizes) for sizes in zip(*shapes)]
    return "(" + ", ".join("*" if len(sizes) > 1 else str(*sizes) for sizes in axes) + ")"


def _run_params(run: Sequence[Departure]) -> str:
    counts = [sum(place.row.params or 0 for each in run if (place := getattr(each, side)) and not place.is_model)
              for side in ("before", "after")]
    return f"{counts[0]:,} -> {counts[1]:,} params" if counts[0] != counts[1] else ""


# ---- what it comes to ------------------------------------------------------------------------------------------------


def _renamed(diff: TableDiff) -> Iterator[Line]:
    """Names that changed in one way are told together: ``a_conv ... a_relu -> b_conv ... b_relu (3)``."""
    ways: dict[Hashable, list[tuple[str, str]]] = {}
    for old, new in diff.renamed.items():
        letters = zip(reversed(old), reversed(new))
        same = next((i for i, (a, b) in enumerate(letters) if a != b), min(len(old), len(new)))
        ways.setdefault((old[:len(old) - same], new[:len(new) - same]), []).append((old, new))
    found = [" -> ".join(f"{names[0]} ... {names[-1]}" if len(names) > 1 else names[0] for names in zip(*pairs))
             + (f" ({len(pairs):,})" if len(pairs) > 1 else "") for pairs in ways.values()]
    if len(found) > _MOST_ROWS:
        found[_MOST_ROWS:] = [f"and {len(found) - _MOST_ROWS:,} more"]
    for i, text in enumerate(found):
        yield [Part(f"{'' if i else 'renamed':<13}  {text}")]


def _totals(diff: TableDiff) -> Iterator[Line]:
    one, other = diff.before, diff.after
    if diff.layout is None and not _of_model(diff):
        for what in ("input", "output"):
            ends = [shape_text(getattr(table, f"{what}_shape")) for table in (one, other)]
            if ends[0] != ends[1]:
                yield [Part(f"{what:<13}  {ends[0]} -> {ends[1]}")]
    counts = [(table.params, table.trainable.params, table.non_trainable.params) for table in (one, other)]
    names = ("params", "trainable", "non-trainable") if any(each[2] for each in counts) else ("params",)
    for what, before, after in zip(names, *counts):
        if before != after:
            yield [Part(f"{what:<13}  {before:,} -> {after:,} ({after - before:+,})")]
