"""Functions that torch lacks, for ops that pick elements, order them, or put them in their places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

# ---- slices ----------------------------------------------------------------------------------------------------------


def get_item(x: Tensor, key: Any) -> Tensor:
    """``x[key]`` with steps that go backwards, which torch's indexing refuses."""
    keys = list(key) if isinstance(key, (tuple, list)) else [key]
    taken = sum(k is not None and k is not Ellipsis for k in keys)
    axis = 0
    for i, k in enumerate(keys):
        if k is Ellipsis:
            axis += x.dim() - taken
        elif k is not None:
            if isinstance(k, slice) and k.step is not None and k.step < 0:
                x, keys[i] = _backwards(x, axis, k)
            axis += 1
    return x[tuple(keys)]


def _backwards(x: Tensor, axis: int, key: slice) -> tuple[Tensor, slice]:
    """The tensor turned round, and the slice that takes the same elements of it forwards."""
    if key.start is None and key.stop is None:
        return x.flip(axis), slice(None, None, -key.step)
    size = x.shape[axis]
    places = range(size)[key]
    if not places:
        return x, slice(0, 0)
    return x.flip(axis), slice(size - 1 - places[0], size - places[-1], -key.step)


def block(inputs: Tensor, start_indices: Sequence[int], shape: Sequence[int]) -> Tensor:
    """The block of a shape that starts at some indices."""
    return inputs[tuple(slice(start, None if size == -1 else start + size)
                        for start, size in zip(start_indices, shape))]


def block_at(inputs: Tensor, start_indices: Tensor, shape: Sequence[int]) -> Tensor:
    """:func:`block` for indices in a tensor."""
    return inputs[_grid(inputs, start_indices, [own if size == -1 else size for own, size in zip(inputs.shape, shape)])]


def block_update(inputs: Tensor, start_indices: Sequence[int], updates: Tensor) -> Tensor:
    """``inputs`` with a block replaced."""
    outputs = inputs.clone()
    outputs[tuple(slice(start, start + size) for start, size in zip(start_indices, updates.shape))] = updates.to(
        inputs.dtype)
    return outputs


def block_update_at(inputs: Tensor, start_indices: Tensor, updates: Tensor) -> Tensor:
    """:func:`block_update` for indices in a tensor."""
    return inputs.index_put(_grid(inputs, start_indices, updates.shape), updates.to(inputs.dtype))


def _grid(x: Tensor, starts: Tensor, shape: Sequence[int]) -> tuple[Tensor, ...]:
    """The indices of each element of a block, one tensor for each axis, as they broadcast."""
    rank = len(shape)
    return tuple((starts[axis] + torch.arange(size, device=x.device)).reshape([-1 if i == axis else 1
                                                                               for i in range(rank)])
                 for axis, size in enumerate(shape))


# ---- by indices ------------------------------------------------------------------------------------------------------


def _indices(indices: Any, size: int, like: Tensor) -> Tensor:
    """Indices counted from the front."""
    found = torch.as_tensor(indices, device=like.device).long()
    return torch.where(found < 0, found + size, found)


def take(x: Tensor, indices: Any, dim: int | None) -> Tensor:
    """Elements by their indices along an axis, or in all elements in a row."""
    x, dim = (x.flatten(), 0) if dim is None else (x, dim % x.dim())
    places = _indices(indices, x.shape[dim], x)
    taken = torch.index_select(x, dim, places.flatten())
    return taken.reshape(*x.shape[:dim], *places.shape, *x.shape[dim + 1:])


def take_along_axis(x: Tensor, indices: Any, dim: int | None) -> Tensor:
    """``torch.take_along_dim`` with negative indices and a broadcast of the other axes."""
    if dim is None:
        x, indices, dim = x.flatten(), torch.as_tensor(indices, device=x.device).flatten(), 0
    return torch.take_along_dim(x, _indices(indices, x.shape[dim], x), dim)


def scatter(indices: Tensor, values: Tensor, shape: Sequence[int]) -> Tensor:
    """Zeros with values at some places; those at one place are added up."""
    places = torch.as_tensor(indices, device=values.device).long()
    depth = places.shape[-1]
    zeros = torch.zeros(tuple(shape), dtype=values.dtype, device=values.device)
    return zeros.index_put(places.reshape(-1, depth).unbind(-1), values.reshape(-1, *shape[depth:]), accumulate=True)


