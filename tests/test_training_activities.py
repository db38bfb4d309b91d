"""Activity regularizers, wherever a layer lies: whole training steps, held against ``train_on_batch`` of Keras."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import torch
from live import numbers
from test_training_steps import pair, steps

import kerashape_torch as kt
from kerashape_torch.errors import KerashapeError
from kerashape_torch.torch_modules import set_at


@keras.saving.register_keras_serializable("tests")
def weighing(x: torch.Tensor) -> torch.Tensor:
    """A penalty that no two orders of the same numbers share."""
    weights = torch.arange(1, x.numel() + 1).to(x) / x.numel()
    return 0.1 * (weights.reshape(x.shape) * x.sin().square()).sum()


def sequential(k: Any, shape: tuple[int, ...], *layers: Any) -> Any:
    return k.Sequential([k.layers.Input(shape), *layers])


def dense(k: Any, units: int = 2, **said: Any) -> Any:
    return k.layers.Dense(units, activity_regularizer=weighing, **said)


def in_a_model(k: Any) -> Any:
    x = k.layers.Input((4,))
    y = dense(k, 3, activation="relu")(x)
    return k.Model(x, k.layers.Add()([y, k.layers.ActivityRegularization(l1=0.1, l2=0.2)(dense(k, 3)(y))]))


def image_model(k: Any) -> Any:
    conv = k.layers.Conv2D(3, 2, activity_regularizer=weighing)
    return k.Sequential([k.layers.Input((4, 4, 2)), conv, k.layers.Flatten()])


def attention(k: Any, name: str, **said: Any) -> Any:
    x = k.layers.Input((3, 4))
    layer = getattr(k.layers, name)(activity_regularizer=weighing, **said)
    return k.Model(x, layer(x, k.layers.Dense(5)(x)) if name == "MultiHeadAttention" else layer(x, x))


def of_ones_own(k: Any, base: str = "Layer") -> Any:
    """A layer that calls another one twice, and a model."""
    keywords = {} if k is keras else {"catalog": False}

    class Twice(getattr(k.layers, base), **keywords):
        def __init__(self, **said: Any) -> None:
            super().__init__(**said)
            self.first = dense(k, 4)
            self.second = k.Sequential([k.layers.Input((4,)), dense(k, 4)])

        def build(self, shape: Any) -> None:
            self.first.build(shape)

        def call(self, x: Any) -> Any:
            return self.first(self.first(x)) + self.second(x) * 2

    return Twice


def heir(k: Any) -> Any:
    keywords = {} if k is keras else {"catalog": False}

    class Doubled(k.layers.Dense, **keywords):
        def call(self, x: Any) -> Any:
            return super().call(x) * 2

    return Doubled


def one_cell(k: Any, **said: Any) -> Any:
    return k.layers.LSTMCell(3, activity_regularizer=weighing, **said)


def cells(k: Any) -> list[Any]:
    return [k.layers.GRUCell(3, activity_regularizer=weighing), k.layers.LSTMCell(2, activity_regularizer="l1")]


def states_too(k: Any) -> Any:
    x = k.layers.Input((3, 4))
    inner = k.layers.LSTM(2, activity_regularizer=weighing, return_sequences=True, return_state=True)
    y, *states = k.layers.Bidirectional(inner)(x)
    return k.Model(x, k.layers.Concatenate()([k.layers.Flatten()(y), *states]))


def both_ways(k: Any, name: str = "GRU", *sizes: int, **said: Any) -> Any:
    return k.layers.Bidirectional(getattr(k.layers, name)(*(sizes or (2,)), activity_regularizer=weighing, **said))


def two_ways(k: Any) -> Any:
    return k.layers.Bidirectional(k.layers.LSTM(2, activity_regularizer=weighing), merge_mode="sum",
                                  backward_layer=k.layers.LSTM(2, activity_regularizer="l1", go_backwards=True))


def by_step(k: Any, layer: Any) -> Any:
    return k.layers.TimeDistributed(layer)


def masked(k: Any, layer: Any) -> Any:
    x = k.layers.Input((4,), dtype="int32")
    return k.Model(x, layer(k.layers.Embedding(9, 4, mask_zero=True)(x)))


SEQUENCES, IMAGES = (3, 4), (3, 4, 4, 2)
CASES: dict[str, tuple[Callable[[Any], Any], tuple[int, ...]]] = {
    "model": (lambda k: k.Sequential([k.layers.Input((4,)), in_a_model(k)]), (4,)),
    "activation": (lambda k: sequential(k, (4,), k.layers.Dense(3, activation=k.layers.ReLU(
        activity_regularizer=weighing))), (4,)),
    "time distributed": (lambda k: sequential(k, SEQUENCES, by_step(k, dense(k))), SEQUENCES),
    "time distributed, its own": (lambda k: sequential(k, SEQUENCES, k.layers.TimeDistributed(
        k.layers.Dense(2), activity_regularizer=weighing)), SEQUENCES),
    "time distributed model": (lambda k: sequential(k, SEQUENCES, by_step(k, in_a_model(k))), SEQUENCES),
    "time distributed images": (lambda k: sequential(k, IMAGES, by_step(k, image_model(k))), IMAGES),
    "time distributed twice": (lambda k: sequential(k, (2, *SEQUENCES), by_step(k, by_step(k, in_a_model(k)))),
                               (2, *SEQUENCES)),
    "time distributed both ways": (lambda k: sequential(k, (2, *SEQUENCES), by_step(k, both_ways(k))),
                                   (2, *SEQUENCES)),
    "time distributed activation": (lambda k: sequential(k, SEQUENCES, by_step(k, k.layers.Dense(
        3, activation=k.layers.ReLU(activity_regularizer=weighing)))), SEQUENCES),
    "spectral": (lambda k: sequential(k, (4,), k.layers.SpectralNormalization(
        dense(k), activity_regularizer="l1")), (4,)),
    "spectral by step": (lambda k: sequential(k, SEQUENCES, by_step(
        k, k.layers.SpectralNormalization(dense(k, activation="tanh")))), SEQUENCES),
    "pipeline": (lambda k: sequential(k, (4,), k.layers.Dense(4), k.layers.Pipeline(
        [k.layers.Rescaling(2.0, activity_regularizer=weighing), k.layers.Rescaling(3.0)])), (4,)),
    "both ways": (lambda k: sequential(k, SEQUENCES, both_ways(k)), SEQUENCES),
    "both ways, sequences": (lambda k: sequential(k, SEQUENCES, both_ways(k, return_sequences=True)), SEQUENCES),
    "both ways, states": (states_too, SEQUENCES),
    "both ways, two regularizers": (lambda k: sequential(k, SEQUENCES, two_ways(k)), SEQUENCES),
    "both ways, relu": (lambda k: sequential(k, SEQUENCES, both_ways(k, "LSTM", activation="relu")), SEQUENCES),
    "both ways, images": (lambda k: sequential(k, IMAGES, both_ways(k, "ConvLSTM2D", 2, 2), k.layers.Flatten()),
                          IMAGES),
    "both ways, cell": (lambda k: sequential(k, SEQUENCES, k.layers.Bidirectional(k.layers.RNN(one_cell(k)))),
                        SEQUENCES),
    "both ways, cells": (lambda k: sequential(k, SEQUENCES, k.layers.Bidirectional(k.layers.RNN(cells(k)))),
                         SEQUENCES),
    "cell": (lambda k: sequential(k, SEQUENCES, k.layers.RNN(one_cell(k))), SEQUENCES),
    "cell unrolled": (lambda k: sequential(k, SEQUENCES, k.layers.RNN(one_cell(k), unroll=True)), SEQUENCES),
    "cell backwards": (lambda k: sequential(k, SEQUENCES, k.layers.RNN(
        k.layers.GRUCell(2, activity_regularizer=weighing), go_backwards=True, return_sequences=True)), SEQUENCES),
    "cells": (lambda k: sequential(k, SEQUENCES, k.layers.RNN(cells(k))), SEQUENCES),
    "cells unrolled": (lambda k: sequential(k, SEQUENCES, k.layers.RNN(cells(k), unroll=True)), SEQUENCES),
    "cells in cells": (lambda k: sequential(k, SEQUENCES, k.layers.RNN(k.layers.StackedRNNCells(
        [k.layers.StackedRNNCells(cells(k)[:1]), cells(k)[1]]))), SEQUENCES),
    "masked cell": (lambda k: masked(k, k.layers.RNN(one_cell(k))), (4,)),
    "masked, both ways": (lambda k: masked(k, both_ways(k)), (4,)),
    "heads": (lambda k: attention(k, "MultiHeadAttention", num_heads=2, key_dim=3, value_dim=4), SEQUENCES),
    "heads with a gate": (lambda k: attention(k, "MultiHeadAttention", num_heads=2, key_dim=3, use_gate=True),
                          SEQUENCES),
    "heads in groups": (lambda k: attention(k, "GroupQueryAttention", head_dim=2, num_query_heads=4,
                                            num_key_value_heads=2), SEQUENCES),
    "own": (lambda k: sequential(k, (4,), of_ones_own(k)(activity_regularizer="l2")), (4,)),
    "own, by step": (lambda k: sequential(k, SEQUENCES, by_step(k, of_ones_own(k)(activity_regularizer="l2"))),
                     SEQUENCES),
    "heir": (lambda k: sequential(k, (4,), heir(k)(3, activity_regularizer=weighing)), (4,))}


def batches(name: str, model: Any) -> Callable[[int], tuple[np.ndarray, np.ndarray]]:
    shape = CASES[name][1]

    def data(i: int) -> tuple[np.ndarray, np.ndarray]:
        x = np.random.default_rng(i).integers(0, 3, (5, *shape)) if "masked" in name else numbers(5, *shape, seed=i)
        return x, numbers(5, *model.output_shape[1:], seed=i)

    return data


@pytest.mark.parametrize("name", CASES)
def test_as_in_keras(name: str) -> None:
    theirs, ours, training = pair(CASES[name][0], optimizer=lambda k: k.optimizers.SGD(0.1), loss="mse")
    data = batches(name, ours)
    steps(theirs, training, data)
    x, y = data(7)
    loss = float(training.test(x, y))
    np.testing.assert_allclose(loss, theirs.test_on_batch(x, y), rtol=1e-5, atol=1e-5)
    with torch.no_grad():
        bare = float(training.loss(training.module(torch.as_tensor(x)), torch.as_tensor(y)))
    assert (abs(loss - bare) < 1e-5) is (name == "time distributed")  # where Keras adds nothing


def test_parts_are_shared_whatever_becomes_of_them() -> None:
    """Parts that are made anew follow those of the module: their tensors, also moved ones, and their modes."""
    model = sequential(kt, SEQUENCES, by_step(kt, kt.Sequential(
        [kt.layers.Input((4,)), dense(kt, 3), kt.layers.BatchNormalization(), kt.layers.Dropout(0.5)])))
    model.compile("sgd", "mse")
    module = model.to_torch()
    training = kt.training.of(model, module)
    x, y = numbers(5, 3, 4), numbers(5, 3, 3)
    before = copy.deepcopy(module.state_dict())
    training.step(x, y)
    moved = [name for name, value in module.state_dict().items() if not torch.equal(value, before[name])]
    assert any("running_mean" in name for name in moved) and any("dense.weight" in name for name in moved)
    loss = training.test(x, y)
    for name, value in list(module.named_buffers()):
        set_at(module, name, value + 1)  # as module.to(device) does it
    assert not torch.equal(training.test(x, y), loss)
    assert torch.equal(training.test(x, y), kt.training.of(model, module).test(x, y))


def test_modes_reach_into_mixed_precision() -> None:
    model = sequential(kt, SEQUENCES, both_ways(kt, dropout=0.5, dtype="mixed_bfloat16"))
    model.compile("sgd", "mse")
    training = kt.training.of(model)
    x, y = numbers(5, 3, 4), numbers(5, 4)
    assert torch.equal(training.test(x, y), training.test(x, y))
    assert not torch.equal(training.step(x, y), training.test(x, y))


def test_modules_know_nothing_of_it() -> None:
    """Those for inference are the same as without regularizers, and hold no outputs."""
    def names(regularizer: Any) -> list[str]:
        inner = kt.Sequential([kt.layers.Input((4,)), kt.layers.Dense(2, activity_regularizer=regularizer)])
        x = kt.layers.Input(SEQUENCES)
        y = kt.layers.MultiHeadAttention(2, 2, activity_regularizer=regularizer)(x, x)
        y = kt.layers.Bidirectional(kt.layers.LSTM(2, activity_regularizer=regularizer, return_sequences=True))(y)
        module = kt.Model(x, kt.layers.TimeDistributed(inner)(y)).to_torch()
        return [f"{name} {type(part).__name__} {len(part._forward_hooks)}" for name, part in module.named_modules()]

    assert names(weighing) == names(None)


@pytest.mark.parametrize(("build", "message"), [
    (lambda k: k.layers.RNN(k.layers.StackedRNNCells([k.layers.GRUCell(2)], activity_regularizer="l1")),
     "stacked_rnn_cells.*sees the states of all cells after each step.*Give it to the cells"),
    (lambda k: k.layers.GRU(2, activation=k.layers.ReLU(activity_regularizer="l1")),
     r"re_lu.*has an activity regularizer, and gru.*runs it inside its steps\. Give the regularizer to the layer"),
    (lambda k: by_step(k, k.Sequential([k.layers.Input((3, 4)), k.layers.RNN(
        k.layers.LSTMCell(2, recurrent_activation=k.layers.ReLU(activity_regularizer="l1")))])),
     "re_lu.*has an activity regularizer, and lstm_cell.*runs it inside")])
def test_what_cannot_be_had(build: Any, message: str) -> None:
    layer = build(kt)
    model = sequential(kt, (2, *SEQUENCES) if isinstance(layer, kt.layers.TimeDistributed) else SEQUENCES, layer)
    model.compile("sgd", "mse")
    with pytest.raises(KerashapeError, match=message):
        kt.training.of(model)


def test_stacked_cells_and_masks() -> None:
    model = masked(kt, kt.layers.RNN(cells(kt)))
    model.compile("sgd", "mse")
    with pytest.raises(KerashapeError, match=r"take no mask here.*Run each cell by an RNN of its own"):
        kt.training.of(model).step(np.ones((5, 4), "int32"), numbers(5, 2))
