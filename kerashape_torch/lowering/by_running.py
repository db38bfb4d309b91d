"""The shape table of any torch module: run on tensors without data at several sizes, of which what moves is None."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor, nn

from kerashape_torch.errors import ShapeError
from kerashape_torch.lowering.module_inputs import Asked, Sizes, map_in_order, readings
from kerashape_torch.lowering.module_run import Run
from kerashape_torch.lowering.module_weights import each_once, row, weights_of
from kerashape_torch.shape import to_text
from kerashape_torch.shape_table import Row, ShapeTable
from kerashape_torch.structure import flatten_shapes

_ALL_ALIKE = (Sizes.alike(64, 64), Sizes.alike(96, 96))
_PAIRS = ((Sizes.apart(2, (2, 5, 7, 11)), Sizes.apart(3, (3, 9, 17, 8))), (Sizes.alike(2, 64), Sizes.alike(3, 96)),
          (Sizes.alike(2, 256), Sizes.alike(3, 384)), (Sizes.alike(2, 8), Sizes.alike(3, 12)),
          _ALL_ALIKE, (Sizes.alike(8, 64), Sizes.alike(16, 96)))
"""Two runs each. First free axes differ, and no two of them have one sum, difference, product or ratio in both runs;
then they are alike, for modules that need that, are made for large or small sizes, have their batch elsewhere, or take
few batches."""
_BEYOND = (Sizes.alike(4, 2), Sizes.alike(4, 6), Sizes.alike(4, 288))
"""Runs that need not succeed: an axis that is cut off or filled up at some size moves in one of them."""
_USUAL = (224, 32, 28, 299, 256, 128, 64, 16, 8, 4, 48, 96, 112, 192, 227, 240, 320, 384, 416, 448, 512, 640, 1024, 1)
"""Sizes that modules are often made for."""


class _Runs(dict[Sizes, Run]):
    """The runs of a module under one reading, each made when it is asked for."""

    def __init__(self, module: nn.Module, asked: Asked) -> None:
        super().__init__()
        self.module = module
        self.asked = asked

    def __missing__(self, sizes: Sizes) -> Run:
        made = self[sizes] = Run(self.module, self.asked.on(sizes))
        return made


def table_by_running(module: nn.Module, input_shape: Any, input_dtype: Any = None) -> ShapeTable:
    """Rows for the parts of a module that hold weights, or have no part inside, in the order in which they end.

    Raises:
        ShapeError: the module takes no such tensors, needs an axis that is None to be of one size, or needs numbers.
    """
    runs = _understood(module, input_shape, input_dtype)
    if any(run.failure and run.failure.needs_numbers for run in runs.values()):
        raise _refusal(runs)
    for pair in _PAIRS if runs.asked.free else (_PAIRS[0], _PAIRS[-1]):
        if not any(runs[sizes].failure for sizes in pair):
            more = [runs[sizes] for sizes in _BEYOND] if runs.asked.free else []
            return _table(module, [*(runs[sizes] for sizes in pair), *(run for run in more if not run.failure)])
    found = _at_usual_sizes(runs)
    if found is None:
        raise _refusal(runs)
    return _table(module, found)


def _understood(module: nn.Module, input_shape: Any, input_dtype: Any) -> _Runs:
    """The reading on which the module runs, or gets furthest."""
    tried = [_Runs(module, asked) for asked in readings(module, input_shape, input_dtype)]
    for pair in (_PAIRS[0], _ALL_ALIKE):
        for runs in tried:
            if not runs[pair[0]].failure:
                return runs
    return max(tried, key=lambda runs: max(len(run.calls) for run in runs.values()))


def _at_usual_sizes(runs: _Runs) -> list[Run] | None:
    """Two runs at sizes that modules are often made for, or None where it runs at none of them.

    Raises:
        ShapeError: it runs at one of them alone.
    """
    tried = [Sizes.alike(2, size) for size in _USUAL] if runs.asked.free else [Sizes.alike(n, 1) for n in (1, 4, 32)]
    good = [sizes for sizes in tried if not runs[sizes].failure]
    for sizes in good[1:]:
        other = sizes._replace(batch=sizes.batch + 1)
        if not runs[other].failure:
            return [runs[good[0]], runs[other]]
    if good:
        raise _bound(runs, good[0])
    return None


# ---- what fails ------------------------------------------------------------------------------------------------------


def _bound(runs: _Runs, sizes: Sizes) -> ShapeError:
    """The error that says which axes cannot move from the sizes at which the module runs."""
    asked = runs.asked
    failures = {i: [runs[sizes.moved(i, by, asked.free)].failure for by in (1, 2, 32)] for i in range(-1, asked.free)}
    stuck = {i: found[-1] for i, found in failures.items() if all(found)}
    runs_at = to_text(asked.written(sizes, stuck))
    first = next((failure for failure in stuck.values() if failure), None)
    why = "" if first is None else f". At others {_named(runs.module, first.path)} fails: {first.fact}"
    return ShapeError(f"{asked.names(stuck) or 'a size'} cannot be None: of many sizes it runs at {runs_at} alone{why}",
                      hint=f"Way out: input_shape={runs_at}").at(type(runs.module).__name__, to_text(asked.shapes))


def _refusal(runs: _Runs) -> ShapeError:
    """The error of the run that got furthest, with what was seen up to there."""
    failed = [runs[sizes] for sizes in (*_ALL_ALIKE, *_PAIRS[0]) if runs[sizes].failure]
    first = max(failed, key=lambda run: len(run.calls))
    failure = first.failure
    assert failure is not None
    same = [run for run in failed if run.failure and run.failure.path == failure.path]
    seen = [f"{path} {to_text(_merged([run.calls[path].gave for run in same if path in run.calls]))}"
            for path, call in first.calls.items() if call.is_leaf and call.gave is not None]
    took = _merged([run.failure.took for run in same if run.failure])
    hint = ("Way out: shape_table(part, input_shape) of the parts before and after it, one by one"
            if failure.needs_numbers else None)
    return ShapeError(failure.fact, hint).at(_named(runs.module, failure.path),
                                             to_text(runs.asked.shapes if took is None else took),
                                             " -> ".join(["..."] * (len(seen) > 6) + seen[-6:]))


def _named(module: nn.Module, path: str) -> str:
    """A part in words: its path and its class."""
    return f"{path} = {type(module.get_submodule(path)).__name__}" if path else type(module).__name__


# ---- rows ------------------------------------------------------------------------------------------------------------


def _table(module: nn.Module, runs: Sequence[Run]) -> ShapeTable:
    ends = {}
    for path in runs[0].calls:
        calls = [run.calls[path] for run in runs if path in run.calls]
        try:
            ends[path] = _merged([call.took for call in calls]), _merged([call.gave for call in calls])
        except ShapeError as error:
            raise error.at(_named(module, path), to_text(calls[0].took)) from None
    return ShapeTable(type(module).__name__, _rows(module, runs[0], ends), each_once(module), *ends[""], chain=False)


def _rows(module: nn.Module, run: Run, ends: dict[str, tuple[Any, Any]]) -> Iterator[Row]:
    """Parts that ran, where they hold weights or have no part inside; then those whose weights nothing used."""
    title = type(module).__name__
    own = _own_weights(module, run)
    names = {path or title: path for path in own if own[path] or run.calls[path].is_leaf}
    for name, path in names.items():
        sources = run.calls[path].connected_to if path in run.calls else ()
        yield row(name, module.get_submodule(path), ends.get(path, (None, None)), own[path],
                  tuple(source for source in sources if source.layer in names))


def _own_weights(module: nn.Module, run: Run) -> dict[str, dict[str, Tensor]]:
    """The weights of each part. Those that were used although their part did not run are the part's that holds it."""
    own: dict[str, dict[str, Tensor]] = {path: {} for path in run.calls}
    parts = dict(module.named_modules())
    used = {name.rpartition(".")[0] for name in run.used}
    for name, x in weights_of(module).items():
        path = name.rpartition(".")[0]
        if path not in parts:  # a second name of a part
            continue
        while path in used and path not in run.calls:
            path = path.rpartition(".")[0]
            used.add(path)
        own.setdefault(path, {})[name[len(path) + 1:] if path else name] = x
    return own


def _merged(found: list[Any]) -> Any:
    """One shape, or structure of shapes, of several runs: what differs is None."""
    if found[0] is None:
        return None
    flat = [flatten_shapes(each) for each in found]
    ranks = list(dict.fromkeys(tuple(map(len, shapes)) for shapes in flat))
    if len(ranks) > 1:
        said = ", or ".join(f"{len(each)} tensors of rank {max(each, default=0)}" for each in ranks)
        raise ShapeError(f"what comes out depends on the sizes of axes that are None: {said}",
                         hint="Way out: give more of the sizes in input_shape")
    axes = iter([tuple(sizes[0] if len(set(sizes)) == 1 else None for sizes in zip(*shapes)) for shapes in zip(*flat)])
    return map_in_order(lambda _: next(axes), found[0])
