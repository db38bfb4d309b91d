"""Normalizations beyond the recorded cases: training, adapting, and other arguments, live against Keras."""

from __future__ import annotations

import copy
from typing import Any

import keras
import numpy as np
import pytest
import torch
from live import agree_between_convolutions, close, compiled, numbers, run_keras, same_layer
from torch import nn

from kerashape_torch import Input, Model, Sequential, get_keras_weights, set_keras_weights
from kerashape_torch.errors import ConfigError, KerashapeError, ShapeError
from kerashape_torch.layers import (
    BatchNormalization,
    Conv2D,
    GroupNormalization,
    LayerNormalization,
    Normalization,
    RMSNormalization,
    SpectralNormalization,
)
from kerashape_torch.torch_modules import normalization as modules

# ---- batch normalization ---------------------------------------------------------------------------------------------

SHAPES = [((6, 4), -1), ((5, 3, 4), -1), ((5, 3, 4), 1), ((5, 3, 2, 4), 3), ((5, 3, 2, 4), 1), ((5, 3, 2, 4), 2),
          ((5, 3, 2, 3, 4), -1), ((3, 2, 2, 2, 2, 4), -1), ((3, 4, 2, 2, 2, 2), 1), ((6, 4), 0), ((1, 4), -1),
          ((1, 1, 1, 4), -1)]


def trains_as_keras(oracle: keras.layers.Layer, module: nn.Module, shape: tuple[int, ...], steps: int = 3) -> None:
    """Outputs, input gradients, and all weights after some training steps, then inference."""
    module.train()
    for step in range(steps):
        x = numbers(*shape, seed=10 + step) * 2 + 1
        ours, theirs = (torch.tensor(x, requires_grad=True) for _ in range(2))
        result, expected = module(ours), oracle(theirs, training=True)
        close(result, expected.detach().numpy())
        mix = torch.tensor(numbers(*shape, seed=20 + step))
        (result * mix).sum().backward()
        (expected * mix).sum().backward()
        close(ours.grad, theirs.grad.numpy())
    for got, want in zip(get_keras_weights(module), oracle.get_weights(), strict=True):
        close(got, want)
    module.eval()
    close(module(torch.tensor(x)), run_keras(oracle, x, training=False))


@pytest.mark.parametrize(("shape", "axis"), SHAPES)
@pytest.mark.parametrize("options", [{}, {"center": False, "momentum": 0.7}, {"scale": False, "epsilon": 0.1},
                                     {"scale": False, "center": False}], ids=str)
def test_batch_normalization_trains_as_keras(shape: tuple[int, ...], axis: int, options: dict[str, Any]) -> None:
    oracle = keras.layers.BatchNormalization(axis=axis, **options)
    free = (None, *shape[1:]) if axis != 0 else shape
    trains_as_keras(oracle, compiled(oracle, *free), shape)


@pytest.mark.parametrize("clipping", [None, {"rmax": 1.2, "rmin": 0.9, "dmax": 0.1}, {"rmax": 1.1}], ids=str)
@pytest.mark.parametrize("options", [{"axis": 1}, {"scale": False}, {"center": False},
                                     {"scale": False, "center": False}], ids=str)
def test_batch_renormalization_trains_as_keras(clipping: Any, options: dict[str, Any]) -> None:
    oracle = keras.layers.BatchNormalization(renorm=True, renorm_clipping=clipping, renorm_momentum=0.8, momentum=0.9,
                                             **options)
    trains_as_keras(oracle, compiled(oracle, None, 3, 2, 4), (5, 3, 2, 4))


@pytest.mark.parametrize("renorm", [{}, {"renorm": True}, {"renorm": True, "renorm_momentum": 0.8, "renorm_clipping": {
    "rmax": 1.2, "rmin": 0.9, "dmax": 0.1}}], ids=str)
@pytest.mark.parametrize(("shape", "options"), [((5, 3, 4), {}), ((5, 3, 2, 4), {"scale": False}),
                                                ((5, 3, 2, 4), {"axis": 1, "center": False})], ids=str)
