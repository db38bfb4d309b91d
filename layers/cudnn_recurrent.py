"""LSTM and GRU as Keras 1 and 2 had them for cuDNN alone: the same layers with their weights in cuDNN's order."""

from typing import Any, ClassVar

from kerashape_torch.constraints import ConstraintLike
from kerashape_torch.errors import ConfigError
from kerashape_torch.initializers import InitializerLike
from kerashape_torch.kinds import Positive
from kerashape_torch.layers.recurrent import Recurrent
from kerashape_torch.layers.recurrent_cells import ForgetGateOnes, GRUCell, LSTMCell
from kerashape_torch.regularizers import RegularizerLike
from kerashape_torch.shape import Shape, fixed
from kerashape_torch.weights import Place, WeightSpec, said_of


class _GivenOptions:
    """Arguments that both have; each says again where they come among its own."""

    units: Positive
    go_backwards: bool
    time_major: bool


class _CuDNN(_GivenOptions, Recurrent, catalog=False):
    """The rules of both.

    Gate by gate, cuDNN reads the numbers of an input kernel as (units, features), which is torch's layout, although
    Keras keeps them as (features, units). There are always two biases, one after the other.
    """

    cell_class: ClassVar[Any]
    uses_mask = True
    unwritten = ("input_length", "unroll", "zero_output_for_mask")

    def __post_init__(self) -> None:
        if self.time_major:
            raise ConfigError(f"{type(self).__name__}(time_major=True) is not taken: sequences are (batch, steps, "
                              "features). Way out: Permute before and after")

    @property
    def one_step(self) -> Any:
        return self.cell_class(self.units, dtype=self.dtype)

    def weight_specs(self, shape: Shape, initial_state: Any = None) -> list[WeightSpec]:
        features, units = fixed(shape[-1], "features"), self.units
        gates, order = self.one_step.gates, self.one_step.torch_gates
        counted = f"{gates} gates * units"
        kernel = Place("weight_ih_l0", "i (g u) -> g (i u); g (u i) -> (g u) i", gates=order,
                       sizes={"g": gates, "u": units, "i": features})
        recurrent = Place("weight_hh_l0", "i (g u) -> (g i) u", gates=order, sizes={"g": gates, "i": units})
        biases = (Place("bias_ih_l0", entry=0, gates=order), Place("bias_hh_l0", entry=1, gates=order))
        return [self._spec("kernel", "kernel", (features, gates * units), ("input features", counted), (kernel,)),
                self._spec("recurrent_kernel", "recurrent", (units, gates * units), ("units", counted), (recurrent,)),
                self._spec("bias", "bias", (2 * gates * units,), (f"{2 * gates} biases * units",), biases)]

    def _spec(self, name: str, argument: str, shape: tuple[int, ...], axes: tuple[str, ...],
              places: tuple[Place, ...]) -> WeightSpec:
        return WeightSpec(name, shape, True, *said_of(self, argument), axes, places)


class CuDNNLSTM(_CuDNN):
    """:class:`LSTM` with cuDNN's layout of weights; a bias of 8 * units.

    Input shape:  (batch, steps, features)
    Output shape: (batch, units); with ``return_sequences`` (batch, steps, units); with ``return_state`` a list of that
    and the last two states, each (batch, units)

    >>> layer = CuDNNLSTM(4, input_shape=(5, 3))
    >>> layer.output_shape, [spec.shape for spec in layer.weights]
    ((None, 4), [(3, 16), (4, 16), (32,)])
    """

    cell_class = LSTMCell

    units: Positive
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
    return_sequences: bool = False
    return_state: bool = False
    go_backwards: bool = False
    stateful: bool = False
    time_major: bool = False
    unroll: bool = False
    zero_output_for_mask: bool = False
    input_length: int | None = None

    def weight_specs(self, shape: Shape, initial_state: Any = None) -> list[WeightSpec]:
        *kernels, bias = super().weight_specs(shape)
        if self.unit_forget_bias:  # in the second half, which is the recurrent one
            bias = bias._replace(initializer=ForgetGateOnes(self.bias_initializer, at=5, gates=8))
        return [*kernels, bias]


class CuDNNGRU(_CuDNN):
    """:class:`GRU` with ``reset_after`` and cuDNN's layout of weights; a bias of 6 * units.

    Input shape:  (batch, steps, features)
    Output shape: (batch, units); with ``return_sequences`` (batch, steps, units); with ``return_state`` a list of that
    and the last state (batch, units)

    >>> layer = CuDNNGRU(4, input_shape=(5, 3))
    >>> layer.output_shape, [spec.shape for spec in layer.weights]
    ((None, 4), [(3, 12), (4, 12), (24,)])
    """

    cell_class = GRUCell

    units: Positive
    kernel_initializer: InitializerLike = "glorot_uniform"
    recurrent_initializer: InitializerLike = "orthogonal"
    bias_initializer: InitializerLike = "zeros"
    kernel_regularizer: RegularizerLike = None
    recurrent_regularizer: RegularizerLike = None
    bias_regularizer: RegularizerLike = None
    activity_regularizer: RegularizerLike = None
    kernel_constraint: ConstraintLike = None
    recurrent_constraint: ConstraintLike = None
    bias_constraint: ConstraintLike = None
    return_sequences: bool = False
    return_state: bool = False
    go_backwards: bool = False
    stateful: bool = False
    time_major: bool = False
    unroll: bool = False
    zero_output_for_mask: bool = False
    input_length: int | None = None
