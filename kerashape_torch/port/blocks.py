"""Repeated structure: runs of steps that come again with other weights become units, and units in a row one part."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch

from kerashape_torch.port.forward import is_automatic
from kerashape_torch.port.names import class_name, identifier, member_names
from kerashape_torch.port.program import Constant, Made, Part, Row, Step, Unit, Value, all_units, values_in
from kerashape_torch.port.read import bordered
from kerashape_torch.port.templates import frozen_with, is_size, kind_of, skeleton

_LONGEST, _LEAST_GAIN, _LEAST_INSIDE = 80, 6, 5
_SHORT = {"conv1d": "conv", "conv2d": "conv", "conv3d": "conv", "batch_normalization": "bn", "re_lu": "relu",
          "activation": "act", "layer_normalization": "norm", "group_normalization": "norm",
          "multi_head_attention": "attention", "depthwise_conv2d": "depthwise", "separable_conv2d": "separable",
          "conv2d_transpose": "up", "max_pooling2d": "pool", "average_pooling2d": "pool"}
"""What a layer without a name of its own is called in a block."""
_COMMON_WORDS = {"", "block", "layer", "stage", "module", "unit", "cell", "stack", "conv", "res", "group"}


def with_blocks(program: Unit) -> Unit:
    """The same program with its repeated structure as units."""
    for unit in all_units(program):
        while _outline(unit, only_steps=True):
            pass
        _put_in_rows(unit, named=True)
        while _outline(unit, only_steps=False):
            pass
        _put_in_rows(unit, named=False)
    return program


class Region(NamedTuple):
    """A run of steps of a unit, from one place up to another."""

    start: int
    end: int


class _Steps:
    """The steps of a unit as symbols: equal ones do the same with other weights of, perhaps, other sizes."""

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self.steps = unit.steps
        self.used = [step.values() for step in self.steps]  # looked up once: every region asks for them
        self.made = [step.given() for step in self.steps]
        self.maker = {value: i for i, values in enumerate(self.made) for value in values}
        self.last = {value: i for i, values in enumerate(self.used) for value in values}
        self.last.update(dict.fromkeys(values_in(unit.output), len(self.steps)))
        self.lasts = [max((self.last.get(value, -1) for value in values), default=-1) for values in self.made]
        self.calls_part = [isinstance(step.callee, Part) for step in self.steps]
        calls = Counter(step.callee for step in self.steps if isinstance(step.callee, Part))
        known: dict[Any, int] = {}
        alike: dict[Any, Unit] = {}

        def representative(inner: Unit) -> Unit:
            return alike.setdefault(skeleton(inner, representative), inner)

        self.symbols = [known.setdefault(self._symbol(step, calls, representative), len(known)) for step in self.steps]

    def _symbol(self, step: Step, calls: Counter[Part], representative: Callable[[Unit], Unit]) -> Any:
        part = step.callee
        if isinstance(part, Part):
            if calls[part] > 1 or isinstance(part.what, Constant):
                return "by itself", id(step)
            part = kind_of(part.what, representative)
        ranks = tuple(len(value.shape) if isinstance(value.shape, tuple) else None for value in step.given())
        return frozen_with(lambda _: "value")((part, step.args, step.kwargs, step.results)), ranks

    def form(self, region: Region) -> Any:
        """What the region does, its values known by their places; None where it cannot be a unit."""
        start, end = region
        *others, last = self.lasts[start:end]
        if last < end or max(others, default=-1) >= end or self.calls_part[start:end].count(True) < 2:
            return None  # only what the last step gives is used later
        taken: dict[Value, int] = {}
        places: list[Any] = []
        for values in self.used[start:end]:
            for value in values:
                inside = self.maker.get(value, -1) >= region.start
                if not inside and value.shape is None:
                    return None
                place = self.maker[value] - region.start if inside else -1 - taken.setdefault(value, len(taken))
                places.append(place)
        given = self.given(region)
        if len(given) != 1 or len(taken) > 3 or given[0].shape is None:
            return None
        units = self.units_in(region) == region.end - region.start
        return tuple(places), len(taken), tuple(self._manners(region)) if units else ()

    def _manners(self, region: Region) -> Iterator[Any]:
        """The numbers in the units of a region that are no sizes, as those of windows."""
        for step in self.steps[region.start:region.end]:
            for unit in all_units(Unit("", [], [], None, [step.callee])):
                for part in unit.parts:
                    if isinstance(part.what, Made):
                        yield frozen_with(lambda _: None)({name: value for name, value in part.what.arguments.items()
                                                           if not is_size(name)})

    def units_in(self, region: Region) -> int:
        """How many of its steps call units."""
        return sum(isinstance(step.callee, Part) and isinstance(step.callee.what, (Unit, Row))
                   for step in self.steps[region.start:region.end])

    def given(self, region: Region) -> list[Value]:
        return [value for values in self.made[region.start:region.end] for value in values
                if self.last.get(value, -1) >= region.end]

    def taken(self, region: Region) -> list[Value]:
        return list(dict.fromkeys(value for values in self.used[region.start:region.end] for value in values
                                  if self.maker.get(value, -1) < region.start))


def _outline(unit: Unit, only_steps: bool) -> bool:
    """Makes units of the repetition that saves most, if there is one worth it; ``only_steps`` leaves units alone."""
    steps = _Steps(unit)
    found: list[_Repetition] = []
    for length in range(min(len(steps.symbols) // 2, _LONGEST), 1, -1):
        for regions in _repeated(steps, length):
            units = steps.units_in(regions[0])
            gain = (len(regions) - 1) * length
            if (only_steps and units) or (length == 2 and units < 2) or gain < _LEAST_GAIN - 2 * (units == length):
                continue
            named = all(_is_named_apart(steps, region) for region in regions)
            found.append(_Repetition(_score(steps, regions[0], gain, named), named, regions))
    if not found:
        return False
    best = max(found, key=lambda each: each.score)
    while inside := [each for each in found if each.is_in(best)]:
        best = max(inside, key=lambda each: each.score)
    _replace(unit, steps, best.regions)
    return True


class _Repetition(NamedTuple):
    """Regions that are alike, what they save, and whether the names of the model set them apart."""

    score: float
    named: bool
    regions: list[Region]

    def is_in(self, other: _Repetition) -> bool:
        """Whether it comes more than once in each region of the other, and is no trifle: then it goes first."""
        start, end = other.regions[0]
        inside = [region for region in self.regions if start <= region.start and region.end <= end]
        return self.named >= other.named and len(inside) > 1 and inside[0].end - inside[0].start >= _LEAST_INSIDE


def _repeated(steps: _Steps, length: int) -> list[list[Region]]:
    """Runs of a length that come again, without those that overlap."""
    by_symbols: dict[tuple[int, ...], list[int]] = {}
    for start in range(len(steps.symbols) - length + 1):
        by_symbols.setdefault(tuple(steps.symbols[start:start + length]), []).append(start)
    found = []
    for starts in by_symbols.values():
        if len(starts) < 2:
            continue
        by_form: dict[Any, list[Region]] = {}
        for start in starts:
            region = Region(start, start + length)
            form = steps.form(region)
            if form is not None and (form not in by_form or by_form[form][-1].end <= start):
                by_form.setdefault(form, []).append(region)
        found += [regions for regions in by_form.values() if len(regions) > 1]
    return found


def _score(steps: _Steps, region: Region, gain: int, named: bool) -> float:
    """How much a repetition is what a person would call a block: named as one, of one tensor, merging its branches; of
    those that are alike, the one that begins with weights and ends with none."""
    score = gain * (3.0 if named else 1.0) * 0.5 ** (len(steps.taken(region)) - 1)
    if any(step.callee in (torch.add, torch.cat) for step in steps.steps[region.start:region.end]):
        score *= 1.3
    first, last = steps.steps[region.start].callee, steps.steps[region.end - 1].callee
    return score + 0.5 * _has_weights(first) + 0.25 * (not _has_weights(last))


def _has_weights(callee: Any) -> bool:
    what = callee.what if isinstance(callee, Part) else None
    return isinstance(what, Unit) or (isinstance(what, Made) and what.source is not None and any(
        True for _ in what.source.parameters()))


# ---- names -----------------------------------------------------------------------------------------------------------


def _layer_names(steps: list[Step]) -> list[str]:
    return [value.hint for step in steps for value in step.given()[:1]]


def _prefix(names: list[str]) -> str:
    """What names have in common, up to an underscore."""
    if not names:
        return ""
    first, last = min(names), max(names)
    same = next((i for i, (a, b) in enumerate(zip(first, last)) if a != b), min(len(first), len(last)))
    cut = max(first[:same].rfind(sign) for sign in "_./")
    return first[:cut + 1]


def _is_named_apart(steps: _Steps, region: Region) -> bool:
    """Whether the layers of a region, and they alone around it, have names that begin alike."""
    names = _layer_names(steps.steps[region.start:region.end])
    prefix = _prefix(names)
    if len(prefix) < 2 or any(map(is_automatic, names)):
        return False
    around = [*_layer_names(steps.steps[:region.start])[-1:], *_layer_names(steps.steps[region.end:])[:1]]
    return not any(name.startswith(prefix) for name in around)


def _replace(unit: Unit, steps: _Steps, regions: list[Region]) -> None:
    runs = [steps.steps[region.start:region.end] for region in regions]
    prefixes = [_prefix(_layer_names(run)) if _is_named_apart(steps, region) else "" for run, region in
                zip(runs, regions)]
    named = all(len(prefix) > 1 for prefix in prefixes) and len(set(prefixes)) == len(prefixes)
    title = _title(runs[0], steps.taken(regions[0]), prefixes[0] if named else "")
    members = _member_names(runs, prefixes if named else [""] * len(runs))
    names = member_names()
    names.taken |= {part.name for part in unit.parts}
    replacement: dict[int, Step] = {}
    for i, (region, run) in enumerate(zip(regions, runs)):
        taken, given = steps.taken(region), steps.given(region)
        inner = bordered(title, run, taken, given, named=False)
        inner.parts = list(dict.fromkeys(step.callee for step in inner.steps if isinstance(step.callee, Part)))
        for part, name in zip(inner.parts, members):
            part.name = name
        wanted = identifier(prefixes[i].rstrip("_./"), "block") if named else f"{_snake(title)}{i + 1}"
        part = Part(names.take(wanted), inner)
        replacement[region.start] = Step(part, tuple(taken), {}, given[0])
    inside = {i for region in regions for i in range(region.start, region.end)}
    unit.steps = [replacement.get(i, step) for i, step in enumerate(steps.steps) if i in replacement or i not in inside]
    unit.parts = list(dict.fromkeys(step.callee for step in unit.steps if isinstance(step.callee, Part)))


def _snake(title: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", title).lower()


def _member_names(runs: list[list[Step]], prefixes: list[str]) -> list[str]:
    """Names of the parts of a block: those that all of its calls agree on, else by what the parts are."""
    found = []
    for run, prefix in zip(runs, prefixes):
        parts = dict.fromkeys(step.callee for step in run if isinstance(step.callee, Part))
        known = identifier(prefix, "")
        found.append([identifier(part.name.removeprefix(known).removeprefix("_"), "layer") for part in parts])
    names = member_names()
    if all(plain == found[0] for plain in found) and not any(map(is_automatic, found[0])):
        return [names.take(name) for name in found[0]]
    kinds = [re.sub(r"_?\d+$", "", name) for name in found[0]]
    if any([re.sub(r"_?\d+$", "", name) for name in plain] != kinds for plain in found):
        kinds = [_snake(_class_of(part)) for part in dict.fromkeys(
            step.callee for step in runs[0] if isinstance(step.callee, Part))]
    kinds = [_SHORT.get(kind, kind) for kind in kinds]
    count, seen, result = Counter(kinds), Counter[str](), []
    for kind in kinds:
        seen[kind] += 1
        result.append(names.take(f"{kind}{seen[kind]}" if count[kind] > 1 else kind))
    return result


def _class_of(part: Any) -> str:
    return part.what.cls.__name__ if isinstance(part.what, Made) else getattr(part.what, "name", "block")


def _title(run: list[Step], taken: list[Value], prefix: str) -> str:
    """A name for the class of a block."""
    words = [re.sub(r"\d+", "", word) for word in re.split(r"[_./]", prefix) if re.sub(r"\d+", "", word)]
    kept = [word for word in words[-2:] if word.lower() not in _COMMON_WORDS]
    if kept:
        return class_name("_".join(words[-2:]), "Block")
    return f"{_manner(run, taken)}Block" if _manner(run, taken) != "DoubleConv" else "DoubleConv"


def _manner(run: list[Step], taken: list[Value]) -> str:
    classes = [_class_of(step.callee) for step in run if isinstance(step.callee, Part)]
    if any("Attention" in name for name in classes):
        return "Transformer" if "Linear" in classes else "Attention"
    adds = [step for step in run if step.callee is torch.add]
    if adds:
        return "Residual" if any(value in taken for step in adds for value in step.values()) else "Projection"
    if any(step.callee is torch.cat for step in run):
        return "Concat"
    convolutions = sum("Conv" in name for name in classes)
    if convolutions == 2:
        return "DoubleConv"
    return "Conv" if convolutions else "Linear" if "Linear" in classes else ""


# ---- rows ------------------------------------------------------------------------------------------------------------


def _put_in_rows(unit: Unit, named: bool) -> None:
    """Units that follow each other, each on what the one before it gave, become one part; first those whose names come
    from the model."""
    uses = unit.uses()
    rows: list[list[Step]] = []
    for before, step in zip([None, *unit.steps], unit.steps):
        if not _is_alone(step) or (named and _is_numbered(step)):
            continue
        if before is not None and rows and rows[-1][-1] is before and step.args == (before.results,) and (
                len(uses[before.results]) == 1) and _stem(before) == _stem(step):
            rows[-1].append(step)
        else:
            rows.append([step])
    names = member_names()
    names.taken |= {part.name for part in unit.parts}
    for row in rows:
        if len(row) > 1:
            part = Part(names.take(_stem(row[0]) or "blocks"), Row([step.callee.what for step in row]))
            whole = Step(part, row[0].args, {}, row[-1].results)
            unit.steps = [whole if step is row[0] else step for step in unit.steps if step not in row[1:]]
    unit.parts = list(dict.fromkeys(step.callee for step in unit.steps if isinstance(step.callee, Part)))


def _is_alone(step: Step) -> bool:
    """Whether a step calls a unit of its own with one tensor, for one tensor."""
    what = step.callee.what if isinstance(step.callee, Part) else None
    return isinstance(what, Unit) and not step.kwargs and len(step.args) == 1 and isinstance(step.args[0], Value) and (
        isinstance(step.results, Value)) and len(what.inputs) == 1


def _is_numbered(step: Step) -> bool:
    """Whether a unit has the name of its class, as the model has none for it."""
    return bool(re.sub(r"_?\d+$", "", step.callee.name) == _snake(step.callee.what.name))


def _stem(step: Step) -> str:
    """``conv2`` for ``conv2_block1``, ``blocks`` for ``block1``."""
    name = re.sub(r"_?\d+$", "", step.callee.name)
    several = name if name.endswith("s") else f"{name}s"
    return several if _is_numbered(step) else name.rpartition("_")[0] or several
