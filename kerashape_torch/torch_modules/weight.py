"""A weight by itself."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Weight(nn.Module):
    """A weight that other modules have no name for: a call gives it.

    Args:
        shape: of the weight.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape
        self.value = nn.Parameter(torch.empty(shape))

    def forward(self) -> Tensor:
        return self.value

    def extra_repr(self) -> str:
        return f"{self.shape}"
