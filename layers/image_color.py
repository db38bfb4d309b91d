"""Layers that change the values of pixels in training, each image on its own, and leave them in their places."""

from typing import Annotated, Any

from kerashape_torch.errors import ConfigError, ShapeError
from kerashape_torch.initializers import Seed
from kerashape_torch.kinds import DataFormat, Fraction
from kerashape_torch.layers._images import Ends, Factor, ImageLayer, Limits, OddSizes, Share, ValueRange
from kerashape_torch.shape import Shape, require_rank

_Offset = Annotated[Ends | None, Limits(optional=True)]
_FromZero = Annotated[Ends, Limits(0, 1, strict=True, mirrored=False)]
_Bits = Annotated[int | tuple[int, int], Limits(1, 8)]

# ---- brightness ------------------------------------------------------------------------------------------------------


class RandomBrightness(ImageLayer):
    """Images brighter or darker in training, by a share of the range of values.

    Input shape:  (batch, height, width, channels), or one image without the batch axis
    Output shape: the same

    >>> RandomBrightness(0.2).compute_output_shape((None, 8, 10, 3))
    (None, 8, 10, 3)
    """

    factor: _Offset
    value_range: ValueRange = (0, 255)
    seed: Seed = None
    rests_in_inference = True

    def transform(self) -> Any:
        from kerashape_torch.torch_modules.image_color import Brightness

        return Brightness(self.limits("factor"), self.value_limits())


class RandomContrast(ImageLayer):
    """Each value's distance from the mean of its channel times a factor, in training: between ``1 - lower`` and
    ``1 + upper``. Keras takes a single number for the upper end, and 0 for the lower.

    Input shape:  (batch, height, width, channels), or one image without the batch axis
    Output shape: the same

    >>> RandomContrast(0.2).get_config()["factor"]
    (0, 0.2)
    """

    factor: Share
    value_range: Any = (0, 255)
    seed: Seed = None
    rests_in_inference = True

    def transform(self) -> Any:
        from kerashape_torch.torch_modules.image_color import Contrast

        return Contrast(self.limits("factor"), self.value_limits())


class RandomInvert(ImageLayer):
    """The negative of some images in training, each with a chance drawn between the ends of ``factor``.

    Input shape:  (batch, height, width, channels), or one image without the batch axis
    Output shape: the same

    >>> RandomInvert(0.5).compute_output_shape((None, 8, 10, 3))
    (None, 8, 10, 3)
    """

    factor: Share = 1.0
    value_range: Any = (0, 255)
    seed: Seed = None
    data_format: DataFormat = None

    def transform(self) -> Any:
        from kerashape_torch.torch_modules.image_color import Invert

        return Invert(self.limits("factor"), self.value_limits())


class RandomPosterization(ImageLayer):
    """Fewer bits for each value in training: from the lower end to one below the upper, as Keras draws them. A single
    number is the upper end, and 1 the lower; two equal numbers are that number of bits.

    Input shape:  (batch, height, width, channels), or one image without the batch axis
    Output shape: the same

    >>> RandomPosterization(4).get_config()["factor"]
    (1, 4)
    """

    factor: _Bits
    value_range: ValueRange = (0, 255)
    data_format: DataFormat = None
    seed: Seed = None

    def transform(self) -> Any:
        from kerashape_torch.torch_modules.image_color import Posterize

        least, most = self.limits("factor")
        return Posterize((int(least), int(most)), self.value_limits())


class Solarization(ImageLayer):
    """Values at or above a threshold turned around in training, after a number was added to all.

    Both are drawn for each image, as shares of the range of values. Of two ends Keras scales only the upper one to the
    255 values of a byte, so that (0.2, 0.5) draws between 0.2 and 127.5.

    Input shape:  (batch, height, width, channels), or one image without the batch axis
    Output shape: the same

    >>> Solarization(0.1, 0.5).get_config()["threshold_factor"]
    (0, 0.5)
    """

    addition_factor: _FromZero = 0.0
    threshold_factor: _FromZero = 0.0
    value_range: ValueRange = (0, 255)
    seed: Seed = None

    def transform(self) -> Any:
        from kerashape_torch.torch_modules.image_color import Solarize

        return Solarize(self.limits("addition_factor"), self.limits("threshold_factor"), self.value_limits())


