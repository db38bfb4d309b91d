"""What torch's kernels do with memory and its fake ones do not say. Each entry comes of a comparison with real runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

aten: Any = torch.ops.aten


class Extra(NamedTuple):
    """Bytes that a kernel works in and gives back at once, and the results where they differ from the fake ones."""

    bytes: int
    result: Any


def extra_of(func: Any, args: Any, result: Any) -> Extra:
    """What is to be known of a call besides its results."""
    known = _ON_CPU.get(func)
    return Extra(0, result) if known is None or args[0].device.type != "cpu" else known(args, result)


def _lstm(args: Any, result: Any) -> Extra:
    """oneDNN's LSTM works in the four gates of all steps, twice over where it has no blocks for the sizes, and in
    weights of its own order. For training it keeps gates, before and after, and six rows of states, padded."""
    output, hidden, cell, _ = result
    x, units, training = args[0], args[10], args[15]
    gates, widest = _gates(x, units), max(x.shape[-1], units) + 16
    kept = 2 * gates + 6 * widest * gates // (4 * units) if training else 0
    in_blocks = training or (min(x.shape[:2]) > 1 and units % 16 == 0)
    return Extra(gates * (1 if in_blocks else 2) + _weights(args),
                 (output, hidden, cell, torch.empty(kept, dtype=torch.uint8, device=x.device)))


def _lstm_backward(args: Any, result: Any) -> Extra:
    return Extra(_gates(args[0], args[15]) + _weights(args), result)


def _gates(x: Tensor, units: int) -> int:
    return 4 * units * x.shape[0] * x.shape[1] * x.element_size()


def _weights(args: Any) -> int:
    return sum(map(_bytes, args[1:3]))


def _convolution(args: Any, result: Any) -> Extra:
    """oneDNN takes a copy of the kernel, channels last as the images are, and brings that into blocks of its own."""
    images, kernel = args[:2]
    if images.is_contiguous() or kernel.is_contiguous(memory_format=_CHANNELS_LAST.get(kernel.dim(), _PLAIN)):
        return Extra(0, result)
    return Extra(2 * _bytes(kernel), result)


def _convolution_backward(args: Any, result: Any) -> Extra:
    """Besides, the gradients of depthwise kernels wider than 3 come in blocks of channels by channels, as many as the
    processor takes at once, of which there is one."""
    kernel, groups = args[2], args[9]
    if groups > 1 and kernel.shape[1] == 1 and kernel.shape[-1] > 3:
        at_once = 16 if torch.backends.cpu.get_cpu_capability().startswith("AVX512") else 8
        return Extra(at_once ** 2 * _bytes(kernel), result)
    return _convolution(args[1:], result)


def _bytes(x: Tensor) -> int:
    return x.numel() * x.element_size()


_PLAIN = torch.contiguous_format
_CHANNELS_LAST: Any = {4: torch.channels_last, 5: torch.channels_last_3d}

_ON_CPU: dict[Any, Callable[[Any, Any], Extra]] = {
    aten.mkldnn_rnn_layer.default: _lstm,
    aten.mkldnn_rnn_layer_backward.default: _lstm_backward,
    aten.convolution.default: _convolution,
    aten.convolution_backward.default: _convolution_backward,
}


def adds_bias_in_place(func: Any, args: Any, before: Tensor | None) -> bool:
    """Whether this is the bias of a linear layer on a tensor that is not contiguous: torch adds it to the product where
    it lies, and makes a new tensor only of fakes."""
    return func is aten.add.Tensor and args[0] is before and before.dim() > 2 and (
        isinstance(args[1], Tensor) and args[1].dim() == 1)
