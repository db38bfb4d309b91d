"""Layers that act in training only: dropouts and noise.

Keras and torch draw different random numbers; the rates, the scaling and what is dropped together are the same. A
``seed`` is kept in the config and does not reach torch: its own generator is seeded by ``torch.manual_seed``.
"""

from typing import TYPE_CHECKING, Annotated, Any

from kerashape_torch.errors import ConfigError
from kerashape_torch.initializers import Seed
from kerashape_torch.kinds import DataFormat, Fraction, Kind
from kerashape_torch.layer import ANY, KERAS, Layer
from kerashape_torch.layers._spatial import Spatial
from kerashape_torch.regularizers import L1L2
from kerashape_torch.shape import Shape


class _Noise(Layer, catalog=False):
    """Each element for itself, in whatever order the axes are; nothing happens outside training."""

    built_when_made = True
    supports_masking = True
    rests_in_inference = True

    def layout(self, shape: Shape) -> str:
        return ANY


class _NoiseShape(Kind):
    def read(self, value: Any, where: str) -> Any:
        sizes = tuple(value) if isinstance(value, (list, tuple)) else (0,)
        if not all(size is None or (isinstance(size, int) and size > 0) for size in sizes):
            raise ConfigError(f"{where} must be a tuple of positive integers and None, got {value!r}")
        return sizes


class Dropout(_Noise):
    """Sets a share ``rate`` of the elements to zero in training, and scales the others up by ``1 / (1 - rate)``.

    ``noise_shape`` has a 1 for each axis along which elements are dropped together.

    Input shape:  any
    Output shape: the same

    >>> Dropout(0.5).compute_output_shape((None, 32))
    (None, 32)
    """

    rate: Fraction
    noise_shape: Annotated[tuple[int | None, ...] | None, _NoiseShape()] = None
    seed: Seed = None

    def layout(self, shape: Shape) -> str:
        return ANY if self.noise_shape is None else KERAS

    def module(self, shape: Shape) -> Any:
        from torch import nn

        from kerashape_torch.torch_modules.regularization import SharedDropout

        return nn.Dropout(self.rate) if self.noise_shape is None else SharedDropout(self.rate, self.noise_shape)


class AlphaDropout(Dropout):
    """Dropout for ``selu`` networks: what is dropped goes to the least value of ``selu``, and mean and variance stay.

    Input shape:  any
    Output shape: the same

    >>> AlphaDropout(0.1).compute_output_shape((None, 32))
    (None, 32)
    """

    def module(self, shape: Shape) -> Any:
        from torch import nn

        from kerashape_torch.torch_modules.regularization import SharedAlphaDropout

        if self.noise_shape is None:
            return nn.AlphaDropout(self.rate)
        return SharedAlphaDropout(self.rate, self.noise_shape)


class GaussianDropout(_Noise):
    """Multiplies by normal noise around 1 in training, of variance ``rate / (1 - rate)``.

    Input shape:  any
    Output shape: the same

    >>> GaussianDropout(0.5).compute_output_shape((None, 32))
    (None, 32)
    """

    rate: Fraction
    seed: Seed = None

    def module(self, shape: Shape) -> Any:
        from torch import nn

        from kerashape_torch.torch_modules import regularization

        return regularization.GaussianDropout(self.rate) if self.rate else nn.Identity()


class GaussianNoise(_Noise):
    """Adds normal noise in training. Keras wants ``stddev`` to be between 0 and 1.

    Input shape:  any
    Output shape: the same

    >>> GaussianNoise(0.1).compute_output_shape((None, 32))
    (None, 32)
    """

    stddev: Fraction
    seed: Seed = None

    def module(self, shape: Shape) -> Any:
        from torch import nn

        from kerashape_torch.torch_modules import regularization

        return regularization.GaussianNoise(self.stddev) if self.stddev else nn.Identity()


class _SpatialDropout(Spatial, catalog=False):
    """Drops whole channels of a sample in training."""

    if TYPE_CHECKING:
        rate: Fraction
    built_when_made = True
    supports_masking = True
    rests_in_inference = True

    def compute_output_shape(self, shape: Shape) -> Shape:
        self.spatial(shape)
        return shape

    def module(self, shape: Shape) -> Any:
        from torch import nn

        return {1: nn.Dropout1d, 2: nn.Dropout2d, 3: nn.Dropout3d}[self.rank](self.rate)

    def get_config(self) -> dict[str, Any]:
        """As Keras writes it: without ``trainable``, and with the dtype as a word."""
        config = super().get_config()
        del config["trainable"]
        return {**config, "dtype": self.variable_dtype}


class SpatialDropout1D(_SpatialDropout):
    """Drops whole channels of a sequence in training.

    Input shape:  (batch, steps, channels)
    Output shape: the same

    >>> SpatialDropout1D(0.5).compute_output_shape((None, 10, 3))
    (None, 10, 3)
    """

    rank = 1
    rate: Fraction
    seed: Seed = None


class SpatialDropout2D(_SpatialDropout):
    """Drops whole channels of an image in training.

    Input shape:  (batch, height, width, channels)
    Output shape: the same

    >>> SpatialDropout2D(0.5).compute_output_shape((None, 8, 8, 3))
    (None, 8, 8, 3)
    """

    rank = 2
    rate: Fraction
    data_format: DataFormat = None
    seed: Seed = None


class SpatialDropout3D(_SpatialDropout):
    """Drops whole channels of a volume in training.

    Input shape:  (batch, depth, height, width, channels)
    Output shape: the same

    >>> SpatialDropout3D(0.5).compute_output_shape((None, 8, 8, 8, 3))
    (None, 8, 8, 8, 3)
    """

    rank = 3
    rate: Fraction
    data_format: DataFormat = None
    seed: Seed = None


class ActivityRegularization(_Noise):
    """Passes its input on.

    Its penalty, ``(l1 * sum(abs(x)) + l2 * sum(x ** 2)) / batch``, is a part of the training loss:
    :mod:`kerashape_torch.training` adds it.

    Input shape:  any
    Output shape: the same

    >>> ActivityRegularization(l1=0.1).compute_output_shape((None, 4))
    (None, 4)
    """

    l1: float = 0.0
    l2: float = 0.0

    def output_regularizer(self) -> Any:
        return L1L2(self.l1, self.l2)

    def module(self, shape: Shape) -> Any:
        from torch import nn

        return nn.Identity()
