"""Records what Keras 2 makes of masks that meet in a merging layer; run it by hand, where tf_keras is installed.

``python scripts/record_merged_masks.py tests/data/merged_masks.json``. Each case is a model as Keras 2 writes it, with
its weights, two inputs and the outputs: what is merged, its mean over the steps, and a recurrent layer, which both mind
masks.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tf_keras as keras

STEPS, FEATURES = 5, 3
MERGES: dict[str, dict[str, Any]] = {
    **{name: {} for name in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")},
    "Concatenate": {"axis": -1}, "Dot": {"axes": 1}}
MASKED = {"both": (True, True), "first": (True, False), "second": (False, True), "none": (False, False)}


def case(name: str, arguments: dict[str, Any], masked: tuple[bool, bool], seed: int) -> dict[str, Any]:
    keras.utils.set_random_seed(seed)
    inputs = [keras.Input((STEPS, FEATURES), name=each) for each in "ab"]
    taken = [keras.layers.Masking()(x) if hidden else x for x, hidden in zip(inputs, masked)]
    merged = getattr(keras.layers, name)(**arguments)(taken)
    model = keras.Model(inputs, [merged, keras.layers.GlobalAveragePooling1D()(merged), keras.layers.GRU(2)(merged)])
    random = np.random.default_rng(seed)
    given = random.normal(size=(2, 4, STEPS, FEATURES)).astype("float32")
    given[random.random(given.shape[:3]) < 0.4] = 0
    return {"config": json.loads(model.to_json()), "weights": [w.tolist() for w in model.get_weights()],
            "inputs": given.tolist(), "outputs": [np.asarray(y).tolist() for y in model(list(given))]}


def main() -> None:
    found = {f"{name}, {how}": case(name, arguments, masked, seed)
             for seed, (name, arguments) in enumerate(MERGES.items()) for how, masked in MASKED.items()}
    Path(sys.argv[1]).write_text(json.dumps(found), encoding="utf8")


if __name__ == "__main__":
    main()
