"""ConvLSTM where the recorded cases are silent: every argument, gradients, states, wrappers, dropout, layout."""

from __future__ import annotations

from typing import Any

import harness
import keras
import numpy as np
import pytest
import torch
from live import keras_gradients, numbers

import kerashape_torch as kt
from kerashape_torch import layers
from kerashape_torch.errors import ConfigError, KerashapeError, ShapeError
from kerashape_torch.structure import flatten

LAYERS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "even_window": (lambda k: k.ConvLSTM2D(3, (2, 4), padding="same", return_sequences=True), (2, 3, 6, 5, 2)),
    "strides": (lambda k: k.ConvLSTM2D(3, 3, strides=(2, 1), padding="same", return_state=True), (2, 3, 6, 5, 2)),
    "dilation": (lambda k: k.ConvLSTM2D(3, 3, dilation_rate=(2, 1), return_sequences=True), (2, 3, 7, 5, 2)),
    "channels_first": (lambda k: k.ConvLSTM2D(3, 3, data_format="channels_first", return_sequences=True,
                                              return_state=True), (2, 3, 2, 6, 5)),
    "backwards": (lambda k: k.ConvLSTM1D(3, 3, go_backwards=True, return_sequences=True, return_state=True),
                  (2, 4, 6, 2)),
    "activations": (lambda k: k.ConvLSTM1D(3, 2, activation="relu", recurrent_activation="hard_sigmoid"), (2, 4, 6, 2)),
    "softmax": (lambda k: k.ConvLSTM2D(3, 2, activation="softmax", recurrent_activation="softmax"), (2, 3, 4, 5, 2)),
    "softmax_channels_first": (lambda k: k.ConvLSTM2D(3, 2, activation="softmax", data_format="channels_first"),
                               (2, 3, 2, 4, 5)),
    "activation_layer": (lambda k: k.ConvLSTM2D(3, 2, activation=k.Softmax(axis=-1)), (2, 3, 4, 5, 2)),
    "linear": (lambda k: k.ConvLSTM1D(3, 2, activation=None, recurrent_activation=None), (2, 3, 4, 2)),
    "without_bias": (lambda k: k.ConvLSTM3D(2, 2, use_bias=False, unroll=True), (2, 3, 3, 4, 3, 2)),
    "no_forget_bias": (lambda k: k.ConvLSTM1D(2, 2, unit_forget_bias=False), (2, 3, 4, 2)),
    "dropout": (lambda k: k.ConvLSTM2D(3, 3, dropout=0.3, recurrent_dropout=0.2, seed=1), (2, 3, 6, 5, 2)),
    "regularized": (lambda k: k.ConvLSTM1D(2, 2, kernel_regularizer="l2", recurrent_constraint="max_norm",
                                           activity_regularizer="l2", dtype="float64"), (2, 3, 4, 2)),
    "bidirectional": (lambda k: k.Bidirectional(k.ConvLSTM2D(3, 2, return_sequences=True, return_state=True)),
                      (2, 3, 4, 5, 2)),
    "bidirectional_sum": (lambda k: k.Bidirectional(k.ConvLSTM1D(3, 2), merge_mode="sum"), (2, 3, 4, 2)),
    "bidirectional_channels_first": (lambda k: k.Bidirectional(k.ConvLSTM1D(3, 2, data_format="channels_first")),
                                     (2, 3, 2, 4)),
    "time_distributed": (lambda k: k.TimeDistributed(k.ConvLSTM1D(3, 2)), (2, 5, 3, 4, 2)),
}


def pair(make: Any, shape: tuple[int, ...]) -> tuple[Any, Any, Any]:
    """A layer of Keras and one of ours, compiled for any number of steps, with the same random weights."""
    keras.utils.clear_session(free_memory=False)
    theirs, ours = make(keras.layers), make(layers)
    assert harness.plain(ours.get_config()) == harness.plain(theirs.get_config())
    again = type(ours).from_config(harness.plain(theirs.get_config()))
    assert harness.plain(again.get_config()) == harness.plain(theirs.get_config())
    theirs(np.zeros(shape, "float32"))
    inputs = kt.Input((*((None,) if ours.name[:4] != "time" else shape[1:2]), *shape[2:]))
    module = kt.Model(inputs, ours(inputs)).to_torch()
    weights = [batch(*w.shape, seed=i) for i, w in enumerate(theirs.weights)]
    theirs.set_weights(weights)
    kt.set_keras_weights(module, weights)
    return theirs, ours, module


def batch(*shape: int, seed: int = 2) -> np.ndarray:
    return numbers(*shape, seed=seed)


