"""Models of Keras 1 and 2, and whatever else holds layers, in Keras 3's form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kerashape_torch.layer import Layer
from kerashape_torch.ops.operation import Operation
from kerashape_torch.saving.upgrade import branches, calls, keras1, layers, objects
from kerashape_torch.saving.upgrade.origin import is_call_of_keras3
from kerashape_torch.saving.upgrade.scope import Scope, refuse

Config = dict[str, Any]
_MODELS = ("Sequential", "Model", "Functional")


def upgraded_value(value: Any, scope: Scope) -> Any:
    """A value from a config with every layer and model in it upgraded."""
    if isinstance(value, (list, tuple)):
        return [upgraded_value(item, scope) for item in value]
    if not isinstance(value, Mapping):
        return value
    if value.get("class_name") in ("TensorShape", "__tuple__") and "items" in value:
        return upgraded_value(value["items"], scope)
    if isinstance(value.get("class_name"), str) and "config" in value:
        return upgraded_object(value, scope)
    return {key: upgraded_value(item, scope) for key, item in value.items()}


def upgraded_object(written: Mapping[str, Any], scope: Scope) -> Any:
    """A model, a layer, or anything else that is written with its class."""
    config = written["config"]
    if is_model(written):
        return upgraded_model(written, scope)
    if not isinstance(config, Mapping) or _module(written).startswith(("keras.src.ops", "keras.ops")):
        return written
    is_layer = is_known_layer(written) or "inbound_nodes" in written or "batch_input_shape" in config
    return _layer(written, scope) if is_layer else {**written, "config": upgraded_value(config, scope)}


def is_model(written: Mapping[str, Any]) -> bool:
    """Whether this is a Sequential or functional model, of whatever class."""
    config = written["config"]
    graph = isinstance(config, Mapping) and "layers" in config and "input_layers" in config
    return written["class_name"] in _MODELS or graph


def is_known_layer(written: Mapping[str, Any]) -> bool:
    name, module = written["class_name"], _module(written)
    known = name in Layer.catalog() or name in keras1.CLASSES or name in layers.CLASSES or name == "Merge"
    known = known or name in keras1.WITHOUT_EQUIVALENT
    return known and (not module or ".layers" in module or "layers." in module)


def _module(written: Mapping[str, Any]) -> str:
    module = written.get("module")
    return module if isinstance(module, str) else ""


def _layer(written: Mapping[str, Any], scope: Scope) -> Config:
    name = written["class_name"]
    if name in Operation.catalog() and _is_op_of_keras3(written):
        return {**written, "module": Operation.catalog()[name].keras_module}
    inner = {key: upgraded_value(value, scope) if isinstance(value, (Mapping, list)) else value
             for key, value in written["config"].items()}
    name, inner = keras1.upgraded_layer(name, inner, scope)
    name, inner = layers.upgraded_layer(name, inner, scope)
    if name == "EinsumDense" and scope.origin.major < 3 and isinstance(written.get("build_config"), Mapping):
        inner = layers.einsum_sizes(inner, written["build_config"].get("input_shape"))
    made = {**written, "class_name": name, "config": inner}
    if name in Layer.catalog():
        made.update(module="keras.layers", registered_name=None)
    if isinstance(made.get("name"), str):
        made["name"] = scope.name(made["name"])
    return made


def _is_op_of_keras3(written: Mapping[str, Any]) -> bool:
    """Keras 3 writes ``.h5`` without modules: an op then has the keys of no layer."""
    config = written["config"]
    bare = "module" not in written and not {"trainable", "dtype"} & config.keys()
    return bare and "inbound_nodes" in written and all(map(is_call_of_keras3, written["inbound_nodes"]))


# ---- models ----------------------------------------------------------------------------------------------------------


def upgraded_model(written: Mapping[str, Any], scope: Scope) -> Config:
    """A Sequential or functional model, in the class that it has, with Keras 3's calls and inputs."""
    config = written["config"]
    kept = {key: value for key, value in written.items() if key not in ("keras_version", "backend")}
    if isinstance(kept.get("name"), str):
        kept["name"] = scope.name(kept["name"])
    if isinstance(config, Mapping) and "layers" in config and "input_layers" in config:
        made = {**config, "layers": list(config["layers"])}
        functional = _functional(made, scope)
        return {**kept, **_model_class(written["class_name"]), "config": functional}
    if written["class_name"] != "Sequential":
        return dict(kept)  # the engine says what its config lacks
    config = dict(config) if isinstance(config, Mapping) else {"layers": config}
    if "name" not in config and "name" in kept:
        config["name"] = kept["name"]
    if branches.begins_with_merge(config.get("layers")):
        return upgraded_model({**kept, **branches.as_functional(config, scope)}, scope)
    return {**kept, "module": "keras", "class_name": "Sequential", "registered_name": None,
            "config": _sequential(config, scope)}


def _model_class(name: str) -> Config:
    if name not in _MODELS:
        return {"class_name": name}  # the user's own
    return {"module": "keras.src.models.functional", "class_name": "Functional", "registered_name": "Functional"}


def _sequential(config: Mapping[str, Any], scope: Scope) -> Config:
    written = config.get("layers")
    if not isinstance(written, Sequence) or isinstance(written, str):
        return dict(config)
    made = {**config, "layers": [upgraded_value(layer, scope) for layer in written]}
    if "build_input_shape" in made:
        made["build_input_shape"] = upgraded_value(made["build_input_shape"], scope)
    declared = _declared_input(written[0]) if written else None
    if declared is not None:
        made["layers"].insert(0, declared)
    return made


def _declared_input(first: Any) -> Config | None:
    """The InputLayer that Keras 2 put before a first layer with an input shape, and did not always write."""
    config = first.get("config") if isinstance(first, Mapping) else None
    if not isinstance(config, Mapping) or first["class_name"] == "InputLayer":
        return None
    shape = config.get("batch_input_shape")
    if shape is None:
        return None
    dtype = objects.dtype(config.get("input_dtype") or config.get("dtype"))
    name = str(config.get("name") or "").replace("/", "_")
    if not isinstance(dtype, str) or dtype.startswith("mixed_"):
        dtype = "float32"
    return {"module": "keras.layers", "class_name": "InputLayer", "registered_name": None, "config": {
        "batch_shape": list(shape), "dtype": dtype, "sparse": False, "ragged": False, "name": f"{name}_input"}}


def _functional(config: Config, scope: Scope) -> Config:
    for layer in config["layers"]:
        if not isinstance(layer, Mapping) or "class_name" not in layer or not isinstance(
                layer.get("config"), (Mapping, list)):
            refuse("a functional model", f"one of its layers is no layer: {str(layer)[:60]!r}")
    return calls.upgraded_graph(config, lambda layer: upgraded_object(layer, scope), scope)
