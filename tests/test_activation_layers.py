"""Activation layers beyond the recorded cases, live against Keras; which torch module each becomes; what is refused."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import torch
from live import agree_between_convolutions, close, compiled, numbers, run_keras
from torch import nn

from kerashape_torch import Input, Model
from kerashape_torch.errors import ConfigError, ShapeError
from kerashape_torch.layers import ELU, Activation, Conv2D, LeakyReLU, PReLU, ReLU, Softmax
from kerashape_torch.torch_modules.activation import MaskedSoftmax, PReLUByElement

ORACLES = [
    *(keras.layers.ReLU(**options) for options in (
        {}, {"max_value": 6}, {"max_value": 0.5}, {"negative_slope": 0.2}, {"threshold": 0.5},
        {"max_value": 6, "negative_slope": 0.1}, {"max_value": 1.0, "threshold": 0.3, "negative_slope": 0.1},
        {"max_value": 6, "threshold": 0.4}, {"threshold": 0.4, "negative_slope": 1})),
    keras.layers.LeakyReLU(), keras.layers.LeakyReLU(0.01), keras.layers.ELU(), keras.layers.ELU(0.4),
    *(keras.layers.Softmax(axis=axis) for axis in (-1, 1, 2, [1], [2, 3], [-1, 1], [1, 2, 3])),
    *(keras.layers.PReLU(shared_axes=axes) for axes in (None, 1, [1, 2], [2, 3], [1, 2, 3], [3], [-1], [0], [1, 3]))]


@pytest.mark.parametrize("oracle", ORACLES, ids=lambda layer: layer.name)
def test_as_keras(oracle: keras.layers.Layer) -> None:
    x = numbers(2, 3, 4, 5) * 4
    close(compiled(oracle, None, 3, 4, 5)(torch.tensor(x)), run_keras(oracle, x))


@pytest.mark.parametrize("oracle", [keras.layers.PReLU(shared_axes=[1, 2]), keras.layers.PReLU(), keras.layers.ELU(0.3),
                                    keras.layers.Softmax(axis=[2, 3]), keras.layers.Softmax(axis=-1)],
                         ids=lambda layer: layer.name)
def test_as_keras_between_convolutions(oracle: keras.layers.Layer) -> None:
    agree_between_convolutions(oracle)


@pytest.mark.parametrize(("layer", "stock"), [
    (ReLU(), nn.ReLU), (ReLU(6), nn.ReLU6), (ReLU(negative_slope=0.1), nn.LeakyReLU), (LeakyReLU(), nn.LeakyReLU),
    (ELU(), nn.ELU), (Softmax(), nn.Softmax), (Softmax([2]), nn.Softmax), (PReLU(shared_axes=(1, 2)), nn.PReLU),
    (PReLU(shared_axes=(2, 3)), nn.PReLU), (PReLU(), PReLUByElement)], ids=repr)
def test_is_torchs_module(layer: Any, stock: type) -> None:
    assert type(layer.module((None, 4, 5, 6))) is stock


def test_prelu_of_channels_stays_in_channels_first() -> None:
    inputs = Input((8, 8, 3))
    model = Model(inputs, Conv2D(4, 1)(PReLU(shared_axes=[1, 2])(Conv2D(4, 1)(inputs))))
    assert sum(node.target is torch.permute for node in model.to_torch().graph.nodes) == 2


@pytest.mark.parametrize("axis", [-1, 1, (1, 2), (2,)], ids=str)
@pytest.mark.parametrize("numeric", [False, True])
def test_masked_softmax(axis: Any, numeric: bool) -> None:
    x, mask = numbers(2, 3, 4), numbers(2, 3, 4, seed=1) > 0
    mask[0, 1] = False
    mask[1] = False
    given = mask.astype("float32") if numeric else mask
    oracle = keras.layers.Softmax(axis=axis)
    close(MaskedSoftmax(axis)(torch.tensor(x), torch.tensor(given)), run_keras(oracle, x, mask=given))
    close(MaskedSoftmax(axis)(torch.tensor(x)), run_keras(oracle, x))


def test_an_activation_layer_as_an_activation() -> None:
    x = numbers(3, 4)
    close(Activation(LeakyReLU(0.1)).to_torch((None, 4))(torch.tensor(x)), np.where(x > 0, x, 0.1 * x))


def test_keras_2_spelling_of_the_slope() -> None:
    assert LeakyReLU(alpha=0.1).get_config() == LeakyReLU(0.1).get_config()
    assert LeakyReLU.from_config({"alpha": 0.1}).negative_slope == 0.1


@pytest.mark.parametrize(("make", "wrong"), [
    (lambda: ReLU(max_value=-1), r"ReLU\(max_value=...\) must be a number of 0 or more, got -1"),
    (lambda: ReLU(threshold=-0.5), r"ReLU\(threshold=...\) must be a number of 0 or more, got -0.5"),
    (lambda: LeakyReLU(negative_slope=None), "must be a number, got None"),
    (lambda: LeakyReLU(-0.1), "must be a number of 0 or more, got -0.1"),
    (lambda: Softmax("last"), "must be an integer, got 'last'"),
    (lambda: PReLU(shared_axes="all"), "must be an integer or several, got 'all'")])
def test_refused_arguments(make: Any, wrong: str) -> None:
    with pytest.raises(ConfigError, match=wrong):
        make()


def test_refused_shapes() -> None:
    with pytest.raises(ShapeError, match="shared_axes=\\[3\\] has 3, which is not an axis of rank 3"):
        PReLU(shared_axes=3).weight_specs((None, 4, 5))
    with pytest.raises(ShapeError, match="axis 1: the size of this axis is None"):
        PReLU().weight_specs((None, None, 5))
    assert Softmax(axis=3).compute_output_shape((None, 4)) == (None, 4)  # as Keras, which fails when it computes
    with pytest.raises(ShapeError, match="axis=3 is not an axis of a tensor of rank 2"):
        Softmax(axis=3).to_torch((None, 4))
