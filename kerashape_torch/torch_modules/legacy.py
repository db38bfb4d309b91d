"""Modules for layers that Keras 3 has dropped."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kerashape_torch.errors import KerashapeError


class RandomFourierFeatures(nn.Module):
    """``cos(x @ unscaled_kernel.T / kernel_scale + bias)``"""

    def __init__(self, features: int, outputs: int) -> None:
        super().__init__()
        self.features, self.outputs = features, outputs
        self.unscaled_kernel = nn.Parameter(torch.empty(outputs, features), requires_grad=False)
        self.kernel_scale = nn.Parameter(torch.empty(1))
        self.bias = nn.Parameter(torch.empty(outputs), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cos(F.linear(x / self.kernel_scale, self.unscaled_kernel, self.bias))

    def extra_repr(self) -> str:
        return f"{self.unscaled_kernel.shape[1]}, {self.unscaled_kernel.shape[0]}"


class RandomSize(nn.Module):
    """Resizes images along one axis by a factor between ``1 + low`` and ``1 + high``, in training alone."""

    _modes = {"bilinear": "bilinear", "nearest": "nearest-exact", "area": "area"}

    def __init__(self, axis: int, low: float, high: float, interpolation: str) -> None:
        super().__init__()
        self.axis, self.low, self.high, self.interpolation = axis, low, high, interpolation

    def forward(self, x: Tensor) -> Tensor:
        x = x if x.is_floating_point() else x.float()
        if not self.training:
            return x
        if self.interpolation not in self._modes:
            raise KerashapeError(f"random sizes with interpolation {self.interpolation!r} are not had in training. "
                                 f"Way out: {', '.join(map(repr, self._modes))}")
        size = list(x.shape[2:])
        factor = 1 + self.low + (self.high - self.low) * torch.rand(()).item()
        size[self.axis - 2] = int(factor * size[self.axis - 2])
        return F.interpolate(x, size, mode=self._modes[self.interpolation])

    def extra_repr(self) -> str:
        return f"axis={self.axis}, low={self.low}, high={self.high}, interpolation={self.interpolation!r}"


class MaxoutLinear(nn.Linear):
    """The largest of several linear layers, output by output."""

    def __init__(self, features: int, outputs: int, pieces: int, bias: bool) -> None:
        super().__init__(features, pieces * outputs, bias)
        self.features, self.outputs, self.pieces = features, outputs, pieces

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        return y.reshape(*y.shape[:-1], self.pieces, -1).amax(-2)


class Highway(nn.Module):
    """A linear layer and its input, mixed by a gate."""

    def __init__(self, features: int, bias: bool, activation: Callable[[Tensor], Tensor] | None) -> None:
        super().__init__()
        self.features, self.bias = features, bias
        self.dense = nn.Linear(features, features, bias)
        self.gate = nn.Linear(features, features, bias)
        self.activation = activation or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return torch.lerp(x, self.activation(self.dense(x)), torch.sigmoid(self.gate(x)))
