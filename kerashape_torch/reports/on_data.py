"""A model run on a file of arrays, its outputs in another."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kerashape_torch.errors import ConfigError, KerashapeError
from kerashape_torch.lowering import predict
from kerashape_torch.lowering.compile import torch_device
from kerashape_torch.models import Model
from kerashape_torch.saving import archive
from kerashape_torch.shape import to_text
from kerashape_torch.standalone import built_for
from kerashape_torch.structure import flatten
from kerashape_torch.text import aligned


class Done(NamedTuple):
    """What :func:`run_on` did. ``str()`` prints it."""

    model: str
    device: str
    samples: int
    seconds: float
    outputs: dict[str, tuple[int, ...]]
    written: str | None

    def cells(self) -> list[tuple[str, str]]:
        """The findings as lines of two cells."""
        outputs = [(f"output {name}", to_text(shape)) for name, shape in self.outputs.items()]
        return [("model", self.model), ("device", self.device), ("samples", f"{self.samples:,}"), *outputs,
                ("time", f"{self.seconds:.3f} s, {self.samples / self.seconds if self.seconds else 0:,.0f} samples per "
                 "second"), *([("written", self.written)] if self.written else [])]

    def __str__(self) -> str:
        return aligned(self.cells())

    def to_dict(self) -> dict[str, Any]:
        """The findings as values that JSON can hold."""
        return {**self._asdict(), "outputs": {name: list(shape) for name, shape in self.outputs.items()}}


def run_on(model: Model, data: Any, output: Any = None, batch: int = 32, device: Any = "auto", dtype: Any = None,
           input_shape: Any = None, optimize: str | None = None, cuda_graph: bool = False) -> Done:
    """Compiles a model and runs it on a file of arrays.

    Args:
        model: any model.
        data: a ``.npy`` file for one input, or ``.npz`` with an array for each, under the names of the input layers, or
            in their order.
        output: an ``.npz`` file for the outputs, under the names of the layers that gave them. None writes none.
        batch: samples at a time.
        device, dtype, cuda_graph: see :func:`kerashape_torch.predict`.
        input_shape: for a model that has none.
        optimize: see :meth:`Model.to_torch`.

    Raises:
        KerashapeError: the file is not one of arrays, or has not one for each input.
    """
    model, _ = built_for(model, input_shape)
    names = [x.node.layer.name for x in model.graph.flat_inputs]
    arrays = _read(data, names)
    place = torch_device(device)
    module = model.to_torch(device=place, optimize=optimize)
    start = time.perf_counter()
    results = flatten(predict(module, arrays if len(arrays) > 1 else arrays[0], batch, place, dtype,
                              cuda_graph=cuda_graph))
    seconds = time.perf_counter() - start
    outputs = dict(zip(_each_once([x.node.layer.name for x in model.graph.flat_outputs]), results))
    if output is not None:
        if not os.fspath(output).endswith(".npz"):
            raise ConfigError(f"outputs are written as .npz, got {os.fspath(output)!r}")
        archive.write(output, lambda path: _save(path, outputs))
    return Done(model.name, str(place or "cpu"), len(arrays[0]), seconds,
                {name: tuple(x.shape) for name, x in outputs.items()}, None if output is None else os.fspath(output))


def _read(data: Any, names: list[str]) -> list[Any]:
    path = Path(data)
    try:
        found: Any = np.load(path, mmap_mode="c" if path.suffix == ".npy" else None, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise KerashapeError(f"{path.name} is no file of arrays: {error}") from error
    if isinstance(found, np.ndarray):
        found = {"the array": found}
    else:
        with found:
            found = {name: found[name] for name in found.files}
    if len(found) != len(names):
        raise KerashapeError(f"{path.name} has {len(found)} arrays, {', '.join(found)}; the model takes {len(names)}: "
                             f"{', '.join(names)}")
    arrays = [found[name] for name in names] if set(names) == set(found) else list(found.values())
    if any(not array.ndim for array in arrays):
        raise KerashapeError(f"{path.name}: an array of samples has a batch axis")
    return arrays


def _each_once(names: list[str]) -> list[str]:
    return [name if names.count(name) == 1 else f"{name}_{names[:i].count(name)}" for i, name in enumerate(names)]


def _save(path: Path, arrays: dict[str, Any]) -> None:
    with path.open("wb") as file:
        np.savez(file, **arrays)
