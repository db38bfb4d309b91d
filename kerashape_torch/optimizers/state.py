"""What an optimizer keeps, as Keras lists it in a file: how many steps there were, and arrays for each variable.

>>> from kerashape_torch.optimizers import Adam
>>> [entry.slot for entry in entries(Adam(), [("kernel", (3, 2)), ("bias", (2,))])]
['iteration', 'learning_rate', 'momentum', 'velocity', 'momentum', 'velocity']
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from kerashape_torch.optimizers.base import Optimizer
from kerashape_torch.optimizers.scaling import LossScaleOptimizer

KERAS_3, TF_KERAS, OLD, ANY = "Keras 3", "tf_keras", "Keras before 2.11", "Keras 3 or tf_keras"
"""Whose list it is: the classes of tf_keras since 2.11 list as Keras 3 does, without the learning rate."""

Variables = Sequence[tuple[str, tuple[int, ...]]]
"""Path and shape of each trainable weight, in Keras' order."""


class Entry(NamedTuple):
    """One array of the list.

    Attributes:
        slot: what it is; empty where nothing here needs it.
        variable: which of the variables it belongs to, if to one.
        shape: in Keras' layout.
    """

    slot: str
    variable: int | None = None
    shape: tuple[int, ...] = ()


class SavedState(NamedTuple):
    """The list of a file, whose arrays are read when training begins.

    Attributes:
        arrays: each with a ``shape``.
        form: whose list it is.
    """

    arrays: Sequence[Any]
    form: str


def entries(optimizer: Optimizer, variables: Variables) -> list[Entry]:
    """The list as Keras 3 writes it."""
    if isinstance(optimizer, LossScaleOptimizer):
        own = [Entry(slot) for slot in ("", "", "step_counter", "dynamic_scale")]
        return own + entries(optimizer.inner_optimizer, variables)  # type: ignore[arg-type]
    rate = [] if callable(optimizer.learning_rate) else [Entry("learning_rate")]
    numbers = [Entry(name) for name in optimizer.numbers]
    return [Entry("iteration"), *rate, *_common(optimizer, variables), *_slots(optimizer, variables), *numbers]


def by_path(optimizer: Any, state: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Where Keras 3 keeps the arrays of its list; those of an optimizer inside another one are there twice."""
    found = {f"optimizer/vars/{i}": array for i, (_, array) in enumerate(state)}
    if isinstance(optimizer, LossScaleOptimizer):
        own = 4 if len(state) > 4 else 2
        found |= {f"optimizer/inner_optimizer/vars/{i}": array for i, (_, array) in enumerate(state[own:])}
    return found


def entries_of(saved: SavedState, optimizer: Optimizer, variables: Variables) -> list[Entry] | None:
    """What each array of a file is; None if the list is not one of this optimizer for these variables.

    Before the first step Keras may list no more than that there was none.
    """
    shapes = [tuple(array.shape) for array in saved.arrays]
    candidates = [entries(optimizer, variables)] if saved.form in (KERAS_3, ANY) else []
    if saved.form != KERAS_3 and not isinstance(optimizer, LossScaleOptimizer):
        candidates += _of_keras_2(saved.form, optimizer, variables)
    candidates.append([entry for entry in entries(optimizer, ()) if entry.slot in ("", "iteration", "learning_rate")])
    return next((found for found in candidates if [entry.shape for entry in found] == shapes), None)


def rewritten(saved: SavedState, optimizer: Optimizer, variables: Variables) -> list[tuple[str, Any]]:
    """The list of a file as Keras 3 would have it, each array with a name; empty if it is none of this optimizer's."""
    found = entries_of(saved, optimizer, variables)
    held = {} if found is None else {entry[:2]: array for entry, array in zip(found, saved.arrays) if entry.slot}
    if held:
        import numpy as np

        steps = int(np.asarray(held.setdefault(("iteration", None), 0)))
        held.setdefault(("learning_rate", None), optimizer.rate_at(0))
        for name in optimizer.numbers:
            held.setdefault((name, None), optimizer.number_after(name, steps))
    wanted = [(entry, held.get(entry[:2])) for entry in entries(optimizer, variables)]
    return [] if any(array is None for _, array in wanted) else [
        (f"{entry.slot}_{entry.variable}", array) for entry, array in wanted]


def _common(optimizer: Optimizer, variables: Variables) -> list[Entry]:
    """What any optimizer may keep, by its options."""
    names = [*(["average"] if optimizer.use_ema else []),
             *(["gradient_accumulator"] if optimizer.gradient_accumulation_steps else [])]
    return [Entry(name, i, shape) for name in names for i, (_, shape) in enumerate(variables)]


def _slots(optimizer: Optimizer, variables: Variables, one_by_one: bool = False) -> list[Entry]:
    names = list(optimizer.slots())
    apart = [name for name in names if one_by_one or name in optimizer.apart]
    groups = [[name for name in names if name not in apart], *([name] for name in apart)]
    return [Entry(name, i, shape) for group in groups for i, (path, full) in enumerate(variables) for name in group
            if (shape := optimizer.slot_shape(name, path, full)) is not None]


def _of_keras_2(form: str, optimizer: Optimizer, variables: Variables) -> Iterator[list[Entry]]:
    """SGD may list what it does without momentum, old Adam what it does without AMSGrad; some do not count steps."""
    numbers = [Entry(name) for name in optimizer.numbers]
    own = _slots(optimizer, variables, one_by_one=form == OLD and type(optimizer).__name__ != "Ftrl")
    common = _common(optimizer, variables)
    unused = [Entry("", i, shape) for i, (_, shape) in enumerate(variables)]
    tails = [own, own + [Entry("", i, (1,)) for i in range(len(variables))], *([unused] if not own else [])]
    for tail in tails:
        yield [Entry("iteration"), *common, *tail]
        yield [Entry("iteration"), *numbers, *common, *tail]
        yield [*common, *tail]
