"""Samples in batches on their way to a device and back: pieces of arrays, copies beside the work, CUDA graphs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kerashape_torch.errors import KerashapeError, ShapeError
from kerashape_torch.lowering.weights import to_numpy, to_tensor
from kerashape_torch.structure import flatten, map_structure
from kerashape_torch.torch_modules.recurrent import Recurrent
from kerashape_torch.torch_modules.strings import gathered, is_text

Batch = Any
"""Tensors, and arrays of strings, in the structure in which the module takes them; samples along the first axis."""


# ---- what comes in ---------------------------------------------------------------------------------------------------


def sources(inputs: Any) -> tuple[Iterator[Any], int | None]:
    """Arrays that belong together, one set or many, and the number of all samples where it is known."""
    if _is_data(inputs):
        data = as_tensors(inputs)
        return iter([data]), length(data)
    return (as_tensors(each[0] if isinstance(each, tuple) else each) for each in inputs), None


def _is_data(inputs: Any) -> bool:
    return isinstance(inputs, (np.ndarray, Tensor, Mapping, list, tuple)) or is_text(inputs) or not isinstance(
        inputs, Iterable) or hasattr(inputs, "__array__")


def as_input(x: Any, device: torch.device | None = None) -> Any:
    """A tensor of an array; strings stay as they are. NumPy's default, float64, becomes float32: Keras casts it to the
    model's float as well."""
    if is_text(x):
        return x
    tensor = to_tensor(x)
    return (tensor.float() if tensor.dtype == torch.float64 else tensor).to(device)


def as_tensors(inputs: Any) -> Batch:
    """Tensors of all arrays in a structure."""
    return map_structure(as_input, gathered(inputs))


def length(batch: Batch) -> int:
    return max((len(x) for x in flatten(batch)), default=0)


def pieces(data: Iterator[Batch], size: Callable[[], int]) -> Iterator[Batch]:
    """The samples in batches, each at most as large as ``size()`` says when it is taken."""
    for each in data:
        at, total = 0, length(each)
        while at < max(total, 1):
            end = at + size()
            yield cut(each, at, end)
            at = end


def cut(batch: Batch, start: int, end: int) -> Batch:
    return map_structure(lambda x: x[start:end], batch)


# ---- to the device and back ------------------------------------------------------------------------------------------


