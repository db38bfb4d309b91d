"""The largest batch that fits, and what fills the memory."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from kerashape_torch import optimizers
from kerashape_torch.errors import ConfigError, ShapeError
from kerashape_torch.models import Model
from kerashape_torch.planning.costs import Cost, costs
from kerashape_torch.shape import Shape, to_text
from kerashape_torch.standalone import built_for
from kerashape_torch.structure import flatten_shapes
from kerashape_torch.text import aligned

if TYPE_CHECKING:
    from kerashape_torch.planning.liveness import Liveness

_UNITS = {"": 1, **{f"{letter}{form}": base ** (i + 1) for i, letter in enumerate("KMGT")
                    for form, base in (("B", 1000), ("iB", 1024), ("", 1024))}, "B": 1}
LARGEST = 1 << 20
"""No larger batch is looked for."""


class Plan(NamedTuple):
    """What a model needs. ``str()`` prints it.

    Attributes:
        model, dtype, device: what is run, and where. No dtype is the model's own.
        training: with all gradients, and what the optimizer keeps.
        batch: of this plan: the largest that fits, where there is a limit and one fits, or the one that was asked for.
        memory: the limit in bytes, or None.
        fits: whether a batch fits into the limit.
        needs: what is in memory with this batch, at its peak.
        layers: what each call computes and moves.
    """

    model: str
    dtype: str | None
    device: str
    training: bool
    batch: int
    memory: int | None
    fits: bool
    needs: Liveness
    layers: list[Cost]

    @property
    def flops(self) -> int:
        """Of a forward run, as far as they are known."""
        return sum(cost.flops or 0 for cost in self.layers)

    def cells(self) -> list[tuple[str, str]]:
        """The findings as lines of two cells."""
        needs = self.needs
        what = "activations and gradients" if self.training else "activations"
        lines = [("model", self.model), ("run", f"{'training' if self.training else 'inference'} on {self.device}, "
                                         f"{self.dtype or 'dtypes as the model says'}"),
                 ("batch", f"{self.batch:,}{self._verdict()}"), ("memory", f"{_text(needs.total)} at its peak"),
                 ("  weights", _text(needs.weights)), ("  inputs", _text(needs.inputs))]
        if self.training:
            lines.append(("  optimizer", _text(needs.optimizer)))
        lines.append((f"  {what}", f"{_text(needs.activations)}, while {needs.during} is at work"))
        lines += [(f"    {held.layer}", _text(held.bytes)) for held in needs.alive[:8]]
        if len(needs.alive) > 8:
            rest = needs.alive[8:]
            lines.append((f"    {len(rest)} others", _text(sum(held.bytes for held in rest))))
        forward = f"{self.flops / 1e9:,.3f} GFLOP forward, 2 for a multiplication with its addition"
        unknown = [cost.name for cost in self.layers if cost.flops is None]
        return [*lines, ("operations", forward + (f", without {', '.join(unknown[:5])}" if unknown else ""))]

    def _verdict(self) -> str:
        if self.memory is None:
            return ""
        if not self.fits:
            return f", which does not fit into {_text(self.memory)}"
        at_least = " or more" if self.batch == LARGEST else ""
        return f"{at_least}, the largest that fits into {_text(self.memory)}"

    def __str__(self) -> str:
        return aligned(self.cells())

    def to_dict(self) -> dict[str, Any]:
        """The findings as values that JSON can hold."""
        needs = {**self.needs._asdict(), "total": self.needs.total,
                 "alive": [held._asdict() for held in self.needs.alive]}
        return {**self._asdict(), "needs": needs, "flops": self.flops,
                "layers": [cost._asdict() for cost in self.layers]}


def plan(model: Model, memory: int | str | None = None, batch: int | None = None, *, dtype: str | None = None,
         training: bool = False, optimizer: Any = None, device: str = "cpu", input_shape: Any = None) -> Plan:
    """The largest batch that fits into a memory, or what a batch needs.

    Nothing is computed and no memory is taken: the compiled model runs on tensors without numbers. What torch itself
    takes beside its tensors, such as the context of CUDA and cuDNN's workspaces, is not in it.

    Args:
        model: any model.
        memory: in bytes, or as text: ``"16GiB"``, ``"500MB"``.
        batch: what is asked about where there is no limit; 1 if nobody says, and 2 in training.
        dtype: of weights and floats, where it is not the model's own.
        training: with the gradients of all trainable weights.
        optimizer: whose slots are counted, by name or as one of ``kerashape_torch.optimizers``. It says ``training``.
        device: ``"cpu"``, or ``"cuda"`` where there is one: the kernels differ, and with them what is kept.
        input_shape: for a model that has none, or to say the sizes of free axes.

    Raises:
        ShapeError: an axis besides the batch is free.
        KerashapeError: the model cannot be run without numbers.

    >>> from kerashape_torch import Sequential
    >>> from kerashape_torch.layers import Dense
    >>> plan(Sequential([Dense(10, input_shape=(784,))]), "1MiB").batch
    320
    """
    from kerashape_torch.planning.liveness import run_without_numbers

    if batch is not None and batch < 1:
        raise ConfigError(f"batch must be positive, got {batch}")
    limit = bytes_of(memory) if memory is not None else None
    chosen = optimizers.get(optimizer) if optimizer is not None else None
    model, shapes = _shapes(model, input_shape)
    training = training or chosen is not None
    runs: dict[int, Liveness] = {}

    def needs(size: int) -> Liveness:
        if size not in runs:
            runs[size] = run_without_numbers(model, _sized(shapes, size), dtype, device, training, chosen)
        return runs[size]

    fixed = next((shape[0] for shape in shapes if shape[:1] != (None,)), None)
    smallest = 2 if training else 1  # statistics of one sample are no statistics: torch's fake kernels divide by zero
    size = fixed or batch or smallest
    if limit is not None and fixed is None and batch is None:
        size = largest(lambda n: needs(n).total, limit, smallest) or smallest
    fits = limit is None or needs(size).total <= limit
    return Plan(model.name, dtype, device, training, size, limit, fits, needs(size),
                costs(model, _sized(shapes, size), dtype))


def largest(needed: Callable[[int], int], limit: int, smallest: int = 1) -> int:
    """The largest batch, from the smallest on, whose need is within a limit; 0 if there is none.

    A need grows with the batch along straight lines, so following the line through two known points soon hits it; each
    guess narrows the search whatever the need does.

    >>> largest(lambda batch: 100 + max(7 * batch, 10 * batch - 60), 1000)
    96
    """
    if needed(smallest) > limit:
        return 0
    low, high, before = smallest, LARGEST + 1, smallest + 1
    while high - low > 1:
        slope = (needed(before) - needed(low)) / (before - low)
        guess = low + int((limit - needed(low)) / slope) if slope > 0 else high - 1
        guess = min(max(guess, low + 1), high - 1)
        before = guess if needed(guess) > limit else low
        low, high = (low, guess) if needed(guess) > limit else (guess, high)
    return low


def bytes_of(memory: int | str) -> int:
    """A size in bytes from text.

    >>> bytes_of("16GiB") == 16 * 2**30, bytes_of("1.5 GB"), bytes_of(1000)
    (True, 1500000000, 1000)
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?i?B?)\s*", str(memory))
    if found is None or found[2] not in _UNITS:
        raise ConfigError(f"a size of memory is a number with a unit, such as '16GiB' or '500MB', got {memory!r}")
    return int(float(found[1]) * _UNITS[found[2]])


def _text(size: int) -> str:
    for unit in ("GiB", "MiB", "KiB"):
        if size >= _UNITS[unit]:
            return f"{size / _UNITS[unit]:,.1f} {unit}"
    return f"{size} bytes"


def _shapes(model: Model, input_shape: Any) -> tuple[Model, list[Shape]]:
    """The model, built, and the shapes of its inputs, in which the batch alone is free."""
    model, shape = built_for(model, input_shape)
    if not model.built:
        raise ShapeError(f"{model.name} has no input shape yet", hint="give input_shape=(224, 224, 3)")
    own = [x.shape for x in model.graph.flat_inputs]
    shapes = own if shape is None else [tuple(each) for each in flatten_shapes(shape)]
    for each in shapes:
        if None in each[1:]:
            raise ShapeError(f"an input is {to_text(each)}: what it takes depends on every axis",
                             hint="give the sizes of the free ones: input_shape=(224, 224, 3)")
    return model, shapes


def _sized(shapes: list[Shape], batch: int) -> list[tuple[int, ...]]:
    return [tuple(batch if size is None else size for size in shape) for shape in shapes]
