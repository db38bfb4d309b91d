"""Ops of images: ``keras.ops.image``."""

from typing import Annotated, Any

from kerashape_torch.kinds import Choice, per_axis
from kerashape_torch.ops import image_rules as rules
from kerashape_torch.ops.operation import Operation, TorchFunction, applied, as_tuple, enter, op, own

Interpolation = Annotated[str, Choice("bilinear", "nearest", "bicubic", "lanczos3", "lanczos5")]
Sampling = Annotated[str, Choice("nearest", "bilinear")]
Constant = Annotated[str, Choice("constant")]
Method = Annotated[str, Choice("linear", "bilinear", "trilinear", "triangle", "cubic", "bicubic", "tricubic",
                               "lanczos3", "lanczos5")]
FillMode = Annotated[str, Choice("constant", "nearest", "wrap", "mirror", "reflect")]
Format = Annotated[str | None, Choice("channels_last", "channels_first")]


def _last(data_format: Any) -> bool:
    return bool(data_format != "channels_first")


# ---- colours ---------------------------------------------------------------------------------------------------------


@op("image", rules.gray, class_name="RGBToGrayscale")
def rgb_to_grayscale(images: Any, /, data_format: Format = None) -> TorchFunction:
    """Colours as shades of gray."""
    return own("images.rgb_to_grayscale", last=_last(data_format))


@op("image", rules.colors, class_name="RGBToHSV")
def rgb_to_hsv(images: Any, /, data_format: Format = None) -> TorchFunction:
    """Red, green and blue as hue, saturation and value."""
    return own("images.rgb_to_hsv", last=_last(data_format))


@op("image", rules.colors, class_name="HSVToRGB")
def hsv_to_rgb(images: Any, /, data_format: Format = None) -> TorchFunction:
    """Hue, saturation and value as red, green and blue."""
    return own("images.hsv_to_rgb", last=_last(data_format))


# ---- sizes -----------------------------------------------------------------------------------------------------------


@op("image", rules.resized)
def resize(images: Any, /, size: Any, interpolation: Interpolation = "bilinear", antialias: bool = False,
           crop_to_aspect_ratio: bool = False, pad_to_aspect_ratio: bool = False, fill_mode: Constant = "constant",
           fill_value: float = 0.0, data_format: Format = None) -> TorchFunction:
    """Another height and width."""
    return own("images.resize", size=as_tuple(size), interpolation=interpolation, antialias=antialias,
               crop=crop_to_aspect_ratio, pad=pad_to_aspect_ratio, fill_value=fill_value, last=_last(data_format))


@op("image", rules.padded)
def pad_images(images: Any, /, top_padding: Any = None, left_padding: Any = None, bottom_padding: Any = None,
               right_padding: Any = None, target_height: Any = None, target_width: Any = None,
               data_format: Format = None) -> TorchFunction:
    """Zeros around an image."""
    return own("images.pad_images", height=(top_padding, bottom_padding, target_height),
               width=(left_padding, right_padding, target_width), last=_last(data_format))


@op("image", rules.cropped)
def crop_images(images: Any, /, top_cropping: Any = None, left_cropping: Any = None, bottom_cropping: Any = None,
                right_cropping: Any = None, target_height: Any = None, target_width: Any = None,
                data_format: Format = None) -> TorchFunction:
    """An image without its borders."""
    return own("images.crop_images", height=(top_cropping, bottom_cropping, target_height),
               width=(left_cropping, right_cropping, target_width), last=_last(data_format))


@op("image", rules.patches)
def extract_patches(images: Any, /, size: Any, strides: Any = None, dilation_rate: Any = 1, padding: str = "valid",
                    data_format: Format = None) -> TorchFunction:
    """The pixels of each place of a window as channels; of three axes, if ``size`` has three numbers."""
    rank = 3 if not isinstance(size, int) and len(size) == 3 else 2
    window = per_axis(size, rank)
    return own("images.extract_patches", window=window, padding=padding, last=_last(data_format),
               stride=window if strides is None else per_axis(strides, rank),
               dilation=per_axis(dilation_rate, rank))


