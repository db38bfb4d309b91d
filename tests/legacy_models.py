"""Models of Keras 1 and 2, and what tf_keras said of them: tests/data/legacy (scripts/record_legacy_models.py)."""

from __future__ import annotations

import gzip
import json
from typing import Any

import harness
import numpy as np

from kerashape_torch.models import Model

FOLDER = harness.DATA / "legacy"
FILES = ("models", "tf_keras")


def _read(file: str) -> dict[str, Any]:
    return json.loads(gzip.decompress((FOLDER / f"{file}.json.gz").read_bytes()))


RECORDS: dict[str, Any] = {name: {**record, "file": file} for file in FILES for name, record in _read(file).items()}
FORMS = [(name, form) for name, record in RECORDS.items() for form in record["forms"]]

FUNCTIONS: dict[str, dict[str, Any]] = {
    "k2_lambda": {"affine": lambda x: x * 2 + 1, "lambda": lambda x: x ** 2},
    "lambdas": {"lambda": lambda x: x * 2, "times": lambda x, k: x * k},
}
"""What users would pass for the bytecode in these records."""


def arrays(name: str) -> dict[str, np.ndarray]:
    """The arrays of a record by their short names."""
    with np.load(FOLDER / f"{RECORDS[name]['file']}.npz") as stored:
        return {key.removeprefix(f"{name}/"): stored[key] for key in stored.files if key.startswith(f"{name}/")}


def weights(model: Model, name: str, stored: dict[str, np.ndarray], old_names: dict[str, str]) -> list[np.ndarray]:
    """The recorded weights in the order of our layers; Keras 2 lists those of a nested model trainable ones first."""
    by_layer = {layer: [stored[f"weight_{i}_{j}"] for j in range(len(names))]
                for i, (layer, names) in enumerate(RECORDS[name]["weights"])}
    return [array for layer in model.layers
            for array in _own(layer, by_layer.get(old_names.get(layer.name, layer.name), []))]


def _own(layer: Any, found: list[np.ndarray]) -> list[np.ndarray]:
    specs = layer.weights
    if not isinstance(layer, Model) and not any(isinstance(inner, Model) for inner in layer.sublayers()):
        return found
    trainable = sum(spec.trainable for spec in specs)
    first, last = iter(found[:trainable]), iter(found[trainable:])
    return [next(first if spec.trainable else last) for spec in specs]