def test_batch_normalization_of_what_a_mask_keeps_trains_as_keras(shape: tuple[int, ...], options: dict[str, Any],
                                                                  renorm: dict[str, Any]) -> None:
    oracle = keras.layers.BatchNormalization(momentum=0.9, **options, **renorm)
    layer = same_layer(oracle)
    oracle.build(shape)
    oracle.set_weights([np.abs(numbers(*w.shape, seed=i)) + 0.5 for i, w in enumerate(oracle.get_weights())])
    x, mask = Input(shape[1:]), Input(shape[1:-1], dtype="bool")
    module = Model([x, mask], layer(x, mask=mask)).to_torch().train()
    set_keras_weights(module, oracle.get_weights())
    for step in range(3):
        kept = torch.tensor(numbers(*shape[:-1], seed=step + 30) > 0)
        ours, theirs = (torch.tensor(numbers(*shape, seed=step + 10), requires_grad=True) for _ in range(2))
        result, expected = module(ours, kept), oracle(theirs, mask=kept, training=True)
        close(result, expected.detach().numpy())
        mix = torch.tensor(numbers(*shape, seed=20 + step))
        (result * mix).sum().backward()
        (expected * mix).sum().backward()
        close(ours.grad, theirs.grad.numpy())
    for got, want in zip(get_keras_weights(module), oracle.get_weights(), strict=True):
        close(got, want)


def test_frozen_batch_normalization_is_inference_in_training() -> None:
    oracle = keras.layers.BatchNormalization(trainable=False)
    module = compiled(oracle, None, 3, 4)
    trains_as_keras(oracle, module, (5, 3, 4))
    assert not any(p.requires_grad for p in module.parameters())


def test_a_frozen_model_freezes_its_batch_normalization() -> None:
    inner = Sequential([Input((3,)), BatchNormalization()])
    inner.trainable = False
    module = Sequential([Input((3,)), inner]).to_torch().train()
    before = copy.deepcopy(module.state_dict())
    module(torch.randn(8, 3))
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


@pytest.mark.parametrize(("shape", "axis", "stock"), [
    ((None, 4), -1, nn.BatchNorm1d), ((None, 7, 4), -1, nn.BatchNorm1d), ((None, 4, 7), 1, nn.BatchNorm1d),
    ((None, 5, 6, 4), -1, nn.BatchNorm2d), ((None, 5, 6, 7, 4), 4, nn.BatchNorm3d)])
def test_batch_normalization_is_torchs_module(shape: Any, axis: int, stock: type) -> None:
    module = BatchNormalization(axis, input_shape=shape[1:]).to_torch().batch_normalization
    assert isinstance(module, stock)
    expected = stock(4, eps=1e-3, momentum=0.01)
    assert list(module.state_dict()) == list(expected.state_dict())
    expected.load_state_dict(module.state_dict())


def test_what_keras_lacks_is_no_parameter() -> None:
    module = BatchNormalization(scale=False, input_shape=(4,)).to_torch().batch_normalization
    assert [name for name, _ in module.named_parameters()] == ["bias"]
    assert module.weight is None


def test_no_permute_around_batch_normalization() -> None:
    x = inputs = Input((8, 8, 3))
    x = BatchNormalization()(Conv2D(4, 3)(x))
    module = Model(inputs, Conv2D(4, 3)(x)).to_torch()
    assert [node.name for node in module.graph.nodes if node.target is torch.permute] == ["permute", "permute_1"]


def test_two_forwards_before_one_backward() -> None:
    """As with a siamese network or a GAN: the running statistics change in between."""
    module = BatchNormalization(input_shape=(4,)).to_torch().train()
    (module(torch.randn(8, 4, requires_grad=True)).sum() + module(torch.randn(8, 4)).sum()).backward()


@pytest.mark.parametrize("layer", [BatchNormalization(), BatchNormalization(2), BatchNormalization(renorm=True),
                                   LayerNormalization((1, 2)), LayerNormalization(rms_scaling=True),
                                   GroupNormalization(2), GroupNormalization(-1, axis=2)], ids=repr)
@pytest.mark.parametrize("training", [False, True])
def test_compiles_and_exports(layer: Any, training: bool) -> None:
    module = layer.to_torch((None, 6, 4)).train(training)
    x = torch.randn(3, 6, 4)
    whole = torch.compile(copy.deepcopy(module), fullgraph=True, backend="aot_eager", dynamic=True)
    close(whole(x), copy.deepcopy(module)(x).detach().numpy())
    batch = torch.export.Dim("batch", min=2, max=64)
    program = torch.export.export(copy.deepcopy(module), (x,), dynamic_shapes=({0: batch},))
    if not training:
        y = torch.randn(5, 6, 4)
        close(program.module()(y), module(y).detach().numpy())


