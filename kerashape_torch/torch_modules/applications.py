"""What the models of ``keras.applications`` have of their own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Scale(nn.Module):
    """Each channel, the last axis, times a number."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.gamma = nn.Parameter(torch.empty(channels))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma

    def extra_repr(self) -> str:
        return str(self.channels)


class StochasticDepth(nn.Module):
    """In training whole samples are zero at a rate, and the others divided by the rest."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        kept = torch.rand(x.shape[0], *[1] * (x.dim() - 1), dtype=x.dtype, device=x.device) >= self.rate
        return x / (1 - self.rate) * kept

    def extra_repr(self) -> str:
        return str(self.rate)


def scaled_sum(inputs: Sequence[Tensor], scale: float) -> Tensor:
    """The first tensor and a multiple of the second."""
    return torch.add(inputs[0], inputs[1], alpha=scale)
