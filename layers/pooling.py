"""Layers that keep one number of each window, of a few regions, or of all places.

Where Keras' backends disagree, the documented mathematics is followed: average pooling with padding ``same`` divides by
the number of real elements in the window, as on TensorFlow. Keras on torch repeats the edge there if padding is uneven.
"""

from typing import Any, ClassVar

from kerashape_torch.errors import ShapeError
from kerashape_torch.kinds import Counts, DataFormat, Padding, Sizes, SizesOrNone, per_axis
from kerashape_torch.layer import KERAS
from kerashape_torch.layers._spatial import AnyOrder, Spatial
from kerashape_torch.shape import Shape, to_text, window_output


class _Pooling(Spatial, catalog=False):
    """A window that slides over the spatial axes."""

    built_when_made = True
    kind: ClassVar[str]
    pool_size: Sizes
    strides: SizesOrNone = None
    padding: Padding = "valid"
    data_format: DataFormat = None

    @property
    def _window(self) -> tuple[int, ...]:
        return per_axis(self.pool_size, self.rank)

    @property
    def _stride(self) -> tuple[int, ...]:
        return self._window if self.strides is None else per_axis(self.strides, self.rank)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "strides": self._stride}  # Keras never writes None here

    def compute_output_shape(self, shape: Shape) -> Shape:
        axes = zip(self.spatial(shape), self._window, self._stride, self.axis_names)
        return self.with_spatial(shape, [window_output(size, window, stride, self.padding, axis=name)
                                         for size, window, stride, name in axes])

    def module(self, shape: Shape) -> Any:
        from kerashape_torch.torch_modules.pooling import same_pool, valid_pool

        if self.padding == "valid":
            return valid_pool(self.kind, self._window, self._stride)
        return same_pool(self.kind, self.spatial(shape), self._window, self._stride)


class _MaxPooling(_Pooling, catalog=False):
    kind = "max"
    pool_size: Sizes = 2
    strides: SizesOrNone = None
    padding: Padding = "valid"
    data_format: DataFormat = None


class _AveragePooling(_Pooling, catalog=False):
    kind = "average"


class MaxPooling1D(_MaxPooling, aliases=("MaxPool1D",)):
    """The largest number of each window of steps.

    Input shape:  (batch, steps, channels)
    Output shape: (batch, windows, channels)

    >>> MaxPooling1D(2).compute_output_shape((None, 9, 3))
    (None, 4, 3)
    """

    rank = 1


class MaxPooling2D(_MaxPooling, aliases=("MaxPool2D",)):
    """The largest number of each window of an image.

    Input shape:  (batch, height, width, channels)
    Output shape: (batch, windows down, windows across, channels)

    >>> MaxPooling2D().compute_output_shape((None, 28, 28, 3))
    (None, 14, 14, 3)
    >>> MaxPooling2D(3, strides=2, padding="same").compute_output_shape((None, 9, None, 3))
    (None, 5, None, 3)
    """

    rank = 2


class MaxPooling3D(_MaxPooling, aliases=("MaxPool3D",)):
    """The largest number of each window of a volume.

    Input shape:  (batch, depth, height, width, channels)
    Output shape: (batch, windows deep, windows down, windows across, channels)

    >>> MaxPooling3D((1, 2, 2)).compute_output_shape((None, 4, 8, 8, 3))
    (None, 4, 4, 4, 3)
    """

    rank = 3


class AveragePooling1D(_AveragePooling, aliases=("AvgPool1D",)):
    """The average of each window of steps; padding counts for nothing.

    Input shape:  (batch, steps, channels)
    Output shape: (batch, windows, channels)

    >>> AveragePooling1D(2, padding="same").compute_output_shape((None, 9, 3))
    (None, 5, 3)
    """

    rank = 1


class AveragePooling2D(_AveragePooling, aliases=("AvgPool2D",)):
    """The average of each window of an image; padding counts for nothing.

    Input shape:  (batch, height, width, channels)
    Output shape: (batch, windows down, windows across, channels)

    >>> AveragePooling2D(2, data_format="channels_first").compute_output_shape((None, 3, 28, 28))
    (None, 3, 14, 14)
    """

    rank = 2


