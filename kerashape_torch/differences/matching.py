"""Which place of one table is which of another: found key by key, from what says much to what says little."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from functools import cache

from kerashape_torch.differences.places import Place
from kerashape_torch.differences.sequences import in_common, rising
from kerashape_torch.errors import ConfigError, did_you_mean

Key = Callable[[Place], Hashable]
"""What a place is known by; None where it cannot be known by this."""


class Matching:
    """Pairs of places of two tables, each place in one pair at most.

    Attributes:
        before, after: the places of both tables.
        partner: from each place that has one to the other of its pair.
        settled: places that need none, since several together are the same as several others.
    """

    def __init__(self, before: Sequence[Place], after: Sequence[Place]) -> None:
        self.before = before
        self.after = after
        self.partner: dict[Place, Place] = {}
        self.settled: set[Place] = set()

    def pair(self, one: Place, other: Place) -> None:
        self.partner[one] = other
        self.partner[other] = one

    def free(self, side: Sequence[Place]) -> list[Place]:
        """Those that have no partner yet."""
        return [place for place in side if place not in self.partner and place not in self.settled]

    def pairs(self) -> Iterator[tuple[Place, Place]]:
        """From before to after, in the order of before."""
        return ((place, self.partner[place]) for place in self.before if place in self.partner)

    def by_names(self, names: Mapping[str, str]) -> None:
        """Pairs by what the user said: from a path before to one after."""
        known = [{place.path: place for place in side} for side in (self.before, self.after)]
        for old, new in names.items():
            for name, side, table in ((old, known[0], "before"), (new, known[1], "after")):
                if name not in side:
                    raise ConfigError(f"names: there is no layer {name!r} {table}.{did_you_mean(name, side)}")
                if side[name] in self.partner:
                    raise ConfigError(f"names: {name!r} is named twice")
            self.pair(known[0][old], known[1][new])

    def equal_ends(self) -> None:
        """Pairs of the first rows and of the last ones, as far as they are wholly equal: mostly all of them."""
        for before, after in ((self.before, self.after), (self.before[::-1], self.after[::-1])):
            for one, other in zip(before, after):
                if one.row != other.row or one in self.partner or other in self.partner:
                    break
                self.pair(one, other)

    def unique(self, key: Key) -> None:
        """Pairs of what one place alone is known by on either side, wherever it stands."""
        self.as_many(key, 1)

    def as_many(self, key: Key, most: int | None = None) -> None:
        """Pairs of what is known by a key that as many places have on either side: the first with the first."""
        sides: list[dict[Hashable, list[Place]]] = [defaultdict(list), defaultdict(list)]
        for side, groups in zip((self.before, self.after), sides):
            for place in self.free(side):
                groups[key(place)].append(place)
        for known, group in sides[0].items():
            if known is not None and len(group) == len(sides[1][known]) <= (most or len(group)):
                for one, other in zip(group, sides[1][known]):
                    self.pair(one, other)

    def in_order(self, key: Key) -> None:
        """Pairs of equal keys in the gaps between pairs, as many as can be had without crossing."""
        for before, after in self.gaps():
            keys = [[key(place) or place for place in side] for side in (before, after)]
            for i, j in in_common(*keys):
                self.pair(before[i], after[j])

    def in_any_order(self, key: Key, anywhere: bool = False) -> None:
        """Pairs of equal keys in the gaps, or anywhere, whichever comes first."""
        for before, after in [(self.free(self.before), self.free(self.after))] if anywhere else self.gaps():
            waiting: dict[Hashable, list[Place]] = defaultdict(list)
            for place in reversed(before):
                waiting[key(place)].append(place)
            for place in after:
                known = key(place)
                if known is not None and waiting[known]:
                    self.pair(waiting[known].pop(), place)

    def gaps(self) -> list[tuple[list[Place], list[Place]]]:
        """What has no partner between pairs that stand in one order on both sides; only gaps with something on both."""
        if not self.free(self.before) or not self.free(self.after):
            return []
        pairs = list(self.pairs())
        fixed = [pairs[i] for i in rising(other.number for _, other in pairs)]
        ends = [*((one.number, other.number) for one, other in fixed), (len(self.before), len(self.after))]
        found, start = [], (0, 0)
        for end in ends:
            gap = self.free(self.before[start[0]:end[0]]), self.free(self.after[start[1]:end[1]])
            if all(gap):
                found.append(gap)
            start = end[0] + 1, end[1] + 1
        return found


def surroundings(sides: Sequence[Sequence[Place]], key: Key, steps: int = 2) -> Key:
    """A key that looks further: at what a place takes from and what takes from it, so many steps far."""

    @cache
    def labels() -> dict[Place, int]:
        found = {place: hash(key(place)) for side in sides for place in side}
        for _ in range(steps):
            found = {place: hash((label, tuple(found[x] for x in place.inputs),
                                  tuple(sorted(found[x] for x in place.users)))) for place, label in found.items()}
        return found

    return lambda place: labels()[place]
