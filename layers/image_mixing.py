"""Layers that choose between changes of images, or mix images with one another, in training."""

from typing import Any

from kerashape_torch.errors import ShapeError
from kerashape_torch.initializers import Seed
from kerashape_torch.kinds import DataFormat
from kerashape_torch.layers._images import ImageLayer, Interpolation, Share
from kerashape_torch.layers.image_color import (
    RandomBrightness,
    RandomColorDegeneration,
    RandomContrast,
    RandomPosterization,
    RandomSharpness,
    Solarization,
)
from kerashape_torch.layers.image_geometry import RandomRotation, RandomShear, RandomTranslation
from kerashape_torch.layers.image_histograms import AutoContrast, Equalization


class _Choosing(ImageLayer, catalog=False):
    """Base of layers that draw one of eleven changes, of a strength that ``factor`` gives."""

    keeps_boxes = False

    def __post_init__(self) -> None:
        self.changes()  # which refuses a factor that cannot be one

    def changes(self) -> dict[str, ImageLayer]:
        """The changes by name."""
        factor = self.limits("factor")
        colors: dict[str, Any] = {name: getattr(self, name) for name in ("value_range", "data_format")}
        moves: dict[str, Any] = {name: getattr(self, name) for name in ("interpolation", "data_format")}
        return {
            "shear": RandomShear(factor, factor, **moves), "translation": RandomTranslation(factor, factor, **moves),
            "rotation": RandomRotation(factor, **moves), "brightness": RandomBrightness(factor, **colors),
            "degeneration": RandomColorDegeneration(factor, **colors), "contrast": RandomContrast(factor, **colors),
            "sharpness": RandomSharpness(factor, **colors),
            "posterization": RandomPosterization(max(1, int(8 * factor[1])), **colors),
            "solarization": Solarization(factor, factor, **colors), "contrasting": AutoContrast(**colors),
            "equalization": Equalization(**colors)}


class RandAugment(_Choosing):
    """Some changes of color or geometry in a row, drawn in training for a batch; each image has its own strengths.

    Bounding boxes are not moved along.

    Input shape:  (batch, height, width, 3), or one image without the batch axis
    Output shape: the same

    >>> RandAugment(num_ops=3).compute_output_shape((None, 32, 32, 3))
    (None, 32, 32, 3)
    """

    value_range: Any = (0, 255)
    num_ops: int = 2
    factor: Share = 0.5
    interpolation: Interpolation = "bilinear"
    seed: Seed = None
    data_format: DataFormat = None

    def transform(self) -> Any:
        from kerashape_torch.torch_modules.image_mixing import RandAugment

        return RandAugment([change.transform() for change in self.changes().values()], self.num_ops)


class AugMix(_Choosing):
    """Chains of changes side by side, mixed with one another and with the image, in training.

    ``all_ops=False`` leaves out brightness, color, contrast and sharpness. Keras draws the changes from Python's own
    generator; here all numbers come from torch's.

    Input shape:  (batch, height, width, 3), or one image without the batch axis
    Output shape: the same

    >>> AugMix(num_chains=2).compute_output_shape((None, 32, 32, 3))
    (None, 32, 32, 3)
    """

    keeps_boxes = True

    value_range: Any = (0, 255)
    num_chains: int = 3
    chain_depth: int = 3
    factor: Share = 0.3
    alpha: float = 1.0
    all_ops: bool = True
    interpolation: Interpolation = "bilinear"
    seed: Seed = None
    data_format: DataFormat = None

    def changes(self) -> dict[str, ImageLayer]:
        left_out = () if self.all_ops else ("brightness", "degeneration", "contrast", "sharpness")
        return {name: change for name, change in super().changes().items() if name not in left_out}

    def transform(self) -> Any:
        from kerashape_torch.torch_modules.image_mixing import AugMix

        return AugMix([change.transform() for change in self.changes().values()], self.num_chains, self.chain_depth,
                      self.alpha, self.value_limits())


class MixUp(ImageLayer):
    """Each image mixed with another of its batch in training, and labels likewise, where they come in a dict.

    The share is drawn for each image from Beta(alpha, alpha). Labels are one-hot. Bounding boxes of both images are
    kept side by side, and their labels one batch below the other: Keras' shape rule says neither, and its layer gives
    both. Masks are mixed sample by sample, where Keras takes single numbers.

    Input shape:  (batch, height, width, channels), or a dict with "images", "labels" and so on
    Output shape: the same

    >>> MixUp().compute_output_shape({"images": (None, 8, 10, 3), "labels": (None, 5)})
    {'images': (None, 8, 10, 3), 'labels': (None, 5)}
    """

    alpha: float = 0.2
    data_format: DataFormat = None
    seed: Seed = None

    def boxes_shape(self, shapes: Any) -> Any:
        axes = {key: 0 if key == "labels" else len(shape) - 2 for key, shape in shapes.items()}
        return {key: tuple(_twice(size) if axis == axes[key] else size for axis, size in enumerate(shape))
                for key, shape in shapes.items()}

    def transform(self) -> Any:
        from kerashape_torch.torch_modules.image_mixing import MixUp

        return MixUp(self.alpha)


class CutMix(ImageLayer):
    """A box of each image taken from another of its batch in training, labels mixed by its area.

    Masks keep their channels, which Keras repeats for each channel of the images.

    Input shape:  (batch, height, width, channels), or a dict with "images", "labels" and "segmentation_masks"
    Output shape: the same

    >>> CutMix().compute_output_shape((None, 8, 10, 3))
    (None, 8, 10, 3)
    """

    keeps_boxes = False

    factor: Share = 1.0
    seed: Seed = None
    data_format: DataFormat = None

    def transform(self) -> Any:
        from kerashape_torch.torch_modules.image_mixing import CutMix

        return CutMix(self.limits("factor"))


class MaxNumBoundingBoxes(ImageLayer):
    """The same number of bounding boxes for every image: the first ones, filled up with ``fill_value``.

    Images alone pass through. Keras leaves ``fill_value`` out of the config, and loads -1.

    Input shape:  a dict with "images" and "bounding_boxes", a dict of "boxes" (batch, boxes, 4) and "labels"
    Output shape: the same with ``max_number`` boxes

    >>> layer = MaxNumBoundingBoxes(5, bounding_box_format="xyxy")
    >>> layer.compute_output_shape({"images": (None, 8, 10, 3),
    ...                             "bounding_boxes": {"boxes": (None, 3, 4), "labels": (None, 3)}})["bounding_boxes"]
    {'boxes': (None, 5, 4), 'labels': (None, 5)}
    """

    keeps_dtype = True

    max_number: int
    fill_value: int = -1

    def boxes_shape(self, shapes: Any) -> Any:
        others = [key for key in shapes if key not in ("boxes", "labels")]
        if others:
            raise ShapeError(f"bounding_boxes has 'boxes' and 'labels', got {', '.join(map(repr, others))} too")
        return {key: (shape[0], self.max_number, *shape[2:]) for key, shape in shapes.items()}

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        if self.fill_value == -1:
            del config["fill_value"]
        return config

    def transform(self) -> Any:
        from kerashape_torch.torch_modules.image_mixing import MaxBoxes

        return MaxBoxes(self.max_number, self.fill_value)


def _twice(size: int | None) -> int | None:
    return None if size is None else 2 * size
