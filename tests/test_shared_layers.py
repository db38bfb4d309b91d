"""A layer that is called by itself and in a ``TimeDistributed``, or in two of them: one set of weights, as in Keras."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import torch
from live import numbers
from test_port import module_of

import kerashape_torch as kt
from kerashape_torch.errors import ConfigError, WeightsError
from kerashape_torch.saving import load_weights, port, save_weights
from kerashape_torch.structure import flatten

Build = Callable[[Any], Any]


def a_model(k: Any) -> Any:
    """A small network for images, and for each image of a video."""
    layers = k.layers
    one = k.Input((6, 6, 2), name="one")
    x = layers.Conv2D(3, 3, name="conv", kernel_regularizer="l2")(one)
    x = layers.BatchNormalization(name="norm")(x)
    frame = k.Model(one, layers.Dense(3, name="last", activation="tanh")(layers.Flatten(name="flat")(x)), name="frame")
    image, video = k.Input((6, 6, 2), name="image"), k.Input((4, 6, 6, 2), name="video")
    steps = layers.TimeDistributed(frame, name="steps")(video)
    return k.Model([image, video], [frame(image), layers.LSTM(2, name="lstm")(steps)], name="both")


def a_layer(k: Any) -> Any:
    layers = k.layers
    dense, row, rows = layers.Dense(3, name="dense"), k.Input((4,), name="row"), k.Input((5, 4), name="rows")
    return k.Model([row, rows], [dense(row), layers.TimeDistributed(dense, name="steps")(rows)], name="both")


def a_layer_that_comes_later(k: Any) -> Any:
    layers = k.layers
    dense, row, rows = layers.Dense(3, name="dense"), k.Input((4,), name="row"), k.Input((5, 4), name="rows")
    steps = layers.Dense(2, name="after")(layers.TimeDistributed(dense, name="steps")(rows))
    return k.Model([row, rows], [dense(row), steps], name="both")


def two_wrappers(k: Any) -> Any:
    layers = k.layers
    dense, one, other = layers.Dense(3, name="dense"), k.Input((3, 4), name="one"), k.Input((5, 4), name="other")
    return k.Model([one, other], [layers.TimeDistributed(dense, name="first")(one),
                                  layers.TimeDistributed(dense, name="second")(other)], name="both")


def a_wrapper_called_twice(k: Any) -> Any:
    layers = k.layers
    lstm, rows = layers.LSTM(3, name="lstm"), k.Input((5, 4), name="rows")
    one, other = k.Input((2, 5, 4), name="one"), k.Input((3, 5, 4), name="other")
    steps = layers.TimeDistributed(lstm, name="steps")
    return k.Model([one, rows, other], [steps(one), lstm(rows), steps(other)], name="both")


def a_wrapper_in_a_wrapper(k: Any) -> Any:
    layers = k.layers
    dense, row, rows = layers.Dense(3, name="dense"), k.Input((4,), name="row"), k.Input((2, 5, 4), name="rows")
    steps = layers.TimeDistributed(layers.TimeDistributed(dense, name="inner"), name="steps")
    return k.Model([row, rows], [dense(row), steps(rows)], name="both")


BUILDS = [a_model, a_layer, a_layer_that_comes_later, two_wrappers, a_wrapper_called_twice, a_wrapper_in_a_wrapper]
NOT_READ_BY_KERAS = [a_model, a_layer_that_comes_later, two_wrappers, a_wrapper_called_twice]
"""Where a wrapper comes first, Keras writes ``.keras`` files that it cannot load: they number the layer in one of its
places alone, and have its weights in the other. Those that we write it can."""
every = pytest.mark.parametrize("build", BUILDS)


def pair(build: Build) -> tuple[Any, Any, torch.nn.Module]:
    keras.utils.clear_session(free_memory=False)
    theirs, ours = build(keras), build(kt)
    theirs.set_weights([np.abs(numbers(*w.shape, seed=i)) * 0.5 for i, w in enumerate(theirs.get_weights())])
    module = ours.to_torch()
    kt.set_keras_weights(module, theirs.get_weights())
    return theirs, ours, module


def inputs_of(model: Any, seed: int = 0) -> list[Any]:
    return [numbers(3, *x.shape[1:], seed=seed + i) for i, x in enumerate(model.inputs)]


def assert_same(theirs: Any, module: Any) -> None:
    given = inputs_of(theirs)
    for want, got in zip(theirs(given), module(*map(torch.as_tensor, given)), strict=True):
        np.testing.assert_allclose(got.detach(), want.detach(), rtol=1e-4, atol=1e-5)


@every
def test_numbers_and_counts(build: Build) -> None:
    theirs, ours, module = pair(build)
    assert_same(theirs, module)
    assert ours.count_params() == theirs.count_params() == kt.shape_table(ours).params
    assert [spec.shape for spec in ours.weights] == [tuple(weight.shape) for weight in theirs.weights]
    assert [layer.count_params() for layer in ours.layers] == [layer.count_params() for layer in theirs.layers]
    buffers = sum(x.numel() for path, x in module.named_buffers() if "running" in path)
    assert buffers + sum(x.numel() for x in module.parameters() if x.requires_grad) <= theirs.count_params()
    lines: list[str] = []
    ours.summary(print_fn=lines.append)
    assert f"Total params: {theirs.count_params():,}" in "\n".join(lines)


@every
def test_training_steps(build: Build) -> None:
    theirs, ours, module = pair(build)
    for model, k in ((theirs, keras), (ours, kt)):
        model.compile(optimizer=k.optimizers.SGD(0.05, momentum=0.9), loss=["mse"] * len(model.outputs))
    training = kt.training.of(ours, module)
    for step in range(3):
        x = inputs_of(theirs, 10 * step)
        y = [numbers(3, *each.shape[1:], seed=step) for each in theirs.outputs]
        theirs.train_on_batch(x, y)
        training.step(x, y)
    for want, got in zip(theirs.get_weights(), kt.get_keras_weights(module), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)
    assert_same(theirs, module.eval())


@every
def test_files_of_keras(build: Build, tmp_path: Path) -> None:
    theirs = pair(build)[0]
    for name in ("m.keras", "m.h5"):
        theirs.save(tmp_path / name)
        if name == "m.keras" and build in NOT_READ_BY_KERAS:
            for load, error in ((keras.models.load_model, ValueError), (kt.load_model, WeightsError)):
                with pytest.raises(error), warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    load(tmp_path / name)
            continue
        found = kt.load_model(tmp_path / name)
        assert_same(theirs, found.to_torch())
        if name == "m.keras":
            assert found.count_params() == theirs.count_params()
    theirs.save_weights(tmp_path / "m.weights.h5")
    for name in ("m.weights.h5", "m.keras", "m.h5"):
        again = build(kt)
        again.load_weights(tmp_path / name)
        assert_same(theirs, again.to_torch())


@every
def test_files_of_ours(build: Build, tmp_path: Path) -> None:
    theirs, ours, module = pair(build)
    for name in ("m.keras", "m.h5"):
        ours.save(tmp_path / name, module)
        found = kt.load_model(tmp_path / name)
        assert found.count_params() == ours.count_params()
        assert_same(theirs, found.to_torch())
        theirs_again = keras.models.load_model(tmp_path / name, compile=False)
        assert name == "m.h5" or theirs_again.count_params() == theirs.count_params()  # Keras shares none of an .h5
        assert_same(theirs_again, module)
    module_again = ours.to_torch()
    save_weights(module, tmp_path / "m.safetensors")
    load_weights(module_again, tmp_path / "m.safetensors")
    assert_same(theirs, module_again)
    ours.save_weights(tmp_path / "m.weights.h5", module)
    again = build(keras)
    again.load_weights(tmp_path / "m.weights.h5")
    assert_same(again, module)


@every
def test_parts_have_the_numbers_too(build: Build, tmp_path: Path) -> None:
    theirs, ours, module = pair(build)
    ours.save(tmp_path / "m.keras", module)
    found = kt.load_model(tmp_path / "m.keras")
    for layer in found.layers:
        if layer.weights:
            want = theirs.get_layer(layer.name).get_weights()
            for x, y in zip(want, kt.get_keras_weights(layer.to_torch()), strict=True):
                np.testing.assert_array_equal(x, y)


@every
def test_other_forms(build: Build, tmp_path: Path) -> None:
    theirs, ours, module = pair(build)
    assert_same(theirs, kt.optimize_for_inference(module))
    ours.save(tmp_path / "m.keras", module)
    assert_same(theirs, kt.load_model(tmp_path / "m.keras").to_torch(optimize="inference"))
    if build in (a_layer, two_wrappers):  # of the list in which an LSTM keeps its weights torch warns
        given = tuple(map(torch.as_tensor, inputs_of(theirs)))
        assert_same(theirs, torch.export.export(module, given, strict=False).module())


@every
def test_it_is_written_as_source(build: Build, tmp_path: Path) -> None:
    theirs, ours, module = pair(build)
    ours.save(tmp_path / "m.keras", module)
    written = module_of(port(tmp_path / "m.keras", tmp_path / "out")).load()
    assert_same(theirs, written)
    assert sum(x.numel() for x in written.parameters()) == sum(x.numel() for x in module.parameters())


def test_a_mode_of_its_own_is_refused() -> None:
    """Statistics are one only in one module, which cannot be both in training and out of it."""
    one, rows = kt.Input((4,)), kt.Input((5, 4))
    norm = kt.layers.BatchNormalization(name="norm")
    model = kt.Model([one, rows], [norm(one, training=False), kt.layers.TimeDistributed(norm)(rows)])
    with pytest.raises(ConfigError, match=r"norm = .* is called as .* and as .*Way out: a layer for each"):
        model.to_torch()


def test_two_files_share_nothing(tmp_path: Path) -> None:
    """The numbers are those of one file, whatever scope the files are read in."""
    for name in ("one", "other"):
        a_layer(kt).save(tmp_path / f"{name}.keras")
    with kt.saving.custom_object_scope({}):
        one, other = (kt.load_model(tmp_path / f"{name}.keras") for name in ("one", "other"))
    assert one.get_layer("steps").layer is one.get_layer("dense") is not other.get_layer("dense")
    assert other.get_layer("steps").layer is other.get_layer("dense")


def test_inside_a_users_layer() -> None:
    def build(k: Any) -> Any:
        class Both(k.layers.Layer):
            def __init__(self, **kwargs: Any) -> None:
                super().__init__(**kwargs)
                self.dense = k.layers.Dense(3, name="dense")
                self.steps = k.layers.TimeDistributed(self.dense, name="steps")

            def build(self, shape: Any) -> None:
                if k is keras:
                    self.steps.build(shape)

            def call(self, x: Any) -> Any:
                return k.ops.sum(self.steps(x), 1) + self.dense(x[:, 0])

        x = k.Input((5, 4), name="x")
        return k.Model(x, Both(name="both")(x))

    theirs, ours, module = pair(build)
    assert ours.count_params() == theirs.count_params() == sum(x.numel() for x in module.parameters())
    np.testing.assert_allclose(module(torch.as_tensor(inputs_of(theirs)[0])).detach(),
                               theirs(inputs_of(theirs)).detach(), rtol=1e-4, atol=1e-5)


def test_a_layer_and_both_directions() -> None:
    """Keras makes the layers of both directions anew: they share nothing with the one that was given."""
    def build(k: Any) -> Any:
        lstm, x = k.layers.LSTM(3, name="lstm"), k.Input((5, 4), name="x")
        return k.Model(x, [lstm(x), k.layers.Bidirectional(lstm, name="both")(x)])

    theirs, ours, module = pair(build)
    assert ours.count_params() == theirs.count_params()
    given = inputs_of(theirs)
    for want, got in zip(flatten(theirs(given)), flatten(module(torch.as_tensor(given[0]))), strict=True):
        np.testing.assert_allclose(got.detach(), want.detach(), rtol=1e-4, atol=1e-5)
