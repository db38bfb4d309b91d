"""Where the points of each row stand across the flow, after Brandes and Köpf (2001).

Points are tied into straight blocks with a neighbour in the next row, four times: from above and from below, preferring
left and right. Each tying is packed as tightly as it goes, and a point's place is the mean of the middle two of its
four places. Lines over several rows become straight, chains stand upright, and all of it takes linear time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from kerashape_torch.reports.plot.layers import Rows

BETWEEN_BOXES = 28.0
BETWEEN_LINES = 16.0
SMALL_BEND = 14.0


def coordinates(rows: Rows) -> list[float]:
    """The place of each point across the flow, without its row's neighbours ever touching."""
    apart = _conflicts(rows)
    ties = _ties(rows)
    found = []
    for upwards in (False, True):
        for leftwards in (True, False):
            found.append(_one_way(rows, ties[upwards], apart, upwards, leftwards))
    width = [max(x) - min(x) for x in found]
    narrowest = found[width.index(min(width))]
    shifted = []
    for number, x in enumerate(found):
        leftwards = number % 2 == 0
        shift = min(narrowest) - min(x) if leftwards else max(narrowest) - max(x)
        shifted.append([value + shift for value in x])
    return _straightened(rows, [sum(sorted(four)[1:3]) / 2 for four in zip(*shifted)], _sides(rows))


def distance(rows: Rows, left: int, right: int) -> float:
    """How far apart the anchors of two neighbours in a row are at least."""
    gap = BETWEEN_LINES if rows.is_dummy(left) or rows.is_dummy(right) else BETWEEN_BOXES
    return rows.reach(left)[1] + gap + rows.reach(right)[0]


def _conflicts(rows: Rows) -> set[tuple[int, int]]:
    """Lines that cross the middle part of a long line: they give way, so that the long line stays straight."""
    place = _places(rows.rows)
    found: set[tuple[int, int]] = set()
    for upper, lower in zip(rows.rows, rows.rows[1:]):
        low, done = 0, 0
        for i, point in enumerate(lower):
            inner = next((p for p in rows.upper[point] if rows.is_dummy(p)), None) if rows.is_dummy(point) else None
            if inner is None and i + 1 < len(lower):
                continue
            high = len(upper) - 1 if inner is None else place[inner]
            for other in lower[done:i + 1]:
                for p in rows.upper[other]:
                    if not low <= place[p] <= high and not (rows.is_dummy(p) and rows.is_dummy(other)):
                        found.add((p, other))
            done, low = i + 1, high
    return found


def _places(rows: Sequence[Sequence[int]]) -> dict[int, int]:
    return {point: i for row in rows for i, point in enumerate(row)}


def _one_way(rows: Rows, neighbours: list[list[int]], apart: set[tuple[int, int]], upwards: bool,
             leftwards: bool) -> list[float]:
    """One of the four: rows taken from below or from above, each from its left or its right end."""
    order = [row if leftwards else row[::-1] for row in (rows.rows[::-1] if upwards else rows.rows)]
    if upwards:
        apart = {(b, a) for a, b in apart}
    sides = {pair: side if leftwards else -side for pair, side in _sides(rows).items()}
    if upwards:
        sides = {(lower, upper): -side for (upper, lower), side in sides.items()}
    root, beside = _tie(rows, order, neighbours, apart, sides)
    x = _pack(rows, order, root, beside, leftwards)
    return x if leftwards else [-value for value in x]


def _sides(rows: Rows) -> dict[tuple[int, int], float]:
    """How far a point is to the right of its upper neighbour where the line between them is straight.

    It is other than nothing only for frames, whose lines come in and out where the model inside says.
    """
    found: dict[tuple[int, int], list[float]] = {}
    for link, back, chain in zip(rows.links, rows.backward, rows.chains):
        outs, ins = rows.items[link.source].outs, rows.items[link.target].ins
        if back or len(chain) == 1:
            continue
        for pair in dict.fromkeys(((chain[0], chain[1]), (chain[-2], chain[-1]))):
            side = outs[link.out] if outs and pair[0] == chain[0] else 0.0
            found.setdefault(pair, []).append(side - (ins[link.into] if ins and pair[1] == chain[-1] else 0.0))
    return {pair: sum(several) / len(several) for pair, several in found.items()}


