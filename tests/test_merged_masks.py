"""Masks that meet in a merging layer: in files of Keras 2 they mean what they meant there."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import kerashape_torch as kt
from kerashape_torch.lowering import set_keras_weights

RECORDED: dict[str, Any] = json.loads((Path(__file__).parent / "data" / "merged_masks.json").read_text(encoding="utf8"))


def outputs(model: Any, case: Any) -> list[np.ndarray]:
    module = model.to_torch()
    set_keras_weights(module, [np.array(w, "float32") for w in case["weights"]])
    with torch.no_grad():
        return [y.numpy() for y in module(*torch.tensor(case["inputs"]))]


def compare(found: list[np.ndarray], case: Any) -> None:
    for ours, theirs in zip(found, case["outputs"], strict=True):
        np.testing.assert_allclose(ours, np.array(theirs, "float32"), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", RECORDED)
def test_numbers_are_those_of_keras_2(name: str, tmp_path: Path) -> None:
    case = RECORDED[name]
    model = kt.load_model(case["config"])
    compare(outputs(model, case), case)
    model.save(tmp_path / "model.keras")  # and they stay so
    compare(outputs(kt.load_model(tmp_path / "model.keras"), case), case)