_REDUCTIONS = {"max": "amax", "min": "amin", "mul": "prod"}


def scatter_update(inputs: Tensor, indices: Any, updates: Any, reduction: str | None) -> Tensor:
    """``inputs`` with some places replaced or combined with updates."""
    places = torch.as_tensor(indices, device=inputs.device).long()
    depth = places.shape[-1]
    updates = torch.as_tensor(updates, dtype=inputs.dtype, device=inputs.device)
    if reduction is None or reduction == "add":
        return inputs.index_put(places.unbind(-1), updates, accumulate=reduction == "add")
    rows = inputs.reshape(-1, *inputs.shape[depth:]) if depth > 1 else inputs
    flat = torch.zeros_like(places[..., 0])
    for axis in range(depth):
        flat = flat * inputs.shape[axis] + places[..., axis]
    updates = updates.reshape(-1, *rows.shape[1:])
    flat = flat.reshape(-1, *[1] * (rows.dim() - 1)).expand_as(updates)
    return rows.scatter_reduce(0, flat, updates, _REDUCTIONS[reduction]).reshape(inputs.shape)


# ---- in order --------------------------------------------------------------------------------------------------------


def sort(x: Tensor, dim: int | None) -> Tensor:
    """``torch.sort`` without the indices; all in a row where no axis is given."""
    return torch.sort(x.flatten() if dim is None else x, dim=dim or 0).values


def argsort(x: Tensor, dim: int | None) -> Tensor:
    """``torch.argsort`` as int32, stable, of bool too."""
    x = x.to(torch.uint8) if x.dtype is torch.bool else x
    return torch.argsort(x.flatten() if dim is None else x, dim=dim or 0, stable=True).to(torch.int32)


def top_k(x: Tensor, k: int, sorted: bool) -> tuple[Tensor, Tensor]:
    """``torch.topk`` with indices as int32."""
    values, indices = torch.topk(x, k, sorted=sorted)
    return values, indices.to(torch.int32)


def in_top_k(targets: Tensor, predictions: Tensor, k: int) -> Tensor:
    """Whether the prediction for the target's class is no less than the ``k``-th largest."""
    least = torch.topk(predictions, k).values[..., -1]
    own = torch.take_along_dim(predictions, targets.long().unsqueeze(-1), dim=-1).squeeze(-1)
    return own >= least


def searchsorted(sorted_sequence: Any, values: Any, side: str) -> Tensor:
    """``torch.searchsorted`` as int32, for a sequence and values of any dtypes."""
    sequence, values = _alike(sorted_sequence, values)
    return torch.searchsorted(sequence, values, side=side, out_int32=True)


def digitize(x: Tensor, bins: Any) -> Tensor:
    """``torch.bucketize`` as NumPy counts bins."""
    x, edges = _alike(x, bins)
    return torch.bucketize(x, edges, out_int32=True, right=True)


def isin(x1: Tensor, x2: Any, assume_unique: bool, invert: bool) -> Tensor:
    """``torch.isin`` for any dtypes."""
    first, second = _alike(x1, x2)
    return torch.isin(first, second, assume_unique=assume_unique, invert=invert)


def _alike(x1: Any, x2: Any) -> tuple[Tensor, Tensor]:
    """Two tensors in the dtype that they have together, which is not bool."""
    like = x1 if isinstance(x1, Tensor) else x2
    first, second = (torch.as_tensor(x, device=like.device) for x in (x1, x2))
    dtype = torch.promote_types(first.dtype, second.dtype)
    dtype = torch.uint8 if dtype is torch.bool else dtype
    return first.to(dtype), second.to(dtype)


def unravel_index(indices: Tensor, shape: tuple[int, ...]) -> list[Tensor]:
    """``torch.unravel_index`` in the dtype of the indices."""
    return [place.to(indices.dtype) for place in torch.unravel_index(indices, shape)]


# ---- classes and segments --------------------------------------------------------------------------------------------


