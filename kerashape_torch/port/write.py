"""A model as files: source, weights, shapes, and a recorded case; whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from kerashape_torch.composed import walked
from kerashape_torch.errors import ConfigError
from kerashape_torch.lowering.compile import model_to_torch
from kerashape_torch.lowering.weights import get_keras_weights, set_keras_weights
from kerashape_torch.models import Model
from kerashape_torch.opened import opened
from kerashape_torch.port.blocks import with_blocks
from kerashape_torch.port.case import recorded, seeded
from kerashape_torch.port.document import document
from kerashape_torch.port.emit import Emitter
from kerashape_torch.port.read import read
from kerashape_torch.port.state import weights
from kerashape_torch.saving import load_model
from kerashape_torch.shape_table import class_name, shape_table
from kerashape_torch.standalone import built_for
from kerashape_torch.structure import flatten
from kerashape_torch.user_layers import adds_losses

FILES = ("model.py", "model.safetensors", "parity.npz", "shapes.txt")


def port(model: Any, out_dir: Any, *, input_shape: Any = None, layout: str = "keras", dtype: Any = None,
         overwrite: bool = False) -> Path:
    """Writes a model as PyTorch source that needs this package no more, with its weights.

    The directory gets ``model.py`` (one class for each model and each block, a shape behind each line),
    ``model.safetensors``, ``shapes.txt``, and ``parity.npz``: an input and the output of :meth:`Model.to_torch` for it,
    which ``python model.py --check`` runs again. On the same machine the numbers are the same to the last bit.

    Args:
        model: a model, or the path of a file that holds one.
        out_dir: a directory that does not exist yet, or is empty.
        input_shape: for a model that has none; for free axes, the sizes of the recorded case.
        layout: ``"torch"`` writes a model that takes and gives channels-first tensors.
        dtype: of the weights, where it is not the model's own.
        overwrite: replace a directory that is not empty.

    Returns:
        The directory.

    Raises:
        ConfigError: the directory is not empty, or the model has no input shape.
        KerashapeError: a layer cannot be written as source, as a Lambda; the layer and the reason are named.

    >>> import tempfile
    >>> from kerashape_torch.layers import Dense
    >>> from kerashape_torch.models import Sequential
    >>> with tempfile.TemporaryDirectory() as place:
    ...     where = port(Sequential([Dense(2, activation="relu", input_shape=(3,))]), place)
    ...     print("x = torch.relu" in (where / "model.py").read_text(), sorted(path.name for path in where.iterdir()))
    False ['model.py', 'model.safetensors', 'parity.npz', 'shapes.txt']
    """
    where = Path(os.fsdecode(os.fspath(out_dir)))
    _refuse_what_is_there(where, overwrite)
    origin = "" if isinstance(model, Model) else Path(os.fsdecode(os.fspath(model))).name
    built = _built(model, input_shape)
    module: Any = model_to_torch(built, dtype=dtype, layout=layout)
    reasons: dict[str, str] = {}
    inside = opened(built, reasons)
    if inside is not None:
        seen_into = model_to_torch(inside, dtype=dtype, layout=layout, weights=False)
        module = _the_same(built, module, seen_into, input_shape, dtype)
    program = with_blocks(read(module, built.name, reasons))
    emitter = Emitter(program)
    case = recorded(built, module, input_shape, dtype)
    texts = {"model.py": document(emitter, program, module, origin, case, layout, _adding_losses(built)),
             "shapes.txt": f"{shape_table(built)}\n"}
    compile(texts["model.py"], "model.py", "exec")

    def fill(place: Path) -> None:
        for name, text in texts.items():
            (place / name).write_text(text, encoding="utf-8")
        save_file({key: tensor.detach().clone().contiguous() for key, tensor in weights(program)},
                  place / "model.safetensors", metadata={"format": "pt"})
        np.savez(place / "parity.npz", **_arrays("input", case.inputs), **_arrays("output", case.outputs))

    _write(where, fill)
    return where


def _built(model: Any, input_shape: Any) -> Model:
    found: Model = model if isinstance(model, Model) else load_model(model)
    built, _ = built_for(found, input_shape)
    if not built.built:
        raise ConfigError(f"{found.name} has no input shape yet: give it one with input_shape=... (--input-shape)")
    return built


def _adding_losses(model: Model) -> list[str]:
    """The classes of a user's own in a model that call ``add_loss``."""
    layers = [model, *walked(model, lambda layer: layer.sublayers())]
    return sorted({class_name(layer) for layer in layers if adds_losses(layer)})


def _the_same(model: Model, module: Any, seen_into: Any, input_shape: Any, dtype: Any) -> Any:
    """The module in which layers are seen into, with the weights of the other one; or that one, if the numbers differ:
    it is refused then, with the layer that cannot be written."""
    set_keras_weights(seen_into, get_keras_weights(module))
    case = recorded(model, module, input_shape, dtype)
    again = flatten(seeded(seen_into, case.inputs)[0])
    rounding = {"rtol": 1e-4, "atol": 1e-5} if dtype is None else {"rtol": 2e-2, "atol": 2e-2}
    is_same = all(torch.allclose(a, b, equal_nan=True, **rounding) for a, b in zip(again, case.outputs))
    return seen_into if is_same else module


# ---- files -----------------------------------------------------------------------------------------------------------


def _arrays(name: str, tensors: list[Tensor]) -> dict[str, Any]:
    """Arrays of the tensors; NumPy has no bfloat16, which float32 holds exactly."""
    return {f"{name}_{i}": (x.float() if x.dtype is torch.bfloat16 else x).numpy() for i, x in enumerate(tensors)}


def _refuse_what_is_there(where: Path, overwrite: bool) -> None:
    if where.exists() and not where.is_dir():
        raise ConfigError(f"{where} is a file; a ported model is a directory")
    if where.is_dir() and any(where.iterdir()) and not overwrite:
        raise ConfigError(f"{where} is not empty. Way out: another directory, or overwrite=True (--force)")


def _write(where: Path, fill: Any) -> None:
    """Lets ``fill`` write into a directory beside the wanted one, and puts it in its place when it is whole."""
    where.parent.mkdir(parents=True, exist_ok=True)
    beside = where.with_name(f".{where.name}.{secrets.token_hex(4)}")
    old = where.with_name(f"{beside.name}.old")
    beside.mkdir()
    try:
        fill(beside)
        if where.exists():
            where.rename(old)
        beside.rename(where)
    except BaseException:
        if old.exists() and not where.exists():
            old.rename(where)
        raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
