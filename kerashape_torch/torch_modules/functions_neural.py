"""Functions that torch lacks, for the ops of neural networks, with Keras' paddings and orders of axes."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from kerashape_torch.shape import same_padding
from kerashape_torch.torch_modules.convolution import _crop as cropped

_Ints = tuple[int, ...]
_CONV: Any = (F.conv1d, F.conv2d, F.conv3d)
_CONV_TRANSPOSE: Any = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)
_POOL: dict[str, Any] = {"max": (F.max_pool1d, F.max_pool2d, F.max_pool3d),
                         "average": (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)}


def _first(x: Tensor, last: bool) -> Tensor:
    return x.movedim(-1, 1) if last else x


def _back(x: Tensor, last: bool) -> Tensor:
    return x.movedim(1, -1) if last else x


def _sides(x: Tensor, window: _Ints, stride: _Ints, dilation: _Ints, padding: str) -> list[tuple[int, int]]:
    """What goes before and after each axis in space."""
    if padding == "valid":
        return [(0, 0)] * len(window)
    return [same_padding(*axis) for axis in zip(x.shape[2:], window, stride, dilation)]


def _flat(sides: list[tuple[int, int]]) -> list[int]:
    return [side for pair in reversed(sides) for side in pair]


# ---- windows that slide ----------------------------------------------------------------------------------------------


def pool(x: Tensor, kind: str, window: _Ints, stride: _Ints, padding: str, last: bool) -> Tensor:
    """The largest or mean element of each window; what ``same`` adds does not count."""
    x = _first(x, last)
    function = _POOL[kind][len(window) - 1]
    sides = _sides(x, window, stride, (1,) * len(window), padding)
    if not any(map(any, sides)):
        return _back(function(x, window, stride), last)
    if kind == "max":
        least = torch.finfo(x.dtype).min if x.is_floating_point() else torch.iinfo(x.dtype).min
        return _back(function(F.pad(x, _flat(sides), value=least), window, stride), last)
    shares = function(F.pad(torch.ones_like(x[:1, :1]), _flat(sides)), window, stride)
    return _back(function(F.pad(x, _flat(sides)), window, stride) / shares, last)


def adaptive_pool(x: Tensor, kind: str, size: _Ints, last: bool) -> Tensor:
    """``torch``'s adaptive pooling in Keras' order."""
    function = getattr(F, f"adaptive_{kind}_pool{len(size)}d")
    return _back(function(_first(x, last), size), last)


def conv(x: Tensor, kernel: Tensor, stride: _Ints, dilation: _Ints, padding: str, last: bool) -> Tensor:
    """A convolution with a kernel (window..., channels, filters); fewer channels than ``x`` has make groups."""
    x = _first(x, last)
    weight = kernel.permute(-1, -2, *range(kernel.dim() - 2)).to(x.dtype)
    sides = _sides(x, tuple(weight.shape[2:]), stride, dilation, padding)
    if any(map(any, sides)):
        x = F.pad(x, _flat(sides))
    groups = x.shape[1] // weight.shape[1]
    return _back(_CONV[len(stride) - 1](x, weight, None, stride, 0, dilation, groups), last)


def depthwise_conv(x: Tensor, kernel: Tensor, **windows: Any) -> Tensor:
    """A convolution of each channel by itself."""
    return conv(x, kernel.flatten(-2).unsqueeze(-2), **windows)


def separable_conv(x: Tensor, depthwise_kernel: Tensor, pointwise_kernel: Tensor, **windows: Any) -> Tensor:
    """A convolution of each channel by itself, then one across the channels."""
    ones = (1,) * len(windows["stride"])
    between = depthwise_conv(x, depthwise_kernel, **windows)
    return conv(between, pointwise_kernel, ones, ones, "valid", windows["last"])


def conv_transpose(x: Tensor, kernel: Tensor, stride: _Ints, dilation: _Ints, padding: str, last: bool,
                   output_padding: tuple[int | None, ...]) -> Tensor:
    """Keras' part of the full transposed convolution with a kernel (window..., filters, channels)."""
    x = _first(x, last)
    weight = kernel.permute(-1, -2, *range(kernel.dim() - 2)).to(x.dtype)
    full = _CONV_TRANSPOSE[len(stride) - 1](x, weight, None, stride, 0, 0, 1, dilation)
    crops = [cropped(*axis, padding) for axis in zip(weight.shape[2:], stride, dilation, output_padding)]
    return _back(F.pad(full, [-side for pair in reversed(crops) for side in pair]), last)