class AveragePooling3D(_AveragePooling, aliases=("AvgPool3D",)):
    """The average of each window of a volume; padding counts for nothing.

    Input shape:  (batch, depth, height, width, channels)
    Output shape: (batch, windows deep, windows down, windows across, channels)

    >>> AveragePooling3D(2, strides=1).compute_output_shape((None, 4, 8, 8, 3))
    (None, 3, 7, 7, 3)
    """

    rank = 3


# ---- all places at once ----------------------------------------------------------------------------------------------


class _GlobalPooling(AnyOrder, catalog=False):
    """One number for each channel."""

    built_when_made = True
    function: ClassVar[str]
    data_format: DataFormat = None
    keepdims: bool = False

    def compute_output_shape(self, shape: Shape) -> Shape:
        sizes = self.spatial(shape)
        return self.with_spatial(shape, (1,) * len(sizes) if self.keepdims else ())

    def module(self, shape: Shape) -> Any:
        import torch

        from kerashape_torch.torch_modules import Function

        return Function(getattr(torch, self.function), dim=self.axes_at_work(shape), keepdim=bool(self.keepdims))


class _GlobalMaxPooling(_GlobalPooling, catalog=False):
    function = "amax"


class _GlobalAveragePooling(_GlobalPooling, catalog=False):
    function = "mean"


class GlobalMaxPooling1D(_GlobalMaxPooling, aliases=("GlobalMaxPool1D",)):
    """The largest number of each channel over all steps.

    Input shape:  (batch, steps, channels)
    Output shape: (batch, channels)

    >>> GlobalMaxPooling1D().compute_output_shape((None, None, 64))
    (None, 64)
    """

    rank = 1


class GlobalMaxPooling2D(_GlobalMaxPooling, aliases=("GlobalMaxPool2D",)):
    """The largest number of each channel over the whole image.

    Input shape:  (batch, height, width, channels)
    Output shape: (batch, channels)

    >>> GlobalMaxPooling2D(keepdims=True).compute_output_shape((None, 7, 7, 64))
    (None, 1, 1, 64)
    """

    rank = 2


class GlobalMaxPooling3D(_GlobalMaxPooling, aliases=("GlobalMaxPool3D",)):
    """The largest number of each channel over the whole volume.

    Input shape:  (batch, depth, height, width, channels)
    Output shape: (batch, channels)

    >>> GlobalMaxPooling3D(data_format="channels_first").compute_output_shape((None, 64, 4, 7, 7))
    (None, 64)
    """

    rank = 3


class GlobalAveragePooling1D(_GlobalAveragePooling, aliases=("GlobalAvgPool1D",)):
    """The average of each channel over all steps; with a mask, over the steps that it keeps.

    Input shape:  (batch, steps, channels)
    Output shape: (batch, channels)

    >>> GlobalAveragePooling1D().compute_output_shape((None, None, 64))
    (None, 64)
    """

    rank = 1
    call_arguments = ("inputs", "mask")
    supports_masking = True
    uses_mask = True

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return None

    def masked_module(self, shape: Shape) -> Any:
        from kerashape_torch.torch_modules import Function
        from kerashape_torch.torch_modules.masking import masked_mean

        return Function(masked_mean, steps_axis=self.axes_at_work(shape)[0], keepdim=bool(self.keepdims))


class GlobalAveragePooling2D(_GlobalAveragePooling, aliases=("GlobalAvgPool2D",)):
    """The average of each channel over the whole image.

    Input shape:  (batch, height, width, channels)
    Output shape: (batch, channels)

    >>> GlobalAveragePooling2D().compute_output_shape((None, 7, 7, 2048))
    (None, 2048)
    """

    rank = 2


class GlobalAveragePooling3D(_GlobalAveragePooling, aliases=("GlobalAvgPool3D",)):
    """The average of each channel over the whole volume.

    Input shape:  (batch, depth, height, width, channels)
    Output shape: (batch, channels)

    >>> GlobalAveragePooling3D(keepdims=True).compute_output_shape((None, 4, 7, 7, 64))
    (None, 1, 1, 1, 64)
    """

    rank = 3


