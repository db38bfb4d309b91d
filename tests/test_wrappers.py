"""Bidirectional and TimeDistributed: names as in Keras, layers and models inside, training."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import harness
import keras
import numpy as np
import pytest
import torch

import kerashape_torch as kt
from kerashape_torch import layers, lowering
from kerashape_torch.errors import ConfigError, ShapeError
from kerashape_torch.structure import flatten


def batch(*shape: int) -> np.ndarray:
    return np.random.default_rng(2).normal(size=shape).astype("float32")


def many_layers(k: Any) -> Any:
    """Wrappers in a row, so that each layer's number depends on what the wrappers before it used up."""
    layer = k.layers
    x = k.Input((5, 3))
    y = layer.Bidirectional(layer.LSTM(4, return_sequences=True))(x)
    y = layer.LSTM(4, return_sequences=True)(y)
    y = layer.Bidirectional(layer.GRU(4, return_sequences=True, name="g"),
                            backward_layer=layer.GRU(4, return_sequences=True, go_backwards=True))(y)
    y = layer.GRU(4, return_sequences=True)(y)
    y = layer.TimeDistributed(layer.Dense(3))(y)
    y = layer.Dense(3)(y)
    y = layer.RNN([layer.LSTMCell(3), layer.LSTMCell(2)], return_sequences=True)(y)
    y = layer.RNN(layer.LSTMCell(3), return_sequences=True)(y)
    y = layer.TimeDistributed(layer.TimeDistributed(layer.Dense(2)))(layer.Reshape((5, 3, 1))(y))
    y = layer.Bidirectional(layer.LSTM(4))(layer.Reshape((5, 6))(y))
    return k.Model(x, y)


DESCRIBE = """
import json, os
os.environ["KERAS_BACKEND"] = "torch"
import keras
from test_wrappers import many_layers
keras.backend.clear_session(free_memory=False)
model = many_layers(keras)
print(json.dumps([[layer.name for layer in model.layers], [w.path for w in model.weights]]))
"""


def test_names_are_those_of_keras_in_a_fresh_process() -> None:
    done = subprocess.run([sys.executable, "-c", DESCRIBE], capture_output=True, text=True, check=True,
                          cwd=harness.DATA.parent)
    names, paths = json.loads(done.stdout.splitlines()[-1])
    model = many_layers(kt)
    assert [layer.name for layer in model.layers] == names
    assert [w.full_path for w in model.weights] == paths
    assert [spec.full_path for spec in lowering.keras_weights(model.to_torch(device="meta")).specs] == paths
    again = kt.Model.from_config(model.get_config())
    assert [w.full_path for w in again.weights] == paths