def depth_to_space(x: Tensor, block: int, last: bool) -> Tensor:
    """Channels laid out as blocks of pixels; the block is the slower part of the channels where they are last."""
    pattern = ("b h w (i j c) -> b (h i) (w j) c" if last else "b (c i j) h w -> b c (h i) (w j)")
    return rearrange(x, pattern, i=block, j=block)


def space_to_depth(x: Tensor, block: int, last: bool) -> Tensor:
    """Blocks of pixels as channels."""
    pattern = ("b (h i) (w j) c -> b h w (i j c)" if last else "b c (h i) (w j) -> b (c i j) h w")
    return rearrange(x, pattern, i=block, j=block)


# ---- normalization ---------------------------------------------------------------------------------------------------


def batch_normalization(x: Tensor, mean: Tensor, variance: Tensor, offset: Tensor | None, scale: Tensor | None,
                        axis: int, epsilon: float) -> Tensor:
    """``x`` less the mean over the deviation, scaled and moved."""
    def along(row: Tensor) -> Tensor:
        return row.reshape([-1 if i == axis % x.dim() else 1 for i in range(x.dim())])

    factor = torch.rsqrt(along(variance) + epsilon)
    factor = factor if scale is None else factor * along(scale)
    result = (x - along(mean)) * factor
    return result if offset is None else result + along(offset)


def _wide(x: Tensor) -> Tensor:
    return x if x.dtype is torch.float64 else x.to(torch.float32)


def layer_normalization(x: Tensor, gamma: Tensor | None, beta: Tensor | None, axes: _Ints, epsilon: float,
                        rms_scaling: bool) -> Tensor:
    """Normalized along some axes, where scale and offset are of their sizes."""
    wide, dims = _wide(x), sorted(axis % x.dim() for axis in axes)
    shape = [x.shape[i] if i in dims else 1 for i in range(x.dim())]
    variance, mean = torch.var_mean(wide, dim=dims, correction=0, keepdim=True)
    result = (wide if rms_scaling else wide - mean) * torch.rsqrt(variance + epsilon)
    result = result if gamma is None else result * gamma.reshape(shape)
    return (result if beta is None or rms_scaling else result + beta.reshape(shape)).to(x.dtype)


def rms_normalization(x: Tensor, axes: _Ints, epsilon: float, scale: Tensor | None = None) -> Tensor:
    """Over the root mean square along some axes."""
    wide = _wide(x)
    result = wide * torch.rsqrt(wide.square().mean(dim=axes, keepdim=True) + epsilon)
    return (result if scale is None else result * scale).to(x.dtype)


def normalize(x: Tensor, axes: _Ints | None, order: int, epsilon: float) -> Tensor:
    """Over the norm along some axes, which is taken to be no less than ``epsilon``."""
    dims = tuple(range(x.dim())) if axes is None else axes
    if order == 2:
        return x * torch.rsqrt(x.square().sum(dims, keepdim=True)).clamp(max=1 / epsilon)
    norm = torch.linalg.norm(x, ord=order, dim=dims if len(dims) > 1 else dims[0], keepdim=True)
    found: Tensor = x / norm.clamp(min=epsilon)
    return found


# ---- attention and losses --------------------------------------------------------------------------------------------


