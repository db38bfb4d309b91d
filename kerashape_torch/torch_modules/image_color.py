"""Colors and brightness of (batch, channels, height, width), for each image its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from kerashape_torch.errors import ShapeError
from kerashape_torch.torch_modules.functions_images import hsv_to_rgb, rgb_to_grayscale, rgb_to_hsv
from kerashape_torch.torch_modules.images import Drawn, Draws, Transform, in_a_row, rescaled

BYTES = (0, 255)


def per_image(images: Tensor, draws: Draws, limits: tuple[float, float]) -> Tensor:
    """A number for each image, (batch, 1, 1, 1)."""
    return draws.uniform((images.shape[0], 1, 1, 1), *limits, images.device)


@dataclass
class _Factored(Transform):
    """Base of what is drawn as one number for each image."""

    factor: tuple[float, float]
    value_range: tuple[float, float]

    def draw(self, images: Tensor, draws: Draws) -> Drawn:
        return per_image(images, draws, self.factor)


# ---- brightness ------------------------------------------------------------------------------------------------------


@dataclass
class Brightness(_Factored):
    """Adds a share of the range of values."""

    def images(self, images: Tensor, drawn: Tensor) -> Tensor:
        low, high = self.value_range
        return (images + drawn * (high - low)).clamp(low, high)


@dataclass
class Contrast(_Factored):
    """Stretches the distance from the mean of each channel.

    Args:
        axes: of which the mean is taken.
    """

    axes: tuple[int, int] = (2, 3)

    def draw(self, images: Tensor, draws: Draws) -> Drawn:
        return per_image(images, draws, (1 - self.factor[0], 1 + self.factor[1]))

    def images(self, images: Tensor, drawn: Tensor) -> Tensor:
        mean = images.mean(self.axes, keepdim=True)
        return ((images - mean) * drawn + mean).clamp(*self.value_range)


@dataclass
class Invert(_Factored):
    """The greatest value minus each value, with a chance."""

    def draw(self, images: Tensor, draws: Draws) -> Drawn:
        return draws.happens(images.shape[0], self.factor, images.device)

    def images(self, images: Tensor, drawn: Tensor) -> Tensor:
        return torch.where(drawn, self.value_range[1] - images, images)


@dataclass
class Posterize(_Factored):
    """Keeps some of the 8 bits of each value: from the least number to one below the greatest, as Keras draws them."""

    factor: tuple[int, int]

    def draw(self, images: Tensor, draws: Draws) -> Drawn:
        least, most = self.factor
        return 8 - draws.integers((images.shape[0], 1, 1, 1), least, max(most, least + 1), images.device)

    def images(self, images: Tensor, drawn: Tensor) -> Tensor:
        values = rescaled(images, self.value_range, BYTES).to(torch.uint8)
        dropped = drawn.to(torch.uint8)
        return rescaled(((values >> dropped) << dropped).to(images.dtype), BYTES, self.value_range)


@dataclass
class Solarize(Transform):
    """Adds a number, then turns around what is at or above a threshold; both in the range of a byte."""

    addition: tuple[float, float]
    threshold: tuple[float, float]
    value_range: tuple[float, float]

    def draw(self, images: Tensor, draws: Draws) -> Drawn:
        return [per_image(images, draws, (low, high * 255)) for low, high in (self.addition, self.threshold)]

    def images(self, images: Tensor, drawn: Drawn) -> Tensor:
        addition, threshold = drawn
        values = (rescaled(images, self.value_range, BYTES) + addition).clamp(0, 255)
        return rescaled(torch.where(values < threshold, values, 255 - values), BYTES, self.value_range)


# ---- colors ----------------------------------------------------------------------------------------------------------


def _require_colors(images: Tensor) -> None:
    if images.shape[1] != 3:
        raise ShapeError(f"channels: red, green and blue are needed, got {images.shape[1]}")


def gray(images: Tensor) -> Tensor:
    """One channel of brightness; an image that has one already is that."""
    if images.shape[1] == 1:
        return images
    _require_colors(images)
    return rgb_to_grayscale(images, last=False)


@dataclass
class Grayscale(Transform):
    chance: float

    keeps_integers = True

    def draw(self, images: Tensor, draws: Draws) -> Drawn:
        return per_image(images, draws, (0, 1)) < self.chance

    def images(self, images: Tensor, drawn: Tensor) -> Tensor:
        return torch.where(drawn, gray(images), images)


@dataclass
class Degenerate(_Factored):
    """Between the image and its gray self."""

    def images(self, images: Tensor, drawn: Tensor) -> Tensor:
        return (images + drawn * (gray(images) - images)).clamp(*self.value_range)


def to_hsv(images: Tensor) -> Tensor:
    """Red, green, blue to hue, saturation, value."""
    _require_colors(images)
    return rgb_to_hsv(images, last=False)


@dataclass
class Hue(_Factored):
    """Turns the hue by up to half a circle, to either side."""

    def draw(self, images: Tensor, draws: Draws) -> Drawn:
        side = torch.where(per_image(images, draws, (0, 1)) > 0.5, -1.0, 1.0)
        return side * per_image(images, draws, self.factor) * 0.5

    def images(self, images: Tensor, drawn: Tensor) -> Tensor:
        hue, *others = to_hsv(rescaled(images, self.value_range, (0, 1))).chunk(3, 1)
        hue = hue + drawn.to(hue.dtype)
        hue = torch.where(hue > 1, hue - 1, hue)
        hue = torch.where(hue < 0, hue + 1, hue)
        return rescaled(hsv_to_rgb(torch.cat([hue, *others], 1), last=False).clamp(0, 1), (0, 1), self.value_range)


@dataclass
class Saturation(_Factored):
    """Scales the saturation by ``factor / (1 - factor)``. Keras then limits it to the range of the pixels' values."""

    def draw(self, images: Tensor, draws: Draws) -> Drawn:
        factor = per_image(images, draws, self.factor)
        return factor / (1 - factor + 1e-7)

    def images(self, images: Tensor, drawn: Tensor) -> Tensor:
        hue, saturation, value = to_hsv(images).chunk(3, 1)
        saturation = (saturation * drawn.to(saturation.dtype)).clamp(*self.value_range)
        return hsv_to_rgb(torch.cat([hue, saturation, value], 1), last=False)


