"""What image layers have in common: ranges of factors, single images, and dicts of images with what belongs to them.

Keras' random layers act where a call says ``training=True``, which is what a call says that says nothing. A compiled
module acts in ``train()`` and gives its images back in ``eval()``, as ``predict`` does in Keras. Integers come out as
floats, as Keras' shape rules promise; Keras itself leaves them alone in inference in some of these layers.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from kerashape_torch.dtypes import is_float
from kerashape_torch.errors import ConfigError, KerashapeError, ShapeError, refuse
from kerashape_torch.graph import TensorSpec, shapes_of
from kerashape_torch.initializers import seed_of
from kerashape_torch.kinds import Choice, DataFormat, Kind
from kerashape_torch.layer import KERAS
from kerashape_torch.layers._spatial import Spatial
from kerashape_torch.shape import Shape, require_rank
from kerashape_torch.structure import is_shape

# ---- arguments -------------------------------------------------------------------------------------------------------


class Limits(Kind):
    """A number, or the two ends between which one is drawn; a number ``f`` stands for ``-f`` to ``f``.

    Args:
        least, most: what a factor may be. Of two ends Keras asks only that they reach into this range.
        strict: each of two ends is within the range, the least one excluded if ``open``.
        mirrored: a number stands for both directions; else for 0 to it.
        kept: the config has the value as it was given; else it has the two ends.
    """

    def __init__(self, least: float = -1, most: float = 1, *, strict: bool = False, open: bool = False,
                 mirrored: bool = True, kept: bool = False, optional: bool = False) -> None:
        self.least = least
        self.most = most
        self.strict = strict
        self.open = open
        self.mirrored = mirrored
        self.kept = kept
        self.optional = optional

    def read(self, value: Any, where: str) -> Any:
        if value is None and self.optional:
            return value
        ends = self._ends(value, where)
        within = all(map(self._may_be, ends)) if self.strict or len(ends) == 1 else (
            ends[0] <= self.most and ends[1] >= self.least)
        if not within:
            above = "above" if self.open else "between"
            span = f"{above} {self.least} and " + (f"at most {self.most}" if self.open else f"{self.most}")
            raise ConfigError(f"{where} must be {span}, or two such numbers, got {value!r}")
        return value

    def _ends(self, value: Any, where: str) -> tuple[float, ...]:
        ends = tuple(value) if isinstance(value, (list, tuple)) else (value,)
        numbers = all(isinstance(end, (int, float)) for end in ends)
        if not numbers or len(ends) != (2 if isinstance(value, (list, tuple)) else 1):
            raise ConfigError(f"{where} must be a number, or two as the ends of a range, got {value!r}")
        return ends

    def _may_be(self, end: float) -> bool:
        return (self.least < end if self.open else self.least <= end) and end <= self.most

    def limits(self, value: Any) -> tuple[float, float]:
        """The two ends, the smaller first."""
        if isinstance(value, (list, tuple)):
            low, high = sorted(value)
            return low, high
        value = abs(value or 0.0)
        lowest = -value if self.mirrored else 0
        return (lowest if self.strict else max(lowest, self.least)), value

    def write(self, value: Any, record: Any) -> Any:
        return value if self.kept else self.limits(value)


class _SortedRange(Kind):
    def read(self, value: Any, where: str) -> Any:
        if not isinstance(value, (list, tuple)) or len(value) != 2:
            raise ConfigError(f"{where} must be the least and the greatest value of a pixel, got {value!r}")
        return value

    def write(self, value: Any, record: Any) -> Any:
        return sorted(value)


class _Odd(Kind):
    def read(self, value: Any, where: str) -> Any:
        sizes = tuple(value) if isinstance(value, (list, tuple)) else (value, value)
        if len(sizes) != 2 or not all(isinstance(size, (int, float)) and size % 2 for size in sizes):
            raise ConfigError(f"{where} must be an odd number, or two, got {value!r}")
        return value

    def write(self, value: Any, record: Any) -> Any:
        return tuple(value) if isinstance(value, (list, tuple)) else (value, value)


Ends = float | tuple[float, float]
Factor = Annotated[Ends, Limits()]
Share = Annotated[Ends, Limits(0, 1)]
ValueRange = Annotated[tuple[float, float], _SortedRange()]
OddSizes = Annotated[int | tuple[int, int], _Odd()]
FillMode = Annotated[str, Choice("reflect", "wrap", "constant", "nearest")]
Interpolation = Annotated[str, Choice("nearest", "bilinear")]


# ---- the layers ------------------------------------------------------------------------------------------------------


class ImageLayer(Spatial, catalog=False, kw_only=True):
    """Takes a batch of images, one image, or a dict of images with labels, segmentation masks and bounding boxes.

    A subclass states :meth:`transform`, and :meth:`image_shape` where it changes the size.
    """

    rank = 2
    training_unless_told = True
    written_only_if_given: ClassVar[tuple[str, ...]] = ("bounding_box_format",)
    keeps_boxes: ClassVar[bool] = True
    """True where bounding boxes are what they were: pixels change, and stay in their places."""

    bounding_box_format: str | None = None
    if not TYPE_CHECKING:  # to which the place that a layer gives it among its own arguments would be the first
        data_format: DataFormat = None

    def transform(self) -> Any:
        """What the layer does to (batch, channels, height, width): see :mod:`kerashape_torch.torch_modules.images`."""
        raise NotImplementedError

    def image_shape(self, shape: Shape) -> Shape:
        """The shape of the images that come out."""
        return shape

    def resized(self, shape: Shape, height: int, width: int) -> Shape:
        """A shape with other sizes of its spatial axes, for a batch or, with any other rank, one image."""
        sizes, first = list(shape), (1 if len(shape) == 4 else 0) + (1 if self.is_channels_first else 0)
        if len(sizes) < first + 2:
            raise ShapeError(f"expected rank 3 or 4, {self._axes_text}, got rank {len(sizes)}")
        sizes[first:first + 2] = [height, width]
        return tuple(sizes)

    @property
    def _axes_text(self) -> str:
        axes = ("channels", "height", "width") if self.is_channels_first else ("height", "width", "channels")
        return f"(batch, {', '.join(axes)}) or ({', '.join(axes)})"

    # ---- the rules ---------------------------------------------------------------------------------------------------

    def compute_output_shape(self, shape: Any) -> Any:
        if not isinstance(shape, Mapping):
            if not is_shape(shape):
                raise ShapeError("images come alone or in a dict, under the key 'images'",
                                 hint="in a model: layer({'images': Input(...), 'labels': Input(...)})")
            return self.image_shape(shape)
        images = _images_of(shape)
        shapes = {**shape, "images": self.image_shape(images)}
        if "segmentation_masks" in shape:
            shapes["segmentation_masks"] = self.image_shape(shape["segmentation_masks"])
        if "bounding_boxes" in shape:
            shapes["bounding_boxes"] = self.boxes_shape(shape["bounding_boxes"])
        return shapes

    def boxes_shape(self, shapes: Any) -> Any:
        """The shapes of ``{"boxes": ..., "labels": ...}`` that come out."""
        return shapes

    def layout(self, shape: Any) -> str:
        return KERAS if isinstance(shape, Mapping) or len(shape) != 4 else super().layout(shape)

    def module(self, shape: Any) -> Any:
        import torch

        from kerashape_torch.torch_modules.images import Images

        images = _images_of(shape) if isinstance(shape, Mapping) else shape
        require_rank(images, (3, 4), self._axes_text)
        if isinstance(shape, Mapping) and "bounding_boxes" in shape:
            self._check_boxes()
        outside = self.layout(shape) == KERAS and not self.is_channels_first
        seed = seed_of(getattr(self, "seed", None))
        return Images(self.transform(), seed, getattr(torch, self.compute_dtype), outside)

    def _check_boxes(self) -> None:
        if not self.keeps_boxes:
            raise refuse(self, "bounding boxes do not move along with the images here",
                         "Way out: a layer that leaves pixels in their places, or boxes made afterwards")
        if self.bounding_box_format is None:
            raise ConfigError(f"{self.describe()} takes bounding boxes with bounding_box_format=..., such as 'xyxy'")

    def outputs_for(self, specs: list[Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        given = self.bind(args, kwargs)["inputs"]
        if not isinstance(given, Mapping):
            return super().outputs_for(specs, args, kwargs)
        return _specs(given, self.compute_output_shape(shapes_of(given)), self)

    # ---- what the arguments say --------------------------------------------------------------------------------------

    def limits(self, name: str) -> tuple[float, float]:
        """The two ends of the range that an argument gives."""
        kind = self._fields[name].kind
        assert isinstance(kind, Limits)
        return kind.limits(getattr(self, name))

    def value_limits(self) -> tuple[float, float]:
        """The least and the greatest value of a pixel."""
        written = self._written(self._fields["value_range"])
        if not isinstance(written, (list, tuple)) or len(written) != 2:
            raise ConfigError(f"{self.describe()}: value_range must be the least and the greatest value of a pixel, "
                              f"got {written!r}")
        return written[0], written[1]


def _images_of(shapes: Mapping[str, Any]) -> Shape:
    if "images" not in shapes:
        raise KerashapeError(f"a dict of images needs the key 'images', got {', '.join(map(repr, shapes))}")
    return tuple(shapes["images"])


def _specs(given: Any, shapes: Any, layer: ImageLayer) -> Any:
    """Integers stay integers beside the images: labels and masks."""
    if isinstance(given, Mapping):
        return {key: TensorSpec(tuple(shapes[key]), layer.output_dtype(given[key].dtype)) if key == "images"
                else _specs(given[key], shapes[key], layer) for key in given}
    return TensorSpec(tuple(shapes), layer.compute_dtype if is_float(given.dtype) else given.dtype)
