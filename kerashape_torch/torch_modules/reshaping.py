"""What torch has no module for among the layers that move elements, and interpolation by kernels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kerashape_torch.torch_modules.image_resizing import resizing_weights


class FlattenChannelsLast(nn.Flatten):
    """Flattens (batch, channels, ...) in the order (batch, ..., channels), as Keras does for channels-first data."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(1, -1))


def repeat_rows(x: Tensor, n: int) -> Tensor:
    """(batch, features) to (batch, n, features), without a copy."""
    return x.unsqueeze(1).expand(-1, n, -1)


class KernelUpsample(nn.Module):
    """Enlarges (batch, channels, height, width) by whole factors with TensorFlow's ``bicubic`` or a Lanczos kernel."""

    def __init__(self, scale_factor: tuple[int, int], kernel: str) -> None:
        super().__init__()
        self.scale_factor = scale_factor
        self.kernel = kernel

    def forward(self, x: Tensor) -> Tensor:
        down, across = (resizing_weights(size, size * factor, self.kernel, False, x.device).to(x.dtype)
                        for size, factor in zip(x.shape[2:], self.scale_factor))
        return torch.einsum("oh,bchw,pw->bcop", down, x, across)

    def extra_repr(self) -> str:
        return f"scale_factor={self.scale_factor}, kernel={self.kernel!r}"
