"""The second half of a layered drawing: a band along the flow for each row, and the ways of the lines.

Inside a row's band a line only runs along the flow, on the place of its own box or dummy; it moves sideways in the gaps
between bands. So no line ever runs through a box.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from kerashape_torch.reports.plot.columns import Columns, Line, LineKey, Turn
from kerashape_torch.reports.plot.coordinates import coordinates
from kerashape_torch.reports.plot.diagram import Link
from kerashape_torch.reports.plot.layers import Item, Rows

Point = tuple[float, float]

ARROW = 8.0
GAP = 34.0
CORNER = 9.0
PORTS = 16.0
LOOP = 26.0


@dataclass
class Way:
    """The way of one link: a start and steps of one point (straight) or three (a curve); the arrow is at its end."""

    link: Link
    start: Point
    steps: list[tuple[Point, ...]] = field(default_factory=list)

    @property
    def end(self) -> Point:
        return self.steps[-1][-1] if self.steps else self.start

    def line(self, *point: float) -> None:
        here = self.end
        if abs(here[0] - point[0]) + abs(here[1] - point[1]) > 1e-6:
            self.steps.append(((point[0], point[1]),))

    def curve(self, across: float, along: float) -> None:
        """Sideways, leaving and arriving along the flow."""
        here = self.end
        if abs(across - here[0]) < 0.01:
            self.line(across, along)
            return
        half = (here[1] + along) / 2
        self.steps.append(((here[0], half), (across, half), (across, along)))

    def corner(self, at: Point, towards: Point) -> None:
        """Straight to a corner, and round it."""
        here = self.end
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
        self.bands = [max(rows.depth(point) for point in row) for row in rows.rows]
        self._place_ports()
        self._find_lines()
        gaps = [self._gap(row) for row in range(len(rows.rows) - 1)]
        self.columns = Columns(rows, x, self.bands, gaps, self.lines, aspect)

    def _key(self, number: int, step: int) -> LineKey:
        """Links that are one line in the gap after a step of their chains have the same key there."""
        point = self.rows.chains[number][step]
        if self.rows.backward[number]:
            return point, -1 - number
        return point, self.rows.links[number].out if step == 0 else 0

    def _find_lines(self) -> None:
        """For each gap the different lines that cross it."""
        self.lines: list[dict[LineKey, Line]] = [{} for _ in self.rows.rows]
        for number, chain in enumerate(self.rows.chains):
            for step, point in enumerate(chain[:-1]):
                start = self.x[point] + (self.starts[number] if step == 0 else 0.0)
                line = self.lines[self.rows.rank[point]].setdefault(self._key(number, step), Line(start, []))
                stop = self.x[chain[step + 1]] + (self.stops[number] if step == len(chain) - 2 else 0.0)
                if stop not in line.stops:
                    line.stops.append(stop)

    def _gap(self, row: int) -> float:
        """Wider where lines go far sideways, so that they do not become flat."""
        far = max((abs(line.start - stop) for line in self.lines[row].values() for stop in line.stops), default=0.0)
        return GAP + min(56.0, max(0.0, far - 120) * 0.08)

    def at(self, point: int) -> float:
        return self.x[point] + self.columns.shift[self.rows.rank[point]]

    def top(self, point: int) -> float:
        """Where a point begins along the flow: in the middle of its band; ports stand at the border."""
        row = self.rows.rank[point]
        end = None if self.rows.is_dummy(point) else self.rows.items[point].end
        if end is not None:
            return 0.0 if end == "first" else self.columns.length
        return self.columns.along[row] + (self.bands[row] - self.rows.depth(point)) / 2

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
        room = min(self.rows.reach(item)) - 14
        steps = max(middle, len(order) - 1 - middle)
        step = min(PORTS, max(room, 0.0) / steps) if steps else 0.0
        for i, key in enumerate(order):
            for number in groups[key]:
                offsets[number] = (i - middle) * step

    # ---- lines -------------------------------------------------------------------------------------------------------

    def layout(self) -> Layout:
        places = [(self.at(i), self.top(i)) for i in range(len(self.rows.items))]
        ways = [self._loop(n) if len(chain) == 1 else self._way(n) for n, chain in enumerate(self.rows.chains)]
        return Layout(places, ways, self.columns.width, self.columns.length)

    def _way(self, number: int) -> Way:
        chain, along = self.rows.chains[number], self.columns.along
        arrow = 0.0 if self.rows.items[chain[-1]].end == "last" else ARROW
        way = Way(self.rows.links[number], (self.at(chain[0]) + self.starts[number],
                                            self.top(chain[0]) + self.rows.depth(chain[0])))
        for step, following in enumerate(chain[1:]):
            row = self.rows.rank[chain[step]]
            way.line(way.end[0], along[row] + self.bands[row])
            there = self.at(following) + (self.stops[number] if following == chain[-1] else 0.0)
            turn = self.columns.turns.get((row, self._key(number, step)))
            if turn is not None:
                self._to_next_column(way, turn)
            way.curve(there, along[row + 1] - arrow)
            way.line(there, along[row + 1])
        way.line(way.end[0], self.top(chain[-1]))
        return way.reversed() if self.rows.backward[number] else way

    def _to_next_column(self, way: Way, turn: Turn) -> None:
        corners = [(way.end[0], turn.below), (turn.beside, turn.below), (turn.beside, turn.above),
                   (turn.entry, turn.above), (turn.entry, self.columns.lead - 30)]
        for corner, following in pairwise(corners):
            way.corner(corner, following)
        way.line(*corners[-1])

    def _loop(self, number: int) -> Way:
        """From a box back to itself, at its side."""
        item = self.rows.chains[number][0]
        side = self.at(item) + self.rows.reach(item)[1] - LOOP
        middle = self.top(item) + self.rows.depth(item) / 2
        reach = min(self.rows.depth(item) * 0.24, 30.0)
        way = Way(self.rows.links[number], (side, middle + reach))
        far = side + LOOP * 1.15
        way.steps.append(((far, middle + reach), (far, middle - reach), (side + ARROW, middle - reach)))
        way.line(side, middle - reach)
        return way
