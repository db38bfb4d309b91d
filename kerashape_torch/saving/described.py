"""Descriptions of what is no file: a config, and a live model or layer of Keras, which is never imported here."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from kerashape_torch.errors import ConfigError, KerashapeError
from kerashape_torch.layer import Layer
from kerashape_torch.models import Model
from kerashape_torch.saving.models import load_model, object_of
from kerashape_torch.saving.upgrade.models import is_model
from kerashape_torch.shape_table import Row, ShapeTable, Weight
from kerashape_torch.standalone import alone
from kerashape_torch.structure import is_shape, map_structure


def of_config(config: Mapping[str, Any], version: str | None = None) -> Model | Layer:
    """The model or layer that a dict describes: that of ``to_json()``, of ``get_config()`` of a model, or of a layer
    with its class.

    >>> of_config({"class_name": "Dense", "config": {"name": "d", "units": 4}})
    Dense(units=4, name='d')
    """
    if "class_name" not in config and "layers" in config:
        config = {"class_name": "Functional" if "input_layers" in config else "Sequential", "config": config}
    if "class_name" not in config or "config" not in config:
        raise ConfigError("the config of a model or layer is a dict with 'class_name' and 'config'")
    found = load_model(config, compile=False) if is_model(config) else object_of(config, version)
    if not isinstance(found, Layer):
        raise ConfigError(f"the config describes a {type(found).__name__}, which has no shapes")
    return found


# ---- live Keras ------------------------------------------------------------------------------------------------------


def of_live(keras: Any) -> Model | Layer | ShapeTable:
    """A model or layer of Keras by its own config; by what Keras knows of its layers, where that cannot be read.

    Raises:
        KerashapeError: neither says a shape.
    """
    has_layers = isinstance(getattr(keras, "layers", None), list)
    try:
        found = of_config(json.loads(keras.to_json())) if has_layers else _layer(keras)
    except Exception:  # a class of somebody's own, a Lambda; and whatever Keras raises where there is no config
        if not has_layers:
            raise
        return _table(keras)
    if found.built and _sizes(found.weights) != _sizes(keras.weights):
        return _table(keras)  # as where it is quantized
    return found


def _sizes(weights: Iterable[Any]) -> list[tuple[int, ...]]:
    return sorted(tuple(weight.shape) for weight in weights)


def _layer(keras: Any) -> Layer:
    package = sys.modules.get(type(keras).__module__.partition(".")[0])
    version = getattr(package, "__version__", None)
    module = {"module": "keras.layers", "registered_name": None} if str(version)[:1] != "2" else {}
    made = of_config({"class_name": type(keras).__name__, "config": keras.get_config(), **module}, version)
    took = _shape(lambda: keras.input) or _built_for(keras)
    return made if took is None else alone(made, took)


def _table(model: Any) -> ShapeTable:
    rows = list(_rows(model.layers, 0))
    if all(row.output_shape is None for row in rows):
        raise KerashapeError(f"{type(model).__name__} has no config that says its shapes, and its layers have seen "
                             "none yet. Way out: call it once on a tensor, or build it")
    return ShapeTable(model.name, rows, _weights(model), _shape(lambda: model.input_shape),
                      _shape(lambda: model.output_shape), chain=False)


def _rows(layers: Iterable[Any], depth: int) -> Iterator[Row]:
    for layer in layers:
        inner, own = getattr(layer, "layers", None), _weights(layer)
        params = sum(each.size for each in own) if getattr(layer, "built", True) else None
        yield Row(layer.name, type(layer).__name__, *_ends(layer), [] if inner else own, params, bool(layer.trainable),
                  depth=depth)
        if isinstance(inner, list):
            yield from _rows(inner, depth + 1)


def _ends(layer: Any) -> tuple[Any, Any]:
    """What Keras knows a layer to take and to give; what takes nothing stands as what it gives."""
    took = _shape(lambda: layer.input) or _built_for(layer)
    gave = _shape(lambda: layer.output) or (took and _shape(lambda: layer.compute_output_shape(took)))
    return took or gave, gave


def _shape(ask: Callable[[], Any]) -> Any:
    """A shape that Keras may know, or a structure of them, or None."""
    try:
        found = ask()
    except Exception:  # whatever Keras raises for what was never called
        return None
    return _plain(map_structure(lambda x: tuple(x.shape) if hasattr(x, "shape") else x, found))


def _built_for(layer: Any) -> Any:
    return _shape(lambda: layer.get_build_config()["input_shape"])


def _plain(shape: Any) -> Any:
    """A structure of shapes with tuples for shapes, whatever Keras has for one."""
    if hasattr(shape, "as_list"):
        shape = shape.as_list()
    if isinstance(shape, (list, tuple)):
        return tuple(shape) if is_shape(shape) else [_plain(each) for each in shape]
    return {key: _plain(each) for key, each in shape.items()} if isinstance(shape, Mapping) else None


def _weights(layer: Any) -> list[Weight]:
    """The weights that a layer of Keras has made, each once."""
    try:
        variables = {id(x): x for x in layer.weights}.values()
    except ValueError:  # what Keras 2 raises for a model that has not been called
        return []
    return [Weight(x.name.rpartition("/")[2].partition(":")[0], tuple(x.shape), bool(x.trainable),
                   str(getattr(x.dtype, "name", x.dtype))) for x in variables]
