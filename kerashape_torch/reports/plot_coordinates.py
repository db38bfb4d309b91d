"""Where the points of each row stand across the flow, after Brandes and Köpf (2001).

Points are tied into straight blocks with a neighbour in the next row, four times: from above and from below, preferring
left and right. Each tying is packed as tightly as it goes, and a point's place is the mean of the middle two of its four
places. Lines over several rows become straight, chains stand upright, and all of it takes linear time.
"""

from __future__ import annotations

from collections.abc import Sequence

from kerashape_torch.reports.plot_layers import Rows

BETWEEN_BOXES = 28.0
BETWEEN_LINES = 16.0


def coordinates(rows: Rows) -> list[float]:
    """The place of each point across the flow, without its row's neighbours ever touching."""
    apart = _conflicts(rows)
    found = []
    for upwards in (False, True):
        for leftwards in (True, False):
            found.append(_one_way(rows, apart, upwards, leftwards))
    width = [max(x) - min(x) for x in found]
    narrowest = found[width.index(min(width))]
    shifted = []
    for number, x in enumerate(found):
        leftwards = number % 2 == 0
        shift = min(narrowest) - min(x) if leftwards else max(narrowest) - max(x)
        shifted.append([value + shift for value in x])
    return [sum(sorted(four)[1:3]) / 2 for four in zip(*shifted)]


def distance(rows: Rows, left: int, right: int) -> float:
    """How far apart the anchors of two neighbours in a row are at least."""
    count = len(rows.items)
    gap = BETWEEN_LINES if left >= count or right >= count else BETWEEN_BOXES
    return gap + (rows.items[left].after if left < count else 0.0) + (rows.items[right].before if right < count else 0.0)


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


def _one_way(rows: Rows, apart: set[tuple[int, int]], upwards: bool, leftwards: bool) -> list[float]:
    """One of the four: rows taken from below or from above, each from its left or its right end."""
    order = [row if leftwards else row[::-1] for row in (rows.rows[::-1] if upwards else rows.rows)]
    neighbours = rows.lower if upwards else rows.upper
    if upwards:
        apart = {(b, a) for a, b in apart}
    root, following = _tie(rows, order, neighbours, apart)
    x = _pack(rows, order, root, leftwards)
    return x if leftwards else [-value for value in x]


def _tie(rows: Rows, order: list[list[int]], neighbours: list[list[int]],
         apart: set[tuple[int, int]]) -> tuple[list[int], list[int]]:
    """Ties each point to the middle one of its neighbours in the row before, if no tie is crossed."""
    place = _places(order)
    root = list(range(len(rows.rank)))
    following = list(range(len(rows.rank)))
    for row in order:
        last = -1
        for point in row:
            near = sorted(_of_its_kind(rows, point, neighbours[point]), key=place.__getitem__)
            middle = (len(near) - 1) // 2
            for p in dict.fromkeys(near[middle:len(near) // 2 + 1]):
                if following[point] == point and (p, point) not in apart and last < place[p]:
                    following[p], root[point] = point, root[p]
                    following[point] = root[p]
                    last = place[p]
    return root, following


def _of_its_kind(rows: Rows, point: int, near: list[int]) -> list[int]:
    """Boxes line up with boxes and dummies with dummies, where they can: so a trunk is straight beside its skips."""
    same = [p for p in near if rows.is_dummy(p) == rows.is_dummy(point)]
    return same or near


def _pack(rows: Rows, order: list[list[int]], root: list[int], leftwards: bool) -> list[float]:
    """The tied blocks as far to the left as they go, then each to the right as far as its neighbours leave room."""
    after: dict[int, dict[int, float]] = {point: {} for point in root if root[point] == point}
    for row in order:
        for a, b in zip(row, row[1:]):
            gap = distance(rows, a, b) if leftwards else distance(rows, b, a)
            known = after[root[a]].get(root[b], 0.0)
            after[root[a]][root[b]] = max(known, gap)
    sequence = _sorted_blocks(after)
    left = dict.fromkeys(after, 0.0)
    for block in sequence:
        for other, gap in after[block].items():
            left[other] = max(left[other], left[block] + gap)
    for block in reversed(sequence):
        room = min((left[other] - gap for other, gap in after[block].items()), default=left[block])
        left[block] = max(left[block], room)
    return [left[root[point]] for point in range(len(root))]


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
