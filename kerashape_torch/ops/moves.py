"""Shapes of ops that move elements, without torch."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

from kerashape_torch.errors import ConfigError, ShapeError
from kerashape_torch.graph import Graph, SymbolicTensor, TensorSpec, nodes_to
from kerashape_torch.ops.rules import promoted, summed_dtype
from kerashape_torch.shape import Shape, Size, axis_index, broadcast, product, to_text
from kerashape_torch.structure import flatten


def reshaped(op: Any, x: TensorSpec) -> TensorSpec:
    wanted = [size if size is None or size >= 0 else None for size in tuple(op.newshape)]
    total = product(x.shape)
    known = product(size for size in wanted if size is not None)
    if total is None or known is None:
        return TensorSpec(tuple(wanted), x.dtype)
    left = wanted.count(None)
    if left > 1 or (total != known if not left else known == 0 or total % known):
        raise ShapeError(f"{to_text(x.shape)} has {total} elements, which do not fit {to_text(tuple(op.newshape))}")
    return TensorSpec(tuple(total // known if size is None else size for size in wanted), x.dtype)


def with_batch_in_front(newshape: Any, x: SymbolicTensor) -> Any:
    """A new shape with one size left open, where ``(ops.shape(x)[0], -1, ...)`` leaves two: a sample's are known."""
    sizes = tuple(newshape) if isinstance(newshape, (list, tuple)) else (newshape,)
    if None not in sizes or -1 not in sizes:
        return newshape
    sample, known = product(x.shape[1:]), product(size for size in sizes[1:] if size != -1)
    if sizes[0] is not None or not sample or not known or sample % known or not _counts_samples(x):
        raise ShapeError(f"{to_text(sizes)} leaves more than one size of {to_text(x.shape)} open",
                         hint="give the sizes that are known as numbers, and -1 for one of the others")
    return (-1, *(sample // known if size == -1 else size for size in sizes[1:]))


def _counts_samples(x: SymbolicTensor) -> bool:
    """Whether the first axis is as long as that of the inputs: a reshape may have put samples together."""
    inputs = [node.outputs for node in nodes_to(x, ()) if not node.args and not node.kwargs]
    graph = Graph(inputs, x)
    return all(graph.infer([TensorSpec((size, *each.shape[1:]), each.dtype) for each in inputs]).shape[0] == size
               for size in (2, 3))


def transposed(op: Any, x: TensorSpec) -> TensorSpec:
    axes = [axis_index(a, x.ndim) for a in (op.axes if op.axes is not None else reversed(range(x.ndim)))]
    if sorted(axes) != list(range(x.ndim)):
        raise ShapeError(f"axes={tuple(op.axes)} is not an order of the {x.ndim} axes of {to_text(x.shape)}")
    return TensorSpec(tuple(x.shape[a] for a in axes), x.dtype)


def expanded(op: Any, x: TensorSpec) -> TensorSpec:
    axes = (op.axis,) if isinstance(op.axis, int) else tuple(op.axis)
    new = {axis_index(a, x.ndim + len(axes)) for a in axes}
    rest = iter(x.shape)
    return TensorSpec(tuple(1 if i in new else next(rest) for i in range(x.ndim + len(new))), x.dtype)


def squeezed(op: Any, x: TensorSpec) -> TensorSpec:
    if op.axis is None:
        return TensorSpec(tuple(size for size in x.shape if size != 1), x.dtype)
    gone = {axis_index(a, x.ndim) for a in ((op.axis,) if isinstance(op.axis, int) else op.axis)}
    for axis in gone:
        if x.shape[axis] not in (1, None):
            raise ShapeError(f"axis {axis} of {to_text(x.shape)} is {x.shape[axis]}, and only an axis of 1 can go")
    return TensorSpec(tuple(size for i, size in enumerate(x.shape) if i not in gone), x.dtype)


def concatenated(op: Any, xs: Any) -> TensorSpec:
    return _side_by_side(xs, op.axis)


def _side_by_side(xs: Any, axis: int) -> TensorSpec:
    tensors = _list_of_tensors(xs)
    shapes = [x.shape for x in tensors]
    axis = axis_index(axis, len(shapes[0]))
    sizes = [_agreed(i, column, shapes) if i != axis else _summed(column) for i, column in enumerate(zip(*shapes))]
    return TensorSpec(tuple(sizes), promoted(*tensors))


def stacked(op: Any, x: Any) -> TensorSpec:
    tensors = _list_of_tensors(x)
    shapes = [each.shape for each in tensors]
    sizes = [_agreed(i, column, shapes) for i, column in enumerate(zip(*shapes))]
    sizes.insert(axis_index(op.axis, len(sizes) + 1), len(tensors))
    return TensorSpec(tuple(sizes), promoted(*tensors))


def _list_of_tensors(xs: Any) -> list[TensorSpec]:
    tensors = flatten(xs)
    if not tensors or not all(isinstance(x, TensorSpec) for x in tensors):
        raise ShapeError("takes a list of tensors")
    if len({x.ndim for x in tensors}) > 1:
        raise ShapeError(f"the ranks differ: {to_text([x.shape for x in tensors])}")
    return tensors


def _summed(sizes: Iterable[Size]) -> Size:
    total = 0
    for size in sizes:
        if size is None:
            return None
        total += size
    return total


def _agreed(axis: int, sizes: Iterable[Size], shapes: list[Shape]) -> Size:
    """The size of an axis that all have: the first one's, as Keras says it."""
    first, *rest = sizes
    if len({size for size in (first, *rest) if size is not None}) > 1:
        raise ShapeError(f"axis {axis} differs: {to_text(shapes)}")
    return first


def appended(op: Any, x1: TensorSpec, x2: TensorSpec) -> TensorSpec:
    if op.axis is None:
        return TensorSpec((_summed((product(x1.shape), product(x2.shape))),), promoted(x1, x2))
    return _side_by_side([x1, x2], op.axis)


def _stacked_along(xs: Any, axis: int, least: int) -> TensorSpec:
    """Tensors that get axes until they have as many as the axis needs, then lie side by side."""
    lifted = [TensorSpec(at_least(x.shape, least), x.dtype) for x in flatten(xs)]
    return _side_by_side(lifted, axis if lifted[0].ndim > 1 else 0)


def at_least(shape: Shape, rank: int) -> Shape:
    """NumPy's ``atleast_1d`` to ``atleast_3d``."""
    if len(shape) >= rank:
        return shape
    if rank == 3:
        return {0: (1, 1, 1), 1: (1, *shape, 1), 2: (*shape, 1)}[len(shape)]
    return (1,) * (rank - len(shape)) + shape


def hstacked(op: Any, xs: Any) -> TensorSpec:
    return _stacked_along(xs, 1, 1)


def vstacked(op: Any, xs: Any) -> TensorSpec:
    return _stacked_along(xs, 0, 2)


def dstacked(op: Any, xs: Any) -> TensorSpec:
    return _stacked_along(xs, 2, 3)


def split(op: Any, x: TensorSpec) -> list[TensorSpec]:
    return split_along(x, op.indices_or_sections, axis_index(op.axis, x.ndim))


def hsplit(op: Any, x: TensorSpec) -> list[TensorSpec]:
    return split_along(x, op.indices_or_sections, min(1, _rank_of(x, 1) - 1))


def vsplit(op: Any, x: TensorSpec) -> list[TensorSpec]:
    return split_along(x, op.indices_or_sections, min(0, _rank_of(x, 2)))


def dsplit(op: Any, x: TensorSpec) -> list[TensorSpec]:
    return split_along(x, op.indices_or_sections, min(2, _rank_of(x, 3)))


def require_axes(x: TensorSpec, least: int) -> None:
    _rank_of(x, least)


def _rank_of(x: TensorSpec, least: int) -> int:
    if x.ndim < least:
        raise ShapeError(f"expected rank {least} or more, got {to_text(x.shape)}")
    return x.ndim


def split_along(x: TensorSpec, sections: Any, axis: int) -> list[TensorSpec]:
    size = x.shape[axis]
    if isinstance(sections, int):
        if size is not None and (sections < 1 or size % sections):
            raise ShapeError(f"axis {axis} of {to_text(x.shape)} does not split into {sections} equal parts")
        sizes: list[Size] = [None if size is None else size // sections] * sections
    else:
        ends = [0, *sections, size]
        sizes = [None if a is None or b is None else b - a for a, b in itertools.pairwise(ends)]
    return [_resized(x, axis, part) for part in sizes]


def nearly_split(op: Any, x: TensorSpec) -> list[TensorSpec]:
    """``array_split``: the first parts are one larger where it does not come out even."""
    axis, parts = axis_index(op.axis, x.ndim), op.indices_or_sections
    size = x.shape[axis]
    if size is None:
        return [_resized(x, axis, None) for _ in range(parts)]
    return [_resized(x, axis, size // parts + (i < size % parts)) for i in range(parts)]


def unstacked(op: Any, x: TensorSpec) -> list[TensorSpec]:
    axis = axis_index(op.axis, x.ndim)
    count = op.num if op.num is not None else x.shape[axis]
    if count is None:
        raise ShapeError(f"axis {axis} of {to_text(x.shape)} is None: how many tensors come out? Give num=")
    return [TensorSpec((*x.shape[:axis], *x.shape[axis + 1:]), x.dtype) for _ in range(count)]


def _resized(x: TensorSpec, axis: int, size: Size) -> TensorSpec:
    return TensorSpec((*x.shape[:axis], size, *x.shape[axis + 1:]), x.dtype)


def flattened(op: Any, x: TensorSpec) -> TensorSpec:
    return TensorSpec((product(x.shape),), x.dtype)


def turned(op: Any, x: TensorSpec) -> TensorSpec:
    """Axes that are turned round or rolled keep their sizes."""
    for axis in () if op.axis is None else (op.axis,) if isinstance(op.axis, int) else op.axis:
        axis_index(axis, x.ndim)
    return TensorSpec(x.shape, x.dtype)


def rotated(op: Any, x: TensorSpec) -> TensorSpec:
    first, second = (axis_index(axis, _rank_of(x, 2)) for axis in op.axes)
    if first == second:
        raise ShapeError(f"axes={op.axes} are one axis, and a turn needs two")
    return _swapped(x, first, second) if op.k % 2 else TensorSpec(x.shape, x.dtype)


def swapped(op: Any, x: TensorSpec) -> TensorSpec:
    return _swapped(x, axis_index(op.axis1, x.ndim), axis_index(op.axis2, x.ndim))


def _swapped(x: TensorSpec, first: int, second: int) -> TensorSpec:
    shape = list(x.shape)
    shape[first], shape[second] = shape[second], shape[first]
    return TensorSpec(tuple(shape), x.dtype)


def moved(op: Any, x: TensorSpec) -> TensorSpec:
    sources, places = (([axis] if isinstance(axis, int) else list(axis)) for axis in (op.source, op.destination))
    if len(sources) != len(places):
        raise ShapeError(f"{len(sources)} axes to be moved and {len(places)} places")
    sources, places = ([axis_index(axis, x.ndim) for axis in axes] for axes in (sources, places))
    order = [axis for axis in range(x.ndim) if axis not in sources]
    for place, source in sorted(zip(places, sources)):
        order.insert(place, source)
    return TensorSpec(tuple(x.shape[axis] for axis in order), x.dtype)


def stretched(op: Any, x: TensorSpec) -> TensorSpec:
    broadcast(x.shape, tuple(op.shape))
    return TensorSpec(tuple(op.shape), x.dtype)


def tiled(op: Any, x: TensorSpec) -> TensorSpec:
    repeats = (op.repeats,) if isinstance(op.repeats, int) else tuple(op.repeats)
    rank = max(x.ndim, len(repeats))
    shape = (1,) * (rank - x.ndim) + x.shape
    repeats = (1,) * (rank - len(repeats)) + repeats
    return TensorSpec(tuple(product(pair) for pair in zip(shape, repeats)), x.dtype)


def repeated(op: Any, x: TensorSpec) -> TensorSpec:
    repeats = (op.repeats,) if isinstance(op.repeats, int) else tuple(op.repeats)
    x, axis = (flattened(op, x), 0) if op.axis is None else (x, axis_index(op.axis, x.ndim))
    size = x.shape[axis]
    if size is not None and len(repeats) not in (1, size):
        raise ShapeError(f"{len(repeats)} repeats for the {size} elements of axis {axis}")
    return _resized(x, axis, None if size is None else size * repeats[0] if len(repeats) == 1 else sum(repeats))


def pad_widths(widths: Any, rank: int) -> list[tuple[int, int]]:
    """What goes before and after each axis; one pair stands for all axes."""
    if isinstance(widths, int):
        widths = ((widths, widths),)
    elif isinstance(widths[0], int):
        widths = (widths,)
    pairs = [(pair[0], pair[-1]) for pair in widths]
    if len(pairs) == 1:
        pairs *= rank
    if len(pairs) != rank:
        raise ShapeError(f"pad_width has {len(pairs)} pairs for {rank} axes")
    return pairs


def padded(op: Any, x: TensorSpec, constant_values: Any = None) -> TensorSpec:
    if constant_values is not None and op.mode != "constant":
        raise ConfigError(f"constant_values are for mode='constant', got mode={op.mode!r}")
    pairs = pad_widths(op.pad_width, x.ndim)
    return TensorSpec(tuple(_summed((size, *pair)) for size, pair in zip(x.shape, pairs)), x.dtype)


def diagonal_length(rows: Size, columns: Size, offset: int) -> Size:
    if rows is None or columns is None:
        return None
    return max(0, min(rows, columns, columns - offset if offset > 0 else rows + offset))


def diagonal(op: Any, x: TensorSpec) -> TensorSpec:
    first, second = (axis_index(axis, _rank_of(x, 2)) for axis in (op.axis1, op.axis2))
    if first == second:
        raise ShapeError(f"axis1={op.axis1} and axis2={op.axis2} are one axis")
    rest = [size for axis, size in enumerate(x.shape) if axis not in (first, second)]
    return TensorSpec((*rest, diagonal_length(x.shape[first], x.shape[second], op.offset)), x.dtype)


def traced(op: Any, x: TensorSpec) -> TensorSpec:
    return TensorSpec(diagonal(op, x).shape[:-1], summed_dtype(x.dtype))


def diagonal_matrix(op: Any, x: TensorSpec) -> TensorSpec:
    size = product(x.shape)
    side = None if size is None else size + abs(op.k)
    return TensorSpec((side, side), x.dtype)


def diag(op: Any, x: TensorSpec) -> TensorSpec:
    if x.ndim not in (1, 2):
        raise ShapeError(f"diag takes a vector or a matrix, got {to_text(x.shape)}")
    if x.ndim == 1:
        return diagonal_matrix(op, x)
    return TensorSpec((diagonal_length(x.shape[0], x.shape[1], op.k),), x.dtype)


def differences(op: Any, a: TensorSpec) -> TensorSpec:
    axis = axis_index(op.axis, a.ndim)
    size = a.shape[axis]
    return _resized(a, axis, None if size is None else max(size - op.n, 0))
