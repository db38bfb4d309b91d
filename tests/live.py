"""Keras itself as the oracle, for what was not recorded: the same layer here and there, with the same weights."""

from __future__ import annotations

import json
from typing import Any

import keras
import numpy as np
import torch
from harness import plain

from kerashape_torch import Input, Model, set_keras_weights
from kerashape_torch.config import deserialize
from kerashape_torch.layer import Layer
from kerashape_torch.lowering import keras_weights


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def same_layer(oracle: keras.layers.Layer) -> Layer:
    """The layer that Keras' config describes; it must write that config again."""
    written = keras.saving.serialize_keras_object(oracle)
    layer = deserialize(plain(written))
    assert plain(layer.get_config()) == plain(written["config"])
    return layer


def compiled(oracle: keras.layers.Layer, *shape: int | None) -> torch.nn.Module:
    """The compiled module of an unbuilt Keras layer; both get the same random weights, variances being positive."""
    layer = same_layer(oracle)
    oracle.build(shape)
    inputs = Input(batch_shape=shape)
    module = Model(inputs, layer(inputs)).to_torch()
    names = [spec.name for spec in keras_weights(module).specs]
    weights = [numbers(*w.shape, seed=i) for i, w in enumerate(oracle.get_weights())]
    weights = [np.abs(w) + 0.5 if "var" in name or "stddev" in name else w
               for name, w in zip(names, weights, strict=True)]
    oracle.set_weights(weights)
    set_keras_weights(module, weights)
    return module


def run_keras(oracle: keras.layers.Layer, x: np.ndarray, **kwargs: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(oracle(x, **kwargs))


def close(got: Any, want: Any) -> None:
    got = got.detach().numpy() if isinstance(got, torch.Tensor) else got
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def agree_between_convolutions(oracle: keras.layers.Layer) -> None:
    """Where the tensor already runs channels first when it comes to the layer, its axes must have moved along."""
    inputs = keras.Input((5, 6, 3))
    model = keras.Model(inputs, keras.layers.Conv2D(2, 1)(oracle(keras.layers.Conv2D(4, 2)(inputs))))
    model.set_weights([numbers(*w.shape, seed=i) for i, w in enumerate(model.get_weights())])
    module = deserialize(json.loads(model.to_json())).to_torch()
    set_keras_weights(module, model.get_weights())
    x = numbers(2, 5, 6, 3)
    close(module(torch.tensor(x)), run_keras(model, x))
