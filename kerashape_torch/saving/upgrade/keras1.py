"""Keras 1's layers in Keras 2's words: names of classes, names of arguments, and values that had other names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kerashape_torch.config import custom_object
from kerashape_torch.layer import Layer
from kerashape_torch.saving.upgrade import objects
from kerashape_torch.saving.upgrade.scope import Scope, refuse

Config = dict[str, Any]

CLASSES: Mapping[str, str] = {
    "Convolution1D": "Conv1D", "Convolution2D": "Conv2D", "Convolution3D": "Conv3D", "AtrousConv1D": "Conv1D",
    "AtrousConv2D": "Conv2D", "AtrousConvolution1D": "Conv1D", "AtrousConvolution2D": "Conv2D",
    "Deconv2D": "Conv2DTranspose", "Deconv3D": "Conv3DTranspose", "Deconvolution2D": "Conv2DTranspose",
    "Deconvolution3D": "Conv3DTranspose", "SeparableConvolution2D": "SeparableConv2D",
    "TimeDistributedDense": "TimeDistributed",
}
"""Keras 1's class names, and Keras 2's."""

_KERNEL = {"init": "kernel_initializer", "W_regularizer": "kernel_regularizer", "b_regularizer": "bias_regularizer",
           "W_constraint": "kernel_constraint", "b_constraint": "bias_constraint", "bias": "use_bias"}
_IMAGES = {"border_mode": "padding", "dim_ordering": "data_format"}
_CONV = {**_KERNEL, **_IMAGES, "nb_filter": "filters", "subsample": "strides", "subsample_length": "strides",
         "filter_length": "kernel_size", "atrous_rate": "dilation_rate"}
_RECURRENT = {**_KERNEL, "output_dim": "units", "inner_init": "recurrent_initializer",
              "inner_activation": "recurrent_activation", "U_regularizer": "recurrent_regularizer",
              "dropout_W": "dropout", "dropout_U": "recurrent_dropout"}
_DROPOUT = {"p": "rate", "dim_ordering": "data_format"}
_POOL = {**_IMAGES, "pool_length": "pool_size", "stride": "strides"}

_ARGUMENTS: Mapping[str, Mapping[str, str]] = {
    "Dense": {**_KERNEL, "output_dim": "units"},
    "TimeDistributedDense": {**_KERNEL, "output_dim": "units"},
    **dict.fromkeys(("Conv1D", "Conv2D", "Conv3D", "Conv2DTranspose", "Conv3DTranspose", "LocallyConnected1D",
                     "LocallyConnected2D"), _CONV),
    "SeparableConv2D": {**_CONV, "init": "depthwise_initializer"},
    "ConvLSTM2D": {**_RECURRENT, **_CONV},
    **dict.fromkeys(("SimpleRNN", "LSTM", "GRU"), _RECURRENT),
    "Embedding": {"init": "embeddings_initializer", "W_regularizer": "embeddings_regularizer",
                  "W_constraint": "embeddings_constraint"},
    **dict.fromkeys(("MaxPooling1D", "MaxPooling2D", "MaxPooling3D", "AveragePooling1D", "AveragePooling2D",
                     "AveragePooling3D"), _POOL),
    **dict.fromkeys(("GlobalMaxPooling2D", "GlobalAveragePooling2D", "GlobalMaxPooling3D", "GlobalAveragePooling3D",
                     "ZeroPadding2D", "ZeroPadding3D", "Cropping2D", "Cropping3D", "UpSampling2D", "UpSampling3D"),
                    _IMAGES),
    "UpSampling1D": {"length": "size"},
    **dict.fromkeys(("Dropout", "GaussianDropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D"),
                    _DROPOUT),
    "GaussianNoise": {"sigma": "stddev"},
    "PReLU": {"init": "alpha_initializer"},
    "BatchNormalization": {"beta_init": "beta_initializer", "gamma_init": "gamma_initializer"},
}
"""Keras 1's argument names by class, as Keras 2 calls the class, and Keras 2's."""

_MORE_ARGUMENTS: Mapping[str, frozenset[str]] = {
    "SimpleRNN": frozenset({"consume_less"}), "LSTM": frozenset({"consume_less", "forget_bias_init"}),
    "GRU": frozenset({"consume_less"}), "ConvLSTM2D": frozenset({"nb_row", "nb_col", "forget_bias_init"}),
    "Conv2D": frozenset({"nb_row", "nb_col"}), "SeparableConv2D": frozenset({"nb_row", "nb_col"}),
    "Conv2DTranspose": frozenset({"nb_row", "nb_col"}), "LocallyConnected2D": frozenset({"nb_row", "nb_col"}),
    "Conv3D": frozenset({"kernel_dim1"}), "BatchNormalization": frozenset({"mode"}),
}
"""Arguments of Keras 1 that are more than another name."""

_ALL_ARGUMENTS: Mapping[str, frozenset[str]] = {
    name: frozenset({*_ARGUMENTS.get(name, _ARGUMENTS.get(today, {})), *_MORE_ARGUMENTS.get(today, ())})
    for name, today in {**{name: name for name in (*_ARGUMENTS, *_MORE_ARGUMENTS)}, **CLASSES}.items()}

WITHOUT_EQUIVALENT = {
    "ParametricSoftplus": "a layer of your own: alpha * softplus(beta * x)",
    "SReLU": "a layer of your own with its four weights",
    "Graph": "rebuild it as a functional model in Keras 1 or 2, and save that",
}
"""Layers of Keras 1 that are not here, and the way out. Classes of the user's own under these names are taken."""

