"""LSTMs over images: the products with weights are convolutions, and the states are images too."""

from typing import Any

from kerashape_torch.activations import Activation
from kerashape_torch.constraints import ConstraintLike
from kerashape_torch.errors import ConfigError
from kerashape_torch.initializers import InitializerLike
from kerashape_torch.kinds import DataFormat, Padding, Sizes
from kerashape_torch.layer import CHANNELS_FIRST, KERAS
from kerashape_torch.layers.convolution import Convolving
from kerashape_torch.layers.recurrent import Recurrent
from kerashape_torch.layers.recurrent_cells import ForgetGateOnes, Rate, activation_inside, rate_by_gate
from kerashape_torch.regularizers import RegularizerLike
from kerashape_torch.shape import Shape, elements, fixed, require_rank
from kerashape_torch.weights import WeightSpec


class _ConvLSTM(Convolving, Recurrent, catalog=False):
    """The rules of all three; ``rank`` counts the spatial axes of one step.

    The input is convolved for all steps at once, and the state, padded to its own size, at each step. Spatial sizes
    must be known, as in Keras.
    """

    filters: int
    kernel_size: Sizes
    strides: Sizes = 1
    padding: Padding = "valid"
    data_format: DataFormat = None
    dilation_rate: Sizes = 1
    activation: Activation = "tanh"
    recurrent_activation: Activation = "sigmoid"
    use_bias: bool = True
    kernel_initializer: InitializerLike = "glorot_uniform"
    recurrent_initializer: InitializerLike = "orthogonal"
    bias_initializer: InitializerLike = "zeros"
    unit_forget_bias: bool = True
    kernel_regularizer: RegularizerLike = None
    recurrent_regularizer: RegularizerLike = None
    bias_regularizer: RegularizerLike = None
    activity_regularizer: RegularizerLike = None
    kernel_constraint: ConstraintLike = None
    recurrent_constraint: ConstraintLike = None
    bias_constraint: ConstraintLike = None
    dropout: Rate = 0.0
    recurrent_dropout: Rate = 0.0
    seed: Any = None
    return_sequences: bool = False
    return_state: bool = False
    go_backwards: bool = False
    stateful: bool = False
    unroll: bool = False
    zero_output_for_mask: bool = False
    input_length: int | None = None
    is_stock = False

    def __post_init__(self) -> None:
        if self.filters < 0:
            raise ConfigError(f"{type(self).__name__}(filters=...) must be 0 or more, got {self.filters}")
        self.refuse_strides_with_dilation()

    def layout(self, shape: Shape, initial_state: Any = None) -> str:
        return KERAS if self.is_channels_first else CHANNELS_FIRST

    def step_shapes(self, shape: Shape) -> tuple[Shape, list[Any]]:
        output = self.slid_over(self._one_step(shape), self.filters)
        return output, [output, output]

    def _one_step(self, shape: Shape) -> Shape:
        axes = ("channels", *self.axis_names) if self.is_channels_first else (*self.axis_names, "channels")
        require_rank(shape, self.rank + 3, f"(batch, time, {', '.join(axes)})")
        return (shape[0], *shape[2:])

    def weight_specs(self, shape: Shape, initial_state: Any = None) -> list[WeightSpec]:
        step = self._one_step(shape)
        for size, axis in zip(self.spatial(step), self.axis_names):
            fixed(size, axis, "the states")
        rows, window = 4 * self.filters, self.numbers("kernel_size")
        inputs, counted = (*self.axis_names, "input channels"), "4 gates * filters"
        specs = [self.kernel_spec("kernel", (*window, self.channels(step), rows), "S i o -> o i S", (*inputs, counted),
                             at="input_conv.weight"),
                 self.kernel_spec("recurrent", (*window, self.filters, rows), "S i o -> o i S",
                             (*self.axis_names, "filters", counted), name="recurrent_kernel",
                             at="recurrent_conv.weight"),
                 *self.biases(rows, counted, "input_conv.bias")]
        if self.use_bias and self.unit_forget_bias:
            specs[2] = specs[2]._replace(initializer=ForgetGateOnes(self.bias_initializer))
        return [spec.below("conv_lstm_cell") for spec in specs]

    def flops(self, shape: Shape, initial_state: Any = None) -> int:
        places, _ = self.step_shapes(shape)
        kernels = [spec.size for spec in self.weight_specs(shape) if len(spec.shape) > 1]
        return 2 * sum(kernels) * elements((*shape[:2], *self.spatial(places)))

    def module(self, shape: Shape, initial_state: Any = None) -> Any:
        from kerashape_torch.torch_modules.convolution import convolution
        from kerashape_torch.torch_modules.convolutional_recurrent import ConvLSTM

        step, ones = self._one_step(shape), (1,) * self.rank
        output, _ = self.step_shapes(shape)
        moves = not self.is_channels_first
        return ConvLSTM(
            self.sliding(step, 4 * self.filters, bias=self.use_bias),
            convolution(self.filters, 4 * self.filters, self.spatial(output), self.numbers("kernel_size"), ones, ones,
                        "same", bias=False),
            self.spatial(output), self.options(shape, rate_by_gate(self.dropout)),
            activation_inside(self, "activation", output, moves),
            activation_inside(self, "recurrent_activation", output, moves), rate_by_gate(self.recurrent_dropout),
            steps_axis=2 if moves else 1)


class ConvLSTM1D(_ConvLSTM):
    """An LSTM whose inputs and states are rows of channels, and which slides windows over them.

    Input shape:  (batch, time, steps, channels)
    Output shape: (batch, windows, filters); with ``return_sequences`` (batch, time, windows, filters); with
    ``return_state`` a list of that and the last two states, each (batch, windows, filters)

    >>> ConvLSTM1D(4, 3).compute_output_shape((None, 5, 10, 2))
    (None, 8, 4)
    """

    rank = 1


class ConvLSTM2D(_ConvLSTM):
    """An LSTM whose inputs and states are images, and which slides windows over them.

    Input shape:  (batch, time, height, width, channels)
    Output shape: (batch, windows down, windows across, filters); with ``return_sequences`` the time comes second; with
    ``return_state`` a list of that and the last two states, each as the output of one step

    >>> ConvLSTM2D(4, 3, padding="same", return_sequences=True).compute_output_shape((None, None, 8, 8, 1))
    (None, None, 8, 8, 4)
    """

    rank = 2


class ConvLSTM3D(_ConvLSTM):
    """An LSTM whose inputs and states are volumes, and which slides windows over them.

    Input shape:  (batch, time, depth, height, width, channels)
    Output shape: (batch, windows along each of the three, filters); with ``return_sequences`` the time comes second;
    with ``return_state`` a list of that and the last two states, each as the output of one step

    >>> ConvLSTM3D(4, 2).compute_output_shape((None, 5, 6, 6, 6, 1))
    (None, 5, 5, 5, 4)
    """

    rank = 3
