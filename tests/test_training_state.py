"""The state of optimizers in files: training goes on where it was, from Keras here, and from here in Keras."""

from __future__ import annotations

import copy
import json
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import torch
from live import numbers

import kerashape_torch as kt
from kerashape_torch.errors import ConfigError

pytestmark = pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")


def net(k: Any) -> Any:
    """Weights of many sorts: some lie transposed in torch or in two places, some do not train. None has a gradient of
    nothing but rounding, which Adam would make a step of."""
    layers = k.layers
    x = layers.Input((5, 4), name="x")
    y = layers.Bidirectional(layers.GRU(3, return_sequences=True))(x)
    y = layers.BatchNormalization()(layers.Conv1D(4, 2, use_bias=False)(y))
    inner = k.Sequential([layers.Input((4, 4)), layers.SeparableConv1D(3, 2), layers.LayerNormalization()],
                         name="inner")
    return k.Model(x, layers.Dense(2, name="last")(layers.GlobalAveragePooling1D()(inner(y))))


OPTIMIZERS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"learning_rate": 0.05}), ("SGD", {"learning_rate": 0.05, "momentum": 0.9, "nesterov": True}),
    ("SGD", {"learning_rate": 0.05, "momentum": 0.9, "clipnorm": 1.0}), ("Adam", {"learning_rate": 0.01}),
    ("Adam", {"learning_rate": 0.01, "amsgrad": True, "use_ema": True}),
    ("AdamW", {"learning_rate": 0.01, "gradient_accumulation_steps": 2}), ("Adamax", {}), ("Nadam", {}),
    ("RMSprop", {"momentum": 0.5, "centered": True}), ("Adagrad", {}), ("Adadelta", {"learning_rate": 1.0}),
    ("Ftrl", {}), ("Lion", {}), ("Lamb", {}), ("Muon", {"learning_rate": 0.01}), ("Adafactor", {})]


def data(step: int) -> tuple[np.ndarray, np.ndarray]:
    return numbers(6, 5, 4, seed=step), numbers(6, 2, seed=100 + step)


def assert_same(theirs: Any, module: Any, within: float = 1e-5) -> None:
    for x, y in zip(theirs.get_weights(), kt.get_keras_weights(module), strict=True):
        np.testing.assert_allclose(y, x, rtol=within, atol=within)


def in_keras(optimizer: Any, steps: int = 3) -> Any:
    keras.utils.clear_session(free_memory=False)
    theirs = net(keras)
    theirs.set_weights([numbers(*w.shape, seed=i) * 0.5 if "variance" not in v.path else np.ones(w.shape, "float32")
                        for i, (w, v) in enumerate(zip(theirs.get_weights(), theirs.weights))])
    theirs.compile(optimizer, keras.losses.MeanSquaredError())  # of "mse" Keras cannot read its own .h5
    for step in range(steps):
        theirs.train_on_batch(*data(step))
    return theirs


def save(theirs: Any, path: Path) -> None:
    if "Adafactor" in type(theirs.optimizer).__name__ and path.suffix == ".h5":
        pytest.skip("Keras itself cannot save Adafactor to .h5: it gives two arrays one name")
    theirs.save(path)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize(("name", "arguments"), OPTIMIZERS)
def test_training_goes_on_where_keras_left_it(tmp_path: Path, name: str, arguments: dict[str, Any],
                                              suffix: str) -> None:
    theirs = in_keras(getattr(keras.optimizers, name)(**arguments))
    save(theirs, tmp_path / f"m{suffix}")
    training = kt.training.of(kt.load_model(tmp_path / f"m{suffix}"))
    assert training.optimizer.param_groups[0]["iterations"] == 3
    for step in (3, 4):
        theirs.train_on_batch(*data(step))
        training.step(*data(step))
    assert_same(theirs, training.module, 1e-4 if name == "Muon" else 1e-5)