def dot_product_attention(query: Tensor, key: Tensor, value: Tensor, is_causal: bool, bias: Tensor | None = None,
                          mask: Tensor | None = None, scale: float | None = None) -> Tensor:
    """``scaled_dot_product_attention`` over (batch, length, heads, size); fewer heads of keys serve several queries."""
    dtype = torch.promote_types(torch.promote_types(query.dtype, key.dtype), value.dtype)
    q, k, v = (x.to(dtype).transpose(1, 2) for x in (query, key, value))
    if 1 < k.shape[1] < q.shape[1]:
        groups = q.shape[1] // k.shape[1]
        k, v = (x.repeat_interleave(groups, dim=1) for x in (k, v))
    weights = None if bias is None else bias.to(dtype)
    if mask is not None:
        allowed = mask.bool()
        if is_causal:
            allowed = allowed & torch.ones(q.shape[2], k.shape[2], dtype=torch.bool, device=q.device).tril()
        far = (65500.0 if dtype is torch.float16 else 3.38953e38) * -0.7  # not -inf: a row may allow nothing
        weights = torch.where(allowed, 0.0, far).to(dtype)
    found = F.scaled_dot_product_attention(q, k, v, weights, is_causal=is_causal and weights is None, scale=scale)
    return found.transpose(1, 2)


_EPSILON = 1e-7


def _log(x: Tensor) -> Tensor:
    return torch.log(x.clamp(_EPSILON, 1 - _EPSILON))


def binary_crossentropy(target: Tensor, output: Tensor, from_logits: bool) -> Tensor:
    """The cross entropy of each element."""
    target = target.to(output.dtype)
    if from_logits:
        return F.binary_cross_entropy_with_logits(output, target, reduction="none")
    return F.binary_cross_entropy(output.clamp(_EPSILON, 1 - _EPSILON), target, reduction="none")


def _log_probabilities(output: Tensor, from_logits: bool, dim: int) -> Tensor:
    return F.log_softmax(output, dim=dim) if from_logits else _log(output / output.sum(dim, keepdim=True))


def categorical_crossentropy(target: Tensor, output: Tensor, from_logits: bool, dim: int) -> Tensor:
    """The cross entropy of probabilities."""
    return -(target * _log_probabilities(output, from_logits, dim)).sum(dim)


def sparse_categorical_crossentropy(target: Tensor, output: Tensor, from_logits: bool, dim: int) -> Tensor:
    """The cross entropy of class numbers."""
    target = target.long()
    places = target if target.dim() == output.dim() else target.unsqueeze(dim)
    return -torch.take_along_dim(_log_probabilities(output, from_logits, dim), places, dim=dim).squeeze(dim)


def ctc_loss(target: Tensor, output: Tensor, target_length: Tensor, output_length: Tensor, blank: int) -> Tensor:
    """``F.ctc_loss`` with the batch first."""
    steps = F.log_softmax(_wide(output), dim=-1).transpose(0, 1)
    return F.ctc_loss(steps, target, output_length, target_length, blank=blank, reduction="none")


def ctc_decode(inputs: Tensor, sequence_lengths: Tensor, merge_repeated: bool, blank: int) -> tuple[Tensor, Tensor]:
    """The likeliest label of each step, those that count moved to the front."""
    best, labels = _wide(inputs).max(-1)
    steps = torch.arange(inputs.shape[1], device=inputs.device)
    over = steps >= sequence_lengths.long().unsqueeze(-1)
    labels = torch.where(over, blank, labels)
    gone = labels == blank
    if merge_repeated:
        gone = gone | F.pad(labels[:, 1:] == labels[:, :-1], (1, 0))
    order = torch.argsort(torch.where(gone, inputs.shape[1], steps), dim=-1, stable=True)
    found = torch.take_along_dim(torch.where(gone, -1, labels), order, dim=-1)
    return found.to(torch.int32).unsqueeze(0), -torch.where(over, 0, best).sum(-1, keepdim=True)


def psnr(x1: Tensor, x2: Tensor, max_val: float) -> Tensor:
    """The peak signal-to-noise ratio in decibels."""
    ratio = torch.as_tensor(max_val, dtype=torch.float32, device=x1.device)
    return 20 * torch.log10(ratio) - 10 * torch.log10((x1 - x2).to(torch.float32).square().mean())
