"""Configs of older Keras versions, part by part: who wrote them, what their words mean, and what is refused."""

from __future__ import annotations

import doctest
import importlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from harness import plain

import kerashape_torch as kt
from kerashape_torch import layers
from kerashape_torch.errors import ConfigError, KerashapeError, UnsafeConfigError
from kerashape_torch.layer import Layer
from kerashape_torch.models import Model, Sequential, model_from_json, model_from_yaml
from kerashape_torch.saving import deserialize_keras_object, load_model
from kerashape_torch.saving.upgrade import RENAMED_CLASSES, to_keras3, upgrade

Config = dict[str, Any]


@pytest.mark.parametrize("name", ["", ".layers", ".scope"])
def test_doctests(name: str) -> None:
    module = importlib.import_module(f"kerashape_torch.saving.upgrade{name}")
    done = doctest.testmod(module)
    assert done.attempted and not done.failed


def lstm(**more: Any) -> Config:
    return {"class_name": "LSTM", "config": {"name": "lstm_1", "units": 4, "batch_input_shape": [None, 5, 3], **more}}


def sequential(*written: Config, **more: Any) -> Config:
    return {"class_name": "Sequential", "config": list(written), **more}


# ---- who wrote it ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("config", "stated", "version"), [
    (sequential(keras_version="1.2.2"), None, (1, 2, 2)), (sequential(keras_version="2.2.4-tf"), None, (2, 2, 4)),
    (sequential(), "2.15.0", (2, 15, 0)), (sequential(keras_version="2.1.6"), "1", (1,)),
    (sequential(lstm()), None, (2,)), (sequential(), None, (2,)),
    (sequential({"class_name": "Dense", "config": {"output_dim": 3}}), None, (1,)),
    ({"class_name": "Dense", "config": {"units": 3}}, None, (3,)),
    ({"class_name": "Dense", "module": "keras.layers", "config": {"units": 3}}, "3.15.1", (3, 15, 1)),
    ({"class_name": "Sequential", "module": "keras", "config": {"name": "s", "layers": []}}, None, (3,)),
])
def test_versions(config: Config, stated: str | None, version: tuple[int, ...]) -> None:
    assert upgrade(config, stated).version == version


def test_the_backend_is_known() -> None:
    assert upgrade(sequential(backend="theano")).origin.backend == "theano"
    assert upgrade(sequential(), backend="cntk").origin.backend == "cntk"


def test_configs_of_keras_3_come_back_as_they_are() -> None:
    for layer in (layers.LSTM(4, recurrent_activation="hard_sigmoid", input_shape=(5, 3)), layers.CuDNNLSTM(3),
                  layers.RandomHeight(0.1), layers.MaxoutDense(3), layers.LocallyConnected1D(2, 2)):
        written = plain(Sequential([layer]).serialize())
        assert to_keras3(written) is written
        assert upgrade(written).notes == ()


# ---- what words mean -------------------------------------------------------------------------------------------------


def recurrent_activation(config: Config, version: str) -> Any:
    return upgrade(config, version).config["config"].get("recurrent_activation")


def test_hard_sigmoid_is_that_of_the_version() -> None:
    old = lstm(recurrent_activation="hard_sigmoid")
    assert recurrent_activation(old, "2.2.4") == recurrent_activation(old, "2.15.0") == "keras2_hard_sigmoid"
    assert recurrent_activation(old, "3.0.0") == "hard_sigmoid"
    note, = upgrade(old, "2.2.4").notes
    assert str(note).startswith("lstm_1: recurrent_activation 'hard_sigmoid' is that of Keras 1 and 2: 0.2 * x + 0.5")


def test_numbers_of_hard_sigmoid() -> None:
    x = torch.linspace(-4, 4, 33).reshape(1, 33)
    old = {"class_name": "Activation", "config": {"name": "a", "activation": "hard_sigmoid"}}
    for version, slope in (("2.2.4", 0.2), ("3.5.0", 1 / 6)):
        layer = deserialize_keras_object(to_keras3(old, version))
        torch.testing.assert_close(layer.to_torch((33,))(x), (slope * x + 0.5).clamp(0, 1))


@pytest.mark.parametrize(("version", "default"), [
    ("2.0.8", "keras2_hard_sigmoid"), ("2.2.4", "keras2_hard_sigmoid"), ("2.3.1", None), ("2.2.4-tf", None),
    ("2.15.0", None)])
def test_recurrent_defaults_are_those_of_the_version(version: str, default: str | None) -> None:
    assert recurrent_activation(lstm(), version) == default


