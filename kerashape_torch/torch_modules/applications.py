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


def scaled_sum(inputs: Sequence[Tensor], scale: float) -> Tensor:
    """The first tensor and a multiple of the second."""
    return torch.add(inputs[0], inputs[1], alpha=scale)
