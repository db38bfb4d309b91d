"""Noise in training, where torch has none or another."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class GaussianNoise(nn.Module):
    """Adds normal noise in training."""

    def __init__(self, stddev: float) -> None:
        super().__init__()
        self.stddev = stddev

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.randn_like(x) * self.stddev if self.training else x

    def extra_repr(self) -> str:
        return f"stddev={self.stddev}"


class GaussianDropout(nn.Module):
    """Multiplies by normal noise around 1 in training; its variance is that of dropout, ``rate / (1 - rate)``."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self.stddev = math.sqrt(rate / (1 - rate)) if rate < 1 else math.inf

    def forward(self, x: Tensor) -> Tensor:
        return x * (1 + torch.randn_like(x) * self.stddev) if self.training else x

    def extra_repr(self) -> str:
        return f"rate={self.rate}"


class _SharedDraws(nn.Module):
    """Base of dropouts that draw once for several elements.

    Args:
        rate: the share that is dropped.
        noise_shape: of what is drawn; None is the size of the tensor's axis, and 1 draws once for a whole axis.
    """

    def __init__(self, rate: float, noise_shape: Sequence[int | None]) -> None:
        super().__init__()
        self.rate = rate
        self.noise_shape = tuple(noise_shape)

    def kept(self, x: Tensor) -> Tensor:
        shape = [x.shape[axis] if size is None else size for axis, size in enumerate(self.noise_shape)]
        return torch.rand(shape, device=x.device) >= self.rate

    def extra_repr(self) -> str:
        return f"rate={self.rate}, noise_shape={self.noise_shape}"


class SharedDropout(_SharedDraws):
    """Dropout that drops several elements together."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        return torch.where(self.kept(x), x * (1 / (1 - self.rate) if self.rate < 1 else 0.0), 0.0)


class SharedAlphaDropout(_SharedDraws):
    """Alpha dropout that drops several elements together: to the least value of ``selu``, keeping mean and variance."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        least = -1.7580993408473766
        scale = ((1 - self.rate) * (1 + self.rate * least ** 2)) ** -0.5 if self.rate < 1 else 0.0
        return torch.where(self.kept(x), x, least) * scale - scale * least * self.rate
