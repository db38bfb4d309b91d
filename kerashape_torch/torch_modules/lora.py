"""Keras' LoRA: a frozen kernel plus the product of two narrow ones. Its alpha, which Keras forgets, scales nothing."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class LoraLinear(nn.Linear):
    """``nn.Linear`` with a narrow kernel (inputs, rank) and one (rank, units)."""

    def __init__(self, inputs: int, units: int, bias: bool, rank: int) -> None:
        super().__init__(inputs, units, bias)
        self.lora_a = nn.Parameter(torch.empty(inputs, rank))
        self.lora_b = nn.Parameter(torch.empty(rank, units))

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input, self.weight + (self.lora_a @ self.lora_b).T, self.bias)