def _tie(rows: Rows, order: list[list[int]], neighbours: list[list[int]], apart: set[tuple[int, int]],
         sides: dict[tuple[int, int], float]) -> tuple[list[int], list[float]]:
    """Ties each point to the middle one of its neighbours in the row before, if no tie is crossed.

    Returns for each point the first point of its block, and how far to the right of that it is.
    """
    place = _places(order)
    root = list(range(len(rows.rank)))
    beside = [0.0] * len(rows.rank)
    for row in order:
        last = -1
        for point in row:
            near = sorted(neighbours[point], key=place.__getitem__)
            for p in near[(len(near) - 1) // 2:len(near) // 2 + 1]:
                if root[point] == point and (p, point) not in apart and last < place[p]:
                    root[point], beside[point] = root[p], beside[p] + sides.get((p, point), 0.0)
                    last = place[p]
    return root, beside


def _ties(rows: Rows) -> tuple[list[list[int]], list[list[int]]]:
    """For each point the neighbours above and below with which it may be tied: each must be a choice of the other."""
    upper = [_of_its_kind(rows, point, near) for point, near in enumerate(rows.upper)]
    lower = [_of_its_kind(rows, point, near) for point, near in enumerate(rows.lower)]
    above = [set(near) for near in upper]
    below = [set(near) for near in lower]
    return ([[p for p in near if point in below[p]] for point, near in enumerate(upper)],
            [[p for p in near if point in above[p]] for point, near in enumerate(lower)])


def _of_its_kind(rows: Rows, point: int, near: list[int]) -> list[int]:
    """Boxes line up with boxes and dummies with dummies, where they can: so a trunk is straight beside a skip.

    Where three or more lines meet, their middle matters more.
    """
    same = [p for p in near if rows.is_dummy(p) == rows.is_dummy(point)]
    return same if same and (len(near) < 3 or rows.is_dummy(point)) else near


def _pack(rows: Rows, order: list[list[int]], root: list[int], beside: list[float], leftwards: bool) -> list[float]:
    """The tied blocks as far to the left as they go, then each to the right as far as its neighbours leave room."""
    after: dict[int, dict[int, float]] = {point: {} for point in root if root[point] == point}
    for row in order:
        for a, b in pairwise(row):
            gap = distance(rows, a, b) if leftwards else distance(rows, b, a)
            gap += beside[a] - beside[b]
            after[root[a]][root[b]] = max(after[root[a]].get(root[b], -math.inf), gap)
    sequence = _sorted_blocks(after)
    left = dict.fromkeys(after, 0.0)
    for block in sequence:
        for other, gap in after[block].items():
            left[other] = max(left[other], left[block] + gap)
    for block in reversed(sequence):
        room = min((left[other] - gap for other, gap in after[block].items()), default=left[block])
        left[block] = max(left[block], room)
    return [left[root[point]] + beside[point] for point in range(len(root))]


def _straightened(rows: Rows, x: list[float], sides: dict[tuple[int, int], float]) -> list[float]:
    """Takes the small bends out that the mean leaves: of two straight runs the shorter one moves, if it has room."""
    run = list(range(len(x)))
    members = [[point] for point in run]
    bends: list[tuple[float, int, int]] = []
    for upper, near in enumerate(rows.lower):
        for lower in near:
            bend = x[upper] + sides.get((upper, lower), 0.0) - x[lower]
            if abs(bend) <= SMALL_BEND:
                bends.append((bend, upper, lower))
    bends.sort(key=lambda each: (abs(each[0]) > 1e-6, rows.is_dummy(each[1]) != rows.is_dummy(each[2])))
    place = _places(rows.rows)
    for _, upper, lower in bends:
        a, b = run[upper], run[lower]
        bend = x[upper] + sides.get((upper, lower), 0.0) - x[lower]
        if a == b or abs(bend) > SMALL_BEND:
            continue
        if len(members[b]) > len(members[a]):
            a, b, bend = b, a, -bend
        if abs(bend) > 1e-6 and not all(_has_room(rows, x, place, point, bend) for point in members[b]):
            continue
        for point in members[b]:
            x[point] += bend
            run[point] = a
        members[a] += members[b]
    return x


def _has_room(rows: Rows, x: list[float], place: dict[int, int], point: int, move: float) -> bool:
    row, i = rows.rows[rows.rank[point]], place[point]
    if move < 0:
        return i == 0 or x[point] + move - x[row[i - 1]] >= distance(rows, row[i - 1], point)
    return i + 1 == len(row) or x[row[i + 1]] - x[point] - move >= distance(rows, point, row[i + 1])


def _sorted_blocks(after: dict[int, dict[int, float]]) -> list[int]:
    waiting = dict.fromkeys(after, 0)
    for others in after.values():
        for other in others:
            waiting[other] += 1
    order = [block for block, count in waiting.items() if not count]
    for block in order:  # grows while it is walked
        for other in after[block]:
            waiting[other] -= 1
            if not waiting[other]:
                order.append(other)
    return order