def close(got: Any, want: Any) -> None:
    for a, b in zip(flatten(got), flatten(want), strict=True):
        np.testing.assert_allclose(a.detach(), b.detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", LAYERS)
def test_numbers_gradients_and_configs(name: str) -> None:
    make, shape = LAYERS[name]
    theirs, ours, module = pair(make, shape)
    assert [(f"{ours.name}/{w.full_path}", w.shape) for w in ours.weights] == [(w.path, w.shape)
                                                                               for w in theirs.weights]
    x = torch.as_tensor(batch(*shape))
    got, want = module(x), theirs(x)
    close(got, want)
    for outputs in (got, want):
        sum((i + 1) * (out * out).sum() for i, out in enumerate(flatten(outputs))).backward()
    for gradient, variable in zip(keras_gradients(module), theirs.trainable_variables, strict=True):
        np.testing.assert_allclose(gradient, variable.value.grad, rtol=1e-3, atol=1e-4)
    if shape[1] == 3 and name != "time_distributed":
        longer = torch.as_tensor(batch(3, 4, *shape[2:]))
        close(module(longer), theirs(longer))


@pytest.mark.parametrize(("make", "shape", "states"), [
    (lambda k: k.ConvLSTM2D(3, 2, return_state=True), (2, 3, 4, 5, 2), [(2, 3, 4, 3)] * 2),
    (lambda k: k.ConvLSTM1D(3, 2, data_format="channels_first"), (2, 3, 2, 4), [(2, 3, 3)] * 2),
    (lambda k: k.Bidirectional(k.ConvLSTM1D(3, 2)), (2, 3, 4, 2), [(2, 3, 3)] * 4),
])
def test_initial_state(make: Any, shape: tuple[int, ...], states: list[tuple[int, ...]]) -> None:
    theirs, ours = make(keras.layers), make(layers)
    arrays = [torch.as_tensor(batch(*shape)), *(torch.as_tensor(batch(*s, seed=i)) for i, s in enumerate(states))]
    want = theirs(arrays[0], initial_state=arrays[1:])
    symbols = [kt.Input(tuple(x.shape[1:])) for x in arrays]
    module = kt.Model(symbols, ours(symbols[0], initial_state=symbols[1:])).to_torch()
    kt.set_keras_weights(module, theirs.get_weights())
    close(module(*arrays), want)


@pytest.mark.parametrize("make", [
    lambda k: k.ConvLSTM1D(3, 2, stateful=True, return_sequences=True),
    lambda k: k.Bidirectional(k.ConvLSTM1D(3, 2, stateful=True)),
])
def test_a_stateful_layer_goes_on_where_it_stopped(make: Any) -> None:
    theirs, ours = make(keras.layers), make(layers)
    theirs(keras.Input((3, 4, 2), batch_size=2))
    module = ours.to_torch((2, 3, 4, 2))
    kt.set_keras_weights(module, theirs.get_weights())
    for seed in range(3):
        x = torch.as_tensor(batch(2, 3, 4, 2, seed=seed))
        close(module(x), theirs(x))
    first = module(x)
    for part in module.modules():
        if hasattr(part, "reset_state"):
            part.reset_state()
    assert not torch.allclose(module(x), first)


def test_a_stack_over_video_permutes_only_at_its_ends() -> None:
    """The next-frame model of Keras' documentation: time and channels change places nowhere inside."""
    def model(k: Any) -> Any:
        x = k.Input((None, 8, 8, 1))
        y = k.layers.ConvLSTM2D(4, 3, padding="same", return_sequences=True, activation="relu")(x)
        y = k.layers.BatchNormalization()(y)
        y = k.layers.ConvLSTM2D(4, 1, padding="same", return_sequences=True, activation="relu")(y)
        return k.Model(x, k.layers.Conv3D(1, 3, activation="sigmoid", padding="same")(y))

    theirs, module = model(keras), model(kt).to_torch()
    kt.set_keras_weights(module, theirs.get_weights())
    permutes = [node for node in module.graph.nodes if node.target is torch.permute]
    assert len(permutes) == 2
    x = torch.as_tensor(batch(2, 3, 8, 8, 1))
    close(module(x), theirs(x))


def test_without_an_input_shape() -> None:
    module = layers.ConvLSTM3D(2, 2).to_torch()
    assert "conv_lstm3d.recurrent_conv.weight" in module.state_dict()
    assert module(torch.zeros(2, 3, 4, 4, 4, 1)).shape == (2, 3, 3, 3, 2)


def test_each_gate_drops_elements_of_its_own() -> None:
    """With weights that add up one channel, each gate sees twice the input or none of it, alike at all steps."""
    layer = layers.ConvLSTM1D(1, 1, dropout=0.5, return_sequences=True, activation=None, recurrent_activation=None,
                              use_bias=False)
    module = layer.to_torch((None, 3, 200, 1))
    kt.set_keras_weights(module, [np.ones((1, 1, 4), "float32"), np.zeros((1, 1, 4), "float32")])
    with harness.own_generator():
        outputs = module.train()(torch.ones(2, 3, 200, 1)).detach()
    first = outputs[:, 0]
    assert set(first.unique().tolist()) == {0.0, 8.0}
    assert abs((first > 0).float().mean() - 1 / 8) < 0.05  # i, g and o must all have kept the element
    assert set((outputs[:, 1] / 8).unique().tolist()) <= {0.0, 1.0, 3.0}  # f adds twice the carry where it kept it
    assert not outputs[:, 1][first == 0].any()
    module.eval()
    torch.testing.assert_close(module(torch.ones(2, 3, 200, 1))[:, 0], torch.ones(2, 200, 1))


def test_the_state_is_dropped_alike_at_each_step() -> None:
    layer = layers.ConvLSTM1D(1, 1, recurrent_dropout=0.5, return_sequences=True, activation=None,
                              recurrent_activation=None, use_bias=False)
    module = layer.to_torch((None, 4, 100, 1))
    kt.set_keras_weights(module, [np.ones((1, 1, 4), "float32"), np.ones((1, 1, 4), "float32")])
    with harness.own_generator():
        outputs = module.train()(torch.ones(1, 4, 100, 1)).detach()
    undropped = module.eval()(torch.ones(1, 4, 100, 1)).detach()
    torch.testing.assert_close(outputs[:, 0], undropped[:, 0])
    # An element knows 2 * 2 * 3 ways in which f and o, and i and g together, may keep it, and goes one of them.
    assert [len(outputs[:, step].unique()) for step in (2, 3)] == [12, 12]


@pytest.mark.parametrize("make", [
    lambda k: k.ConvLSTM1D(2, 2, dropout=1.0, recurrent_dropout=1.0),
    lambda k: k.TimeDistributed(k.LSTM(2, recurrent_dropout=1.0)),
    lambda k: k.TimeDistributed(k.GRU(2, recurrent_dropout=1.0, reset_after=False)),
])
def test_a_rate_of_one_drops_nothing(make: Any) -> None:
    """Where each gate has a mask of its own, Keras takes a rate of 1 for none."""
    theirs, _, module = pair(make, (2, 3, 4, 2))
    x = torch.as_tensor(batch(2, 3, 4, 2))
    close(module.train()(x), theirs(x, training=True))


@pytest.mark.parametrize(("make", "error", "words"), [
    (lambda: layers.ConvLSTM2D(-1, 2), ConfigError, "filters"),
    (lambda: layers.ConvLSTM2D(2, (2, 2, 2)), ConfigError, "kernel_size"),
    (lambda: layers.ConvLSTM2D(2, 2, strides=2, dilation_rate=2), ConfigError, "cannot both be larger"),
    (lambda: layers.ConvLSTM1D(2, 2, padding="causal"), ConfigError, "padding"),
    (lambda: layers.ConvLSTM2D(2, 2)(kt.Input((4, 4, 1))), ShapeError,
     r"expected rank 5, \(batch, time, height, width, channels\), got rank 4"),
    (lambda: layers.ConvLSTM2D(2, 2)(kt.Input((3, None, 4, 1))), ShapeError, "height: the size of this axis is None"),
    (lambda: layers.ConvLSTM2D(2, 2)(kt.Input((3, 4, 4, None))), ShapeError, "channels"),
    (lambda: layers.ConvLSTM1D(2, 5)(kt.Input((3, 4, 1))), ShapeError, "steps: a window of 5"),
    (lambda: layers.ConvLSTM1D(2, 2, stateful=True)(kt.Input((3, 4, 1))), ShapeError, "fixed batch size"),
    (lambda: layers.ConvLSTM1D(2, 2)(kt.Input((3, 4, 1)), initial_state=[kt.Input((3, 2))]), ShapeError, "takes 2"),
    (lambda: layers.ConvLSTM1D(2, 2)(kt.Input((3, 4, 1)), initial_state=[kt.Input((4, 2))] * 2), ShapeError,
     r"each is \(None, 3, 2\), got \(None, 4, 2\)"),
])
def test_what_does_not_fit_is_refused(make: Any, error: type[KerashapeError], words: str) -> None:
    with pytest.raises(error, match=words):
        make()
