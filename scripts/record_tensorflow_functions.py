"""Records tests/data/tensorflow_functions.jsonl.gz: functions of TensorFlow as layers of tf_keras, and their answers.

    pip install tensorflow-cpu tf_keras numpy     (2.21.0 when this was last run; in an environment of its own)
    python scripts/record_tensorflow_functions.py

From TensorFlow 2.4 on, Keras 2 made a TFOpLambda of each function on a symbolic tensor. Each case is the config of such
a model, as its files have it, with inputs that are multiples of 1/16, and outputs to seven digits.
"""

import gzip
import json
from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras as keras
from record_tensorflow_ops import numbers, static
from tensorflow_functions import functions

TARGET = Path(__file__).resolve().parent.parent / "tests" / "data" / "tensorflow_functions.jsonl.gz"


def record(name, given, build):
    keras.backend.clear_session()
    given = [item if isinstance(item, tuple) else (item, item.shape[1:]) for item in given]
    inputs = [keras.Input(shape, dtype=array.dtype.name, name=f"x{i}") for i, (array, shape) in enumerate(given)]
    outputs = tf.nest.flatten(build(*inputs))
    model = keras.Model(inputs, outputs, name="m")
    answers = [np.asarray(answer) for answer in tf.nest.flatten(model([array for array, _ in given]))]
    return {"code": name, "config": json.loads(model.to_json())["config"], "inputs": [
        {"dtype": array.dtype.name, "shape": array.shape, "values": numbers(array)} for array, _ in given], "outputs": [
        {"dtype": answer.dtype.name, "shape": answer.shape, "static": static(output), "values": numbers(answer)}
        for answer, output in zip(answers, outputs, strict=True)]}


def main():
    lines = [json.dumps(record(*found), sort_keys=True) for found in functions()]
    with gzip.GzipFile(TARGET, "wb", mtime=0) as file:
        file.write("\n".join(lines).encode() + b"\n")
    print(f"{len(lines)} cases, {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
