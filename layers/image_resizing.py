"""Layers that give images another size."""

from typing import Any

from kerashape_torch.errors import ConfigError
from kerashape_torch.initializers import Seed
from kerashape_torch.kinds import DataFormat, Positive
from kerashape_torch.layers._images import ImageLayer
from kerashape_torch.shape import Shape, require_rank

_INTERPOLATIONS = ("bilinear", "nearest", "bicubic", "lanczos3", "lanczos5")


class Resizing(ImageLayer):
    """Images at another size, in training and in inference.

    Input shape:  (batch, height, width, channels), or one image without the batch axis
    Output shape: the same with the new height and width

    ``crop_to_aspect_ratio`` cuts off, and ``pad_to_aspect_ratio`` adds, what keeps the aspect ratio. Keras' backends
    disagree on ``bicubic``; TensorFlow's kernel is followed, as for Lanczos, which Keras has on TensorFlow alone.
    Integers stay integers and are rounded, as Keras computes them, though its shape rule says floats. Keras finds wrong
    arguments when the layer runs; here they are found when it is compiled.

    >>> Resizing(32, 48).compute_output_shape((None, 8, 10, 3))
    (None, 32, 48, 3)
    >>> Resizing(4, 5).compute_output_shape((8, 10, 3))
    (4, 5, 3)
    """

    keeps_dtype = True
    keeps_boxes = False

    height: Positive
    width: Positive
    interpolation: str = "bilinear"
    crop_to_aspect_ratio: bool = False
    pad_to_aspect_ratio: bool = False
    fill_mode: str = "constant"
    fill_value: float = 0.0
    antialias: bool = False
    data_format: DataFormat = None

    def image_shape(self, shape: Shape) -> Shape:
        return self.resized(shape, self.height, self.width)

    def transform(self) -> Any:
        from kerashape_torch.torch_modules.image_resizing import Resize

        if self.interpolation not in _INTERPOLATIONS:
            raise ConfigError(f"{self.describe()}: interpolation must be one of "
                              f"{', '.join(map(repr, _INTERPOLATIONS))}, got {self.interpolation!r}")
        if self.fill_mode != "constant":
            raise ConfigError(f"{self.describe()}: fill_mode must be 'constant', got {self.fill_mode!r}")
        if self.crop_to_aspect_ratio and self.pad_to_aspect_ratio:
            raise ConfigError(f"{self.describe()}: crop_to_aspect_ratio or pad_to_aspect_ratio, not both")
        aspect = "crop" if self.crop_to_aspect_ratio else "pad" if self.pad_to_aspect_ratio else None
        return Resize((self.height, self.width), self.interpolation, aspect, self.fill_value, self.antialias)


class CenterCrop(ImageLayer):
    """The middle of images, in training and in inference. Of a smaller image, the middle enlarged to the size.

    Input shape:  (batch, height, width, channels), or one image without the batch axis
    Output shape: the same with the new height and width

    >>> CenterCrop(4, 5).compute_output_shape((None, 8, 10, 3))
    (None, 4, 5, 3)
    """

    keeps_boxes = False

    height: Positive
    width: Positive
    data_format: DataFormat = None

    def image_shape(self, shape: Shape) -> Shape:
        require_rank(shape, (3, 4), self._axes_text)
        return self.resized(shape, self.height, self.width)

    def transform(self) -> Any:
        from kerashape_torch.torch_modules.image_resizing import CenterCrop

        return CenterCrop((self.height, self.width))


class RandomCrop(ImageLayer):
    """A window of images in training, at one place for all images of a batch.

    Input shape:  (batch, height, width, channels), or one image without the batch axis
    Output shape: the same with the new height and width, in training; in inference the images as they are, whatever
    Keras' documentation says of a resized middle

    Images that are not larger than the window in both directions give what there is from one corner on, resized.

    >>> RandomCrop(4, 5).compute_output_shape((None, 8, 10, 3))
    (None, 4, 5, 3)
    """

    keeps_boxes = False

    height: Positive
    width: Positive
    seed: Seed = None
    data_format: DataFormat = None

    def image_shape(self, shape: Shape) -> Shape:
        require_rank(shape, (3, 4), self._axes_text)
        return self.resized(shape, self.height, self.width)

    def transform(self) -> Any:
        from kerashape_torch.torch_modules.image_resizing import RandomCrop

        return RandomCrop((self.height, self.width))
