"""Convolutions, and those that weigh each channel by itself."""

from typing import Any

from kerashape_torch.activations import Activation as ActivationLike
from kerashape_torch.constraints import ConstraintLike
from kerashape_torch.errors import ConfigError, ShapeError
from kerashape_torch.initializers import InitializerLike
from kerashape_torch.kinds import CausalPadding, DataFormat, Padding, Positive, Sizes, per_axis
from kerashape_torch.layers._spatial import Spatial
from kerashape_torch.regularizers import RegularizerLike
from kerashape_torch.shape import Shape, elements, fixed, window_output
from kerashape_torch.weights import WeightSpec, said_of, weight

AXES_IN_EINOPS = {1: "w", 2: "h w", 3: "d h w"}


class Convolving(Spatial, catalog=False):
    """What all convolutions share: kernels of ``rank`` axes, and how they slide."""

    def numbers(self, argument: str) -> tuple[int, ...]:
        """An argument of this layer, one number for each spatial axis."""
        return per_axis(getattr(self, argument), self.rank)

    def channels(self, shape: Shape) -> int:
        """The number of input channels, which no kernel can do without."""
        self.spatial(shape)
        return fixed(shape[1 if self.is_channels_first else -1], "channels")

    def slid_over(self, shape: Shape, channels: int) -> Shape:
        """The output shape of a window that slides over the spatial axes."""
        padding = getattr(self, "padding")  # noqa: B009  a field of the subclasses
        axes = zip(self.spatial(shape), self.numbers("kernel_size"), self.numbers("strides"),
                   self.numbers("dilation_rate"), self.axis_names)
        return self.with_spatial(shape, [window_output(size, window, stride, padding, dilation, name)
                                         for size, window, stride, dilation, name in axes], channels)

    def sliding(self, shape: Shape, out_channels: int, **options: Any) -> Any:
        """The torch module of such a window."""
        from kerashape_torch.torch_modules.convolution import convolution

        return convolution(self.channels(shape), out_channels, self.spatial(shape), self.numbers("kernel_size"),
                           self.numbers("strides"), self.numbers("dilation_rate"), getattr(self, "padding"),  # noqa: B009
                           **options)

    def flops(self, shape: Shape) -> int:
        return self.flops_at(self.compute_output_shape(shape), shape)

    def flops_at(self, places: Shape, shape: Shape) -> int:
        """Of all kernels, each at every place of a tensor of this shape."""
        kernels = [spec.size for spec in self.weight_specs(shape) if len(spec.shape) > 1]
        return 2 * sum(kernels) * elements((fixed(places[0], "samples"), *self.spatial(places)))

    def refuse_strides_with_dilation(self) -> None:
        """Keras has no convolution with both, and says so when the layer is made."""
        if max(self.numbers("strides")) > 1 and max(self.numbers("dilation_rate")) > 1:
            raise ConfigError(f"{type(self).__name__}: strides and dilation_rate cannot both be larger than 1, got "
                              f"strides={self.numbers('strides')}, dilation_rate={self.numbers('dilation_rate')}")

    def kernel_spec(self, role: str, shape: tuple[int, ...], pattern: str | None, axes: tuple[str, ...], *,
               name: str = "kernel", at: str = "weight", **sizes: Any) -> WeightSpec:
        """A kernel; ``role`` is what its arguments begin with. ``S`` in the pattern stands for the spatial axes."""
        initializer, regularizer, constraint = said_of(self, role)
        return weight(name, shape, initializer, at=at, regularizer=regularizer, constraint=constraint, axes=axes,
                      pattern=pattern and pattern.replace("S", AXES_IN_EINOPS[self.rank]), **sizes)

    def biases(self, count: int, what: str, at: str = "bias") -> list[WeightSpec]:
        """The bias, if there is one."""
        given: Any = self
        if not given.use_bias:
            return []
        return [weight("bias", (count,), given.bias_initializer, at=at, regularizer=given.bias_regularizer,
                       constraint=given.bias_constraint, axes=(what,))]


