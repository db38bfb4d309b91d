"""What a call of a layer costs: the rule that holds for most, beside which a layer may state its own."""

from __future__ import annotations

from typing import Any

from kerashape_torch.shape import elements
from kerashape_torch.structure import flatten_shapes
from kerashape_torch.user_layers import torch_function


class Costed:
    """What has weights and shapes, and so a cost."""

    def flops(self, *shapes: Any) -> int:
        """What a call costs: the operations of its products, two for each multiplication with its addition.

        Only products of matrices and convolutions count, as for ``torch.utils.flop_counter``. Where numbers are added,
        compared or looked up one by one, moving them takes longer than computing them. The rule given here is that of
        a kernel whose last axis is the last axis of the output.

        >>> from kerashape_torch.layers import Dense
        >>> Dense(10).flops((32, 784))
        501760
        """
        layer: Any = self
        kernels = [spec.shape for spec in layer.weight_specs(*shapes) if "kernel" in spec.name]  # LoRA has three
        places = elements(flatten_shapes(layer.compute_output_shape(*shapes))[0][:-1]) if kernels else 0
        return sum(2 * elements(kernel) * places for kernel in kernels)

    @property
    def flops_are_known(self) -> bool:
        """Whether :meth:`flops` tells all: not of a function of a user's own."""
        return torch_function(self) is None