_INITIALIZERS: Mapping[str, Any] = {
    "zero": "zeros", "one": "ones",
    "normal": {"class_name": "RandomNormal", "config": {"mean": 0.0, "stddev": 0.05, "seed": None}},
    "uniform": {"class_name": "RandomUniform", "config": {"minval": -0.05, "maxval": 0.05, "seed": None}},
}
_VALUES: Mapping[str, Mapping[Any, Any]] = {"data_format": {"tf": "channels_last", "th": "channels_first"}}


def old_forms(node: Mapping[str, Any]) -> list[str]:
    """What of a node only Keras 1 wrote, in words."""
    name, config = node.get("class_name"), node.get("config")
    if not isinstance(name, str) or not isinstance(config, (dict, Mapping)):
        return []
    found = [f"{config.get('name', name)!r} has {argument}"
             for argument in sorted(_ALL_ARGUMENTS[name] & config.keys())] if name in _ALL_ARGUMENTS else []
    if name in WITHOUT_EQUIVALENT or (name == "Merge" and "mode" in config) or name == "TimeDistributedDense":
        found.append(f"there is a layer {name}")
    return found


def upgraded_layer(name: str, config: Config, scope: Scope) -> tuple[str, Config]:
    """Class and config of a layer of Keras 1 in Keras 2's words; one of Keras 2 comes back as it is."""
    layer = str(config.get("name") or name.lower())
    if name in WITHOUT_EQUIVALENT and custom_object(name) is None:
        refuse(layer, f"Keras 1's {name} has no equivalent today", WITHOUT_EQUIVALENT[name])
    is_old = bool(old_forms({"class_name": name, "config": config}))
    if name == "Merge":
        return _merge(config, layer)
    if not is_old and scope.origin.major > 1:
        return CLASSES.get(name, name), config
    rule = _RULES.get(CLASSES.get(name, name))
    names = _ARGUMENTS.get(name, _ARGUMENTS.get(CLASSES.get(name, name), {}))
    made = {names.get(key, key): _value(names.get(key, key), value) for key, value in config.items()}
    if rule is not None:
        name, made = rule(name, made, scope, layer)
    name = CLASSES.get(name, name)
    return name, _without_input_sizes(name, made)


def _value(key: str, value: Any) -> Any:
    if key.endswith(("_initializer", "init")) and isinstance(value, str):
        return _INITIALIZERS.get(value, value)
    if isinstance(value, str) and key in _VALUES:
        return _VALUES[key].get(value)
    return value


def _without_input_sizes(name: str, config: Config) -> Config:
    """``input_dim`` and ``input_length`` of the first layer, which ``batch_input_shape`` says as well."""
    own = () if name not in Layer.catalog() else Layer.catalog()[name]._own_arguments()
    return {key: value for key, value in config.items() if key in own or key not in ("input_dim", "input_length")}


# ---- classes with rules of their own ---------------------------------------------------------------------------------

Rule = Callable[[str, Config, Scope, str], tuple[str, Config]]
_RULES: dict[str, Rule] = {}


def _rule(*names: str) -> Callable[[Rule], Rule]:
    def enter(rule: Rule) -> Rule:
        _RULES.update(dict.fromkeys(names, rule))
        return rule

    return enter


def _check_padding(name: str, config: Config, layer: str) -> None:
    if config.get("padding") in ("full", "half"):
        refuse(layer, f"{name}(border_mode={config['padding']!r}) is Theano's alone",
               "ZeroPadding before it, and border_mode='valid'")


@_rule("Conv1D", "Conv2D", "Conv3D", "Conv2DTranspose", "Conv3DTranspose", "SeparableConv2D", "LocallyConnected1D",
       "LocallyConnected2D")
def _convolution(name: str, config: Config, scope: Scope, layer: str) -> tuple[str, Config]:
    _check_padding(name, config, layer)
    _kernel_size(config)
    if "data_format" in config and config["data_format"] is None:
        config["data_format"] = _default_format(scope)
    if "depthwise_initializer" in config:
        config["pointwise_initializer"] = config["depthwise_initializer"]
        for key in [key for key in config if key.startswith("kernel_") and key != "kernel_size"]:
            del config[key]
    if config.pop("output_shape", None) is not None:
        scope.note(layer, "output_shape of Keras 1 is left out: the shape follows from kernel, strides and padding")
    return name, config


