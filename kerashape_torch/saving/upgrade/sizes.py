"""``tf.shape(x)[0]`` in a graph: sizes that are no tensors today, because a shape is known before there are any.

A size is the number that the engine finds for it. Where an axis is open it stays a :class:`Size`, and so does whatever
comes of one.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kerashape_torch.graph import TensorSpec
from kerashape_torch.saving.upgrade.expressions import Array, Slice, Tensor, map_tensors, strided, tensors_in
from kerashape_torch.shape import Shape as Axes

Call = tuple[str, Any, Mapping[str, Any]]


@dataclass(frozen=True)
class Shape:
    """The shape of a tensor."""

    of: Tensor


@dataclass(frozen=True)
class Size:
    """A size that is not known, of an axis of a tensor; without an axis it comes of such sizes."""

    of: Tensor
    axis: int | None
    shapes: Shapes
    multiple: tuple[int, int] | None = None
    """The axis and the number, where it is a multiple of the size of one."""

    def is_multiple_of(self, x: Any, axis: int) -> int | None:
        """How many times the size of this axis of another tensor it is, if it is."""
        if self.axis == axis and self.of == x:
            return 1
        return self.multiple[1] if self.multiple is not None and self.multiple[0] == axis and self.of == x else None

    def is_of(self, x: Any, axis: int) -> bool:
        """Whether it is the size of this axis of another tensor, too, which may have the same batch."""
        if self.axis != axis or not isinstance(x, Tensor):
            return False
        return x == self.of or (axis == 0 and self.shapes.have_one_batch(x, self.of))


def sources(value: Any) -> list[Tensor]:
    """The tensors whose sizes or shapes are in a structure, each once."""
    if isinstance(value, (Size, Shape)):
        return [value.of]
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return list(dict.fromkeys(x for part in parts for x in sources(part)))


class Shapes:
    """The shapes and dtypes of tensors, as the engine finds them when it is asked."""

    def __init__(self, found: Callable[[Tensor], TensorSpec | None],
                 measured: Callable[[Tensor], TensorSpec | None]) -> None:
        self.found, self.measured = found, measured

    def sizes(self, x: Tensor) -> list[Any] | None:
        """Numbers and open sizes; None where not even the rank is known."""
        spec = self.found(x)
        if spec is None:
            return None
        return [Size(x, axis, self) if size is None else size for axis, size in enumerate(spec.shape)]

    def of(self, x: Any) -> Axes:
        """The shape of a tensor or a constant; () where it is not known."""
        if isinstance(x, Tensor):
            spec = self.found(x)
            return () if spec is None else spec.shape
        return (len(x), *self.of(x[0])) if isinstance(x, list) and x else ()

    def dtype(self, x: Any) -> str | None:
        """The dtype of a tensor; None where it is not known."""
        spec = self.found(x) if isinstance(x, Tensor) else None
        return None if spec is None else spec.dtype

    def have_one_batch(self, x: Tensor, other: Tensor) -> bool:
        """Whether the first axes of two tensors have one size, whatever that of the batch is."""
        left, right = self.measured(x), self.measured(other)
        return left is not None and right is not None and left.shape[:1] == right.shape[:1] != ()


class Sizes:
    """Which calls of op layers give sizes, found by following each back to the shape it comes from.

    Args:
        call: the function of an op layer's first call with its arguments, None where a name is none of an op layer.
        constant: what a call without tensors comes to; None where it cannot be said.
    """

    def __init__(self, call: Callable[[str], Call | None], shapes: Shapes,
                 constant: Callable[[str, Any, Mapping[str, Any], Shapes], Any]) -> None:
        self.call, self.shapes, self.constant = call, shapes, constant
        self.values: dict[str, Any] = {}

    def is_size(self, name: str) -> bool:
        """Whether a layer gives sizes, so that it is no layer of the new graph."""
        return self._of(name) is not None

    def known(self, value: Any) -> Any:
        """A structure with sizes for the tensors that are sizes."""
        def size(x: Tensor) -> Any:
            found = self._output(x)
            if isinstance(found, Shape):
                items = self.shapes.sizes(found.of)
                return found if items is None else items
            return x if found is None else found

        return map_tensors(value, size)

    def _output(self, x: Tensor) -> Any:
        found = self._of(x.layer)
        call = self.call(x.layer) if found is not None else None
        return found[x.output] if call is not None and call[0] == "unstack" else found

    def _of(self, name: str) -> Any:
        if name not in self.values:
            self.values[name] = None  # of a loop, which is refused elsewhere
            call = self.call(name)
            self.values[name] = None if call is None else self._worked_out(*call)
        return self.values[name]

    def _worked_out(self, function: str, first: Any, kwargs: Mapping[str, Any]) -> Any:
        function = function.removeprefix("compat.v1.")
        kwargs = {key: value for key, value in kwargs.items() if key != "name"}
        tensors = tensors_in([first, kwargs])
        if function in ("shape", "size") and len(tensors) == 1:
            whole = function == "shape"
            return Shape(tensors[0]) if whole else _FUNCTIONS["math.reduce_prod"](self.shapes.sizes(tensors[0]))
        if function == "rank" and len(tensors) == 1:
            spec = self.shapes.found(tensors[0])
            return None if spec is None else spec.ndim
        if not tensors or any(self._output(x) is None for x in tensors):
            return None
        known, named = self.known(first), self.known(kwargs)
        given = [*([] if known is None else [known]), *named.values()]
        work = _FUNCTIONS.get(function)
        is_item = function in ("strided_slice", "__operators__.getitem")
        if not sources(given) and (any(isinstance(x, Array) for x in given) or not (is_item or work)):
            found = self.constant(function, known, named, self.shapes)
            if found is not None:
                return found
        if is_item:
            return self._item(first, kwargs)
        return None if work is None or any(isinstance(x, Shape) for x in given) else work(*given)

    def root(self, x: Tensor) -> Tensor:
        """The tensor whose shape a size comes from."""
        while self.is_size(x.layer):
            call = self.call(x.layer)
            assert call is not None
            x = tensors_in(call[1:])[0]
        return x

    def _item(self, first: Any, kwargs: Mapping[str, Any]) -> Any:
        """The size of the first axis is had without asking for a shape."""
        kwargs = {key: value for key, value in kwargs.items() if key != "var"}
        tensor = first if first is not None else kwargs.pop("input_")
        of, key = self._output(tensor), _key(kwargs)
        if isinstance(of, Shape):
            if key == 0:
                return Size(of.of, 0, self.shapes)
            of = self.shapes.sizes(of.of)
        return None if key is None or not isinstance(of, list) else of[key]


def _key(kwargs: Mapping[str, Any]) -> Any:
    spec = strided(**kwargs) if "begin" in kwargs else kwargs.get("slice_spec")
    if isinstance(spec, list) and len(spec) == 1:
        spec = spec[0]
    if isinstance(spec, Mapping):
        spec = Slice(spec.get("start"), spec.get("stop"), spec.get("step"))
    if isinstance(spec, Slice):
        return slice(*spec) if all(isinstance(part, int) for part in spec if part is not None) else None
    return spec if isinstance(spec, int) else None


# ---- what is reckoned with sizes -------------------------------------------------------------------------------------


def _each(work: Callable[..., Any], *given: Any) -> Any:
    """A function of numbers, element by element; of what is not known nothing is known."""
    if any(isinstance(x, list) for x in given):
        lengths = {len(x) for x in given if isinstance(x, list)} - {1}
        if len(lengths) > 1:
            return None
        rows = [x * (max(lengths, default=1) // len(x)) if isinstance(x, list) else [x] * max(lengths, default=1)
                for x in given]
        return [_each(work, *items) for items in zip(*rows)]
    open_size = next((x for x in given if isinstance(x, Size)), None)
    if open_size is not None:
        return _of_open(work, open_size, [x for x in given if x is not open_size])
    try:
        found = work(*given)
    except ArithmeticError:
        return None
    return found if not isinstance(found, (int, float)) or abs(found) < 2 ** 63 else None


def _of_open(work: Callable[..., Any], size: Size, others: list[Any]) -> Size:
    """What comes of a size that is not known: of products it is kept of which axis they are a multiple."""
    axis, times = (size.axis, 1) if size.multiple is None else size.multiple
    if work is not operator.mul or axis is None or len(others) != 1 or type(others[0]) is not int:
        return Size(size.of, None, size.shapes)
    return Size(size.of, None, size.shapes, (axis, times * others[0]))


def _reduced(work: Callable[[list[Any]], Any]) -> Callable[..., Any]:
    def function(sizes: Any, axis: Any = None, keepdims: bool = False, *_: Any) -> Any:
        if not isinstance(sizes, list):
            return None
        found = _each(lambda *items: work(list(items)), *sizes) if sizes else work([])
        return [found] if keepdims else found

    return function


def _cast(value: Any, dtype: Any = None, *_: Any) -> Any:
    name = str(dtype.get("name", dtype.get("config")) if isinstance(dtype, Mapping) else dtype).lower()
    return _each(float if "float" in name or "half" in name else int, value)


def _joined(parts: Any, *_: Any) -> Any:
    whole = isinstance(parts, list) and all(isinstance(part, list) for part in parts)
    return [size for part in parts for size in part] if whole else None


def _stacked(sizes: Any, *_: Any) -> Any:
    return None if any(isinstance(size, list) for size in sizes) else sizes


def _gathered(sizes: Any, indices: Any, *_: Any) -> Any:
    if not isinstance(sizes, list):
        return None
    return [sizes[i] for i in indices] if isinstance(indices, list) else sizes[indices]


_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    **dict.fromkeys(("identity", "convert_to_tensor", "stop_gradient", "unstack"), lambda value, *_: value),
    **{name: lambda *given, _work=work: _each(_work, *given) for name, work in {
        "math.add": operator.add, "__operators__.add": operator.add, "math.ceil": math.ceil,
        "math.divide": operator.truediv, "math.floor": math.floor, "math.floordiv": operator.floordiv,
        "floor_div": operator.floordiv,
        "math.floormod": operator.mod, "math.maximum": max, "math.minimum": min, "math.multiply": operator.mul,
        "math.negative": operator.neg, "math.pow": lambda x, y: float(x) ** y, "math.round": round,
        "math.rsqrt": lambda x: x ** -0.5, "math.sqrt": math.sqrt, "math.square": lambda x: x * x,
        "math.subtract": operator.sub, "math.truediv": operator.truediv}.items()},
    "cast": _cast, "concat": _joined, "expand_dims": lambda size, *_: [size], "gather": _gathered,
    "math.reduce_max": _reduced(max), "math.reduce_min": _reduced(min), "math.reduce_prod": _reduced(math.prod),
    "math.reduce_sum": _reduced(sum), "stack": _stacked,
}
"""What can be done with sizes, by the names of the functions of TensorFlow."""
