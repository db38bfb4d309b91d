"""Functions of images."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from kerashape_torch.saving.upgrade.constants import array, within_reason
from kerashape_torch.saving.upgrade.expressions import AsLayer, Key, Op, Slice, along
from kerashape_torch.saving.upgrade.sizes import Shape, Shapes, Size
from kerashape_torch.saving.upgrade.tensorflow.table import (
    FUNCTIONS,
    Function,
    Untranslated,
    dtype_of,
    fixed,
    is_whole,
    refuse_always,
    tf,
    word,
)
from kerashape_torch.saving.upgrade.tensorflow.windows import padding_of, spatial

_METHODS: dict[Any, str] = {None: "bilinear", **{name.upper(): name for name in (
    "area", "bicubic", "bilinear", "gaussian", "lanczos3", "lanczos5", "mitchellcubic", "nearest")}}
_BY_WEIGHTS = ("area", "gaussian", "mitchellcubic")
"""Methods that neither Keras nor torch has: each is a product with the weights of the pixels for each axis."""


@tf("image.resize", "image.resize_v2", "image.resize_images_v2", takes_sizes=True)
def _resize(images: Any, size: Any, method: Any = "bilinear", preserve_aspect_ratio: bool = False,
            antialias: bool = False, *, shapes: Shapes) -> Any:
    """But for the nearest neighbour, what comes out is float32."""
    interpolation = word(method, "method", _METHODS)
    target = fixed(size, "size")
    shape = shapes.of(images)
    if preserve_aspect_ratio and not _is_open(target):
        target = _within(_sizes_of(shape, "preserve_aspect_ratio=True"), target)
    if interpolation != "nearest" and shapes.dtype(images) not in ("float32", None):
        images = Op("Cast", images, dtype="float32")
    if _is_open(target):
        return _of_open_size(images, target, interpolation, preserve_aspect_ratio or antialias)
    if interpolation in _BY_WEIGHTS:
        return _weighed(images, _sizes_of(shape, f"method={interpolation!r}"), target, interpolation, antialias, shape)
    return _scaled(images, target, interpolation, antialias)


def _is_open(size: Any) -> bool:
    return isinstance(size, Shape) or any(isinstance(each, Size) for each in size)


def _of_open_size(images: Any, target: Any, interpolation: str, other: bool = False) -> Any:
    """A size that is only known when there are tensors: that of another image, or a multiple of its own."""
    why = "its size comes of others, which are not known before there are tensors"
    if interpolation not in ("bilinear", "nearest") or other or isinstance(target, Shape) or len(target) != 2:
        raise Untranslated(f"{why}; such are had for method='bilinear' and 'nearest' alone")
    like = {size.of for size in target if isinstance(size, Size) and size.axis is not None}
    if all(isinstance(size, Size) and size.axis is not None for size in target) and len(like) == 1:
        return Op("ResizeLike", images, *like, axes=[size.axis for size in target], interpolation=interpolation)
    times = [size.is_multiple_of(images, axis) if isinstance(size, Size) else None
             for axis, size in enumerate(target, start=1)]
    if None in times:
        raise Untranslated(f"{why}, and is no multiple of the image's own", "settle the image size in the input shape")
    return AsLayer("UpSampling2D", images, size=times, interpolation=interpolation, data_format="channels_last")


def _sizes_of(shape: Any, what: str) -> list[int]:
    """Height and width."""
    sizes = list(shape[-3:-1])
    if len(sizes) < 2 or None in sizes:
        raise Untranslated(f"{what} asks for the size of the image, which is not known before there are tensors",
                           "settle the image size in the input shape")
    return sizes


def _within(sizes: list[int], target: Any) -> list[int]:
    """The largest size of the same proportions."""
    scale = min(wanted / size for wanted, size in zip(target, sizes))
    return [round(size * scale) for size in sizes]


def _scaled(images: Any, size: Any, interpolation: str, antialias: bool = False) -> Any:
    """The op's ``bicubic`` is torch's, the layer's that of TensorFlow."""
    height, width = fixed(size, "size")
    how = {"interpolation": interpolation, "antialias": antialias, "data_format": "channels_last"}
    if interpolation == "bicubic":
        return AsLayer("Resizing", images, height=height, width=width, **how)
    return Op("Resize", images, size=[height, width], **how)


