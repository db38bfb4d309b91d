"""Functions that torch lacks, for ops that move elements."""

from __future__ import annotations

from typing import Any

import einops
import torch
import torch.nn.functional as F
from torch import Tensor

_Widths = tuple[tuple[int, int], ...]


def rearrange(tensor: Tensor, pattern: str, **axes_lengths: int) -> Tensor:
    """``einops.rearrange`` under a name of ours."""
    return einops.rearrange(tensor, pattern, **axes_lengths)


def append(x1: Tensor, x2: Tensor, dim: int | None) -> Tensor:
    """One tensor after the other; in a row where no axis is given."""
    return torch.cat((x1.flatten(), x2.flatten())) if dim is None else torch.cat((x1, x2), dim=dim)


def split(x: Tensor, sections: int | tuple[int, ...], dim: int) -> list[Tensor]:
    """``torch.tensor_split`` as a list."""
    return list(torch.tensor_split(x, sections, dim=dim))


def meshgrid(*tensors: Tensor, indexing: str) -> list[Tensor]:
    """``torch.meshgrid`` as a list; tensors of more axes are taken in a row."""
    return list(torch.meshgrid(*(x.flatten() for x in tensors), indexing=indexing))


def repeat_each(x: Tensor, repeats: tuple[int, ...], dim: int | None) -> Tensor:
    """Each element along an axis as often as it is told."""
    x = x.flatten() if dim is None else x
    places = [place for place, count in enumerate(repeats) for _ in range(count)]
    return torch.index_select(x, dim or 0, torch.tensor(places, device=x.device))


def pad(x: Tensor, widths: _Widths, mode: str, constant_values: Any = None) -> Tensor:
    """More elements around each axis, whatever the rank."""
    if mode == "constant":
        flat = [width for pair in reversed(widths) for width in pair]
        return F.pad(x, flat, value=0 if constant_values is None else constant_values)
    for axis, (before, after) in enumerate(widths):
        if before or after:
            x = x.index_select(axis, _places(x.shape[axis], before, after, mode, x.device))
    return x


def _places(size: int, before: int, after: int, mode: str, device: Any) -> Tensor:
    """For each place of the padded axis, where its element comes from."""
    places = torch.arange(-before, size + after, device=device)
    if mode in ("edge", "replicate"):
        return places.clamp(0, size - 1)
    if mode == "reflect":
        period = max(2 * (size - 1), 1)
        return (size - 1) - ((places % period) - (size - 1)).abs()
    places = places % (2 * size)
    return torch.where(places < size, places, 2 * size - 1 - places)


def trace(x: Tensor, offset: int, dim1: int, dim2: int, dtype: torch.dtype) -> Tensor:
    """The sum of a diagonal."""
    return torch.diagonal(x, offset, dim1, dim2).sum(-1, dtype=dtype)


def size(x: Tensor) -> Tensor:
    """The number of elements, as a tensor."""
    return torch.tensor(x.numel(), dtype=torch.int32, device=x.device)


def unsqueeze(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """With several new axes of size 1, counted in the result."""
    rank = x.dim() + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = x.unsqueeze(axis)
    return x
