"""Keras 2's layers in Keras 3's words: class by class and argument by argument, with the meaning that each had."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from kerashape_torch.layer import Layer
from kerashape_torch.saving.upgrade import objects
from kerashape_torch.saving.upgrade.scope import Scope, refuse

Config = dict[str, Any]

CLASSES: Mapping[str, str] = {
    "BatchNormalizationV1": "BatchNormalization", "BatchNormalizationV2": "BatchNormalization",
    "UnifiedLSTM": "LSTM", "UnifiedGRU": "GRU", "AddLoss": "Identity", "AddMetric": "Identity",
}
"""Class names of some versions of Keras 2, and today's."""

_RECURRENT = ("LSTM", "LSTMCell", "GRU", "GRUCell")
_CONV_RECURRENT = ("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D")

_MEANINGLESS = {"implementation": ("SimpleRNN", "RNN", "SimpleRNNCell", "StackedRNNCells", *_RECURRENT),
                "rng_type": (), "dynamic": (), "batch_input_shape": (), "input_dtype": (), "experimental_autocast": (),
                "robust_masking": (), "softmax_robust_masking": (), "query_shape": (), "key_shape": (),
                "value_shape": (), "causal": ("Attention", "AdditiveAttention"),  # which calls say today
                "noise_shape": ("SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D"),
                **dict.fromkeys(("kernel_initializer", "kernel_regularizer", "kernel_constraint"), (
                    "SeparableConv1D", "SeparableConv2D", "DepthwiseConv1D", "DepthwiseConv2D"))}
"""Arguments that say how a layer once computed, and not what, or that it never used; for some classes, or for all."""

_NO_MORE = {
    "time_major": ("sequences are (batch, steps, features)", "Permute the first two axes before and after"),
    "groups": ("this layer has no groups today", "split the channels, and concatenate the results"),
    "renorm": ("batch renormalization is not had", "train on with plain batch normalization"),
    "virtual_batch_size": ("virtual batches are not had", "train on with plain batch normalization"),
    "weights": ("weights in a config are not read", "load them from a file of weights"),
    "sparse": ("sparse tensors are not had", "make the input dense"),
    "ragged": ("ragged tensors are not had", "pad them, and mask the padding"),
}
"""Arguments that Keras 3 has not, unless they ask for nothing: what they asked for, and the way out."""


def upgraded_layer(name: str, config: Mapping[str, Any], scope: Scope) -> tuple[str, Config]:
    """Class and config of a layer of Keras 2 in Keras 3's words; nested layers must have been upgraded before."""
    layer = str(config.get("name") or name.lower())
    today = CLASSES.get(name, name)
    made: Config = {}
    for key, value in config.items():
        key, value = _plain(key), objects.argument(key, value, scope, layer)
        if not (key == "dtype" and value is None):
            made[key] = value
    if isinstance(made.get("name"), str):
        made["name"] = scope.name(made["name"])
    if name in CLASSES and today == "Identity":
        return today, {key: made[key] for key in ("name", "trainable", "dtype") if key in made}
    rule = _RULES.get(today)
    if rule is not None and scope.origin.major < 3:
        today, made = rule(today, made, scope, layer)
    return today, _without_old_arguments(today, made, layer)


def _plain(key: str) -> str:
    return "interpolation" if key == "interpolation_method" else key


def _without_old_arguments(name: str, config: Config, layer: str) -> Config:
    """Leaves out what Keras 3 has no argument for, where that changes nothing, and refuses it where it does."""
    cls = Layer.catalog().get(name)
    if cls is None:
        return {key: value for key, value in config.items() if key != "batch_input_shape"}
    kept: Config = {}
    for key, value in config.items():
        owners = _MEANINGLESS.get(key)
        if owners is not None and (name in owners or not owners):
            continue
        if key in cls._fields:
            kept[key] = value
        elif not (value is None or value is False or value == [] or (key == "groups" and value == 1)):
            if key in _NO_MORE:
                refuse(layer, f"{name}({key}={value!r}) is not taken: {_NO_MORE[key][0]}", _NO_MORE[key][1])
            kept[key] = value  # the layer says that it has no such argument
    return kept


def einsum_sizes(config: Config, built_for: Any) -> Config:
    """EinsumDense with the sizes that ``output_shape`` leaves open: Keras 2 has them from the input, Keras 3 has not.

    >>> einsum_sizes({"equation": "abc,cd->abd", "output_shape": [None, 3]}, [None, 5, 2])["output_shape"]
    [5, 3]
    """
    sides = re.fullmatch(r"(\w+),\w+->(\w+)", str(config.get("equation")))
    wanted = config.get("output_shape")
    if sides is None or not isinstance(wanted, list) or not isinstance(built_for, list):
        return config
    known = dict(zip(sides[1], built_for))
    return {**config, "output_shape": [known.get(label) if size is None else size
                                       for label, size in zip(sides[2][1:], wanted)]}


# ---- classes with rules of their own ---------------------------------------------------------------------------------

Rule = Callable[[str, Config, Scope, str], tuple[str, Config]]
_RULES: dict[str, Rule] = {}


