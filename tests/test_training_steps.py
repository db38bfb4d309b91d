"""Whole training steps of compiled models, held against ``train_on_batch`` of Keras: weights, losses and metrics."""

from __future__ import annotations

import doctest
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import torch
from live import numbers

import kerashape_torch as kt
from kerashape_torch.errors import ConfigError, KerashapeError, ShapeError

Build = Callable[[Any], Any]


def pair(build: Build, **said: Any) -> tuple[Any, Any, kt.training.Training]:
    """A compiled Keras model, ours, and its training, with the same weights. ``said`` are functions of the package."""
    keras.utils.clear_session(free_memory=False)
    theirs, ours = build(keras), build(kt)
    weights = [numbers(*w.shape, seed=i) * 0.5 for i, w in enumerate(theirs.get_weights())]
    weights = [np.abs(w) if "variance" in v.path else w for w, v in zip(weights, theirs.weights, strict=True)]
    theirs.set_weights(weights)
    theirs.compile(**{name: value(keras) if callable(value) else value for name, value in said.items()})
    ours.compile(**{name: value(kt) if callable(value) else value for name, value in said.items()})
    module = ours.to_torch()
    kt.set_keras_weights(module, weights)
    return theirs, ours, kt.training.of(ours, module)


def assert_same(theirs: Any, training: kt.training.Training) -> None:
    for x, y in zip(theirs.get_weights(), kt.get_keras_weights(training.module), strict=True):
        np.testing.assert_allclose(y, x, rtol=1e-5, atol=1e-5)


def steps(theirs: Any, training: kt.training.Training, data: Callable[[int], tuple[Any, ...]], count: int = 3) -> None:
    """Some steps on both sides; weights and the results of each batch must be the same."""
    for step in range(count):
        x, y, *weight = data(step)
        logs = theirs.train_on_batch(x, y, *weight, return_dict=True)
        training.reset()
        training.step(x, y, *weight)
        results = training.results()
        assert set(results) == set(logs)
        for name, value in results.items():
            np.testing.assert_allclose(value, float(logs[name]), rtol=1e-5, atol=1e-5, err_msg=name)
    assert_same(theirs, training)


# ---- one output ------------------------------------------------------------------------------------------------------


def image_net(k: Any) -> Any:
    layers = k.layers
    return k.Sequential([layers.Input((6, 6, 2)), layers.ZeroPadding2D(1),
                         layers.Conv2D(4, 3, kernel_regularizer="l2", use_bias=False), layers.BatchNormalization(),
                         layers.Activation("relu"), layers.GlobalAveragePooling2D(),
                         layers.Dense(3, activation="softmax", kernel_constraint="max_norm")])


@pytest.mark.parametrize("optimizer", [lambda k: k.optimizers.SGD(0.1, momentum=0.9, nesterov=True), "adam", "rmsprop",
                                       lambda k: k.optimizers.AdamW(0.01), "adagrad",
                                       lambda k: k.optimizers.LossScaleOptimizer(k.optimizers.Adam(0.01)),
                                       lambda k: k.optimizers.SGD(loss_scale_factor=16.0, clipnorm=0.5)])
def test_steps_of_an_image_classifier(optimizer: Any) -> None:
    theirs, _, training = pair(image_net, optimizer=optimizer, loss="sparse_categorical_crossentropy",
                               metrics=["accuracy"], weighted_metrics=["accuracy", "sparse_categorical_crossentropy"])
    classes = np.random.default_rng(0).integers(0, 3, (3, 5))
    steps(theirs, training, lambda i: (numbers(5, 6, 6, 2, seed=i), classes[i], np.abs(numbers(5, seed=i))))


def mlp(units: int = 3, activation: str | None = None) -> Build:
    return lambda k: k.Sequential([k.layers.Input((4,)), k.layers.Dense(6, activation="tanh"),
                                   k.layers.Dense(units, activation=activation, name="out")])


