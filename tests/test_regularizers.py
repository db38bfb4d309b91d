"""Regularizers: numbers and configs are those of Keras itself."""

import doctest
import json

import keras
import numpy as np
import pytest
import torch

from kerashape_torch import config, regularizers
from kerashape_torch.errors import ConfigError, ShapeError

CASES = [
    ("L1", {}),
    ("L1", {"l1": 0.3}),
    ("L1", {"l1": 1}),
    ("L2", {}),
    ("L2", {"l2": 0.3}),
    ("L2", {"l2": None}),
    ("L1L2", {}),
    ("L1L2", {"l1": 0.1}),
    ("L1L2", {"l1": None, "l2": 0.2}),
    ("L1L2", {"l1": 0.1, "l2": 2}),
    ("OrthogonalRegularizer", {}),
    ("OrthogonalRegularizer", {"factor": 0.3, "mode": "columns"}),
]


def rounded(written):
    """Keras keeps some factors in float32, and so writes 0.30000001192092896 where 0.3 was said."""
    return json.loads(json.dumps(written), parse_float=lambda text: float(np.float32(text)))


@pytest.mark.parametrize(("name", "arguments"), CASES)
def test_config_and_numbers_are_those_of_keras(name, arguments):
    ours = getattr(regularizers, name)(**arguments)
    theirs = getattr(keras.regularizers, name)(**arguments)
    written = regularizers.serialize(ours)
    assert rounded(written) == rounded(keras.regularizers.serialize(theirs))
    assert rounded(keras.regularizers.serialize(keras.regularizers.deserialize(written))) == rounded(written)
    assert regularizers.serialize(regularizers.deserialize(json.loads(json.dumps(written)))) == written
    for shape in [(5, 4), (4, 5)] + ([(3, 3, 2, 4), (7,)] if name != "OrthogonalRegularizer" else []):
        x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(ours(x), theirs(x.to(keras.ops.zeros(1).device)).cpu(), rtol=1e-5, atol=1e-6)
        assert ours(x).shape == () and ours(x.double()).dtype == torch.float64


def test_a_factor_is_written_as_it_was_given():
    assert regularizers.L1(0.3).get_config() == {"l1": 0.3}


@pytest.mark.parametrize("value", [torch.zeros(3, 2), torch.eye(3)])
def test_orthogonal_vectors_cost_nothing(value):
    assert regularizers.OrthogonalRegularizer()(value) == 0


@pytest.mark.parametrize(("name", "class_name"), [
    ("l1", "L1"), ("L1", "L1"), ("l2", "L2"), ("L2", "L2"), ("l1_l2", "L1L2"), ("l1l2", "L1L2"), ("L1L2", "L1L2"),
    ("orthogonal_regularizer", "OrthogonalRegularizer"), ("OrthogonalRegularizer", "OrthogonalRegularizer"),
])
def test_names(name, class_name):
    assert type(regularizers.get(name)) is getattr(regularizers, class_name)


@pytest.mark.parametrize("name", [name for name in dir(keras.regularizers) if not name.startswith("_")])
def test_every_name_of_keras_is_here(name):
    assert getattr(regularizers, name).__name__ == getattr(keras.regularizers, name).__name__


@pytest.mark.parametrize(("make", "words"), [
    (lambda: regularizers.L1(-1), r"L1\(l1=...\) must be a finite number, 0 or more, got -1"),
    (lambda: regularizers.L2(float("nan")), "finite"),
    (lambda: regularizers.L2("0.1"), "finite"),
    (lambda: regularizers.L1L2(l2=float("inf")), "finite"),
    (lambda: regularizers.OrthogonalRegularizer(mode="row"), "Did you mean 'rows'"),
    (lambda: regularizers.get("l1_l3"), "'l1_l3' is not one of keras.regularizers. Did you mean 'l1_l2'"),
    (lambda: regularizers.get({"class_name": "L3", "config": {}}), "not one of keras.regularizers"),
])
def test_refusals(make, words):
    with pytest.raises(ConfigError, match=words):
        make()


def test_orthogonal_needs_a_matrix():
    with pytest.raises(ShapeError, match=r"takes a matrix, got \(2, 2, 2\)"):
        regularizers.OrthogonalRegularizer()(torch.zeros(2, 2, 2))


class Holder(config.Record, catalog=False):
    kernel_regularizer: regularizers.RegularizerLike = None


def test_field():
    dense = keras.layers.Dense(1, kernel_regularizer="l2").get_config()
    held = Holder("l2")
    assert held.kernel_regularizer == "l2"
    assert held.get_config()["kernel_regularizer"] == dense["kernel_regularizer"]
    assert Holder.from_config(held.get_config()).get_config() == held.get_config()
    assert Holder().get_config() == {"kernel_regularizer": None}
    assert Holder(regularizers.l1(0.5)).get_config()["kernel_regularizer"]["config"] == {"l1": 0.5}
    with pytest.raises(ConfigError, match=r"^Holder\(kernel_regularizer=...\): 'l3' is not one of"):
        Holder("l3")


def test_your_own():
    class Mine(regularizers.Regularizer, catalog=False):
        def __call__(self, x):
            return x.sum()

    assert regularizers.get(Mine)(torch.ones(3)) == 3
    made = regularizers.deserialize({"class_name": "Mine", "config": {}}, {"Mine": Mine})
    assert isinstance(made, Mine)
    assert regularizers.Regularizer()(torch.ones(3)) == 0


def test_doctests():
    assert doctest.testmod(regularizers).failed == 0