def _rule(*names: str) -> Callable[[Rule], Rule]:
    def enter(rule: Rule) -> Rule:
        _RULES.update(dict.fromkeys(names, rule))
        return rule

    return enter


@_rule(*_RECURRENT)
def _gates(name: str, config: Config, scope: Scope, layer: str) -> tuple[str, Config]:
    """That version's defaults: hard_sigmoid before Keras 2.3 and TensorFlow 2, ``reset_after`` from TensorFlow 2 on."""
    origin = scope.origin
    if "recurrent_activation" not in config and origin.version < (2, 3) and not origin.of_tensorflow:
        config["recurrent_activation"] = objects.argument("recurrent_activation", "hard_sigmoid", scope, layer)
    if name.startswith("GRU") and "reset_after" not in config and not origin.of_tensorflow:
        config["reset_after"] = False
        scope.note(layer, "reset_after is False, the default of that version; today's is True")
    return name, config


@_rule(*_CONV_RECURRENT)
def _convolutional_gates(name: str, config: Config, scope: Scope, layer: str) -> tuple[str, Config]:
    if "recurrent_activation" not in config:
        config["recurrent_activation"] = objects.argument("recurrent_activation", "hard_sigmoid", scope, layer)
    return name, config


@_rule("BatchNormalization", "SyncBatchNormalization")
def _one_axis(name: str, config: Config, scope: Scope, layer: str) -> tuple[str, Config]:
    axis = config.get("axis")
    if isinstance(axis, (list, tuple)):
        if len(axis) != 1:
            refuse(layer, f"{name}(axis={list(axis)}) over several axes is not taken",
                   "Reshape, so that these axes are one, before and after")
        config["axis"] = axis[0]
    return name, config


@_rule("Add", "Average", "Concatenate", "Maximum", "Minimum", "Multiply", "Subtract")
def _masks_that_meet(name: str, config: Config, scope: Scope, layer: str) -> tuple[str, Config]:
    return name, {**config, "keras2_masks": True}


@_rule("RandomCrop")
def _random_crop(name: str, config: Config, scope: Scope, layer: str) -> tuple[str, Config]:
    """Keras 2 resizes where it does not train; Keras 3 then leaves images as they are."""
    scope.note(layer, "RandomCrop of Keras 2 crops in training, and resizes otherwise: here it is Resizing, always")
    kept = {key: value for key, value in config.items() if key in ("name", "trainable", "dtype", "height", "width")}
    return "Resizing", {**kept, "crop_to_aspect_ratio": True}


@_rule("LeakyReLU")
def _slope(name: str, config: Config, scope: Scope, layer: str) -> tuple[str, Config]:
    if "alpha" in config:
        config["negative_slope"] = config.pop("alpha")
    return name, config


@_rule("Lambda")
def _lambda(name: str, config: Config, scope: Scope, layer: str) -> tuple[str, Config]:
    for key in ("function", "mask", "output_shape"):
        kind = config.get(f"{key}_type", "raw")
        if kind != "raw" or (key != "output_shape" and isinstance(config.get(key), (list, str))):
            config[key] = objects.function(config.get(key), kind)
    gone = ("function_type", "output_shape_type", "mask_type", "module", "output_shape_module", "mask_module")
    return name, {key: value for key, value in config.items() if key not in gone}


@_rule("CategoryEncoding")
def _tokens(name: str, config: Config, scope: Scope, layer: str) -> tuple[str, Config]:
    if "max_tokens" in config:
        config["num_tokens"] = config.pop("max_tokens")
    return name, _output_mode(config)


@_rule("StringLookup", "IntegerLookup", "TextVectorization")
def _lookup(name: str, config: Config, scope: Scope, layer: str) -> tuple[str, Config]:
    gone = ("vocabulary_size", "has_input_vocabulary", "has_static_table")
    renamed = {"max_values": "max_tokens", "mask_value": "mask_token", "oov_value": "oov_token",
               "pad_to_max": "pad_to_max_tokens"}
    return name, _output_mode({renamed.get(key, key): value for key, value in config.items() if key not in gone})


def _output_mode(config: Config) -> Config:
    """Names of TensorFlow 2.3 to 2.5."""
    modes = {"binary": "multi_hot", "tf-idf": "tf_idf"}
    if isinstance(config.get("output_mode"), str):
        config["output_mode"] = modes.get(config["output_mode"], config["output_mode"])
    return config


@_rule("Discretization")
def _bins(name: str, config: Config, scope: Scope, layer: str) -> tuple[str, Config]:
    if "bins" in config:
        bins = config.pop("bins")
        config["num_bins" if isinstance(bins, int) else "bin_boundaries"] = bins
    return name, config


@_rule("InputLayer")
def _input(name: str, config: Config, scope: Scope, layer: str) -> tuple[str, Config]:
    if "batch_input_shape" in config:
        config["batch_shape"] = config.pop("batch_input_shape")
    if "input_dtype" in config:
        config["dtype"] = config.pop("input_dtype")
    return name, {key: value for key, value in config.items() if key not in ("type_spec", "trainable")}
