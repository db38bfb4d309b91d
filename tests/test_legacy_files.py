"""Files that tf_keras wrote, in each of its containers: loaded, and held against the numbers that it computed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import harness
import numpy as np
import pytest
import torch

from kerashape_torch import get_keras_weights, load_model, saving
from kerashape_torch.structure import flatten

FOLDER = harness.DATA / "legacy"
WHOLE = sorted(path.name for suffix in ("h5", "keras") for path in FOLDER.glob(f"*.{suffix}")
               if path.name.count(".") == 1 and path.name.startswith("k2_"))
WEIGHTS = sorted(path.name for suffix in ("legacy_weights.h5", "weights.h5") for path in FOLDER.glob(f"*.{suffix}"))

FUNCTIONS: dict[str, Any] = {"k2_lambda": {"affine": lambda x: x * 2 + 1, "lambda": lambda x: x ** 2}}
"""What users would pass for the bytecode in these files."""

NO_OUTPUTS = "k2_cudnn_rnn"
"""TensorFlow runs its layers on a GPU only: of it there are weights and no outputs."""


def arranged(structure: Any, arrays: Any) -> Any:
    """Tensors in the structure in which the Keras model takes them."""
    if isinstance(structure, dict):
        return {key: arranged(value, arrays) for key, value in structure.items()}
    return [arranged(value, arrays) for value in structure] if isinstance(structure, list) \
        else torch.as_tensor(arrays[structure])


def assert_as_recorded(name: str, module: torch.nn.Module) -> None:
    record = FOLDER / f"{name}.shapes.json"
    with np.load(FOLDER / f"{name}.npz") as arrays, torch.inference_mode():
        found = json.loads(record.read_text()) if record.exists() else {}
        inputs = found.get("input_structure", sorted(key for key in arrays if key.startswith("input")))
        given = arranged(inputs, arrays)
        result = module(*given) if isinstance(given, list) and not found else module(given)
        expected = [arrays[key] for key in flatten(found["output_structure"])] if found \
            else [arrays[key] for key in sorted(arrays) if key.startswith("output")]
    for got, want in zip(flatten(result), expected, strict=True):
        np.testing.assert_allclose(got.numpy(), want, rtol=1e-4, atol=1e-5)


def test_there_are_files_of_each_kind() -> None:
    assert len(WHOLE) > 40 and len(WEIGHTS) > 20 and any(name.startswith("keras224") for name in WEIGHTS)


@pytest.mark.parametrize("file", [name for name in WHOLE if not name.startswith(NO_OUTPUTS)])
def test_whole_models(file: str) -> None:
    name = Path(file).stem
    assert_as_recorded(name, load_model(FOLDER / file, custom_objects=FUNCTIONS.get(name)).to_torch())


@pytest.mark.parametrize("file", [name for name in WEIGHTS if not name.startswith(NO_OUTPUTS)])
def test_weights(file: str) -> None:
    """Into a module, and into a description."""
    name = file.split(".")[0]
    model = load_model(FOLDER / f"{name}.json")
    module = model.to_torch()
    saving.load_weights(module, FOLDER / file)
    assert_as_recorded(name, module)
    model.load_weights(FOLDER / file)
    assert_as_recorded(name, model.to_torch())


def test_all_containers_of_a_model_hold_the_same() -> None:
    """Also where TensorFlow has computed nothing."""
    first, *others = [load_model(FOLDER / f"{NO_OUTPUTS}.{suffix}") for suffix in ("h5", "keras", "json", "json")]
    for model, suffix in zip(others[1:], ("legacy_weights.h5", "weights.h5")):
        model.load_weights(FOLDER / f"{NO_OUTPUTS}.{suffix}")
    for other in others:
        for got, want in zip(get_keras_weights(other.to_torch()), get_keras_weights(first.to_torch()), strict=True):
            np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("file", [name for name in WHOLE if not name.startswith((NO_OUTPUTS, "k2_lambda"))])
def test_what_we_write_of_it_has_the_same_numbers(file: str, tmp_path: Path) -> None:
    for suffix in ("keras", "h5"):
        load_model(FOLDER / file).save(tmp_path / f"again.{suffix}")
        assert_as_recorded(Path(file).stem, load_model(tmp_path / f"again.{suffix}").to_torch())
