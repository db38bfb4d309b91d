"""Keras 1's layers, with the arguments that Keras 1.2.2 writes. No Keras that runs today reads them: the shapes are
worked out by hand, by Keras 1's own rules."""

from __future__ import annotations

from typing import Any

import pytest
from harness import plain

from kerashape_torch.errors import ConfigError, UnsafeConfigError
from kerashape_torch.layer import Layer
from kerashape_torch.models import Model, Sequential
from kerashape_torch.saving import deserialize_keras_object, load_model
from kerashape_torch.saving.upgrade import upgrade

WEIGHTS = {"init": "he_normal", "W_regularizer": {"name": "L1L2Regularizer", "l1": 0.0, "l2": 0.01},
           "b_regularizer": None, "activity_regularizer": None, "W_constraint": {"name": "MaxNorm", "m": 2, "axis": 0},
           "b_constraint": None, "bias": True}
CONV1 = {**WEIGHTS, "nb_filter": 4, "filter_length": 3, "activation": "relu", "border_mode": "valid",
         "subsample_length": 2, "input_dim": None, "input_length": None}
CONV2 = {**WEIGHTS, "nb_filter": 4, "nb_row": 3, "nb_col": 2, "activation": "linear", "border_mode": "same",
         "subsample": [2, 1], "dim_ordering": "tf"}
CONV3 = {**WEIGHTS, "nb_filter": 4, "kernel_dim1": 2, "kernel_dim2": 2, "kernel_dim3": 1, "activation": "linear",
         "border_mode": "valid", "subsample": [1, 1, 1], "dim_ordering": "th"}
RECURRENT = {"return_sequences": True, "go_backwards": False, "stateful": False, "unroll": False, "consume_less": "gpu",
             "input_dim": 3, "input_length": None, "output_dim": 4, "init": "glorot_uniform",
             "inner_init": "orthogonal", "activation": "tanh", "W_regularizer": None, "U_regularizer": None,
             "b_regularizer": None, "dropout_W": 0.1, "dropout_U": 0.2}
GATES = {**RECURRENT, "inner_activation": "hard_sigmoid"}

