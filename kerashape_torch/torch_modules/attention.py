"""Attention as Keras computes it: masks, fused kernels where no scores are asked for, several attended axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kerashape_torch.torch_modules.activity import Listener


def causal(queries: int, keys: int, device: torch.device) -> Tensor:
    """(1, queries, keys): True where a position may look, at itself and what came before."""
    return torch.ones(1, queries, keys, dtype=torch.bool, device=device).tril()


def window(queries: int, keys: int, width: int, device: torch.device) -> Tensor:
    """(1, queries, keys): True where positions are less than ``width`` apart, before or after."""
    distance = torch.arange(queries, device=device)[:, None] - torch.arange(keys, device=device)
    return (distance.abs() < width)[None]


def both(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    """True where two masks are; None allows everything."""
    if first is None or second is None:
        return second if first is None else first
    return first & second


def unflatten(x: Tensor, axis: int, sizes: tuple[int, ...]) -> Tensor:
    """One axis split into several; nothing to do where there is one."""
    return torch.unflatten(x, axis, sizes) if len(sizes) > 1 else x


def _as_bool(mask: Tensor | None) -> Tensor | None:
    return None if mask is None else mask.to(torch.bool)


# ---- one head --------------------------------------------------------------------------------------------------------


class Attention(nn.Module):
    """Scores by products or by a sum of tanh; the inputs are [query, value] or [query, value, key]."""

    def __init__(self, score_mode: str, use_scale: bool, dropout: float) -> None:
        super().__init__()
        self.score_mode, self.use_scale = score_mode, use_scale
        self.dropout = dropout
        self.scale = nn.Parameter(torch.empty(())) if use_scale else None
        self.concat_score_weight = nn.Parameter(torch.empty(())) if score_mode == "concat" else None

    def scores(self, query: Tensor, key: Tensor) -> Tensor:
        """How much each query looks at each key, before the softmax."""
        if self.concat_score_weight is None:
            return (query if self.scale is None else query * self.scale) @ key.transpose(-2, -1)
        total = query.unsqueeze(-2) + key.unsqueeze(-3)
        total = total if self.scale is None else total * self.scale
        return self.concat_score_weight * total.tanh().sum(-1)

    def forward(self, inputs: Sequence[Tensor], mask: Sequence[Tensor | None] | None = None,
                training: bool | None = None, return_attention_scores: bool = False,
                use_causal_mask: bool = False) -> Any:
        query, value = inputs[:2]
        key = inputs[2] if len(inputs) > 2 else value
        query_mask, value_mask = (None, None) if mask is None else (_as_bool(m) for m in mask[:2])
        allowed = None if value_mask is None else value_mask.unsqueeze(-2)
        dropout = self.dropout if (self.training if training is None else training) else 0.0
        weights = None
        if self.score_mode == "dot" and not return_attention_scores:
            output = self._fused(query, key, value, allowed, use_causal_mask, dropout)
        else:
            scores = self.scores(query, key)
            if use_causal_mask:
                allowed = both(allowed, causal(query.shape[-2], key.shape[-2], query.device))
            if allowed is not None:
                scores = torch.where(allowed, scores, scores - _far_below(scores.dtype))
            weights = _dropped(scores.softmax(-1), dropout)
            output = weights @ value
        if query_mask is not None:
            output = torch.where(query_mask.unsqueeze(-1), output, 0.0)
        return (output, weights) if return_attention_scores else output

    def _fused(self, query: Tensor, key: Tensor, value: Tensor, allowed: Tensor | None, use_causal_mask: bool,
               dropout: float) -> Tensor:
        query = query if self.scale is None else query * self.scale
        bias = None
        if allowed is not None:
            if use_causal_mask:
                allowed = allowed & causal(query.shape[-2], key.shape[-2], query.device)
            # Keras lowers masked scores instead of dropping them: a query that may look nowhere looks everywhere
            bias = torch.where(allowed, 0.0, -_far_below(query.dtype)).to(query.dtype)
        return F.scaled_dot_product_attention(query, key, value, bias, dropout, use_causal_mask and bias is None,
                                              scale=1.0)

    def extra_repr(self) -> str:
        return f"score_mode={self.score_mode!r}, use_scale={self.use_scale}, dropout={self.dropout}"


class AdditiveAttention(Attention):
    """Scores by a weighed sum of ``tanh(query + key)``."""

    def __init__(self, width: int, use_scale: bool, dropout: float) -> None:
        super().__init__("additive", False, dropout)
        self.width, self.use_scale = width, use_scale
        self.scale = nn.Parameter(torch.empty(width)) if use_scale else None

    def scores(self, query: Tensor, key: Tensor) -> Tensor:
        total = (query.unsqueeze(-2) + key.unsqueeze(-3)).tanh()
        return (total if self.scale is None else total * self.scale).sum(-1)


def _far_below(dtype: torch.dtype) -> float:
    return 65504.0 if dtype == torch.float16 else 1e9


def _dropped(x: Tensor, rate: float) -> Tensor:
    return F.dropout(x, rate) if rate else x


# ---- several heads ---------------------------------------------------------------------------------------------------


class MultiHeadAttention(nn.Module):
    """Projects to heads, attends along some axes, and projects back.

    Args:
        features: last axes of query, key and value.
        heads: of the query, and of key and value: fewer of these are shared by groups of query heads.
        sizes: of one head of query and key, and of value.
        output_shape: sizes of the axes that replace the query's last one.
        axes: that are attended along, of inputs of rank ``rank``.
    """

    def __init__(self, features: tuple[int, int, int], heads: tuple[int, int], sizes: tuple[int, int],
                 output_shape: tuple[int, ...], *, rank: int = 3, axes: tuple[int, ...] = (1,), bias: bool = True,
                 gated: bool = False, dropout: float = 0.0, width: int | None = None) -> None:
        super().__init__()
        self.features, self.heads, self.sizes, self.output_shape = features, heads, sizes, output_shape
        self.rank, self.axes, self.bias, self.gated = rank, axes, bias, gated
        self.dropout = dropout
        self.width = width
        query_heads, shared_heads = heads
        self.scale = 1.0 / math.sqrt(sizes[0])
        self.attended = len(axes)
        kept = [axis for axis in range(rank) if axis not in (*axes, rank - 1)]
        self.order = (*kept, rank - 1, *axes, rank)  # of a tensor that has its heads apart, at the last but one axis
        self.back = tuple(self.order.index(axis) for axis in range(rank + 1))
        self.query = nn.Linear(features[0], query_heads * sizes[0], bias)
        self.key = nn.Linear(features[1], shared_heads * sizes[0], bias)
        self.value = nn.Linear(features[2], shared_heads * sizes[1], bias)
        self.gate = nn.Linear(features[0], query_heads * sizes[1], bias) if gated else None
        self.attention_output = nn.Linear(query_heads * sizes[1], math.prod(output_shape), bias)
        self.activity: Listener | None = None
        # Where Keras has a fused kernel, a query that may look nowhere looks everywhere; elsewhere it sees zeros
        self.blind_sees_all = rank == 3 and dropout == 0

    def forward(self, query: Tensor, value: Tensor, key: Tensor | None = None, query_mask: Tensor | None = None,
                value_mask: Tensor | None = None, key_mask: Tensor | None = None,
                attention_mask: Tensor | None = None, return_attention_scores: bool = False,
                training: bool | None = None, use_causal_mask: bool = False) -> Any:
        key = value if key is None else key
        q, q_sizes = self._apart(self.query(query), self.heads[0])
        k, k_sizes = self._apart(self.key(key), self.heads[1])
        v, _ = self._apart(self.value(value), self.heads[1])
        mask = self._mask(query, value, (query_mask, value_mask, key_mask, attention_mask))
        if use_causal_mask and (mask is not None or return_attention_scores):
            mask = both(mask, causal(query.shape[1], value.shape[1], query.device))
        allowed = None if mask is None else self._aligned(mask, q_sizes, k_sizes)
        dropout = self.dropout if (self.training if training is None else training) else 0.0
        scores = None
        if return_attention_scores:
            x, scores = self._with_scores(q, k, v, allowed, dropout)
            scores = unflatten(unflatten(scores, -1, k_sizes), -len(k_sizes) - 1, q_sizes)
        else:
            x = self._fused(q, k, v, allowed, dropout, use_causal_mask)
        x = unflatten(x, -2, q_sizes).permute(self.back).flatten(-2)
        if self.gate is not None:
            gate = torch.sigmoid(self.gate(query))
            self._tell(unflatten(gate, -1, (self.heads[0], -1)))
            x = x * gate
        x = self.attention_output(x)
        x = unflatten(x, -1, self.output_shape)
        self._tell(x)
        return (x, scores) if return_attention_scores else x

    def _apart(self, x: Tensor, heads: int) -> tuple[Tensor, tuple[int, ...]]:
        """(batch, ..., heads * size) as (batch, ..., heads, attended, size), and the sizes of the attended axes."""
        x = unflatten(x, -1, (heads, -1))
        self._tell(x)
        x = x.permute(self.order)
        sizes = tuple(x.shape[-1 - self.attended:-1])
        return x.flatten(-1 - self.attended, -2), sizes

    def _tell(self, projected: Tensor) -> None:
        if self.activity is not None:
            self.activity(projected)

    def _mask(self, query: Tensor, value: Tensor, masks: Sequence[Tensor | None]) -> Tensor | None:
        """Where a query may look at a key, (batch, queries, keys), from the masks of all sides."""
        query_mask, value_mask, key_mask, attention_mask = map(_as_bool, masks)
        mask = None if query_mask is None else query_mask.unsqueeze(-1)
        mask = both(mask, None if value_mask is None else value_mask.unsqueeze(-2))
        mask = both(mask, None if key_mask is None else key_mask.unsqueeze(-2))
        if self.width is not None:
            mask = both(mask, window(query.shape[1], value.shape[1], self.width, query.device))
        return both(mask, attention_mask)

    def _aligned(self, mask: Tensor, queries: tuple[int, ...], keys: tuple[int, ...]) -> Tensor:
        """The mask with axes of 1 for those that it lacks, and with the attended axes as one."""
        n = self.attended
        while mask.dim() < len(self.order) - 1 + n:
            mask = mask.unsqueeze(-2 * n - 1)
        if n == 1:
            return mask
        return mask.expand(*mask.shape[:-2 * n], *queries, *keys).flatten(-2 * n, -n - 1).flatten(-n, -1)

    def _fused(self, q: Tensor, k: Tensor, v: Tensor, allowed: Tensor | None, dropout: float, is_causal: bool
               ) -> Tensor:
        bias = None
        if allowed is not None:
            lowest = -0.7 * (65500.0 if q.dtype == torch.float16 else 3.38953e38)
            bias = torch.where(allowed, 0.0, lowest).to(q.dtype)
        grouped = {"enable_gqa": True} if self.heads[0] != self.heads[1] else {}
        output = F.scaled_dot_product_attention(q, k, v, bias, dropout, is_causal and bias is None, scale=self.scale,
                                                **grouped)
        if allowed is not None and not self.blind_sees_all:
            output = torch.where(allowed.any(-1, keepdim=True), output, 0.0)
        return output

    def _with_scores(self, q: Tensor, k: Tensor, v: Tensor, allowed: Tensor | None, dropout: float
                     ) -> tuple[Tensor, Tensor]:
        if self.heads[0] != self.heads[1]:
            k, v = (x.repeat_interleave(self.heads[0] // self.heads[1], -3) for x in (k, v))
        scores = (q * self.scale) @ k.transpose(-2, -1)
        if allowed is not None:
            scores = torch.where(allowed, scores, -3e4 if scores.dtype == torch.float16 else -1e9)
        scores = scores.softmax(-1)
        if allowed is not None:
            scores = torch.where(allowed, scores, 0.0)
        return _dropped(scores, dropout) @ v, scores

    def extra_repr(self) -> str:
        return (f"heads={self.heads}, order={self.order}, "
                f"output={self.output_shape}, dropout={self.dropout}, width={self.width}")
