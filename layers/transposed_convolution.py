"""Transposed convolutions: what a convolution does to gradients, as a layer that enlarges."""

from typing import Any

from kerashape_torch.activations import Activation as ActivationLike
from kerashape_torch.constraints import ConstraintLike
from kerashape_torch.errors import ConfigError
from kerashape_torch.initializers import InitializerLike
from kerashape_torch.kinds import Counts, DataFormat, Padding, Positive, Sizes
from kerashape_torch.layers.convolution import Convolving
from kerashape_torch.regularizers import RegularizerLike
from kerashape_torch.shape import Shape, transposed_output
from kerashape_torch.weights import WeightSpec


class _ConvTranspose(Convolving, catalog=False):
    filters: Positive
    kernel_size: Sizes
    strides: Sizes = 1
    padding: Padding = "valid"
    output_padding: Counts = None
    data_format: DataFormat = None
    dilation_rate: Sizes = 1
    activation: ActivationLike = None
    use_bias: bool = True
    kernel_initializer: InitializerLike = "glorot_uniform"
    bias_initializer: InitializerLike = "zeros"
    kernel_regularizer: RegularizerLike = None
    bias_regularizer: RegularizerLike = None
    activity_regularizer: RegularizerLike = None
    kernel_constraint: ConstraintLike = None
    bias_constraint: ConstraintLike = None

    def __post_init__(self) -> None:
        for extra, stride in zip(self.numbers("output_padding"), self.numbers("strides")):
            if extra is not None and extra >= stride:
                raise ConfigError(f"{type(self).__name__}: output_padding must be smaller than strides on each axis, "
                                  f"got output_padding={self.output_padding}, strides={self.numbers('strides')}")
        self.refuse_strides_with_dilation()

    def compute_output_shape(self, shape: Shape) -> Shape:
        axes = zip(self.spatial(shape), self.numbers("kernel_size"), self.numbers("strides"),
                   self.numbers("output_padding"), self.numbers("dilation_rate"))
        return self.with_spatial(shape, [transposed_output(size, window, stride, self.padding, extra, dilation)
                                         for size, window, stride, extra, dilation in axes], self.filters)

    def weight_specs(self, shape: Shape) -> list[WeightSpec]:
        return [self.kernel_spec("kernel", (*self.numbers("kernel_size"), self.filters, self.channels(shape)),
                            "S o i -> i o S", (*self.axis_names, "filters", "input channels")),
                *self.biases(self.filters, "filters")]

    def flops(self, shape: Shape) -> int:
        return self.flops_at(shape, shape)

    def module(self, shape: Shape) -> Any:
        from kerashape_torch.torch_modules.convolution import transposed_convolution

        return transposed_convolution(self.channels(shape), self.filters, self.numbers("kernel_size"),
                                      self.numbers("strides"), self.numbers("dilation_rate"), self.padding,
                                      self.numbers("output_padding"), self.use_bias)


class Conv1DTranspose(_ConvTranspose, aliases=("Convolution1DTranspose",)):
    """Spreads each step over a window.

    Input shape:  (batch, steps, channels)
    Output shape: (batch, steps, filters)

    >>> Conv1DTranspose(4, 3, strides=2).compute_output_shape((None, 5, 2))
    (None, 11, 4)
    """

    rank = 1


class Conv2DTranspose(_ConvTranspose, aliases=("Convolution2DTranspose", "Deconvolution2D")):
    """Spreads each pixel over a window.

    Padding ``same`` gives ``size * strides``; the odd row and column that are left out are the last ones, as in Keras.

    Input shape:  (batch, height, width, channels)
    Output shape: (batch, height, width, filters)

    >>> Conv2DTranspose(4, 3, strides=2, padding="same").compute_output_shape((None, 14, None, 8))
    (None, 28, None, 4)
    """

    rank = 2


class Conv3DTranspose(_ConvTranspose, aliases=("Convolution3DTranspose", "Deconvolution3D")):
    """Spreads each element of a volume over a window.

    Input shape:  (batch, depth, height, width, channels)
    Output shape: (batch, depth, height, width, filters)

    >>> Conv3DTranspose(4, 2, strides=2).compute_output_shape((None, 5, 5, 5, 8))
    (None, 10, 10, 10, 4)
    """

    filters: Positive
    kernel_size: Sizes
    strides: Sizes = 1
    padding: Padding = "valid"
    data_format: DataFormat = None  # before output_padding here, as in Keras
    rank = 3