def _weighed(images: Any, sizes: list[int], target: Any, method: str, antialias: bool, shape: Any) -> Any:
    down, across = (array(_weights(size, new, method, antialias), "float32") for size, new in zip(sizes, target))
    pixels = "bhwc" if len(shape) == 4 else "hwc"
    return Op("Einsum", down, images, across, subscripts=f"yh,{pixels},xw->{pixels.replace('hw', 'yx')}")


def _weights(size: int, new_size: int, method: str, antialias: bool) -> Any:
    """How much each place of an axis counts for each new one, (new, old)."""
    import numpy as np

    within_reason(size, new_size)
    step, places, new = size / new_size, np.arange(size), np.arange(new_size)[:, None]
    if method == "area":
        return np.clip(np.minimum((new + 1) * step, places + 1) - np.maximum(new * step, places), 0, None) / step
    stretch = max(step, 1.0) if antialias else 1.0
    weights = _KERNELS[method](np.abs((new + 0.5) * step - 0.5 - places) / stretch)
    return weights / weights.sum(1, keepdims=True)


def _gaussian(x: Any) -> Any:
    import numpy as np

    return np.where(x < 1.5, np.exp(-2 * x * x), 0)


def _mitchell(x: Any) -> Any:
    import numpy as np

    near = (7 * x ** 3 - 12 * x ** 2) / 6 + 8 / 9
    far = -7 / 18 * x ** 3 + 2 * x ** 2 - 10 / 3 * x + 16 / 9
    return np.where(x < 1, near, np.where(x < 2, far, 0))


_KERNELS = {"gaussian": _gaussian, "mitchellcubic": _mitchell}


def _resized(interpolation: str) -> Function:
    def function(images: Any, size: Any, align_corners: bool = False, half_pixel_centers: bool = False,
                 dtype: Any = None) -> Any:
        if align_corners or not half_pixel_centers:
            raise Untranslated(f"align_corners={align_corners} with half_pixel_centers={half_pixel_centers} is not "
                               "had: Keras 3 resizes from the centres of pixels")
        if is_whole(dtype) and interpolation != "nearest":
            images = Op("Cast", images, dtype="float32")
        return _of_open_size(images, size, interpolation) if _is_open(size) else _scaled(images, size, interpolation)

    return function


for _name, _interpolation in {"bicubic": "bicubic", "bilinear": "bilinear", "nearest_neighbor": "nearest"}.items():
    tf(f"image.resize_{_name}", takes_sizes=True)(_resized(_interpolation))
refuse_always("image.resize_images", "compat.v1.image.resize",
              why="align_corners and half_pixel_centers=False are not had: Keras 3 resizes from the centres of pixels")


@tf("image.resize_area")
def _resize_area(images: Any, size: Any, align_corners: bool = False, *, shapes: Shapes) -> Any:
    if align_corners:
        raise Untranslated("align_corners=True is not had")
    return _resize(images, size, "area", shapes=shapes)


@tf("image.flip_left_right")
def _flip_left_right(image: Any) -> Any:
    return Op("Flip", image, axis=-2)


@tf("image.flip_up_down")
def _flip_up_down(image: Any) -> Any:
    return Op("Flip", image, axis=-3)


@tf("image.transpose")
def _transposed(image: Any) -> Any:
    return Op("Swapaxes", image, axis1=-3, axis2=-2)


@tf("image.rot90")
def _rot90(image: Any, k: int = 1) -> Any:
    turn = fixed(k, "k") % 4
    if turn == 1:
        return Op("Flip", _transposed(image), axis=-3)
    if turn == 3:
        return _transposed(Op("Flip", image, axis=-3))
    return Op("Flip", Op("Flip", image, axis=-3), axis=-2) if turn else image


@tf("image.rgb_to_grayscale")
def _rgb_to_grayscale(images: Any) -> Any:
    return Op("RGBToGrayscale", images, data_format="channels_last")


@tf("image.adjust_saturation")
def _adjust_saturation(image: Any, saturation_factor: Any) -> Any:
    return _by_hue_and_saturation(image, lambda hue, saturation: (
        hue, Op("Clip", Op("Multiply", saturation, saturation_factor), x_min=0.0, x_max=1.0)))


@tf("image.adjust_hue")
def _adjust_hue(image: Any, delta: Any) -> Any:
    return _by_hue_and_saturation(image, lambda hue, saturation: (Op("Mod", Op("Add", hue, delta), 1.0), saturation))


