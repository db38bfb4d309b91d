"""Functions of torch for sizes that tensors say: each size is a number, or a pair of a tensor's place and an axis."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

Sizes = tuple[Any, ...]


def read(tensors: tuple[Tensor, ...], sizes: Sizes) -> list[Any]:
    """The sizes as numbers, in slices too."""
    return [slice(*read(tensors, (size.start, size.stop, size.step))) if isinstance(size, slice)
            else tensors[size[0]].shape[size[1]] if isinstance(size, tuple) else size for size in sizes]


def get_item(*tensors: Tensor, sizes: Sizes) -> Tensor:
    """The first tensor from and up to these sizes."""
    return tensors[0][tuple(read(tensors, sizes))]


def broadcast_to(*tensors: Tensor, sizes: Sizes) -> Tensor:
    """The first tensor, repeated along axes of size 1 until it has these sizes."""
    return torch.broadcast_to(tensors[0], read(tensors, sizes))


def reshape(*tensors: Tensor, sizes: Sizes) -> Tensor:
    """The first tensor's elements in these sizes; -1 is what is left."""
    return torch.reshape(tensors[0], read(tensors, sizes))


def tile(*tensors: Tensor, sizes: Sizes) -> Tensor:
    """The whole first tensor so many times along each axis."""
    return torch.tile(tensors[0], read(tensors, sizes))


def repeat(*tensors: Tensor, sizes: Sizes, dim: int | None) -> Tensor:
    """Each element of the first tensor so many times."""
    return torch.repeat_interleave(tensors[0], read(tensors, sizes)[0], dim=dim)


def full(*tensors: Tensor, sizes: Sizes, value: float, dtype: torch.dtype) -> Tensor:
    """One value everywhere."""
    return torch.full(read(tensors, sizes), value, dtype=dtype, device=tensors[0].device)


def arange(*tensors: Tensor, sizes: Sizes, dtype: torch.dtype) -> Tensor:
    """Numbers from the first size up to the second, in steps of the third."""
    return torch.arange(*read(tensors, sizes), dtype=dtype, device=tensors[0].device)
