"""Windows with other weights at each place, which torch lacks; channels first."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kerashape_torch.shape import count


class LocallyConnected(nn.Module):
    """A kernel for each place: ``weight`` is (places, window, channels, filters).

    Args:
        sizes: of the spatial axes of the input.
        places: along each of them, how many windows there are.
        before: how many elements are padded in front.
        filters_last: in which order a flat kernel counts; see :class:`SparselyStored`.
    """

    def __init__(self, channels: int, filters: int, sizes: Sequence[int], places: Sequence[int], window: Sequence[int],
                 stride: Sequence[int], before: Sequence[int], bias: bool = True, filters_last: bool = True) -> None:
        super().__init__()
        self.channels, self.filters, self.filters_last = channels, filters, filters_last
        self.sizes, self.window, self.stride = tuple(sizes), tuple(window), tuple(stride)
        self.before, self.places = tuple(before), tuple(places)
        self.pads: list[int] = []  # the last axis first, as torch wants them
        for size, reach, step, front, many in zip(*map(reversed, (
                self.sizes, self.window, self.stride, self.before, self.places))):
            self.pads += [front, max((many - 1) * step + reach - front - size, 0)]
        self.weight = nn.Parameter(torch.empty(self.weight_shape()))
        self.bias = nn.Parameter(torch.empty(filters, count(self.places))) if bias else None

    def weight_shape(self) -> tuple[int, ...]:
        return count(self.places), count(self.window), self.channels, self.filters

    def windows(self) -> list[list[range]]:
        """For each spatial axis the elements that each place sees; fewer at the ends if the input is padded."""
        return [[range(max(start, 0), min(start + reach, size)) for start in range(-front, -front + many * step, step)]
                for size, many, reach, step, front in zip(self.sizes, self.places, self.window, self.stride,
                                                          self.before)]

    def kernel(self) -> Tensor:
        """(places, window, channels, filters)"""
        return self.weight

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, self.pads) if any(self.pads) else x  # torch would copy it
        for axis, (window, stride) in enumerate(zip(self.window, self.stride), start=2):
            x = x.unfold(axis, window, stride)
        rank = len(self.window)
        x = x.flatten(2, 1 + rank).flatten(3)
        return self.finished(torch.einsum("bcok,okcf->bfo", x, self.kernel()))

    def finished(self, output: Tensor) -> Tensor:
        """The bias added, and the places as spatial axes."""
        output = output if self.bias is None else output + self.bias
        return output.reshape(*output.shape[:2], *self.places)

    def extra_repr(self) -> str:
        return f"{self.channels}, {self.filters}, window={self.window}, stride={self.stride}, places={self.places}"


class SparselyStored(LocallyConnected):
    """The weights of real connections alone, in one axis: ordered by place and filter, then by element and channel; or,
    with ``filters_last=False``, by filter and place, then by channel and element."""

    connected: Tensor

    def weight_shape(self) -> tuple[int, ...]:
        axes = []
        for places, window, stride, before in zip(self.windows(), self.window, self.stride, self.before):
            starts = (place * stride - before for place in range(len(places)))
            axes.append(_seen(places, [range(start, start + window) for start in starts]))
        connected = functools.reduce(torch.kron, axes).bool()
        self.register_buffer("connected", connected, persistent=False)
        return (int(connected.sum()) * self.channels * self.filters,)

    def kernel(self) -> Tensor:
        places, window = self.connected.shape
        if self.filters_last:
            mask = self.connected[:, None, :, None].expand(places, self.filters, window, self.channels)
            order = (0, 2, 3, 1)
        else:
            mask = self.connected[None, :, None, :].expand(self.filters, places, self.channels, window)
            order = (1, 3, 2, 0)
        return self.weight.new_zeros(mask.shape).masked_scatter(mask, self.weight).permute(order)


class DenselyStored(LocallyConnected):
    """A weight from each input element to each output element, (filters, places, channels, elements), of which only
    those inside a window are used."""

    connected: Tensor

    def weight_shape(self) -> tuple[int, ...]:
        axes = [_seen(places, [range(size)] * len(places)) for places, size in zip(self.windows(), self.sizes)]
        self.register_buffer("connected", functools.reduce(torch.kron, axes).bool(), persistent=False)
        return self.filters, count(self.places), self.channels, count(self.sizes)

    def forward(self, x: Tensor) -> Tensor:
        kernel = self.weight * self.connected.unsqueeze(1)
        return self.finished(torch.einsum("bci,foci->bfo", x.flatten(2), kernel))


def _seen(seen: Sequence[range], candidates: Sequence[range]) -> Tensor:
    """For each place which of some elements it sees, as 0 and 1."""
    rows = [[int(element in own) for element in row] for own, row in zip(seen, candidates)]
    return torch.tensor(rows, dtype=torch.uint8, device="cpu")

