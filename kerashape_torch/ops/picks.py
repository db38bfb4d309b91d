"""Shapes of ops that pick elements, or put them in their places, without torch."""

from __future__ import annotations

from typing import Any

from kerashape_torch.errors import ShapeError
from kerashape_torch.graph import TensorSpec
from kerashape_torch.ops.moves import flattened
from kerashape_torch.shape import Shape, Size, axis_index, broadcast, to_text


def sliced(op: Any, x: TensorSpec, key: Any) -> TensorSpec:
    """``x[key]``: integers take an axis away, None adds one, ``...`` stands for the axes that the key leaves out."""
    keys = list(key) if isinstance(key, (tuple, list)) else [key]
    if sum(k is Ellipsis for k in keys) > 1:
        raise ShapeError(f"[{_key_text(key)}] has more than one '...'")
    if not any(k is Ellipsis for k in keys):
        keys.append(Ellipsis)
    taken = sum(k is not None and k is not Ellipsis for k in keys)
    if taken > x.ndim:
        raise ShapeError(f"[{_key_text(key)}] takes {taken} axes, and {to_text(x.shape)} has {x.ndim}")
    sizes: list[Size] = []
    rest = list(x.shape)
    for k in keys:
        if k is Ellipsis:
            sizes += [rest.pop(0) for _ in range(x.ndim - taken)]
        elif k is None:
            sizes.append(1)
        else:
            sizes += _taken(k, rest.pop(0), key)
    return TensorSpec(tuple(sizes), x.dtype)


def _taken(k: Any, size: Size, key: Any) -> list[Size]:
    if isinstance(k, slice):
        return [size if size is None else len(range(*k.indices(size)))]
    if not isinstance(k, int) or isinstance(k, bool):
        raise ShapeError(f"[{_key_text(key)}]: a key is made of integers, slices, '...' and None, got {k!r}")
    if size is not None and not -size <= k < size:
        raise ShapeError(f"[{_key_text(key)}]: index {k} is outside an axis of {size}")
    return []


def _key_text(key: Any) -> str:
    def one(k: Any) -> str:
        if isinstance(k, slice):
            parts = [k.start, k.stop] + ([k.step] if k.step is not None else [])
            return ":".join("" if part is None else str(part) for part in parts)
        return "..." if k is Ellipsis else repr(k)

    return ", ".join(map(one, key)) if isinstance(key, (tuple, list)) else one(key)


def shape_of(x: Any) -> Shape:
    """The shape of a tensor, a number or nested lists of numbers."""
    if isinstance(x, TensorSpec):
        return x.shape
    return (len(x), *shape_of(x[0] if x else 0)) if isinstance(x, (list, tuple)) else ()


def taken(op: Any, x: TensorSpec, indices: Any) -> TensorSpec:
    x, axis = (flattened(op, x), 0) if op.axis is None else (x, axis_index(op.axis, x.ndim))
    return TensorSpec((*x.shape[:axis], *shape_of(indices), *x.shape[axis + 1:]), x.dtype)


def taken_along(op: Any, x: TensorSpec, indices: TensorSpec) -> TensorSpec:
    if op.axis is None:
        return TensorSpec(flattened(op, TensorSpec(shape_of(indices))).shape, x.dtype)
    if x.ndim != len(shape_of(indices)):
        raise ShapeError(f"indices of {to_text(shape_of(indices))} have another rank than {to_text(x.shape)}")
    axis = axis_index(op.axis, x.ndim)
    left, right = ((*shape[:axis], 1, *shape[axis + 1:]) for shape in (x.shape, shape_of(indices)))
    sizes = broadcast(left, right)
    return TensorSpec((*sizes[:axis], shape_of(indices)[axis], *sizes[axis + 1:]), x.dtype)


def cut_out(op: Any, inputs: TensorSpec, start_indices: Any) -> TensorSpec:
    wanted = tuple(op.shape)
    if len(wanted) != inputs.ndim:
        raise ShapeError(f"shape={wanted} has another rank than {to_text(inputs.shape)}")
    known = not isinstance(start_indices, TensorSpec)
    if known and len(start_indices) != inputs.ndim:
        raise ShapeError(f"{len(start_indices)} start indices for the {inputs.ndim} axes of {to_text(inputs.shape)}")
    sizes: list[Size] = []
    for axis, (size, part) in enumerate(zip(inputs.shape, wanted)):
        rest = size - start_indices[axis] if known and size is not None else None
        sizes.append(part if part != -1 else rest)
    return TensorSpec(tuple(sizes), inputs.dtype)


