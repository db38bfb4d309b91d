"""Convolutions with Keras' paddings: torch's own modules, and subclasses where Keras pads or crops one side more.

The subclasses keep the names ``weight`` and ``bias``, so a ``state_dict`` does not show which one a layer became.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kerashape_torch.shape import Size, same_padding

_CONVOLUTIONS: tuple[Any, ...] = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_TRANSPOSED: tuple[Any, ...] = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


class _Padded:
    """Adds the elements that ``padding=`` cannot: more at one end than at the other."""

    def __init__(self, *arguments: Any, pads: tuple[int, ...], **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.pads = pads  # as F.pad takes them: before and after each axis, from the last axis to the first

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pad(x, self.pads))  # type: ignore[misc, no-any-return]

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, pads={self.pads}"  # type: ignore[misc]


class PaddedConv1d(_Padded, nn.Conv1d):
    """Pads one end, as ``causal`` does, then convolves."""


class PaddedConv2d(_Padded, nn.Conv2d):
    """Pads right and bottom, then convolves."""


class PaddedConv3d(_Padded, nn.Conv3d):
    """Pads at the end of the axes, then convolves."""


class _Same:
    """Padding ``same`` for sizes that only the tensor knows."""

    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]

    def forward(self, x: Tensor) -> Tensor:
        pads: list[int] = []
        for axis in reversed(range(len(self.kernel_size))):
            pads += self._sides(x.shape[2 + axis], axis)
        # Sizes that are symbols cannot be compared without fixing them, so a compiled graph always pads.
        if not torch.compiler.is_compiling() and pads[0::2] == pads[1::2]:
            return self._symmetric(x, pads[-2::-2])
        return super().forward(F.pad(x, pads))  # type: ignore[misc, no-any-return]

    def _sides(self, size: int, axis: int) -> tuple[int, int]:
        """In a form from which a symbolic size cancels out, so that ``ceil(size / stride)`` is seen to come out."""
        stride, reach = self.stride[axis], (self.kernel_size[axis] - 1) * self.dilation[axis] + 1
        total = ((size + stride - 1) // stride - 1) * stride + reach - size
        if reach >= stride:
            return total // 2, total - total // 2
        before = torch.sym_max(total, 0) // 2  # type: ignore[no-untyped-call]
        return before, total - before  # below zero: elements at the end that no window covers

    def _symmetric(self, x: Tensor, padding: list[int]) -> Tensor:
        convolve = (F.conv1d, F.conv2d, F.conv3d)[len(padding) - 1]
        own: Any = self
        return convolve(x, own.weight, own.bias, own.stride, padding, own.dilation, own.groups)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, padding='same'"  # type: ignore[misc]


class SameConv1d(_Same, nn.Conv1d):
    """``Conv1d`` that pads as Keras' ``same`` does, for any number of steps."""


class SameConv2d(_Same, nn.Conv2d):
    """``Conv2d`` that pads as Keras' ``same`` does, for images of any size."""


class SameConv3d(_Same, nn.Conv3d):
    """``Conv3d`` that pads as Keras' ``same`` does, for volumes of any size."""


_PADDED: tuple[Any, ...] = (PaddedConv1d, PaddedConv2d, PaddedConv3d)
_SAME: tuple[Any, ...] = (SameConv1d, SameConv2d, SameConv3d)


def convolution(in_channels: int, out_channels: int, sizes: Sequence[Size], window: tuple[int, ...],
                stride: tuple[int, ...], dilation: tuple[int, ...], padding: str, **options: Any) -> nn.Module:
    """A convolution with Keras' padding: stock wherever both ends of each axis are padded alike.

    >>> convolution(3, 8, (None, None), (3, 3), (1, 1), (1, 1), "same")
    Conv2d(3, 8, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))
    >>> convolution(3, 8, (224, 224), (3, 3), (2, 2), (1, 1), "same")
    PaddedConv2d(3, 8, kernel_size=(3, 3), stride=(2, 2), pads=(0, 1, 0, 1))
    >>> convolution(3, 8, (None, None), (3, 3), (2, 2), (1, 1), "same")
    SameConv2d(3, 8, kernel_size=(3, 3), stride=(2, 2), padding='same')
    """
    rank = len(window)
    options.update(kernel_size=window, stride=stride, dilation=dilation)
    sides = [_sides(*axis, padding) for axis in zip(sizes, window, stride, dilation)]
    known = [side for side in sides if side is not None]
    if len(known) < rank:
        unknown: nn.Module = _SAME[rank - 1](in_channels, out_channels, **options)
        return unknown
    options["padding"] = tuple(min(side) for side in known)
    pads = tuple(side - min(sides) for sides in reversed(known) for side in sides)
    if any(pads):
        options["pads"] = pads
    made: nn.Module = (_PADDED if any(pads) else _CONVOLUTIONS)[rank - 1](in_channels, out_channels, **options)
    return made


