"""Functions that torch lacks, for ops of images. Inside they work on (batch, channels, height, width)."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from kerashape_torch.shape import same_padding

Given = tuple[int | None, int | None, int | None]


def _on_batches(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A function of (batch, channels, height, width) for images in Keras' order, one or many."""

    @functools.wraps(function)
    def adapted(images: Tensor, *args: Any, last: bool, **options: Any) -> Tensor:
        batch = images if images.dim() == 4 else images.unsqueeze(0)
        result = function(batch.movedim(-1, 1) if last else batch, *args, **options)
        result = result.movedim(1, -1) if last else result
        return result if images.dim() == 4 else result.squeeze(0)

    return adapted


# ---- colours ---------------------------------------------------------------------------------------------------------


@_on_batches
def rgb_to_grayscale(x: Tensor) -> Tensor:
    """Shades of gray by how bright each colour seems."""
    if x.shape[1] == 1:
        return x.clone()
    red, green, blue = x.unbind(1)
    return (0.2989 * red + 0.587 * green + 0.114 * blue).to(x.dtype).unsqueeze(1)


@_on_batches
def rgb_to_hsv(x: Tensor) -> Tensor:
    """Hue, saturation and value, each between 0 and 1."""
    x = torch.where(x.abs() < torch.finfo(x.dtype).eps, 0.0, x)
    red, green, blue = x.unbind(1)
    value, least = x.amax(1), x.amin(1)
    spread = value - least
    saturation = torch.where(value > 0, spread / torch.where(value > 0, value, 1.0), 0.0)
    sixth = 1 / (6 * torch.where(spread > 0, spread, 1.0))
    hue = torch.where(value == green, sixth * (blue - red) + 2 / 6, sixth * (red - green) + 4 / 6)
    hue = torch.where(value == red, sixth * (green - blue), hue)
    hue = torch.where(spread > 0, hue, 0.0) + (hue < 0).to(x.dtype)
    return torch.stack((hue, saturation, value), 1)


@_on_batches
def hsv_to_rgb(x: Tensor) -> Tensor:
    """Red, green and blue of hue, saturation and value."""
    hue, saturation, value = x.unbind(1)
    sixths = torch.remainder(hue, 1.0) * 6
    shares = ((sixths - 3).abs() - 1, 2 - (sixths - 2).abs(), 2 - (sixths - 4).abs())
    return torch.stack([value * (1 - saturation + saturation * share.clamp(0, 1)) for share in shares], 1)


# ---- sizes -----------------------------------------------------------------------------------------------------------


@_on_batches
def resize(x: Tensor, size: tuple[int, int], interpolation: str, antialias: bool, crop: bool, pad: bool,
           fill_value: float) -> Tensor:
    """Another size; cropped or padded first, if the picture is not to be stretched."""
    wide = x if x.dtype in (torch.float32, torch.float64) else x.to(torch.float32)
    if crop:
        wide = crop_to_aspect(wide, size)
    elif pad:
        wide = pad_to_aspect(wide, size, fill_value)
    if interpolation.startswith("lanczos"):
        found = wide
        for axis in (2, 3):
            found = _stretched(found, axis, size[axis - 2], size[axis - 2] / wide.shape[axis], 0.0, interpolation,
                               antialias)
    else:
        smooth = interpolation != "nearest"
        found = (interpolated(wide, interpolation, antialias, size=size) if smooth else
                 F.interpolate(wide, size, mode="nearest-exact"))
    return in_dtype(found, x.dtype)


def interpolated(x: Tensor, mode: str, antialias: bool, **sizes: Any) -> Tensor:
    """``F.interpolate`` by a smooth kernel. Where the channels lie last in memory, torch 2.13 on a CPU computes an only
    column wrong with antialias, so then they are put first."""
    x = x.contiguous() if antialias else x
    return F.interpolate(x, mode=mode, align_corners=False, antialias=antialias, **sizes)


