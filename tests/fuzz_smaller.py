"""Smaller programs that fail in the same way, to look at and to keep."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import fuzzing
from fuzz_programs import Json, attempt


def minimised(program: Json, kind: str, tries: int = 120) -> Json:
    """A smaller program that fails in the same way."""
    smaller = True
    while smaller and tries > 0:
        smaller = False
        for candidate in _candidates(program):
            tries -= 1
            outcome, error = attempt(fuzzing.check, candidate)
            if error is None and outcome.kind == kind:
                program, smaller = candidate, True
                break
            if tries <= 0:
                break
    return program


def _candidates(program: Json) -> Iterator[Json]:
    for i in range(len(program["steps"]) - 1):
        yield pruned({**program, "steps": program["steps"][:i + 1], "outputs": None})
    for output in program["outputs"] or ():
        if len(program["outputs"]) > 1:
            yield pruned({**program, "outputs": [output]})
    for i, layer in enumerate(program["layers"]):
        for smaller in _with_less(layer):
            yield {**program, "layers": [*program["layers"][:i], smaller, *program["layers"][i + 1:]]}
    for i, step in enumerate(program["steps"]):
        for key in step["kwargs"]:
            rest = {name: value for name, value in step["kwargs"].items() if name != key}
            yield {**program, "steps": [*program["steps"][:i], {**step, "kwargs": rest}, *program["steps"][i + 1:]]}


def _with_less(layer: Json) -> Iterator[Json]:
    if "program" in layer:
        for smaller in _candidates(layer["program"]):
            yield {**layer, "program": smaller}
        return
    for key, value in layer["args"].items():
        yield {**layer, "args": {name: item for name, item in layer["args"].items() if name != key}}
        if isinstance(value, dict) and "object" in value:
            for smaller in _with_less(value):
                yield {**layer, "args": {**layer["args"], key: smaller}}


def pruned(program: Json) -> Json:
    """Without the steps and layers that no output needs: Keras counts them in its names, and here they never were."""
    program = copy.deepcopy(program)
    first, steps = len(program["inputs"]), program["steps"]
    ends = [first + sum(step["gives"] for step in steps[:i + 1]) for i in range(len(steps))]
    if program["outputs"] is None:
        program["outputs"] = list(range(ends[-1] - steps[-1]["gives"], ends[-1]))
    needed, kept, moved = set(program["outputs"]), [], {}
    for step, end in zip(reversed(steps), reversed(ends)):
        if needed.intersection(range(end - step["gives"], end)):
            needed.update(_tensors(step))
            kept.append((step, end))
    at = first
    for step, end in reversed(kept):
        moved |= {end - step["gives"] + i: at + i for i in range(step["gives"])}
        at += step["gives"]
    used = sorted({step["layer"] for step, _ in kept if "layer" in step})
    program["steps"] = [_renumbered(step, moved) for step, _ in reversed(kept)]
    program["layers"] = [program["layers"][i] for i in used]
    for step in program["steps"]:
        if "layer" in step:
            step["layer"] = used.index(step["layer"])
    program["outputs"] = [moved.get(i, i) for i in program["outputs"]]
    return program


def _tensors(value: Any) -> Iterator[int]:
    if isinstance(value, dict):
        of = value.get("of")
        yield from [of] if isinstance(of, int) else of or ()
        for item in value.values():
            yield from _tensors(item)
    elif isinstance(value, list):
        for item in value:
            yield from _tensors(item)


def _renumbered(value: Any, moved: dict[int, int]) -> Any:
    if isinstance(value, dict):
        found = {key: _renumbered(item, moved) for key, item in value.items() if key != "of"}
        if "of" in value:
            of = value["of"]
            found["of"] = moved.get(of, of) if isinstance(of, int) else [moved.get(i, i) for i in of]
        return found
    return [_renumbered(item, moved) for item in value] if isinstance(value, list) else value