@pytest.mark.parametrize(("units", "activation", "loss", "metrics"), [
    (1, "sigmoid", "crossentropy", ["acc", "ce_like"]), (3, "softmax", "ce", ["accuracy", "mse"]),
    (3, "softmax", "categorical_crossentropy", [lambda k: k.metrics.AUC(), lambda k: k.metrics.AUC(name="auc")]),
    (3, None, lambda k: k.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1),
     [lambda k: k.metrics.CategoricalCrossentropy(from_logits=True)]),
    (3, "sigmoid", lambda k: k.losses.Dice(), [lambda k: k.metrics.Precision(), "mae"]),
    (3, None, lambda k: k.losses.mean_absolute_error, [lambda k: k.metrics.mean_squared_error]),
    (3, None, lambda k: k.losses.Huber(delta=0.5, reduction="sum"), [])])
def test_losses_and_metrics_by_name_and_shape(units: int, activation: str, loss: Any, metrics: list[Any]) -> None:
    metrics = [m for m in metrics if m != "ce_like"]
    theirs, _, training = pair(mlp(units, activation), optimizer="sgd", loss=loss,
                               metrics=lambda k: [m(k) if callable(m) else m for m in metrics])
    targets = np.eye(3, dtype="float32")[np.random.default_rng(0).integers(0, 3, (3, 5))][..., :units]
    steps(theirs, training, lambda i: (numbers(5, 4, seed=i), targets[i]))


def test_losses_and_metrics_of_ones_own() -> None:
    def loss(y_true: Any, y_pred: Any) -> Any:
        return (y_true - y_pred) ** 4

    def spread(y_true: Any, y_pred: Any) -> Any:
        return (torch.as_tensor(y_true) - y_pred).abs()

    theirs, _, training = pair(mlp(), optimizer="sgd", loss=lambda k: loss, metrics=lambda k: [spread])
    steps(theirs, training, lambda i: (numbers(5, 4, seed=i), numbers(5, 3, seed=i)))


@pytest.mark.parametrize("targets", ["sparse", "column", "one_hot"])
def test_weights_of_classes(targets: str) -> None:
    loss = "categorical_crossentropy" if targets == "one_hot" else "sparse_categorical_crossentropy"
    theirs, _, training = pair(mlp(3, "softmax"), optimizer="sgd", loss=loss, metrics=["acc"], weighted_metrics=["acc"])
    x, y = numbers(6, 4), np.array([0, 1, 2, 2, 1, 0])
    y = {"sparse": y, "column": y[:, None], "one_hot": np.eye(3, dtype="float32")[y]}[targets]
    logs = theirs.train_on_batch(x, y, class_weight={0: 2.0, 2: 0.5}, return_dict=True)
    training.step(x, y, class_weight={0: 2.0, 2: 0.5})
    assert training.results() == pytest.approx({name: float(value) for name, value in logs.items()}, rel=1e-5)
    assert_same(theirs, training)


def test_weights_of_classes_for_nothing_that_has_one() -> None:
    _, _, training = pair(mlp(), optimizer="sgd", loss="mse")
    with pytest.raises(ConfigError, match="not both"):
        training.step(numbers(5, 4), numbers(5, 3), np.ones(5), class_weight={0: 1.0})
    with pytest.raises(ConfigError, match="one class for each sample"):
        training.step(numbers(5, 4), numbers(5, 3, 2), class_weight={0: 1.0})
    model = forked(kt)
    model.compile("sgd", "mse")
    with pytest.raises(ConfigError, match="models with one output"):
        kt.training.of(model).step(numbers(5, 4), [np.zeros((5, 2)), np.zeros((5, 1))], class_weight={0: 1.0})


