"""Layers that spread the values of images by those that there are."""

from typing import Any

from kerashape_torch.kinds import DataFormat
from kerashape_torch.layers._images import ImageLayer, ValueRange


class AutoContrast(ImageLayer):
    """The values of each channel stretched over the whole range, in training and in inference.

    Channels first, Keras takes the least and the greatest value of each column over all channels and rows, which is
    followed.

    Input shape:  (batch, height, width, channels), or one image without the batch axis
    Output shape: the same

    >>> AutoContrast((0, 1)).compute_output_shape((None, 8, 10, 3))
    (None, 8, 10, 3)
    """

    value_range: ValueRange = (0, 255)

    def transform(self) -> Any:
        from kerashape_torch.torch_modules.image_histograms import AutoContrast

        return AutoContrast(self.value_limits(), (1, 2) if self.is_channels_first else (2, 3))


class Equalization(ImageLayer):
    """Values spread so that all are equally frequent in each channel, in training; a batch shares its histograms.

    In inference nothing happens, whatever Keras' documentation says.

    Input shape:  (batch, height, width, channels), or one image without the batch axis
    Output shape: the same

    >>> Equalization(bins=64).compute_output_shape((None, 8, 10, 3))
    (None, 8, 10, 3)
    """

    keeps_dtype = True

    value_range: ValueRange = (0, 255)
    bins: int = 256
    data_format: DataFormat = None

    def transform(self) -> Any:
        from kerashape_torch.torch_modules.image_histograms import Equalize

        return Equalize(self.value_limits(), self.bins)


class ContrastLimitedAdaptiveHistogramEqualization(ImageLayer):
    """Values spread by the histogram of the tile around them, cut off at a limit; in training and in inference.

    Keras' backends disagree, and torch is followed: the limit, as a number of pixels, is rounded down, and where the
    tiles do not fit the last row and column are repeated. Integers stay integers.

    Input shape:  (batch, height, width, channels), or one image without the batch axis
    Output shape: the same

    >>> ContrastLimitedAdaptiveHistogramEqualization(tile_grid_size=(4, 4)).compute_output_shape((None, 32, 32, 3))
    (None, 32, 32, 3)
    """

    keeps_dtype = True

    value_range: Any = (0, 255)
    clip_limit: float = 4.0
    tile_grid_size: Any = (8, 8)
    data_format: DataFormat = None

    def transform(self) -> Any:
        from kerashape_torch.torch_modules.image_histograms import LocalEqualize

        rows, columns = self.tile_grid_size
        return LocalEqualize(self.value_limits(), self.clip_limit, (rows, columns))
