"""Padded steps: found, and left out of what is made of the others."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from kerashape_torch.torch_modules.merging import aligned

Masks = Sequence[Tensor | None]


def zero_masked_steps(x: Tensor, value: float, mask: Tensor | None = None) -> Tensor:
    """Steps whose features all equal a value become 0: those that a mask leaves out, where one has been found."""
    kept = (x != value).any(-1) if mask is None else mask
    return torch.where(kept.unsqueeze(-1), x, 0)


def masked_mean(x: Tensor, steps_axis: int, keepdim: bool, mask: Tensor) -> Tensor:
    """The mean over the steps that a mask (batch, steps) keeps; where it keeps none it is nan, as in Keras."""
    kept = mask.to(torch.bool).unsqueeze(3 - steps_axis)
    return torch.where(kept, x, 0).sum(steps_axis, keepdim) / kept.to(x.dtype).sum(steps_axis, keepdim)


def masked_product(inputs: Sequence[Tensor], mask: Masks) -> Tensor:
    """The product, where what is masked counts as 1; where all are masked it is 0, if each has a mask."""
    kept = [None if m is None else m.unsqueeze(-1).expand(x.shape) for x, m in zip(inputs, mask)]
    product, *others = aligned([x if k is None else torch.where(k, x, 1) for x, k in zip(inputs, kept)])
    for x in others:
        product = product * x
    if any(k is None for k in kept):
        return product
    return torch.where(_any_of(aligned([k for k in kept if k is not None])), product, 0)


def masked_fold(inputs: Sequence[Tensor], of_two: str, mask: Masks) -> Tensor:
    """A function of torch of two tensors folded over a list, where what is masked leaves the other's number."""
    kept = [None if m is None else m.unsqueeze(-1).expand(x.shape) for x, m in zip(inputs, mask)]
    result, result_kept = inputs[0], kept[0]
    for x, k in zip(inputs[1:], kept[1:]):
        x = x if k is None else torch.where(k, x, result)
        result = result if result_kept is None else torch.where(result_kept, result, x)
        result_kept = None if k is None or result_kept is None else result_kept | k
        result = getattr(torch, of_two)(result, x)
    return result


def _any_of(masks: Sequence[Tensor]) -> Tensor:
    found = masks[0]
    for mask in masks[1:]:
        found = found | mask
    return found
