"""Metrics, held against Keras: functions, and what is counted over three batches, with weights and without."""

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

from kerashape_torch import metrics
from kerashape_torch.errors import KerashapeError
from kerashape_torch.metrics.functions import FUNCTIONS

CLASSES = 4


def softmax(x: np.ndarray) -> np.ndarray:
    return np.exp(x) / np.exp(x).sum(-1, keepdims=True)


def batch(kind: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Targets and predictions of some kind."""
    random = np.random.default_rng(seed)
    raw, ids = numbers(6, CLASSES, seed=seed), random.integers(0, CLASSES, 6)
    return {
        "numbers": lambda: (numbers(6, CLASSES, seed=seed + 50), raw),
        "positive": lambda: (np.abs(raw) + 0.1, np.abs(raw[::-1]) + 0.1),
        "integers": lambda: (random.integers(0, 2, (6, 1)), random.integers(0, 2, (6, 1)).astype("float32")),
        "binary": lambda: (random.integers(0, 2, (6, 1)), 1 / (1 + np.exp(-raw[:, :1]))),
        "labels": lambda: (random.integers(0, 2, (6, CLASSES)), 1 / (1 + np.exp(-raw))),
        "logits": lambda: (random.integers(0, 2, (6, CLASSES)), raw),
        "one_hot": lambda: (np.eye(CLASSES, dtype="float32")[ids], softmax(raw)),
        "sparse": lambda: (ids, softmax(raw)),
        "sparse_column": lambda: (ids[:, None], softmax(raw)),
        "sequence": lambda: (random.integers(0, CLASSES, (6, 3)), softmax(numbers(6, 3, CLASSES, seed=seed))),
        "one_hot_sequence": lambda: (np.eye(CLASSES, dtype="float32")[random.integers(0, CLASSES, (6, 3))],
                                     softmax(numbers(6, 3, CLASSES, seed=seed))),
        "sorted": lambda: (ids.astype("float32"), np.argsort(raw).astype("float32")),
        "classes": lambda: (ids, random.integers(0, CLASSES, 6)),
    }[kind]()  # type: ignore[no-any-return]


CASES: list[tuple[str, str, dict[str, Any]]] = [
    ("Accuracy", "integers", {}), ("BinaryAccuracy", "binary", {}), ("BinaryAccuracy", "labels", {"threshold": 0.3}),
    ("CategoricalAccuracy", "one_hot", {}), ("CategoricalAccuracy", "one_hot_sequence", {}),
    ("SparseCategoricalAccuracy", "sparse", {}), ("SparseCategoricalAccuracy", "sparse_column", {}),
    ("SparseCategoricalAccuracy", "sequence", {}), ("TopKCategoricalAccuracy", "one_hot", {"k": 2}),
    ("TopKCategoricalAccuracy", "one_hot_sequence", {"k": 2}), ("SparseTopKCategoricalAccuracy", "sparse", {"k": 3}),
    ("SparseTopKCategoricalAccuracy", "sequence", {"k": 2}),
    ("SparseTopKCategoricalAccuracy", "sorted", {"k": 2, "from_sorted_ids": True}),
    ("MeanSquaredError", "numbers", {}), ("MeanAbsoluteError", "numbers", {}), ("RootMeanSquaredError", "numbers", {}),
    ("MeanAbsolutePercentageError", "numbers", {}), ("MeanSquaredLogarithmicError", "positive", {}),
    ("CosineSimilarity", "numbers", {}), ("CosineSimilarity", "numbers", {"axis": 1}), ("LogCoshError", "numbers", {}),
    ("Hinge", "logits", {}), ("SquaredHinge", "logits", {}), ("CategoricalHinge", "one_hot", {}),
    ("KLDivergence", "positive", {}), ("Poisson", "positive", {}),
    ("BinaryCrossentropy", "labels", {}),
    ("BinaryCrossentropy", "logits", {"from_logits": True, "label_smoothing": 0.1}),
    ("CategoricalCrossentropy", "one_hot", {}), ("CategoricalCrossentropy", "one_hot", {"label_smoothing": 0.1}),
    ("SparseCategoricalCrossentropy", "sparse", {}), ("SparseCategoricalCrossentropy", "sparse", {"ignore_class": 1}),
    ("SparseCategoricalCrossentropy", "sequence", {"from_logits": True}),
    ("PearsonCorrelation", "numbers", {}), ("ConcordanceCorrelation", "numbers", {}),
    *((name, kind, arguments) for name in ("TruePositives", "FalsePositives", "TrueNegatives", "FalseNegatives")
      for kind, arguments in [("binary", {}), ("labels", {"thresholds": [0.2, 0.7]}),
                              ("logits", {"thresholds": [0.0, 0.5, 1.0]})]),
    *((name, kind, arguments) for name in ("Precision", "Recall")
      for kind, arguments in [("binary", {}), ("labels", {"thresholds": [0.7, 0.2]}), ("labels", {"class_id": 1}),
                              ("one_hot", {"top_k": 2}), ("one_hot", {"top_k": 3, "class_id": 2}),
                              ("labels", {"thresholds": 0.4})]),
    ("SensitivityAtSpecificity", "labels", {"specificity": 0.6}),
    ("SpecificityAtSensitivity", "labels", {"sensitivity": 0.6, "num_thresholds": 50}),
    ("PrecisionAtRecall", "labels", {"recall": 0.7}), ("PrecisionAtRecall", "binary", {"recall": 0.2,
                                                                                      "num_thresholds": 1}),
    ("RecallAtPrecision", "labels", {"precision": 0.5, "class_id": 2}),
    *(("AUC", "labels", {"curve": curve, "summation_method": method}) for curve in ("ROC", "PR", "PRGAIN")
      for method in ("interpolation", "majoring", "minoring")),
    ("AUC", "binary", {"num_thresholds": 11}), ("AUC", "binary", {"thresholds": [0.6, 0.25]}),
    ("AUC", "logits", {"from_logits": True}), ("AUC", "labels", {"label_weights": [0.1, 0.2, 0.3, 0.4]}),
    ("AUC", "labels", {"multi_label": True}),
    ("AUC", "labels", {"multi_label": True, "curve": "PR", "label_weights": [0.1, 0.2, 0.3, 0.4]}),
    ("AUC", "labels", {"multi_label": True, "thresholds": [0.3, 0.4], "num_labels": 4}),
    ("IoU", "classes", {"num_classes": CLASSES, "target_class_ids": [0, 2]}),
    ("MeanIoU", "classes", {"num_classes": CLASSES}), ("MeanIoU", "classes", {"num_classes": 3, "ignore_class": 1}),
    ("MeanIoU", "sparse", {"num_classes": CLASSES, "sparse_y_pred": False}),
    ("BinaryIoU", "labels", {}), ("BinaryIoU", "binary", {"target_class_ids": [1], "threshold": 0.4}),
    ("OneHotIoU", "one_hot", {"num_classes": CLASSES, "target_class_ids": [1, 3]}),
    ("OneHotMeanIoU", "one_hot", {"num_classes": CLASSES}),
    ("FBetaScore", "one_hot", {"beta": 2.0}), ("FBetaScore", "labels", {"threshold": 0.4, "average": "macro"}),
    ("F1Score", "one_hot", {}), ("F1Score", "one_hot", {"average": "micro"}),
    ("F1Score", "labels", {"average": "weighted", "threshold": 0.5}),
    ("R2Score", "numbers", {}), ("R2Score", "numbers", {"class_aggregation": None}),
    ("R2Score", "numbers", {"class_aggregation": "variance_weighted_average", "num_regressors": 2}),
]


def close(ours: Any, theirs: Any) -> None:
    np.testing.assert_allclose(torch.as_tensor(ours).numpy(), torch.as_tensor(theirs).detach().cpu().numpy(),
                               rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("name", "kind", "arguments"), CASES)
def test_metrics_are_those_of_keras(name: str, kind: str, arguments: dict[str, Any], weighted: bool) -> None:
    state, theirs = getattr(metrics, name)(**arguments).to_torch(), getattr(keras.metrics, name)(**arguments)
    for seed in range(3):
        y_true, y_pred = batch(kind, seed)
        weight = np.abs(numbers(6, seed=seed)) if weighted else None
        if weighted and "IoU" in name:
            weight = np.random.default_rng(seed).integers(0, 3, y_true.shape if name == "BinaryIoU" else 6)
        if weighted and "sequence" in kind:
            weight = np.abs(numbers(6, 3, seed=seed))
        state.update(torch.as_tensor(y_pred), torch.as_tensor(y_true), weight)
        theirs.update_state(y_true, y_pred, weight)
        close(state.compute(), theirs.result())
    state.reset()
    y_true, y_pred = batch(kind, 7)
    state.update(torch.as_tensor(y_pred), torch.as_tensor(y_true))
    theirs.reset_state()
    theirs.update_state(y_true, y_pred)
    close(state.compute(), theirs.result())


@pytest.mark.parametrize("name", ["Mean", "Sum"])
@pytest.mark.parametrize("shapes", [((), None), ((4,), None), ((4, 3), None), ((4,), (4,)), ((4, 3), (4,)),
                                    ((4, 3), (4, 3)), ((4, 1), (4,))])
def test_means_and_sums_of_values(name: str, shapes: tuple[Any, Any]) -> None:
    state, theirs = getattr(metrics, name)().to_torch(), getattr(keras.metrics, name)()
    for seed in range(2):
        values = numbers(*shapes[0], seed=seed)
        weight = None if shapes[1] is None else np.abs(numbers(*shapes[1], seed=seed + 9))
        state.update(torch.as_tensor(values), sample_weight=weight)
        theirs.update_state(values, weight)
    close(state.compute(), theirs.result())


@pytest.mark.parametrize("name", ["MeanSquaredError", "SparseCategoricalAccuracy"])
def test_masks_that_predictions_carry(name: str) -> None:
    state, theirs = getattr(metrics, name)().to_torch(), getattr(keras.metrics, name)()
    y_true, y_pred = batch("sequence", 1)
    y_true = numbers(6, 3, CLASSES) if name == "MeanSquaredError" else y_true
    mask, given = torch.tensor(np.random.default_rng(0).random((6, 3)) > 0.4), torch.tensor(y_pred)
    given._keras_mask = mask  # type: ignore[attr-defined]
    state.update(torch.tensor(y_pred), torch.as_tensor(y_true), mask=mask)
    theirs.update_state(y_true, given)
    close(state.compute(), theirs.result())


KINDS = {"binary_accuracy": "labels", "categorical_accuracy": "one_hot", "sparse_categorical_accuracy": "sparse",
         "top_k_categorical_accuracy": "one_hot", "sparse_top_k_categorical_accuracy": "sparse",
         "pearson_correlation": "numbers", "concordance_correlation": "numbers"}


@pytest.mark.parametrize("name", sorted(KINDS))
def test_functions_are_those_of_keras(name: str) -> None:
    ours, theirs = getattr(metrics, name), getattr(keras.metrics, name)
    extra = {"k": 2} if "top_k" in name else {}
    y_true, y_pred = batch(KINDS[name], 1)
    close(ours(y_true, y_pred, **extra), theirs(torch.as_tensor(y_true), torch.as_tensor(y_pred), **extra))
    given = list(inspect.signature(theirs).parameters.values())
    assert [(p.name, p.default) for p in inspect.signature(ours).parameters.values()] == [
        (p.name, p.default) for p in given]


def test_every_metric_of_keras_is_here() -> None:
    assert {name for name in dir(keras.metrics) if name[0] != "_"} <= set(dir(metrics))
    assert {name for name, _, _ in CASES} | {"Mean", "Sum", "MeanMetricWrapper"} == set(metrics.Metric.catalog())
    assert set(FUNCTIONS) == {name for name in dir(keras.metrics) if name[0] != "_" and name.islower()} - {
        "get", "serialize", "deserialize"}


@pytest.mark.parametrize(("name", "kind", "arguments"), CASES)
def test_configs_are_those_of_keras(name: str, kind: str, arguments: dict[str, Any]) -> None:
    keras.utils.clear_session(free_memory=False)
    ours, theirs = getattr(metrics, name)(**arguments), getattr(keras.metrics, name)(**arguments)
    written, expected = json.loads(json.dumps(metrics.serialize(ours))), keras.metrics.serialize(theirs)
    if arguments.get("label_weights"):  # Keras writes a tensor, which JSON cannot hold
        expected["config"]["label_weights"] = arguments["label_weights"]
    if name == "CosineSimilarity" and arguments:  # which Keras forgets
        expected["config"]["axis"] = 1
    assert written == json.loads(json.dumps(expected))
    read = metrics.deserialize(written)
    assert json.loads(json.dumps(metrics.serialize(read))) == written
    assert type(keras.metrics.deserialize(written)) is type(theirs)


@pytest.mark.parametrize("name", ["mse", "MSE", "mae", "auc", "AUC", "binary_accuracy", "MeanSquaredError", "precision",
                                  "f1_score", "sparse_top_k_categorical_accuracy", "cosine_similarity", "r2_score"])
def test_names_as_keras_takes_them(name: str) -> None:
    assert type(metrics.get(name)).__name__ == type(keras.metrics.get(name)).__name__


def test_a_function_of_ones_own() -> None:
    def largest(y_true: torch.Tensor, y_pred: torch.Tensor, power: int = 1) -> torch.Tensor:
        return (y_true - y_pred).abs().amax(-1) ** power

    ours = metrics.MeanMetricWrapper(largest, name="most", power=2)
    written = json.loads(json.dumps(metrics.serialize(ours)))
    read = metrics.deserialize(written, custom_objects={"largest": largest})
    state = read.to_torch()
    state.update(torch.tensor([[1.0, 3.0], [0.0, 1.0]]), torch.zeros(2, 2))
    assert state.compute() == 5 and read.full_name == "most"


@pytest.mark.parametrize(("make", "message"), [
    (lambda: metrics.get("acuracy"), "Did you mean"),
    (lambda: metrics.get({"class_name": "function", "config": "os.system"}), "not one of keras.metrics"),
    (lambda: metrics.MeanMetricWrapper("largest"), "custom_objects"),
    (lambda: metrics.Precision(thresholds=[0.5, 2.0]), "between 0 and 1"),
    (lambda: metrics.AUC(curve="line"), "must be one of"), (lambda: metrics.AUC(num_thresholds=1), "more than 1"),
    (lambda: metrics.AUC(num_labels=3), "multi_label"),
    (lambda: metrics.IoU(2, [0, 2]), "below 2"), (lambda: metrics.RecallAtPrecision(2.0), "between 0 and 1"),
    (lambda: metrics.FBetaScore(beta=0.0), "more than 0"), (lambda: metrics.F1Score(threshold=2.0), "at most 1"),
    (lambda: metrics.R2Score(num_regressors=-1), "0 or more"),
    (lambda: metrics.R2Score().to_torch().update(torch.ones(2), torch.ones(2)), r"takes \(batch, classes\)"),
    (lambda: metrics.AUC(multi_label=True).to_torch().update(torch.ones(2), torch.ones(2)), "batch, labels")])
def test_what_is_refused(make: Any, message: str) -> None:
    with pytest.raises(KerashapeError, match=message):
        make()


@pytest.mark.parametrize("room", ["metrics", "metrics.base", "metrics.confusion", "metrics.functions",
                                  "metrics.overlaps", "training.metrics"])
def test_doctests(room: str) -> None:
    found = doctest.testmod(__import__(f"kerashape_torch.{room}", fromlist=["_"]))
    assert found.attempted > 0 and found.failed == 0
