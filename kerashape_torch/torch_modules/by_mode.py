"""Two modules for one layer that does other things in training than in inference."""

from __future__ import annotations

from torch import Tensor, nn


class ByMode(nn.Module):
    """Runs one of two modules.

    Args:
        in_training: the one in training mode.
        in_inference: the one in evaluation mode.
    """

    def __init__(self, in_training: nn.Module, in_inference: nn.Module) -> None:
        super().__init__()
        self.in_training, self.in_inference = in_training, in_inference

    def forward(self, *tensors: Tensor) -> Tensor:
        return (self.in_training if self.training else self.in_inference)(*tensors)  # type: ignore[no-any-return]
