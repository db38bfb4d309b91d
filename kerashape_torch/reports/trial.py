"""A model run on made-up inputs: real shapes, time and memory."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from kerashape_torch.errors import ConfigError, KerashapeError
from kerashape_torch.graph import SymbolicTensor
from kerashape_torch.lowering.compile import torch_device, torch_dtype
from kerashape_torch.models import Model
from kerashape_torch.reports.made_up import made_up_inputs
from kerashape_torch.shape import Shape, to_text
from kerashape_torch.standalone import built_for
from kerashape_torch.structure import flatten
from kerashape_torch.text import aligned
from kerashape_torch.torch_modules.strings import is_text

_WARM_UP = 3


class Ran(NamedTuple):
    """A tensor that went in or came out."""

    name: str
    shape: Shape
    real_shape: tuple[int, ...]
    dtype: str


class Trial(NamedTuple):
    """What :func:`trial` found. ``str()`` prints it."""

    model: str
    device: str
    inputs: list[Ran]
    outputs: list[Ran]
    repeat: int
    median_seconds: float
    samples_per_second: float
    peak_memory_bytes: int | None
    peak_memory_of: str

    def cells(self) -> list[tuple[str, str]]:
        """The findings as lines of two cells."""
        tensors = [(f"{what} {x.name}".rstrip(), f"{to_text(x.shape)}, here {to_text(x.real_shape)} {x.dtype}")
                   for what, tensors in (("input", self.inputs), ("output", self.outputs)) for x in tensors]
        memory = "not known here" if self.peak_memory_bytes is None else f"{self.peak_memory_bytes / 2**20:,.1f} MiB"
        return [("model", self.model), ("device", self.device), *tensors,
                ("time per batch", f"{self.median_seconds * 1000:.3f} ms, the median of {self.repeat}"),
                ("samples per second", f"{self.samples_per_second:,.0f}"),
                ("peak memory", f"{memory}, {self.peak_memory_of}")]

    def __str__(self) -> str:
        return aligned(self.cells())

    def to_dict(self) -> dict[str, Any]:
        """The findings as values that JSON can hold."""
        return {**self._asdict(), "inputs": [x._asdict() for x in self.inputs],
                "outputs": [x._asdict() for x in self.outputs]}


def trial(model: Model, batch: int = 32, device: Any = "auto", dtype: Any = None, repeat: int = 10,
          input_shape: Any = None, optimize: str | None = None) -> Trial:
    """Compiles a model, runs it on random inputs in evaluation mode, and measures.

    Args:
        model: any model.
        batch: the size of the batch axis where the model leaves it free.
        device: ``"auto"`` is CUDA where there is one.
        dtype: of the weights and of the real inputs, where it is not the model's own.
        repeat: how many runs are timed, after a few that are not.
        input_shape: for a model that has none, or to say the sizes of free axes.
        optimize: see :meth:`Model.to_torch`.
    """
    if batch < 1 or repeat < 1:
        raise ConfigError(f"batch and repeat must be positive, got batch={batch}, repeat={repeat}")
    model, shape = built_for(model, input_shape)
    place, kind = torch_device(device) or torch.device("cpu"), torch_dtype(dtype)
    try:
        module = model.to_torch(device=place, dtype=kind, optimize=optimize)
        tensors = [x if is_text(x) else x.to(place) for x in made_up_inputs(model, batch, kind, shape)]
        if place.type == "cuda":
            torch.cuda.reset_peak_memory_stats(place)
        with torch.inference_mode():
            results, times = _timed(lambda: module(*tensors), repeat, place)
    except (RuntimeError, AssertionError, MemoryError) as error:  # or no such device, or a dtype that an op lacks
        reason = str(error).strip().partition("\n")[0]
        raise KerashapeError(f"torch cannot run {model.name} on {place} with batch={batch}: {reason}") from error
    seconds = statistics.median(times)
    graph = model.graph
    memory, memory_of = _peak_memory(place)
    return Trial(model.name, _name(place),
                 _ran([x.node.layer.name for x in graph.flat_inputs], graph.flat_inputs, tensors),
                 _ran([x.node.layer.name for x in graph.flat_outputs], graph.flat_outputs, flatten(results)),
                 repeat, seconds, len(tensors[0]) / seconds if tensors else 0.0, memory, memory_of)


def _ran(names: list[str], symbolic: list[SymbolicTensor], real: list[Any]) -> list[Ran]:
    return [Ran(name, x.shape, tuple(tensor.shape),
                "string" if is_text(tensor) else str(tensor.dtype).removeprefix("torch."))
            for name, x, tensor in zip(names, symbolic, real)]


def _timed(run: Callable[[], Any], repeat: int, device: torch.device) -> tuple[Any, list[float]]:
    wait: Callable[[], Any] = torch.cuda.synchronize if device.type == "cuda" else (lambda: None)
    result, times = None, []
    for _ in range(_WARM_UP + repeat):
        wait()
        start = time.perf_counter()
        result = run()
        wait()
        times.append(time.perf_counter() - start)
    return result, times[_WARM_UP:]


def _name(device: torch.device) -> str:
    if device.type == "cuda":
        return f"cuda, {torch.cuda.get_device_name(device)}"
    return f"cpu, {torch.get_num_threads()} threads" if device.type == "cpu" else device.type


def _peak_memory(device: torch.device) -> tuple[int | None, str]:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device), "of tensors on the device"
    try:
        import resource
    except ImportError:  # there is none on Windows
        return None, "of the process"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return peak, "of the whole process since it began, torch itself included"
