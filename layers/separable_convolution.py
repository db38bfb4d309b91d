"""Convolutions in two steps: each channel by itself, then the channels at each place."""

from collections import OrderedDict
from typing import Any

from kerashape_torch.activations import Activation as ActivationLike
from kerashape_torch.constraints import ConstraintLike
from kerashape_torch.initializers import InitializerLike
from kerashape_torch.kinds import DataFormat, Padding, Positive, Sizes
from kerashape_torch.layers.convolution import Convolving
from kerashape_torch.regularizers import RegularizerLike
from kerashape_torch.shape import Shape
from kerashape_torch.weights import WeightSpec


class _SeparableConv(Convolving, catalog=False):
    filters: Positive
    kernel_size: Sizes
    strides: Sizes = 1
    padding: Padding = "valid"
    data_format: DataFormat = None
    dilation_rate: Sizes = 1
    depth_multiplier: Positive = 1
    activation: ActivationLike = None
    use_bias: bool = True
    depthwise_initializer: InitializerLike = "glorot_uniform"
    pointwise_initializer: InitializerLike = "glorot_uniform"
    bias_initializer: InitializerLike = "zeros"
    depthwise_regularizer: RegularizerLike = None
    pointwise_regularizer: RegularizerLike = None
    bias_regularizer: RegularizerLike = None
    activity_regularizer: RegularizerLike = None
    depthwise_constraint: ConstraintLike = None
    pointwise_constraint: ConstraintLike = None
    bias_constraint: ConstraintLike = None

    def compute_output_shape(self, shape: Shape) -> Shape:
        return self.slid_over(shape, self.filters)

    def weight_specs(self, shape: Shape) -> list[WeightSpec]:
        channels, between = self.channels(shape), self.channels(shape) * self.depth_multiplier
        return [self.kernel_spec("depthwise", (*self.numbers("kernel_size"), channels, self.depth_multiplier),
                            "S i m -> (i m) 1 S", (*self.axis_names, "input channels", "kernels for each"),
                            name="depthwise_kernel", at="depthwise.weight", i=channels, m=self.depth_multiplier),
                self.kernel_spec("pointwise", (*(1,) * self.rank, between, self.filters), "S i o -> o i S",
                            (*self.axis_names, "depthwise channels", "filters"),
                            name="pointwise_kernel", at="pointwise.weight"),
                *self.biases(self.filters, "filters", at="pointwise.bias")]

    def module(self, shape: Shape) -> Any:
        from torch import nn

        from kerashape_torch.torch_modules.convolution import convolution

        channels, one = self.channels(shape), (1,) * self.rank
        between = channels * self.depth_multiplier
        return nn.Sequential(OrderedDict(
            depthwise=self.sliding(shape, between, groups=channels, bias=False),
            pointwise=convolution(between, self.filters, one, one, one, one, "valid", bias=self.use_bias)))


class SeparableConv1D(_SeparableConv, aliases=("SeparableConvolution1D",)):
    """Slides windows over the steps of each channel, then mixes the channels of each place.

    Input shape:  (batch, steps, channels)
    Output shape: (batch, windows, filters)

    >>> SeparableConv1D(4, 3).compute_output_shape((None, 10, 2))
    (None, 8, 4)
    """

    rank = 1


class SeparableConv2D(_SeparableConv, aliases=("SeparableConvolution2D",)):
    """Slides windows over each channel of an image, then mixes the channels of each place.

    Input shape:  (batch, height, width, channels)
    Output shape: (batch, windows down, windows across, filters)

    >>> SeparableConv2D(8, 3, padding="same", input_shape=(28, 28, 3)).count_params()
    59
    """

    rank = 2
