"""Dropouts and noise: nothing in inference; in training the rates, the scaling and what is drawn once are Keras'."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import torch
from harness import own_generator
from live import close, numbers, same_layer
from torch import nn

from kerashape_torch import Input, Model
from kerashape_torch.errors import ConfigError, ShapeError
from kerashape_torch.layers import (
    ActivityRegularization,
    AlphaDropout,
    Conv2D,
    Dropout,
    GaussianDropout,
    GaussianNoise,
    SpatialDropout1D,
    SpatialDropout2D,
    SpatialDropout3D,
)

N = 40
NOISY = [Dropout(0.3), Dropout(0.3, noise_shape=(None, 1, None)), AlphaDropout(0.3), AlphaDropout(0.3, (None, 1, None)),
         GaussianDropout(0.3), GaussianNoise(0.3), SpatialDropout1D(0.3)]


def trained(layer: Any, x: torch.Tensor) -> torch.Tensor:
    with own_generator():
        return layer.to_torch((None, *x.shape[1:])).train()(x)


@pytest.mark.parametrize("layer", [*NOISY, ActivityRegularization(0.1)], ids=repr)
def test_inference_changes_nothing(layer: Any) -> None:
    x = torch.tensor(numbers(3, 5, 4))
    assert torch.equal(layer.to_torch((None, 5, 4))(x), x)


@pytest.mark.parametrize("layer", NOISY, ids=repr)
def test_mean_and_deviation_are_those_of_keras(layer: Any) -> None:
    """Over many draws, element by element of a fixed input."""
    x = numbers(1, 2, 3) + 1
    many = np.repeat(x, 40_000, axis=0)
    oracle = getattr(keras.layers, type(layer).__name__)(**{
        name: value for name, value in layer.get_config().items() if name not in ("name", "dtype", "trainable")})
    got, want = trained(layer, torch.tensor(many)).numpy(), oracle(many, training=True).detach().numpy()
    np.testing.assert_allclose(got.mean(0), want.mean(0), atol=0.04)
    np.testing.assert_allclose(got.std(0), want.std(0), atol=0.04)
    a, b = (np.corrcoef(y.reshape(len(y), -1).T) for y in (got, want))
    np.testing.assert_allclose(a, b, atol=0.04)  # what is drawn together moves together


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.5, 1.0])
@pytest.mark.parametrize("noise_shape", [None, (None, 1), (1, None)], ids=str)
def test_dropout(rate: float, noise_shape: Any) -> None:
    x = torch.ones(200, 300)
    y = trained(Dropout(rate, noise_shape), x)
    dropped = y == 0
    assert dropped.float().mean().item() == pytest.approx(rate, abs=0.1 if noise_shape else 0.02)
    if rate < 1:
        close(y[~dropped], np.full(int((~dropped).sum()), 1 / (1 - rate), "float32"))
    for axis in (0, 1):
        if noise_shape and noise_shape[axis] == 1:
            assert (y.amin(axis) == y.amax(axis)).all()


@pytest.mark.parametrize(("layer", "shape", "channels"), [
    (SpatialDropout1D(0.4), (N, 7, 50), 2),
    (SpatialDropout2D(0.4), (N, 3, 4, 50), 3),
    (SpatialDropout2D(0.4, data_format="channels_first"), (N, 50, 3, 4), 1),
    (SpatialDropout3D(0.4), (N, 3, 2, 4, 50), 4),
    (SpatialDropout3D(0.4, data_format="channels_first"), (N, 50, 3, 2, 4), 1)], ids=repr)
def test_spatial_dropout_drops_whole_channels(layer: Any, shape: tuple[int, ...], channels: int) -> None:
    y = trained(layer, torch.ones(shape)).movedim(channels, 1).flatten(2)
    assert torch.equal(y.amin(2), y.amax(2))
    per_channel = y[:, :, 0]
    assert per_channel.unique().tolist() == pytest.approx([0, 1 / 0.6])
    assert (per_channel == 0).float().mean().item() == pytest.approx(0.4, abs=0.05)
    assert len(per_channel.unique(dim=0)) == N  # each sample for itself


def test_a_batch_of_one_is_a_batch() -> None:
    """torch's spatial dropouts take a tensor without its batch axis for one; Keras' tensors always have it."""
    y = trained(SpatialDropout1D(0.5), torch.ones(1, 7, 200))
    assert (y.amin(1) == y.amax(1)).all()
    assert 0 < (y == 0).float().mean() < 1


@pytest.mark.parametrize(("layer", "stock"), [
    (Dropout(0.1), nn.Dropout), (AlphaDropout(0.1), nn.AlphaDropout), (SpatialDropout1D(0.1), nn.Dropout1d),
    (GaussianNoise(0), nn.Identity), (GaussianDropout(0.0), nn.Identity), (ActivityRegularization(), nn.Identity)],
    ids=repr)
def test_is_torchs_module(layer: Any, stock: type) -> None:
    assert type(layer.module((None, 4, 5))) is stock


def test_no_permute_around_dropouts() -> None:
    x = inputs = Input((8, 8, 3))
    for layer in (Dropout(0.1), GaussianNoise(0.1), SpatialDropout2D(0.1), AlphaDropout(0.1)):
        x = layer(Conv2D(4, 1)(x))
    module = Model(inputs, Conv2D(4, 1)(x)).to_torch()
    assert sum(node.target is torch.permute for node in module.graph.nodes) == 2


@pytest.mark.parametrize("layer", NOISY, ids=repr)
def test_compiles_whole(layer: Any) -> None:
    module = layer.to_torch((None, 5, 4)).train()
    whole = torch.compile(module, fullgraph=True, backend="aot_eager", dynamic=True)
    assert whole(torch.ones(3, 5, 4)).shape == (3, 5, 4)
    batch = torch.export.Dim("batch", min=2, max=64)
    program = torch.export.export(module, (torch.ones(3, 5, 4),), dynamic_shapes=({0: batch},))
    assert program.module()(torch.ones(7, 5, 4)).shape == (7, 5, 4)


@pytest.mark.parametrize("oracle", [
    keras.layers.SpatialDropout1D(0.1, dtype="mixed_float16"), keras.layers.SpatialDropout3D(0.1, seed=3, name="drop"),
    keras.layers.Dropout(0.1, noise_shape=[None, 1]), keras.layers.GaussianNoise(1),
    keras.layers.ActivityRegularization(), keras.layers.AlphaDropout(0.1, noise_shape=(1, None), seed=3)],
    ids=lambda layer: layer.name)
def test_configs_are_those_of_keras(oracle: keras.layers.Layer) -> None:
    same_layer(oracle)


@pytest.mark.parametrize(("make", "wrong"), [
    (lambda: Dropout(1.5), r"Dropout\(rate=...\) must be between 0 and 1, got 1.5"),
    (lambda: Dropout("a"), r"Dropout\(rate=...\) must be a number, got 'a'"),
    (lambda: Dropout(0.1, noise_shape=(0, 1)), r"noise_shape=...\) must be a tuple of positive integers and None"),
    (lambda: Dropout(0.1, noise_shape="ab"), "must be a tuple of positive integers and None"),
    (lambda: GaussianNoise(2), r"GaussianNoise\(stddev=...\) must be between 0 and 1, got 2")])
def test_refused_arguments(make: Any, wrong: str) -> None:
    with pytest.raises(ConfigError, match=wrong):
        make()


def test_refused_shapes() -> None:
    with pytest.raises(ShapeError, match=r"expected rank 4, \(batch, height, width, channels\), got rank 3"):
        SpatialDropout2D(0.1).compute_output_shape((None, 4, 5))
