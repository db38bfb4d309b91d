"""What torch has no module for among the layers that move elements, and Lanczos interpolation."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class FlattenChannelsLast(nn.Flatten):
    """Flattens (batch, channels, ...) in the order (batch, ..., channels), as Keras does for channels-first data."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(1, -1))


def repeat_rows(x: Tensor, n: int) -> Tensor:
    """(batch, features) to (batch, n, features), without a copy."""
    return x.unsqueeze(1).expand(-1, n, -1)


class LanczosUpsample(nn.Module):
    """Enlarges (batch, channels, height, width) by whole factors with Lanczos' kernel.

    Places outside the image are left out, and the weights of the others are scaled to a sum of 1, as TensorFlow does.
    """

    def __init__(self, scale_factor: tuple[int, int], radius: int) -> None:
        super().__init__()
        self.scale_factor = scale_factor
        self.radius = radius

    def forward(self, x: Tensor) -> Tensor:
        down = self.weights(x.shape[2], self.scale_factor[0], x).to(x.dtype)
        across = self.weights(x.shape[3], self.scale_factor[1], x).to(x.dtype)
        return torch.einsum("oh,bchw,pw->bcop", down, x, across)

    def weights(self, size: int, factor: int, x: Tensor) -> Tensor:
        """How much each place of the axis counts for each new one, in float32 whatever the dtype of ``x``."""
        places = torch.arange(size, device=x.device, dtype=torch.float32)
        new = (torch.arange(size * factor, device=x.device, dtype=torch.float32) + 0.5) / factor - 0.5
        distance = new[:, None] - places
        kernel = torch.sinc(distance) * torch.sinc(distance / self.radius) * (distance.abs() < self.radius)
        return kernel / kernel.sum(1, keepdim=True)

    def extra_repr(self) -> str:
        return f"scale_factor={self.scale_factor}, radius={self.radius}"
