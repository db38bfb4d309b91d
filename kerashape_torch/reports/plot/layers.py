"""The first half of a layered drawing: which row each box stands in, and in which order within the row.

Rows come from longest paths; a link over several rows goes through one dummy point in each row between; crossings are
reduced by barycenters. Everything is iterative, deterministic, and about linear in the number of points.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from kerashape_torch.reports.plot.diagram import Link

SWEEPS = 12


class Item(NamedTuple):
    """A box as the layout sees it: *along* is the way the data flows, *across* is at a right angle to it.

    Attributes:
        before, after: how far it reaches across, on either side of its anchor.
        depth: how long it is along the flow.
        ins, outs: where its inputs and outputs are, from the anchor; None where links are spread freely.
        end: "first" or "last" for a point that must stand in the first or the last row.
    """

    before: float
    after: float
    depth: float
    ins: Sequence[float] | None = None
    outs: Sequence[float] | None = None
    end: str | None = None


class Rows:
    """Points in rows: items first (their own numbers), then dummies.

    Attributes:
        rows: the points of each row, in order.
        upper, lower: the neighbours of each point in the row before and in the row after.
        chains: for each link its points from the upper end to the lower; for a loop on one item, that item alone.
        backward: whether a link runs against the flow, from its lower end to its upper.
    """

    def __init__(self, items: Sequence[Item], links: Sequence[Link]) -> None:
        self.items = items
        self.links = _distinct(items, links)
        self.backward = _against_the_flow(len(items), self.links)
        self.rank = _ranks(items, self.links, self.backward)
        self._chain_up()
        self._neighbours()
        self.rows: list[list[int]] = self._first_order()
        _reduce_crossings(self)

    def is_dummy(self, point: int) -> bool:
        return point >= len(self.items)

    def reach(self, point: int) -> tuple[float, float]:
        """How far a point reaches across the flow, before and after its anchor."""
        return (0.0, 0.0) if self.is_dummy(point) else self.items[point][:2]

    def depth(self, point: int) -> float:
        return 0.0 if self.is_dummy(point) else self.items[point].depth

    def ends(self, number: int) -> tuple[int, int]:
        """The upper and the lower end of a link."""
        link = self.links[number]
        return (link.target, link.source) if self.backward[number] else (link.source, link.target)

    def _chain_up(self) -> None:
        """Links from one output share their dummies: they are one line until they part."""
        self.chains: list[list[int]] = []
        shared: dict[tuple[int, ...], list[int]] = {}
        for number, link in enumerate(self.links):
            upper, lower = self.ends(number)
            key = (upper, -1, number) if self.backward[number] else (upper, link.out)
            dummies = shared.setdefault(key, [])
            needed = self.rank[lower] - self.rank[upper] - 1
            while len(dummies) < needed:
                dummies.append(len(self.rank))
                self.rank.append(self.rank[upper] + len(dummies))
            self.chains.append([upper] if upper == lower else [upper, *dummies[:needed], lower])

    def _neighbours(self) -> None:
        self.upper: list[list[int]] = [[] for _ in self.rank]
        self.lower: list[list[int]] = [[] for _ in self.rank]
        seen: set[tuple[int, int]] = set()
        for chain in self.chains:
            for pair in pairwise(chain):
                if pair not in seen:
                    seen.add(pair)
                    self.lower[pair[0]].append(pair[1])
                    self.upper[pair[1]].append(pair[0])

    def _first_order(self) -> list[list[int]]:
        """Depth first; from each point first to boxes, then to dummies, so that what skips layers stands aside."""
        rows: list[list[int]] = [[] for _ in range(max(self.rank) + 1)]
        seen = [False] * len(self.rank)
        for start in range(len(self.items)):
            stack = [start] if not self.upper[start] else []
            while stack:
                point = stack.pop()
                if seen[point]:
                    continue
                seen[point] = True
                rows[self.rank[point]].append(point)
                stack.extend(sorted(self.lower[point], key=self.is_dummy)[::-1])
        return rows


def _distinct(items: Sequence[Item], links: Sequence[Link]) -> list[Link]:
    """One line where a box takes the same tensor twice, unless it has a place for each input."""
    kept: dict[tuple[int, ...], Link] = {}
    for link in links:
        place = link.into if items[link.target].ins is not None else 0
        kept.setdefault((link.source, link.out, link.target, place), link)
    return list(kept.values())


def _against_the_flow(count: int, links: Sequence[Link]) -> list[bool]:
    """The links that close a circle, as a shared layer can; found depth first."""
    leaving: list[list[int]] = [[] for _ in range(count)]
    for number, link in enumerate(links):
        leaving[link.source].append(number)
    backward = [False] * len(links)
    state = [0] * count  # 1: on the way, 2: done
    for start in range(count):
        if state[start]:
            continue
        state[start] = 1
        stack = [(start, iter(leaving[start]))]
        while stack:
            point, rest = stack[-1]
            leads = next(rest, None)
            if leads is None:
                state[point] = 2
                stack.pop()
                continue
            target = links[leads].target
            backward[leads] = state[target] == 1 and target != point
            if not state[target]:
                state[target] = 1
                stack.append((target, iter(leaving[target])))
    return backward


def _ranks(items: Sequence[Item], links: Sequence[Link], backward: Sequence[bool]) -> list[int]:
    """The row of each item: its longest way from a start; what only leads to a later box stands just before it."""
    above: list[list[int]] = [[] for _ in items]
    below: list[list[int]] = [[] for _ in items]
    for link, reverse in zip(links, backward):
        upper, lower = (link.target, link.source) if reverse else (link.source, link.target)
        if upper != lower:
            below[upper].append(lower)
            above[lower].append(upper)
    order = [i for i in range(len(items)) if not above[i]]
    waiting = [len(points) for points in above]
    rank = [0] * len(items)
    for point in order:  # grows while it is walked
        for lower in below[point]:
            rank[lower] = max(rank[lower], rank[point] + 1)
            waiting[lower] -= 1
            if not waiting[lower]:
                order.append(lower)
    free = [item.end != "first" for item in items]
    for point in order:
        free[point] = free[point] and all(free[p] and len(set(below[p])) == 1 for p in above[point])
    for point in reversed(order):
        if free[point] and below[point]:
            rank[point] = min(rank[p] for p in below[point]) - 1
    last = max(rank, default=0)
    return [last if item.end == "last" else own for item, own in zip(items, rank)]


# ---- crossings -------------------------------------------------------------------------------------------------------


def _reduce_crossings(rows: Rows) -> None:
    """Sweeps down and up, each row ordered by the mean place of its neighbours; the best order is kept."""
    place = [0] * len(rows.rank)
    _number(rows.rows, place)
    fewest, best, idle = crossings(rows, place), [list(row) for row in rows.rows], 0
    for sweep in range(SWEEPS):
        if not fewest or idle >= 4:
            break
        down = sweep % 2 == 0
        neighbours = rows.upper if down else rows.lower
        for row in rows.rows if down else reversed(rows.rows):
            row.sort(key=lambda point: _barycenter(neighbours[point], place, place[point]))
            for i, point in enumerate(row):
                place[point] = i
        found = crossings(rows, place)
        idle += 1
        if found < fewest:
            fewest, best, idle = found, [list(row) for row in rows.rows], 0
    rows.rows = best


def _number(rows: list[list[int]], place: list[int]) -> None:
    for row in rows:
        for i, point in enumerate(row):
            place[point] = i


def _barycenter(points: list[int], place: list[int], own: int) -> float:
    return sum(place[p] for p in points) / len(points) if points else own


def crossings(rows: Rows, place: Sequence[int]) -> int:
    """How many pairs of lines cross, counted row by row in n log n."""
    total = 0
    for row in rows.rows[:-1]:
        ends = [place[q] for p in row for q in sorted(rows.lower[p], key=place.__getitem__)]
        total += _inversions(ends)
    return total


def _inversions(values: list[int]) -> int:
    """Pairs that stand in the wrong order.

    >>> _inversions([2, 0, 1])
    2
    """
    tree = [0] * (max(values, default=0) + 2)
    total = 0
    for seen, value in enumerate(values):
        i, not_greater = value + 1, 0
        while i > 0:
            not_greater += tree[i]
            i -= i & -i
        total += seen - not_greater
        i = value + 1
        while i < len(tree):
            tree[i] += 1
            i += i & -i
    return total
