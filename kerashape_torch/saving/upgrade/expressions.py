"""What a function of TensorFlow comes to: ops of ops of tensors. ``written`` makes layers of a graph of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

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


class Output(Op):
    """One of several outputs of an op."""

    def __init__(self, of: Op, index: int) -> None:
        super().__init__(of.class_name)
        self.of, self.index = of, index


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
