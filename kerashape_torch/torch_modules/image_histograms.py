"""Contrast by the values that there are: stretched, or spread by their histogram."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from kerashape_torch.torch_modules.image_color import BYTES
from kerashape_torch.torch_modules.images import Drawn, Transform, rescaled


@dataclass
class AutoContrast(Transform):
    """The least value of each image becomes the least of all, and the greatest the greatest.

    Args:
        axes: along which least and greatest are taken.
    """

    value_range: tuple[float, float]
    axes: tuple[int, int]

    acts_always = True

    def images(self, images: Tensor, drawn: Drawn) -> Tensor:
        values = rescaled(images, self.value_range, BYTES)
        low, high = values.amin(self.axes, keepdim=True), values.amax(self.axes, keepdim=True)
        scale = 255.0 / (high - low)
        stretched = rescaled((values * scale - low * scale).clamp(0, 255), BYTES, self.value_range)
        return torch.where(stretched.isnan(), images, stretched)  # where all values are one


@dataclass
class Equalize(Transform):
    """Spreads the values of each channel so that all are as frequent. As in Keras the images of a batch share a
    histogram."""

    value_range: tuple[float, float]
    bins: int

    keeps_integers = True

    def images(self, images: Tensor, drawn: Drawn) -> Tensor:
        values = images if images.is_floating_point() else images.float()
        values = _linear(values, self.value_range, BYTES)
        channels = values.transpose(0, 1).flatten(1)
        places = (channels.float() * (self.bins - 1) / 255).int().clamp(0, self.bins - 1).long()
        counts = torch.zeros(len(channels), self.bins, dtype=torch.long, device=images.device)
        counts = counts.scatter_add(1, places, torch.ones_like(places))
        below = counts.cumsum(1)
        least = torch.where(below > 0, below, below[:, -1:]).amin(1, keepdim=True)
        table = ((below - least) * 255 / (below[:, -1:] - least).clamp(min=1)).round().clamp(0, 255)
        new = table.gather(1, (channels / 255 * (self.bins - 1)).clamp(0, self.bins - 1).long())
        new = torch.where((counts > 0).sum(1, keepdim=True) <= 1, channels, new)
        new = new.reshape(-1, values.shape[0], *values.shape[2:]).transpose(0, 1)
        new = _linear(new, BYTES, self.value_range)
        return new if images.is_floating_point() else new.round()


def _linear(values: Tensor, source: tuple[float, float], target: tuple[float, float]) -> Tensor:
    """One factor and one addend, where :func:`rescaled` goes over 0 to 1."""
    scale = (target[1] - target[0]) / (source[1] - source[0])
    return values * scale + (target[0] - source[0] * scale)


@dataclass
class LocalEqualize(Transform):
    """Spreads the values of each tile by its own histogram, cut off at a limit, and blends between the tiles."""

    value_range: tuple[float, float]
    clip_limit: float
    tiles: tuple[int, int]

    acts_always = True
    keeps_integers = True

    def images(self, images: Tensor, drawn: Drawn) -> Tensor:
        values = rescaled(images, self.value_range, BYTES).float()
        height, width = values.shape[2:]
        rows, columns = -(-height // self.tiles[0]), -(-width // self.tiles[1])
        extra = (0, columns * self.tiles[1] - width, 0, rows * self.tiles[0] - height)
        values = functional.pad(values, extra, mode="replicate") if any(extra) else values
        pixels = values.int().clamp(0, 255).long()
        tables = self._tables(pixels, rows, columns)
        result = self._blended(tables, pixels, rows, columns)[:, :, :height, :width]
        return rescaled(result, BYTES, self.value_range).to(images.dtype)

    def _tables(self, pixels: Tensor, rows: int, columns: int) -> Tensor:
        """The new value of each of the 256 in each tile, (batch, channels, tiles, tiles, 256)."""
        tiled = pixels.reshape(*pixels.shape[:2], self.tiles[0], rows, self.tiles[1], columns)
        tiled = tiled.transpose(3, 4).flatten(4)
        counts = torch.zeros(*tiled.shape[:4], 256, device=pixels.device)
        counts = counts.scatter_add(4, tiled, torch.ones_like(tiled, dtype=counts.dtype))
        if self.clip_limit > 0:
            limit = int(self.clip_limit * (rows * columns) / 256)  # Keras counts in integers on torch
            clipped = counts.clamp(0, limit)
            counts = clipped + (counts - clipped).sum(4, keepdim=True) / 256
        below = counts.cumsum(4)
        least = below.amin(4, keepdim=True)
        total = rows * columns - least
        return ((below - least) * 255 / torch.where(total == 0, 1.0, total)).clamp(0, 255)

    def _blended(self, tables: Tensor, pixels: Tensor, rows: int, columns: int) -> Tensor:
        """Between the tables of the four tiles whose middles are nearest."""
        (top, bottom, down), (left, right, across) = (
            self._neighbours(count, size, tables) for count, size in zip(self.tiles, (rows, columns)))
        flat = tables.flatten(2)

        def looked_up(row: Tensor, column: Tensor) -> Tensor:
            places = (row[:, None] * self.tiles[1] + column) * 256 + pixels
            return flat.gather(2, places.flatten(2)).reshape(pixels.shape)

        above = looked_up(top, left) * (1 - across) + looked_up(top, right) * across
        under = looked_up(bottom, left) * (1 - across) + looked_up(bottom, right) * across
        return above * (1 - down[:, None]) + under * down[:, None]

    @staticmethod
    def _neighbours(count: int, size: int, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """For each pixel along an axis the tiles before and after it, and how far it is on the way."""
        place = (torch.arange(count * size, device=like.device) - size / 2) / size
        first = place.floor()
        return first.long().clamp(0, count - 1), (first + 1).long().clamp(0, count - 1), place - first