def updated(op: Any, inputs: TensorSpec, *_: Any) -> TensorSpec:
    return TensorSpec(inputs.shape, inputs.dtype)


def scattered(op: Any, indices: Any, values: TensorSpec) -> TensorSpec:
    return TensorSpec(tuple(op.shape), values.dtype)


def ordered(op: Any, x: TensorSpec) -> TensorSpec:
    if op.axis is None:
        return flattened(op, x)
    axis_index(op.axis, x.ndim)
    return TensorSpec(x.shape, x.dtype)


def order(op: Any, x: TensorSpec) -> TensorSpec:
    return TensorSpec(ordered(op, x).shape, "int32")


def largest(op: Any, x: TensorSpec) -> tuple[TensorSpec, TensorSpec]:
    size = x.shape[-1] if x.shape else 0
    if size is not None and op.k > size:
        raise ShapeError(f"k={op.k} is more than the {size} elements of the last axis of {to_text(x.shape)}")
    shape = (*x.shape[:-1], op.k)
    return TensorSpec(shape, x.dtype), TensorSpec(shape, "int32")


def in_largest(op: Any, targets: TensorSpec, predictions: TensorSpec) -> TensorSpec:
    return TensorSpec(targets.shape, "bool")


def places(op: Any, sorted_sequence: TensorSpec, values: Any) -> TensorSpec:
    if len(shape_of(sorted_sequence)) != 1:
        raise ShapeError(f"the sorted sequence is one row, got {to_text(shape_of(sorted_sequence))}")
    return TensorSpec(shape_of(values), "int32")


def bins(op: Any, x: TensorSpec, bins: Any) -> TensorSpec:
    return places(op, bins, x)


def members(op: Any, x1: TensorSpec, x2: Any) -> TensorSpec:
    return TensorSpec(x1.shape, "bool")


def unraveled(op: Any, indices: TensorSpec) -> list[TensorSpec]:
    return [TensorSpec(indices.shape, indices.dtype) for _ in op.shape]


def one_hot(op: Any, x: TensorSpec) -> TensorSpec:
    axis = axis_index(op.axis, x.ndim + 1) if op.axis == -1 or 0 <= op.axis <= x.ndim else None
    if axis is None:
        raise ShapeError(f"axis={op.axis} must be -1 or between 0 and {x.ndim}")
    return TensorSpec((*x.shape[:axis], op.num_classes, *x.shape[axis:]), op.dtype or "float32")


def multi_hot(op: Any, inputs: TensorSpec) -> TensorSpec:
    hot = one_hot(op, inputs).shape
    gone = 1 if inputs.ndim > 1 else 0
    return TensorSpec((*hot[:gone], *hot[gone + 1:]), op.dtype or "float32")


def segments(op: Any, data: TensorSpec, segment_ids: Any) -> TensorSpec:
    ids = shape_of(segment_ids)
    if len(ids) != 1:
        raise ShapeError(f"segment_ids is one row, got {to_text(ids)}")
    if None not in (ids[0], data.shape[0]) and ids[0] != data.shape[0]:
        raise ShapeError(f"{ids[0]} segment_ids for the {data.shape[0]} elements of the first axis")
    return TensorSpec((op.num_segments, *data.shape[1:]), data.dtype)


def counts(op: Any, x: TensorSpec) -> TensorSpec:
    return TensorSpec((*x.shape[:-1], None), "int32")


def histogram(op: Any, x: TensorSpec) -> tuple[TensorSpec, TensorSpec]:
    if x.ndim != 1:
        raise ShapeError(f"histogram takes one row, got {to_text(x.shape)}")
    return TensorSpec((op.bins,), x.dtype), TensorSpec((op.bins + 1,), x.dtype)


def nonzero(op: Any, x: TensorSpec) -> list[TensorSpec]:
    return [TensorSpec((None,), "int32") for _ in x.shape]


def unique(op: Any, x: TensorSpec) -> Any:
    shape = (op.size,) if op.axis is None else tuple(
        op.size if i == axis_index(op.axis, x.ndim) else size for i, size in enumerate(x.shape))
    inverse = x.shape if op.axis is None else (x.shape[op.axis],)
    found = [TensorSpec(shape, x.dtype)]
    found += [TensorSpec((op.size,), "int32")] if op.return_index else []
    found += [TensorSpec(inverse, "int32")] if op.return_inverse else []
    found += [TensorSpec((op.size,), "int32")] if op.return_counts else []
    return found if len(found) > 1 else found[0]
