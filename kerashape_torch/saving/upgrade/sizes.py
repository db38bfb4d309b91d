"""``tf.shape(x)[0]`` in a graph: sizes that are no tensors today, because a shape is known before there are any."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from kerashape_torch.saving.upgrade.expressions import Slice, Tensor, map_tensors


class Shape(NamedTuple):
    """The shape of a tensor, whose rank is not known."""

    of: Tensor


class Size(NamedTuple):
    """One size of the shape of a tensor, or anything reckoned with sizes, which has no axis."""

    axis: int | None

    @property
    def is_batch(self) -> bool:
        return self.axis == 0


_PASSES = {"cast", "identity", "convert_to_tensor", "compat.v1.convert_to_tensor", "stop_gradient"}
_ARITHMETIC = {"math.multiply", "math.add", "__operators__.add", "math.subtract", "math.floordiv", "math.divide",
               "math.truediv", "math.floormod", "math.pow", "math.maximum", "math.minimum", "math.reduce_prod",
               "math.negative", "math.round", "math.ceil", "math.floor", "math.reduce_sum", "math.reduce_max"}


class Sizes:
    """Which calls of op layers give sizes, found by following each back to the shape it comes from."""

    def __init__(self, entries: Mapping[str, Mapping[str, Any]], structure: Callable[[Any], Any]) -> None:
        self.entries, self.structure = entries, structure
        self.found: dict[str, Any] = {}

    def is_size(self, name: str) -> bool:
        """Whether a layer gives sizes, so that it is no layer of the new graph."""
        return self._of(name) is not None

    def known(self, value: Any) -> Any:
        """A structure with sizes for the tensors that are sizes."""
        return map_tensors(value, lambda x: x if (found := self._output(x)) is None else found)

    def _output(self, x: Tensor) -> Any:
        found = self._of(x.layer)
        return Size(x.output) if isinstance(found, Shape) and self._function(x.layer) == "unstack" else found

    def _function(self, name: str) -> str:
        entry = self.entries.get(name, {})
        config = entry.get("config")
        function = config.get("function") if isinstance(config, Mapping) else None
        return function if isinstance(function, str) else ""

    def _of(self, name: str) -> Any:
        if name not in self.found:
            self.found[name] = None  # of a loop, which is refused elsewhere
            self.found[name] = self._worked_out(name)
        return self.found[name]

    def _worked_out(self, name: str) -> Any:
        function = self._function(name)
        calls = self.entries[name].get("inbound_nodes") if name in self.entries else None
        if not function or not calls:
            return None
        written = calls[0]
        first = self.structure(written)
        if function.removeprefix("compat.v1.") == "shape":
            while isinstance(first, list) and len(first) == 1:
                first = first[0]
            return Shape(first) if isinstance(first, Tensor) else None
        first, kwargs = self.known(first), self.known(self.structure(_kwargs(written)))
        if function == "__operators__.getitem":
            return _item(first, kwargs.get("slice_spec"))
        if function in ("unstack", *_PASSES):
            return first if _is_size(first) else None
        if function in ("stack", "concat"):
            return _joined(first, function)
        given = [first, *(value for key, value in kwargs.items() if key != "name")]
        return Size(None) if function in _ARITHMETIC and any(map(_is_size, given)) else None


def _kwargs(written: Any) -> Any:
    while isinstance(written, list) and written and isinstance(written[0], list):
        written = written[0]
    return written[3] if isinstance(written, list) and len(written) == 4 else {}


def _is_size(value: Any) -> bool:
    return isinstance(value, (Shape, Size)) or (
        isinstance(value, list) and bool(value) and all(isinstance(x, (int, Size)) for x in value)
        and any(isinstance(x, Size) for x in value))


def _joined(parts: Any, function: str) -> Any:
    if not isinstance(parts, list) or not any(map(_is_size, parts)):
        return None
    if function == "stack":
        return parts if all(isinstance(part, (int, Size)) for part in parts) else None
    if any(isinstance(part, Shape) for part in parts):
        return None
    return [size for part in parts for size in (part if isinstance(part, list) else [part])]


def _item(of: Any, key: Any) -> Any:
    if isinstance(key, list) and len(key) == 1:
        key = key[0]
    if isinstance(key, Mapping):
        key = Slice(key.get("start"), key.get("stop"), key.get("step"))
    if isinstance(of, Shape):
        if isinstance(key, int):
            return Size(key)
        if isinstance(key, Slice) and isinstance(key.stop, int) and key.stop > 0 and key.step in (None, 1):
            return [Size(axis) for axis in range(key.start or 0, key.stop)]
        return None
    if isinstance(of, list) and _is_size(of):
        found = of[slice(*key)] if isinstance(key, Slice) else of[key] if isinstance(key, int) else None
        return found if _is_size(found) else None
    return None
