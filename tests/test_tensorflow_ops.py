"""Raw operations of TensorFlow 2.0 to 2.3 as layers, against TensorFlow (scripts/record_tensorflow_ops.py)."""

from __future__ import annotations

import base64
import copy
import gzip
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from harness import DATA

from kerashape_torch.errors import ConfigError
from kerashape_torch.models import Model
from kerashape_torch.saving import load_model
from kerashape_torch.saving.preflight import findings
from kerashape_torch.saving.upgrade.tensorflow.nodes import NEVER, NODES
from kerashape_torch.structure import flatten

Config = dict[str, Any]

with gzip.open(DATA / "tensorflow_ops.jsonl.gz", "rt", encoding="utf-8") as lines:
    CASES = [json.loads(line) for line in lines]
REFUSED = {
    "atrous": "raw_ops.SpaceToBatchND", "batch_rows": "asks for the size of a tensor as a number",
    "by_hand_open": "one beside the batch's, which the tensor does not have",
    "corners": "align_corners=True with half_pixel_centers=False", "indices": "a shape that depends on numbers",
    "noise": "draws new numbers in every call", "picked": "batch_dims=1 is not had", "picked_nd": "raw_ops.GatherNd",
    "sampled": "draws new numbers in every call", "transposed": "raw_ops.Conv2DBackpropInput",
}
"""Programs that cannot be had, and why."""


def named(cases: list[Config]) -> Any:
    return pytest.mark.parametrize("case", cases, ids=[
        f"{case.get('op') or case['code']}_{number:03}" for number, case in enumerate(cases)])


def written(case: Config) -> Config:
    return {"class_name": "Model", "config": case["config"], "keras_version": "2.2.4-tf"}


def load(case: Config, **custom_objects: Any) -> Model:
    return load_model(written(case), custom_objects=custom_objects)


def array(stored: Config) -> Any:
    return np.array(stored["values"], stored["dtype"]).reshape(stored["shape"])


def answers(model: Model, case: Config) -> list[torch.Tensor]:
    return flatten(model.to_torch()(*(torch.as_tensor(array(x)) for x in case["inputs"])))


def agree(ours: Any, theirs: Any) -> bool:
    """TensorFlow may have settled the size of the batch, and does not know what comes of sizes that it works out."""
    return theirs is None or (len(ours) == len(theirs) and all(
        a == b or b is None or (axis == 0 and a is None) for axis, (a, b) in enumerate(zip(ours, theirs))))


def test_every_operation_has_cases() -> None:
    of_sizes = {"Shape", "Size", "Fill"}  # layers of these do not stand alone
    assert {case["op"] for case in CASES if "op" in case} == NODES.keys() - of_sizes
    programs = [case for case in CASES if "code" in case and case["code"] not in REFUSED]
    assert of_sizes <= {config["node_def"]["op"] for case in programs for config in nodes_of(case)}
    assert not NEVER.keys() & NODES.keys()
    docs = (Path(__file__).resolve().parent.parent / "docs" / "old_configs.md").read_text()
    assert f"for {len(NODES)} of its raw operations" in docs


@named([case for case in CASES if case.get("code") not in REFUSED])
def test_shapes_and_numbers(case: Config) -> None:
    model = load(case)
    outputs, symbolic = answers(model, case), flatten(model.outputs)
    assert len(outputs) == len(symbolic) == len(case["outputs"])
    for output, tensor, wanted in zip(outputs, symbolic, case["outputs"], strict=True):
        assert str(output.dtype).removeprefix("torch.") == wanted["dtype"]
        assert agree(tensor.shape, wanted["static"])
        assert agree(wanted["shape"], tensor.shape)
        np.testing.assert_allclose(output, array(wanted), rtol=1e-4, atol=1e-5, strict=True)


@named([case for case in CASES if case.get("code") in REFUSED])
def test_programs_that_cannot_be_had(case: Config) -> None:
    with pytest.raises(ConfigError, match=re.escape(REFUSED[case["code"]])):
        load(case)
    assert findings(written(case)).open


def test_a_function_of_sizes_alone_gets_the_tensor_that_has_them() -> None:
    cases = {case["code"]: case for case in CASES if "code" in case}
    sampled = load(cases["sampled"], **{"random.normal": lambda mean: torch.zeros(len(mean), 2)})
    np.testing.assert_array_equal(answers(sampled, cases["sampled"])[0], array(cases["sampled"]["inputs"][0]))
    noisy = load(cases["noise"], **{"random.uniform": torch.zeros_like})
    np.testing.assert_array_equal(answers(noisy, cases["noise"])[0], array(cases["noise"]["outputs"][0]))


def test_an_op_that_stands_in_several_places_is_done_once() -> None:
    model = load(next(case for case in CASES if case.get("op") == "TopKV2"))
    assert [type(layer).__name__ for layer in model.operations] == [
        "InputLayer", "Negative", "Argsort", "GetItem", "TakeAlongAxis", "Identity"]


# ---- other attributes, other forms -----------------------------------------------------------------------------------


