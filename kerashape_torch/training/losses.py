"""Keras' losses as torch modules: predictions first, then targets, as torch's own losses take them."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from kerashape_torch.losses import Loss


class KerasLoss(nn.Module):
    """The torch module of a loss. It has no parameters.

    >>> import torch
    >>> from kerashape_torch.losses import MeanAbsoluteError
    >>> KerasLoss(MeanAbsoluteError())(torch.zeros(2, 1), torch.ones(2, 1), torch.tensor([1.0, 0.0]))
    tensor(0.5000)
    """

    def __init__(self, spec: Loss) -> None:
        super().__init__()
        self.spec = spec

    def forward(self, outputs: Any, targets: Any, sample_weight: Any = None, mask: Tensor | None = None) -> Tensor:
        return self.spec(targets, outputs, sample_weight, mask)

    def extra_repr(self) -> str:
        return repr(self.spec)