@pytest.mark.parametrize(("arguments", "wrong"), [
    ({"axis": [3]}, "must be an integer, got"), ({"axis": None}, "must be an integer, got None"),
    ({"renorm": True, "renorm_clipping": {"r": 1}}, "takes rmin, rmax and dmax, got \\['r'\\]"),
    ({"renorm": True, "renorm_clipping": {"rmin": 2, "rmax": 1}}, "rmax=1 is less than rmin=2"),
    ({"renorm": True, "renorm_clipping": {"dmax": -1}}, "dmax=-1 is negative")])
def test_bad_arguments_of_batch_normalization(arguments: dict[str, Any], wrong: str) -> None:
    with pytest.raises(ConfigError, match=wrong):
        BatchNormalization(**arguments)


# ---- layer, group, rms, unit -----------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:You passed `rms_scaling")
@pytest.mark.parametrize("axis", [-1, 2, (1, 2), (2, 1), (-2, -1), 1, (1, 3), (1, 2, 3)], ids=str)
@pytest.mark.parametrize("options", [{}, {"center": False}, {"scale": False}, {"scale": False, "center": False},
                                     {"rms_scaling": True, "scale": False}], ids=str)
def test_layer_normalization(axis: Any, options: dict[str, Any]) -> None:
    """Keras on torch fails on inner axes, so that its numbers come from its formula, written out."""
    oracle = keras.layers.LayerNormalization(axis=axis, **options)
    module = compiled(oracle, None, 3, 4, 5)
    x = numbers(2, 3, 4, 5) + 1
    axes = tuple(sorted((axis,) if isinstance(axis, int) else axis))
    shape = [x.shape[i] if i in axes or i - 4 in axes else 1 for i in range(4)]
    mean, variance = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    want = (x if oracle.rms_scaling else x - mean) / np.sqrt(variance + 1e-3)
    weights = [w.reshape(shape) for w in oracle.get_weights()]
    want = want * weights.pop(0) if oracle.gamma is not None else want
    want = want + weights.pop(0) if oracle.beta is not None else want
    close(module(torch.tensor(x)), want)
    if all(a in (3, -1) for a in axes) or axes in ((1, 2, 3), (-2, -1)):
        close(want, run_keras(oracle, x))


def test_layer_normalization_is_torchs_module() -> None:
    assert type(LayerNormalization((1, 2), input_shape=(4, 5)).to_torch().layer_normalization) is nn.LayerNorm
    assert type(RMSNormalization(input_shape=(4, 5)).to_torch().rms_normalization) is nn.RMSNorm
    assert type(GroupNormalization(2, input_shape=(8, 8, 4)).to_torch().group_normalization) is nn.GroupNorm


@pytest.mark.parametrize("shape", [(2, 6), (1, 6), (2, 3, 6), (2, 3, 2, 6), (2, 3, 2, 4, 6)], ids=str)
@pytest.mark.parametrize("groups", [1, 2, 3, 6, -1])
@pytest.mark.parametrize("options", [{}, {"center": False}, {"scale": False}], ids=str)
def test_group_normalization(shape: tuple[int, ...], groups: int, options: dict[str, Any]) -> None:
    oracle = keras.layers.GroupNormalization(groups=groups, **options)
    close(compiled(oracle, None, *shape[1:])(torch.tensor(x := numbers(*shape))), run_keras(oracle, x))


@pytest.mark.parametrize("axis", [1, 2, -2])
@pytest.mark.parametrize("groups", [2, -1])
def test_group_normalization_of_another_axis(axis: int, groups: int) -> None:
    oracle = keras.layers.GroupNormalization(groups=groups, axis=axis)
    close(compiled(oracle, None, 4, 6, 3)(torch.tensor(x := numbers(2, 4, 6, 3))), run_keras(oracle, x))


@pytest.mark.parametrize("layer", [keras.layers.RMSNormalization(), keras.layers.RMSNormalization(axis=[1, 2, 3]),
                                   keras.layers.UnitNormalization(), keras.layers.UnitNormalization(axis=[1, 3])],
                         ids=["rms", "rms_all", "unit", "unit_two"])
def test_rms_and_unit_normalization(layer: keras.layers.Layer) -> None:
    x = numbers(2, 3, 4, 5)
    x[0, 0] = 0
    x[1] *= 1e-6
    close(compiled(layer, None, 3, 4, 5)(torch.tensor(x)), run_keras(layer, x))


