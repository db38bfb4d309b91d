"""Layers that move the pixels of images in training."""

from collections.abc import Mapping
from typing import Annotated, Any

from kerashape_torch.initializers import Seed
from kerashape_torch.kinds import Choice, DataFormat, Fraction
from kerashape_torch.layers._images import Ends, FillMode, ImageLayer, Interpolation, Limits, Share

_Shift = Annotated[Ends, Limits(strict=True, kept=True)]
_Zoom = Annotated[Ends, Limits(strict=True, open=True, kept=True)]
_ZoomOrNone = Annotated[Ends | None, Limits(strict=True, open=True, kept=True)]
_Shear = Annotated[Ends, Limits(0, 1, strict=True)]
_Turn = Annotated[Ends | None, Limits(optional=True)]


class _Geometry(ImageLayer, catalog=False):
    keeps_boxes = False
    rests_in_inference = True


class RandomFlip(_Geometry):
    """Half of the images mirrored in training: left to right, upside down, or both at once.

    ``horizontal_and_vertical`` turns an image around or leaves it: as in Keras there is one coin for both directions.
    Keras takes any other ``mode`` as well, and flips nothing.

    Input shape:  (batch, height, width, channels), or one image without the batch axis
    Output shape: the same

    >>> RandomFlip("horizontal").compute_output_shape((None, 8, 10, 3))
    (None, 8, 10, 3)
    """

    mode: str = "horizontal_and_vertical"
    seed: Seed = None
    data_format: DataFormat = None

    def transform(self) -> Any:
        from kerashape_torch.torch_modules.image_geometry import Flip

        axes = {"horizontal": (3,), "vertical": (2,), "horizontal_and_vertical": (2, 3)}
        return Flip(axes.get(self.mode, ()))


class RandomRotation(_Geometry):
    """Images turned in training, by a share of a full turn: ``0.1`` draws between -36 and 36 degrees.

    Input shape:  (batch, height, width, channels), or one image without the batch axis
    Output shape: the same

    >>> RandomRotation(0.1).compute_output_shape((None, 8, 10, 3))
    (None, 8, 10, 3)
    """

    factor: _Turn
    fill_mode: FillMode = "reflect"
    interpolation: Interpolation = "bilinear"
    seed: Seed = None
    fill_value: float = 0.0
    data_format: DataFormat = None

    def transform(self) -> Any:
        from kerashape_torch.torch_modules.image_geometry import Rotation

        return Rotation(self.fill_mode, self.interpolation, self.fill_value, self.limits("factor"))


class RandomTranslation(_Geometry):
    """Images shifted in training, by a share of their height and width.

    Input shape:  (batch, height, width, channels), or one image without the batch axis
    Output shape: the same

    >>> RandomTranslation(0.1, (0.0, 0.2)).compute_output_shape((None, 8, 10, 3))
    (None, 8, 10, 3)
    """

    height_factor: _Shift
    width_factor: _Shift
    fill_mode: FillMode = "reflect"
    interpolation: Interpolation = "bilinear"
    seed: Seed = None
    fill_value: float = 0.0
    data_format: DataFormat = None

    def transform(self) -> Any:
        from kerashape_torch.torch_modules.image_geometry import Translation

        return Translation(self.fill_mode, self.interpolation, self.fill_value, self.limits("height_factor"),
                           self.limits("width_factor"))


class RandomZoom(_Geometry):
    """Images seen from further away (positive factors) or nearer, in training. One factor keeps the aspect ratio.

    Input shape:  (batch, height, width, channels), or one image without the batch axis
    Output shape: the same

    >>> RandomZoom(0.2).compute_output_shape((None, 8, 10, 3))
    (None, 8, 10, 3)
    """

    height_factor: _Zoom
    width_factor: _ZoomOrNone = None
    fill_mode: FillMode = "reflect"
    interpolation: Interpolation = "bilinear"
    seed: Seed = None
    fill_value: float = 0.0
    data_format: DataFormat = None

    def transform(self) -> Any:
        from kerashape_torch.torch_modules.image_geometry import Zoom

        width = None if self.width_factor is None else self.limits("width_factor")
        return Zoom(self.fill_mode, self.interpolation, self.fill_value, self.limits("height_factor"), width)


class RandomShear(_Geometry):
    """Images slanted in training, as seen from their first pixel.

    Input shape:  (batch, height, width, channels), or one image without the batch axis
    Output shape: the same

    Keras writes the number 0.2 into a config as the ends (-0.2, 0.2), and refuses to load these. Here a config with
    such ends is the layer that was written; anywhere else a factor is between 0 and 1, as in Keras.

    >>> layer = RandomShear(0.2)
    >>> layer.get_config()["x_factor"]
    (-0.2, 0.2)
    >>> RandomShear.from_config(layer.get_config()).x_factor
    0.2
    """

    x_factor: _Shear = 0.0
    y_factor: _Shear = 0.0
    interpolation: Interpolation = "bilinear"
    fill_mode: FillMode = "reflect"
    fill_value: float = 0.0
    data_format: DataFormat = None
    seed: Seed = None

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "RandomShear":
        return super().from_config({**config, **{name: _unmirrored(config[name]) for name in ("x_factor", "y_factor")
                                                 if name in config}})

    def transform(self) -> Any:
        from kerashape_torch.torch_modules.image_geometry import Shear

        return Shear(self.fill_mode, self.interpolation, self.fill_value, self.limits("x_factor"),
                     self.limits("y_factor"))


def _unmirrored(value: Any) -> Any:
    """The number that stands for two ends on both sides of 0."""
    mirrored = isinstance(value, (list, tuple)) and len(value) == 2 and value[0] == -value[1]
    return value[1] if mirrored else value


class RandomPerspective(_Geometry):
    """Images seen from another side in training, each with a chance that is drawn between the ends of ``factor``.

    The corners move by shares of up to ``scale / 2`` of their distance from the first pixel, which stays.

    Input shape:  (batch, height, width, channels), or one image without the batch axis
    Output shape: the same

    >>> RandomPerspective(0.5).compute_output_shape((None, 8, 10, 3))
    (None, 8, 10, 3)
    """

    factor: Share = 1.0
    scale: Fraction = 1.0
    interpolation: Interpolation = "bilinear"
    fill_value: float = 0.0
    seed: Seed = None
    data_format: DataFormat = None

    def transform(self) -> Any:
        from kerashape_torch.torch_modules.image_geometry import Perspective

        return Perspective(self.limits("factor"), self.scale, self.interpolation, self.fill_value)


class RandomElasticTransform(_Geometry):
    """Images distorted as if on rubber in training, each with a chance drawn between the ends of ``factor``.

    ``scale`` says how far: the pixels of a batch move by smooth noise of one scale drawn for all of them.

    Input shape:  (batch, height, width, channels), or one image without the batch axis
    Output shape: the same

    >>> RandomElasticTransform(0.5).compute_output_shape((None, 8, 10, 3))
    (None, 8, 10, 3)
    """

    factor: Share = 1.0
    scale: Share = 1.0
    interpolation: Interpolation = "bilinear"
    fill_mode: Annotated[str, Choice("reflect", "wrap", "constant", "nearest", "mirror")] = "reflect"
    fill_value: float = 0.0
    value_range: Any = (0, 255)
    seed: Seed = None
    data_format: DataFormat = None

    def transform(self) -> Any:
        from kerashape_torch.torch_modules.image_geometry import Elastic

        return Elastic(self.limits("factor"), self.limits("scale"), self.interpolation, self.fill_mode,
                       self.fill_value, self.value_limits())