def extract_patches_3d(volumes: Any, size: Any, strides: Any = None, dilation_rate: Any = 1, padding: str = "valid",
                       data_format: Any = None) -> Any:
    """``extract_patches`` for volumes."""
    sizes = (size,) * 3 if isinstance(size, int) else size
    given = {"size": sizes, "strides": strides, "dilation_rate": dilation_rate, "padding": padding,
             "data_format": data_format}
    return applied(Operation.catalog()["ExtractPatches"], given, (volumes,), {})


enter("image", "extract_patches_3d", extract_patches_3d)


# ---- places ----------------------------------------------------------------------------------------------------------


@op("image", rules.moved)
def affine_transform(images: Any, transform: Any, /, interpolation: Sampling = "bilinear",
                     fill_mode: FillMode = "constant", fill_value: float = 0,
                     data_format: Format = None) -> TorchFunction:
    """Turned, moved, stretched: 8 numbers say where the pixel of each place comes from."""
    return own("images.affine_transform", order=int(interpolation == "bilinear"), fill_mode=fill_mode,
               fill_value=fill_value, last=_last(data_format))


@op("image", rules.seen_from)
def perspective_transform(images: Any, start_points: Any, end_points: Any, /, interpolation: Sampling = "bilinear",
                          fill_value: float = 0, data_format: Format = None) -> TorchFunction:
    """Seen from elsewhere: four points come to lie in four other places."""
    return own("images.perspective_transform", order=int(interpolation == "bilinear"), fill_value=fill_value,
               last=_last(data_format))


@op("image", rules.sampled)
def map_coordinates(inputs: Any, coordinates: Any, /, order: int, fill_mode: FillMode = "constant",
                    fill_value: float = 0) -> TorchFunction:
    """The elements at coordinates, between which it takes the nearest (``order=0``) or interpolates (1)."""
    return own("images.map_coordinates", order=order, fill_mode=fill_mode, fill_value=fill_value)


@op("image", rules.same)
def elastic_transform(images: Any, /, alpha: float = 20.0, sigma: float = 5.0, interpolation: Sampling = "bilinear",
                      fill_mode: FillMode = "reflect", fill_value: float = 0.0, seed: Any = None,
                      data_format: Format = None) -> TorchFunction:
    """Pixels moved about at random, those close together alike."""
    return own("images.elastic_transform", alpha=alpha, sigma=sigma, order=int(interpolation == "bilinear"),
               fill_mode=fill_mode, fill_value=fill_value, seed=seed, last=_last(data_format))


@op("image", rules.laid_out)
def scale_and_translate(images: Any, output_shape: Any, scale: Any, translation: Any, /, spatial_dims: Any,
                        method: Method, antialias: bool = True) -> TorchFunction:
    """Stretched and moved along some axes, into another shape."""
    kind = {"bilinear": "linear", "trilinear": "linear", "triangle": "linear", "bicubic": "cubic",
            "tricubic": "cubic"}.get(method, method)
    return own("images.scale_and_translate", spatial_dims=as_tuple(spatial_dims), method=kind, antialias=antialias)


# ---- filters ---------------------------------------------------------------------------------------------------------


@op("image", rules.same)
def gaussian_blur(images: Any, /, kernel_size: Any = (3, 3), sigma: Any = (1.0, 1.0),
                  data_format: Format = None) -> TorchFunction:
    """Each pixel mixed with those around it."""
    return own("images.gaussian_blur", kernel_size=as_tuple(kernel_size), sigma=as_tuple(sigma),
               last=_last(data_format))


@op("image", rules.edges)
def sobel_edges(images: Any, /, data_format: Format = None) -> TorchFunction:
    """How much the picture changes downwards and to the right, in a new last axis."""
    return own("images.sobel_edges", last=_last(data_format))


@op("image", rules.likeness, class_name="SSIM")
def ssim(image1: Any, image2: Any, /, max_val: float = 1.0, filter_size: int = 11, filter_sigma: float = 1.5,
         k1: float = 0.01, k2: float = 0.03, data_format: Format = None) -> TorchFunction:
    """How alike two images look, up to 1."""
    return own("images.ssim", max_val=max_val, filter_size=filter_size, filter_sigma=filter_sigma, k1=k1, k2=k2,
               last=_last(data_format))
