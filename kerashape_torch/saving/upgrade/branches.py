"""Keras 1's Sequential models whose first layer is a Merge of other models: each is a functional model today."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kerashape_torch.saving.upgrade.scope import Scope, refuse

Config = dict[str, Any]


def begins_with_merge(layers: Any) -> bool:
    """Whether a list of layers begins with a Merge that has models in it."""
    first = layers[0] if isinstance(layers, (list, tuple)) and layers else None
    return (isinstance(first, Mapping) and first.get("class_name") == "Merge"
            and isinstance(first.get("config"), Mapping) and bool(first["config"].get("layers")))


def as_functional(config: Mapping[str, Any], scope: Scope) -> Config:
    """Class and config, in Keras 2's words, of the functional model that such a Sequential model is."""
    merge, *rest = config["layers"]
    entries: list[Config] = []
    inputs: list[list[Any]] = []
    merged: list[list[Any]] = []
    for number, branch in enumerate(merge["config"]["layers"]):
        merged.append(_branch(branch, number, entries, inputs, str(merge["config"].get("name", "merge"))))
    merge = {**merge, "config": {key: value for key, value in merge["config"].items() if key != "layers"}}
    calls = [merged]
    for layer in (merge, *rest):
        name = layer["config"].get("name") if isinstance(layer["config"], Mapping) else layer.get("name")
        if name is None:
            refuse("a Sequential model that begins with a Merge", f"one of its layers, {layer['class_name']}, has no "
                                                                  "name")
        entries.append({**layer, "name": name, "inbound_nodes": calls})
        calls = [[[name, int(_is_model(layer)), 0]]]
    return {"class_name": "Model", "config": {"name": config.get("name") or "sequential", "layers": entries,
                                              "input_layers": inputs, "output_layers": calls[0]}}


def _is_model(layer: Mapping[str, Any]) -> bool:
    return layer["class_name"] in ("Sequential", "Model")


def _branch(branch: Mapping[str, Any], number: int, entries: list[Config], inputs: list[list[Any]],
            merge: str) -> list[Any]:
    """Enters a model with its inputs, and gives back its output."""
    config = branch["config"]
    layers = config["layers"] if isinstance(config, Mapping) else config
    name = str((config.get("name") if isinstance(config, Mapping) else None) or branch.get("name")
               or f"{merge}_branch_{number + 1}")
    if begins_with_merge(layers):
        inner: list[list[Any]] = []
        merged = [_branch(each, i, entries, inner, f"{name}_{i + 1}")
                  for i, each in enumerate(layers[0]["config"]["layers"])]
        inputs.extend(inner)
        first = {**layers[0], "config": {k: v for k, v in layers[0]["config"].items() if k != "layers"}}
        return _chain([first, *layers[1:]], [merged], entries, name)
    shape, dtype = _input_of(branch, layers, name)
    own = f"{name}_input"
    entries.append({"class_name": "InputLayer", "name": own, "inbound_nodes": [], "config": {
        "batch_input_shape": list(shape), "input_dtype": dtype, "name": own}})
    inputs.append([own, 0, 0])
    entries.append({**branch, "name": name, "inbound_nodes": [[[own, 0, 0]]]})
    return [name, 1, 0]


def _chain(layers: list[Any], calls: list[Any], entries: list[Config], branch: str) -> list[Any]:
    for layer in layers:
        name = str(layer["config"].get("name") or f"{branch}_{layer['class_name'].lower()}")
        entries.append({**layer, "name": name, "inbound_nodes": calls})
        calls = [[[name, int(_is_model(layer)), 0]]]
    found: list[Any] = calls[0][0]
    return found


def _input_of(branch: Mapping[str, Any], layers: Any, name: str) -> tuple[list[Any], str]:
    """Shape and dtype of a branch's one input."""
    if isinstance(branch["config"], Mapping) and "input_layers" in branch["config"]:
        if len(branch["config"]["input_layers"]) != 1:
            refuse(name, "a branch of a Merge with several inputs is not taken", "rebuild it as one functional model")
        wanted = branch["config"]["input_layers"][0][0]
        layers = [layer for layer in layers if layer.get("name") == wanted]
    first = layers[0]
    while _is_model(first):
        inner = first["config"]
        first = (inner["layers"] if isinstance(inner, Mapping) else inner)[0]
    config = first["config"]
    if config.get("batch_input_shape") is None:
        refuse(name, "its first layer does not say its input shape", "give that layer a batch_input_shape in the file")
    return config["batch_input_shape"], str(config.get("input_dtype") or config.get("dtype") or "float32")
