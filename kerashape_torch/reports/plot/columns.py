"""A drawing that is a long strip, folded into columns like the text of a newspaper.

It is folded where few lines cross from one row to the next. They leave the column below, go back beside it, and come
into the next one from above; lines that go together turn one inside the other, so that none crosses another.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from kerashape_torch.reports.plot.layers import Rows

LEAD = 52.0
CHANNEL = 44.0
TRACK = 10.0
LONGEST = 16
"""Up to so many rows nothing is folded."""
MOST_LINES = 5
"""Where more lines cross a gap, nothing is folded."""


class Line(NamedTuple):
    """One line across the gap after a row: where it comes from and where it goes, across the flow."""

    start: float
    stops: list[float]

    @property
    def stop(self) -> float:
        return sum(self.stops) / len(self.stops)


class Turn(NamedTuple):
    """How a line gets into the next column: below the old one, beside it, above the new one, and in."""

    below: float
    beside: float
    above: float
    entry: float


LineKey = tuple[int, int]


class Columns:
    """Where each row is, along the flow, and how far it is shifted across it.

    Attributes:
        folds: the rows after which a new column begins.
        shift, along: for each row.
        width, length: of the whole drawing.
    """

    def __init__(self, rows: Rows, x: Sequence[float], bands: Sequence[float], gaps: Sequence[float],
                 lines: Sequence[dict[LineKey, Line]], aspect: float) -> None:
        self.rows, self.bands, self.gaps, self.lines = rows, bands, gaps, lines
        self.extents = [_extent(rows, row, x) for row in rows.rows]
        self.folds = self._choose(aspect)
        self.shift, self.along = [0.0] * len(bands), [0.0] * len(bands)
        self.lead = LEAD + TRACK * max((len(lines[fold]) - 1 for fold in self.folds), default=0) if self.folds else 0.0
        self._place()

    def _place(self) -> None:
        self.turns: dict[tuple[int, LineKey], Turn] = {}
        bottoms, left, start = [], 0.0, 0
        columns = [*self.folds, len(self.bands) - 1]
        for fold in columns:
            y = self.lead - (self.gaps[0] if self.folds and start == 0 and not self.bands[0] else 0.0)
            for row in range(start, fold + 1):
                self.along[row] = y
                y += self.bands[row] + (self.gaps[row] if row < fold else 0.0)
            low, high = self._extent(start, fold)
            for row in range(start, fold + 1):
                self.shift[row] = left - low
            left += high - low
            if fold != columns[-1]:
                channel = CHANNEL + TRACK * (len(self.lines[fold]) - 1)
                self._turn(fold, y, left + channel / 2)
                left += channel
                y += LEAD / 2 + TRACK * (len(self.lines[fold]) - 1)
            bottoms.append(y)
            start = fold + 1
        self.width, self.length = left, max(bottoms)
        self.turns = {key: turn._replace(entry=turn.entry + self.shift[key[0] + 1]) for key, turn in self.turns.items()}

    def _turn(self, fold: int, bottom: float, channel: float) -> None:
        """One inside the other: the line that leaves farthest to the left turns last and comes in first."""
        order = sorted(self.lines[fold], key=lambda key: (self.lines[fold][key].start, key))
        for i, key in enumerate(order):
            inward = TRACK * (len(order) - 1 - i)
            beside = channel + TRACK * ((len(order) - 1) / 2 - i)
            self.turns[fold, key] = Turn(bottom + LEAD / 2 + inward, beside, LEAD / 5 + inward,
                                         self.lines[fold][key].stop)

    def _extent(self, first: int, last: int) -> tuple[float, float]:
        extents = self.extents[first:last + 1]
        return min(low for low, _ in extents), max(high for _, high in extents)

    # ---- where to fold -----------------------------------------------------------------------------------------------

    def _choose(self, aspect: float) -> list[int]:
        """The folds that bring the drawing nearest to its aspect without leaving much of it empty."""
        count = len(self.bands)
        low, high = self._extent(0, count - 1)
        self.starts, self.ends, y = [], [], 0.0
        for row in range(count):
            self.starts.append(y)
            y += self.bands[row]
            self.ends.append(y)
            y += self.gaps[row] if row < count - 1 else 0.0
        if count <= LONGEST or self.ends[-1] < 2.5 * (high - low):
            return []
        cuts = [row for row in range(1, count - 2) if len(self.lines[row]) <= MOST_LINES]
        best: tuple[float, list[int]] = (abs(math.log(self.ends[-1] / (high - low) / aspect)), [])
        for columns in range(2, len(cuts) + 2):
            folds = self._evenly(cuts, columns)
            ratio, empty = self._judge(folds)
            score = abs(math.log(ratio / aspect)) + empty
            if score < best[0] - 1e-9:
                best = (score, folds)
            if ratio < aspect:
                break
        return best[1]

    def _evenly(self, cuts: list[int], columns: int) -> list[int]:
        """Cuts into at most so many columns, the longest of them as short as it can be; the last may be shorter."""
        low, high = self.ends[-1] / columns / 2, self.ends[-1]
        for _ in range(24):
            middle = (low + high) / 2
            if len(self._filled(cuts, middle)) < columns:
                high = middle
            else:
                low = middle
        return self._filled(cuts, high)

    def _filled(self, cuts: list[int], most: float) -> list[int]:
        """Each column filled as far as it goes, or a little less where fewer lines cross."""
        ends = [self.ends[cut] for cut in cuts]
        folds: list[int] = []
        begin = 0.0
        while self.ends[-1] - begin > most:
            first = bisect_right(cuts, folds[-1]) if folds else 0
            last = bisect_right(ends, begin + most) - 1
            if last < first:
                last = first  # one column is too long: no cut comes early enough
            if last >= len(cuts):
                break
            early = max(first, bisect_right(ends, begin + 0.7 * most))
            near = range(min(early, last), last + 1)
            chosen = cuts[min(near, key=lambda i: (len(self.lines[cuts[i]]), -i))]
            folds.append(chosen)
            begin = self.starts[chosen + 1]
        return folds

    def _judge(self, folds: list[int]) -> tuple[float, float]:
        """The aspect, and how much stays empty."""
        width, longest, used = 0.0, 0.0, 0.0
        for first, last in zip([0, *(fold + 1 for fold in folds)], [*folds, len(self.bands) - 1]):
            low, high = self._extent(first, last)
            length = self.ends[last] - self.starts[first]
            width += high - low + CHANNEL
            used += (high - low + CHANNEL) * length
            longest = max(longest, length)
        return (longest + 2 * LEAD) / width, math.log(width * longest / used)


def _extent(rows: Rows, row: Sequence[int], x: Sequence[float]) -> tuple[float, float]:
    """How far a row reaches across the flow."""
    edges = [(x[p] - rows.reach(p)[0], x[p] + rows.reach(p)[1]) for p in row]
    return min(low for low, _ in edges), max(high for _, high in edges)
