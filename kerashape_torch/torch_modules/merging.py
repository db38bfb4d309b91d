"""Merging tensors of different ranks, and products along any axis."""

from __future__ import annotations

import functools
import string
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def aligned(inputs: Sequence[Tensor]) -> list[Tensor]:
    """Tensors of one rank: those of fewer axes get axes of 1 after the batch axis, as Keras merges them."""
    rank = max(x.dim() for x in inputs)
    return [x[(slice(None),) + (None,) * (rank - x.dim())] for x in inputs]


def average(inputs: Sequence[Tensor]) -> Tensor:
    """The mean of tensors that broadcast."""
    return functools.reduce(torch.add, aligned(inputs)) / len(inputs)


class AlignedFold(nn.Module):
    """A function of two tensors folded over a list of tensors of different ranks."""

    def __init__(self, function: Callable[[Any, Any], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        return functools.reduce(self.function, aligned(inputs))

    def extra_repr(self) -> str:
        return getattr(self.function, "__name__", repr(self.function))


class BatchDot(nn.Module):
    """Products of two tensors summed along one axis of each, sample by sample."""

    def __init__(self, first_rank: int, second_rank: int, first_axis: int, second_axis: int, normalize: bool) -> None:
        super().__init__()
        self.first_rank, self.second_rank = first_rank, second_rank
        self.first_axis, self.second_axis = first_axis, second_axis
        letters = iter(string.ascii_letters[2:])  # a is the batch, b is summed over
        first = "a" + "".join("b" if axis == first_axis else next(letters) for axis in range(1, first_rank))
        second = "a" + "".join("b" if axis == second_axis else next(letters) for axis in range(1, second_rank))
        self.equation = f"{first},{second}->{first.replace('b', '')}{second[1:].replace('b', '')}"
        self.normalize = normalize

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        first, second = inputs
        if self.normalize:
            # Keras bounds the sum of squares by 1e-7 squared, torch the norm by eps: the same number
            first = F.normalize(first, dim=self.first_axis, eps=1e-7)
            second = F.normalize(second, dim=self.second_axis, eps=1e-7)
        output = torch.einsum(self.equation, first, second)
        return output.unsqueeze(1) if output.dim() == 1 else output

    def extra_repr(self) -> str:
        return f"{self.equation!r}, normalize={self.normalize}"
