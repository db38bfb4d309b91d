"""What a function of TensorFlow comes to: ops of ops of tensors, to be written as layers of a graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from kerashape_torch.graph import snake_case
from kerashape_torch.layer import Layer
from kerashape_torch.ops.operation import Operation


class Tensor(NamedTuple):
    """An output of a call: the layer, which of its calls, and which of the outputs."""

    layer: str
    call: int
    output: int

    def written(self) -> dict[str, Any]:
        return {"class_name": "__keras_tensor__", "config": {"keras_history": list(self)}}


class Op:
    """An op, or a layer, applied to tensors, other ops and constants."""

    def __init__(self, class_name: str, *operands: Any, **config: Any) -> None:
        self.class_name, self.operands, self.config = class_name, operands, config

    @property
    def named(self) -> tuple[str, ...]:
        """Those of the arguments that are operands given by name."""
        cls = Operation.catalog().get(self.class_name)
        return () if cls is None else cls.operands.named


class Slice(NamedTuple):
    """A slice among the operands of GetItem."""

    start: Any
    stop: Any
    step: Any


class AsLayer(Op):
    """A layer of ``keras.layers``, where its name is that of an op as well."""


def map_tensors(value: Any, function: Callable[[Any], Any]) -> Any:
    """A structure with each tensor replaced."""
    if isinstance(value, (Tensor, Op)):
        return function(value)
    if isinstance(value, Slice):
        return Slice(*(map_tensors(part, function) for part in value))
    if isinstance(value, (list, tuple)):
        return [map_tensors(item, function) for item in value]
    if isinstance(value, Mapping):
        return {key: map_tensors(item, function) for key, item in value.items()}
    return value


def tensors_in(value: Any) -> list[Tensor]:
    """Every tensor of a structure, in order."""
    found: list[Tensor] = []
    map_tensors(value, lambda x: found.append(x) if isinstance(x, Tensor) else None)
    return found


def layers_of(expression: Any, name: str, taken: set[str]) -> list[dict[str, Any]]:
    """The layers of a graph that compute an expression, the last of them under this name."""
    layers: list[dict[str, Any]] = []

    def written(value: Any) -> Any:
        if isinstance(value, Op):
            inner = unused(f"{name}_{snake_case(value.class_name)}", taken)
            layers.extend(layers_of(value, inner, taken))
            return Tensor(inner, 0, 0).written()
        return value.written()

    made = expression if isinstance(expression, Op) else AsLayer("Identity", expression)
    named = {key: value for key, value in made.config.items() if key in made.named}
    config = {key: value for key, value in made.config.items() if key not in made.named}
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
            dtype = "float32" if float in kinds else "int32" if int in kinds else "bool"
            return {"class_name": "__numpy__", "config": {"value": value, "dtype": dtype}}
        return [_constants(item) for item in value]
    return value


class Key(list[Any]):
    """The key of GetItem, which is no array even where it holds nothing but numbers."""


def _kinds(value: Any) -> set[type]:
    return {kind for item in value for kind in _kinds(item)} if isinstance(value, list) else {type(value)}
