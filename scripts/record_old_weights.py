"""Records how tf_keras reads arrays that older Keras laid out otherwise: tests/data/legacy/old_weights.npz.

    pip install tensorflow-cpu tf_keras numpy h5py     (2.21.0 when this was last run; in an environment of its own)
    python scripts/record_old_weights.py

For each case it writes a file of weights in the old form, loads it with tf_keras, and keeps the arrays that went in and
the weights that came out.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tf_keras as keras
from tf_keras.src.layers.rnn.cudnn_gru import CuDNNGRU
from tf_keras.src.layers.rnn.cudnn_lstm import CuDNNLSTM

L = keras.layers
LSTM, GRU = [(3, 4), (4, 4), (4,)], [(3, 4), (4, 4), (4,)]
CASES: dict[str, tuple[tuple[int, ...], list[tuple[str, dict[str, Any]]], list[tuple[int, ...]], str | None]] = {
    # name: input shape, (class, arguments) from the outside in, shapes of the arrays, version of the file
    "lstm_by_gate": ((5, 3), [("LSTM", {"units": 4})], LSTM * 4, None),
    "gru_by_gate": ((5, 3), [("GRU", {"units": 4, "reset_after": False})], GRU * 3, None),
    "lstm_both_ways": ((5, 3), [("Bidirectional", {}), ("LSTM", {"units": 4})], LSTM * 8, None),
    "conv1d": ((9, 3), [("Conv1D", {"filters": 5, "kernel_size": 2})], [(2, 1, 3, 5), (5,)], None),
    "conv1d_filters_first": ((9, 3), [("Conv1D", {"filters": 5, "kernel_size": 2})], [(5, 3, 2, 1), (5,)], None),
    "conv2d": ((8, 8, 3), [("Conv2D", {"filters": 5, "kernel_size": (2, 4)})], [(2, 4, 3, 5), (5,)], None),
    "conv2d_channels_first": ((3, 8, 8), [("Conv2D", {"filters": 5, "kernel_size": (2, 4),
                                                      "data_format": "channels_first"})], [(5, 3, 2, 4), (5,)], None),
    "conv2d_over_time": ((4, 3, 8, 8), [("TimeDistributed", {}), (
        "Conv2D", {"filters": 5, "kernel_size": (2, 4), "data_format": "channels_first"})], [(5, 3, 2, 4), (5,)], None),
    "deconv": ((8, 8, 3), [("Conv2DTranspose", {"filters": 5, "kernel_size": (2, 4)})], [(2, 4, 3, 5), (5,)], None),
    "deconv_channels_first": ((3, 8, 8), [("Conv2DTranspose", {
        "filters": 5, "kernel_size": (2, 4), "data_format": "channels_first"})], [(5, 3, 2, 4), (5,)], None),
    "conv3d_channels_first": ((3, 8, 8, 8), [("Conv3D", {
        "filters": 5, "kernel_size": (2, 4, 3), "data_format": "channels_first"})], [(5, 3, 2, 4, 3), (5,)], None),
    "conv_lstm": ((2, 8, 8, 3), [("ConvLSTM2D", {"filters": 4, "kernel_size": (2, 3)})],
                  [(2, 3, 3, 4), (2, 3, 4, 4), (4,)] * 4, None),
    "conv2d_swapped": ((8, 8, 3), [("Conv2D", {"filters": 5, "kernel_size": (2, 4)})], [(3, 5, 4, 2), (5,)], "2.0.0"),
    "cudnn_lstm_as_lstm": ((5, 3), [("LSTM", {"units": 4})], [(3, 16), (4, 16), (32,)], "2.2.4"),
    "lstm_as_cudnn_lstm": ((5, 3), [("CuDNNLSTM", {"units": 4})], [(3, 16), (4, 16), (16,)], "2.2.4"),
    "cudnn_gru_as_gru": ((5, 3), [("GRU", {"units": 4})], [(3, 12), (4, 12), (24,)], "2.2.4"),
    "gru_as_cudnn_gru": ((5, 3), [("CuDNNGRU", {"units": 4})], [(3, 12), (4, 12), (2, 12)], "2.2.4"),
    "cudnn_both_ways": ((5, 3), [("Bidirectional", {}), ("LSTM", {"units": 4})],
                        [(3, 16), (4, 16), (32,)] * 2, "2.2.4"),
}


def made(layers: list[tuple[str, dict[str, Any]]]) -> Any:
    (name, arguments), *inner = layers
    cls = getattr(L, name, None) or {"CuDNNLSTM": CuDNNLSTM, "CuDNNGRU": CuDNNGRU}[name]
    return cls(*map(made, [inner] if inner else []), **arguments)


def write(path: Path, arrays: list[Any], version: str | None) -> None:
    names = [f"w_{i}" for i in range(len(arrays))]
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"layer"]
        if version:
            file.attrs["keras_version"], file.attrs["backend"] = version, "tensorflow"
        group = file.create_group("layer")
        group.attrs["weight_names"] = [name.encode() for name in names]
        for name, array in zip(names, arrays):
            group[name] = array


def main() -> None:
    generator, kept, cases = np.random.default_rng(0), {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for name, (shape, layers, shapes, version) in CASES.items():
            arrays = [generator.normal(size=s).astype("float32") for s in shapes]
            write(Path(folder) / "old.h5", arrays, version)
            model = keras.Sequential([L.InputLayer(shape), made(layers)])
            model.load_weights(Path(folder) / "old.h5")
            weights = model.get_weights()
            kept |= {f"{name}/array_{i}": x for i, x in enumerate(arrays)}
            kept |= {f"{name}/weight_{i}": x for i, x in enumerate(weights)}
            cases[name] = {"input_shape": shape, "layers": layers, "version": version, "arrays": len(arrays),
                           "weights": len(weights)}
    target = Path(__file__).parents[1] / "tests" / "data" / "legacy"
    target.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(target / "old_weights.npz", **kept)
    (target / "old_weights.json").write_text(json.dumps(cases, indent=1) + "\n")
    print(f"{len(cases)} cases")


if __name__ == "__main__":
    main()