CASES: list[tuple[str, dict[str, Any], Any, str, dict[str, Any], Any]] = [
    ("Dense", {**WEIGHTS, "output_dim": 5, "activation": "hard_sigmoid", "input_dim": 3}, (None, 3), "Dense",
     {"units": 5, "activation": "keras2_hard_sigmoid", "use_bias": True}, (None, 5)),
    ("TimeDistributedDense", {**WEIGHTS, "output_dim": 5, "activation": "relu", "input_dim": 3, "input_length": None},
     (None, 7, 3), "TimeDistributed", {}, (None, 7, 5)),
    ("MaxoutDense", {**WEIGHTS, "output_dim": 5, "nb_feature": 3, "input_dim": 3}, (None, 3), "MaxoutDense",
     {"output_dim": 5, "nb_feature": 3}, (None, 5)),
    ("Highway", {**WEIGHTS, "activation": "tanh", "input_dim": 3}, (None, 3), "Highway", {"activation": "tanh"},
     (None, 3)),
    ("Convolution1D", CONV1, (None, 9, 2), "Conv1D", {"filters": 4, "strides": [2], "padding": "valid"}, (None, 4, 4)),
    ("AtrousConvolution1D", {**CONV1, "subsample_length": 1, "atrous_rate": 2}, (None, 9, 2), "Conv1D",
     {"dilation_rate": [2]}, (None, 5, 4)),
    ("Convolution2D", CONV2, (None, 9, 9, 3), "Conv2D",
     {"kernel_size": [3, 2], "strides": [2, 1], "data_format": "channels_last"}, (None, 5, 9, 4)),
    ("Convolution2D", {**CONV2, "dim_ordering": "th"}, (None, 3, 9, 9), "Conv2D", {"data_format": "channels_first"},
     (None, 4, 5, 9)),
    ("AtrousConvolution2D", {**CONV2, "subsample": [1, 1], "border_mode": "valid", "atrous_rate": [2, 3]},
     (None, 9, 9, 3), "Conv2D", {"dilation_rate": [2, 3]}, (None, 5, 6, 4)),
    ("Deconvolution2D", {**CONV2, "border_mode": "valid", "subsample": [2, 2], "output_shape": [None, 25, 24, 4]},
     (None, 12, 12, 3), "Conv2DTranspose", {"strides": [2, 2]}, (None, 25, 24, 4)),
    ("SeparableConvolution2D", {
        "nb_filter": 4, "nb_row": 3, "nb_col": 3, "init": "uniform", "activation": "linear", "border_mode": "valid",
        "subsample": [1, 1], "depth_multiplier": 2, "dim_ordering": "tf", "depthwise_regularizer": None,
        "pointwise_regularizer": None, "b_regularizer": None, "activity_regularizer": None,
        "depthwise_constraint": None, "pointwise_constraint": None, "b_constraint": None, "bias": False},
     (None, 6, 6, 3), "SeparableConv2D", {"depth_multiplier": 2, "use_bias": False}, (None, 4, 4, 4)),
    ("Convolution3D", CONV3, (None, 2, 4, 4, 4), "Conv3D", {"kernel_size": [2, 2, 1]}, (None, 4, 3, 3, 4)),
    ("LocallyConnected1D", CONV1, (None, 9, 2), "LocallyConnected1D", {"filters": 4}, (None, 4, 4)),
    ("LocallyConnected2D", {**CONV2, "border_mode": "valid"}, (None, 9, 9, 3), "LocallyConnected2D", {},
     (None, 4, 8, 4)),
    ("MaxPooling1D", {"stride": 2, "pool_length": 3, "border_mode": "same"}, (None, 9, 2), "MaxPooling1D",
     {"pool_size": [3], "strides": [2], "padding": "same"}, (None, 5, 2)),
    ("AveragePooling2D", {"pool_size": [2, 3], "strides": [2, 3], "border_mode": "valid", "dim_ordering": "th"},
     (None, 2, 6, 6), "AveragePooling2D", {"data_format": "channels_first"}, (None, 2, 3, 2)),
    ("MaxPooling3D", {"pool_size": [2, 2, 2], "strides": [2, 2, 2], "border_mode": "valid", "dim_ordering": "tf"},
     (None, 4, 4, 4, 1), "MaxPooling3D", {"data_format": "channels_last"}, (None, 2, 2, 2, 1)),
    ("GlobalMaxPooling2D", {"dim_ordering": "th"}, (None, 2, 6, 6), "GlobalMaxPooling2D",
     {"data_format": "channels_first"}, (None, 2)),
    ("GlobalAveragePooling1D", {}, (None, 5, 2), "GlobalAveragePooling1D", {}, (None, 2)),
    ("UpSampling1D", {"length": 3}, (None, 4, 2), "UpSampling1D", {"size": 3}, (None, 12, 2)),
    ("UpSampling2D", {"size": [2, 3], "dim_ordering": "th"}, (None, 1, 4, 4), "UpSampling2D",
     {"data_format": "channels_first"}, (None, 1, 8, 12)),
    ("ZeroPadding1D", {"padding": {"left_pad": 1, "right_pad": 2}}, (None, 4, 2), "ZeroPadding1D", {"padding": [1, 2]},
     (None, 7, 2)),
    ("ZeroPadding2D", {"padding": [1, 2, 3, 4], "dim_ordering": "tf"}, (None, 4, 4, 2), "ZeroPadding2D",
     {"padding": [[1, 2], [3, 4]]}, (None, 7, 11, 2)),
    ("ZeroPadding2D", {"padding": {"top_pad": 1, "left_pad": 2}, "dim_ordering": "tf"}, (None, 4, 4, 2),
     "ZeroPadding2D", {"padding": [[1, 0], [2, 0]]}, (None, 5, 6, 2)),
    ("ZeroPadding3D", {"padding": [1, 1, 2], "dim_ordering": "th"}, (None, 1, 3, 3, 3), "ZeroPadding3D", {},
     (None, 1, 5, 5, 7)),
    ("Cropping2D", {"cropping": [[1, 0], [1, 1]], "dim_ordering": "th"}, (None, 1, 5, 5), "Cropping2D",
     {"data_format": "channels_first"}, (None, 1, 4, 3)),
    ("LSTM", {**GATES, "forget_bias_init": "one"}, (None, 5, 3), "LSTM",
     {"units": 4, "recurrent_activation": "keras2_hard_sigmoid", "unit_forget_bias": True, "dropout": 0.1,
      "recurrent_dropout": 0.2, "recurrent_initializer": "orthogonal"}, (None, 5, 4)),
    ("LSTM", {**GATES, "forget_bias_init": "zero"}, (None, 5, 3), "LSTM", {"unit_forget_bias": False}, (None, 5, 4)),
    ("GRU", GATES, (None, 5, 3), "GRU", {"reset_after": False, "recurrent_activation": "keras2_hard_sigmoid"},
     (None, 5, 4)),
    ("SimpleRNN", RECURRENT, (None, 5, 3), "SimpleRNN", {"units": 4}, (None, 5, 4)),
    ("ConvLSTM2D", {**{k: v for k, v in GATES.items() if k != "output_dim"}, "nb_filter": 2, "nb_row": 2, "nb_col": 2,
                    "dim_ordering": "tf", "border_mode": "same", "subsample": [1, 1], "forget_bias_init": "one"},
     (None, 3, 4, 4, 2), "ConvLSTM2D", {"filters": 2, "recurrent_activation": "keras2_hard_sigmoid"},
     (None, 3, 4, 4, 2)),
    ("Embedding", {"input_dim": 10, "output_dim": 4, "init": "uniform", "input_length": None, "mask_zero": True,
                   "activity_regularizer": None, "W_regularizer": None, "W_constraint": None, "dropout": 0.2},
     (None, 6), "Embedding", {"mask_zero": True, "output_dim": 4}, (None, 6, 4)),
    ("BatchNormalization", {"epsilon": 1e-05, "mode": 0, "axis": 1, "momentum": 0.9, "gamma_regularizer": None,
                            "beta_regularizer": None}, (None, 3, 4, 4), "BatchNormalization",
     {"axis": 1, "momentum": 0.9, "epsilon": 1e-05}, (None, 3, 4, 4)),
    ("Dropout", {"p": 0.3}, (None, 3), "Dropout", {"rate": 0.3}, (None, 3)),
    ("SpatialDropout2D", {"p": 0.3, "dim_ordering": "th"}, (None, 3, 4, 4), "SpatialDropout2D",
     {"rate": 0.3, "data_format": "channels_first"}, (None, 3, 4, 4)),
    ("GaussianDropout", {"p": 0.3}, (None, 3), "GaussianDropout", {"rate": 0.3}, (None, 3)),
    ("GaussianNoise", {"sigma": 0.3}, (None, 3), "GaussianNoise", {"stddev": 0.3}, (None, 3)),
    ("LeakyReLU", {"alpha": 0.3}, (None, 3), "LeakyReLU", {"negative_slope": 0.3}, (None, 3)),
    ("PReLU", {"init": "zero", "shared_axes": None}, (None, 3), "PReLU", {"alpha_initializer": "zeros"}, (None, 3)),
    ("ThresholdedReLU", {"theta": 0.5}, (None, 3), "ThresholdedReLU", {"theta": 0.5}, (None, 3)),
    ("ActivityRegularization", {"l1": 0.1, "l2": 0.0}, (None, 3), "ActivityRegularization", {"l1": 0.1}, (None, 3)),
    ("RepeatVector", {"n": 3}, (None, 4), "RepeatVector", {"n": 3}, (None, 3, 4)),
    ("Reshape", {"target_shape": [2, -1]}, (None, 4), "Reshape", {}, (None, 2, 2)),
]


