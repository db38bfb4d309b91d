"""Whole models of Keras 1 and 2: the shapes and numbers that tf_keras recorded, from every form of their configs."""

from __future__ import annotations

from typing import Any

import legacy_models
import numpy as np
import pytest
import torch
from harness import plain
from legacy_models import FORMS, FUNCTIONS, RECORDS

import kerashape_torch as kt
from kerashape_torch.errors import ConfigError
from kerashape_torch.models import Model
from kerashape_torch.saving import load_model
from kerashape_torch.saving.upgrade import Upgraded, upgrade
from kerashape_torch.structure import flatten

REFUSED = {"k2_tfop_einsum": "does not say which tensors", "comparisons": "does not say what == and != compare with"}
"""What Keras 2 itself cannot read back, because it leaves out arguments of a call."""

LEFT_OUT = ("InputLayer", "TFOpLambda", "AddLoss", "AddMetric", "SlicingOpLambda")
"""Classes of which some lead to no output: losses, and sizes of tensors, which are numbers today."""


def upgraded(name: str, form: str) -> Upgraded:
    written = RECORDS[name]["forms"][form]
    return upgrade(written["config"], written.get("version"), written.get("backend"))


def loaded(name: str, form: str) -> tuple[Model, Upgraded]:
    found = upgraded(name, form)
    return load_model(found.config, custom_objects=FUNCTIONS.get(name)), found


readable = pytest.mark.parametrize(("name", "form"), [(n, f) for n, f in FORMS if n not in REFUSED])


@readable
def test_shapes(name: str, form: str) -> None:
    model, found = loaded(name, form)
    said = RECORDS[name]["shapes"]
    if "layers" not in said:
        assert plain(model.output_shape) == said["expected_output_shape"]
        if "expected_layer_shapes" in said:
            assert plain([layer.output_shape for layer in model.layers]) == said["expected_layer_shapes"]
        return
    assert (plain(model.input_shape), plain(model.output_shape)) == (said["input_shape"], said["output_shape"])
    assert model.count_params() == said["params"]
    assert model.count_params(trainable=True) == said.get("trainable", model.count_params(trainable=True))
    ours = {found.renamed.get(layer.name, layer.name): layer for layer in model.operations}
    assert not {layer["name"] for layer in said["layers"] if layer["class"] not in LEFT_OUT} - ours.keys()
    for layer in said["layers"]:
        if layer["name"] in ours and layer["class"] != "InputLayer":  # whose shape Keras puts in a list
            assert plain(ours[layer["name"]].output_shape) == layer["output_shape"], layer
            assert ours[layer["name"]].count_params() == layer["params"], layer


@pytest.mark.parametrize("name", [name for name, record in RECORDS.items()
                                  if record.get("numbers") and name not in REFUSED])
def test_numbers(name: str) -> None:
    model, found = loaded(name, "json")
    stored = legacy_models.arrays(name)
    module = model.to_torch()
    kt.set_keras_weights(module, legacy_models.weights(model, name, stored, dict(found.renamed)))
    inputs = [torch.as_tensor(stored[f"input_{i}"]) for i in range(len(model.graph.flat_inputs))]
    with torch.inference_mode():
        outputs = flatten(module(*inputs))
    assert len(outputs) == sum(key.startswith("output_") for key in stored)
    loose = "mixed" in name  # bfloat16 has three digits
    for i, output in enumerate(outputs):
        np.testing.assert_allclose(output.float(), stored[f"output_{i}"].astype("float32"),
                                   rtol=2e-2 if loose else 1e-4, atol=2e-2 if loose else 1e-5, err_msg=str(i))


@pytest.mark.parametrize("name", [name for name in REFUSED if name in RECORDS])
def test_what_keras_2_cannot_read_back_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=REFUSED[name]):
        loaded(name, "json")


@readable
def test_what_is_upgraded_stays_as_it_is(name: str, form: str) -> None:
    once = upgraded(name, form).config
    again = upgrade(once)
    assert again.config is once
    assert (again.version, again.notes) == ((3,), ())


@readable
def test_nothing_of_the_old_config_is_changed(name: str, form: str) -> None:
    before = plain(RECORDS[name]["forms"][form])
    upgraded(name, form)
    assert RECORDS[name]["forms"][form] == before


def described(model: Model) -> Any:
    return plain(model.get_config())


@readable
def test_a_model_written_again_is_the_same(name: str, form: str) -> None:
    if name in FUNCTIONS:
        pytest.skip("a Lambda's function is not in its config")
    model, _ = loaded(name, form)
    assert described(load_model(plain(model.serialize()))) == described(model)