class _Conv(Convolving, catalog=False):
    filters: Positive
    kernel_size: Sizes
    strides: Sizes = 1
    padding: CausalPadding = "valid"
    data_format: DataFormat = None
    dilation_rate: Sizes = 1
    groups: Positive = 1
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
        if self.filters % self.groups:
            raise ConfigError(f"{type(self).__name__}: filters={self.filters} cannot be divided into "
                              f"groups={self.groups}")
        self.refuse_strides_with_dilation()

    def compute_output_shape(self, shape: Shape) -> Shape:
        channels = shape[1 if self.is_channels_first else -1]
        if channels is not None and channels % self.groups:
            raise ShapeError(f"channels: {channels} cannot be divided into groups={self.groups}")
        return self.slid_over(shape, self.filters)

    def weight_specs(self, shape: Shape) -> list[WeightSpec]:
        channels = self.channels(shape)
        inputs = "input channels" if self.groups == 1 else "input channels of a group"
        return [self.kernel_spec("kernel", (*self.numbers("kernel_size"), channels // self.groups, self.filters),
                            "S i o -> o i S", (*self.axis_names, inputs, "filters")),
                *self.biases(self.filters, "filters")]

    def module(self, shape: Shape) -> Any:
        return self.sliding(shape, self.filters, groups=self.groups, bias=self.use_bias)


class Conv1D(_Conv, aliases=("Convolution1D",)):
    """Slides windows over steps. Padding ``causal`` pads in front only, so that no step sees a later one.

    Input shape:  (batch, steps, channels)
    Output shape: (batch, windows, filters)

    >>> Conv1D(filters=4, kernel_size=3).compute_output_shape((None, 10, 2))
    (None, 8, 4)
    >>> Conv1D(4, 3, padding="causal", dilation_rate=2).compute_output_shape((None, None, 2))
    (None, None, 4)
    """

    rank = 1


class Conv2D(_Conv, aliases=("Convolution2D",)):
    """Slides windows over an image.

    Where padding ``same`` is odd, the row and column more are at the bottom and right, as in Keras.

    Input shape:  (batch, height, width, channels)
    Output shape: (batch, windows down, windows across, filters)

    >>> Conv2D(filters=16, kernel_size=3, input_shape=(28, 28, 1)).output_shape
    (None, 26, 26, 16)
    >>> Conv2D(16, 3, strides=2, padding="same").compute_output_shape((None, 224, None, 3))
    (None, 112, None, 16)
    """

    rank = 2


class Conv3D(_Conv, aliases=("Convolution3D",)):
    """Slides windows over a volume.

    Input shape:  (batch, depth, height, width, channels)
    Output shape: (batch, windows deep, windows down, windows across, filters)

    >>> Conv3D(4, (2, 3, 3)).compute_output_shape((None, 8, 8, 8, 1))
    (None, 7, 6, 6, 4)
    """

    rank = 3


class _DepthwiseConv(Convolving, catalog=False):
    kernel_size: Sizes
    strides: Sizes = 1
    padding: Padding = "valid"
    depth_multiplier: Positive = 1
    data_format: DataFormat = None
    dilation_rate: Sizes = 1
    activation: ActivationLike = None
    use_bias: bool = True
    depthwise_initializer: InitializerLike = "glorot_uniform"
    bias_initializer: InitializerLike = "zeros"
    depthwise_regularizer: RegularizerLike = None
    bias_regularizer: RegularizerLike = None
    activity_regularizer: RegularizerLike = None
    depthwise_constraint: ConstraintLike = None
    bias_constraint: ConstraintLike = None

    def compute_output_shape(self, shape: Shape) -> Shape:
        return self.slid_over(shape, self.channels(shape) * self.depth_multiplier)

    def weight_specs(self, shape: Shape) -> list[WeightSpec]:
        channels = self.channels(shape)
        return [self.kernel_spec("depthwise", (*self.numbers("kernel_size"), channels, self.depth_multiplier),
                            "S i m -> (i m) 1 S", (*self.axis_names, "input channels", "kernels for each"),
                            i=channels, m=self.depth_multiplier),
                *self.biases(channels * self.depth_multiplier, "output channels")]

    def module(self, shape: Shape) -> Any:
        channels = self.channels(shape)
        return self.sliding(shape, channels * self.depth_multiplier, groups=channels, bias=self.use_bias)


class DepthwiseConv1D(_DepthwiseConv):
    """Slides windows over steps, with ``depth_multiplier`` kernels for each channel alone.

    Input shape:  (batch, steps, channels)
    Output shape: (batch, windows, channels * depth_multiplier)

    >>> DepthwiseConv1D(3, depth_multiplier=2).compute_output_shape((None, 10, 5))
    (None, 8, 10)
    """

    rank = 1


class DepthwiseConv2D(_DepthwiseConv):
    """Slides windows over an image, with ``depth_multiplier`` kernels for each channel alone.

    Input shape:  (batch, height, width, channels)
    Output shape: (batch, windows down, windows across, channels * depth_multiplier)

    >>> DepthwiseConv2D(3, padding="same").compute_output_shape((None, 32, 32, 5))
    (None, 32, 32, 5)
    """

    rank = 2