def _sides(size: Size, window: int, stride: int, dilation: int, padding: str) -> tuple[int, int] | None:
    """What Keras adds before and after one axis; None where that depends on a size that is not known."""
    if padding == "valid":
        return 0, 0
    if padding == "causal":
        return (window - 1) * dilation, 0
    examples = (size,) if size is not None else range(1, stride + 1)  # the size counts only by its remainder
    found = {same_padding(n, window, stride, dilation) for n in examples}
    return found.pop() if len(found) == 1 else None


class _Cropped:
    """Drops elements at the end that Keras' ``same`` leaves out; torch can leave out only as many at both ends."""

    def __init__(self, *arguments: Any, drops: tuple[int, ...], **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.drops = drops

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        x = super().forward(x, output_size)  # type: ignore[misc]
        for axis, drop in enumerate(self.drops, start=2):
            if drop:
                x = x.narrow(axis, 0, x.shape[axis] - drop)
        return x

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, drops={self.drops}"  # type: ignore[misc]


class CroppedConvTranspose1d(_Cropped, nn.ConvTranspose1d):
    """``ConvTranspose1d`` without its last step."""


class CroppedConvTranspose2d(_Cropped, nn.ConvTranspose2d):
    """``ConvTranspose2d`` without its last row or column."""


class CroppedConvTranspose3d(_Cropped, nn.ConvTranspose3d):
    """``ConvTranspose3d`` without its last plane along some axes."""


_CROPPED: tuple[Any, ...] = (CroppedConvTranspose1d, CroppedConvTranspose2d, CroppedConvTranspose3d)


def transposed_convolution(in_channels: int, out_channels: int, window: tuple[int, ...], stride: tuple[int, ...],
                           dilation: tuple[int, ...], padding: str, output_padding: tuple[int | None, ...],
                           bias: bool) -> nn.Module:
    """A transposed convolution that gives Keras' part of the full result.

    >>> transposed_convolution(3, 8, (4, 4), (2, 2), (1, 1), "same", (None, None), True)
    ConvTranspose2d(3, 8, kernel_size=(4, 4), stride=(2, 2), padding=(1, 1))
    >>> transposed_convolution(3, 8, (3, 3), (2, 2), (1, 1), "same", (None, None), True)
    CroppedConvTranspose2d(3, 8, kernel_size=(3, 3), stride=(2, 2), drops=(1, 1))
    """
    crops = [_crop(*axis, padding) for axis in zip(window, stride, dilation, output_padding)]
    drops = tuple(max(after - before, 0) for before, after in crops)
    extra: dict[str, Any] = {"drops": drops} if any(drops) else {}
    made: nn.Module = (_CROPPED if any(drops) else _TRANSPOSED)[len(window) - 1](
        in_channels, out_channels, window, stride, padding=tuple(before for before, _ in crops),
        output_padding=tuple(max(before - after, 0) for before, after in crops), bias=bias, dilation=dilation, **extra)
    return made


def _crop(window: int, stride: int, dilation: int, output_padding: int | None, padding: str) -> tuple[int, int]:
    """What Keras leaves out before and after one axis of the full result; below zero it adds zeros there.

    The full result has ``(size - 1) * stride + reach`` elements, Keras' as many as its shape rule says.
    """
    reach = (window - 1) * dilation + 1
    if padding == "valid":
        total = min(reach - stride, 0) if output_padding is None else -output_padding
    else:
        total = reach - stride if output_padding is None else reach - reach % 2 - output_padding
    before = max(total // 2, 0)
    return before, total - before