@pytest.mark.parametrize(("version", "default"), [
    ("2.1.6", False), ("2.3.1", False), ("2.3.0-tf", None), ("2.9.0", None)])
def test_reset_after_is_that_of_the_version(version: str, default: bool | None) -> None:
    found = upgrade({"class_name": "GRU", "config": {"name": "g", "units": 2}}, version)
    assert found.config["config"].get("reset_after") == default
    assert any("reset_after" in note.text for note in found.notes) == (default is False)


def test_convolutional_recurrence_has_hard_sigmoid_in_all_of_keras_2() -> None:
    old = {"class_name": "ConvLSTM2D", "config": {"name": "c", "filters": 2, "kernel_size": 2}}
    assert recurrent_activation(old, "2.15.0") == "keras2_hard_sigmoid"


@pytest.mark.parametrize(("old", "today"), [
    ({"class_name": "Policy", "config": {"name": "mixed_float16"}}, "mixed_float16"),
    ({"class_name": "PolicyV1", "config": {"name": "mixed_bfloat16", "loss_scale": None}}, "mixed_bfloat16"),
    ({"class_name": "Policy", "config": {"name": "infer"}}, "float32"), ("float32_ref", "float32"),
    ("float", "float32"), ("float16", "float16"),
])
def test_policies(old: Any, today: str) -> None:
    config = {"class_name": "Dense", "config": {"name": "d", "units": 2, "dtype": old}}
    layer = deserialize_keras_object(to_keras3(config, "2.4.0"))
    assert layer.get_config()["dtype"]["config"]["name"] == today


@pytest.mark.parametrize(("old", "name", "config"), [
    ({"class_name": "GlorotUniform", "config": {"seed": None, "dtype": "float32"}}, "GlorotUniform", {"seed": None}),
    ({"class_name": "GlorotNormalV2", "config": {"seed": 3}}, "GlorotNormal", {"seed": 3}),
    ({"class_name": "ZerosV2", "config": {"dtype": "float32"}}, "Zeros", {}),
    ({"class_name": "VarianceScaling", "config": {"scale": 1.0, "mode": "fan_avg", "distribution": "normal",
                                                  "seed": None}}, "VarianceScaling", None),
])
def test_initializers(old: Any, name: str, config: Config | None) -> None:
    layer = deserialize_keras_object({"class_name": "Dense", "config": {"name": "d", "units": 2,
                                                                        "kernel_initializer": old}})
    made = layer.get_config()["kernel_initializer"]
    assert made["class_name"] == name
    assert config is None or {key: made["config"][key] for key in config} == config


@pytest.mark.parametrize(("name", "config", "today", "expected"), [
    ("BatchNormalizationV1", {"axis": [1], "fused": None}, "BatchNormalization", {"axis": 1}),
    ("UnifiedGRU", {"units": 2}, "GRU", {"units": 2}),
    ("DepthwiseConv2D", {"kernel_size": 3, "groups": 1, "kernel_initializer": "zeros"}, "DepthwiseConv2D", {}),
    ("Embedding", {"input_dim": 3, "output_dim": 2, "input_length": 4, "sparse": False}, "Embedding", {}),
    ("CategoryEncoding", {"max_tokens": 5, "output_mode": "binary"}, "CategoryEncoding",
     {"num_tokens": 5, "output_mode": "multi_hot"}),
    ("Discretization", {"bins": [0.0, 1.0]}, "Discretization", {"bin_boundaries": [0.0, 1.0]}),
    ("StringLookup", {"vocabulary": ["a"], "vocabulary_size": 3, "output_mode": "binary"}, "StringLookup",
     {"output_mode": "multi_hot"}),
    ("LeakyReLU", {"alpha": 0.25}, "LeakyReLU", {"negative_slope": 0.25}),
    ("RandomFlip", {"mode": "horizontal", "seed": None, "rng_type": "stateful"}, "RandomFlip", {"mode": "horizontal"}),
    ("AddMetric", {"aggregation": "mean", "metric_name": "m"}, "Identity", {}),
    ("RandomCrop", {"height": 3, "width": 4, "seed": 1}, "Resizing", {"crop_to_aspect_ratio": True}),
])
def test_layers(name: str, config: Config, today: str, expected: Config) -> None:
    common = {"name": "n", "trainable": True, "dtype": "float32"}
    found = upgrade({"class_name": name, "config": {**common, **config}}, "2.9.0")
    layer = deserialize_keras_object(found.config)
    made = plain(layer.get_config())
    assert type(layer).__name__ == today
    assert {key: made[key] for key in expected} == expected