def written(value: Any) -> Any:
    """A value of a config, objects by their names."""
    return value["class_name"].lower() if isinstance(value, dict) and "class_name" in value else value


@pytest.mark.parametrize("case", CASES, ids=[f"{case[0]}_{i}" for i, case in enumerate(CASES)])
def test_layers(case: Any) -> None:
    name, config, shape, today, expected, output = case
    old = {"class_name": name, "config": {"name": "layer_1", "trainable": True, **config}}
    found = upgrade(old, version="1.2.2")
    assert found.config["class_name"] == today
    layer = deserialize_keras_object(found.config)
    assert layer.compute_output_shape(shape) == output
    made = plain(layer.get_config())
    for key, value in expected.items():
        one = isinstance(made[key], list) and not isinstance(value, list)
        assert written(made[key]) == ([value] if one else value), key
    assert type(layer) is Layer.catalog()[today]


def test_regularizers_and_constraints_keep_their_numbers() -> None:
    layer = deserialize_keras_object({"class_name": "Dense", "config": {**WEIGHTS, "output_dim": 2}})
    config = layer.get_config()
    assert config["kernel_regularizer"]["config"] == {"l1": 0.0, "l2": 0.01}
    assert config["kernel_constraint"]["config"] == {"max_value": 2, "axis": 0}
    assert config["kernel_initializer"]["class_name"] == "HeNormal"


@pytest.mark.parametrize(("config", "today", "output"), [
    ({"mode": "sum"}, "Add", (None, 4)), ({"mode": "mul"}, "Multiply", (None, 4)),
    ({"mode": "ave"}, "Average", (None, 4)),
    ({"mode": "max"}, "Maximum", (None, 4)), ({"mode": "concat", "concat_axis": 1}, "Concatenate", (None, 8)),
    ({"mode": "dot", "dot_axes": [1, 1]}, "Dot", (None, 1)), ({"mode": "cos", "dot_axes": 1}, "Dot", (None, 1)),
])
def test_merge(config: Any, today: str, output: Any) -> None:
    more = {"name": "merge_1", "mode_type": "raw", "concat_axis": -1, "dot_axes": -1, "output_shape": None,
            "output_shape_type": "raw", "output_mask": None, "output_mask_type": "raw", "arguments": {}}
    layer = deserialize_keras_object({"class_name": "Merge", "config": {**more, **config}})
    assert (type(layer).__name__, layer.name) == (today, "merge_1")
    assert layer.compute_output_shape([(None, 4), (None, 4)]) == output


