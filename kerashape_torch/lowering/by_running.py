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

_ALL_ALIKE = (Sizes.alike(64, 64), Sizes.alike(128, 128))
_PAIRS = ((Sizes.apart(2, (2, 3, 5, 8)), Sizes.apart(4, (4, 9, 21, 45))), (Sizes.alike(2, 64), Sizes.alike(3, 128)),
          (Sizes.alike(2, 256), Sizes.alike(3, 512)), (Sizes.alike(2, 8), Sizes.alike(3, 16)),
          _ALL_ALIKE, (Sizes.alike(8, 64), Sizes.alike(16, 128)))
"""Two runs each, the second with axes at least twice as long, so that no rounding in between makes them equal. First
free axes differ, and no two of them have one sum, difference, product or ratio in both runs; then they are alike, for
modules that need that, are made for large or small sizes, have their batch elsewhere, or take few batches."""
_BEYOND = (Sizes.alike(4, 2), Sizes.alike(4, 6), Sizes.alike(4, 160))
"""Runs that need not succeed: an axis that is cut off or filled up at some size moves in one of them."""
_USUAL = (1, 4, 8, 16, 28, 32, 48, 64, 96, 112, 128, 224, 227, 256, 299, 384, 448, 512)
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
    if _is_hopeless(runs):
        raise _refusal(runs)
    pair = next((pair for pair in (_PAIRS if runs.asked.free else (_PAIRS[0], _PAIRS[-1]))
                 if not any(runs[sizes].failure for sizes in pair)), None) or _usual_pair(runs)
    if pair is None:
        raise _refusal(runs)
    more = [runs[sizes] for sizes in _BEYOND if not runs[sizes].failure] if runs.asked.free else []
    found = [*(runs[sizes] for sizes in pair), *more]
    if pair not in _PAIRS[:3] and _is_contradicted(runs, found):
        raise _bound(runs, pair)
    return _table(module, found)


def _understood(module: nn.Module, input_shape: Any, input_dtype: Any) -> _Runs:
    """The reading on which the module runs, or gets furthest."""
    tried = [_Runs(module, asked) for asked in readings(module, input_shape, input_dtype)]
    for pair in (_PAIRS[0], _ALL_ALIKE):
        for runs in tried:
            if not runs[pair[0]].failure:
                return runs
    return max(tried, key=lambda runs: max(len(run.calls) for run in runs.values()))


def _is_hopeless(runs: _Runs) -> bool:
    """Whether it needs numbers, or something fails alike whatever the size. (What a module raises itself may be about
    the size and not say it.)"""
    if not runs[_PAIRS[0][0]].failure:
        return False
    failures = [run.failure for run in map(runs.__getitem__, (*_PAIRS[0], _ALL_ALIKE[0])) if run.failure]
    alike = len(failures) == 3 and len({(failure.path, str(failure.error)) for failure in failures}) == 1
    return any(failure.needs_numbers for failure in failures) or (alike and not failures[0].is_deliberate)


def _good_sizes(runs: _Runs) -> list[Sizes]:
    """The usual sizes at which the module runs, the smallest first."""
    tried = [Sizes.alike(2, size) for size in _USUAL] if runs.asked.free else [Sizes.alike(n, 1) for n in (1, 4, 32)]
    return [sizes for sizes in tried if not runs[sizes].failure]


def _usual_pair(runs: _Runs) -> tuple[Sizes, Sizes] | None:
    """Usual sizes at which it runs, of which one is at least twice the other; None where it runs at none of them.

    Raises:
        ShapeError: it runs at some of them, but at no such two.
    """
    good = _good_sizes(runs)
    for sizes in good[1:]:
        other = sizes._replace(batch=sizes.batch + 1)
        if sizes.other(0) >= 2 * good[0].other(0) and not runs[other].failure:
            return good[0], other
    if good:
        raise _bound(runs)
    return None


def _is_contradicted(runs: _Runs, found: Sequence[Run]) -> bool:
    """Whether an axis that is alike in all these runs is another in one that failed later: then it was only rounded."""
    for run in runs.values():
        for path in run.calls if run.failure else ():
            gave = [each.calls[path].gave for each in (*found, run) if path in each.calls]
            try:
                if len(gave) > 1 and _merged(gave) != _merged(gave[:-1]):
                    return True
            except ShapeError:  # another number of tensors
                return True
    return False


# ---- what fails ------------------------------------------------------------------------------------------------------


def _bound(runs: _Runs, known: Sequence[Sizes] = ()) -> ShapeError:
    """The error that says which axes cannot move from the sizes at which the module runs."""
    sizes = max([*_good_sizes(runs), *known], key=lambda sizes: (sizes.other(0) == 224, sizes.other(0), -sizes.batch))
    asked = runs.asked
    failures = {i: [runs[each].failure for each in sizes.halved_and_doubled(i, asked.free)]
                for i in range(-1, asked.free)}
    stuck = {i: next(filter(None, found)) for i, found in failures.items() if any(found)}
    runs_at = to_text(asked.written(sizes, stuck))
    first = next(iter(stuck.values()), None)
    why = f": {_named(runs.module, first.path)} fails: {first.fact}" if first else ""
    return ShapeError(f"{asked.names(stuck) or 'a size'} cannot be None: it runs at {runs_at}, but not at half or at "
                      f"twice that size{why}",
                      hint=f"Way out: input_shape={runs_at}").at(type(runs.module).__name__, to_text(asked.shapes))


def _refusal(runs: _Runs) -> ShapeError:
    """The error of the run that got furthest, with what was seen up to there."""
    failed = [runs[sizes] for sizes in (*_ALL_ALIKE, *_PAIRS[0]) if runs[sizes].failure]
    first = max(failed, key=lambda run: len(run.calls))
    failure = first.failure
    assert failure is not None
    same = [run for run in failed if run.failure and run.failure.path == failure.path]
    seen = [f"{path} {to_text(_shown([run.calls[path].gave for run in same if path in run.calls]))}"
            for path, call in first.calls.items() if call.is_leaf and call.gave is not None]
    took = _shown([run.failure.took for run in same if run.failure])
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
    if any(each is None for each in found):
        return None
    flat = [flatten_shapes(each) for each in found]
    ranks = list(dict.fromkeys(tuple(map(len, shapes)) for shapes in flat))
    if len(ranks) > 1:
        said = ", or ".join(f"{len(each)} tensors of rank {max(each, default=0)}" for each in ranks)
        raise ShapeError(f"what comes out depends on the sizes of axes that are None: {said}",
                         hint="Way out: give more of the sizes in input_shape")
    axes = iter([tuple(sizes[0] if len(set(sizes)) == 1 else None for sizes in zip(*shapes)) for shapes in zip(*flat)])
    return map_in_order(lambda _: next(axes), found[0])


def _shown(found: list[Any]) -> Any:
    """The same for a message: where the runs have nothing in common, the first of them."""
    try:
        return _merged(found)
    except ShapeError:
        return found[0]
