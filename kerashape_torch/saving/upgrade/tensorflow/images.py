"""Functions of images and windows."""

from __future__ import annotations

from typing import Any

from kerashape_torch.saving.upgrade.expressions import AsLayer, Key, Op, Slice
from kerashape_torch.saving.upgrade.tensorflow.table import (
    FUNCTIONS,
    Function,
    Untranslated,
    fixed,
    is_whole,
    tf,
    word,
)

_FORMATS: dict[Any, str] = {None: "channels_last", **dict.fromkeys(("NHWC", "NWC", "NDHWC"), "channels_last"),
                            **dict.fromkeys(("NCHW", "NCW", "NCDHW"), "channels_first")}


def _format(data_format: Any) -> str:
    return str(word(data_format, "data_format", _FORMATS))


def _padding(padding: Any) -> str:
    return str(word(padding if isinstance(padding, str) else str(padding), "padding",
                     {"SAME": "same", "VALID": "valid"}))


def _spatial(sizes: Any, data_format: Any, rank: int | None) -> Any:
    """Sizes of windows, which TensorFlow may give for all four axes, for the spatial ones alone, or as one number."""
    if not isinstance(fixed(sizes, "a size of a window"), list):
        return sizes
    if rank is not None and len(sizes) == rank + 2:
        inner = slice(2, None) if _format(data_format) == "channels_first" else slice(1, -1)
        if sum(sizes) - sum(sizes[inner]) != 2:
            raise Untranslated(f"windows over {sizes} go along the batch or the channels")
        sizes = sizes[inner]
    return sizes[0] if len(sizes) == 1 else sizes


def _pool(op: str, rank: int | None) -> Function:
    def function(input: Any = None, ksize: Any = None, strides: Any = None, padding: Any = "VALID",
                 data_format: Any = None, value: Any = None) -> Any:
        axes = rank if rank is not None else len(ksize) - 2 if isinstance(ksize, list) and len(ksize) > 2 else None
        return Op(op, input if input is not None else value, pool_size=_spatial(ksize, data_format, axes),
                  strides=_spatial(strides, data_format, axes), padding=_padding(padding),
                  data_format=_format(data_format))

    return function


for _name, _rank in (("", None), ("1d", 1), ("2d", 2), ("3d", 3)):
    FUNCTIONS[f"nn.max_pool{_name}"] = _pool("MaxPool", _rank)
    FUNCTIONS[f"nn.avg_pool{_name}"] = _pool("AveragePool", _rank)


def _conv(op: str, rank: int | None) -> Function:
    def function(input: Any = None, filters: Any = None, strides: Any = 1, padding: Any = "VALID",
                 data_format: Any = None, dilations: Any = None, stride: Any = None, filter: Any = None,
                 value: Any = None, use_cudnn_on_gpu: Any = None, rate: Any = None,
                 explicit_paddings: Any = None) -> Any:
        dilations = dilations if dilations is not None else rate
        image = input if input is not None else value
        if padding == "EXPLICIT":
            padding = [explicit_paddings[i:i + 2] for i in range(0, len(explicit_paddings), 2)]
        if isinstance(padding, list):
            image, padding = Op("Pad", image, pad_width=fixed(padding, "padding")), "VALID"
        return Op(op, image, filters if filters is not None else filter,
                  strides=_spatial(1 if strides is None else stride or strides, data_format, rank),
                  padding=_padding(padding), data_format=_format(data_format),
                  dilation_rate=_spatial(dilations or 1, data_format, rank))

    return function


FUNCTIONS.update({"nn.conv1d": _conv("Conv", 1), "nn.conv2d": _conv("Conv", 2), "nn.conv3d": _conv("Conv", 3),
                   "nn.convolution": _conv("Conv", None), "nn.depthwise_conv2d": _conv("DepthwiseConv", 2)})


@tf("nn.bias_add")
def _bias_add(value: Any, bias: Any, data_format: Any = None) -> Any:
    if _format(data_format) == "channels_first":
        raise Untranslated("a bias for channels in front is not had")
    return Op("Add", value, bias)