# ---- colors ----------------------------------------------------------------------------------------------------------


class RandomHue(ImageLayer):
    """The hue turned by up to half a circle to either side, in training.

    Input shape:  (batch, height, width, 3), or one image without the batch axis
    Output shape: the same

    >>> RandomHue(0.2).compute_output_shape((None, 8, 10, 3))
    (None, 8, 10, 3)
    """

    factor: Share
    value_range: Any = (0, 255)
    data_format: DataFormat = None
    seed: Seed = None

    def transform(self) -> Any:
        from kerashape_torch.torch_modules.image_color import Hue

        return Hue(self.limits("factor"), self.value_limits())


class RandomSaturation(ImageLayer):
    """Colors stronger above a factor of 0.5 and weaker below it, in training: ``factor / (1 - factor)``.

    Keras draws between ``-factor`` and ``factor`` for a single number, and limits the saturation, which is a share, to
    the range of the pixels' values; both are followed.

    Input shape:  (batch, height, width, 3), or one image without the batch axis
    Output shape: the same

    >>> RandomSaturation((0.3, 0.7)).compute_output_shape((None, 8, 10, 3))
    (None, 8, 10, 3)
    """

    factor: Factor
    value_range: ValueRange = (0, 255)
    data_format: DataFormat = None
    seed: Seed = None

    def transform(self) -> Any:
        from kerashape_torch.torch_modules.image_color import Saturation

        return Saturation(self.limits("factor"), self.value_limits())


class RandomGrayscale(ImageLayer):
    """Images without color in training, each with the chance ``factor``; they keep their channels.

    Input shape:  (batch, height, width, 3), or one image without the batch axis
    Output shape: the same

    >>> RandomGrayscale(0.5).compute_output_shape((None, 8, 10, 3))
    (None, 8, 10, 3)
    """

    keeps_dtype = True
    unwritten = ("seed",)
    factor: Fraction = 0.5
    data_format: DataFormat = None
    seed: Seed = None

    def transform(self) -> Any:
        from kerashape_torch.torch_modules.image_color import Grayscale

        return Grayscale(self.factor)


class RandomColorDegeneration(ImageLayer):
    """Images between themselves (0) and their gray selves (1) in training. A single number stands for both directions.

    Input shape:  (batch, height, width, 3), or one image without the batch axis
    Output shape: the same

    >>> RandomColorDegeneration(0.5).get_config()["factor"]
    (-0.5, 0.5)
    """

    factor: Factor
    value_range: ValueRange = (0, 255)
    data_format: DataFormat = None
    seed: Seed = None

    def image_shape(self, shape: Shape) -> Shape:
        require_rank(shape, (3, 4), self._axes_text)
        channels = shape[-3 if self.is_channels_first else -1]
        if channels not in (3, None):
            raise ShapeError(f"channels: red, green and blue are needed, got {channels}")
        return shape

    def transform(self) -> Any:
        from kerashape_torch.torch_modules.image_color import Degenerate

        return Degenerate(self.limits("factor"), self.value_limits())