def window_of_aspect(height: int, width: int, target: tuple[int, int]) -> tuple[int, int, int, int]:
    """The largest window of another aspect ratio in the middle of an image: top, left, height, width.

    >>> window_of_aspect(8, 10, (6, 6))
    (0, 1, 8, 8)
    """
    window_height = max(min(height, int(width * target[0] / target[1])), 1)
    window_width = max(min(width, int(height * target[1] / target[0])), 1)
    return (height - window_height) // 2, (width - window_width) // 2, window_height, window_width


def crop_to_aspect(images: Tensor, target: tuple[int, int]) -> Tensor:
    top, left, height, width = window_of_aspect(images.shape[2], images.shape[3], target)
    return images[:, :, top:top + height, left:left + width]


def pad_to_aspect(images: Tensor, target: tuple[int, int], value: float) -> Tensor:
    """As much on both sides: where the number is odd, Keras pads one less."""
    height, width = images.shape[2:]
    above = (max(height, int(width * target[0] / target[1])) - height) // 2
    beside = (max(width, int(height * target[1] / target[0])) - width) // 2
    return F.pad(images, (beside, beside, above, above), value=value)


def in_dtype(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Rounded and held within an integer dtype."""
    if dtype.is_floating_point or dtype is torch.bool:
        return x.to(dtype)
    ends = torch.iinfo(dtype)
    return x.round().clamp(ends.min, ends.max).to(dtype)


def _sides(size: int, given: Given, sign: int) -> tuple[int, int]:
    before, after, target = given
    if target is not None:
        rest = sign * (target - size)
        before = rest - (after or 0) if before is None else before
        after = rest - before if after is None else after
    return before or 0, after or 0


@_on_batches
def pad_images(x: Tensor, height: Given, width: Given) -> Tensor:
    """Zeros around each image; of (before, after, target) one is None."""
    return F.pad(x, (*_sides(x.shape[3], width, 1), *_sides(x.shape[2], height, 1)))


@_on_batches
def crop_images(x: Tensor, height: Given, width: Given) -> Tensor:
    """Images without borders; of (before, after, target) one is None."""
    (top, bottom), (left, right) = _sides(x.shape[2], height, -1), _sides(x.shape[3], width, -1)
    return x[:, :, top:x.shape[2] - bottom, left:x.shape[3] - right]


def extract_patches(x: Tensor, window: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...],
                    padding: str, last: bool) -> Tensor:
    """The elements of each place of a window, channels fastest, as channels."""
    rank = len(window)
    batch = x if x.dim() == rank + 2 else x.unsqueeze(0)
    batch = batch.movedim(-1, 1) if last else batch
    if padding == "same":
        sides = [same_padding(*axis) for axis in zip(batch.shape[2:], window, stride, dilation)]
        batch = F.pad(batch, [side for pair in reversed(sides) for side in pair])
    for axis, (size, step, gap) in enumerate(zip(window, stride, dilation), start=2):
        batch = batch.unfold(axis, (size - 1) * gap + 1, step)[..., ::gap]
    places, inside = range(2, 2 + rank), range(2 + rank, 2 + 2 * rank)
    patches = batch.permute(0, *places, *inside, 1).flatten(1 + rank)
    patches = patches if last else patches.movedim(-1, 1)
    return patches if x.dim() == rank + 2 else patches.squeeze(0)


# ---- places ----------------------------------------------------------------------------------------------------------


def _mirrored(index: Tensor, size: int) -> Tensor:
    period = max(2 * (size - 1), 1)
    return ((index + size - 1) % period - (size - 1)).abs()


def _inside(index: Tensor, size: int, fill_mode: str) -> Tensor:
    """Indices of elements that are there, for those outside."""
    if fill_mode == "wrap":
        return index % size
    if fill_mode == "mirror":
        return _mirrored(index, size)
    if fill_mode == "reflect":
        return torch.div(_mirrored(2 * index + 1, 2 * size + 1) - 1, 2, rounding_mode="floor")
    return index.clamp(0, size - 1)


def _neighbours(coordinate: Tensor, size: int, order: int, fill_mode: str) -> list[tuple[Tensor, Any, Any]]:
    """The elements on both sides of a coordinate, or the nearest one: index, whether it is there, weight."""
    if order:
        lower = torch.floor(coordinate)
        share = coordinate - lower
        nodes: list[tuple[Tensor, Any]] = [(lower.long(), 1 - share), (lower.long() + 1, share)]
    else:
        nodes = [((torch.round(coordinate) if coordinate.is_floating_point() else coordinate).long(), 1)]
    cut = fill_mode == "constant"
    return [(_inside(index, size, fill_mode), (index >= 0) & (index < size) if cut else True, weight)
            for index, weight in nodes]


def _interpolated(take: Callable[[list[Tensor]], Tensor], axes: list[list[tuple[Tensor, Any, Any]]],
                  fill_value: float) -> Any:
    """The sum over all corners around each coordinate."""
    total: Any = 0
    for corner in itertools.product(*axes):
        indices, there, weights = zip(*corner)
        values = take(list(indices))
        if there[0] is not True:
            values = torch.where(functools.reduce(torch.logical_and, there), values, fill_value)
        total = total + math.prod(weights) * values
    return total


def map_coordinates(inputs: Tensor, coordinates: Any, order: int, fill_mode: str, fill_value: float) -> Tensor:
    """The elements at coordinates, a row of them for each axis."""
    rows = torch.as_tensor(coordinates, device=inputs.device)
    axes = [_neighbours(row, size, order, fill_mode) for row, size in zip(rows, inputs.shape)]
    found = _interpolated(lambda indices: inputs[tuple(indices)], axes,
                          fill_value if inputs.is_floating_point() else int(fill_value))
    return in_dtype(found, inputs.dtype) if found.is_floating_point() else found.to(inputs.dtype)


def sampled(x: Tensor, y_places: Tensor, x_places: Tensor, order: int, fill_mode: str, fill_value: float) -> Tensor:
    """The pixels at places (batch, height, width) of each image, for all channels."""
    height, width = x.shape[2:]
    flat = x.flatten(2)

    def take(indices: list[Tensor]) -> Tensor:
        places = (indices[0] * width + indices[1]).flatten(2)
        return torch.take_along_dim(flat, places, dim=2).reshape(*flat.shape[:2], *y_places.shape[1:])

    axes = [_neighbours(y_places.unsqueeze(1), height, order, fill_mode),
            _neighbours(x_places.unsqueeze(1), width, order, fill_mode)]

    return in_dtype(_interpolated(take, axes, fill_value), x.dtype)


def _projected(x: Tensor, transform: Tensor, order: int, fill_mode: str, fill_value: float) -> Tensor:
    """The pixel of each place taken from where 8 numbers for each image say."""
    a0, a1, a2, b0, b1, b2, c0, c1 = transform.reshape(-1, 8, 1, 1).expand(x.shape[0], -1, -1, -1).unbind(1)
    rows = torch.arange(x.shape[2], dtype=transform.dtype, device=x.device).unsqueeze(-1)
    columns = torch.arange(x.shape[3], dtype=transform.dtype, device=x.device)
    depth = c0 * columns + c1 * rows + 1
    return sampled(x, (b0 * columns + b1 * rows + b2) / depth, (a0 * columns + a1 * rows + a2) / depth, order,
                    fill_mode, fill_value)


@_on_batches
def affine_transform(x: Tensor, transform: Any, order: int, fill_mode: str, fill_value: float) -> Tensor:
    """Turned, moved and stretched."""
    numbers = torch.as_tensor(transform, dtype=None if hasattr(transform, "dtype") else torch.float32, device=x.device)
    return _projected(x, numbers, order, fill_mode, fill_value)


def perspective_equations(source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Matrix and right side for the eight numbers of the map that takes four points (batch, 4, 2) to others."""
    (x, y), (u, v) = source.unbind(-1), target.unbind(-1)
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    across = torch.stack([x, y, one, zero, zero, zero, -u * x, -u * y], -1)
    down = torch.stack([zero, zero, zero, x, y, one, -v * x, -v * y], -1)
    return torch.cat([across, down], 1), torch.cat([u, v], 1)


@_on_batches
def perspective_transform(x: Tensor, start_points: Any, end_points: Any, order: int, fill_value: float) -> Tensor:
    """Four points moved to four other places, and everything between them."""
    dtype = x.dtype if x.is_floating_point() else torch.float32
    start, end = (torch.as_tensor(points, dtype=dtype, device=x.device).reshape(-1, 4, 2)
                  for points in (start_points, end_points))
    matrix, wanted = perspective_equations(end, start)
    transform = torch.linalg.solve(matrix.to(torch.float32), wanted.to(torch.float32).unsqueeze(-1)).squeeze(-1)
    return _projected(x, transform, order, "constant", fill_value)


@_on_batches
def elastic_transform(x: Tensor, alpha: float, sigma: float, order: int, fill_mode: str, fill_value: float,
                      seed: int | None) -> Tensor:
    """Each pixel from a place close by, at random; a seed gives the same places each time."""
    dtype = x.dtype if x.is_floating_point() else torch.float32
    generator = None if seed is None else torch.Generator(x.device).manual_seed(seed)
    noise = torch.randn((x.shape[0], 2, *x.shape[2:]), dtype=dtype, device=x.device, generator=generator) * sigma
    size = int(6 * sigma) | 1
    moved = alpha * _blurred(noise, (size, size), (sigma, sigma))
    rows = torch.arange(x.shape[2], device=x.device).unsqueeze(-1)
    columns = torch.arange(x.shape[3], device=x.device)
    return sampled(x, rows + moved[:, 1], columns + moved[:, 0], order, fill_mode, fill_value)


def scale_and_translate(images: Tensor, output_shape: tuple[int, ...], scale: Any, translation: Any,
                        spatial_dims: tuple[int, ...], method: str, antialias: bool) -> Tensor:
    """Stretched and moved along some axes, into another shape."""
    found = images if images.is_floating_point() else images.to(torch.float32)
    for i, axis in enumerate(spatial_dims):
        found = _stretched(found, axis % images.dim(), output_shape[axis], scale[i], translation[i], method, antialias)
    if images.is_floating_point():
        return found
    return torch.clamp(found.round(), images.min(), images.max()).to(images.dtype)


def cubic(x: Tensor) -> Tensor:
    """The cubic kernel of Keys, with a = -0.5."""
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x < 1, near, torch.where(x < 2, far, 0.0))