def _kernel_size(config: Config) -> None:
    for names in (("nb_row", "nb_col"), ("kernel_dim1", "kernel_dim2", "kernel_dim3")):
        if names[0] in config:
            config["kernel_size"] = [config.pop(name) for name in names]


def _default_format(scope: Scope) -> str:
    return "channels_first" if scope.origin.backend == "theano" else "channels_last"


@_rule("MaxPooling1D", "MaxPooling2D", "MaxPooling3D", "AveragePooling1D", "AveragePooling2D", "AveragePooling3D")
def _pooling(name: str, config: Config, scope: Scope, layer: str) -> tuple[str, Config]:
    _check_padding(name, config, layer)
    return name, config


@_rule("ZeroPadding1D", "ZeroPadding2D")
def _zero_padding(name: str, config: Config, scope: Scope, layer: str) -> tuple[str, Config]:
    padding = config.get("padding")
    if isinstance(padding, Mapping):
        sides = ("left_pad", "right_pad") if name == "ZeroPadding1D" else ("top_pad", "bottom_pad", "left_pad",
                                                                         "right_pad")
        padding = [padding.get(side, 0) for side in sides]
    if isinstance(padding, (list, tuple)) and len(padding) == 4:
        padding = [list(padding[:2]), list(padding[2:])]
    return name, {**config, "padding": padding}


@_rule("SimpleRNN", "LSTM", "GRU", "ConvLSTM2D")
def _recurrent(name: str, config: Config, scope: Scope, layer: str) -> tuple[str, Config]:
    config.pop("consume_less", None)
    _kernel_size(config)
    if "forget_bias_init" in config:
        forget = config.pop("forget_bias_init")
        config["unit_forget_bias"] = forget in ("one", "ones")
    if name != "SimpleRNN" and "recurrent_activation" not in config:
        config["recurrent_activation"] = objects.argument("recurrent_activation", "hard_sigmoid", scope, layer)
    return name, config


@_rule("BatchNormalization")
def _batch_normalization(name: str, config: Config, scope: Scope, layer: str) -> tuple[str, Config]:
    mode = config.pop("mode", 0)
    if mode != 0:
        what = {1: "normalizes each sample", 2: "takes the statistics of the batch, also when it is not trained"}
        refuse(layer, f"BatchNormalization(mode={mode!r}) {what.get(mode, 'is not known')}",
               "LayerNormalization, trained anew" if mode == 1 else "mode=0, trained anew")
    return name, config


@_rule("Embedding")
def _embedding(name: str, config: Config, scope: Scope, layer: str) -> tuple[str, Config]:
    if config.pop("dropout", 0):
        scope.note(layer, "dropout of Keras 1's Embedding, which dropped whole words in training, is left out")
    config.pop("weights", None)
    return name, config


@_rule("TimeDistributed")
def _time_distributed_dense(name: str, config: Config, scope: Scope, layer: str) -> tuple[str, Config]:
    """TimeDistributedDense is TimeDistributed(Dense): its arguments are those of the Dense inside."""
    if name == "TimeDistributed":
        return name, config
    own = ("name", "trainable", "batch_input_shape", "input_dtype")
    outer: Config = {key: config.pop(key) for key in own if key in config}
    inner = {"name": f"{layer}_dense", **_without_input_sizes("Dense", config)}
    for key in list(inner):
        inner[key] = objects.argument(key, inner[key], scope, layer)
    dense = {"module": "keras.layers", "class_name": "Dense", "config": inner, "registered_name": None}
    return name, {**outer, "layer": dense}


def _merge(config: Config, layer: str) -> tuple[str, Config]:
    """Merge is the merging layer that its mode names."""
    mode = config.get("mode", "sum")
    kept: Config = {key: config[key] for key in ("name", "trainable") if key in config}
    classes = {"sum": "Add", "mul": "Multiply", "ave": "Average", "max": "Maximum"}
    if config.get("mode_type", "raw") != "raw":
        shape = config.get("output_shape") if config.get("output_shape_type", "raw") == "raw" else None
        return "Lambda", {**kept, "function": objects.function(mode, config["mode_type"]), "output_shape": shape,
                          "arguments": config.get("arguments") or {}}
    if mode in classes:
        return classes[mode], kept
    if mode == "concat":
        return "Concatenate", {**kept, "axis": config.get("concat_axis", -1)}
    if mode not in ("dot", "cos"):
        refuse(layer, f"Merge(mode={mode!r}) is not known")
    return "Dot", {**kept, "axes": config.get("dot_axes", -1), "normalize": mode == "cos"}


__all__ = ["CLASSES", "old_forms", "upgraded_layer"]
