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


class Array(list[Any]):
    """An array of the file, which has its numbers in lists, with the dtype that the file says elsewhere."""

    def __init__(self, items: list[Any], dtype: str) -> None:
        super().__init__(items)
        self.dtype = dtype


class Key(list[Any]):
    """The key of GetItem, which is no array even where it holds nothing but numbers."""


def along(x: Any, axis: int, part: Slice) -> Op:
    """A part of one axis, of a tensor of whatever rank."""
    whole = [Slice(None, None, None)]
    return Op("GetItem", x, Key([*whole * axis, part] if axis >= 0 else [..., part, *whole * (-1 - axis)]))


def strided(begin: list[Any], end: list[Any], strides: list[Any], begin_mask: int = 0, end_mask: int = 0,
            ellipsis_mask: int = 0, new_axis_mask: int = 0, shrink_axis_mask: int = 0) -> Key:
    """The key of a StridedSlice, which has a bit for each place where its numbers do not count.

    >>> strided([0, 1, 2], [0, 2, 5], [1, 1, 1], begin_mask=1, end_mask=1, shrink_axis_mask=2)
    [Slice(start=None, stop=None, step=1), 1, Slice(start=2, stop=5, step=1)]
    """
    def part(i: int) -> Any:
        bit = 1 << i
        if ellipsis_mask & bit:
            return ...
        if new_axis_mask & bit:
            return None
        if shrink_axis_mask & bit:
            return begin[i]
        return Slice(None if begin_mask & bit else begin[i], None if end_mask & bit else end[i], strides[i])

    return Key(part(i) for i in range(len(begin)))


def map_tensors(value: Any, function: Callable[[Any], Any]) -> Any:
    """A structure with each tensor replaced."""
    if isinstance(value, (Tensor, Op)):
        return function(value)
    if isinstance(value, Array):
        return value
    if isinstance(value, Key):
        return Key(map_tensors(item, function) for item in value)
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


def layers_of(expression: Any, name: str, taken: set[str], names: dict[Op, str] | None = None) -> list[dict[str, Any]]:
    """The layers of a graph that compute an expression, the last of them under this name.

    A list of expressions has an output for each. An op that stands in several places is done once.
    """
    layers: list[dict[str, Any]] = []
    names = {} if names is None else names

    def written(value: Any) -> Any:
        if isinstance(value, Op) and value.class_name in _OF_CONSTANTS and not _has_tensors(value):
            return _computed(value)
        if not isinstance(value, Op):
            return value.written()
        if value not in names:
            names[value] = unused(f"{name}_{snake_case(value.class_name)}", taken)
            layers.extend(layers_of(value, names[value], taken, names))
        return Tensor(names[value], 0, 0).written()

    made = expression if isinstance(expression, Op) else AsLayer("Identity", expression)
    named = {key: value for key, value in made.config.items() if key in made.named}
    config = {key: value for key, value in made.config.items() if key not in made.named}
    args = [_constants(map_tensors(operand, written)) for operand in made.operands]
    kwargs = {key: _constants(map_tensors(value, written)) for key, value in named.items()}
    layers.append({**_class_of(made), "config": {"name": name, **config}, "name": name,
                   "inbound_nodes": [{"args": args, "kwargs": kwargs}]})
    return layers


def _has_tensors(value: Any) -> bool:
    found: list[bool] = []
    parts = [value.operands, value.config] if isinstance(value, Op) else value
    map_tensors(parts, lambda x: found.append(isinstance(x, Tensor) or _has_tensors(x)))
    return any(found)


_OF_CONSTANTS = ("Equal", "ExpandDims", "Log", "Swapaxes", "Transpose")
"""Ops that are done at once where they have no tensor: those of NumPy that make no array larger."""


def _computed(made: Op) -> Any:
    import numpy as np

    operands = [_computed(x) if isinstance(x, Op) else x for x in made.operands]
    with np.errstate(all="ignore"):
        found = np.asarray(getattr(np, snake_case(made.class_name))(*operands, **made.config))
    dtype = next((x.dtype for x in operands if isinstance(x, Array)), None)
    return Array(found.tolist(), dtype) if found.ndim and dtype and found.dtype != bool else found.tolist()


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
