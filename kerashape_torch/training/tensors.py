"""Many tensors as one: a formula for one tensor runs over all of them, in torch's foreach kernels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor


class Tensors:
    """A list of tensors with the arithmetic of one; other operands are numbers or lists of the same length.

    >>> x = Tensors([torch.ones(2), torch.ones(3)])
    >>> (x * 2 + x).sqrt().list[0]
    tensor([1.7321, 1.7321])
    >>> x.add_(x, alpha=0.5).list[1]
    tensor([1.5000, 1.5000, 1.5000])
    """

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self.list = list(tensors)

    def __getattr__(self, name: str) -> Callable[..., Tensors]:
        function = getattr(torch, f"_foreach_{name}")  # a name in our own formulas, never one from a file

        def apply(*others: Any, **options: Any) -> Tensors:
            made = function(self.list, *(x.list if isinstance(x, Tensors) else x for x in others), **options)
            return self if name.endswith("_") else Tensors(made)

        return apply

    def __add__(self, other: Any) -> Tensors:
        return self.add(other)

    def __sub__(self, other: Any) -> Tensors:
        return self.sub(other)

    def __mul__(self, other: Any) -> Tensors:
        return self.mul(other)

    def __truediv__(self, other: Any) -> Tensors:
        return self.div(other)
