"""What layers with spatial axes have in common: where these axes are, and the order that their modules work in."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from kerashape_torch.layer import ANY, CHANNELS_FIRST, KERAS, Layer
from kerashape_torch.shape import AXES, Shape, Size, require_rank

if TYPE_CHECKING:
    from typing_extensions import Self


class Spatial(Layer, catalog=False):
    """Base of layers whose input has a batch axis, ``rank`` spatial axes, and channels last or first."""

    rank: ClassVar[int]

    def layout(self, shape: Shape) -> str:
        return KERAS if self.is_channels_first else CHANNELS_FIRST

    @property
    def is_channels_first(self) -> bool:
        """Whether the Keras tensor has its channels on axis 1; a layer without ``data_format`` has them last."""
        return getattr(self, "data_format", None) == "channels_first"

    @property
    def axis_names(self) -> tuple[str, ...]:
        """The spatial axes in words."""
        return AXES[self.rank]

    def spatial(self, shape: Shape) -> Shape:
        """The sizes of the spatial axes; a shape of another rank is refused."""
        axes = ("batch", "channels", *self.axis_names) if self.is_channels_first else (
            "batch", *self.axis_names, "channels")
        require_rank(shape, self.rank + 2, f"({', '.join(axes)})")
        return shape[2:] if self.is_channels_first else shape[1:-1]

    def with_spatial(self, shape: Shape, sizes: Sequence[Size], channels: Size = None) -> Shape:
        """The shape with other spatial sizes, and the same channels unless others are given."""
        if self.is_channels_first:
            return (shape[0], shape[1] if channels is None else channels, *sizes)
        return (shape[0], *sizes, shape[-1] if channels is None else channels)


class AnyOrder(Spatial, catalog=False):
    """A function of axes, wherever they are: steps, from an embedding or a convolution, are taken as they come."""

    def layout(self, shape: Shape) -> str:
        return ANY if self.rank == 1 and not self.is_channels_first else super().layout(shape)

    def in_channels_first(self, rank: int) -> "Self":
        return self.copy(data_format="channels_first")

    def axes_at_work(self, shape: Shape) -> tuple[int, ...]:
        """Where the spatial axes are when the module runs."""
        first = 1 if self.layout(shape) == ANY else 2
        return tuple(range(first, first + self.rank))
