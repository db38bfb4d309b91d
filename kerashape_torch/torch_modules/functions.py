"""Functions of tensors that torch lacks, for ``keras.ops``. Compiled graphs call them: none of them looks at data."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def larger(number: float, x: Tensor) -> Tensor:
    """``torch.clamp_min`` with the number first."""
    return torch.clamp_min(x, number)


def smaller(number: float, x: Tensor) -> Tensor:
    """``torch.clamp_max`` with the number first."""
    return torch.clamp_max(x, number)


def where_not_zero(condition: Tensor, x1: Any, x2: Any) -> Tensor:
    """``torch.where`` for a condition that is not bool."""
    return torch.where(condition != 0, x1, x2)


def amax(x: Tensor, initial: float, dim: Any, keepdim: bool) -> Tensor:
    """The largest element, at least ``initial``."""
    return torch.clamp_min(torch.amax(x, dim=dim, keepdim=keepdim), initial)


def amin(x: Tensor, initial: float, dim: Any, keepdim: bool) -> Tensor:
    """The smallest element, at most ``initial``."""
    return torch.clamp_max(torch.amin(x, dim=dim, keepdim=keepdim), initial)


def argmax(x: Tensor, dim: int | None, keepdim: bool) -> Tensor:
    """``torch.argmax`` as int32."""
    return torch.argmax(x, dim=dim, keepdim=keepdim).to(torch.int32)


def argmin(x: Tensor, dim: int | None, keepdim: bool) -> Tensor:
    """``torch.argmin`` as int32."""
    return torch.argmin(x, dim=dim, keepdim=keepdim).to(torch.int32)


def einsum(*operands: Tensor, subscripts: str) -> Tensor:
    """``torch.einsum`` with the tensors first."""
    return torch.einsum(subscripts, *operands)


def unsqueeze(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """With several new axes of size 1, counted in the result."""
    rank = x.dim() + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = x.unsqueeze(axis)
    return x


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
    places = range(*key.indices(size))
    if not places:
        return x, slice(0, 0)
    return x.flip(axis), slice(size - 1 - places[0], size - places[-1], -key.step)