@pytest.mark.parametrize("oracle", [
    keras.layers.UnitNormalization(axis=[1, 3]), keras.layers.BatchNormalization(),
    keras.layers.BatchNormalization(axis=1), keras.layers.LayerNormalization(), keras.layers.GroupNormalization(2),
    keras.layers.GroupNormalization(2, axis=1), keras.layers.Rescaling(2.0, [1, 2, 3, 4]),
    keras.layers.Rescaling(2.0, 1), keras.layers.Normalization(axis=[1, 3])],
    ids=lambda layer: layer.name)
def test_between_convolutions(oracle: keras.layers.Layer) -> None:
    agree_between_convolutions(oracle)


@pytest.mark.parametrize("oracle", [keras.layers.LayerNormalization(axis=(2, 1)), keras.layers.RMSNormalization(),
                                    keras.layers.LayerNormalization(), keras.layers.GroupNormalization(-1)], ids=str)
def test_what_a_called_layer_writes(oracle: keras.layers.Layer) -> None:
    layer = same_layer(oracle)
    oracle(keras.Input((3, 4)))
    layer(Input((3, 4)))
    got, want = layer.get_config(), oracle.get_config()
    assert all(got[name] == want[name] for name in ("axis", "groups") if name in want)


def test_refusals_name_the_axis() -> None:
    with pytest.raises(ShapeError, match="axis 2: 5 channels do not make 2 groups"):
        GroupNormalization(2).weight_specs((None, 3, 5))
    with pytest.raises(ShapeError, match="axis=5 is not an axis"):
        LayerNormalization(5).compute_output_shape((None, 3))
    with pytest.raises(ShapeError, match="axis=1 is not the last axis of rank 3"):
        RMSNormalization(1).to_torch((None, 3, 4))
    with pytest.raises(ConfigError, match="must be a positive integer or -1, got 0"):
        GroupNormalization(0)
    with pytest.raises(ConfigError, match="must be an integer or several, got None"):
        LayerNormalization(axis=None)
    with pytest.raises(ConfigError, match="must be an integer, got 'x'"):
        LayerNormalization(axis="x")


# ---- spectral normalization ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("inner", [
    keras.layers.Dense(5, activation="tanh", bias_initializer="ones"), keras.layers.Conv2D(3, 2),
    keras.layers.Conv2DTranspose(3, 2, strides=2), keras.layers.DepthwiseConv2D(2, depth_multiplier=2),
    keras.layers.Dense(5, kernel_initializer="zeros")], ids=lambda layer: f"{layer.name}")
def test_spectral_normalization_trains_as_keras(inner: keras.layers.Layer) -> None:
    oracle = keras.layers.SpectralNormalization(inner, power_iterations=2)
    x = numbers(2, 5, 5, 4)
    layer = same_layer(oracle)
    oracle(x)
    module = layer.to_torch((None, 5, 5, 4)).train()
    set_keras_weights(module, oracle.get_weights())
    for _ in range(2):
        close(module(torch.tensor(x)), oracle(x, training=True).detach().numpy())
    for got, want in zip(get_keras_weights(module), oracle.get_weights(), strict=True):
        close(got, want)


def test_spectral_normalization_needs_a_kernel() -> None:
    with pytest.raises(ShapeError, match="BatchNormalization has neither a kernel nor embeddings"):
        SpectralNormalization(BatchNormalization()).weight_specs((None, 3))
    with pytest.raises(ConfigError, match="takes a layer or a model, got 3"):
        SpectralNormalization(3)


# ---- rescaling and normalization by data -----------------------------------------------------------------------------


def test_rescaling() -> None:
    x = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3))
    for arguments in ((1 / 255,), (2,), (1 / 127.5, -1), ([1, 2, 3],), (2.0, [0.5, 1, 2]), (np.array([1.0, 2, 3]), 1)):
        oracle = keras.layers.Rescaling(*arguments)
        module = same_layer(oracle).to_torch((None, 4, 4, 3))
        for dtype in ("uint8", "int64", "float32"):
            got = module(torch.tensor(x.astype(dtype)))
            assert got.dtype == torch.float32
            close(got, run_keras(oracle, x.astype(dtype)))
        assert not list(module.parameters())
        assert not module.state_dict()


