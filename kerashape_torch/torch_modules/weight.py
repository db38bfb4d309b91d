"""A weight by itself."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Weight(nn.Module):
    """A weight that other modules have no name for: a call gives it.

    Args:
        shape: of the weight.
        kind: its dtype. Integers and booleans are in a buffer, since torch trains none.
    """

    def __init__(self, shape: tuple[int, ...], kind: str = "float32") -> None:
        super().__init__()
        self.shape, self.kind = shape, kind
        value = torch.empty(shape, dtype=getattr(torch, kind))
        if value.is_floating_point():
            self.value: Tensor = nn.Parameter(value)
        else:
            self.register_buffer("value", value)

    def forward(self) -> Tensor:
        return self.value

    def extra_repr(self) -> str:
        return f"{self.shape}" if self.kind == "float32" else f"{self.shape}, kind={self.kind!r}"