# ---- a given number of regions ---------------------------------------------------------------------------------------


class _AdaptivePooling(Spatial, catalog=False):
    """Regions that share the input evenly, whatever its size.

    As in Keras, the shape rule looks neither at the rank of the input nor for a size of 0: both are refused when the
    layer is compiled.
    """

    kind: ClassVar[str]
    output_size: Counts
    data_format: DataFormat = None

    def layout(self, shape: Shape) -> str:
        return super().layout(shape) if len(shape) == self.rank + 2 else KERAS

    def compute_output_shape(self, shape: Shape) -> Shape:
        if len(shape) < 2:
            raise ShapeError("expected a batch axis and channels")
        return self.with_spatial(shape, per_axis(self._regions, self.rank))

    @property
    def _regions(self) -> int | tuple[int, ...]:
        assert self.output_size is not None
        return self.output_size

    def module(self, shape: Shape) -> Any:
        from torch import nn

        from kerashape_torch.torch_modules.pooling import tidy

        sizes = per_axis(self._regions, self.rank)
        try:
            self.spatial(shape)
            if 0 in sizes:
                raise ShapeError(f"output_size={self.output_size!r} leaves no region to pool")
        except ShapeError as error:
            raise error.at(self.describe(), to_text(shape)) from None
        return getattr(nn, f"Adaptive{self.kind}Pool{self.rank}d")(tidy(sizes))


class _AdaptiveMaxPooling(_AdaptivePooling, catalog=False):
    kind = "Max"


class _AdaptiveAveragePooling(_AdaptivePooling, catalog=False):
    kind = "Avg"


class AdaptiveMaxPooling1D(_AdaptiveMaxPooling):
    """The largest number of each of ``output_size`` stretches of steps.

    Input shape:  (batch, steps, channels)
    Output shape: (batch, output_size, channels)

    >>> AdaptiveMaxPooling1D(4).compute_output_shape((None, None, 3))
    (None, 4, 3)
    """

    rank = 1


class AdaptiveMaxPooling2D(_AdaptiveMaxPooling):
    """The largest number of each of ``output_size`` regions of an image.

    Input shape:  (batch, height, width, channels)
    Output shape: (batch, *output_size, channels)

    >>> AdaptiveMaxPooling2D((2, 3)).compute_output_shape((None, None, None, 3))
    (None, 2, 3, 3)
    """

    rank = 2


class AdaptiveMaxPooling3D(_AdaptiveMaxPooling):
    """The largest number of each of ``output_size`` regions of a volume.

    Input shape:  (batch, depth, height, width, channels)
    Output shape: (batch, *output_size, channels)

    >>> AdaptiveMaxPooling3D(2).compute_output_shape((None, 4, 8, 8, 3))
    (None, 2, 2, 2, 3)
    """

    rank = 3


class AdaptiveAveragePooling1D(_AdaptiveAveragePooling):
    """The average of each of ``output_size`` stretches of steps.

    Input shape:  (batch, steps, channels)
    Output shape: (batch, output_size, channels)

    >>> AdaptiveAveragePooling1D(4, data_format="channels_first").compute_output_shape((None, 3, 10))
    (None, 3, 4)
    """

    rank = 1


class AdaptiveAveragePooling2D(_AdaptiveAveragePooling):
    """The average of each of ``output_size`` regions of an image.

    Input shape:  (batch, height, width, channels)
    Output shape: (batch, *output_size, channels)

    >>> AdaptiveAveragePooling2D(1).compute_output_shape((None, None, None, 3))
    (None, 1, 1, 3)
    """

    rank = 2


class AdaptiveAveragePooling3D(_AdaptiveAveragePooling):
    """The average of each of ``output_size`` regions of a volume.

    Input shape:  (batch, depth, height, width, channels)
    Output shape: (batch, *output_size, channels)

    >>> AdaptiveAveragePooling3D((1, 2, 2)).compute_output_shape((None, 4, 8, 8, 3))
    (None, 1, 2, 2, 3)
    """

    rank = 3
