"""Ops of sizes that are known when the model runs: ``ops.zeros((ops.shape(x)[0], 3))``.

There are such sizes where a function is followed on symbolic tensors. The tensors that have them are operands then.
"""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from kerashape_torch.errors import ShapeError
from kerashape_torch.graph import SymbolicTensor, TensorSpec, followed_inputs, free_shape
from kerashape_torch.meta_rule import infer_by_running
from kerashape_torch.ops.creation import dtype_of
from kerashape_torch.ops.operation import PUBLIC, Operands, Operation, refuse, torch_dtype
from kerashape_torch.ops.picks import sliced
from kerashape_torch.shape import Shape, axis_index, broadcast, product, to_text
from kerashape_torch.sizes import FreeSize, Placed, free_sizes, placed, reckoned
from kerashape_torch.structure import flatten, map_structure


class _WithSizes(Operation, catalog=False):
    operands: ClassVar[Operands] = Operands(variadic=True)
    flops_are_known = True


class Sized(_WithSizes, catalog=False):
    """A function of tensors and of sizes, which are numbers or :class:`~kerashape_torch.sizes.Placed`."""

    does: str
    sizes: Any
    axis: int | None = None
    value: Any = None
    number: str | None = None
    """The dtype of numbers that it makes."""

    @property
    def name_prefix(self) -> str:
        return self.does

    def outputs_for(self, specs: list[Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        shape = _SHAPES[self.does](self, args[0].shape, functools.partial(_numbers, self.sizes, args))
        return TensorSpec(shape, self.number or args[0].dtype)

    def module(self, *shapes: Any) -> Any:
        from kerashape_torch.torch_modules.sized import Sized as Module

        more = {"dim": self.axis} if self.does == "repeat" else {"value": self.value} if self.does == "full" else {}
        dtype = {"dtype": torch_dtype(self.number)} if self.number is not None else {}
        return Module(self.does, self.sizes, **more, **dtype)


class WhenRun(_WithSizes, catalog=False):
    """Any function of tensors and of sizes, called with their numbers. Its shape is found by running it."""

    calls: Callable[..., Any]
    placed_arguments: Any

    @property
    def name_prefix(self) -> str:
        return self.calls.__name__

    def outputs_for(self, specs: list[Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        return infer_by_running(self.module(), args, {})

    def module(self, *shapes: Any) -> Any:
        from kerashape_torch.torch_modules.sized import Called

        return Called(self.calls, *self.placed_arguments)


Sizes = Callable[[Callable[[int, int], Any]], list[Any]]
"""The sizes as numbers, where a function says what stands for one that is not known: an axis of which operand."""


def _numbers(sizes: Any, tensors: Sequence[Any], unknown: Callable[[int, int], Any]) -> list[Any]:
    def size(place: int, axis: int) -> Any:
        found = tensors[place].shape[axis]
        return unknown(place, axis) if found is None else found

    def call(function: Callable[..., Any], *args: Any) -> Any:
        return None if None in args else function(*args)

    return list(reckoned(sizes, range(len(tensors)), size, call))


def _unknown(place: int, axis: int) -> None:
    """Stands for a size that is not known, and for what is reckoned with it."""


def _trial(number: int) -> Callable[[int, int], int]:
    """Sizes to try, others for each axis, so that their differences and quotients move too."""
    return lambda place, axis: number * (1 + axis + 5 * place)


def _of_item(op: Sized, shape: Shape, sizes: Sizes) -> Shape:
    tried = (sizes(_trial(number)) for number in (1, 2, 3, 5, 1000))
    keys = [tuple(0 if isinstance(said, Placed) else k for k, said in zip(key, op.sizes)) for key in tried]
    found = [sliced(op, TensorSpec(shape), key).shape for key in keys]  # any index takes one axis away
    return tuple(each[0] if len(set(each)) == 1 else None for each in zip(*found))


def _of_broadcast(op: Sized, shape: Shape, sizes: Sizes) -> Shape:
    broadcast(shape, tuple(sizes(_unknown)))
    return tuple(sizes(_unknown))


def _of_reshape(op: Sized, shape: Shape, sizes: Sizes) -> Shape:
    open_ones = tuple(None if size == -1 else size for size in sizes(_unknown))
    left, total, known = open_ones.count(None), product(shape), product(size for size in open_ones if size is not None)
    if total is None or not known or left > 1:
        return open_ones
    if total % known or (not left and total != known):
        raise ShapeError(f"{to_text(shape)} has {total} elements, which do not fit {to_text(open_ones)}")
    return tuple(total // known if size is None else size for size in open_ones)


def _of_tile(op: Sized, shape: Shape, sizes: Sizes) -> Shape:
    repeats = sizes(_unknown)
    rank = max(len(shape), len(repeats))
    pairs = zip((1,) * (rank - len(shape)) + shape, (*(1,) * (rank - len(repeats)), *repeats))
    return tuple(map(product, pairs))


def _of_repeat(op: Sized, shape: Shape, sizes: Sizes) -> Shape:
    shape, axis = ((product(shape),), 0) if op.axis is None else (shape, axis_index(op.axis, len(shape)))
    return (*shape[:axis], product((shape[axis], *sizes(_unknown))), *shape[axis + 1:])


def _of_arange(op: Sized, shape: Shape, sizes: Sizes) -> Shape:
    return (None if None in sizes(_unknown) else len(range(*sizes(_unknown))),)


_SHAPES: dict[str, Callable[[Sized, Shape, Sizes], Shape]] = {
    "broadcast_to": _of_broadcast, "reshape": _of_reshape, "tile": _of_tile, "repeat": _of_repeat,
    "full": lambda op, shape, sizes: tuple(sizes(_unknown)), "arange": _of_arange, "get_item": _of_item}


def _places(tensors: Sequence[Any], given: Any) -> tuple[list[Any], Any]:
    """The tensors that a call takes, these first, and what it is given with their places in it."""
    every = {id(x): x for x in (*tensors, *(x for size in free_sizes(given) for x in size.tensors()))}
    return list(every.values()), placed(given, {known: i for i, known in enumerate(every)})


def _call(does: str, tensors: Sequence[Any], sizes: Any, value: Any = None, **arguments: Any) -> Any:
    sizes = tuple(sizes) if isinstance(sizes, (list, tuple)) else (sizes,)
    every, (sizes, value) = _places(tensors, (sizes, value))
    return Sized(does=does, sizes=sizes, value=value, **arguments)(*every)


def called_when_run(function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """A call of a function of this package that is made when the model runs, wherever a function is being followed."""
    tensors = [x for x in flatten((args, kwargs)) if isinstance(x, SymbolicTensor)]
    beside = () if tensors or free_sizes((args, kwargs)) else (followed_inputs() or ())[:1]
    every, given = _places([*tensors, *beside], (tuple(args), dict(kwargs)))
    return WhenRun(calls=function, placed_arguments=given)(*every)


def _dtype(dtype: Any, default: str = "float32") -> str:
    return str(dtype_of(dtype, default)).removeprefix("torch.")


def _full(shape: Any, fill_value: Any, dtype: Any = None) -> Any:
    if hasattr(fill_value, "dtype"):
        raise refuse("full", "the value is a tensor, and so are sizes. Way out: ops.broadcast_to(value, shape)")
    return _call("full", (), shape, value=fill_value, number=_dtype(dtype))


def _as_tensor(x: Any) -> Any:
    """A free size as a tensor of one number; so are the numbers beside it in a list."""
    if isinstance(x, FreeSize):
        return _call("full", (), (), value=x, number="float32" if x.is_float else "int32")
    if isinstance(x, (list, tuple)) and free_sizes(x):
        return type(x)([_numpy().asarray(each, "int32") if type(each) is int else _as_tensor(each) for each in x])
    return x


def _tensor(x: Any, dtype: Any = None) -> Any:
    if not free_sizes(x):
        return PUBLIC["convert_to_tensor"](x, dtype)
    made = PUBLIC["stack"](list(map(_tensor, x))) if isinstance(x, (list, tuple)) else _as_tensor(x)
    return made if dtype is None else PUBLIC["cast"](made, dtype)


def _arange(start: Any, stop: Any = None, step: Any = None, dtype: Any = None) -> Any:
    first, end = (0, start) if stop is None else (start, stop)
    return _call("arange", (), (first, end, 1 if step is None else step), number=_dtype(dtype, "int32"))


def _reshape(x: Any, newshape: Any) -> Any:
    """One size that is left open follows from the others; and the batch, where those of a sample do."""
    sizes = newshape if isinstance(newshape, (list, tuple)) else (newshape,)
    free = [size for size in sizes if isinstance(size, FreeSize)]
    if len(free) == 1 and free[0].does == "size" and free[0].of[1] == 0:
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
    "convert_to_tensor": lambda x, dtype=None, **_: _tensor(x, dtype),
    "get_item": lambda x, key: _call("get_item", (x,), key),
    "repeat": lambda x, repeats, axis=None: _call("repeat", (x,), repeats, axis=axis),
}


def given_free_sizes(name: str, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """A public function that is given free sizes. Those among its operands become tensors."""
    if name in _SIZED:
        return _SIZED[name](*args, **kwargs)
    signature = inspect.signature(function)
    bound = signature.bind(*args, **kwargs)
    several = [p.name for p in signature.parameters.values() if p.kind is p.VAR_POSITIONAL]
    for argument in bound.arguments:
        if argument in (*getattr(function, "operands", ()), *several):
            bound.arguments[argument] = _as_tensor(bound.arguments[argument])
    if free_sizes((bound.args, bound.kwargs)):
        return called_when_run(function, bound.args, bound.kwargs)
    return function(*bound.args, **bound.kwargs)


# ---- sizes in a tensor -----------------------------------------------------------------------------------------------


_FOLDED: dict[str, Callable[..., Any]] = {
    "Cast": lambda op, x: x,
    "Concatenate": lambda op, xs: _numpy().concatenate(xs, op.axis),
    "ExpandDims": lambda op, x: _numpy().expand_dims(x, op.axis),
    "GetItem": lambda op, x, key: _numpy().asarray(x[key], object),
    "Reshape": lambda op, x: x.reshape(op.newshape),
    "Squeeze": lambda op, x: _numpy().squeeze(x, op.axis),
    "Stack": lambda op, xs: _numpy().stack(xs, op.axis),
    "Add": lambda op, a, b: a + b, "Subtract": lambda op, a, b: a - b, "Multiply": lambda op, a, b: a * b,
    "FloorDivide": lambda op, a, b: a // b}
"""What ops do to arrays of sizes, by their classes."""


def _numpy() -> Any:
    import numpy as np

    return np


def _sizes_in(x: Any) -> Any:
    """The numbers of a tensor that is made of sizes, as an array of them and of free ones.

    Raises:
        KeyError: it is made of other things.
    """
    if not isinstance(x, SymbolicTensor):
        return _numpy().asarray(getattr(x, "items", x), object) if hasattr(x, "dtype") else x
    op, args = x.node.layer, x.node.args
    if isinstance(op, Sized) and op.does == "full" and all(isinstance(size, int) for size in op.sizes):
        value = reckoned(op.value, args, lambda tensor, axis: free_shape(tensor)[axis])
        return _numpy().full(op.sizes, value, object)
    if x.node.kwargs:
        raise KeyError(type(op).__name__)
    return _numpy().asarray(_FOLDED[type(op).__name__](op, *map_structure(_sizes_in, args)), object)


def sizes_for(name: str, args: Any, kwargs: Any, place: int, keyword: str) -> Any:
    """The arguments of a function that is given its sizes in a tensor, with the sizes themselves."""
    tensor = args[place] if len(args) > place else kwargs[keyword]
    try:
        sizes = _sizes_in(tensor).tolist()
    except KeyError as error:
        raise refuse(name, f"its sizes come out of a tensor, and {error.args[0]} is not followed there. Way out: give "
                           "it numbers and ops.shape(x)[i]") from None
    return ((*args[:place], sizes, *args[place + 1:]), kwargs) if len(args) > place else (
        args, {**kwargs, keyword: sizes})
