"""Sizes of images: resizing by Keras' kernels, and crops."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from kerashape_torch.torch_modules.functions_images import (
    crop_to_aspect,
    cubic,
    in_dtype,
    interpolated,
    pad_to_aspect,
    window_of_aspect,
)
from kerashape_torch.torch_modules.images import Drawn, Draws, Transform

# ---- resizing --------------------------------------------------------------------------------------------------------


def resize(images: Tensor, size: tuple[int, int], interpolation: str = "bilinear", antialias: bool = False) -> Tensor:
    """(batch, channels, height, width) at another size. Integers are rounded and stay integers.

    ``bicubic`` and Lanczos' kernels are TensorFlow's; torch has another ``bicubic``, and no Lanczos.
    """
    values = images if images.dtype in (torch.float32, torch.float64) else images.float()
    if interpolation == "nearest":
        resized = functional.interpolate(values, size, mode="nearest-exact")
    elif interpolation == "bilinear":
        resized = interpolated(values, "bilinear", antialias, size=size)
    else:
        down = resizing_weights(images.shape[2], size[0], interpolation, antialias, images.device).to(values.dtype)
        across = resizing_weights(images.shape[3], size[1], interpolation, antialias, images.device).to(values.dtype)
        resized = torch.einsum("oh,bchw,pw->bcop", down, values, across)
    return in_dtype(resized, images.dtype)


def resizing_weights(size: int, new_size: int, kernel: str, antialias: bool, device: torch.device) -> Tensor:
    """How much each place of an axis counts for each new one, (new, old): places outside are left out, and the weights
    of the others are scaled to a sum of 1."""
    step = size / new_size
    stretch = max(step, 1.0) if antialias else 1.0
    places = torch.arange(size, device=device, dtype=torch.float32)
    centers = (torch.arange(new_size, device=device, dtype=torch.float32) + 0.5) * step - 0.5
    if kernel == "bicubic" and not antialias:  # TensorFlow looks this kernel up in a table of 1024 steps
        centers = centers.floor() + ((centers - centers.floor()) * 1024).round() / 1024
    distance = (centers[:, None] - places).abs() / stretch
    weights = cubic(distance) if kernel == "bicubic" else _lanczos(distance, int(kernel[-1]))
    return weights / weights.sum(1, keepdim=True)


def _lanczos(x: Tensor, radius: int) -> Tensor:
    return torch.sinc(x) * torch.sinc(x / radius) * (x < radius)


@dataclass
class Resize(Transform):
    size: tuple[int, int]
    interpolation: str
    aspect: str | None
    fill_value: float
    antialias: bool

    acts_always = True
    keeps_integers = True

    def images(self, images: Tensor, drawn: Drawn) -> Tensor:
        return self._resized(images, self.interpolation)

    def masks(self, masks: Tensor, drawn: Drawn) -> Tensor:
        return self._resized(masks, "nearest")

    def _resized(self, images: Tensor, interpolation: str) -> Tensor:
        if self.aspect == "crop":
            images = crop_to_aspect(images, self.size)
        elif self.aspect == "pad":
            images = pad_to_aspect(images, self.size, self.fill_value)
        return resize(images, self.size, interpolation, self.antialias)


# ---- crops -----------------------------------------------------------------------------------------------------------


@dataclass
class CenterCrop(Transform):
    size: tuple[int, int]

    acts_always = True

    def images(self, images: Tensor, drawn: Drawn) -> Tensor:
        over = images.shape[2] - self.size[0], images.shape[3] - self.size[1]
        if min(over) < 0:
            return resize(crop_to_aspect(images, self.size), self.size)
        top, left = over[0] // 2, over[1] // 2
        return images[:, :, top:top + self.size[0], left:left + self.size[1]]

    def masks(self, masks: Tensor, drawn: Drawn) -> Tensor:
        return self.images(masks, drawn)


@dataclass
class RandomCrop(Transform):
    size: tuple[int, int]

    def draw(self, images: Tensor, draws: Draws) -> Drawn:
        over = images.shape[2] - self.size[0], images.shape[3] - self.size[1]
        if min(over) <= 0:
            return None
        return [draws.integers((1,), 0, most + 1, images.device) for most in over]

    def images(self, images: Tensor, drawn: Drawn) -> Tensor:
        if drawn is None:  # no room to choose in: Keras takes what there is from a corner on, and resizes it
            top, left, *_ = window_of_aspect(images.shape[2], images.shape[3], self.size)
            found = images[:, :, top:top + self.size[0], left:left + self.size[1]]
            return found if tuple(found.shape[2:]) == self.size else resize(found, self.size)
        for axis, (start, size) in enumerate(zip(drawn, self.size), start=2):
            images = images.index_select(axis, start + torch.arange(size, device=images.device))
        return images

    def masks(self, masks: Tensor, drawn: Drawn) -> Tensor:
        return self.images(masks, drawn)