def test_open_sizes_of_einsum_dense_are_those_of_the_input_that_it_was_built_for() -> None:
    old = {"class_name": "EinsumDense", "module": "keras.layers", "build_config": {"input_shape": [None, 5, 2]},
           "config": {"name": "e", "equation": "abc,cd->abd", "output_shape": [None, 3], "bias_axes": "d"}}
    for version, output in (("2.15.0", (None, 5, 3)), ("3.0.0", (None, None, 3))):
        layer = deserialize_keras_object(to_keras3(sequential(old), version)["config"]["layers"][0])
        assert layer.compute_output_shape((None, 5, 2)) == output


def test_old_class_names_are_known() -> None:
    for old, new in RENAMED_CLASSES.items():
        assert new in Layer.catalog(), old


@pytest.mark.parametrize(("name", "config", "words"), [
    ("LSTM", {"units": 2, "time_major": True}, "n: LSTM.time_major=True. is not taken.*Way out: Permute"),
    ("DepthwiseConv2D", {"kernel_size": 3, "groups": 2}, "groups=2"),
    ("BatchNormalization", {"axis": [1, 2]}, "axis=.1, 2.. over several axes"),
    ("Dense", {"units": 2, "nonsense": 3}, "no argument 'nonsense'"),
])
def test_arguments_that_are_no_more(name: str, config: Config, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        deserialize_keras_object(to_keras3({"class_name": name, "config": {"name": "n", **config}}, "2.9.0"))


# ---- functions -------------------------------------------------------------------------------------------------------


def test_lambdas_are_asked_for_and_never_run() -> None:
    code = ["4wEAAAAAAAA=\n", None, None]
    for function, kind in ((code, "lambda"), ("double", "function")):
        old = sequential({"class_name": "Lambda", "config": {
            "name": "twice", "batch_input_shape": [None, 3], "function": function, "function_type": kind,
            "module": "__main__", "output_shape": None, "output_shape_type": "raw", "arguments": {"k": 2}}})
        with pytest.raises(UnsafeConfigError, match="'twice'"):
            load_model(old)
        assert load_model(old, custom_objects={"twice": lambda x, k: x.repeat(1, k)}).output_shape == (None, 6)
    assert load_model(old, custom_objects={"double": lambda x, k: x.repeat(1, k)}).output_shape == (None, 6)


def graph(*written: Config, outputs: list[Any], inputs: int = 1, features: tuple[int, ...] = (4, 6)) -> Config:
    made = [{"class_name": "InputLayer", "name": f"x{i}", "inbound_nodes": [], "config": {
        "batch_input_shape": [None, *features], "dtype": "float32", "name": f"x{i}"}} for i in range(inputs)]
    return {"class_name": "Functional", "config": {
        "name": "m", "layers": [*made, *written], "input_layers": [[f"x{i}", 0, 0] for i in range(inputs)],
        "output_layers": outputs}}


def op(name: str, function: str, *calls: Any) -> Config:
    return {"class_name": "TFOpLambda", "name": name, "inbound_nodes": list(calls), "config": {
        "name": name, "trainable": True, "dtype": "float32", "function": function}}


def test_functions_that_are_not_known_are_asked_for() -> None:
    old = graph(op("tf.f", "signal.mdct", ["x0", 0, 0, {"frame_length": 2, "frame_step": 1}]),
                outputs=[["tf.f", 0, 0]])
    with pytest.raises(ConfigError, match=re.escape(
            "layer 'tf.f' calls tf.signal.mdct, a function of TensorFlow that has no equivalent here. Way out: pass a "
            "function of torch tensors: custom_objects={'signal.mdct': your_function}")):
        load_model(old)
    model = load_model(old, custom_objects={
        "signal.mdct": lambda x, frame_length, frame_step: x.unfold(2, frame_length, frame_step)})
    assert model.output_shape == (None, 4, 5, 2)


def test_ones_own_function_takes_the_place_of_one_that_is_known() -> None:
    old = graph(op("tf.add", "math.add", ["x0", 0, 0, {"y": ["x1", 0, 0]}]), outputs=[["tf.add", 0, 0]], inputs=2)
    x, y = torch.ones(1, 4, 6), torch.full((1, 4, 6), 2.0)
    assert load_model(old).to_torch()(x, y).eq(3).all()
    assert load_model(old, custom_objects={"math.add": lambda xs: xs[0] - xs[1]}).to_torch()(x, y).eq(-1).all()


@pytest.mark.parametrize(("function", "first", "words"), [
    ("einsum", ["_CONSTANT_VALUE", -1, "ab->ba", {}], "does not say which tensors"),
    ("__operators__.eq", ["x0", 0, 0, {}], "does not say what == and !="),
    ("nn.dropout", ["x0", 0, 0, {"rate": 0.5}], "draws new numbers in every call"),
    ("where", ["x0", 0, 0, {}], "a shape that depends on numbers"),
    ("tile", ["x0", 0, 0, {"multiples": [1, ["x0", 0, 0], 1]}], "multiples is a tensor"),
    ("gather_nd", ["x0", 0, 0, {"indices": [[[0]]], "batch_dims": 2}], "batch_dims=2 with indices of rank 3"),
    ("reshape", ["x0", 0, 0, {"nonsense": 1}], "not those that are known"),
    ("image.resize", ["x0", 0, 0, {"size": [2, 2], "method": "area"}], "settle the image size in the input shape"),
])
def test_functions_that_cannot_be_had(function: str, first: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=f"^layer 'tf.f' calls tf.{function}: .*{words}"):
        load_model(graph(op("tf.f", function, first), outputs=[["tf.f", 0, 0]]))


def test_an_op_layer_that_is_called_twice() -> None:
    old = graph(op("sum", "math.reduce_sum", ["x0", 0, 0, {"axis": 1}], ["x1", 0, 0, {"axis": 2}]),
                outputs=[["sum", 0, 0], ["sum", 1, 0]], inputs=2)
    assert load_model(old).output_shape == [(None, 6), (None, 4)]


def test_sizes_of_tensors_are_numbers() -> None:
    def item(name: str, spec: Any) -> Config:
        return {**op(name, "__operators__.getitem", ["size", 0, 0, {"slice_spec": spec}]),
                "class_name": "SlicingOpLambda"}

    old = graph(op("size", "compat.v1.shape", ["x0", 0, 0, {"out_type": "int32"}]), item("batch", 0), item("steps", 1),
                op("product", "math.multiply", ["steps", 0, 0, {"y": 3}]),
                op("out", "reshape", ["x0", 0, 0, {"shape": [["batch", 0, 0], ["product", 0, 0], 2]}]),
                outputs=[["out", 0, 0]])
    model = load_model(old)
    assert model.output_shape == (None, 12, 2)
    assert [type(layer).__name__ for layer in model.operations] == ["InputLayer", "Reshape"]
    for steps, function, kwargs, words in (
            (4, "tile", {"multiples": [1, ["steps", 0, 0], 1]}, ""),
            (None, "tile", {"multiples": [1, ["steps", 0, 0], 1]}, r"tile: multiples\[1\] is a size that is not known"),
            (None, "pad", {"paddings": [[0, 0], [0, ["steps", 0, 0]], [0, 0]]}, "paddings is a tensor, and must be a")):
        old = graph(op("size", "shape", ["x0", 0, 0, {}]), item("steps", 1), op("f", function, ["x0", 0, 0, kwargs]),
                    outputs=[["f", 0, 0]], features=(steps, 6))
        if words:
            with pytest.raises(ConfigError, match=words):
                load_model(old)
        else:
            assert load_model(old).output_shape == (None, 16, 6)


# ---- graphs ----------------------------------------------------------------------------------------------------------


def test_a_layers_own_class_with_a_graph_keeps_it() -> None:
    class Mine(Model):
        pass

    old = {**graph({"class_name": "Dense", "name": "d", "inbound_nodes": [[["x0", 0, 0, {}]]],
                    "config": {"name": "d", "units": 2}}, outputs=[["d", 0, 0]]), "class_name": "Mine"}
    model = load_model(old, custom_objects={"Mine": Mine})
    assert type(model) is Mine
    assert model.output_shape == (None, 4, 2)


def test_layers_of_ones_own_have_theirs_upgraded() -> None:
    class Around(Layer, catalog=False):
        layer: Any

        def compute_output_shape(self, shape: Any) -> Any:
            return self.layer.compute_output_shape(shape)

    inner = {"class_name": "LSTM", "config": {"name": "l", "units": 4, "recurrent_activation": "hard_sigmoid"}}
    old = sequential({"class_name": "Custom>Around", "config": {"name": "a", "batch_input_shape": [None, 5, 3],
                                                                "layer": inner}}, keras_version="2.4.0")
    model = load_model(old, custom_objects={"Around": Around})
    assert model.output_shape == (None, 4)
    assert model.layers[0].layer.recurrent_activation == "keras2_hard_sigmoid"


def test_causal_attention_of_older_versions() -> None:
    old = graph({"class_name": "Attention", "name": "a", "config": {"name": "a", "use_scale": False, "causal": True},
                 "inbound_nodes": [[["x0", 0, 0, {}], ["x0", 0, 0, {}]]]}, outputs=[["a", 0, 0]])
    model = load_model(old)
    x = torch.randn(1, 4, 6)
    torch.testing.assert_close(model.to_torch()(x)[:, 0], x[:, 0])


@pytest.mark.parametrize(("written", "words"), [
    ([["y", 0, 0, {}]], "a call needs the layer 'y'"), ([["d", 0, 0, {}]], "form a loop"),
    ([["_CONSTANT_VALUE", -1, [{"_TYPE": "COMPOSITE"}, "{}"], {}]], "a sparse or ragged constant")])
def test_graphs_that_make_no_sense(written: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_model(graph({"class_name": "Dense", "name": "d", "inbound_nodes": [written],
                          "config": {"name": "d", "units": 2}}, outputs=[["d", 0, 0]]))


# ---- doors -----------------------------------------------------------------------------------------------------------

OLD = sequential({"class_name": "Dense", "config": {
    "name": "dense_1", "batch_input_shape": [None, 3], "units": 2, "activation": "hard_sigmoid", "use_bias": True}},
    keras_version="2.2.4", backend="tensorflow")


def test_every_door_takes_old_configs(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    path.write_text(json.dumps(OLD))
    made = (load_model(path), load_model(OLD), model_from_json(json.dumps(OLD)), deserialize_keras_object(OLD))
    assert {(model.output_shape, model.layers[0].activation) for model in made} == {((None, 2), "keras2_hard_sigmoid")}
    assert Sequential.from_config(OLD["config"]).output_shape == (None, 2)
    old = graph({"class_name": "Dense", "name": "d", "inbound_nodes": [[["x0", 0, 0, {}]]],
                 "config": {"name": "d", "units": 2}}, outputs=[["d", 0, 0]])
    assert Model.from_config(old["config"]).output_shape == (None, 4, 2)
    assert str(kt.shape_table(path))


def test_the_version_beside_the_config_counts(tmp_path: Path) -> None:
    """A ``.keras`` directory of tf_keras whose config alone could be one of Keras 3."""
    config = {"module": "keras", "class_name": "Sequential", "config": {"name": "s", "layers": [
        {"module": "keras.layers", "class_name": "Activation", "config": {"name": "a", "activation": "hard_sigmoid"}}]}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert load_model(tmp_path).layers[0].activation == "hard_sigmoid"
    (tmp_path / "metadata.json").write_text(json.dumps({"keras_version": "2.15.0"}))
    assert load_model(tmp_path).layers[0].activation == "keras2_hard_sigmoid"


YAML = """
backend: tensorflow
class_name: Sequential
config:
- class_name: Conv1D
  config:
    activation: relu
    batch_input_shape: !!python/tuple [null, 8, 3]
    filters: 4
    kernel_size: &size !!python/tuple [3]
    name: !!python/unicode 'conv1d_1'
    strides: !!python/tuple [1]
    dilation_rate: *size
keras_version: 2.1.6
"""


def test_yaml(tmp_path: Path) -> None:
    pytest.importorskip("yaml")
    assert model_from_yaml(YAML).output_shape == (None, 2, 4)
    for end in ("yaml", "yml"):
        (tmp_path / f"model.{end}").write_text(YAML)
        assert load_model(tmp_path / f"model.{end}").output_shape == (None, 2, 4)


LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12))


@pytest.mark.parametrize(("text", "words"), [
    ("a: !!python/object/apply:os.system ['true']", "not plain YAML"), ("a: !!python/name:os.system", "not plain YAML"),
    ("a: !mine 3", "not plain YAML"), (LAUGHS, "nodes once its aliases"), ("a: &a [*a]", "nodes once its aliases"),
    ("[" * 5000, "nested too deep"), ("a: [1", "not plain YAML"), ("just text", "a dict with 'class_name'"),
])
def test_yaml_that_is_refused(text: str, words: str) -> None:
    pytest.importorskip("yaml")
    with pytest.raises(ConfigError, match=words):
        model_from_yaml(text)


def test_yaml_without_pyyaml(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(KerashapeError, match="pip install pyyaml"):
        model_from_yaml(YAML)