def nodes_of(case: Config) -> list[Config]:
    return [layer["config"] for layer in case["config"]["layers"] if "node_def" in layer["config"]]


def changed(op: str, *, to: str | None = None, constants: Config | None = None, **attributes: Any) -> Config:
    """The first case of an operation, whose only layer is changed."""
    case = copy.deepcopy(next(case for case in CASES if case.get("op") == op))
    config, = nodes_of(case)
    config["node_def"]["attr"].update(attributes)
    config["node_def"]["op"] = to or op
    config["constants"].update(constants or {})
    return case


def text(value: str) -> Config:
    return {"s": base64.b64encode(value.encode()).decode()}


@pytest.mark.parametrize(("case", "words"), [
    (changed("ResizeBilinear", align_corners={"b": True}), "align_corners=True with half_pixel_centers=True"),
    (changed("ResizeBicubic", half_pixel_centers={}), "half_pixel_centers=False"),
    (changed("ResizeNearestNeighbor", half_pixel_centers={"b": False}), "from the centres of pixels"),
    (changed("GatherV2", batch_dims={"i": "1"}), "batch_dims=1 is not had"),
    (changed("BiasAdd", data_format=text("NCHW")), "channels in front"),
    (changed("MaxPool", padding=text("EXPLICIT")), "padding='EXPLICIT' is not had"),
    (changed("MaxPool", ksize={"list": {"i": ["1", "2", "2", "2"]}}), "go along the batch or the channels"),
    (changed("AvgPool", strides={"list": {"i": ["2", "1", "1", "1"]}}), "go along the batch or the channels"),
    (changed("Conv2D", dilations={"list": {"i": ["1", "1", "1", "2"]}}), "go along the batch or the channels"),
    (changed("Cast", Truncate={"b": True}), "digits are not cut off"),
    (changed("DepthToSpace", data_format=text("NCHW_VECT_C")), "data_format='NCHW_VECT_C' is not had"),
    (changed("MatrixDiagPartV3", constants={"1": [0, 1]}), "several diagonals"),
    (changed("Relu", to="Betainc"), "raw_ops.Betainc"),
    *((changed("Relu", to=op), "Way out: pass a function of torch tensors") for op in NEVER),
])
def test_attributes_that_cannot_be_had(case: Config, words: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)):
        load(case)
    assert findings(written(case)).open


@named([next(case for case in CASES if case.get("op") == op) for op in (
    "Sum", "MatMul", "Cumsum", "StridedSlice", "Mul", "ConcatV2")])
def test_other_forms(case: Config) -> None:
    """Protobuf leaves out what is false or zero, a definition may be text, and some inputs are only waited for."""
    case = copy.deepcopy(case)
    for config in nodes_of(case):
        node = config["node_def"]
        node["attr"].update({name: {} for name, value in node["attr"].items() if value in ({"b": False}, {"i": "0"})})
        node["input"].append("^assert_equal/Assert")
        config["node_def"] = json.dumps(node)
    test_shapes_and_numbers(case)


def in_front(sizes: list[Any]) -> list[Any]:
    return [sizes[axis] for axis in (0, 3, 1, 2)]


@named([case for case in CASES if case.get("op") in (
    "Conv2D", "DepthwiseConv2dNative", "MaxPool", "AvgPool", "DepthToSpace", "SpaceToDepth")
    and nodes_of(case)[0]["node_def"]["attr"].get("padding") != text("EXPLICIT")])
def test_channels_in_front(case: Config) -> None:
    """TensorFlow has no such kernels on a CPU: what it says of channels last, with the axes moved."""
    case = copy.deepcopy(case)
    entry, layer = case["config"]["layers"]
    entry["config"]["batch_input_shape"] = in_front(entry["config"]["batch_input_shape"])
    attributes = layer["config"]["node_def"]["attr"]
    attributes["data_format"] = text("NCHW")
    for name in {"strides", "ksize", "dilations"} & attributes.keys():
        attributes[name]["list"]["i"] = in_front(attributes[name]["list"]["i"])
    for stored in (*case["inputs"], *case["outputs"]):
        stored["values"] = array(stored).transpose(0, 3, 1, 2).ravel().tolist()
        stored["shape"] = in_front(stored["shape"])
        stored["static"] = in_front(stored["static"]) if stored.get("static") else None
    test_shapes_and_numbers(case)


def test_functions_resize_as_the_operations_do() -> None:
    """Of the later TFOpLambda, too: TensorFlow's bicubic kernel is not torch's."""
    case = copy.deepcopy(next(case for case in CASES if case.get("op") == "ResizeBicubic"))
    layer = next(layer for layer in case["config"]["layers"] if "node_def" in layer["config"])
    size = layer["config"]["constants"]["1"]
    layer.update(class_name="TFOpLambda", config={"name": layer["name"], "function": "image.resize"},
                 inbound_nodes=[["x0", 0, 0, {"size": size, "method": "bicubic"}]])
    test_shapes_and_numbers(case)
