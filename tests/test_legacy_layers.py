"""Layers that Keras 3 has dropped, against what tf_keras said of them (scripts/record_legacy_layers.py)."""

from __future__ import annotations

import importlib
import json
from typing import Any

import harness
import numpy as np
import pytest
import torch

import kerashape_torch as kt
from kerashape_torch import layers
from kerashape_torch.errors import ConfigError, KerashapeError, ShapeError
from kerashape_torch.layer import Layer
from kerashape_torch.lowering.weights import converted
from kerashape_torch.models import Model
from kerashape_torch.structure import flatten

CASES = json.loads((harness.DATA / "legacy_layers.json").read_text())["cases"]
BY_HAND = {"MaxoutDense", "Highway", "DenseFeatures"}  # Keras 1's, which no Keras that runs today has


def by_id(cases: list[Any]) -> Any:
    return pytest.mark.parametrize("case", cases, ids=[case["id"] for case in cases])


@pytest.fixture(scope="module")
def stored() -> Any:
    with np.load(harness.DATA / "legacy_layers.npz") as file:
        return dict(file)


def make(case: Any) -> Layer:
    return Layer.catalog()[case["class_name"]].from_config(case["config"])


def test_every_layer_has_cases() -> None:
    classes = {name for name, cls in Layer.catalog().items() if cls.__module__.split(".")[-1] in harness.LEGACY}
    assert classes == {case["class_name"] for case in CASES} | BY_HAND


@by_id(CASES)
def test_shapes_weights_and_configs(case: Any) -> None:
    layer = make(case)
    shape = layer.compute_output_shape(tuple(case["input_shape"]))
    assert harness.plain(shape) == case["output_shape"]
    specs = layer.weight_specs(tuple(case["input_shape"]))
    assert [[spec.name, list(spec.shape)] for spec in specs] == case["weights"]
    assert sum(spec.size for spec in specs if spec.trainable and layer.trainable) == case["trainable"]
    assert sum(spec.size for spec in specs) == case["total"]
    config = layer.get_config()
    assert harness.plain(type(layer).from_config(harness.plain(config)).get_config()) == harness.plain(config)
    for key, value in case["config"].items():  # what tf_keras wrote, but for how it writes these things
        if not isinstance(value, (dict, list)) and key not in ("dtype", "time_major", "activation"):
            assert config[key] == value or (isinstance(value, float) and abs(config[key] - value) < 1e-6), key


@by_id(CASES)
def test_numbers(case: Any, stored: Any) -> None:
    layer = make(case)
    module = layer.to_torch(tuple(case["input_shape"]))
    weights = [stored[f"{case['id']}/weight_{i}"] for i in range(len(case["weights"]))]
    kt.set_keras_weights(module, weights)
    for array, weight in zip(kt.get_keras_weights(module), weights, strict=True):
        np.testing.assert_array_equal(array, weight)
    with torch.inference_mode():
        outputs = flatten(module(torch.as_tensor(stored[f"{case['id']}/input"])))
    assert len(outputs) == case["n_outputs"]
    for i, output in enumerate(outputs):
        np.testing.assert_allclose(output, stored[f"{case['id']}/output_{i}"], rtol=1e-4, atol=1e-5)


@by_id([case for case in CASES if case["class_name"].startswith("Locally")])
def test_locally_connected_layers_are_trained(case: Any) -> None:
    module = make(case).to_torch(tuple(case["input_shape"])).train()
    module(torch.randn(2, *case["input_shape"][1:])).square().sum().backward()
    assert all(p.grad is not None for p in module.parameters())


def test_a_convolution_comes_before_a_locally_connected_layer() -> None:
    x = kt.Input((6, 6, 2))
    model = kt.Model(x, layers.LocallyConnected2D(3, 2)(layers.Conv2D(4, 3)(x)))
    module = model.to_torch()
    assert sum(node.target is torch.permute for node in module.graph.nodes) == 2
    assert module(torch.zeros(2, 6, 6, 2)).shape == (2, 3, 3, 3)


# ---- cuDNN -----------------------------------------------------------------------------------------------------------


def test_both_biases_of_cudnn_are_trained() -> None:
    module = layers.CuDNNLSTM(4).to_torch((5, 3)).train()
    bias = kt.get_keras_weights(module)[2]
    assert bias.tolist() == [0.0] * 20 + [1.0] * 4 + [0.0] * 8
    module(torch.randn(2, 5, 3)).sum().backward()
    assert all(p.requires_grad and p.grad is not None and p.grad.any() for p in module.parameters())


