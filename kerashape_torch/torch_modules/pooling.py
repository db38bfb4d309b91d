"""Pooling with Keras' padding ``same``, in torch's own windows.

torch pads both sides alike and never more than half a window; Keras puts the odd element at the end. Three things make
them meet: windows may hang over the end (``ceil_mode``), padding counts neither for a maximum nor for an average, and
where a window of even size moves by 1, torch pads one more at the front and the first place is dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from kerashape_torch.shape import Size, same_padding

STOCK: dict[str, tuple[Any, ...]] = {
    "max": (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d),
    "average": (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d),
}


class _Same(nn.Module):
    """What stock modules cannot say: a front padding that depends on the tensor's size (None in ``padding``), and a
    first place to drop."""

    pool: ClassVar[Callable[..., Tensor]]
    kernel_size: Any
    stride: Any
    padding: Any

    def windows(self, x: Tensor, **options: Any) -> Tensor:
        kernel, stride = self.kernel_size, self.stride
        padding = tuple(same_padding(x.shape[2 + i], kernel[i], stride[i])[0] if known is None else known
                        for i, known in enumerate(self.padding))
        places = type(self).pool(x, kernel, stride, padding, ceil_mode=True, **options)
        for i, size in enumerate(kernel):
            if _drops_first(size, stride[i]):
                places = places.narrow(2 + i, 1, places.shape[2 + i] - 1)
        return places


class _SameMax(_Same):
    def forward(self, x: Tensor) -> Tensor:
        return self.windows(x)


class _SameAverage(_Same):
    def forward(self, x: Tensor) -> Tensor:
        return self.windows(x, count_include_pad=False)


class SameMaxPool1d(_SameMax, nn.MaxPool1d):
    pool = F.max_pool1d


class SameMaxPool2d(_SameMax, nn.MaxPool2d):
    pool = F.max_pool2d


class SameMaxPool3d(_SameMax, nn.MaxPool3d):
    pool = F.max_pool3d


class SameAvgPool1d(_SameAverage, nn.AvgPool1d):
    pool = F.avg_pool1d


class SameAvgPool2d(_SameAverage, nn.AvgPool2d):
    pool = F.avg_pool2d


def _avg_pool3d(x: Tensor, kernel: tuple[int, ...], stride: tuple[int, ...], padding: tuple[int, ...],
                **options: Any) -> Tensor:
    """torch refuses to average a volume (not an image) smaller than the window: averages of averages do the same."""
    if all(size >= window for size, window in zip(x.shape[2:], kernel)):
        return F.avg_pool3d(x, kernel, stride, padding, **options)
    images = F.avg_pool2d(x.flatten(1, 2), kernel[1:], stride[1:], padding[1:], **options)
    columns = images.reshape(*x.shape[:3], -1)
    columns = F.avg_pool2d(columns, (kernel[0], 1), (stride[0], 1), (padding[0], 0), **options)
    return columns.reshape(*columns.shape[:3], *images.shape[2:])


class SameAvgPool3d(_SameAverage, nn.AvgPool3d):
    pool = _avg_pool3d


_SAME: dict[str, tuple[Any, ...]] = {
    "max": (SameMaxPool1d, SameMaxPool2d, SameMaxPool3d),
    "average": (SameAvgPool1d, SameAvgPool2d, SameAvgPool3d),
}


def valid_pool(kind: str, window: tuple[int, ...], stride: tuple[int, ...]) -> nn.Module:
    """Pooling without padding."""
    module: nn.Module = STOCK[kind][len(window) - 1](tidy(window), tidy(stride))
    return module


def same_pool(kind: str, sizes: Sequence[Size], window: tuple[int, ...], stride: tuple[int, ...]) -> nn.Module:
    """Pooling that gives ``ceil(size / stride)`` places: stock wherever that says exactly what Keras does.

    >>> same_pool("max", (112, 112), (3, 3), (2, 2))
    MaxPool2d(kernel_size=3, stride=2, padding=0, dilation=1, ceil_mode=True)
    >>> same_pool("average", (None, None), (3, 3), (1, 1))
    AvgPool2d(kernel_size=3, stride=1, padding=1)
    """
    rank = len(window)
    fronts = tuple(_front(*axis) for axis in zip(sizes, window, stride))
    small_volume = kind == "average" and rank == 3 and any(n is None or n < k for n, k in zip(sizes, window))
    if None in fronts or small_volume or any(_drops_first(*axis) for axis in zip(window, stride)):
        module: nn.Module = _SAME[kind][rank - 1](window, stride, fronts)
        return module
    options: dict[str, Any] = {"padding": tidy(fronts)} if any(fronts) else {}
    if any(_hangs_over(*axis) for axis in zip(sizes, window, stride)):
        options["ceil_mode"] = True
    if kind == "average" and options:
        options["count_include_pad"] = False
    stock: nn.Module = STOCK[kind][rank - 1](tidy(window), tidy(stride), **options)
    return stock


def _drops_first(window: int, stride: int) -> bool:
    return stride == 1 and window % 2 == 0


def _front(size: Size, window: int, stride: int) -> int | None:
    """What torch pads in front; None where that depends on a size that is not known."""
    if stride == 1:
        return window // 2
    fronts = {same_padding(n, window, stride)[0] for n in _examples(size, stride)}
    return fronts.pop() if len(fronts) == 1 else None


def _hangs_over(size: Size, window: int, stride: int) -> bool:
    """Whether the last window may reach further over the end than the first one over the front."""
    pads = (same_padding(n, window, stride) for n in _examples(size, stride))
    return any(before != after for before, after in pads)


def _examples(size: Size, stride: int) -> Sequence[int]:
    """The padding depends on a size only by its remainder."""
    return (size,) if size is not None else range(1, stride + 1)


def tidy(numbers: tuple[Size, ...]) -> Any:
    """One number where all are alike, as people write it.

    >>> tidy((2, 2)), tidy((1, 2))
    (2, (1, 2))
    """
    return numbers[0] if len(set(numbers)) == 1 else numbers