def _by_hue_and_saturation(image: Any, adjusted: Callable[[Any, Any], tuple[Any, Any]]) -> Any:
    colors = Op("RGBToHSV", image, data_format="channels_last")
    hue, saturation, value = (along(colors, -1, Slice(i, i + 1, None)) for i in range(3))
    return Op("HSVToRGB", Op("Concatenate", [*adjusted(hue, saturation), value], axis=-1), data_format="channels_last")


def _colors(matrix: list[list[float]]) -> Function:
    return lambda images: Op("Tensordot", images, matrix, axes=[[-1], [0]])


_YUV = [[0.299, -0.14714119, 0.61497538], [0.587, -0.28886916, -0.51496512], [0.114, 0.43601035, -0.10001026]]
_OF_YUV = [[1.0, 1, 1], [0.0, -0.394642334, 2.03206185], [1.13988303, -0.58062185, 0]]
_YIQ = [[0.299, 0.59590059, 0.2115], [0.587, -0.27455667, -0.52273617], [0.114, -0.32134392, 0.31119955]]
_OF_YIQ = [[1.0, 1, 1], [0.95598634, -0.27201283, -1.10674021], [0.6208248, -0.64720424, 1.70423049]]
FUNCTIONS.update({"image.rgb_to_yuv": _colors(_YUV), "image.yuv_to_rgb": _colors(_OF_YUV),
                  "image.rgb_to_yiq": _colors(_YIQ), "image.yiq_to_rgb": _colors(_OF_YIQ)})


@tf("image.grayscale_to_rgb")
def _grayscale_to_rgb(images: Any) -> Any:
    return Op("Concatenate", [images, images, images], axis=-1)


@tf("image.adjust_brightness")
def _adjust_brightness(image: Any, delta: Any) -> Any:
    return Op("Add", image, delta)


@tf("image.adjust_contrast")
def _adjust_contrast(images: Any, contrast_factor: Any) -> Any:
    mean = Op("Mean", images, axis=[-3, -2], keepdims=True)
    return Op("Add", Op("Multiply", Op("Subtract", images, mean), contrast_factor), mean)


@tf("image.adjust_gamma")
def _adjust_gamma(image: Any, gamma: Any = 1, gain: Any = 1) -> Any:
    return Op("Multiply", Op("Power", image, gamma), gain)


@tf("image.convert_image_dtype")
def _convert_dtype(image: Any, dtype: Any, saturate: bool = False, *, shapes: Shapes) -> Any:
    """Integers stand for the numbers from 0 to 1."""
    before, after = shapes.dtype(image), dtype_of(dtype)
    if before is None or (is_whole(before) and is_whole(after) and before != after):
        raise Untranslated(f"from {before} to {after} is not had")
    if before == after or not (is_whole(before) or is_whole(after)):
        return Op("Cast", image, dtype=after)
    if is_whole(before):
        return Op("Multiply", Op("Cast", image, dtype=after), 1 / _largest(before))
    scaled = Op("Multiply", image, _largest(after) + 0.5)
    return Op("SaturateCast" if saturate else "Cast", scaled, dtype=after)


def _largest(dtype: str) -> int:
    bits = int(dtype.lstrip("uint"))
    return int(2 ** (bits if dtype.startswith("u") else bits - 1) - 1)


@tf("image.per_image_standardization")
def _standardized(image: Any, *, shapes: Shapes) -> Any:
    """The deviation is at least what that of a picture with one other pixel would be."""
    shape = shapes.of(image)
    sizes = [*_sizes_of(shape, "the least deviation"), shape[-1] or 1]
    image = Op("Cast", image, dtype="float32") if shapes.dtype(image) not in ("float32", "float16") else image
    axes: dict[str, Any] = {"axis": [-3, -2, -1], "keepdims": True}
    deviation = Op("Maximum", Op("Std", image, **axes), math.prod(sizes) ** -0.5)
    return Op("TrueDivide", Op("Subtract", image, Op("Mean", image, **axes)), deviation)


# ---- crops and pads --------------------------------------------------------------------------------------------------


@tf("image.crop_to_bounding_box")
def _crop(image: Any, offset_height: int, offset_width: int, target_height: int, target_width: int) -> Any:
    return Op("GetItem", image, Key([..., Slice(offset_height, offset_height + target_height, None),
                                     Slice(offset_width, offset_width + target_width, None), Slice(None, None, None)]))