def one_hot(x: Tensor, num_classes: int, dim: int, dtype: torch.dtype) -> Tensor:
    """A 1 at the place of each class; a class that is negative or too large has none."""
    classes = torch.arange(num_classes, device=x.device)
    hot = (x.long().unsqueeze(-1) == classes).to(dtype)
    return hot.movedim(-1, dim)


def multi_hot(x: Tensor, num_classes: int, dim: int, dtype: torch.dtype) -> Tensor:
    """:func:`one_hot` of several classes together."""
    return one_hot(x, num_classes, dim, dtype).amax(1 if x.dim() > 1 else 0)


_START = {"sum": 0.0, "prod": 1.0, "amax": float("-inf"), "amin": float("inf")}


def segments(data: Tensor, segment_ids: Any, num_segments: int | None, reduce: str) -> Tensor:
    """The elements with the same id together; ids that are negative or too large count nowhere.

    As in Keras, a segment without elements holds the infinity where the largest or smallest is asked for.
    """
    ids = torch.as_tensor(segment_ids, device=data.device).long()
    count = num_segments if num_segments is not None else int(ids.max()) + 1
    ids = torch.where((ids < 0) | (ids >= count), count, ids)
    values = data if data.is_floating_point() else data.to(torch.float32)
    start = values.new_full((count + 1, *data.shape[1:]), _START[reduce])
    places = ids.reshape(-1, *[1] * (data.dim() - 1)).expand_as(data)
    return start.scatter_reduce(0, places, values, reduce)[:-1].to(data.dtype)


def bincount(x: Tensor, weights: Any, minlength: int) -> Tensor:
    """How often each number comes, or the weights of it together; for each row of a matrix."""
    count = max(int(x.max()) + 1 if x.numel() else 0, minlength)
    ones = torch.ones_like(x) if weights is None else torch.as_tensor(weights, device=x.device)
    counts = torch.zeros(*x.shape[:-1], count, dtype=ones.dtype, device=x.device).scatter_add(-1, x.long(), ones)
    return counts.to(torch.int32) if weights is None else counts


def histogram(x: Tensor, bins: int, range: tuple[float, float] | None) -> tuple[Tensor, Tensor]:
    """Counts in equal bins, and their edges. (``torch.histogram`` is not on CUDA.)"""
    low, high = (x.new_tensor(end) for end in range) if range is not None else torch.aminmax(x)
    same = low == high
    low, high = torch.where(same, low - 0.5, low), torch.where(same, high + 0.5, high)
    edges = low + (high - low) * torch.arange(bins + 1, dtype=x.dtype, device=x.device) / bins
    inside = (x >= low) & (x <= high)
    place = (torch.bucketize(x, edges, right=True) - 1).clamp(0, bins - 1)
    return torch.zeros(bins, dtype=x.dtype, device=x.device).scatter_add(0, place, inside.to(x.dtype)), edges


def nonzero(x: Tensor) -> list[Tensor]:
    """The indices of elements that are not 0, axis by axis."""
    return [places.to(torch.int32) for places in torch.nonzero(x, as_tuple=True)]


def unique(x: Tensor, return_index: bool, return_inverse: bool, return_counts: bool, dim: int | None,
           size: int | None, fill_value: Any) -> Any:
    """Each element once, cut or filled to a size."""
    values, inverse, counts = torch.unique(x, return_inverse=True, return_counts=True, dim=dim)
    axis = dim or 0
    order = torch.arange(inverse.numel(), device=x.device)
    index = order.new_zeros(counts.numel()).scatter_reduce(0, inverse.flatten(), order, "amin", include_self=False)
    found = [_sized(values, axis, size, 0 if fill_value is None else fill_value)]
    found += [_sized(index.to(torch.int32), 0, size, 0)] if return_index else []
    found += [inverse.to(torch.int32)] if return_inverse else []
    found += [_sized(counts.to(torch.int32), 0, size, 0)] if return_counts else []
    return found if len(found) > 1 else found[0]


def _sized(x: Tensor, axis: int, size: int | None, fill: Any) -> Tensor:
    if size is None:
        return x
    x = x.narrow(axis, 0, min(size, x.shape[axis]))
    after = [0, 0] * (x.dim() - 1 - axis % x.dim()) + [0, size - x.shape[axis]]
    return F.pad(x, after, value=fill)