def _lanczos(x: Tensor, radius: float) -> Tensor:
    return torch.where(x <= radius, torch.sinc(x) * torch.sinc(x / radius), 0.0)


_KERNELS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda x: (1 - x).clamp(min=0), "cubic": cubic, "lanczos3": functools.partial(_lanczos, radius=3.0),
    "lanczos5": functools.partial(_lanczos, radius=5.0)}


def _stretched(x: Tensor, axis: int, size: int, scale: Any, translation: Any, method: str, antialias: bool) -> Tensor:
    """One axis stretched and moved: each new element is a weighted sum of old ones."""
    options: dict[str, Any] = {"dtype": torch.promote_types(x.dtype, torch.float32), "device": x.device}
    scale, translation = (torch.as_tensor(number, **options) for number in (scale, translation))
    places = (torch.arange(size, **options) + 0.5 - translation) / scale - 0.5
    distance = (places - torch.arange(x.shape[axis], **options).unsqueeze(-1)).abs()
    weights = _KERNELS[method](distance / (1 / scale).clamp(min=1) if antialias else distance)
    total = weights.sum(0, keepdim=True)
    some = total.abs() > 1000 * torch.finfo(torch.float32).eps
    weights = torch.where(some, weights / torch.where(some, total, 1), 0)
    weights = torch.where((places >= -0.5) & (places <= x.shape[axis] - 0.5), weights, 0)
    stretched: Tensor = torch.tensordot(x, weights.to(x.dtype), dims=([axis], [0])).movedim(-1, axis)
    return stretched