@pytest.mark.parametrize(("name", "arguments"), OPTIMIZERS)
def test_keras_goes_on_where_training_here_was_left(tmp_path: Path, name: str, arguments: dict[str, Any]) -> None:
    theirs = in_keras(getattr(keras.optimizers, name)(**arguments), 0)
    theirs.save(tmp_path / "start.keras")
    model = kt.load_model(tmp_path / "start.keras")
    training = kt.training.of(model)
    for step in range(3):
        theirs.train_on_batch(*data(step))
        training.step(*data(step))
    model.save(tmp_path / "m.keras", training)
    again = keras.saving.load_model(tmp_path / "m.keras")
    assert int(again.optimizer._iterations) == 3
    for step in (3, 4):
        theirs.train_on_batch(*data(step))
        again.train_on_batch(*data(step))
    for x, y in zip(theirs.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_allclose(y, x, rtol=1e-4, atol=1e-4 if name == "Muon" else 1e-5)


def test_the_scale_of_the_loss_goes_on(tmp_path: Path) -> None:
    theirs = in_keras(keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.01), dynamic_growth_steps=2))
    theirs.save(tmp_path / "m.keras")
    model = kt.load_model(tmp_path / "m.keras")
    training = kt.training.of(model)
    assert training.scaler.get_scale() == float(theirs.optimizer.dynamic_scale) == 2.0**16
    training.step(*data(3))
    theirs.train_on_batch(*data(3))
    assert training.scaler.get_scale() == float(theirs.optimizer.dynamic_scale) == 2.0**17
    assert_same(theirs, training.module)
    model.save(tmp_path / "again.keras", training)
    again = keras.saving.load_model(tmp_path / "again.keras")
    for x, y in zip(theirs.optimizer.variables, again.optimizer.variables, strict=True):
        np.testing.assert_allclose(keras.ops.convert_to_numpy(y), keras.ops.convert_to_numpy(x), rtol=1e-5, atol=1e-6)


def test_a_schedule_goes_on(tmp_path: Path) -> None:
    theirs = in_keras(keras.optimizers.Adam(keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.5)))
    theirs.save(tmp_path / "m.keras")
    training = kt.training.of(kt.load_model(tmp_path / "m.keras"))
    training.step(*data(3))
    theirs.train_on_batch(*data(3))
    assert training.optimizer.param_groups[0]["lr"] == pytest.approx(0.0125)
    assert_same(theirs, training.module)


