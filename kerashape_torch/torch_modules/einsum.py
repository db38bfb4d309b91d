"""A kernel applied by an einsum equation, where ``nn.Linear`` cannot say it."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Einsum(nn.Module):
    """``einsum(equation, x, weight) + bias``; with a rank, two narrow kernels are added to the weight."""

    def __init__(self, equation: str, kernel_shape: tuple[int, ...], bias_shape: tuple[int, ...] | None,
                 lora_rank: int = 0, lora_scale: float = 0.0) -> None:
        super().__init__()
        self.equation = equation
        self.kernel_shape, self.bias_shape, self.lora_rank = kernel_shape, bias_shape, lora_rank
        self.weight = nn.Parameter(torch.empty(kernel_shape))
        self.bias = None if bias_shape is None else nn.Parameter(torch.empty(bias_shape))
        self.lora_a = nn.Parameter(torch.empty(*kernel_shape[:-1], lora_rank)) if lora_rank else None
        self.lora_b = nn.Parameter(torch.empty(lora_rank, kernel_shape[-1])) if lora_rank else None
        self.lora_scale = lora_scale

    def forward(self, x: Tensor) -> Tensor:
        kernel: Tensor = self.weight
        if self.lora_a is not None and self.lora_b is not None:
            kernel = kernel + self.lora_scale * (self.lora_a @ self.lora_b)
        output = torch.einsum(self.equation, x, kernel)
        return output if self.bias is None else output + self.bias

    def extra_repr(self) -> str:
        bias = None if self.bias is None else tuple(self.bias.shape)
        return f"{self.equation!r}, kernel={tuple(self.weight.shape)}, bias={bias}"