# ---- filters ---------------------------------------------------------------------------------------------------------


def _gaussian(size: int, sigma: float, like: Tensor) -> Tensor:
    x = torch.arange(size, dtype=like.dtype, device=like.device) - (size - 1) / 2
    weights = torch.exp(-0.5 * (x / sigma) ** 2)
    return weights / weights.sum()


def _blurred(x: Tensor, size: tuple[int, int], sigma: tuple[float, float]) -> Tensor:
    """Down the columns, then along the rows; Keras takes ``sigma`` as (width, height)."""
    channels = x.shape[1]
    down = _gaussian(size[0], sigma[1], x).reshape(1, 1, -1, 1).expand(channels, -1, -1, -1)
    along = _gaussian(size[1], sigma[0], x).reshape(1, 1, 1, -1).expand(channels, -1, -1, -1)
    x = F.pad(x, ((size[1] - 1) // 2, size[1] // 2, (size[0] - 1) // 2, size[0] // 2))
    return F.conv2d(F.conv2d(x, down, groups=channels), along, groups=channels)


@_on_batches
def gaussian_blur(x: Tensor, kernel_size: tuple[int, int], sigma: tuple[float, float]) -> Tensor:
    """Each pixel mixed with those around it, outside of which everything is 0."""
    return _blurred(x, kernel_size, sigma)


def sobel_edges(images: Tensor, last: bool) -> Tensor:
    """The change downwards and to the right."""
    x = images.movedim(-1, 1) if last else images
    kernel = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]], dtype=x.dtype, device=x.device)
    channels = x.shape[1]
    kernels = torch.stack((kernel.T, kernel)).unsqueeze(1).repeat(channels, 1, 1, 1)
    edges = F.conv2d(x, kernels, padding=1, groups=channels).reshape(-1, channels, 2, *x.shape[2:])
    return edges.permute(0, 3, 4, 1, 2) if last else edges.permute(0, 1, 3, 4, 2)


