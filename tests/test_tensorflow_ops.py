"""Functions and raw operations of TensorFlow as layers of Keras 2, against TensorFlow.

Of TensorFlow 2.0 to 2.3 by scripts/record_tensorflow_ops.py, of later ones by scripts/record_tensorflow_functions.py.
"""

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
from test_port import module_of

from kerashape_torch.errors import ConfigError
from kerashape_torch.models import Model, model_from_json
from kerashape_torch.saving import load_model, port
from kerashape_torch.saving.preflight import findings
from kerashape_torch.saving.upgrade.tensorflow import table
from kerashape_torch.saving.upgrade.tensorflow.nodes import NEVER, NODES
from kerashape_torch.saving.upgrade.tensorflow.table import _find
from kerashape_torch.structure import flatten

Config = dict[str, Any]


def recorded(name: str) -> list[Config]:
    with gzip.open(DATA / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


CASES, FUNCTIONS = recorded("tensorflow_ops"), recorded("tensorflow_functions")
REFUSED = {
    "by_hand_open": "one beside the batch's, which the tensor does not have",
    "corners": "align_corners=True with half_pixel_centers=False", "indices": "a shape that depends on numbers",
    "noise": "draws new numbers in every call", "sampled": "draws new numbers in every call",
}
"""Programs that cannot be had, and why."""
_COUNTED, _DRAWN, _UNKNOWN = "a shape that depends on numbers", "draws new numbers", "no equivalent here"
_UNSETTLED = "not known before there are tensors"
REFUSED_FUNCTIONS = {
    "image.resize half open": "no multiple of the image's own", "image.resize turned open": "no multiple",
    "image.resize by twice another": "no multiple",
    "image.central_crop open": "settle the image size in the input shape",
    "image.non_max_suppression": _COUNTED, "image.random_flip_left_right": _DRAWN, "image.sobel_edges open": _UNSETTLED,
    "math.segment_sum": "tf.math.unsorted_segment_*",
    "sequence_mask longest": f"without maxlen its result has {_COUNTED}", "dynamic_stitch": _UNKNOWN,
    "nn.dilation2d": _UNKNOWN, "nn.erosion2d": _UNKNOWN, "nn.max_pool_with_argmax": _UNKNOWN, "unique": _COUNTED,
    "meshgrid": "the file does not say which tensors", "math.approx_max_k": "calls tf.approx_top_k, a function of "
    "TensorFlow that has no equivalent here", "boolean_mask": "choose with tf.where", "dynamic_partition": _COUNTED,
    "where alone": _COUNTED, "strings.as_string": "torch has no tensors of strings", "py_function": "Python function",
    "ragged": "works on sparse or ragged tensors", "equal": "what == and != compare with", "random.normal": _DRAWN,
    "random.stateless_normal": _DRAWN, "nn.dropout": _DRAWN, "einsum": "which tensors it was applied to",
    "linalg.diag off": "another diagonal than the main one", "linalg.eigvals": _UNKNOWN, "linalg.sqrtm": _UNKNOWN,
    "linalg.lu": _UNKNOWN, "signal.inverse_stft windowed": "window_fn='inverse_stft_window_fn_inner' is not had",
    "signal.mdct": _UNKNOWN, "open slice": "an index is a tensor, and must be a number",
    "open shape of another": "more than one of its sizes is not known", "resize of old": "half_pixel_centers=False",
}
"""Functions that cannot be had, and words of the error."""
UNRUN = {"tensor_scatter of a constant", "linalg.logdet", "linalg.cholesky", "linalg.cholesky_solve"}
"""They do not run on made-up inputs, so that a port cannot check itself."""


OF_OTHERS = {
    "arg_max", "arg_min", "convert_to_tensor", "keras.backend.batch_flatten", "linalg.logdet", "linalg.matvec",
    "math.logical_xor", "math.mod", "nn.batch_normalization", "nn.conv_transpose", "nn.max_pool", "nn.moments",
    "realdiv"
}
"""Functions that TensorFlow 2.21 takes apart, or has under another name; earlier ones wrote them so."""


def named(cases: list[Config]) -> Any:
    return pytest.mark.parametrize("case", cases, ids=[
        f"{case.get('op') or case['code']}_{number:03}" for number, case in enumerate(cases)])


def written(case: Config) -> Config:
    version = "2.2.4-tf" if case.get("op") or case in CASES else "2.15.0"
    return {"class_name": "Model", "config": case["config"], "keras_version": version}


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
    of_sizes = {"Shape", "Size", "Fill", "Range"}  # layers of these do not stand alone
    assert {case["op"] for case in CASES if "op" in case} == NODES.keys() - of_sizes
    programs = [case for case in CASES if "code" in case and case["code"] not in REFUSED]
    assert of_sizes <= {config["node_def"]["op"] for case in programs for config in nodes_of(case)}
    assert not NEVER.keys() & NODES.keys()
    docs = (Path(__file__).resolve().parent.parent / "docs" / "old_configs.md").read_text()
    assert f"for {len(NODES)} of its raw operations" in docs


@named([case for case in CASES if case.get("code") not in REFUSED]
       + [case for case in FUNCTIONS if case["code"] not in REFUSED_FUNCTIONS])
def test_shapes_and_numbers(case: Config) -> None:
    model = load(case)
    outputs, symbolic = answers(model, case), flatten(model.outputs)
    assert len(outputs) == len(symbolic) == len(case["outputs"])
    for output, tensor, wanted in zip(outputs, symbolic, case["outputs"], strict=True):
        assert str(output.dtype).removeprefix("torch.") == wanted["dtype"]
        assert agree(tensor.shape, wanted["static"])
        assert agree(wanted["shape"], tensor.shape)
        np.testing.assert_allclose(output.detach(), array(wanted), rtol=1e-4, atol=1e-5, strict=True)


@named([case for case in CASES if case.get("code") in REFUSED])
def test_programs_that_cannot_be_had(case: Config) -> None:
    with pytest.raises(ConfigError, match=re.escape(REFUSED[case["code"]])):
        load(case)
    assert findings(written(case)).open


@named([case for case in FUNCTIONS if case["code"] in REFUSED_FUNCTIONS])
def test_functions_that_cannot_be_had(case: Config) -> None:
    with pytest.raises(ConfigError, match=re.escape(REFUSED_FUNCTIONS[case["code"]])) as refused:
        load(case)
    text = str(refused.value)
    assert "Lambda layer" not in text and not re.search(r"(\S+: )\1", text)
    named = re.search(r"calls (tf\.[\w.]+)", text)
    assert named is None or "compat.v1" not in named[1]
    assert findings(written(case)).open or case["code"] == "ragged"


def test_every_function_has_a_case() -> None:
    """Under one of its names; those of raw operations and of Keras' backend have theirs among the programs."""
    called = {layer["config"]["function"] for case in FUNCTIONS for layer in case["config"]["layers"]
              if "function" in layer["config"]}
    called |= {node.function for node in NODES.values()}
    reached = {_find(name) for name in called}
    assert {name for name, function in table.FUNCTIONS.items() if function not in reached} == OF_OTHERS


@named([case for case in FUNCTIONS if case["code"] not in {*REFUSED_FUNCTIONS, *UNRUN}])
def test_ports_of_functions(case: Config, tmp_path: Path) -> None:
    """The source answers as the module does, to the last bit, and speaks of no file."""
    model = load(case)
    source = module_of(port(model, tmp_path / "out"))
    assert "tf_" not in (tmp_path / "out" / "model.py").read_text()
    inputs = [torch.as_tensor(array(x)) for x in case["inputs"]]
    for ours, theirs in zip(flatten(model.to_torch()(*inputs)), flatten(source.load()(*inputs)), strict=True):
        torch.testing.assert_close(theirs, ours, rtol=0, atol=0, equal_nan=True)


@named([case for case in FUNCTIONS if case["code"] not in REFUSED_FUNCTIONS])
def test_functions_are_written_again(case: Config) -> None:
    """A model of them goes through JSON, constants and ops that Keras lacks among it."""
    model = load(case)
    again = model_from_json(model.to_json())
    torch.manual_seed(0)
    wanted = answers(model, case)
    torch.manual_seed(0)
    for ours, theirs in zip(wanted, answers(again, case), strict=True):
        torch.testing.assert_close(theirs, ours, rtol=0, atol=0, equal_nan=True)


def test_what_a_check_says_of_functions() -> None:
    def verdicts(code: str) -> dict[str, tuple[str, str]]:
        found = findings(written(next(case for case in FUNCTIONS if case["code"] == code)))
        return {each.layer: (each.verdict, each.supply) for each in found.layers if each.verdict != "exact"}

    assert verdicts("nn.erosion2d") == {"tf.nn.erosion2d": ("needs you", "nn.erosion2d")}
    assert verdicts("einsum") == {"tf.einsum": ("refused", "")}
    assert verdicts("strings.as_string") == {f"tf.strings.{name}": ("needs you", f"strings.{name}")
                                             for name in ("as_string", "length")}
    assert verdicts("math.argmax") == {}


def test_a_function_of_the_users_own_by_each_of_its_names() -> None:
    case = next(case for case in FUNCTIONS if case["code"] == "boolean_mask")
    for name in ("boolean_mask", "compat.v1.boolean_mask", "tf.compat.v1.boolean_mask"):
        model = load_model(written(case), custom_objects={name: lambda tensors: tensors[0] * tensors[1]})
        x = torch.as_tensor(array(case["inputs"][0]))
        torch.testing.assert_close(answers(model, case)[0], x.clamp(min=0))


@pytest.mark.parametrize(("code", "function", "argument"), [
    ("image.sobel_edges", "tile", "multiples"), ("signal.stft", "signal.stft", "frame_length"),
    ("image.resize area (4, 7)", "image.resize", "size")])
def test_a_constant_beyond_reason(code: str, function: str, argument: str) -> None:
    case = copy.deepcopy(next(case for case in FUNCTIONS if case["code"] == code))
    layer = next(layer for layer in case["config"]["layers"] if layer["config"].get("function") == function)
    node, = layer["inbound_nodes"]
    arguments = (node if isinstance(node[0], str) else node[0])[3]
    given = arguments[argument]
    arguments[argument] = [10 ** 9, *given[1:]] if isinstance(given, list) else 10 ** 9
    with pytest.raises(ConfigError, match="larger than any that a model has"):
        load(case)


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
