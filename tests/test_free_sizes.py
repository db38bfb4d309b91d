"""Sizes that are known when a model runs, in a ``call`` that is followed: each program is run with Keras and with this
package in its place."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import torch
from test_idioms import same

import kerashape_torch as kt


def class_token(k: Any, net: Any, x: Any) -> Any:
    batch = k.ops.shape(x)[0]
    token = k.ops.broadcast_to(net.token, (batch, 1, 4))
    return k.ops.concatenate([token, x], axis=1)


def tiled(k: Any, net: Any, x: Any) -> Any:
    return k.ops.concatenate([k.ops.tile(net.token, [k.ops.shape(x)[0], 2, 1]), x], axis=1)


def repeated(k: Any, net: Any, x: Any) -> Any:
    return k.ops.concatenate([k.ops.repeat(net.token, k.ops.shape(x)[0], axis=0), x], axis=1)


def zeros_and_ones(k: Any, net: Any, x: Any) -> Any:
    batch, length, width = k.ops.shape(x)
    made = k.ops.zeros((batch, length, width)) + k.ops.ones((batch, 1, 1)) + k.ops.full((batch, length, 1), 0.5)
    return made + net.token * x


def heads(k: Any, net: Any, x: Any) -> Any:
    batch, length, width = k.ops.shape(x)
    x = k.ops.transpose(k.ops.reshape(x, (batch, length, 2, width // 2)), (0, 2, 1, 3))
    x = k.ops.matmul(k.ops.softmax(k.ops.matmul(x, k.ops.transpose(x, (0, 1, 3, 2)))), x)
    return k.ops.reshape(k.ops.transpose(x, (0, 2, 1, 3)), (batch, length, width)) + net.token


def positions(k: Any, net: Any, x: Any) -> Any:
    return x + net.places(k.ops.arange(k.ops.shape(x)[1])) + net.token


def flattened(k: Any, net: Any, x: Any) -> Any:
    batch, length, _ = k.ops.shape(x)
    flat = k.ops.reshape(x, (-1, 4))
    return k.ops.reshape(flat, (batch, length, 4)) * net.token + k.ops.reshape(flat, (batch, -1, 4))


def sliced(k: Any, net: Any, x: Any) -> Any:
    length = k.ops.shape(x)[1]
    table = k.ops.repeat(net.token, 9, axis=1)
    return x[:, :length] + table[:, :length, :] * x[:, -1:] + table[:, length, None]


CALLS = [sliced, class_token, tiled, repeated, zeros_and_ones, heads, positions, flattened]


def program(k: Any, call: Any) -> Any:
    class Net(k.Model):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            if call is positions:
                self.places = k.layers.Embedding(9, 4)
            self.token = self.add_weight(shape=(1, 1, 4), initializer="ones", name="token")
            self.out = k.layers.Dense(2)

        def call(self, inputs: Any) -> Any:
            return self.out(call(k, self, inputs))

    return Net


def inputs(batch: int, length: int) -> Any:
    return np.random.default_rng(batch).normal(size=(batch, length, 4)).astype("float32")


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
def test_numbers_are_keras(call: Any, tmp_path: Path) -> None:
    keras.backend.clear_session(free_memory=False)
    theirs = program(keras, call)()
    theirs(inputs(3, 5))
    rng = np.random.default_rng(0)
    theirs.set_weights([rng.normal(size=w.shape).astype("float32") for w in theirs.get_weights()])
    ours = program(kt, call)()
    ours.build((None, None, 4))
    module = ours.to_torch()
    kt.set_keras_weights(module, theirs.get_weights())
    for batch, length in ((3, 5), (2, 7)):
        x = inputs(batch, length)
        same(module(torch.from_numpy(x)), theirs(x))
        assert ours.compute_output_shape((batch, length, 4)) == tuple(theirs(x).shape)
    theirs.save(tmp_path / "model.keras")
    loaded = kt.load_model(tmp_path / "model.keras", {"Net": program(kt, call)})
    same(loaded.to_torch()(torch.from_numpy(inputs(3, 5))), theirs(inputs(3, 5)))
    kt.saving.port(loaded, tmp_path / "out")
    done = subprocess.run([sys.executable, tmp_path / "out" / "model.py", "--check"], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stderr
    assert "kerashape" not in (tmp_path / "out" / "model.py").read_text().split('"""', 2)[2]