def ssim(image1: Tensor, image2: Tensor, max_val: float, filter_size: int, filter_sigma: float, k1: float, k2: float,
         last: bool) -> Tensor:
    """The structural similarity, averaged over places and channels."""
    a, b = (x.to(torch.promote_types(image1.dtype, torch.float32)) for x in (image1, image2))
    single = a.dim() == 3
    a, b = (x.unsqueeze(0) if single else x for x in (a, b))
    a, b = (x.movedim(-1, 1) if last else x for x in (a, b))
    channels = a.shape[1]
    row = _gaussian(filter_size, filter_sigma, a)
    kernel = torch.outer(row, row).expand(channels, 1, -1, -1)
    mean_a, mean_b, mean_aa, mean_bb, mean_ab = (
        F.conv2d(x, kernel, groups=channels) for x in (a, b, a * a, b * b, a * b))
    c1, c2 = (k1 * max_val) ** 2, (k2 * max_val) ** 2
    spread = (mean_aa - mean_a.square()) + (mean_bb - mean_b.square())
    alike = (2 * mean_a * mean_b + c1) * (2 * (mean_ab - mean_a * mean_b) + c2)
    likeness = alike / ((mean_a.square() + mean_b.square() + c1) * (spread + c2))
    result = likeness.mean((1, 2, 3)).to(image1.dtype)
    return result.squeeze(0) if single else result
