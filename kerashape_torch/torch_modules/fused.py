"""A convolution with what follows it as one operation, where torch has that."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kerashape_torch.torch_modules.watched import is_watched


class Activation(NamedTuple):
    """An activation of torch that oneDNN can put behind a convolution.

    Attributes:
        function: torch's own, which takes ``inplace``.
        name, numbers: oneDNN's.
    """

    function: Any
    name: str
    numbers: Sequence[float] = ()


ACTIVATIONS: dict[Any, Activation] = {
    F.relu: Activation(F.relu, "relu"), F.relu6: Activation(F.relu6, "hardtanh", (0.0, 6.0)),
    F.silu: Activation(F.silu, "swish"), F.hardswish: Activation(F.hardswish, "hardswish"),
    F.hardsigmoid: Activation(F.hardsigmoid, "hardsigmoid"),
}
_MUCH = 1 << 24
"""Multiplications from which on it is faster. What is smaller torch computes itself, but for convolutions in groups."""
_HAS_ONEDNN = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]


def _as_it_is(x: Tensor, inplace: bool) -> Tensor:
    return x


NONE = Activation(_as_it_is, "none")


class FusedConv2d(nn.Conv2d):
    """``nn.Conv2d``, then the sum with another tensor if there is one, then an activation: at once on the CPU, where
    oneDNN does so and there is much to do; one after the other elsewhere, when gradients are asked for, and for
    ``torch.compile`` and other tracers, which have their own ways.

    oneDNN wants the kernel in an order of its own, which depends on the shape of the images. torch's convolution brings
    it there at every call; here it stays so, beside the kernel, until the kernel or the shape changes.

    Args:
        convolution: whose weights and arguments it takes over.
        activation: what comes last.
    """

    def __init__(self, convolution: nn.Conv2d, activation: Activation) -> None:
        given = convolution
        super().__init__(given.in_channels, given.out_channels, given.kernel_size, given.stride,  # type: ignore[arg-type]
                         given.padding, given.dilation, given.groups, given.bias is not None,  # type: ignore[arg-type]
                         given.padding_mode, device="meta")
        self.weight, self.bias, self.activation = given.weight, given.bias, activation
        each = self.out_channels * math.prod(self.kernel_size) / math.prod(self.stride)  # for one number of the images
        self.many = 0 if self.groups > 1 else math.ceil(_MUCH / each)
        self._packed: tuple[Any, ...] = None, None

    def forward(self, x: Tensor, beside: Tensor | None = None) -> Tensor:
        activation = self.activation
        if not self._at_once(x):
            made = self._conv_forward(x, self.weight, self.bias)
            if beside is not None:
                made = made.add_(beside) if made.dtype == beside.dtype else made + beside  # autocast tells them apart
            return activation.function(made, inplace=True)  # type: ignore[no-any-return]
        given = (self._kernel_for(x), self.bias, self.padding, self.stride, self.dilation, self.groups)
        operation: Any = torch.ops.mkldnn._convolution_pointwise
        if beside is None:
            return operation(x, *given, activation.name, activation.numbers, "")  # type: ignore[no-any-return]
        name = "relu" if activation.name == "relu" else None  # oneDNN has no other one behind a sum
        made = operation.binary(x, beside, *given, "add", 1.0, name, [], "")
        return made if name else activation.function(made, inplace=True)  # type: ignore[no-any-return]

    def _kernel_for(self, x: Tensor) -> Tensor:
        """The kernel in oneDNN's order."""
        weight = self.weight.detach()
        what_for = x.shape, weight.data_ptr(), None if weight.is_inference() else weight._version
        if self._packed[0] != what_for:
            reorder: Any = torch.ops.mkldnn._reorder_convolution_weight
            packed = reorder(weight, self.padding, self.stride, self.dilation, self.groups, x.shape)
            self._packed = what_for, packed, weight  # while it is kept, nothing else can lie where it lies
        return self._packed[1]  # type: ignore[no-any-return]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_packed": (None, None)}

    def _at_once(self, x: Tensor) -> bool:
        if is_watched(x) or x.numel() < self.many:
            return False
        return (x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
                and _HAS_ONEDNN and torch._C._get_mkldnn_enabled()
                and not (torch.is_grad_enabled() and x.requires_grad))

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, activation={self.activation.name}"  # type: ignore[no-untyped-call]
