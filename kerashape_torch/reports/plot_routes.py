"""The second half of a layered drawing: bands along the flow, columns for what is too long, and the ways of the lines.

Inside a row's band a line only runs along the flow, on the place of its own box or dummy; it moves sideways in the gaps
between bands. So no line ever runs through a box.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

from kerashape_torch.reports.plot_coordinates import coordinates
from kerashape_torch.reports.plot_diagram import Link
from kerashape_torch.reports.plot_layers import Item, Rows

Point = tuple[float, float]

ARROW = 8.0
GAP = 34.0
LEAD = 40.0
CHANNEL = 44.0
CORNER = 9.0
PORTS = 16.0
LOOP = 26.0
LONGEST = 24
"""Up to so many rows nothing is folded into columns."""


@dataclass
class Way:
    """The way of one link: a start and steps of one point (straight) or three (a curve); the arrow is at its end."""

    link: Link
    start: Point
    steps: list[tuple[Point, ...]] = field(default_factory=list)

    @property
    def end(self) -> Point:
        return self.steps[-1][-1]

    def line(self, *point: float) -> None:
        here = self.steps[-1][-1] if self.steps else self.start
        if abs(here[0] - point[0]) + abs(here[1] - point[1]) > 1e-6:
            self.steps.append(((point[0], point[1]),))

    def curve(self, across: float, along: float) -> None:
        """Sideways, leaving and arriving along the flow."""
        here = self.steps[-1][-1] if self.steps else self.start
        if abs(across - here[0]) < 0.01:
            self.line(across, along)
            return
        half = (here[1] + along) / 2
        self.steps.append(((here[0], half), (across, half), (across, along)))

    def corner(self, at: Point, towards: Point) -> None:
        """Straight to a corner, and round it."""
        here = self.steps[-1][-1] if self.steps else self.start
        radius = min(CORNER, math.dist(here, at) / 2, math.dist(at, towards) / 2)
        before, after = _on_the_way(at, here, radius), _on_the_way(at, towards, radius)
        self.line(*before)
        self.steps.append((at, at, after))

    def reversed(self) -> Way:
        points = [self.start, *(step[-1] for step in self.steps)]
        back = [(*step[-2::-1], start) for start, step in zip(points, self.steps)]
        return Way(self.link, self.end, back[::-1])


def _on_the_way(start: Point, end: Point, length: float) -> Point:
    share = length / (math.dist(start, end) or 1.0)
    return start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share


@dataclass
class Layout:
    """Where everything is: of each item its anchor across the flow and its beginning along it."""

    places: list[Point]
    ways: list[Way]
    across: float
    along: float


def layout(items: Sequence[Item], links: Sequence[Link], aspect: float) -> Layout:
    """Arranges boxes and links.

    Args:
        aspect: the length along the flow over the width across it that a folded drawing should have.
    """
    loops = {link.source for link in links if link.source == link.target}
    roomy = [item._replace(after=item.after + LOOP) if i in loops else item for i, item in enumerate(items)]
    if not items:
        return Layout([], [], 0.0, 0.0)
    rows = Rows(roomy, links)
    return _Router(rows, coordinates(rows), aspect).layout()


class _Router:
    def __init__(self, rows: Rows, x: list[float], aspect: float) -> None:
        self.rows = rows
        self.x = x
        self.bands = [max((self._depth(point) for point in row), default=0.0) for row in rows.rows]
        self._count_lines()
        self.gaps = [self._gap(i) for i in range(len(rows.rows) - 1)]
        self.folds = set(_folds(self, aspect))
        self._fold()
        self._place_ports()

    def _depth(self, point: int) -> float:
        return 0.0 if self.rows.is_dummy(point) else self.rows.items[point].depth

    def _before(self, point: int) -> float:
        return 0.0 if self.rows.is_dummy(point) else self.rows.items[point].before

    def _after(self, point: int) -> float:
        return 0.0 if self.rows.is_dummy(point) else self.rows.items[point].after

    def _count_lines(self) -> None:
        """For each gap the different lines that cross it: where it is one alone, the drawing can be folded."""
        self.lines: list[set[tuple[int, int]]] = [set() for _ in self.rows.rows]
        for number, chain in enumerate(self.rows.chains):
            link = self.rows.links[number]
            for point in chain[:-1]:
                out = number if self.rows.backward[number] else -1
                if point == chain[0] and not self.rows.backward[number]:
                    out = -2 - link.out
                self.lines[self.rows.rank[point]].add((point, out))

    def _gap(self, row: int) -> float:
        """Wider where lines go far sideways, so that they do not become flat."""
        far = max((abs(self.x[p] - self.x[q]) for p in self.rows.rows[row] for q in self.rows.lower[p]), default=0.0)
        return GAP + min(56.0, max(0.0, far - 120) * 0.08)

    # ---- columns -----------------------------------------------------------------------------------------------------

    def _fold(self) -> None:
        """Gives each row its column, its shift across and its place along the flow."""
        self.shift, self.along = [0.0] * len(self.bands), [0.0] * len(self.bands)
        self.bottoms, self.rights = [], []
        start, left = 0, 0.0
        for fold in [*sorted(self.folds), len(self.bands) - 1]:
            members = range(start, fold + 1)
            y = LEAD if self.folds else 0.0
            for row in members:
                self.along[row] = y
                y += self.bands[row] + (self.gaps[row] if row < fold else 0.0)
            low, high = self.extent(start, fold)
            for row in members:
                self.shift[row] = left - low
            left += high - low + CHANNEL
            self.bottoms.append(y)
            self.rights.append(left - CHANNEL / 2)
            start = fold + 1
        self.width = left - CHANNEL
        self.length = max([*(bottom + LEAD / 2 for bottom in self.bottoms[:-1]), self.bottoms[-1]])
        self.column_of = {fold: i for i, fold in enumerate(sorted(self.folds))}

    def extent(self, first: int, last: int) -> tuple[float, float]:
        points = [point for row in self.rows.rows[first:last + 1] for point in row]
        return (min(self.x[p] - self._before(p) for p in points), max(self.x[p] + self._after(p) for p in points))

    def at(self, point: int) -> float:
        return self.x[point] + self.shift[self.rows.rank[point]]

    def top(self, point: int) -> float:
        """Where a point begins along the flow: in the middle of its band; ports stand at the border."""
        row = self.rows.rank[point]
        if not self.rows.is_dummy(point):
            end = self.rows.items[point].end
            if end is not None:
                return 0.0 if end == "first" else self.length
        return self.along[row] + (self.bands[row] - self._depth(point)) / 2

    # ---- where lines meet boxes --------------------------------------------------------------------------------------

    def _place_ports(self) -> None:
        """Spreads the lines over the sides of each box, in the order from where they come; a straight one stays so."""
        self.starts: list[float] = [0.0] * len(self.rows.chains)
        self.stops: list[float] = [0.0] * len(self.rows.chains)
        leaving: list[dict[tuple[int, int], list[int]]] = [{} for _ in self.rows.items]
        arriving: list[dict[tuple[int, int], list[int]]] = [{} for _ in self.rows.items]
        for number, chain in enumerate(self.rows.chains):
            if len(chain) == 1:
                continue
            link, back = self.rows.links[number], self.rows.backward[number]
            out = (1, number) if back else (0, link.out)
            leaving[chain[0]].setdefault(out, []).append(number)
            fixed = self.rows.items[chain[-1]].ins is not None and not back
            arriving[chain[-1]].setdefault((0, link.into) if fixed else (1, number), []).append(number)
        for item, groups in enumerate(leaving):
            self._spread(item, groups, self.rows.items[item].outs, self.starts, 1)
        for item, groups in enumerate(arriving):
            self._spread(item, groups, self.rows.items[item].ins, self.stops, -2)

    def _spread(self, item: int, groups: dict[tuple[int, int], list[int]], fixed: Sequence[float] | None,
                offsets: list[float], neighbour: int) -> None:
        if fixed is not None:
            for (kind, port), numbers in groups.items():
                for number in numbers:
                    offsets[number] = fixed[port] if kind == 0 else fixed[-1] + PORTS / 2
            return
        here = self.x[item]

        def away(key: tuple[int, int]) -> float:
            return sum(self.x[self.rows.chains[n][neighbour]] - here for n in groups[key]) / len(groups[key])

        order = sorted(groups, key=lambda key: (away(key), key))
        straight = [i for i, key in enumerate(order) if abs(away(key)) < 0.5]
        middle = float(straight[0]) if straight else (len(order) - 1) / 2
        room = min(self._before(item), self._after(item)) - 14
        steps = max(middle, len(order) - 1 - middle)
        step = min(PORTS, max(room, 0.0) / steps) if steps else 0.0
        for i, key in enumerate(order):
            for number in groups[key]:
                offsets[number] = (i - middle) * step

    # ---- lines -------------------------------------------------------------------------------------------------------

    def layout(self) -> Layout:
        places = [(self.at(i), self.top(i)) for i in range(len(self.rows.items))]
        ways = [self._loop(n) if len(chain) == 1 else self._way(n) for n, chain in enumerate(self.rows.chains)]
        return Layout(places, ways, self.width, self.length)

    def _way(self, number: int) -> Way:
        chain = self.rows.chains[number]
        arrow = 0.0 if self.rows.items[chain[-1]].end == "last" else ARROW
        way = Way(self.rows.links[number], (self.at(chain[0]) + self.starts[number],
                                            self.top(chain[0]) + self._depth(chain[0])))
        for point, following in zip(chain, chain[1:]):
            row = self.rows.rank[point]
            here = way.steps[-1][-1][0] if way.steps else way.start[0]
            way.line(here, self.along[row] + self.bands[row])
            there = self.at(following) + (self.stops[number] if following == chain[-1] else 0.0)
            if row in self.folds:
                self._to_next_column(way, row, self._entry(row))
            way.curve(there, self.along[row + 1] - arrow)
            way.line(there, self.along[row + 1])
        way.line(way.end[0], self.top(chain[-1]))
        return way.reversed() if self.rows.backward[number] else way

    def _entry(self, row: int) -> float:
        """Where the one line comes into the next column: the middle of those who take it."""
        points = {}
        for number, chain in enumerate(self.rows.chains):
            if self.rows.rank[chain[0]] <= row < self.rows.rank[chain[-1]]:
                point = chain[row + 1 - self.rows.rank[chain[0]]]
                points[number] = self.at(point) + (self.stops[number] if point == chain[-1] else 0.0)
        return sum(points.values()) / len(points)

    def _to_next_column(self, way: Way, row: int, entry: float) -> None:
        column = self.column_of[row]
        here = way.steps[-1][-1] if way.steps else way.start
        below, beside, above = self.bottoms[column] + LEAD / 2, self.rights[column], LEAD / 4
        way.corner((here[0], below), (beside, below))
        way.corner((beside, below), (beside, above))
        way.corner((beside, above), (entry, above))
        way.corner((entry, above), (entry, LEAD / 2))

    def _loop(self, number: int) -> Way:
        """From a box back to itself, at its side."""
        item = self.rows.chains[number][0]
        side = self.at(item) + self._after(item) - LOOP
        middle = self.top(item) + self._depth(item) / 2
        reach = min(self._depth(item) * 0.24, 30.0)
        way = Way(self.rows.links[number], (side, middle + reach))
        far = side + LOOP * 1.15
        way.steps.append(((far, middle + reach), (far, middle - reach), (side + ARROW, middle - reach)))
        way.line(side, middle - reach)
        return way


def _folds(router: _Router, aspect: float) -> list[int]:
    """The rows after which a new column begins; none where the drawing is no long strip."""
    count = len(router.bands)
    low, high = router.extent(0, count - 1)
    starts: list[float] = []
    ends: list[float] = []
    y = 0.0
    for row in range(count):
        starts.append(y)
        y += router.bands[row]
        ends.append(y)
        y += router.gaps[row] if row < count - 1 else 0.0
    length = ends[-1]
    if count <= LONGEST or length < 2.5 * (high - low):
        return []
    cuts = [row for row in range(1, count - 2) if len(router.lines[row]) == 1 and all(o < 0 for _, o in router.lines[row])]
    best: tuple[float, list[int]] = (abs(math.log(length / (high - low) / aspect)), [])
    for columns in range(2, len(cuts) + 2):
        folds = _evenly(cuts, starts, ends, columns)
        ratio = _ratio(router, folds, starts, ends)
        score = abs(math.log(ratio / aspect))
        if score < best[0] - 1e-9:
            best = (score, folds)
        if ratio < aspect:
            break
    return best[1]


def _evenly(cuts: list[int], starts: list[float], ends: list[float], columns: int) -> list[int]:
    """Cuts into at most so many columns, the longest of them as short as it can be; the last may be shorter."""
    low, high = ends[-1] / columns / 2, ends[-1]
    for _ in range(24):
        middle = (low + high) / 2
        if len(_filled(cuts, starts, ends, middle)) < columns:
            high = middle
        else:
            low = middle
    return _filled(cuts, starts, ends, high)


def _filled(cuts: list[int], starts: list[float], ends: list[float], most: float) -> list[int]:
    """Each column filled as far as it goes, like a newspaper's; one too long where no cut comes early enough."""
    at = [ends[cut] for cut in cuts]
    folds: list[int] = []
    begin = 0.0
    while ends[-1] - begin > most:
        i = bisect_right(at, begin + most) - 1
        if i < 0 or (folds and cuts[i] <= folds[-1]):
            i = bisect_right(cuts, folds[-1] if folds else -1)
        if i >= len(cuts):
            break
        folds.append(cuts[i])
        begin = starts[cuts[i] + 1]
    return folds


def _ratio(router: _Router, folds: list[int], starts: list[float], ends: list[float]) -> float:
    width, longest = -CHANNEL, 0.0
    for first, last in zip([0, *(fold + 1 for fold in folds)], [*folds, len(ends) - 1]):
        low, high = router.extent(first, last)
        width += high - low + CHANNEL
        longest = max(longest, ends[last] - starts[first])
    return (longest + 2 * LEAD) / width