@pytest.mark.parametrize("name", ["CuDNNLSTM", "CuDNNGRU"])
def test_cudnn_layers_in_both_directions(name: str) -> None:
    """Torch runs both in one module, which is one layer forwards beside one backwards."""
    both = layers.Bidirectional(getattr(layers, name)(4, return_sequences=True)).to_torch((5, 3))
    alone = getattr(layers, name)(4, return_sequences=True).to_torch((5, 3))
    back = getattr(layers, name)(4, return_sequences=True, go_backwards=True).to_torch((5, 3))
    weights = kt.get_keras_weights(both)
    kt.set_keras_weights(alone, weights[:3])
    kt.set_keras_weights(back, weights[3:])
    x = torch.randn(2, 5, 3)
    torch.testing.assert_close(both(x), torch.cat([alone(x), back(x).flip(1)], -1))


@pytest.mark.parametrize(("cudnn", "plain"), [("CuDNNLSTM", layers.LSTM(1)), ("CuDNNGRU", layers.GRU(1))])
def test_weights_go_between_cudnn_and_plain_layers(cudnn: str, plain: Layer) -> None:
    source = getattr(layers, cudnn)(1)
    for units, features in ((1, 1), (3, 5)):
        source, plain = source.copy(units=units), plain.copy(units=units)
        module, other = source.to_torch((None, features)), plain.to_torch((None, features))
        random = np.random.default_rng(0)
        arrays = [random.normal(size=w.shape).astype("float32") for w in kt.get_keras_weights(module)]
        kt.set_keras_weights(module, arrays)
        kt.set_keras_weights(other, converted(arrays, source, plain))
        x = torch.randn(2, 4, features)
        torch.testing.assert_close(module(x), other(x))
        kt.set_keras_weights(module, converted(kt.get_keras_weights(other), plain, source))
        torch.testing.assert_close(module(x), other(x))


# ---- the small ones --------------------------------------------------------------------------------------------------


def test_random_sizes_in_training() -> None:
    module = layers.RandomHeight((0.5, 0.5)).to_torch((None, 8, 6, 3)).train()
    x = torch.rand(2, 8, 6, 3)
    assert module(x).shape == (2, 12, 6, 3)
    assert layers.RandomWidth((-0.5, -0.5), "nearest").to_torch((None, 8, 6, 3)).train()(x).shape == (2, 8, 3, 3)
    with harness.own_generator():
        module = layers.RandomWidth(0.5).to_torch((None, 8, 20, 3)).train()
        assert {module(torch.zeros(1, 8, 20, 3)).shape[2] for _ in range(40)} > {12, 20, 27}
    with pytest.raises(KerashapeError, match="'lanczos3' are not had in training"):
        layers.RandomHeight(0.1, "lanczos3").to_torch((None, 8, 6, 3)).train()(x)


def test_maxout() -> None:
    module = layers.MaxoutDense(5, nb_feature=3, W_regularizer="l2").to_torch((4,))
    random = np.random.default_rng(0)
    w, b, x = (random.normal(size=s).astype("float32") for s in ((3, 4, 5), (3, 5), (2, 4)))
    kt.set_keras_weights(module, [w, b])
    np.testing.assert_allclose(module(torch.as_tensor(x)).detach(), (np.einsum("bi,kio->bko", x, w) + b).max(1),
                               rtol=1e-4, atol=1e-5)
    assert kt.regularization_loss(module) > 0


