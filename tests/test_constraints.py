"""Constraints: numbers and configs are those of Keras itself."""

import doctest
import json

import keras
import pytest
import torch

from kerashape_torch import config, constraints, regularizers
from kerashape_torch.errors import ConfigError

CASES = [
    ("MaxNorm", {}),
    ("MaxNorm", {"max_value": 0.5, "axis": 1}),
    ("MaxNorm", {"max_value": 3, "axis": [0, 1]}),
    ("MinMaxNorm", {}),
    ("MinMaxNorm", {"min_value": 0.5, "max_value": 0.7, "rate": 0.3, "axis": -1}),
    ("NonNeg", {}),
    ("UnitNorm", {}),
    ("UnitNorm", {"axis": (0, 1)}),
    ("UnitNorm", {"axis": None}),
]


@pytest.mark.parametrize(("name", "arguments"), CASES)
def test_config_and_numbers_are_those_of_keras(name, arguments):
    ours = getattr(constraints, name)(**arguments)
    theirs = getattr(keras.constraints, name)(**arguments)
    written = constraints.serialize(ours)
    assert ours.get_config() == theirs.get_config()
    assert written == keras.constraints.serialize(theirs)
    again = json.loads(json.dumps(written))
    assert constraints.serialize(constraints.deserialize(again)) == again
    assert keras.constraints.serialize(keras.constraints.deserialize(again)) == again
    for shape in [(5, 4), (3, 3, 2, 4)]:
        w = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(ours(w), theirs(w.to(keras.ops.zeros(1).device)).cpu(), rtol=1e-5, atol=1e-6)
        assert not ours(torch.zeros(shape)).any()


@pytest.mark.parametrize("name", [
    "MaxNorm", "max_norm", "MinMaxNorm", "min_max_norm", "NonNeg", "non_neg", "UnitNorm", "unit_norm",
])
def test_names(name):
    theirs = keras.constraints.get(name)
    assert constraints.serialize(constraints.get(name)) == keras.constraints.serialize(theirs)


@pytest.mark.parametrize("name", [name for name in dir(keras.constraints) if not name.startswith("_")])
def test_every_name_of_keras_is_here(name):
    assert getattr(constraints, name).__name__ == getattr(keras.constraints, name).__name__


@pytest.mark.parametrize(("make", "words"), [
    (lambda: constraints.get("maxnorm"), "not one of keras.constraints. Did you mean"),
    (lambda: constraints.MaxNorm(max_value="a"), r"MaxNorm\(max_value=...\) must be a number"),
    (lambda: constraints.get(regularizers.L2()), r"L2\(\) is not one of keras.constraints"),
])
def test_refusals(make, words):
    with pytest.raises(ConfigError, match=words):
        make()


class Holder(config.Record, catalog=False):
    kernel_constraint: constraints.ConstraintLike = None


def test_field():
    dense = keras.layers.Dense(1, kernel_constraint="MaxNorm").get_config()
    held = Holder("MaxNorm")
    assert held.kernel_constraint == "MaxNorm"
    assert held.get_config()["kernel_constraint"] == dense["kernel_constraint"]
    assert Holder.from_config(held.get_config()).get_config() == held.get_config()
    assert Holder().get_config() == {"kernel_constraint": None}
    with pytest.raises(ConfigError, match=r"^Holder\(kernel_constraint=...\): 'MaxNrm' is not one of"):
        Holder("MaxNrm")


def test_your_own():
    class Mine(constraints.Constraint, catalog=False):
        pass

    assert constraints.get(Mine)(3) == 3


def test_doctests():
    assert doctest.testmod(constraints).failed == 0
