"""Keras' LoRA: a frozen kernel plus the product of two narrow ones, times ``alpha / rank``."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kerashape_torch.torch_modules.embedding import Embedding, as_index


class LoraLinear(nn.Linear):
    """``nn.Linear`` with a narrow kernel (inputs, rank) and one (rank, units)."""

    def __init__(self, inputs: int, units: int, bias: bool, rank: int, alpha: float) -> None:
        super().__init__(inputs, units, bias)
        self.lora_a = nn.Parameter(torch.empty(inputs, rank))
        self.lora_b = nn.Parameter(torch.empty(rank, units))
        self.scale = alpha / rank

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input, self.weight + self.scale * (self.lora_a @ self.lora_b).T, self.bias)


class LoraEmbedding(Embedding):
    """A frozen table plus the product of two narrow ones."""

    def __init__(self, count: int, width: int, rank: int, alpha: float) -> None:
        super().__init__(count, width)
        self.lora_a = nn.Parameter(torch.empty(count, rank))
        self.lora_b = nn.Parameter(torch.empty(rank, width))
        self.scale = alpha / rank

    def forward(self, input: Tensor) -> Tensor:
        index = as_index(input)
        return super().forward(index) + self.scale * (F.embedding(index, self.lora_a) @ self.lora_b)