class RandomColorJitter(ImageLayer):
    """Brightness, contrast, saturation and hue changed in this order in training, those whose factor is given.

    Channels first, Keras takes the mean for the contrast over channels and height, which is followed, and cannot change
    saturation and hue, which works here.

    Input shape:  (batch, height, width, 3), or one image without the batch axis
    Output shape: the same

    >>> RandomColorJitter(brightness_factor=0.2).compute_output_shape((None, 8, 10, 3))
    (None, 8, 10, 3)
    """

    value_range: Any = (0, 255)
    brightness_factor: Any = None
    contrast_factor: Any = None
    saturation_factor: Any = None
    hue_factor: Any = None
    seed: Seed = None
    data_format: DataFormat = None

    def __post_init__(self) -> None:
        layers: list[tuple[Any, Any]] = [
            (RandomBrightness, self.brightness_factor), (RandomContrast, self.contrast_factor),
            (RandomSaturation, self.saturation_factor), (RandomHue, self.hue_factor)]
        self.steps = [layer(factor, value_range=self.value_range) for layer, factor in layers if factor is not None]

    def transform(self) -> Any:
        from kerashape_torch.torch_modules.image_color import Chain, Contrast

        steps = [step.transform() for step in self.steps]
        for step in steps:
            if isinstance(step, Contrast) and self.is_channels_first:
                step.axes = (1, 2)
        return Chain(steps)


# ---- neighbourhoods --------------------------------------------------------------------------------------------------


class RandomSharpness(ImageLayer):
    """Images smoothed (below 0.5) or sharpened (above) in training.

    Input shape:  (batch, height, width, channels), or one image without the batch axis
    Output shape: the same

    >>> RandomSharpness((0.3, 0.7)).compute_output_shape((None, 8, 10, 3))
    (None, 8, 10, 3)
    """

    factor: Share
    value_range: ValueRange = (0, 255)
    data_format: DataFormat = None
    seed: Seed = None

    def transform(self) -> Any:
        from kerashape_torch.torch_modules.image_color import Sharpen

        return Sharpen(self.limits("factor"), self.value_limits())


class RandomGaussianBlur(ImageLayer):
    """Images blurred in training, each with a chance drawn between the ends of ``factor``, a batch by the same bell.

    A window of two sizes is (height, width) here; Keras fails on it on torch, and mixes its weights up on TensorFlow.

    Input shape:  (batch, height, width, channels), or one image without the batch axis
    Output shape: the same

    >>> RandomGaussianBlur(kernel_size=5).get_config()["kernel_size"]
    (5, 5)
    """

    factor: Share = 1.0
    kernel_size: OddSizes = 3
    sigma: Share = 1.0
    value_range: Any = (0, 255)
    data_format: DataFormat = None
    seed: Seed = None

    def transform(self) -> Any:
        from kerashape_torch.torch_modules.image_color import GaussianBlur

        sizes = self._written(self._fields["kernel_size"])
        return GaussianBlur(self.limits("factor"), sizes, self.limits("sigma"), self.value_limits())


class RandomErasing(ImageLayer):
    """A box of some images filled in training, each with a chance drawn between the ends of ``factor``.

    Width and height of the box are square roots of numbers drawn between the ends of ``scale``, as shares of the
    image. ``fill_value`` is a number or one for each channel; None is noise.

    Input shape:  (batch, height, width, channels), or one image without the batch axis
    Output shape: the same

    >>> RandomErasing(0.5, fill_value=0).compute_output_shape((None, 8, 10, 3))
    (None, 8, 10, 3)
    """

    factor: Share = 1.0
    scale: Share = (0.02, 0.33)
    fill_value: Any = None
    value_range: Any = (0, 255)
    seed: Seed = None
    data_format: DataFormat = None

    def transform(self) -> Any:
        from kerashape_torch.torch_modules.image_color import Erase

        fill = self.fill_value
        numbers = fill if isinstance(fill, (list, tuple)) else (fill,)
        fits = all(isinstance(number, (int, float)) for number in numbers) and len(numbers) in (1, 3)
        if fill is not None and not fits:
            raise ConfigError(f"{self.describe()}: fill_value must be a number or three, got {fill!r}")
        return Erase(self.limits("factor"), self.limits("scale"), tuple(numbers) if fill is not None else None,
                     self.value_limits())