def test_a_function_as_mode_is_asked_for() -> None:
    old = {"class_name": "Merge", "config": {"name": "merge_1", "mode": "\x63\x00", "mode_type": "lambda",
                                             "output_shape": None, "output_shape_type": "raw", "arguments": {}}}
    with pytest.raises(UnsafeConfigError, match="merge_1"):
        deserialize_keras_object(old)
    layer = deserialize_keras_object(old, custom_objects={"merge_1": lambda xs: xs[0] - xs[1]})
    assert layer.compute_output_shape([(None, 4), (None, 4)]) == (None, 4)


def dense(name: str, units: int, features: int | None = None) -> dict[str, Any]:
    declared = {} if features is None else {"batch_input_shape": [None, features], "input_dtype": "float32"}
    return {"class_name": "Dense", "config": {"name": name, "output_dim": units, "activation": "linear", **declared}}


def merged(*branches: Any, mode: str = "concat", name: str = "merge_1") -> dict[str, Any]:
    layers = [{"class_name": "Sequential", "config": list(branch)} for branch in branches]
    return {"class_name": "Merge", "config": {"name": name, "mode": mode, "mode_type": "raw", "concat_axis": -1,
                                              "dot_axes": -1, "layers": layers}}


def test_a_sequential_model_that_begins_with_a_merge() -> None:
    old = {"class_name": "Sequential", "keras_version": "1.2.2", "config": [
        merged([dense("a", 4, 3)], [dense("b", 5, 2), dense("c", 6)]), dense("d", 2)]}
    model = load_model(old)
    assert isinstance(model, Model) and not isinstance(model, Sequential)
    assert (model.input_shape, model.output_shape) == ([(None, 3), (None, 2)], (None, 2))
    assert model.count_params() == 3 * 4 + 4 + 2 * 5 + 5 + 5 * 6 + 6 + 10 * 2 + 2


def test_merges_in_merges() -> None:
    inner = [merged([dense("a", 4, 3)], [dense("b", 4, 2)], mode="sum", name="merge_2")]
    model = load_model({"class_name": "Sequential", "keras_version": "1.0.0",
                        "config": [merged(inner, [dense("c", 6, 5)]), dense("d", 2)]})
    assert (model.input_shape, model.output_shape) == ([(None, 3), (None, 2), (None, 5)], (None, 2))


@pytest.mark.parametrize(("name", "config", "words"), [
    ("SReLU", {}, "s: Keras 1's SReLU has no equivalent today. Way out: a layer of your own"),
    ("ParametricSoftplus", {}, "ParametricSoftplus has no equivalent"),
    ("BatchNormalization", {"mode": 1, "axis": -1}, "mode=1. normalizes each sample. Way out: LayerNormalization"),
    ("BatchNormalization", {"mode": 2, "axis": -1}, "statistics of the batch"),
    ("Convolution2D", {**CONV2, "border_mode": "full"}, "border_mode='full'. is Theano's alone"),
    ("MaxPooling2D", {"pool_size": [2, 2], "border_mode": "half", "dim_ordering": "th"}, "Theano's alone"),
    ("Merge", {"mode": "join", "mode_type": "raw"}, "Merge.mode='join'. is not known"),
])
def test_what_has_no_equivalent_is_refused(name: str, config: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        deserialize_keras_object({"class_name": name, "config": {"name": "s", **config}})


def test_ones_own_class_takes_the_place_of_one_that_is_not_here() -> None:
    class SReLU(Layer, catalog=False):
        pass

    old = {"class_name": "SReLU", "config": {"name": "s"}}
    assert isinstance(deserialize_keras_object(old, {"SReLU": SReLU}), SReLU)


def test_the_order_of_channels_follows_the_backend_where_the_file_does_not_say_it() -> None:
    config = {**CONV2, "dim_ordering": "default", "name": "c"}
    for backend, order in (("theano", "channels_first"), ("tensorflow", "channels_last"), (None, "channels_last")):
        found = upgrade({"class_name": "Convolution2D", "config": config}, backend=backend)
        assert found.config["config"]["data_format"] == order