def test_weights_alone_have_the_state_too(tmp_path: Path) -> None:
    theirs = in_keras("adam")
    theirs.save_weights(tmp_path / "m.weights.h5")
    model = net(kt)
    model.compile("adam", "mse")
    model.load_weights(tmp_path / "m.weights.h5")
    training = kt.training.of(model)
    training.step(*data(3))
    theirs.train_on_batch(*data(3))
    assert_same(theirs, training.module)
    kt.saving.save_weights(training, tmp_path / "again.weights.h5")
    other = in_keras("adam", 1)
    other.load_weights(tmp_path / "again.weights.h5")
    for each in (theirs, other):
        each.train_on_batch(*data(4))
    for x, y in zip(theirs.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(y, x, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_model_that_is_only_passed_on_keeps_it(tmp_path: Path, suffix: str) -> None:
    theirs = in_keras(keras.optimizers.Adam(0.01))
    theirs.save(tmp_path / f"m{suffix}")
    kt.load_model(tmp_path / f"m{suffix}").save(tmp_path / "again.keras")
    again = keras.saving.load_model(tmp_path / "again.keras")
    for x, y in zip(theirs.optimizer.variables, again.optimizer.variables, strict=True):
        assert np.array_equal(keras.ops.convert_to_numpy(x), keras.ops.convert_to_numpy(y))


def test_in_h5_keras_itself_cannot_go_on(tmp_path: Path) -> None:
    theirs = in_keras("adam")
    theirs.save(tmp_path / "m.h5")
    with pytest.raises(ValueError, match="Unknown variable"):
        keras.saving.load_model(tmp_path / "m.h5").train_on_batch(*data(3))
    model = kt.load_model(tmp_path / "m.h5")
    training = kt.training.of(model)
    with pytest.raises(ConfigError, match=r"stumbles over the state of an optimizer.*m\.weights\.h5"):
        model.save(tmp_path / "again.h5", training)
    with pytest.warns(UserWarning, match="state of the optimizer is left out: Keras 3 stumbles"):
        model.save(tmp_path / "again.h5")
    model.save(tmp_path / "again.h5", training.module)
    keras.saving.load_model(tmp_path / "again.h5").train_on_batch(*data(3))
    assert kt.load_model(tmp_path / "again.h5").saved_state is None


def test_beside_an_h5_weights_alone_have_the_state(tmp_path: Path) -> None:
    """The way out: whole models have no state in .h5, and weights alone do, once Keras has built the optimizer."""
    theirs = in_keras("adam")
    theirs.save(tmp_path / "start.h5")
    model = kt.load_model(tmp_path / "start.h5")
    training = kt.training.of(model)
    model.save(tmp_path / "m.h5", training.module)
    kt.saving.save_weights(training, tmp_path / "m.weights.h5")
    again = keras.saving.load_model(tmp_path / "m.h5")
    again.optimizer.build(again.trainable_variables)
    again.load_weights(tmp_path / "m.weights.h5")
    for x, y in zip(theirs.optimizer.variables, again.optimizer.variables, strict=True):
        assert np.array_equal(keras.ops.convert_to_numpy(x), keras.ops.convert_to_numpy(y))
    for each in (theirs, again):
        each.train_on_batch(*data(3))
    for x, y in zip(theirs.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_allclose(y, x, rtol=1e-4, atol=1e-5)


def test_a_state_of_something_else_is_warned_about(tmp_path: Path) -> None:
    in_keras("adam").save(tmp_path / "m.keras")
    model = kt.load_model(tmp_path / "m.keras")
    model.layers[1].trainable = False
    with pytest.warns(UserWarning, match=r"training begins afresh: the file has \d+ arrays"):
        training = kt.training.of(model)
    assert training.optimizer.param_groups[0]["iterations"] == 0
    assert kt.load_model(tmp_path / "m.keras", compile=False).saved_state is None
    model.compile("adam", "mse")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kt.training.of(model)


def test_the_state_goes_through_torchs_own_dict_too(tmp_path: Path) -> None:
    in_keras("adam").save(tmp_path / "m.keras")
    first, second = (kt.training.of(kt.load_model(tmp_path / "m.keras")) for _ in range(2))
    first.step(*data(3))
    second.optimizer.load_state_dict(copy.deepcopy(first.optimizer.state_dict()))
    second.module.load_state_dict(first.module.state_dict())
    for training in (first, second):
        training.step(*data(4))
    assert all(torch.equal(x, y) for x, y in zip(first.module.parameters(), second.module.parameters()))


LEGACY = Path(__file__).parent / "data" / "legacy_state"
AFTER = json.loads((LEGACY / "after.json").read_text())
"""Recorded from tf_keras by scripts/record_legacy_state.py: files after three steps, and weights after the fourth."""


@pytest.mark.parametrize("passed_on", [False, True])
@pytest.mark.parametrize("name", AFTER)
def test_training_goes_on_where_keras_2_left_it(tmp_path: Path, name: str, passed_on: bool) -> None:
    model = kt.load_model(LEGACY / name)
    if passed_on and not name.startswith(("legacy_rmsprop", "legacy_nadam")):  # as Keras 3 they compute something else
        model.save(tmp_path / "m.keras")
        keras.saving.load_model(tmp_path / "m.keras")
        model = kt.load_model(tmp_path / "m.keras")
    training = kt.training.of(model)
    random = np.random.default_rng(3)
    training.step(random.normal(size=(8, 3)).astype("float32"), random.normal(size=(8, 2)).astype("float32"))
    assert training.optimizer.param_groups[0]["iterations"] == 4
    for x, y in zip(AFTER[name], kt.get_keras_weights(training.module), strict=True):
        np.testing.assert_allclose(y.ravel(), x, rtol=1e-5, atol=1e-5)
