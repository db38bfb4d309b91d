"""Tables of two frameworks: shapes are the same up to the place of the channels, weights up to the order of their axes.

What has weights is compared, and windows that slide; all else is written in other ways in every port: activations as
functions, padding inside a convolution, a flatten as a reshape.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

from kerashape_torch.differences.exact import Change
from kerashape_torch.differences.matching import Key, Matching
from kerashape_torch.differences.places import Place
from kerashape_torch.graph import snake_case
from kerashape_torch.shape import channels_first_shape, to_text
from kerashape_torch.shape_table import Row, Weight, shape_text
from kerashape_torch.structure import flatten_shapes

_WINDOWS = {"maxpooling": "maxpool", "maxpool": "maxpool", "averagepooling": "avgpool", "avgpool": "avgpool",
            "globalaveragepooling": "globalavg", "adaptiveavgpool": "globalavg", "globalmaxpooling": "globalmax",
            "adaptivemaxpool": "globalmax", "upsampling": "upsample", "upsample": "upsample"}
_RECURRENT = re.compile("RNN|LSTM|GRU|Bidirectional")
_WITH_KERNEL = {"weight": "kernel"}
_WITHOUT = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
_SAME_ROLE = {"gamma": "weight", "embeddings": "weight", "depthwise_kernel": "weight", "beta": "bias",
              "moving_mean": "running_mean", "moving_variance": "running_var", "recurrent_kernel": "weight_hh_l0"}


class UpToLayout:
    """How a table is compared with that of its port."""

    def match(self, before: Sequence[Place], after: Sequence[Place], names: Mapping[str, str]) -> Matching:
        """Names where they are alike, then weights in order; last, what takes the place of something like it."""
        found = Matching(before, after)
        found.settled.update(place for place in (*before, *after) if place.is_repeated)
        found.by_names(names)
        found.unique(lambda place: (alike := _carries(place) or _window(place)) and (_plain(place.path), alike))
        found.unique(lambda place: _plain(place.path) if place.row.weights else None)
        found.as_many(_lineage((before, after)))
        found.in_order(lambda place: _carries(place) and (_carries(place), _sizes(place.row.output_shape)))
        found.in_order(_carries)
        found.in_any_order(lambda place: _carries(place) and (_carries(place), _sizes(place.row.output_shape)))
        found.in_any_order(_carries)
        _regroup(found)
        found.in_any_order(lambda place: _carries(place) and (_carries(place), _sizes(place.row.output_shape)), True)
        found.in_order(_ranks)
        found.in_order(_window)
        return found

    def seen(self, row: Row) -> Row:
        """As Keras has it."""
        return _in_keras_order(row) if re.search(r"\dd$|^Linear$", row.class_name) else row

    def matters(self, place: Place) -> bool:
        return bool(place.row.weights)

    def renames(self, before: Place, after: Place) -> bool:
        return False

    def same_shapes(self, before: Any, after: Any) -> bool:
        """Of several shapes in any order; one side may have more, as torch's recurrent modules give their states."""
        few, many = sorted((flatten_shapes(shapes) if shapes else [] for shapes in (before, after)), key=len)
        return bool(few or not many) and all(any(_same(one, other) for other in many) for one in few)

    def changes(self, before: Place, after: Place) -> list[Change]:
        one, other = before.row, after.row
        found = []
        if not self._same_outputs(one, other):
            found.append(Change("output", shape_text(one.output_shape), shape_text(other.output_shape)))
        return found + _weight_changes(one, other)

    def _same_outputs(self, before: Row, after: Row) -> bool:
        if _RECURRENT.search(before.class_name):  # which steps it gives, and how directions merge, is told elsewhere
            narrow, wide = sorted((_first(row.output_shape) or (0,))[-1] or 0 for row in (before, after))
            is_both_ways = "Bidirectional" in (before.class_name, after.class_name)
            return wide == narrow or (is_both_ways and wide == 2 * narrow)
        return any(self.same_shapes(one, other) for one in _outputs(before) for other in _outputs(after))


def _outputs(row: Row) -> list[Any]:
    """What a row gives; what TimeDistributed has inside sees the steps as samples."""
    first = _first(row.output_shape)
    return [row.output_shape, *([(first[0], *first[2:])] if row.class_name == "TimeDistributed" else [])]


def _same(one: tuple[int | None, ...], other: tuple[int | None, ...]) -> bool:
    if any(_fits(each, other) for each in (one, *_moved(one))):
        return True
    return min(len(one), len(other)) == 2 and _sizes(one) == _sizes(other)  # pooled, with its axes kept or not