@tf("image.central_crop")
def _central_crop(image: Any, central_fraction: float, *, shapes: Shapes) -> Any:
    sizes = _sizes_of(shapes.of(image), "central_crop")
    starts = [int((size - size * central_fraction) / 2) for size in sizes]
    if not any(starts):
        return image
    return _crop(image, *starts, *(size - 2 * start for size, start in zip(sizes, starts)))


@tf("image.crop_and_resize")
def _crop_and_resize(image: Any, boxes: Any, box_indices: Any, crop_size: Any, method: str = "bilinear",
                     extrapolation_value: float = 0.0) -> Any:
    return Op("CropAndResize", image, boxes, box_indices, crop_size=fixed(crop_size, "crop_size"),
              method=word(method, "method", {"BILINEAR": "bilinear", "NEAREST": "nearest"}),
              extrapolation_value=extrapolation_value)


@tf("image.pad_to_bounding_box")
def _pad(image: Any, offset_height: int, offset_width: int, target_height: int, target_width: int, *,
         shapes: Shapes) -> Any:
    shape = shapes.of(image)
    height, width = _sizes_of(shape, "pad_to_bounding_box")
    return _padded(image, shape, [[offset_height, target_height - offset_height - height],
                                  [offset_width, target_width - offset_width - width]])


def _padded(image: Any, shape: Any, pads: list[list[int]]) -> Any:
    if not any(map(any, pads)):
        return image
    return Op("Pad", image, pad_width=[*[[0, 0]] * (len(shape) - 3), *pads, [0, 0]])


@tf("image.resize_with_crop_or_pad", "image.resize_image_with_crop_or_pad")
def _crop_or_pad(image: Any, target_height: int, target_width: int, *, shapes: Shapes) -> Any:
    shape, targets = shapes.of(image), (target_height, target_width)
    sizes = _sizes_of(shape, "resize_with_crop_or_pad")
    if any(size > target for size, target in zip(sizes, targets)):
        image = _crop(image, *(max(size - target, 0) // 2 for size, target in zip(sizes, targets)),
                      *map(min, sizes, targets))
    more = [max(target - size, 0) for size, target in zip(sizes, targets)]
    return _padded(image, shape, [[each // 2, each - each // 2] for each in more])


@tf("image.resize_with_pad", "image.resize_image_with_pad")
def _resize_with_pad(image: Any, target_height: int, target_width: int, method: Any = "bilinear",
                     antialias: bool = False, *, shapes: Shapes) -> Any:
    """As large as fits, in the middle of zeros."""
    shape, targets = shapes.of(image), (target_height, target_width)
    sizes = _sizes_of(shape, "resize_with_pad")
    ratio = max(size / target for size, target in zip(sizes, targets))
    inner = [math.floor(size / ratio) for size in sizes]
    starts = [max(0, math.floor((target - size / ratio) / 2)) for size, target in zip(sizes, targets)]
    resized = _resize(image, inner, method, antialias=antialias, shapes=shapes)
    return _padded(resized, shape, [[start, target - size - start] for start, target, size in zip(
        starts, targets, inner)])


# ---- likeness --------------------------------------------------------------------------------------------------------


@tf("image.psnr")
def _psnr(a: Any, b: Any, max_val: Any) -> Any:
    error = Op("Mean", Op("Square", Op("Subtract", a, b)), axis=[-3, -2, -1])
    return Op("Subtract", 20 * math.log10(fixed(max_val, "max_val")),
              Op("Multiply", Op("Log", error), 10 / math.log(10)))


@tf("image.ssim")
def _ssim(img1: Any, img2: Any, max_val: Any, filter_size: int = 11, filter_sigma: float = 1.5, k1: float = 0.01,
          k2: float = 0.03, return_index_map: bool = False) -> Any:
    if return_index_map:
        raise Untranslated("return_index_map=True is not had")
    return Op("SSIM", img1, img2, max_val=fixed(max_val, "max_val"), filter_size=filter_size,
              filter_sigma=filter_sigma, k1=k1, k2=k2, data_format="channels_last")


@tf("image.extract_patches")
def _extract_patches(images: Any, sizes: Any, strides: Any, rates: Any, padding: Any) -> Any:
    return Op("ExtractPatches", images, size=spatial(sizes, None, 2), strides=spatial(strides, None, 2),
              dilation_rate=spatial(rates, None, 2), padding=padding_of(padding), data_format="channels_last")