@pytest.mark.parametrize("axis", [-1, 1, (1, 2), (2, 1), None, (), (-1,)], ids=str)
@pytest.mark.parametrize("invert", [False, True])
def test_normalization_adapts_as_keras(axis: Any, invert: bool) -> None:
    data = numbers(20, 3, 4) * 3 + 2
    data[:, :, 1] = 5.0  # no variance
    oracle = keras.layers.Normalization(axis=axis, invert=invert)
    layer = same_layer(oracle)
    oracle.adapt(data)
    layer.adapt(data)
    module = layer.to_torch((None, 3, 4))
    for got, want in zip(get_keras_weights(module), oracle.get_weights(), strict=True):
        close(got, want)
        assert got.dtype == want.dtype
    if axis in (None, ()):
        close(module(torch.tensor(data)), run_keras(oracle, data))
    else:
        kept = np.delete(data, 1, axis=2), np.delete(module(torch.tensor(data)).numpy(), 1, axis=2)
        close(kept[1], np.delete(run_keras(oracle, data), 1, axis=2))


def test_normalization_adapts_to_batches() -> None:
    data = numbers(20, 3) * 3 + 2
    whole, parts, tensors = Normalization(), Normalization(), Normalization()
    whole.adapt(data)
    parts.adapt(data[i:j] for i, j in ((0, 7), (7, 8), (8, 20)))
    tensors.adapt([(torch.tensor(data[:5]), "label"), (torch.tensor(data[5:]), "label")])
    want = get_keras_weights(whole.to_torch((None, 3)))
    for layer in (parts, tensors):
        for got, expected in zip(get_keras_weights(layer.to_torch((None, 3))), want, strict=True):
            close(got, expected)


@pytest.mark.parametrize("arguments", [
    {"axis": (1, 2), "mean": np.arange(4.0), "variance": np.ones(4)}, {"axis": (1, 2), "mean": 1, "variance": 4},
    {"axis": (1, 2), "mean": [[1], [2], [3]], "variance": [[1], [2], [3]]}, {"axis": None, "mean": 2, "variance": 3.0},
    {"axis": -1, "mean": [0, 1, 2, 3], "variance": [1, 2, 3, 0], "invert": True}], ids=str)
def test_normalization_by_given_numbers(arguments: dict[str, Any]) -> None:
    oracle = keras.layers.Normalization(**arguments)
    layer = same_layer(oracle)
    module = layer.to_torch((None, 3, 4))
    x = numbers(2, 3, 4)
    close(module(torch.tensor(x)), run_keras(oracle, x))
    written = Normalization(**arguments).get_config()
    assert {name: written[name] for name in ("axis", "mean", "variance")} == {
        name: oracle.get_config()[name] for name in ("axis", "mean", "variance")}


def test_normalization_refuses() -> None:
    with pytest.raises(ConfigError, match="together or not at all"):
        Normalization(mean=1.0)
    with pytest.raises(ConfigError, match="mean has shape \\(2\\) and variance \\(3\\)"):
        Normalization(mean=[1, 2], variance=[1, 2, 3])
    with pytest.raises(ConfigError, match="names fewer axes"):
        Normalization(axis=None, mean=[1, 2], variance=[1, 2])
    with pytest.raises(ConfigError, match="has its mean and variance already"):
        Normalization(mean=1, variance=1).adapt(numbers(2, 3))
    for data in ([], 3, "text", [1.0, 2.0]):
        with pytest.raises(ConfigError, match="adapt\\(\\) takes"):
            Normalization().adapt(data)
    with pytest.raises(ShapeError, match="the input is \\(None, 4\\) and the data are \\(2, 3\\)"):
        Normalization(input_shape=(4,)).adapt(numbers(2, 3))
    with pytest.raises(ConfigError, match="the batches differ"):
        Normalization().adapt([numbers(2, 3), numbers(2, 4)])
    layer = Normalization()
    layer.adapt(numbers(2, 3))
    with pytest.raises(KerashapeError, match="adapted to data with \\(3\\)"):
        layer(Input((4,)))


def test_modules_say_what_they_are() -> None:
    assert "axis=2" in repr(modules.BatchNormOnAxis(2, 4, 1e-3, 0.01))
    assert "axis=2" in repr(modules.GroupNormOnAxis(2, 2, 4, 1e-3))


@pytest.mark.parametrize("mean", [["a", "b"], [[1.0], [2.0, 3.0]], "1"])
def test_a_mean_that_is_no_array_of_numbers(mean: Any) -> None:
    with pytest.raises(ConfigError, match=r"numbers|lengths"):
        Normalization(mean=mean, variance=mean)