def test_highway() -> None:
    module = layers.Highway(activation="tanh").to_torch((4,))
    assert [array.tolist() for array in kt.get_keras_weights(module)[2:]] == [[0.0] * 4, [1.0] * 4]
    random = np.random.default_rng(0)
    w, carry, b, b_carry, x = (random.normal(size=s).astype("float32") for s in ((4, 4), (4, 4), (4,), (4,), (2, 4)))
    kt.set_keras_weights(module, [w, carry, b, b_carry])
    gate = 1 / (1 + np.exp(-(x @ carry + b_carry)))
    np.testing.assert_allclose(module(torch.as_tensor(x)).detach(), gate * np.tanh(x @ w + b) + (1 - gate) * x,
                               rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("mode", "cls", "shape"), [
    ("sum", "Add", (None, 4)), ("mul", "Multiply", (None, 4)), ("ave", "Average", (None, 4)),
    ("max", "Maximum", (None, 4)), ("concat", "Concatenate", (None, 8)), ("dot", "Dot", (None, 1)),
    ("cos", "Dot", (None, 1)), (lambda xs: xs[0] - xs[1], "Lambda", (None, 4)),
])
def test_merge(mode: Any, cls: str, shape: Any) -> None:
    a, b = kt.Input((4,)), kt.Input((4,))
    merged = layers.merge([a, b], mode=mode, name="merged")
    assert (type(merged.node.layer).__name__, merged.node.layer.name, merged.shape) == (cls, "merged", shape)
    x, y = torch.randn(2, 4), torch.randn(2, 4)
    got = Model([a, b], merged).to_torch()(x, y)
    want = {"sum": x + y, "mul": x * y, "ave": (x + y) / 2, "max": torch.maximum(x, y),
            "concat": torch.cat([x, y], 1), "dot": (x * y).sum(1, keepdim=True),
            "cos": torch.cosine_similarity(x, y).unsqueeze(1)}.get(mode, x - y) if isinstance(mode, str) else x - y
    torch.testing.assert_close(got, want)


def test_merge_along_given_axes() -> None:
    a, b = kt.Input((3, 4)), kt.Input((3, 4))
    assert layers.Merge(mode="concat", concat_axis=1)([a, b]).shape == (None, 6, 4)
    assert layers.Merge(mode="dot", dot_axes=[2, 2])([a, b]).shape == (None, 3, 3)


def test_old_names() -> None:
    preprocessing = importlib.import_module("kerashape_torch.layers.experimental.preprocessing")
    for name in preprocessing.__all__:
        if hasattr(preprocessing, name):
            assert getattr(preprocessing, name) in (getattr(layers, name, None), layers.Layer)
    assert preprocessing.Rescaling is layers.Rescaling
    assert layers.experimental.preprocessing is preprocessing
    assert layers.experimental.SyncBatchNormalization is layers.SyncBatchNormalization
    assert layers.AbstractRNNCell is layers.Cell
    with pytest.raises(AttributeError, match="CategoryCrossing"):
        preprocessing.CategoryCrossing  # noqa: B018


@pytest.mark.parametrize(("call", "error", "words"), [
    (lambda: layers.LocallyConnected1D(2, 2, padding="same"), ConfigError, "implementation 1 has padding 'valid' only"),
    (lambda: layers.LocallyConnected1D(2, 2, implementation=4), ConfigError, "must be 1, 2 or 3"),
    (lambda: layers.LocallyConnected2D(2, 2)(kt.Input((None, 4, 1))), ShapeError, "height: the size of this axis is"),
    (lambda: layers.LocallyConnected2D(2, 5)(kt.Input((4, 4, 1))), ShapeError, "a window of 5"),
    (lambda: layers.LocallyConnected2D(2, 2)(kt.Input((4, 1))), ShapeError, "expected rank 4"),
    (lambda: layers.ThresholdedReLU(-1.0), ConfigError, "theta"),
    (lambda: layers.ThresholdedReLU(theta=None), ConfigError, "theta"),
    (lambda: layers.CuDNNGRU(4, time_major=True), ConfigError, "time_major"),
    (lambda: layers.CuDNNGRU(4, activation="relu"), ConfigError, "no argument 'activation'"),
    (lambda: layers.RandomFourierFeatures(4, "cosine"), ConfigError, "gaussian"),
    (lambda: layers.RandomFourierFeatures(4, scale=0.0), ConfigError, "scale"),
    (lambda: layers.RandomFourierFeatures(4)(kt.Input((3, 2))), ShapeError, "rank 2"),
    (lambda: layers.RandomHeight((0.3, 0.1)), ConfigError, "factor"),
    (lambda: layers.DenseFeatures([]), ConfigError, "Way out: an Input for each column"),
    (lambda: layers.Merge([layers.Dense(2)]), ConfigError, "Way out: Model"),
    (lambda: layers.Merge(mode="min"), ConfigError, "'cos'"),
])
def test_what_does_not_fit_is_refused(call: Any, error: type[KerashapeError], words: str) -> None:
    with pytest.raises(error, match=words):
        call()
