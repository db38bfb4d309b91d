"""Finding padded steps."""

from __future__ import annotations

import torch
from torch import Tensor


def zero_masked_steps(x: Tensor, value: float) -> Tensor:
    """Steps whose features all equal a value become 0."""
    return torch.where((x != value).any(-1, keepdim=True), x, 0)
