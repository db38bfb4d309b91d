"""Fixed scales and offsets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


def rescale(x: Tensor, scale: float, offset: float) -> Tensor:
    """``x * scale + offset``, where integers become floats."""
    return x * scale + offset


class Rescale(nn.Module):
    """``x * scale + offset``, where either may be an array that broadcasts."""

    scale: Tensor
    offset: Tensor

    def __init__(self, scale: Any, offset: Any, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        for name, value in (("scale", scale), ("offset", offset)):
            self.register_buffer(name, torch.tensor(value, dtype=dtype, device="cpu"), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale + self.offset

    def extra_repr(self) -> str:
        return f"scale={self.scale.tolist()}, offset={self.offset.tolist()}"


class Normalize(nn.Module):
    """``(x - mean) / sqrt(variance)``, or the inverse; a deviation below 1e-7 counts as that.

    Args:
        broadcast_shape: to which mean and variance are reshaped.
        sizes: of mean and variance where they are weights, to be adapted or loaded.
        mean, variance: where they are constants.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, broadcast_shape: Sequence[int], invert: bool, sizes: Sequence[int] = (), mean: Any = None,
                 variance: Any = None, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.broadcast_shape = tuple(broadcast_shape)
        self.invert = invert
        self.sizes = tuple(sizes)
        if mean is None:
            self.register_buffer("mean", torch.zeros(self.sizes))
            self.register_buffer("variance", torch.ones(self.sizes))
            self.register_buffer("count", torch.zeros((), dtype=torch.int32))
        else:
            for name, value in (("mean", mean), ("variance", variance)):
                self.register_buffer(name, torch.tensor(value, dtype=dtype, device="cpu"), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        mean = self.mean.to(x.dtype).reshape(self.broadcast_shape)
        deviation = self.variance.to(x.dtype).reshape(self.broadcast_shape).sqrt().clamp(min=1e-7)
        return mean + x * deviation if self.invert else (x - mean) / deviation

    def extra_repr(self) -> str:
        return f"{self.broadcast_shape}, invert={self.invert}"


class Affine(nn.Module):
    """``x * scale + shift`` in the dtype of ``x``; what several layers in a row come to in inference.

    Args:
        scale, shift: they broadcast; they are no weights.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, scale: Tensor, shift: Tensor) -> None:
        super().__init__()
        self.register_buffer("scale", scale, persistent=False)
        self.register_buffer("shift", shift, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        dtype = x.dtype if x.is_floating_point() else self.scale.dtype
        return x * self.scale.to(dtype) + self.shift.to(dtype)

    def extra_repr(self) -> str:
        return str(tuple(self.scale.shape))