def test_an_epoch() -> None:
    theirs, _, training = pair(mlp(3, "softmax"), optimizer="adam", loss="sparse_categorical_crossentropy",
                               metrics=["acc"])
    x, y = numbers(20, 4), np.random.default_rng(0).integers(0, 3, 20)
    logs = theirs.fit(x, y, batch_size=8, epochs=1, shuffle=False, verbose=0).history
    for at in range(0, 20, 8):
        training.step(x[at:at + 8], y[at:at + 8])
    assert training.results() == pytest.approx({name: values[0] for name, values in logs.items()}, rel=1e-4)
    assert_same(theirs, training)


def test_testing_changes_nothing() -> None:
    theirs, _, training = pair(image_net, optimizer="sgd", loss="sparse_categorical_crossentropy", metrics=["acc"])
    x, y = numbers(5, 6, 6, 2), np.array([0, 1, 2, 0, 1])
    logs = theirs.test_on_batch(x, y, return_dict=True)
    before = kt.get_keras_weights(training.module)
    training.test(x, y)
    assert training.results() == pytest.approx({name: float(value) for name, value in logs.items()}, rel=1e-4)
    assert all(np.array_equal(a, b) for a, b in zip(before, kt.get_keras_weights(training.module)))
    training.reset()
    assert training.results() == {"loss": 0.0, "acc": 0.0}


def test_frozen_layers_stay() -> None:
    def build(k: Any) -> Any:
        model = image_net(k)
        model.layers[1].trainable = model.layers[2].trainable = False
        return model

    theirs, _, training = pair(build, optimizer="adam", loss="sparse_categorical_crossentropy")
    steps(theirs, training, lambda i: (numbers(5, 6, 6, 2, seed=i), np.array([0, 1, 2, 0, 1])))


def test_running_means_at_the_end() -> None:
    theirs, _, training = pair(mlp(), optimizer=lambda k: k.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5),
                               loss="mse")
    steps(theirs, training, lambda i: (numbers(5, 4, seed=i), numbers(5, 3, seed=i)))
    theirs.optimizer.finalize_variable_values(theirs.trainable_variables)
    training.finish()
    assert_same(theirs, training)


def test_a_gradient_that_is_not_finite_is_left_out() -> None:
    theirs, _, training = pair(mlp(), optimizer=lambda k: k.optimizers.LossScaleOptimizer(k.optimizers.Adam(0.01)),
                               loss="mse")
    steps(theirs, training, lambda i: (numbers(5, 4, seed=i), numbers(5, 3, seed=i) * (np.inf if i == 1 else 1)), 1)
    for module in (theirs, training):
        (module.train_on_batch if module is theirs else module.step)(numbers(5, 4), np.full((5, 3), np.inf))
        (module.train_on_batch if module is theirs else module.step)(numbers(5, 4), numbers(5, 3))
    assert_same(theirs, training)
    assert training.scaler.get_scale() == float(theirs.optimizer.dynamic_scale) == 2.0**14


# ---- masks and penalties ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
def test_masks_that_outputs_carry(weighted: bool) -> None:
    def build(k: Any) -> Any:
        ids = k.layers.Input((5,), dtype="int32")
        x = k.layers.GRU(4, return_sequences=True)(k.layers.Embedding(7, 3, mask_zero=True)(ids))
        return k.Model(ids, k.layers.Dense(3, activation="softmax")(x))

    theirs, _, training = pair(build, optimizer="sgd", loss="sparse_categorical_crossentropy", metrics=["accuracy"],
                               weighted_metrics=["sparse_categorical_crossentropy"])
    random = np.random.default_rng(0)
    ids, y = random.integers(0, 7, (4, 5)), random.integers(0, 3, (4, 5))
    ids[1, 2:] = 0
    weight = [np.abs(numbers(4, 5))] if weighted else []
    steps(theirs, training, lambda i: (ids, y, *weight))


