"""A weight by itself."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kerashape_torch.torch_modules.places import keras_value
from kerashape_torch.weights import WeightSpec


class Weight(nn.Module):
    """A weight that other modules have no name for: a call gives it.

    Args:
        shape: of the weight.
        kind: its dtype. Integers and booleans are in a buffer, since torch trains none.
    """

    def __init__(self, shape: tuple[int, ...], kind: str = "float32") -> None:
        super().__init__()
        self.shape, self.kind = shape, kind
        value = torch.empty(shape, dtype=getattr(torch, kind))
        if value.is_floating_point():
            self.value: Tensor = nn.Parameter(value)
        else:
            self.register_buffer("value", value)

    def forward(self) -> Tensor:
        return self.value

    def extra_repr(self) -> str:
        return f"{self.shape}" if self.kind == "float32" else f"{self.shape}, kind={self.kind!r}"


class InnerWeight(nn.Module):
    """A weight of another module, as Keras has it.

    Args:
        layer: the module.
        spec: of the weight, where it lies as seen from here.
    """

    def __init__(self, layer: nn.Module, spec: WeightSpec) -> None:
        super().__init__()
        self.layer, self.spec = layer, spec

    def forward(self) -> Tensor:
        return keras_value(self, self.spec)
