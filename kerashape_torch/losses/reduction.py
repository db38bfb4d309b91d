"""From the losses of single predictions to one number: ranks, weights, masks and the mean, as Keras has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


def same_rank(first: Tensor, second: Tensor, widen: bool = True) -> tuple[Tensor, Tensor]:
    """Both with the same number of axes, where one has a last axis of size 1 more: the other gets one, if it has one
    axis, or else that one is taken off.

    >>> import torch
    >>> [tuple(x.shape) for x in same_rank(torch.ones(4), torch.ones(4, 1))]
    [(4, 1), (4, 1)]
    >>> [tuple(x.shape) for x in same_rank(torch.ones(4, 5), torch.ones(4, 5, 1))]
    [(4, 5), (4, 5)]
    """
    if first.ndim == second.ndim + 1 and first.shape[-1] == 1:
        return (first, second.unsqueeze(-1)) if second.ndim == 1 and widen else (first.squeeze(-1), second)
    if second.ndim == first.ndim + 1 and second.shape[-1] == 1:
        return (first.unsqueeze(-1), second) if first.ndim == 1 and widen else (first, second.squeeze(-1))
    return first, second


def masked_weight(sample_weight: Tensor | None, mask: Tensor | None, dtype: Any, mean: bool) -> Tensor | None:
    """The weights of samples, 0 where there is no more than padding; for a ``mean`` the others grow by as much."""
    if mask is None:
        return sample_weight
    weight = mask.to(dtype)
    if mean:
        weight = weight * (weight.numel() / weight.sum()).nan_to_num(posinf=0.0)
    if sample_weight is None:
        return weight
    weight, sample_weight = same_rank(weight, sample_weight.to(dtype))
    return weight * sample_weight


def reduced(values: Tensor, reduction: str | None, sample_weight: Tensor | None = None,
            mask: Tensor | None = None) -> Tensor:
    """The losses of samples as one loss.

    >>> import torch
    >>> losses, weights = torch.tensor([1.0, 3.0]), torch.tensor([1.0, 0.0])
    >>> [reduced(losses, how, weights).item() for how in ("sum", "sum_over_batch_size", "mean_with_sample_weight")]
    [1.0, 0.5, 1.0]
    """
    weight = masked_weight(sample_weight, mask, values.dtype, reduction in ("mean", "sum_over_batch_size"))
    if weight is not None:
        values, weight = same_rank(values, weight.to(values.dtype))
        values = values * weight
    if reduction in (None, "none") or values.ndim == 0 or values.shape == (0,):
        return values
    if reduction == "sum":
        return values.sum()
    if reduction == "mean_with_sample_weight" and weight is not None:
        return divided(values.sum(), weight.sum())
    return values.mean() if values.numel() else values.sum()


def divided(x: Tensor, y: Tensor) -> Tensor:
    """``x / y``, and 0 where ``y`` is 0.

    >>> import torch
    >>> divided(torch.tensor([1.0, 1.0]), torch.tensor([2.0, 0.0]))
    tensor([0.5000, 0.0000])
    """
    nothing = y == 0
    return (x / y.masked_fill(nothing, 1)).masked_fill(nothing, 0)
