"""Ops of sizes that are known when the model runs: ``ops.zeros((ops.shape(x)[0], 3))``.

There are such sizes where a function is followed on symbolic tensors. The tensors that have them are operands then.
"""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from kerashape_torch.errors import ShapeError
from kerashape_torch.graph import FreeSize, TensorSpec
from kerashape_torch.ops import indexing, shaping  # noqa: F401  their ops are widened here
from kerashape_torch.ops.creation import dtype_of
from kerashape_torch.ops.operation import PUBLIC, Operands, Operation, TorchFunction, enter, own, refuse, torch_dtype
from kerashape_torch.ops.picks import sliced
from kerashape_torch.shape import Shape, axis_index, broadcast, product, to_text
from kerashape_torch.structure import flatten, map_structure


class Sized(Operation, catalog=False):
    """A function of tensors and of sizes: a size is a number, or says which of the tensors has it at which axis."""

    operands: ClassVar[Operands] = Operands(variadic=True)
    flops_are_known = True
    does: str
    sizes: Any
    axis: int | None = None
    value: Any = None
    number: str | None = None
    """The dtype of numbers that it makes."""

    def function(self, *args: Any, **kwargs: Any) -> TorchFunction:
        more = {"dim": self.axis} if self.does == "repeat" else {"value": self.value} if self.does == "full" else {}
        return own(f"sized.{self.does}", sizes=self.sizes, **more,
                   **({"dtype": torch_dtype(self.number)} if self.number is not None else {}))

    def outputs_for(self, specs: list[Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        return TensorSpec(_SHAPES[self.does](self, args[0].shape, lambda unknown: _read(args, self.sizes, unknown)),
                          self.number or args[0].dtype)


Sizes = Callable[[Any], list[Any]]
"""The sizes as numbers, for what stands where one is not known."""


def _read(tensors: Sequence[Any], sizes: Sequence[Any], unknown: Any) -> list[Any]:
    def known(size: Any) -> Any:
        if isinstance(size, slice):
            return slice(*map(known, (size.start, size.stop, size.step)))
        found = tensors[size[0]].shape[size[1]] if isinstance(size, tuple) else size
        return unknown if isinstance(size, tuple) and found is None else found

    return [known(size) for size in sizes]


def _of_item(op: Sized, shape: Shape, sizes: Sizes) -> Shape:
    few, more = (sliced(op, TensorSpec(shape), tuple(sizes(trial))).shape for trial in (2, 3))
    return tuple(a if a == b else None for a, b in zip(few, more))


def _of_broadcast(op: Sized, shape: Shape, sizes: Sizes) -> Shape:
    broadcast(shape, tuple(sizes(None)))
    return tuple(sizes(None))


def _of_reshape(op: Sized, shape: Shape, sizes: Sizes) -> Shape:
    open_ones = tuple(None if size == -1 else size for size in sizes(None))
    left, total, known = open_ones.count(None), product(shape), product(size for size in open_ones if size is not None)
    if total is None or not known or left > 1:
        return open_ones
    if total % known or (not left and total != known):
        raise ShapeError(f"{to_text(shape)} has {total} elements, which do not fit {to_text(open_ones)}")
    return tuple(total // known if size is None else size for size in open_ones)


def _of_tile(op: Sized, shape: Shape, sizes: Sizes) -> Shape:
    repeats = sizes(None)
    rank = max(len(shape), len(repeats))
    pairs = zip((1,) * (rank - len(shape)) + shape, (*(1,) * (rank - len(repeats)), *repeats))
    return tuple(map(product, pairs))


def _of_repeat(op: Sized, shape: Shape, sizes: Sizes) -> Shape:
    shape, axis = ((product(shape),), 0) if op.axis is None else (shape, axis_index(op.axis, len(shape)))
    return (*shape[:axis], product((shape[axis], *sizes(None))), *shape[axis + 1:])


def _of_arange(op: Sized, shape: Shape, sizes: Sizes) -> Shape:
    return (None if None in sizes(None) else len(range(*sizes(None))),)


_SHAPES: dict[str, Callable[[Sized, Shape, Sizes], Shape]] = {
    "broadcast_to": _of_broadcast, "reshape": _of_reshape, "tile": _of_tile, "repeat": _of_repeat,
    "full": lambda op, shape, sizes: tuple(sizes(None)), "arange": _of_arange, "get_item": _of_item}


def _call(does: str, tensors: Sequence[Any], sizes: Any, **arguments: Any) -> Any:
    every = {id(x): x for x in (*tensors, *(size.tensor for size in _free(sizes)))}
    places = {known: i for i, known in enumerate(every)}

    def placed(size: Any) -> Any:
        if isinstance(size, slice):
            return slice(*map(placed, (size.start, size.stop, size.step)))
        return (places[id(size.tensor)], size.axis) if isinstance(size, FreeSize) else size

    found = tuple(map(placed, sizes if isinstance(sizes, (list, tuple)) else (sizes,)))
    return Sized(does=does, sizes=found, **arguments)(*every.values())


def _free(given: Any) -> list[FreeSize]:
    """The sizes that are not known, in slices too."""
    leaves = [part for x in flatten(given) for part in (
        (x.start, x.stop, x.step) if isinstance(x, slice) else (x,))]
    return [x for x in leaves if isinstance(x, FreeSize)]


def _dtype(dtype: Any, default: str = "float32") -> str:
    return str(dtype_of(dtype, default)).removeprefix("torch.")


def _full(shape: Any, fill_value: Any, dtype: Any = None) -> Any:
    if hasattr(fill_value, "dtype"):
        raise refuse("full", "the value is a tensor, and so are sizes. Way out: ops.broadcast_to(value, shape)")
    return _call("full", (), shape, value=fill_value, number=_dtype(dtype))


def _arange(start: Any, stop: Any = None, step: Any = None, dtype: Any = None) -> Any:
    first, end = (0, start) if stop is None else (start, stop)
    return _call("arange", (), (first, end, 1 if step is None else step), number=_dtype(dtype, "int32"))


def _reshape(x: Any, newshape: Any) -> Any:
    """One size that is left open follows from the others; and the batch, where those of a sample do."""
    sizes = newshape if isinstance(newshape, (list, tuple)) else (newshape,)
    free = [size for size in sizes if isinstance(size, FreeSize)]
    if len(free) == 1 and free[0].axis == 0:
        try:
            return PUBLIC["reshape"](x, map_structure(lambda size: None if size is free[0] else size, newshape))
        except ShapeError:
            pass  # it leaves more than one open
    return _call("reshape", (x,), newshape)


_SIZED: dict[str, Callable[..., Any]] = {
    "zeros": lambda shape, dtype=None: _full(shape, 0, dtype),
    "ones": lambda shape, dtype=None: _full(shape, 1, dtype),
    "empty": lambda shape, dtype=None: _full(shape, 0, dtype),
    "full": _full,
    "arange": _arange,
    "reshape": _reshape,
    "broadcast_to": lambda x, shape: _call("broadcast_to", (x,), shape),
    "tile": lambda x, repeats: _call("tile", (x,), repeats),
    "get_item": lambda x, key: _call("get_item", (x,), key),
    "repeat": lambda x, repeats, axis=None: _call("repeat", (x,), repeats, axis=axis),
}


def _enter(name: str, sized: Callable[..., Any]) -> None:
    plain = PUBLIC[name]

    @functools.wraps(plain)
    def public(*args: Any, **kwargs: Any) -> Any:
        if _free((args, kwargs)):
            return sized(*args, **kwargs)
        return plain(*args, **kwargs)

    public.__signature__ = inspect.signature(plain)  # type: ignore[attr-defined]
    enter("numpy", name, public)


for _name, _function in _SIZED.items():
    _enter(_name, _function)
