"""Records tests/data/legacy_state from tf_keras: models saved after three steps, and their weights after four.

    pip install tensorflow-cpu tf_keras numpy     (2.21.0 when this was last run; in an environment of its own)
    python scripts/record_legacy_state.py

Nadam since 2.11 is not among them: it multiplies a number for each variable that Keras 3 multiplies once in each step,
and saves it nowhere.
"""

import json
import os
import shutil
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tf_keras as keras

TARGET = Path(__file__).resolve().parent.parent / "tests" / "data" / "legacy_state"
legacy, now = keras.optimizers.legacy, keras.optimizers
CASES = {
    "legacy_sgd.h5": legacy.SGD(0.1, momentum=0.9), "legacy_adam.h5": legacy.Adam(0.01, amsgrad=True),
    "legacy_nadam.h5": legacy.Nadam(0.01), "legacy_rmsprop.h5": legacy.RMSprop(0.01, momentum=0.5, centered=True),
    "legacy_ftrl.h5": legacy.Ftrl(0.1), "sgd.h5": now.SGD(0.1), "adam.h5": now.Adam(0.01, amsgrad=True),
    "rmsprop.keras": now.RMSprop(0.01, momentum=0.5), "adamw.keras": now.AdamW(0.01)}


def data(step):
    random = np.random.default_rng(step)
    return random.normal(size=(8, 3)).astype("float32"), random.normal(size=(8, 2)).astype("float32")


def main():
    shutil.rmtree(TARGET, ignore_errors=True)
    TARGET.mkdir(parents=True)
    after = {}
    for name, optimizer in CASES.items():
        keras.utils.set_random_seed(1)
        model = keras.Sequential([keras.layers.Dense(4, activation="tanh", input_shape=(3,)), keras.layers.Dense(2)])
        model.compile(optimizer, "mse")
        for step in range(4):
            if step == 3:
                model.save(TARGET / name)
            model.train_on_batch(*data(step))
        after[name] = [[float(f"{x:.9g}") for x in w.ravel()] for w in model.get_weights()]
    (TARGET / "after.json").write_text(json.dumps(after, separators=(",", ":")) + "\n")
    print(len(CASES), "files,", sum(path.stat().st_size for path in TARGET.iterdir()), "bytes")


if __name__ == "__main__":
    main()