def _in_keras_order(row: Row) -> Row:
    """A row of torch with its channels last, and its weights as Keras names and turns them."""
    channels = (*_first(row.input_shape), None, None)[1]
    has_kernel = any(len(weight.shape) > 1 for weight in row.weights)
    weights = []
    for weight in row.weights:
        name = (_WITH_KERNEL if has_kernel else _WITHOUT).get(weight.name, weight.name)
        shape = weight.shape
        if name == "kernel":
            shape = (*shape[2:], shape[1], shape[0])
            if len(shape) > 2 and shape[-2] == 1 != channels and channels:
                shape = (*shape[:-2], channels, shape[-1] // channels)
        weights.append(weight._replace(name=name, shape=shape))
    took, gave = (shape if row.class_name == "Linear" else _channels_last(shape)
                  for shape in (_first(row.input_shape), _first(row.output_shape)))
    return row._replace(input_shape=took, output_shape=gave, weights=weights)


def _first(shapes: Any) -> tuple[int | None, ...]:
    return flatten_shapes(shapes)[0] if shapes else ()


def _fits(one: Sequence[int | None], other: Sequence[int | None]) -> bool:
    """Whether the shapes agree where both know something."""
    return len(one) == len(other) and all(a == b or a is None or b is None for a, b in zip(one, other))


def _moved(shape: tuple[int | None, ...]) -> list[tuple[int | None, ...]]:
    """The shape with its channels first, where they are last, and last, where they are first."""
    if len(shape) < 3:
        return []
    return [channels_first_shape(shape), _channels_last(shape)]


def _channels_last(shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
    return (shape[0], *shape[2:], shape[1]) if len(shape) > 2 else shape


def _sizes(shapes: Any) -> Hashable:
    """The axes of the first shape but the batch, in no order; those of one element say nothing."""
    return tuple(sorted((-1 if axis is None else axis) for axis in _first(shapes)[1:] if axis != 1))


def _plain(path: str) -> str:
    """A name without the ways in which frameworks spell it."""
    return re.sub(r"[\W_]+", "_", "_".join(map(snake_case, re.split(r"[./]", path)))).strip("_")


def _bare(weight: Weight) -> tuple[int, ...]:
    return tuple(sorted(axis for axis in weight.shape if axis != 1))


def _carries(place: Place) -> Hashable:
    """What the matrices of a row hold, in no order of axes; of a row without them, the sizes of its vectors."""
    matrices = sorted(_bare(weight) for weight in place.row.weights if len(weight.shape) > 1)
    return tuple(matrices) or tuple(sorted({weight.shape for weight in place.row.weights})) or None


def _lineage(sides: Sequence[Sequence[Place]], steps: int = 4) -> Key:
    """What a row holds, and what those hold that lead to it, so many steps back: branches side by side may be alike.

    Rows without weights are passed over. None where a table does not say what is connected.
    """
    if not all(any(len(place.inputs) > 1 for place in side) for side in sides):
        return lambda place: None
    carriers: dict[Place, tuple[Place, ...]] = {}
    for place in itertools.chain(*sides):  # each after those that it takes from
        before = [(each,) if _carries(each) else carriers.get(each, ()) for each in place.inputs]
        carriers[place] = tuple(dict.fromkeys(itertools.chain(*before)))
    labels = {place: hash(_carries(place)) for place in carriers}
    for _ in range(steps):
        labels = {place: hash((label, *sorted(labels[x] for x in carriers[place]))) for place, label in labels.items()}
    return lambda place: labels[place] if _carries(place) else None


def _ranks(place: Place) -> Hashable:
    return max((len(weight.shape) for weight in place.row.weights), default=None)


def _window(place: Place) -> Hashable:
    return None if place.row.weights else _WINDOWS.get(re.sub(r"\dD$", "", place.row.class_name, flags=re.I).lower())


def _regroup(found: Matching) -> None:
    """What is one layer on one side and several on the other, as a separable convolution is, where weights agree."""
    for gap in found.gaps():
        sides = [[place for place in side if place.row.weights] for side in gap]
        if all(sides) and not _unpaired(*([place.row for place in side] for side in sides)):
            found.settled.update(*sides)


def _weight_changes(before: Row, after: Row) -> list[Change]:
    return [Change(" -> ".join(dict.fromkeys(w.name for w in pair if w)),
                   *(to_text(w.shape) if w else "nothing" for w in pair))
            for pair in _unpaired([before], [after])]


def _unpaired(before: Sequence[Row], after: Sequence[Row]) -> list[tuple[Weight | None, Weight | None]]:
    """Weights that have no counterpart on the other side, with what comes nearest to one."""
    alone, left = ([each for row in rows for each in _split(row)] for rows in (before, after))
    slides = any("Conv" in row.class_name for row in before)  # where 3 times 3 is not 1 times 9
    sizes = Counter(weight.shape for weight in left)
    for key in (_bare,) if slides else (_bare, lambda weight: weight.size):
        alone, left = _without_pairs(alone, left, key), _without_pairs(left, alone, key)
    left = [weight for weight in left if len(weight.shape) != 1 or sizes[weight.shape] == 1]  # LSTM's second bias
    if len(alone) != len(left) and sum(weight.size for weight in alone) == sum(weight.size for weight in left):
        return []  # the same numbers, packed in another way
    pairs: list[tuple[Weight | None, Weight | None]] = []
    for weight in alone:
        role = _SAME_ROLE.get(weight.name, weight.name.replace("kernel", "weight"))
        near = next((each for each in left if each.name == role), None)
        if near:
            left.remove(near)
        pairs.append((weight, near))
    return [*pairs, *((None, weight) for weight in left)]


def _split(row: Row) -> list[Weight]:
    """Keras keeps both biases of a GRU in one array, and channels and their multiples of a depthwise kernel apart."""
    found = []
    for weight in row.weights:
        is_depthwise = weight.name == ("kernel" if "Depthwise" in row.class_name else "depthwise_kernel")
        if "bias" in weight.name and weight.shape[:-1] == (2,):
            found += [weight._replace(shape=weight.shape[1:])] * 2
        elif is_depthwise:
            found.append(weight._replace(shape=(*weight.shape[:-2], weight.shape[-2] * weight.shape[-1])))
        else:
            found.append(weight)
    return found


def _without_pairs(weights: Sequence[Weight], others: Sequence[Weight], key: Callable[[Weight], Any]) -> list[Weight]:
    there = Counter(map(key, others))
    left = []
    for weight in weights:
        there[key(weight)] -= 1
        if there[key(weight)] < 0:
            left.append(weight)
    return left
