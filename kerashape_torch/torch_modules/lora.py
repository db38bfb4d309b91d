"""Keras' LoRA: a frozen kernel plus the product of two narrow ones. Its alpha, which Keras forgets, scales nothing."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class LoraLinear(nn.Linear):
    """``nn.Linear`` with a narrow kernel (in_features, rank) and one (rank, out_features)."""

    def __init__(self, in_features: int, out_features: int, bias: bool, rank: int) -> None:
        super().__init__(in_features, out_features, bias)
        self.rank = rank
        self.lora_a = nn.Parameter(torch.empty(in_features, rank))
        self.lora_b = nn.Parameter(torch.empty(rank, out_features))

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input, self.weight + (self.lora_a @ self.lora_b).T, self.bias)
