"""What two sequences have in common, in order."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

_MOST_EDITS = 300
"""More than this, and the items say too little: whoever asks has a looser way to look at them."""


def in_common(before: Sequence[Hashable], after: Sequence[Hashable]) -> list[tuple[int, int]]:
    """Indices of a longest common subsequence: linear where little differs, and empty where nearly all does.

    >>> in_common("abcd", "axbd")
    [(0, 0), (1, 2), (3, 3)]
    """
    most = min(len(before), len(after))
    start = next((i for i in range(most) if before[i] != after[i]), most)
    most -= start
    end = next((i for i in range(most) if before[-1 - i] != after[-1 - i]), most)
    middle = _by_edits(before[start:len(before) - end], after[start:len(after) - end])
    return [*((i, i) for i in range(start)), *((i + start, j + start) for i, j in middle),
            *((len(before) - i, len(after) - i) for i in range(end, 0, -1))]


def _by_edits(before: Sequence[Hashable], after: Sequence[Hashable]) -> list[tuple[int, int]]:
    """Myers' greedy search: how far each diagonal gets with one more edit, and the runs that led there."""
    if not before or not after:
        return []
    furthest: dict[int, tuple[int, Any]] = {1: (0, None)}
    for edits in range(_MOST_EDITS):
        for diagonal in range(-edits, edits + 1, 2):
            down, right = furthest.get(diagonal + 1, (-1, None)), furthest.get(diagonal - 1, (-2, None))
            x, runs = down if down[0] > right[0] else (right[0] + 1, right[1])
            start = x
            while 0 <= x < len(before) and 0 <= x - diagonal < len(after) and before[x] == after[x - diagonal]:
                x += 1
            if x > start:
                runs = (start, diagonal, x - start, runs)
            furthest[diagonal] = x, runs
            if x == len(before) and x - diagonal == len(after):
                return _indices(runs)
    return []


def _indices(runs: Any) -> list[tuple[int, int]]:
    found: list[list[tuple[int, int]]] = []
    while runs:
        start, diagonal, length, runs = runs
        found.append([(x, x - diagonal) for x in range(start, start + length)])
    return [pair for run in reversed(found) for pair in run]


def rising(numbers: Iterable[int]) -> list[int]:
    """The places of a longest rising subsequence.

    >>> rising([0, 3, 1, 2])
    [0, 2, 3]
    """
    tops: list[int] = []
    ends: list[int] = []
    came_from: list[int] = []
    for place, number in enumerate(numbers):
        at = bisect_left(tops, number)
        came_from.append(ends[at - 1] if at else -1)
        tops[at:at + 1] = [number]
        ends[at:at + 1] = [place]
    found = []
    place = ends[-1] if ends else -1
    while place >= 0:
        found.append(place)
        place = came_from[place]
    return found[::-1]
