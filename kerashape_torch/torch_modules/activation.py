"""Activations with weights or masks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class PReLUByElement(nn.Module):
    """Like ``nn.PReLU``, with a slope for each element, or one for all along some axes.

    Args:
        shape: of the slopes, without the batch axis; they broadcast.
    """

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.weight = nn.Parameter(torch.zeros(self.shape))

    def forward(self, x: Tensor) -> Tensor:
        return torch.where(x > 0, x, self.weight * x)

    def extra_repr(self) -> str:
        return str(tuple(self.weight.shape))


class MaskedSoftmax(nn.Module):
    """Softmax over one axis or several, over what the mask keeps; the rest is 0, also where nothing is kept."""

    def __init__(self, axes: int | Sequence[int] | None) -> None:
        super().__init__()
        self.axes = (axes,) if isinstance(axes, int) else axes

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        axes = tuple(range(x.dim())) if self.axes is None else tuple(self.axes)
        if mask is None:
            return torch.exp(x - torch.logsumexp(x, axes, keepdim=True))
        keep = mask if mask.dtype == torch.bool else mask > 0.5
        x = torch.where(keep, x, -3e4 if x.dtype == torch.float16 else -1e9)
        return torch.where(keep, torch.exp(x - torch.logsumexp(x, axes, keepdim=True)), 0.0)

    def extra_repr(self) -> str:
        return f"axes={self.axes}"
