"""Expressions as layers of a graph, in Keras 3's config."""

from __future__ import annotations

from typing import Any

from kerashape_torch.graph import snake_case
from kerashape_torch.layer import Layer
from kerashape_torch.ops.operation import Operation
from kerashape_torch.saving.upgrade.constants import computed, is_computed
from kerashape_torch.saving.upgrade.expressions import AsLayer, Key, Op, Output, Slice, Tensor, map_tensors
from kerashape_torch.saving.upgrade.tensorflow.table import fixed


def layers_of(expression: Any, name: str, taken: set[str], names: dict[Op, str] | None = None,
              whole: str | None = None) -> list[dict[str, Any]]:
    """The layers of a graph that compute an expression, the last of them under this name.

    A list of expressions has an output for each. An op that stands in several places is done once.

    Args:
        names: of the ops that are layers already.
        whole: the name of the layer that all of them come from, where it is another one.
    """
    layers: list[dict[str, Any]] = []
    names = {} if names is None else names
    whole = whole or name
    between = "." if whole.startswith("tf.") else "_"

    def written(value: Any) -> Any:
        if isinstance(value, Tensor):
            return value.written()
        if is_computed(value):
            return computed(value)
        if isinstance(value, Output):
            layer, call, _ = written(value.of)["config"]["keras_history"]
            return Tensor(layer, call, value.index).written()
        if value not in names:
            names[value] = unused(f"{whole}{between}{snake_case(value.class_name)}", taken)
            layers.extend(layers_of(value, names[value], taken, names, whole))
        return Tensor(names[value], 0, 0).written()

    is_whole = isinstance(expression, Op) and not isinstance(expression, Output)
    made = expression if is_whole else AsLayer("Identity", expression)
    named = {key: value for key, value in made.config.items() if key in made.named}
    config = {key: fixed(value, key) for key, value in made.config.items() if key not in made.named}
    args = [_constants(map_tensors(operand, written)) for operand in made.operands]
    kwargs = {key: _constants(map_tensors(value, written)) for key, value in named.items()}
    layers.append({**_class_of(made), "config": {"name": name, **config}, "name": name,
                   "inbound_nodes": [{"args": args, "kwargs": kwargs}]})
    return layers


def unused(name: str, taken: set[str]) -> str:
    """A name that no layer has yet; it counts as taken from now on."""
    number, found = 0, name
    while found in taken:
        number += 1
        found = f"{name}_{number}"
    taken.add(found)
    return found


def _class_of(made: Op) -> dict[str, Any]:
    cls = Operation.catalog().get(made.class_name)
    if cls is None or isinstance(made, AsLayer):
        assert made.class_name in Layer.catalog()
        return {"module": "keras.layers", "class_name": made.class_name, "registered_name": None}
    return {"module": cls.keras_module, "class_name": made.class_name, "registered_name": made.class_name}


def _constants(value: Any) -> Any:
    """Lists of numbers are arrays; lists that hold tensors stay lists."""
    if isinstance(value, Slice):
        return {"class_name": "__slice__", "config": value._asdict()}
    if value is Ellipsis:
        return {"class_name": "__ellipsis__", "config": {}}
    if isinstance(value, Key):
        return [_constants(part) for part in value]
    if isinstance(value, list):
        kinds = _kinds(value)
        if kinds and kinds <= {bool, int, float}:
            dtype = getattr(value, "dtype", "float32" if float in kinds else "int32" if int in kinds else "bool")
            return {"class_name": "__numpy__", "config": {"value": value, "dtype": dtype}}
        return [_constants(item) for item in value]
    return value


def _kinds(value: Any) -> set[type]:
    return {kind for item in value for kind in _kinds(item)} if isinstance(value, list) else {type(value)}
