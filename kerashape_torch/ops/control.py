"""What takes Python functions, on real tensors: loops and choices inside a ``call`` of one's own.

A graph cannot hold such a function and a config cannot name it, so symbolic tensors are refused. On tensors without
values, where a layer's shapes are found, a choice that depends on numbers runs every branch, and a loop runs once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kerashape_torch.errors import ConfigError
from kerashape_torch.graph import symbolic
from kerashape_torch.ops.left_out import CODE
from kerashape_torch.ops.operation import enter, refuse
from kerashape_torch.structure import flatten, map_structure


def _refuse_symbolic(name: str, *values: Any) -> None:
    if symbolic(values):
        raise refuse(name, CODE[name])


def _is_unknown(x: Any) -> bool:
    """Whether a number is that of a tensor without values."""
    return getattr(x, "is_meta", False)


def cond(pred: Any, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
    """What one of two functions gives."""
    _refuse_symbolic("cond", pred)
    if _is_unknown(pred):
        false_fn()
        return true_fn()
    return true_fn() if pred else false_fn()


def switch(index: Any, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    """What one of several functions gives; the nearest one for a number beyond them."""
    _refuse_symbolic("switch", index, operands)
    if _is_unknown(index):
        found = [branch(*operands) for branch in branches]
        return found[0]
    return branches[max(0, min(int(index), len(branches) - 1))](*operands)


def while_loop(cond: Callable[..., Any], body: Callable[..., Any], loop_vars: Any,
               maximum_iterations: int | None = None) -> Any:
    """Runs a function on what it gave, while another one says so."""
    _refuse_symbolic("while_loop", loop_vars)
    several = isinstance(loop_vars, (list, tuple))
    values = tuple(loop_vars) if several else (loop_vars,)
    done = 0
    while maximum_iterations is None or done < maximum_iterations:
        going = cond(*values)
        if not _is_unknown(going) and not going:
            break
        found = body(*values)
        values = tuple(found) if isinstance(found, (list, tuple)) else (found,)
        done += 1
        if _is_unknown(going):
            break
    return values if several else values[0]


def fori_loop(lower: Any, upper: Any, body_fun: Callable[[Any, Any], Any], init_val: Any) -> Any:
    """Runs a function of a number and of what it gave for the number before."""
    _refuse_symbolic("fori_loop", lower, upper, init_val)
    value = init_val
    for i in range(lower, upper):
        value = body_fun(i, value)
    return value


def scan(f: Callable[[Any, Any], Any], init: Any, xs: Any = None, length: int | None = None, reverse: bool = False,
         unroll: Any = 1) -> Any:
    """Runs a function of what it carries over and of each part along the first axis; gives what is carried at the end,
    and what came out of each step."""
    _refuse_symbolic("scan", init, xs)
    steps = len(flatten(xs)[0]) if xs is not None else length
    if steps is None:
        raise ConfigError("scan needs xs, to go over its first axis, or length, the number of steps")
    carried, found = init, []
    for i in reversed(range(steps)) if reverse else range(steps):
        carried, out = f(carried, _step(xs, i))
        found.append(out)
    return carried, _stacked(found[::-1] if reverse else found)


def map(f: Callable[[Any], Any], xs: Any) -> Any:
    """A function of each part along the first axis."""
    _refuse_symbolic("map", xs)
    return _stacked([f(_step(xs, i)) for i in range(len(flatten(xs)[0]))])


def associative_scan(f: Callable[[Any, Any], Any], elems: Any, reverse: bool = False, axis: int = 0) -> Any:
    """Everything up to each part along an axis, put together by a function of two."""
    _refuse_symbolic("associative_scan", elems)
    count = flatten(elems)[0].shape[axis]
    order = list(reversed(range(count)) if reverse else range(count))
    found = [_narrow(elems, axis, order[0])]
    for i in order[1:]:
        found.append(f(found[-1], _narrow(elems, axis, i)))
    return _together(found[::-1] if reverse else found, "cat", axis)


def vectorized_map(function: Callable[[Any], Any], elements: Any) -> Any:
    """A function of each part along the first axis, for all of them at once."""
    _refuse_symbolic("vectorized_map", elements)
    import torch

    return torch.vmap(function)(elements)


def _step(structure: Any, i: int) -> Any:
    return map_structure(lambda x: x[i], structure)


def _narrow(structure: Any, axis: int, i: int) -> Any:
    return map_structure(lambda x: x.narrow(axis, i, 1), structure)


def _stacked(found: list[Any]) -> Any:
    return _together(found, "stack", 0)


def _together(found: list[Any], function: str, axis: int) -> Any:
    import torch

    if not found or not flatten(found[0]):
        return found[0] if found else None
    leaves = zip(*(flatten(each) for each in found))
    together = iter([getattr(torch, function)([torch.as_tensor(x) for x in each], dim=axis) for each in leaves])
    return map_structure(lambda _: next(together), found[0])


for _function in (cond, switch, while_loop, fori_loop, scan, map, associative_scan, vectorized_map):
    enter("core", _function.__name__, _function)
