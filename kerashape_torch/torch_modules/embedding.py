"""Embeddings that take what Keras' take: integers of any width, and floats that are cut to integers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def as_index(x: Tensor) -> Tensor:
    """Integers that torch can index with."""
    return x if x.dtype in (torch.int32, torch.int64) else x.to(torch.int32)


class Embedding(nn.Embedding):
    """``nn.Embedding`` that also takes floats: Keras inputs are float32 where nobody says otherwise."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(as_index(input))


class LoraEmbedding(Embedding):
    """A frozen table plus the product of two narrow ones; a rank of 0 is the table alone."""

    lora_a: nn.Parameter | None
    lora_b: nn.Parameter | None

    def __init__(self, num_embeddings: int, embedding_dim: int, rank: int) -> None:
        super().__init__(num_embeddings, embedding_dim)
        self.rank = rank
        self.register_parameter("lora_a", nn.Parameter(torch.empty(num_embeddings, rank)) if rank else None)
        self.register_parameter("lora_b", nn.Parameter(torch.empty(rank, embedding_dim)) if rank else None)

    def table(self) -> Tensor:
        """The sum, one row for each integer."""
        if self.lora_a is None or self.lora_b is None:
            return self.weight
        return self.weight + self.lora_a @ self.lora_b

    def forward(self, input: Tensor) -> Tensor:
        found = super().forward(input)
        if self.lora_a is None or self.lora_b is None:
            return found
        return found + nn.functional.embedding(as_index(input), self.lora_a) @ self.lora_b


class ReversibleEmbedding(LoraEmbedding):
    """A table and the way back, by the same table transposed or by one of its own."""

    def __init__(self, num_embeddings: int, embedding_dim: int, tied: bool, soft_cap: float | None, reverse_dtype: Any,
                 rank: int = 0) -> None:
        super().__init__(num_embeddings, embedding_dim, rank)
        self.tied = tied
        self.soft_cap = soft_cap
        self.reverse_dtype = None if reverse_dtype is None else getattr(
            torch, str(reverse_dtype).removeprefix("torch."))
        self.reverse_weight = None if tied else nn.Parameter(torch.empty(embedding_dim, num_embeddings))

    def forward(self, input: Tensor, reverse: bool = False) -> Tensor:
        if not reverse:
            return super().forward(input)
        kernel = self.table().T if self.reverse_weight is None else self.reverse_weight
        dtype = self.reverse_dtype or kernel.dtype
        logits = input.to(dtype) @ kernel.to(dtype)
        return logits if self.soft_cap is None else torch.tanh(logits / self.soft_cap) * self.soft_cap

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, tied={self.reverse_weight is None}, soft_cap={self.soft_cap}"