class Carrier:
    """Brings batches to a device and results back. On CUDA the next batch is on its way while this one is worked on,
    through pinned memory and on a stream of its own; elsewhere there is nothing to gain by it."""

    def __init__(self, device: torch.device, dtype: torch.dtype | None) -> None:
        self.device = device
        self.dtype = dtype
        stream: Any = torch.cuda.Stream  # torch has no types for it
        self.side, self.back = (stream(device) if device.type == "cuda" else None for _ in range(2))

    def there(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """The batches on the device, each sent off while the one before it is worked on."""
        if self.side is None:
            yield from (self._cast(self._moved(each)) for each in batches)
            return
        ahead = self._sent(next(batches, None))
        while ahead is not None:
            (batch, arrived), following = ahead, next(batches, None)
            try:
                ahead = self._sent(following)
            except torch.cuda.OutOfMemoryError:
                ahead = None  # there is no room for two: the next one goes when this one is done
            batch = self._arrived(batch, arrived)
            yield batch
            del batch
            ahead = ahead or self._sent(following)

    def _arrived(self, batch: Batch, event: Any) -> Batch:
        current = torch.cuda.current_stream(self.device)
        current.wait_event(event)
        for x in flatten(batch):
            if isinstance(x, Tensor):
                x.record_stream(current)
        return self._cast(batch)  # only now, since what was on the device already is being made on this stream

    def _sent(self, batch: Batch | None) -> tuple[Batch, Any] | None:
        if batch is None:
            return None
        with torch.cuda.stream(self.side):
            return self._moved(batch, pinned=True), torch.cuda.current_stream(self.device).record_event()

    def _moved(self, batch: Batch, pinned: bool = False) -> Batch:
        def move(x: Any) -> Any:
            if is_text(x):
                return x
            x = x.pin_memory() if pinned and x.device.type == "cpu" else x
            return x.to(self.device, non_blocking=pinned)

        return map_structure(move, batch)

    def _cast(self, batch: Batch) -> Batch:
        return batch if self.dtype is None else map_structure(
            lambda x: x.to(self.dtype) if isinstance(x, Tensor) and x.is_floating_point() else x, batch)

    def home(self, result: Any) -> Callable[[], list[Any]]:
        """Sends a result off; what comes back waits for it, and gives its leaves as arrays."""
        if self.back is None:
            return lambda: [x if is_text(x) else to_numpy(x) for x in flatten(result)]
        self.back.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(self.back):
            landed = [self._landing(x) for x in flatten(result)]
            arrived = self.back.record_event()

        def wait() -> list[Any]:
            arrived.synchronize()
            return [to_numpy(x) if isinstance(x, Tensor) else x for x in landed]

        return wait

    def _landing(self, x: Any) -> Any:
        if not isinstance(x, Tensor) or x.device.type != "cuda":
            return x
        x = x.detach()
        x.record_stream(self.back)
        return torch.empty(x.shape, dtype=x.dtype, pin_memory=True).copy_(x, non_blocking=True)


class Collected:
    """Results of all batches, joined along the first axis: written into arrays of the full size where that is known."""

    def __init__(self, total: int | None) -> None:
        self.total = total
        self.at = 0
        self.whole: list[Any] | None = None
        self.parts: list[list[Any]] = []

    def add(self, arrays: list[Any], count: int) -> None:
        """The leaves of one result, of so many samples."""
        if self.at == 0 and self.total is not None and self.total > count and all(
                not is_text(x) and x.ndim and len(x) == count for x in arrays):
            self.whole = [np.empty((self.total, *x.shape[1:]), x.dtype) for x in arrays]
        if self.whole is not None and not self._fit(arrays, count):
            self.parts, self.whole = [[x[:self.at] for x in self.whole]], None
        if self.whole is None:
            self.parts.append(arrays)
        else:
            for whole, x in zip(self.whole, arrays):
                whole[self.at:self.at + count] = x
        self.at += count

    def _fit(self, arrays: list[Any], count: int) -> bool:
        assert self.whole is not None
        return all(x.shape == (count, *whole.shape[1:]) and x.dtype == whole.dtype
                   for whole, x in zip(self.whole, arrays))

    def arrays(self) -> list[Any]:
        if self.whole is not None:
            return self.whole
        return [column[0] if len(column) == 1 else np.concatenate(column) for column in zip(*self.parts)]


# ---- one graph of kernels for all batches ----------------------------------------------------------------------------


def filled_up(batch: Batch, size: int) -> Batch:
    """A batch with its last sample repeated until there are ``size`` of them.

    >>> filled_up(torch.tensor([1, 2]), 4)
    tensor([1, 2, 2, 2])
    """
    missing = size - length(batch)
    return batch if missing <= 0 else map_structure(
        lambda x: torch.cat([x, x[-1:].expand(missing, *x.shape[1:])]), batch)


class Replay:
    """A module as a CUDA graph for batches of one size: its kernels are started together. A batch that is too small is
    filled up, and what came of that is cut off.

    Raises:
        KerashapeError: the module cannot be run so: it is not on CUDA, reads strings, remembers its states, looks at
            numbers while it runs, or gives something that is not one result for each sample.
    """

    def __init__(self, module: nn.Module, size: int) -> None:
        if any(isinstance(part, Recurrent) and part.options.batch is not None for part in module.modules()):
            raise KerashapeError("cuda_graph=True runs a module more often than there are batches, and this one is "
                                 "stateful: leave it out")
        self.module = module
        self.size = size
        self.graph: Any = None
        self.given: Any = None
        self.result: Any = None

    def __call__(self, batch: Batch) -> Any:
        count = length(batch)
        if any(not isinstance(x, Tensor) or not x.is_cuda for x in flatten(batch)):
            raise KerashapeError("cuda_graph=True is for tensors on CUDA, and not for strings")
        if not count:
            return self.module(batch)
        batch = filled_up(batch, self.size)
        if self.graph is None or not self._is_alike(batch):
            self._capture(batch)
        for mine, x in zip(flatten(self.given), flatten(batch)):
            mine.copy_(x)
        self.graph.replay()
        return map_structure(lambda x: x[:count].clone(), self.result)

    def _is_alike(self, batch: Batch) -> bool:
        return all(a.shape == b.shape and a.dtype == b.dtype for a, b in zip(flatten(self.given), flatten(batch)))

    def _capture(self, batch: Batch) -> None:
        self.given = map_structure(torch.clone, batch)
        stream: Any = torch.cuda.Stream
        side = stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):  # libraries set themselves up in the first runs
                self.module(self.given)
        torch.cuda.current_stream().wait_stream(side)
        self.graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(self.graph):
                self.result = self.module(self.given)
        except torch.cuda.OutOfMemoryError:
            raise
        except RuntimeError as error:
            said = error.__context__ or error  # the end of the recording fails as well, and says less
            raise KerashapeError("cuda_graph=True is for modules that no number has to be waited for, and this one "
                                 f"cannot be recorded: leave it out. CUDA says: {str(said).splitlines()[0]}"
                                 ) from error
        for x in flatten(self.result):
            if not isinstance(x, Tensor) or not x.dim() or len(x) != self.size:
                raise ShapeError("cuda_graph=True needs one result for each sample of a batch, got "
                                 f"{tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__}")