@dataclass
class Chain(Transform):
    """Several changes one after the other."""

    steps: Sequence[Transform]

    def draw(self, images: Tensor, draws: Draws) -> Drawn:
        return [step.draw(images, draws) for step in self.steps]

    def images(self, images: Tensor, drawn: Drawn) -> Tensor:
        return in_a_row(zip(self.steps, drawn), images)


# ---- neighbourhoods --------------------------------------------------------------------------------------------------


@dataclass
class Sharpen(_Factored):
    """From a smoothed image at 0 over the image itself at 0.5 to its opposite at 1."""

    def images(self, images: Tensor, drawn: Tensor) -> Tensor:
        kernel = torch.full((images.shape[1], 1, 3, 3), 1 / 13, dtype=images.dtype, device=images.device)
        kernel[:, :, 1, 1] = 5 / 13
        smooth = functional.conv2d(images, kernel, padding=1, groups=images.shape[1])
        return (images + (1 - 2 * drawn) * (smooth - images)).clamp(*self.value_range)


@dataclass
class GaussianBlur(Transform):
    """With a chance for each image, and one pair of deviations for a batch."""

    factor: tuple[float, float]
    kernel_size: tuple[int, int]
    sigma: tuple[float, float]
    value_range: tuple[float, float]

    def draw(self, images: Tensor, draws: Draws) -> Drawn:
        happens = draws.happens(images.shape[0], self.factor, images.device)
        across, down = draws.uniform((2,), *self.sigma, images.device) + 1e-6
        return happens, _bell(self.kernel_size[0], down), _bell(self.kernel_size[1], across)

    def images(self, images: Tensor, drawn: Drawn) -> Tensor:
        happens, down, across = drawn
        kernel = torch.outer(down, across).to(images.dtype).expand(images.shape[1], 1, -1, -1)
        blurred = functional.conv2d(images, kernel, padding="same", groups=images.shape[1])
        return torch.where(happens, blurred, images).clamp(*self.value_range)


def _bell(size: int, sigma: Tensor) -> Tensor:
    weights = torch.exp(-0.5 * ((torch.arange(size, device=sigma.device) - (size - 1) / 2) / sigma) ** 2)
    return weights / weights.sum()


def boxes(images: Tensor, draws: Draws, shares: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """A box for each image, of shares (batch, 1, 1, 1) of the width and the height: a mask of its pixels, and its area
    as a share of the image."""
    inside, area = torch.ones((), dtype=torch.bool, device=images.device), torch.ones((), device=images.device)
    for axis, share in ((3, shares[0]), (2, shares[1])):
        size = images.shape[axis]
        length = share * size
        start = per_image(images, draws, (0, 1)) * (size - length)
        places = torch.arange(size, device=images.device).reshape([-1 if axis == own else 1 for own in range(4)])
        inside = inside & (places >= start) & (places < start + length)
        area = area * length / size
    return inside, area


@dataclass
class Erase(Transform):
    """A box of each image becomes a color or noise, with a chance."""

    factor: tuple[float, float]
    scale: tuple[float, float]
    fill_value: float | tuple[float, ...] | None
    value_range: tuple[float, float]

    def draw(self, images: Tensor, draws: Draws) -> Drawn:
        shares = draws.uniform((images.shape[0], 2, 1, 1), *self.scale, images.device).sqrt()
        inside, _ = boxes(images, draws, (shares[:, :1], shares[:, 1:]))
        inside = inside & draws.happens(images.shape[0], self.factor, images.device)
        if self.fill_value is None:
            color = draws.normal(images.shape, images.device) * self.value_range[1]
        else:
            color = torch.as_tensor(self.fill_value, dtype=torch.float32, device=images.device).reshape(-1, 1, 1)
        return inside, color.clamp(*self.value_range)

    def images(self, images: Tensor, drawn: Drawn) -> Tensor:
        inside, color = drawn
        return torch.where(inside, color.to(images.dtype), images)
