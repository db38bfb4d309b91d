"""Pixels that move: flips, affine and perspective maps, elastic distortions; all images of a batch at once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from kerashape_torch.torch_modules.functions_images import perspective_equations, sampled
from kerashape_torch.torch_modules.images import Drawn, Draws, Transform

# ---- sampling --------------------------------------------------------------------------------------------------------


def sample(images: Tensor, y: Tensor, x: Tensor, interpolation: str, fill_mode: str, fill_value: float) -> Tensor:
    """The values of (batch, channels, height, width) at the places (batch, rows, columns) given by y and x.

    Outside, the image goes on as ``fill_mode`` says; with ``constant`` each of the four neighbours counts for itself.
    Integers are rounded and stay integers.
    """
    return sampled(images, y, x, int(interpolation != "nearest"), fill_mode, _as(fill_value, images))


def _as(value: float, images: Tensor) -> Any:
    return value if images.is_floating_point() else int(value)


def grid(images: Tensor) -> tuple[Tensor, Tensor]:
    """The rows and columns of the pixels, (height, 1) and (1, width)."""
    height, width = images.shape[2:]
    rows = torch.arange(height, device=images.device, dtype=torch.float32)
    return rows[:, None], torch.arange(width, device=images.device, dtype=torch.float32)[None]


def affine(images: Tensor, matrix: list[Tensor], interpolation: str, fill_mode: str, fill_value: float) -> Tensor:
    """Each new pixel (x, y) is the old one at (a0 x + a1 y + a2, b0 x + b1 y + b2); the six numbers are (batch, 1, 1).
    """
    a0, a1, a2, b0, b1, b2 = matrix
    y, x = grid(images)
    return sample(images, b0 * x + b1 * y + b2, a0 * x + a1 * y + a2, interpolation, fill_mode, fill_value)


@dataclass
class _Moved(Transform):
    """Base of what moves pixels by an affine map, which :meth:`draw` gives."""

    fill_mode: str
    interpolation: str
    fill_value: float

    def images(self, images: Tensor, drawn: Drawn) -> Tensor:
        return affine(images, drawn, self.interpolation, self.fill_mode, self.fill_value)

    def masks(self, masks: Tensor, drawn: Drawn) -> Tensor:
        return affine(masks, drawn, "nearest", self.fill_mode, self.fill_value)


def _each(images: Tensor, draws: Draws, limits: tuple[float, float]) -> Tensor:
    return draws.uniform((images.shape[0], 1, 1), *limits, images.device)


# ---- affine maps -----------------------------------------------------------------------------------------------------


@dataclass
class Rotation(_Moved):
    """Around the middle, by a share of a full turn."""

    factor: tuple[float, float]

    def draw(self, images: Tensor, draws: Draws) -> Drawn:
        degrees = _each(images, draws, (self.factor[0] * 360.0, self.factor[1] * 360.0))
        angle = degrees * (math.pi / 180.0)
        cos, sin = angle.cos(), angle.sin()
        x, y = 0.5 * (images.shape[3] - 1), 0.5 * (images.shape[2] - 1)
        return [cos, -sin, x - x * cos + y * sin, sin, cos, y - x * sin - y * cos]


@dataclass
class Translation(_Moved):
    """By a share of the height, down, and of the width, to the right."""

    height_factor: tuple[float, float]
    width_factor: tuple[float, float]

    def draw(self, images: Tensor, draws: Draws) -> Drawn:
        down = _each(images, draws, self.height_factor) * images.shape[2]
        right = _each(images, draws, self.width_factor) * images.shape[3]
        one = torch.ones_like(down)
        return [one, 0 * one, -right, 0 * one, one, -down]


@dataclass
class Zoom(_Moved):
    """Around the middle; ``width_factor=None`` zooms both directions alike."""

    height_factor: tuple[float, float]
    width_factor: tuple[float, float] | None

    def draw(self, images: Tensor, draws: Draws) -> Drawn:
        tall = 1 + _each(images, draws, self.height_factor)
        wide = tall if self.width_factor is None else 1 + _each(images, draws, self.width_factor)
        zero = torch.zeros_like(tall)
        return [wide, zero, (images.shape[3] - 1) / 2 * (1 - wide), zero, tall, (images.shape[2] - 1) / 2 * (1 - tall)]


@dataclass
class Shear(_Moved):
    """Seen from the first pixel, both directions to the same side."""

    x_factor: tuple[float, float]
    y_factor: tuple[float, float]

    def draw(self, images: Tensor, draws: Draws) -> Drawn:
        side = torch.where(_each(images, draws, (0, 1)) > 0.5, -1.0, 1.0)
        y = _each(images, draws, self.y_factor) * side
        x = _each(images, draws, self.x_factor) * side
        one = torch.ones_like(x)
        return [one, x, 0 * one, y, one, 0 * one]


# ---- others ----------------------------------------------------------------------------------------------------------


@dataclass
class Flip(Transform):
    """Keras tosses one coin for each image: it is flipped in all directions of the mode, or in none."""

    axes: tuple[int, ...]

    def draw(self, images: Tensor, draws: Draws) -> Drawn:
        return draws.uniform((images.shape[0], 1, 1, 1), 0, 1, images.device) <= 0.5

    def images(self, images: Tensor, drawn: Drawn) -> Tensor:
        return torch.where(drawn, images.flip(self.axes), images) if self.axes else images

    def masks(self, masks: Tensor, drawn: Drawn) -> Tensor:
        return self.images(masks, drawn)


@dataclass
class Perspective(Transform):
    """Each corner moves towards or away from the first pixel, by a share of its distance."""

    factor: tuple[float, float]
    scale: float
    interpolation: str
    fill_value: float

    def draw(self, images: Tensor, draws: Draws) -> Drawn:
        count, device = images.shape[0], images.device
        happens = draws.happens(count, self.factor, device)
        right, bottom = images.shape[3] - 1.0, images.shape[2] - 1.0
        corners = torch.tensor([[0.0, 0.0], [right, 0.0], [0.0, bottom], [right, bottom]], device=device)
        moved = corners * (1 + draws.uniform((count, 4, 2), -0.5 * self.scale, 0.5 * self.scale, device))
        return happens, homography(moved, corners.expand(count, 4, 2))

    def images(self, images: Tensor, drawn: Drawn) -> Tensor:
        return self._seen(images, drawn, self.interpolation)

    def masks(self, masks: Tensor, drawn: Drawn) -> Tensor:
        return self._seen(masks, drawn, "nearest")

    def _seen(self, images: Tensor, drawn: Drawn, interpolation: str) -> Tensor:
        happens, (a0, a1, a2, b0, b1, b2, c0, c1) = drawn
        y, x = grid(images)
        depth = c0 * x + c1 * y + 1
        rows, columns = (b0 * x + b1 * y + b2) / depth, (a0 * x + a1 * y + a2) / depth
        return torch.where(happens, sample(images, rows, columns, interpolation, "constant", self.fill_value), images)


def homography(source: Tensor, target: Tensor) -> list[Tensor]:
    """The eight numbers, (batch, 1, 1) each, of the perspective map that takes four points (batch, 4, 2) to others."""
    solved = torch.linalg.solve(*perspective_equations(source, target))
    return list(solved[:, :, None, None].unbind(1))


@dataclass
class Elastic(Transform):
    """Every pixel moves by noise that is smooth at the scale of the distortion, which a batch shares."""

    factor: tuple[float, float]
    scale: tuple[float, float]
    interpolation: str
    fill_mode: str
    fill_value: float
    value_range: tuple[float, float]

    def draw(self, images: Tensor, draws: Draws) -> Drawn:
        if self.scale[1] == 0 or self.factor[1] == 0:
            return None
        count, _, height, width = images.shape
        happens = draws.happens(count, self.factor, images.device)
        scale = draws.uniform((1,), *self.scale, images.device)
        reach, sigma = 0.1 * max(height, width) * scale, 0.05 * min(height, width) * scale
        largest = 0.05 * min(height, width) * self.scale[1]
        noise = draws.normal((2 * count, 1, height, width), images.device) * sigma
        y, x = grid(images)
        right, down = (reach * blur(noise, sigma, int(6 * largest) | 1)).squeeze(1).chunk(2)
        return happens, y + down, x + right

    def images(self, images: Tensor, drawn: Drawn) -> Tensor:
        changed = self._distorted(images, drawn, self.interpolation)
        return changed if drawn is None else changed.clamp(*self.value_range)

    def masks(self, masks: Tensor, drawn: Drawn) -> Tensor:
        return self._distorted(masks, drawn, "nearest")

    def _distorted(self, images: Tensor, drawn: Drawn, interpolation: str) -> Tensor:
        if drawn is None:
            return images
        happens, y, x = drawn
        return torch.where(happens, sample(images, y, x, interpolation, self.fill_mode, self.fill_value), images)


def blur(images: Tensor, sigma: Tensor, largest: int) -> Tensor:
    """Gaussian blur of one channel with zeros around it. The window is the odd number at 6 sigma, at most ``largest``:
    sigma is a tensor, and a size that depends on it would wait for the device."""
    away = torch.arange(largest, device=images.device) - largest // 2
    window = (6 * sigma).long() | 1
    weights = torch.exp(-0.5 * (away / sigma.clamp(min=1e-12)) ** 2) * (away.abs() <= window // 2)
    weights = weights / weights.sum()
    rows = functional.conv2d(images, weights[None, None, :, None], padding=(largest // 2, 0))
    return functional.conv2d(rows, weights[None, None, None, :], padding=(0, largest // 2))
