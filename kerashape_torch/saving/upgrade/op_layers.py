"""Layers that Keras 2 made of functions of TensorFlow, as the ops that Keras 3 has for them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from kerashape_torch.config import custom_object
from kerashape_torch.errors import ConfigError
from kerashape_torch.saving.upgrade import objects
from kerashape_torch.saving.upgrade.constants import computed, is_computed
from kerashape_torch.saving.upgrade.expressions import Array, AsLayer, tensors_in
from kerashape_torch.saving.upgrade.scope import Scope, refuse
from kerashape_torch.saving.upgrade.sizes import Shapes, sources
from kerashape_torch.saving.upgrade.tensorflow import Untranslated, arguments_of_node, bare_name, translated
from kerashape_torch.saving.upgrade.written import layers_of, unused

Config = dict[str, Any]
_CLASSES = ("TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer")
_REFUSED = {"ClassMethod": "cls_symbol", "InstanceProperty": "attr_name", "InstanceMethod": "attr_name"}


def is_op_layer(entry: Mapping[str, Any]) -> bool:
    """Whether this is a layer around a function of TensorFlow."""
    return str(entry["class_name"]).split(">")[-1] in _CLASSES or _of_sparse(entry) is not None


def _of_sparse(entry: Mapping[str, Any]) -> str | None:
    """The class and the member of a layer around one of sparse or ragged tensors."""
    name = str(entry["class_name"]).split(">")[-1]
    written = isinstance(entry["config"], Mapping) and _REFUSED.get(name) in entry["config"]
    return f"{name} of {entry['config'][_REFUSED[name]]!r}" if written else None


def names_of_calls(entries: list[Config], taken: set[str], scope: Scope) -> dict[tuple[str, int], str]:
    """An op is called once: the further calls of an op layer become layers with names of their own."""
    return {(entry["name"], call): unused(f"{scope.name(entry['name'])}_{call}", taken)
            for entry in entries if is_op_layer(entry) for call in range(1, len(entry.get("inbound_nodes") or ()))}


def as_layers(layer: str, name: str, function: str, first: Any, kwargs: Config, taken: set[str],
              shapes: Shapes) -> list[Config]:
    """The ops of one call of a function, the last of them under this name.

    Raises:
        ConfigError: the function has no equivalent among the ops, and none in ``custom_objects``.
    """
    kwargs = {key: value for key, value in kwargs.items() if key != "name"}
    own = next((key for key in (layer, function, bare_name(function)) if custom_object(key) is not None), None)
    if own is not None:
        return layers_of(_user_function(own, first, kwargs), name, taken)
    try:
        found = translated(function, first, kwargs, shapes)
        if found is not None:
            return layers_of(found, name, taken)
    except Untranslated as error:
        raise not_had(layer, function, error) from None
    raise not_had(layer, function)


def not_had(layer: str, function: str, error: Untranslated | None = None) -> ConfigError:
    """What a layer asks of TensorFlow that is not had here, and the way out."""
    bare = bare_name(function)
    called = f"layer {layer!r} calls tf.{bare}"
    way_out = f"pass a function of torch tensors: custom_objects={{{bare!r}: your_function}}"
    if error is None:
        return ConfigError(f"{called}, a function of TensorFlow that has no equivalent here. Way out: {way_out}"
                           ).needing(bare)
    made = ConfigError(f"{called}: {error}. Way out: {error.way_out or way_out}")
    return made if error.way_out else made.needing(bare)


def constant(function: str, first: Any, kwargs: Mapping[str, Any], shapes: Shapes) -> Any:
    """What a call of a function comes to that has no tensors; None where it cannot be said."""
    try:
        found = translated(function, first, kwargs, shapes)
    except Untranslated:
        return None
    several = isinstance(found, list) and not isinstance(found, Array)
    return None if found is None or several or not is_computed(found) else computed(found)


def function_of(entry: Config, first: Any, kwargs: Config) -> tuple[str, Any, Config]:
    """The function of a call of an op layer with its first argument and the others by name.

    Raises:
        ConfigError: the layer names none, or one of tensors that are not had.
    """
    config = entry["config"]
    member = _of_sparse(entry)
    if member is not None:
        refuse(entry["name"], f"{member} works on sparse or ragged tensors, which are not had", "make the tensor dense")
    if not isinstance(config, Mapping) or "node_def" not in config:
        if not isinstance(config, Mapping) or not isinstance(config.get("function"), str):
            refuse(entry["name"], f"{entry['class_name']} names no function")
        return config["function"], first, kwargs
    node = config["node_def"]
    if isinstance(node, str):
        try:
            node = json.loads(node)
        except ValueError:
            node = None
    if not isinstance(node, Mapping) or "op" not in node:
        refuse(entry["name"], "its node_def is no JSON")
    function, first, more = arguments_of_node(node, first, config.get("constants") or {})
    return function, first, more


def _user_function(function: str, first: Any, kwargs: Config) -> AsLayer:
    """A Lambda of all tensors of the call, in order; it asks for the function, or has it from ``custom_objects``.

    Where a call has no tensors but sizes of them, it gets those that have the sizes.
    """
    tensors = tensors_in([first, kwargs]) or sources([first, kwargs])
    constants = {key: value for key, value in kwargs.items()
                 if not tensors_in(value) and not sources(value) and value is not None}
    if not tensors_in(first) and not sources(first) and first is not None:
        constants = {"value": first, **constants}
    return AsLayer("Lambda", tensors[0] if len(tensors) == 1 else tensors,
                   function=objects.function(function), arguments=constants)
