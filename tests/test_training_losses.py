"""Loss functions and classes, held against Keras: numbers, reductions, weights, gradients and configs."""

from __future__ import annotations

import doctest
import inspect
import json
from typing import Any

import keras
import numpy as np
import pytest
import torch
from live import numbers

from kerashape_torch import losses
from kerashape_torch.errors import ConfigError, KerashapeError
from kerashape_torch.losses.functions import FUNCTIONS


def positive(*shape: int, seed: int) -> np.ndarray:
    return np.abs(numbers(*shape, seed=seed)) + 0.1


def chances(*shape: int, seed: int) -> np.ndarray:
    raw = positive(*shape, seed=seed)
    return raw / raw.sum(-1, keepdims=True)


def one_hot(*shape: int) -> np.ndarray:
    return np.eye(shape[-1], dtype="float32")[np.random.default_rng(3).integers(0, shape[-1], shape[:-1])]


def data(name: str, *shape: int, logits: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Targets and predictions that suit a loss."""
    random = np.random.default_rng(3)
    raw = numbers(*shape, seed=1)
    if name == "ctc":
        return random.integers(0, 4, (shape[0], 2)), numbers(shape[0], 6, 4, seed=1)
    if "sparse" in name or "generalized" in name:
        return random.integers(0, shape[-1], shape[:-1]), raw if logits else chances(*shape, seed=1)
    if name == "circle":
        return random.integers(0, 2, shape[:1]), raw / np.linalg.norm(raw, axis=-1, keepdims=True)
    if "categorical" in name:
        return one_hot(*shape), raw if logits or "hinge" in name else chances(*shape, seed=1)
    if "binary" in name or name in ("dice", "tversky"):
        return random.integers(0, 2, shape).astype("float32"), raw if logits else 1 / (1 + np.exp(-raw))
    if "hinge" in name:
        return random.integers(0, 2, shape).astype("float32"), raw
    if name in ("kl_divergence", "poisson"):
        return positive(*shape, seed=2), positive(*shape, seed=1)
    return numbers(*shape, seed=2), raw


CASES: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in ("MeanSquaredError", "MeanAbsoluteError", "MeanAbsolutePercentageError",
                              "MeanSquaredLogarithmicError", "CosineSimilarity", "Huber", "LogCosh", "Hinge",
                              "SquaredHinge", "CategoricalHinge", "KLDivergence", "Poisson", "BinaryCrossentropy",
                              "BinaryFocalCrossentropy", "CategoricalCrossentropy", "CategoricalFocalCrossentropy",
                              "SparseCategoricalCrossentropy", "CTC", "Dice", "Tversky", "Circle",
                              "CategoricalGeneralizedCrossEntropy")),
    ("CosineSimilarity", {"axis": 1}), ("Huber", {"delta": 0.3}),
    ("BinaryCrossentropy", {"from_logits": True, "label_smoothing": 0.2}), ("BinaryCrossentropy", {"axis": 0}),
    ("BinaryFocalCrossentropy", {"from_logits": True, "gamma": 1.5}),
    ("BinaryFocalCrossentropy", {"apply_class_balancing": True, "alpha": 0.3, "label_smoothing": 0.1}),
    ("CategoricalCrossentropy", {"from_logits": True, "label_smoothing": 0.2}),
    ("CategoricalCrossentropy", {"axis": 1}),
    ("CategoricalFocalCrossentropy", {"from_logits": True, "alpha": [0.1, 0.2, 0.3, 0.4], "gamma": 1.0}),
    ("CategoricalFocalCrossentropy", {"label_smoothing": 0.1}),
    ("SparseCategoricalCrossentropy", {"from_logits": True}), ("SparseCategoricalCrossentropy", {"ignore_class": 1}),
    ("SparseCategoricalCrossentropy", {"ignore_class": -1, "from_logits": True}),
    ("Dice", {"axis": (1, 2)}), ("Tversky", {"alpha": 0.2, "beta": 0.9, "axis": [1, 2]}),
    ("Circle", {"gamma": 20.0, "margin": 0.2, "remove_diagonal": False}),
    ("CategoricalGeneralizedCrossEntropy", {"q": 0.2}),
]


def snake(name: str) -> str:
    return getattr(keras.losses, name)().name


def pair(name: str, arguments: dict[str, Any], reduction: str | None) -> tuple[losses.Loss, Any]:
    return (getattr(losses, name)(**arguments, reduction=reduction),
            getattr(keras.losses, name)(**arguments, reduction=reduction))


def close(ours: Any, theirs: Any) -> None:
    np.testing.assert_allclose(torch.as_tensor(ours).detach().numpy(), torch.as_tensor(theirs).detach().numpy(),
                               rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "none", None, "mean", "mean_with_sample_weight"])
@pytest.mark.parametrize(("name", "arguments"), CASES)
def test_losses_are_those_of_keras(name: str, arguments: dict[str, Any], reduction: str | None) -> None:
    ours, theirs = pair(name, arguments, reduction)
    shape = (5, 4) if name == "Circle" else (5, 3, 4)
    y_true, y_pred = data(snake(name), *shape, logits=bool(arguments.get("from_logits")))
    by_sample = name in ("Circle", "CTC")
    weights = [positive(5, seed=4)] if by_sample else [positive(5, 3, seed=4), positive(5, 1, seed=4)]
    if arguments.get("axis") in (0, 1) or name in ("Dice", "Tversky"):
        weights = []  # such a loss is not one for each sample
    for weight in (None, *weights[:1 if "ignore_class" in arguments else 2]):  # Keras multiplies a mask in place
        close(ours(y_true, y_pred, weight), theirs(y_true, y_pred, weight))
    x, z = (torch.tensor(y_pred, requires_grad=True) for _ in range(2))
    ours(y_true, x).sum().backward()
    theirs(y_true, z).sum().backward()
    if arguments.get("ignore_class") != 1:  # Keras divides 0 by 0 on the way there
        close(x.grad, z.grad)


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_functions_are_those_of_keras(name: str) -> None:
    ours, theirs = getattr(losses, name), getattr(keras.losses, name)
    extra = (0.4,) if "generalized" in name else ()
    for shape in [(5, 4)] if name == "circle" else [(5, 3, 4), (5, 4), (5, 1)]:
        if shape == (5, 1) and "categorical" in name:
            continue
        y_true, y_pred = (torch.as_tensor(x) for x in data(name, *shape))
        close(ours(y_true, y_pred, *extra), theirs(y_true, y_pred, *extra))
    given = list(inspect.signature(theirs).parameters.values())
    assert [(p.name, p.default) for p in inspect.signature(ours).parameters.values()] == [
        (p.name, p.default) for p in given]


def test_every_loss_of_keras_is_here() -> None:
    assert {name for name in dir(keras.losses) if name[0] != "_"} <= set(dir(losses))
    assert {name for name, _ in CASES} == set(losses.Loss.catalog())


@pytest.mark.parametrize(("y_true", "y_pred"),
                         [((5,), (5, 1)), ((5, 1), (5,)), ((5, 3), (5, 3, 1)), ((5, 3, 1), (5, 3))])
@pytest.mark.parametrize("weight", [None, (5,), (5, 1)])
def test_ranks_that_differ_by_one(y_true: tuple[int, ...], y_pred: tuple[int, ...],
                                  weight: tuple[int, ...] | None) -> None:
    ours, theirs = pair("MeanSquaredError", {}, "sum_over_batch_size")
    given = numbers(*y_true, seed=1), numbers(*y_pred, seed=2), positive(*weight, seed=3) if weight else None
    close(ours(*given), theirs(*given))


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "mean_with_sample_weight", "none"])
@pytest.mark.parametrize("weight", [None, (5, 3)])
def test_masks_that_predictions_carry(reduction: str, weight: tuple[int, ...] | None) -> None:
    ours, theirs = pair("MeanSquaredError", {}, reduction)
    mask = torch.tensor(np.random.default_rng(0).random((5, 3)) > 0.4)
    y_true, y_pred = numbers(5, 3, 4, seed=1), torch.tensor(numbers(5, 3, 4, seed=2))
    weights = positive(*weight, seed=3) if weight else None
    y_pred._keras_mask = mask  # type: ignore[attr-defined]
    close(ours(y_true, y_pred, weights, mask), theirs(y_true, y_pred, weights))


@pytest.mark.parametrize(("name", "arguments"), CASES)
def test_configs_are_those_of_keras(name: str, arguments: dict[str, Any]) -> None:
    ours, theirs = pair(name, arguments, "sum")
    written = losses.serialize(ours)
    forgotten = {key: arguments[key] for key in arguments if key in type(ours).written_only_if_given}
    expected = keras.losses.serialize(theirs)
    assert written == {**expected, "config": {**expected["config"], **forgotten}}
    assert repr(losses.deserialize(json.loads(json.dumps(written)))) == repr(ours).replace("(1, 2)", "[1, 2]")
    y_true, y_pred = data(snake(name), *((5, 4) if name == "Circle" else (5, 3, 4)),
                          logits=bool(arguments.get("from_logits")))
    read = keras.saving.deserialize_keras_object(json.loads(json.dumps(written)))
    close(read(y_true, y_pred), theirs(y_true, y_pred))


@pytest.mark.parametrize("name", ["mse", "MSE", "mae", "bce", "KLD", "kl_divergence", "MeanSquaredError", "Huber",
                                  "sparse_categorical_crossentropy", "hinge", "log_cosh", "dice", "CTC"])
def test_names_as_keras_takes_them(name: str) -> None:
    ours, theirs = losses.get(name), keras.losses.get(name)
    assert getattr(ours, "__name__", type(ours).__name__) == getattr(theirs, "__name__", type(theirs).__name__)
    assert losses.serialize(ours) == keras.losses.serialize(theirs)
    assert losses.get(losses.serialize(ours)) == ours or type(ours) is type(losses.get(losses.serialize(ours)))


def test_losses_of_ones_own() -> None:
    class Scaled(losses.Loss):
        def __init__(self, factor: float = 2.0, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.factor = factor

        def call(self, y_true: torch.Tensor, y_pred: torch.Tensor) -> torch.Tensor:
            return self.factor * (y_true - y_pred).abs().mean(-1)

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "factor": self.factor}

        @classmethod
        def from_config(cls, config: Any) -> Scaled:
            return cls(**config)

    written = losses.serialize(Scaled(3.0, name="mine", reduction="sum"))
    read = losses.deserialize(json.loads(json.dumps(written)), custom_objects={"Scaled": Scaled})
    assert read.factor == 3.0 and read(np.zeros((2, 1)), np.ones((2, 1))) == 6.0 and read.name == "mine"


@pytest.mark.parametrize(("make", "message"), [
    (lambda: losses.get("mee"), "Did you mean"),
    (lambda: losses.get({"class_name": "function", "config": "os.system"}), "not one of keras.losses"),
    (lambda: losses.MeanSquaredError(reduction="average"), "must be one of"),
    (lambda: losses.CategoricalGeneralizedCrossEntropy(q=1.0), "between 0 and 1"),
    (lambda: losses.BinaryCrossentropy()(np.ones((2, 3)), np.ones((2, 4))), r"got \(2, 3\) and \(2, 4\)"),
    (lambda: losses.sparse_categorical_crossentropy(np.ones((2, 3)), np.ones((2, 4))), r"got \(2, 3\)"),
    (lambda: losses.ctc(np.ones(2), np.ones((2, 4))), "logits")])
def test_what_is_refused(make: Any, message: str) -> None:
    with pytest.raises(KerashapeError, match=message):
        make()


def test_a_loss_without_call() -> None:
    with pytest.raises(NotImplementedError, match="Loss must implement call"):
        losses.Loss()(np.ones(2), np.ones(2))
    with pytest.raises(ConfigError, match="no argument 'reduce'"):
        losses.Loss(reduce="sum")


@pytest.mark.parametrize("room", ["losses", "losses.classes", "losses.functions", "losses.reduction",
                                  "training.losses"])
def test_doctests(room: str) -> None:
    found = doctest.testmod(__import__(f"kerashape_torch.{room}", fromlist=["_"]))
    assert found.attempted > 0 and found.failed == 0