@tf("nn.batch_normalization")
def _batch_normalization(x: Any, mean: Any, variance: Any, offset: Any, scale: Any, variance_epsilon: Any) -> Any:
    inverse = Op("Rsqrt", Op("Add", variance, variance_epsilon))
    inverse = inverse if scale is None else Op("Multiply", inverse, scale)
    centred = Op("Multiply", Op("Subtract", x, mean), inverse)
    return centred if offset is None else Op("Add", centred, offset)


@tf("nn.lrn", "nn.local_response_normalization")
def _local_response_normalization(input: Any, depth_radius: int = 5, bias: float = 1.0, alpha: float = 1.0,
                                  beta: float = 0.5) -> Any:
    """The sum over a window along the channels is their number times its mean, once there are zeros at both ends."""
    window = 2 * depth_radius + 1
    pads = [[0, 0], [0, 0], [0, 0], [depth_radius, depth_radius]]
    squares = Op("ExpandDims", Op("Pad", Op("Square", input), pad_width=pads), axis=-1)
    means = Op("AveragePool", squares, pool_size=[1, 1, window], strides=1, data_format="channels_last")
    total = Op("Multiply", Op("Squeeze", means, axis=-1), alpha * window)
    return Op("TrueDivide", input, Op("Power", Op("Add", total, bias), beta))


def _blocks(op: str) -> Function:
    """Channels in front are in the order of channels last, too, which is not that of Keras' op."""
    def function(input: Any, block_size: int, data_format: Any = "NHWC") -> Any:
        if _format(data_format) == "channels_last":
            return Op(op, input, block_size=block_size, data_format="channels_last")
        last = function(Op("Moveaxis", input, source=1, destination=-1), block_size)
        return Op("Moveaxis", last, source=-1, destination=1)

    return function


FUNCTIONS.update({"nn.depth_to_space": _blocks("DepthToSpace"), "nn.space_to_depth": _blocks("SpaceToDepth")})


_METHODS = {None: "bilinear", "BILINEAR": "bilinear", "NEAREST": "nearest", "BICUBIC": "bicubic",
            "LANCZOS3": "lanczos3", "LANCZOS5": "lanczos5"}


@tf("image.resize")
def _resize(images: Any, size: Any, method: Any = "bilinear", preserve_aspect_ratio: bool = False,
            antialias: bool = False) -> Any:
    if preserve_aspect_ratio:
        raise Untranslated("preserve_aspect_ratio=True is not had")
    return _scaled(images, size, word(method, "method", _METHODS), antialias)


def _scaled(images: Any, size: Any, interpolation: str, antialias: bool = False) -> Any:
    """The op's ``bicubic`` is torch's, the layer's that of TensorFlow."""
    height, width = fixed(size, "size")
    how = {"interpolation": interpolation, "antialias": antialias, "data_format": "channels_last"}
    if interpolation == "bicubic":
        return AsLayer("Resizing", images, height=height, width=width, **how)
    return Op("Resize", images, size=[height, width], **how)


def _resized(interpolation: str) -> Function:
    def function(images: Any, size: Any, align_corners: bool = False, half_pixel_centers: bool = False,
                 dtype: Any = None) -> Any:
        if align_corners or not half_pixel_centers:
            raise Untranslated(f"align_corners={align_corners} with half_pixel_centers={half_pixel_centers} is not "
                               "had: Keras 3 resizes from the centres of pixels")
        if is_whole(dtype) and interpolation != "nearest":
            images = Op("Cast", images, dtype="float32")
        return _scaled(images, size, interpolation)

    return function


FUNCTIONS.update({"image.resize_bicubic": _resized("bicubic"), "image.resize_bilinear": _resized("bilinear"),
                  "image.resize_nearest_neighbor": _resized("nearest")})


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


@tf("image.crop_to_bounding_box")
def _crop(image: Any, offset_height: int, offset_width: int, target_height: int, target_width: int) -> Any:
    return Op("GetItem", image, Key([..., Slice(offset_height, offset_height + target_height, None),
                                     Slice(offset_width, offset_width + target_width, None), Slice(None, None, None)]))


@tf("image.extract_patches")
def _extract_patches(images: Any, sizes: Any, strides: Any, rates: Any, padding: Any) -> Any:
    return Op("ExtractPatches", images, size=_spatial(sizes, None, 2), strides=_spatial(strides, None, 2),
              dilation_rate=_spatial(rates, None, 2), padding=_padding(padding), data_format="channels_last")
