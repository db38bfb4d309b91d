"""Arrays in, arrays out: running a compiled module without a thought for devices and batches."""

from __future__ import annotations

import copy
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from kerashape_torch.errors import ConfigError
from kerashape_torch.lowering.batches import Batch, Carrier, Collected, Replay, cut, length, pieces, sources
from kerashape_torch.lowering.casting import cast_module
from kerashape_torch.lowering.compile import torch_device, torch_dtype
from kerashape_torch.lowering.weights import device_of
from kerashape_torch.structure import map_structure
from kerashape_torch.torch_modules.recurrent import Recurrent

_LONG = 2.0
"""Seconds after which work on a terminal gets a progress bar."""


def predict(module: nn.Module, inputs: Any, batch_size: int = 32, device: Any = None, dtype: Any = None,
            progress: bool | None = None, cuda_graph: bool = False) -> Any:
    """Runs a compiled module over arrays in batches, in evaluation mode and without gradients.

    On CUDA the next batch is copied while this one is worked on. Where memory runs out, the batch is halved with a
    warning, and the work goes on.

    Args:
        module: what ``to_torch()`` gave.
        inputs: an array or tensor, or a list or dict of them as the Keras model takes them; batch axis first. Strings
            are an array or a list; where several inputs are strings, arrays. Or an iterable of such batches, whose
            tuples are ``(inputs, targets, ...)``, as Keras reads them.
        batch_size: samples at a time.
        device: where to run: the module is moved there, and stays. None is where it is; ``"auto"`` CUDA if there is.
        dtype: of the weights and inputs meanwhile, as ``"bfloat16"``: a copy of the module is cast to it.
        progress: whether to show a bar; None shows one on a terminal when the work takes more than two seconds.
        cuda_graph: start all kernels of a batch at once, from one CUDA graph for ``batch_size`` samples. A smaller
            batch is filled up to that. For CUDA, and for modules that keep no state.

    Returns:
        NumPy arrays in the structure that the Keras model gives; bfloat16 comes as float32.

    >>> import numpy as np
    >>> from kerashape_torch.layers import Dense
    >>> predict(Dense(2, input_shape=(3,)).to_torch(), np.zeros((5, 3), "float32")).shape
    (5, 2)
    """
    if not isinstance(batch_size, int) or batch_size < 1:
        raise ConfigError(f"batch_size must be a positive integer, got {batch_size!r}")
    place, kind = torch_device(device), torch_dtype(dtype)
    module = module if kind is None else cast_module(copy.deepcopy(module), kind)
    if place is None:
        place = device_of(module)
    else:
        module.to(place)
    if cuda_graph and place.type != "cuda":
        raise ConfigError(f"cuda_graph=True is for CUDA, and the module runs on {place}")
    was_training = module.training
    module.eval()
    try:
        with torch.inference_mode():
            return _Run(module, batch_size, place, kind, cuda_graph)(inputs, _Progress(progress))
    finally:
        if was_training:
            module.train()


class _Run:
    """All batches through a module, each as large as memory allows."""

    def __init__(self, module: nn.Module, size: int, device: torch.device, dtype: torch.dtype | None,
                 cuda_graph: bool) -> None:
        self.module = module
        self.size = size
        self.carrier = Carrier(device, dtype)
        self.cuda_graph = cuda_graph
        self.runner: Callable[[Batch], Any] = Replay(module, size) if cuda_graph else module

    def __call__(self, inputs: Any, progress: _Progress) -> Any:
        data, total = sources(inputs)
        collected, structure = Collected(total), None
        underway: tuple[Callable[[], list[Any]], int] | None = None  # one result comes home while the next is made
        with progress.of(total):
            for batch in self.carrier.there(pieces(data, lambda: self.size)):
                for result, count in self._results(batch):
                    if underway is not None:
                        collected.add(underway[0](), underway[1])
                    structure = map_structure(lambda _: 0, result)
                    underway = self.carrier.home(result), count
                    progress.done(count)
                del batch  # the next one may need its memory
            if underway is not None:
                collected.add(underway[0](), underway[1])
        if structure is None:
            raise ConfigError("predict was given no batch")
        joined = iter(collected.arrays())
        return map_structure(lambda _: next(joined), structure)

    def _results(self, batch: Batch) -> Iterator[tuple[Any, int]]:
        """The result of a batch, or those of its parts where all of it does not fit into memory."""
        total, at = length(batch), 0
        while at < max(total, 1):
            part = cut(batch, at, at + self.size)
            try:
                result = self.runner(part)
            except torch.cuda.OutOfMemoryError:
                if length(part) <= 1:
                    raise
                result = None  # here the error is still alive, and with it the memory of the run
            if result is None:
                self._halve(length(part))
                continue
            yield result, length(part)
            at += max(length(part), 1)

    def _halve(self, count: int) -> None:
        self.size = (count + 1) // 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if self.cuda_graph:
            self.runner = Replay(self.module, self.size)
        warnings.warn(f"there is no memory for batches of {count} samples: going on with {self.size}", stacklevel=4)


class _Progress:
    """A bar on the terminal; nothing where nobody looks or the work is short."""

    def __init__(self, wanted: bool | None) -> None:
        self.wanted = wanted
        self.total: int | None = None
        self.count = 0
        self.started = time.monotonic()
        self.bar: Any = None
        self.task: Any = None

    def of(self, total: int | None) -> _Progress:
        self.total = total
        return self

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *_: Any) -> None:
        if self.bar is not None:
            self.bar.stop()

    def done(self, count: int) -> None:
        """So many samples more."""
        self.count += count
        if self.bar is None and self.wanted is not False and (self.wanted or self._is_long()):
            self._start()
        if self.bar is not None:
            self.bar.update(self.task, completed=self.count)

    def _is_long(self) -> bool:
        if time.monotonic() - self.started < _LONG:
            return False
        from rich.console import Console

        return Console(stderr=True).is_terminal

    def _start(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self.bar = Progress(TextColumn("predict"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
                            console=Console(stderr=True), transient=True)
        self.task = self.bar.add_task("predict", total=self.total)
        self.bar.start()


def reset_states(module: nn.Module) -> None:
    """Every stateful recurrent layer of a compiled module begins anew, as ``reset_state`` of a Keras layer makes it.

    >>> from kerashape_torch.layers import LSTM
    >>> module = LSTM(2, stateful=True, batch_input_shape=(1, 4, 3)).to_torch()
    >>> first, second = module(torch.ones(1, 4, 3)), module(torch.ones(1, 4, 3))
    >>> reset_states(module)
    >>> again = module(torch.ones(1, 4, 3))
    >>> torch.equal(first, again), torch.equal(first, second)
    (True, False)
    """
    for part in module.modules():
        if isinstance(part, Recurrent):
            part.reset_state()
