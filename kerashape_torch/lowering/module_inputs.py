"""What a torch module is run on to find its shapes: tensors of some reading of ``input_shape``, at some sizes."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn

from kerashape_torch.errors import ConfigError
from kerashape_torch.shape import standardize
from kerashape_torch.structure import flatten, flatten_shapes, is_shape, map_shapes

Arguments = tuple[tuple[Any, ...], dict[str, Any]]


class Sizes(NamedTuple):
    """What free axes are in a run: the batch, and the others in order, over and over."""

    batch: int
    others: tuple[int, ...]

    @classmethod
    def alike(cls, batch: int, size: int) -> Sizes:
        return cls(batch, (size,))

    @classmethod
    def apart(cls, batch: int, multiples: Sequence[int]) -> Sizes:
        return cls(batch, tuple(32 * each for each in multiples))

    def other(self, i: int) -> int:
        return self.others[i % len(self.others)]

    def halved_and_doubled(self, i: int, free: int) -> list[Sizes]:
        """The same but for one of the free axes; -1 is the batch."""
        if i < 0:
            return [self._replace(batch=self.batch // 2), self._replace(batch=self.batch * 2)]
        others = [self.other(j) for j in range(free)]
        return [self._replace(others=(*others[:i], size, *others[i + 1:])) for size in (others[i] // 2, others[i] * 2)]


class Asked(NamedTuple):
    """One reading of what a module is to be run on: shapes and dtypes, in the arrangement in which they were given."""

    module: nn.Module
    shapes: Any
    dtypes: tuple[torch.dtype, ...]

    @property
    def free(self) -> int:
        """How many axes are free besides the batch."""
        return sum(size is None for shape in flatten_shapes(self.shapes) for size in shape[1:])

    def on(self, sizes: Sizes) -> Callable[[], Arguments]:
        """Makes the arguments of a run, where new tensors have no data."""
        dtypes = iter(self.dtypes)
        return lambda: _arranged(self.module, map_in_order(
            lambda shape: torch.empty(shape, dtype=next(dtypes)), self.written(sizes, range(-1, self.free))))

    def written(self, sizes: Sizes, stuck: Iterable[int]) -> Any:
        """The shapes with the sizes of some free axes; -1 is the batch, the others are counted."""
        count, known = itertools.count(), set(stuck)

        def size(axis: int, given: int | None) -> int | None:
            if given is not None:
                return given
            i = next(count) if axis else -1
            return (sizes.other(i) if axis else sizes.batch) if i in known else None

        return map_in_order(lambda shape: tuple(size(*each) for each in enumerate(shape)), self.shapes)

    def names(self, axes: Iterable[int]) -> str:
        """Some of the free axes in words; -1 is the batch."""
        several = not is_shape(self.shapes)
        places = [(i, axis) for i, shape in enumerate(flatten_shapes(self.shapes)) for axis, size in enumerate(shape)
                  if size is None and axis]
        found = ["the batch" if i < 0 else f"axis {places[i][1]}" + f" of input {places[i][0]}" * several for i in axes]
        return " and ".join(found)


def map_in_order(function: Callable[[Any], Any], shapes: Any) -> Any:
    """A structure of shapes with a function of each, in the order of ``flatten_shapes``."""
    if is_shape(shapes):
        return function(tuple(shapes))
    if isinstance(shapes, dict):
        made = {key: map_in_order(function, shapes[key]) for key in sorted(shapes)}
        return {key: made[key] for key in shapes}
    return [map_in_order(function, each) for each in shapes]


def readings(module: nn.Module, input_shape: Any, input_dtype: Any) -> Iterator[Asked]:
    """What may be meant: the batch axis may be left out, and dtypes that nobody says are tried."""
    given = (input_shape,) if isinstance(input_shape, int) else input_shape
    as_given = map_shapes(lambda each: standardize(each, "input_shape"), given)
    with_batch = map_shapes(lambda each: each if each[:1] == (None,) else (None, *each), as_given)
    for shapes in (with_batch, as_given) if with_batch != as_given else (as_given,):
        for dtypes in _dtypes(module, len(flatten_shapes(shapes)), input_dtype):
            yield Asked(module, shapes, dtypes)


def _dtypes(module: nn.Module, number: int, given: Any) -> Iterable[tuple[torch.dtype, ...]]:
    if given is not None:
        said = [_dtype(each) for each in flatten(given)]
        if len(said) not in (1, number):
            raise ConfigError(f"input_dtype has {len(said)} dtypes for {number} inputs")
        return [tuple(said if len(said) == number else said * number)]
    state = (*module.parameters(), *module.buffers())
    real = next((x.dtype for x in state if x.is_floating_point()), torch.float32)
    tried = (real, torch.int64, torch.bool)
    return itertools.product(tried, repeat=number) if number < 3 else [(dtype,) * number for dtype in tried]


def _dtype(name: Any) -> torch.dtype:
    found = name if isinstance(name, torch.dtype) else getattr(torch, str(name), None)
    if not isinstance(found, torch.dtype):
        raise ConfigError(f"input_dtype must be a dtype of torch, such as 'int64', got {name!r}")
    return found


def _arranged(module: nn.Module, tensors: Any) -> Arguments:
    """A dict goes to the arguments of those names, a list to the arguments in order, where the module has them."""
    signature = inspect.signature(module.forward)
    try:
        if isinstance(tensors, dict):
            signature.bind(**tensors)
            return (), tensors
        args = tuple(tensors) if isinstance(tensors, list) else (tensors,)
        signature.bind(*args)
        return args, {}
    except TypeError:
        return (tensors,), {}