def same_numbers(theirs: Any, module: Any, x: np.ndarray) -> None:
    kt.set_keras_weights(module, theirs.get_weights())
    with torch.no_grad():
        for a, b in zip(flatten(module(torch.as_tensor(x))), flatten(theirs(x)), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def encoder(k: Any) -> Any:
    layer = k.layers
    x = k.Input((6, 6, 2))
    y = layer.Conv2D(3, 3, activation="relu", padding="same")(x)
    y = k.Sequential([layer.MaxPooling2D(), layer.Conv2D(4, 2, activation="softmax")])(y)
    return k.Model(x, layer.Dense(5, activation="tanh")(layer.Flatten()(y)))


INSIDE: dict[str, tuple[Any, tuple[int, ...]]] = {
    "dense": (lambda k: k.layers.Dense(3), (2, 5, 4)),
    "dense_with_activation": (lambda k: k.layers.Dense(3, activation="softmax"), (2, 5, 4)),
    "convolution": (lambda k: k.layers.Conv2D(3, 3, activation="relu", strides=2, padding="same"), (2, 5, 6, 6, 2)),
    "convolution_channels_first": (lambda k: k.layers.Conv2D(3, 3, data_format="channels_first"), (2, 5, 2, 6, 6)),
    "flatten": (lambda k: k.layers.Flatten(), (2, 5, 3, 4)),
    "lstm": (lambda k: k.layers.LSTM(3, return_sequences=True), (2, 5, 4, 2)),
    "bidirectional": (lambda k: k.layers.Bidirectional(k.layers.GRU(3)), (2, 5, 4, 2)),
    "time_distributed": (lambda k: k.layers.TimeDistributed(k.layers.Conv1D(3, 2, activation="relu")), (2, 5, 4, 3, 2)),
    "normalization": (lambda k: k.layers.BatchNormalization(), (2, 5, 3, 4)),
    "model": (encoder, (2, 5, 6, 6, 2)),
    "sequential": (lambda k: k.Sequential([k.layers.Conv1D(3, 2, activation="relu"), k.layers.GlobalMaxPooling1D()]),
                   (2, 5, 4, 3)),
}


@pytest.mark.parametrize("name", INSIDE)
@pytest.mark.parametrize("length", [5, None])
def test_what_is_inside_runs_on_each_step(name: str, length: int | None) -> None:
    make, shape = INSIDE[name]
    keras.utils.clear_session(free_memory=False)
    theirs, ours = keras.layers.TimeDistributed(make(keras)), layers.TimeDistributed(make(kt))
    inputs = kt.Input((length, *shape[2:]))
    model = kt.Model(inputs, ours(inputs))
    assert model.output_shape == theirs(keras.Input((length, *shape[2:]))).shape
    x = batch(*shape)
    theirs(x)
    paths = [(f"{ours.name}/{w.full_path}", w.shape) for w in ours.weights]
    if isinstance(ours.layer, kt.Model):  # Keras leaves the wrapper out of these: the model was built before it
        assert [shape for _, shape in paths] == [w.shape for w in theirs.weights]
    else:
        assert paths == [(w.path, w.shape) for w in theirs.weights]
    module = model.to_torch()
    same_numbers(theirs, module, x)
    if length is None:
        longer = batch(3, 7, *shape[2:])
        same_numbers(theirs, module, longer)


def test_statistics_are_gathered_step_by_step() -> None:
    """Keras normalizes the samples of each step by themselves, and updates the statistics once for each step."""
    theirs = keras.layers.TimeDistributed(keras.layers.BatchNormalization(momentum=0.8))
    x = batch(4, 3, 2)
    theirs(x)
    module = layers.TimeDistributed(layers.BatchNormalization(momentum=0.8)).to_torch((3, 2))
    kt.set_keras_weights(module, theirs.get_weights())
    got, want = module.train()(torch.as_tensor(x)), theirs(x, training=True)
    np.testing.assert_allclose(got.detach(), want.detach(), rtol=1e-4, atol=1e-5)
    for a, b in zip(kt.get_keras_weights(module), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    same_numbers(theirs, module.eval(), x)


def test_a_model_inside_is_trained() -> None:
    x = kt.Input((5, 6, 6, 2))
    model = kt.Model(x, layers.TimeDistributed(encoder(kt))(x))
    module = model.to_torch().train()
    module(torch.randn(2, 5, 6, 6, 2)).sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in module.parameters())


def test_what_is_inside_may_be_frozen() -> None:
    x = kt.Input((5, 3))
    wrapped = layers.TimeDistributed(layers.Dense(3, trainable=False))
    both = layers.Bidirectional(layers.LSTM(4, trainable=False))
    model = kt.Model(x, both(wrapped(x)))
    assert model.count_params(trainable=True) == 0
    assert not any(p.requires_grad for p in model.to_torch().parameters())


def test_layers_with_names_that_torch_keeps_for_itself() -> None:
    inner = kt.Sequential([kt.Input((3,)), layers.Dense(4, name="type"), layers.Dense(2, name="v1.2")])
    x = kt.Input((5, 3))
    module = kt.Model(x, layers.TimeDistributed(inner, name="train")(x)).to_torch()
    assert module(torch.zeros(2, 5, 3)).shape == (2, 5, 2)
    assert len(kt.get_keras_weights(module)) == 4


def test_export_with_a_dynamic_batch() -> None:
    module = layers.TimeDistributed(layers.Conv2D(3, 3, activation="relu")).to_torch((None, 5, 6, 6, 2))
    exported = torch.export.export(module, (torch.randn(2, 5, 6, 6, 2),),
                                   dynamic_shapes=({0: torch.export.Dim("batch")},), strict=False)
    x = torch.randn(4, 5, 6, 6, 2)
    torch.testing.assert_close(exported.module()(x), module(x))


def test_masks_matter_only_where_the_layer_inside_uses_them() -> None:
    assert not layers.TimeDistributed(layers.Dense(3)).uses_mask
    assert layers.TimeDistributed(layers.LSTM(3)).uses_mask
    assert layers.TimeDistributed(kt.Sequential([layers.LSTM(3)])).uses_mask


def test_a_wrapped_layer_can_be_used_alone_as_well() -> None:
    """Bidirectional runs copies: what was given to it stays as it was."""
    lstm = layers.LSTM(4, return_sequences=True)
    both = layers.Bidirectional(lstm)
    assert (lstm.zero_output_for_mask, both.forward_layer.zero_output_for_mask) == (False, True)
    x = kt.Input((5, 3))
    model = kt.Model(x, both(lstm(x)))
    assert [layer.name for layer in model.layers] == ["input_layer", "lstm", "bidirectional"]
    assert both.forward_layer.name == "forward_lstm"
    assert model.count_params() == 4 * 4 * (3 + 4 + 1) + 2 * 4 * 4 * (4 + 4 + 1)


@pytest.mark.parametrize(("make", "words"), [
    (lambda: layers.Bidirectional(layers.Dense(3)), "takes a recurrent layer such as LSTM"),
    (lambda: layers.Bidirectional(layers.Bidirectional(layers.LSTM(3))), "takes a recurrent layer such as LSTM"),
    (lambda: layers.Bidirectional(layers.LSTM(3), merge_mode="max"), "'mul'"),
    (lambda: layers.Bidirectional(layers.LSTM(3), weights=[np.zeros(3)]), "set_keras_weights"),
    (lambda: layers.Bidirectional(layers.LSTM(3, go_backwards=True)), "one layer goes backwards and one does not"),
    (lambda: layers.Bidirectional(layers.LSTM(3), backward_layer=layers.LSTM(3, go_backwards=True, return_state=True)),
     "return_state must be alike"),
    (lambda: layers.TimeDistributed(3), "takes a layer or a model, got 3"),
])
def test_wrong_arguments_are_refused(make: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make()


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"rank 3 or more, \(batch, steps, ...\)"):
        layers.TimeDistributed(layers.Dense(3))(kt.Input((4,)))
    with pytest.raises(ShapeError, match="must give one tensor, got 3"):
        layers.TimeDistributed(layers.LSTM(3, return_state=True))(kt.Input((4, 5, 3)))
    with pytest.raises(ShapeError, match="got a list"):
        layers.TimeDistributed(layers.Add())([kt.Input((4, 5)), kt.Input((4, 5))])
    with pytest.raises(ShapeError, match="initial_state: takes 4"):
        layers.Bidirectional(layers.LSTM(4))(kt.Input((5, 3)), initial_state=[kt.Input((4,)), kt.Input((4,))])
    with pytest.raises(ShapeError, match="4 and 3 differ"):
        layers.Bidirectional(layers.LSTM(4), merge_mode="sum", backward_layer=layers.LSTM(3, go_backwards=True))(
            kt.Input((5, 3)))


def test_a_layer_in_two_places_is_refused() -> None:
    """Keras has its weights once; trained here, the two would drift apart."""
    x, dense, cell = kt.Input((3, 4)), layers.Dense(4), layers.LSTMCell(2)
    for outputs in (layers.SpectralNormalization(dense)(dense(x)),
                    [layers.RNN(cell)(x), layers.RNN(cell, return_state=True)(x)[0]]):
        with pytest.raises(ConfigError, match=r"is called (by itself|in .*) and in .* Way out: a layer for each"):
            kt.Model(x, outputs).to_torch()
    shared = layers.TimeDistributed(dense)
    assert len(list(kt.Model(x, shared(shared(x))).to_torch().parameters())) == 2