def test_penalties_alone_are_a_loss() -> None:
    def build(k: Any) -> Any:
        return k.Sequential([k.layers.Input((4,)), k.layers.Dense(2, kernel_regularizer="l1")])

    theirs, _, training = pair(build, optimizer="sgd")
    x = numbers(5, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras says that the bias has no gradient
        theirs.train_on_batch(x, np.zeros((5, 2)))
    training.step(x)
    assert_same(theirs, training)


# ---- several outputs -------------------------------------------------------------------------------------------------


def forked(k: Any) -> Any:
    x = k.layers.Input((4,), name="x")
    return k.Model(x, [k.layers.Dense(2, name="one")(x), k.layers.Dense(1, activation="sigmoid", name="two")(x)])


def named(k: Any) -> Any:
    x = k.layers.Input((4,), name="x")
    return k.Model(x, {"b": k.layers.Dense(2, name="one")(x),
                       "a": k.layers.Dense(1, activation="sigmoid", name="two")(x)})


def two(i: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return (numbers(5, 4, seed=i), numbers(5, 2, seed=i),
            np.random.default_rng(i).integers(0, 2, (5, 1)).astype("float32"))


LISTS: list[dict[str, Any]] = [
    {"loss": "mse", "metrics": [["mae"], ["accuracy"]]},
    {"loss": ["mse", "binary_crossentropy"], "loss_weights": [0.3, 2.0], "metrics": {"two": ["acc", "mae"]}},
    {"loss": {"two": "bce", "one": "mae"}, "loss_weights": {"two": 0.5, "one": 2.0}, "metrics": {"one": "mse"},
     "weighted_metrics": {"one": ["mse"], "two": "mae"}},
    {"loss": ["mse", None], "metrics": None}]


@pytest.mark.parametrize("said", LISTS)
def test_outputs_in_a_list(said: dict[str, Any]) -> None:
    theirs, _, training = pair(forked, optimizer="adam", **said)

    def data(i: int) -> tuple[Any, ...]:
        x, one, other = two(i)
        weight = [np.abs(numbers(5, seed=i))] if "weighted_metrics" in said else []
        return (x, [one, other], *weight)

    if said["loss"] == ["mse", None]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Keras says that the other output has no gradient
            steps(theirs, training, data)
    else:
        steps(theirs, training, data)


@pytest.mark.parametrize("said", [
    {"loss": {"a": "bce", "b": "mse"}, "loss_weights": {"a": 0.5, "b": 2.0}, "metrics": {"a": ["acc"], "b": ["mae"]}},
    {"loss": "mse"}])
def test_outputs_in_a_dict(said: dict[str, Any]) -> None:
    theirs, _, training = pair(named, optimizer="adam", **said)

    def data(i: int) -> tuple[Any, ...]:
        x, one, other = two(i)
        return x, {"b": one, "a": other}

    steps(theirs, training, data)


@pytest.mark.parametrize(("said", "targets", "message"), [
    ({"loss": {"three": "mse"}}, None, "no output of the model.*one, two"),
    ({"loss": ["mse"] * 3}, None, "3 entries.*2 outputs"),
    ({"loss": "mse", "metrics": "mae"}, None, "a list or a dict"),
    ({"loss": "mse"}, [np.zeros((5, 2))], "targets has 1 tensors"),
    ({"loss": "mse"}, {"one": np.zeros((5, 2))}, "'two' has a loss and no targets"),
    ({}, [np.zeros((5, 2)), np.zeros((5, 1))], "there is no loss")])
def test_what_does_not_fit_the_outputs(said: dict[str, Any], targets: Any, message: str) -> None:
    model = forked(kt)
    model.compile("sgd", **said)
    with pytest.raises(ConfigError, match=message):
        kt.training.of(model).step(numbers(5, 4), targets)


def test_what_cannot_be_trained() -> None:
    model = forked(kt)
    with pytest.raises(ConfigError, match=r"call model\.compile"):
        kt.training.of(model)
    model.compile(None, "mse")
    with pytest.raises(ConfigError, match="there is no optimizer"):
        kt.training.of(model).step(numbers(5, 4), [np.zeros((5, 2)), np.zeros((5, 1))])
    with pytest.raises(KerashapeError, match="layout='keras'"):
        kt.training.of(model, model.to_torch(layout="torch"))


# ---- files -----------------------------------------------------------------------------------------------------------


def full(k: Any) -> dict[str, Any]:
    return {"optimizer": k.optimizers.AdamW(k.optimizers.schedules.CosineDecay(0.1, 10), clipnorm=1.0),
            "loss": {"one": k.losses.MeanSquaredError(reduction="sum"), "two": "binary_crossentropy"},
            "loss_weights": {"one": 1.0, "two": 0.5},
            "metrics": {"one": [k.metrics.MeanAbsoluteError(name="mae")],
                        "two": ["accuracy", k.metrics.AUC(num_thresholds=50)]},
            "weighted_metrics": None}


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_keras_reads_how_our_file_says_to_train(tmp_path: Path, suffix: str) -> None:
    model = forked(kt)
    model.compile(**full(kt))
    model.save(tmp_path / f"model.{suffix}")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Skipping variable loading for optimizer")  # a model here has no such state
        theirs = keras.saving.load_model(tmp_path / f"model.{suffix}")
    assert theirs.compiled and type(theirs.optimizer).__name__ == "AdamW"
    training = kt.training.of(model, model.to_torch())
    theirs.set_weights(kt.get_keras_weights(training.module))
    steps(theirs, training, lambda i: (two(i)[0], dict(zip(["one", "two"], two(i)[1:]))), 2)


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_our_model_trains_as_a_file_of_keras_says(tmp_path: Path, suffix: str) -> None:
    keras.utils.clear_session(free_memory=False)
    theirs = forked(keras)
    theirs.compile(**full(keras))
    theirs.save(tmp_path / f"model.{suffix}")
    model = kt.load_model(tmp_path / f"model.{suffix}")
    assert model.compiled and isinstance(model.optimizer.learning_rate, kt.optimizers.schedules.CosineDecay)
    steps(theirs, kt.training.of(model), lambda i: (two(i)[0], list(two(i)[1:])), 2)
    assert not kt.load_model(tmp_path / f"model.{suffix}", compile=False).compiled
    again = json.loads(json.dumps(model.get_compile_config()))
    assert repr(kt.load_model(json.loads(model.to_json())).compile_config) == repr(model.compile_config)
    assert again["loss"]["two"] == "binary_crossentropy"


def test_configs_are_those_of_keras() -> None:
    keras.utils.clear_session(free_memory=False)
    theirs, ours = forked(keras), forked(kt)
    theirs.compile(**full(keras))
    ours.compile(**full(kt))
    want, got = (json.loads(json.dumps(model.get_compile_config())) for model in (theirs, ours))
    assert list(got) == list(want)
    assert got["optimizer"].pop("module") == "keras.optimizers"  # Keras names its torch class
    assert (got["optimizer"].pop("registered_name"), got["optimizer"]["config"].pop("name")) == (None, "adam_w")
    assert want["optimizer"].pop("module") and want["optimizer"].pop("registered_name")
    assert want["optimizer"]["config"].pop("name") == "adam_w"
    assert got == want


def test_what_a_file_says_and_nobody_knows_is_refused_only_when_asked_for() -> None:
    model = mlp()(kt)
    model.compile("sgd", "mse")
    written = json.loads(model.to_json())
    written["compile_config"]["loss"] = {"module": "builtins", "class_name": "function", "config": "mine",
                                         "registered_name": "function"}
    read = kt.load_model(written)
    assert read.compiled and json.loads(read.to_json())["compile_config"] == written["compile_config"]
    with pytest.raises(ConfigError, match=r"'mine' is not one of keras\.losses.*call|Call model\.compile"):
        kt.training.of(read)
    known = kt.load_model(written, custom_objects={"mine": lambda y_true, y_pred: (y_true - y_pred).abs()})
    assert kt.training.of(known).step(np.ones((2, 4)), np.ones((2, 3))).ndim == 0


@pytest.mark.parametrize("said", [
    {"optimizer": "adam", "metrics": [{"class_name": "MeanIoU", "config": {"num_classes": 10**15}}]},
    {"optimizer": {"class_name": "SGD", "config": {"learning_rate": "os.system"}}},
    {"optimizer": {"class_name": "__lambda__", "config": {"value": "code"}}},
    {"optimizer": {"class_name": ["SGD"], "config": {}}}, {"optimizer": 3}, {"optimizer": "sgd", "loss": 3},
    {"optimizer": "sgd", "loss": {"class_name": "Loss", "config": "os.system"}}, ["sgd"],
    {"optimizer": "sgd", "loss": {"class_name": "MeanSquaredError", "config": {"dtype": "load"}}}])
def test_nonsense_in_a_file_costs_nothing_and_runs_nothing(said: Any) -> None:
    model = mlp()(kt)
    written = {**json.loads(model.to_json()), "compile_config": said}
    read = kt.load_model(written)
    assert read.output_shape == model.output_shape
    if "metrics" not in said:
        with pytest.raises(ConfigError):
            kt.training.of(read)


CONFIGS = json.loads((Path(__file__).parent / "data" / "training_configs.json").read_text())


@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_training_configs_of_keras_2(name: str) -> None:
    """Written by tf_keras 2.21: ``training_config`` of HDF5 files, and ``compile_config`` of a ``.keras`` file."""
    model = forked(kt) if name == "two_outputs" else mlp(3, "softmax")(kt)
    model.compile_from_config(CONFIGS[name])
    said, training = model.compile_config, kt.training.of(model)
    y: Any = np.array([0, 1, 2, 1]) if "sparse" in str(said.loss) else np.eye(3, dtype="float32")[[0, 1, 2, 1]]
    if name == "keras_v3_form":  # nobody ran it: AUC does not take classes
        with pytest.raises(ShapeError, match=r"AUC|as many targets"):
            training.step(numbers(4, 4), y)
        return
    training.step(numbers(4, 4), [numbers(4, 2), np.ones((4, 1))] if name == "two_outputs" else y)
    results = training.results()
    expected = {"adam": ["accuracy"], "legacy_sgd": ["auc", "mse", "top_k_categorical_accuracy"],
                "adamw_schedule": ["mae"], "unfit": ["acc", "mean_squared_error"],
                "two_outputs": ["one_mae", "two_accuracy", "two_precision", "one_loss", "two_loss"]}
    assert list(results) == ["loss", *expected.get(name, [])] and np.isfinite(results["loss"])


def test_arguments_of_older_optimizers() -> None:
    model = mlp()(kt)
    model.compile_from_config({"loss": "logcosh", "optimizer_config": {"class_name": "SGD", "config": {
        "lr": 0.1, "decay": 0.5, "momentum": 0.0, "nesterov": False}}})
    assert [model.optimizer.rate_at(i) for i in range(3)] == pytest.approx([0.1, 0.1 / 1.5, 0.1 / 2])
    model.compile_from_config({"loss": "mse", "optimizer_config": {"class_name": "RMSprop", "config": {
        "lr": 0.01, "rho": 0.8, "epsilon": None, "decay": 0.0}}})
    assert repr(model.optimizer) == "RMSprop(learning_rate=0.01, rho=0.8)"


@pytest.mark.parametrize("room", ["compilable", "compiling", "training", "training.outputs", "training.step",
                                  "training.compiled", "optimizers.state"])
def test_doctests(room: str) -> None:
    found = doctest.testmod(__import__(f"kerashape_torch.{room}", fromlist=["_"]))
    assert found.attempted > 0 and found.failed == 0


def test_on_a_device_without_memory_nothing_is_computed_in_vain() -> None:
    model = mlp()(kt)
    model.compile("adam", "mse")
    training = kt.training.of(model, model.to_torch(device="meta"))
    assert isinstance(training.optimizer, torch.optim.Optimizer)
