"""Shapes and dtypes of the ops of images, without torch."""

from __future__ import annotations

from typing import Any

from kerashape_torch.dtypes import is_float
from kerashape_torch.errors import ConfigError, ShapeError
from kerashape_torch.graph import TensorSpec
from kerashape_torch.kinds import per_axis
from kerashape_torch.ops.picks import shape_of
from kerashape_torch.shape import Size, product, require_rank, to_text, window_output

_IMAGE = "(height, width, channels), with or without a batch axis"


def places_of(op: Any) -> tuple[int, int, int]:
    """Where height, width and channels are, counted from the end."""
    return (-2, -1, -3) if op.data_format == "channels_first" else (-3, -2, -1)


def _image(images: TensorSpec) -> None:
    require_rank(images.shape, (3, 4), _IMAGE)


def _resized(images: TensorSpec, sizes: dict[int, Size]) -> TensorSpec:
    shape = list(images.shape)
    for axis, size in sizes.items():
        shape[axis] = size
    return TensorSpec(tuple(shape), images.dtype)


def same(op: Any, images: TensorSpec, *_: Any) -> TensorSpec:
    _image(images)
    return TensorSpec(images.shape, images.dtype)


def gray(op: Any, images: TensorSpec) -> TensorSpec:
    _image(images)
    channels = places_of(op)[2]
    if images.shape[channels] not in (1, 3, None):
        raise ShapeError(f"axis {channels} of {to_text(images.shape)} is {images.shape[channels]}; an image has 3 "
                         "channels, or 1 if it is gray")
    return _resized(images, {channels: 1})


def colors(op: Any, images: TensorSpec) -> TensorSpec:
    _image(images)
    channels = places_of(op)[2]
    if images.shape[channels] not in (3, None):
        raise ShapeError(f"axis {channels} of {to_text(images.shape)} is {images.shape[channels]}, not 3 colours")
    if not is_float(images.dtype):
        raise ShapeError(f"colours are floats between 0 and 1, got {images.dtype}")
    return TensorSpec(images.shape, images.dtype)


def resized(op: Any, images: TensorSpec) -> TensorSpec:
    _image(images)
    height, width, _ = places_of(op)
    if op.crop_to_aspect_ratio and op.pad_to_aspect_ratio:
        raise ConfigError("give crop_to_aspect_ratio or pad_to_aspect_ratio, not both")
    if len(op.size) != 2 or min(op.size) <= 0:
        raise ShapeError(f"size={tuple(op.size)} must be a height and a width")
    return _resized(images, {height: op.size[0], width: op.size[1]})


def moved(op: Any, images: TensorSpec, transform: Any) -> TensorSpec:
    if len(shape_of(transform)) not in (1, 2):
        raise ShapeError(f"a transform is 8 numbers, or 8 for each image, got {to_text(shape_of(transform))}")
    return same(op, images)


def seen_from(op: Any, images: TensorSpec, start_points: Any, end_points: Any) -> TensorSpec:
    for points in (shape_of(start_points), shape_of(end_points)):
        if points[-2:] != (4, 2) or len(points) not in (2, 3):
            raise ShapeError(f"points are (4, 2), or that for each image, got {to_text(points)}")
    return same(op, images)


def patches(op: Any, images: TensorSpec) -> TensorSpec:
    rank = 3 if not isinstance(op.size, int) and len(op.size) == 3 else 2
    require_rank(images.shape, (rank + 1, rank + 2), "(space..., channels), with or without a batch axis")
    first = op.data_format == "channels_first"
    spatial = images.shape[-rank:] if first else images.shape[-rank - 1:-1]
    channels = images.shape[-rank - 1] if first else images.shape[-1]
    window = per_axis(op.size, rank)
    strides = window if op.strides is None else per_axis(op.strides, rank)
    axes = zip(spatial, window, strides, per_axis(op.dilation_rate, rank))
    places = [window_output(size, reach, step, op.padding, gap) for size, reach, step, gap in axes]
    filters = product((*window, channels))
    batch = images.shape[:-rank - 1]
    return TensorSpec((*batch, filters, *places) if first else (*batch, *places, filters), images.dtype)


def sampled(op: Any, inputs: TensorSpec, coordinates: Any) -> TensorSpec:
    shape = shape_of(coordinates)
    if op.order not in (0, 1):
        raise ConfigError(f"order must be 0 or 1, as in Keras, got {op.order}")
    if len(shape) < 2 or shape[0] != inputs.ndim:
        raise ShapeError(f"coordinates are ({inputs.ndim}, ...), a row for each axis of {to_text(inputs.shape)}, "
                         f"got {to_text(shape)}")
    return TensorSpec(shape[1:], inputs.dtype)


def sides(size: Size, before: int | None, after: int | None, target: int | None, sign: int,
          what: str) -> tuple[Size, Size, Size]:
    """What is added (``sign`` 1) or cut off (-1) before and after, and the size that comes out; one of the three is
    None and follows from the others."""
    if [before, after, target].count(None) != 1:
        raise ShapeError(f"of the {what} before and after and the size that comes out, give two")
    if target is None:
        return before, after, None if size is None else size + sign * ((before or 0) + (after or 0))
    if size is None:
        return before, after, target
    rest = sign * (target - size)
    before = rest - (after or 0) if before is None else before
    after = rest - before if after is None else after
    if min(before, after) < 0:
        raise ShapeError(f"{what} of {before} and {after} for a size of {size} that becomes {target}")
    return before, after, target


def padded(op: Any, images: TensorSpec) -> TensorSpec:
    _image(images)
    h, w, _ = places_of(op)
    height = sides(images.shape[h], op.top_padding, op.bottom_padding, op.target_height, 1, "padding")
    width = sides(images.shape[w], op.left_padding, op.right_padding, op.target_width, 1, "padding")
    return _resized(images, {h: height[2], w: width[2]})


def cropped(op: Any, images: TensorSpec) -> TensorSpec:
    _image(images)
    h, w, _ = places_of(op)
    height = sides(images.shape[h], op.top_cropping, op.bottom_cropping, op.target_height, -1, "cropping")
    width = sides(images.shape[w], op.left_cropping, op.right_cropping, op.target_width, -1, "cropping")
    if (height[2] or 0) < 0 or (width[2] or 0) < 0:
        raise ShapeError(f"nothing is left of {to_text(images.shape)}")
    return _resized(images, {h: height[2], w: width[2]})


def laid_out(op: Any, images: TensorSpec, output_shape: Any, scale: Any, translation: Any) -> TensorSpec:
    if len(output_shape) != images.ndim:
        raise ShapeError(f"output_shape={tuple(output_shape)} has another rank than {to_text(images.shape)}")
    return TensorSpec(tuple(output_shape), images.dtype)


def edges(op: Any, images: TensorSpec) -> TensorSpec:
    require_rank(images.shape, 4, "(batch, height, width, channels)")
    return TensorSpec((*images.shape, 2), images.dtype)


def likeness(op: Any, image1: TensorSpec, image2: TensorSpec) -> TensorSpec:
    _image(image1)
    _image(image2)
    return TensorSpec(image1.shape[:-3], image1.dtype)
