"""Layers that go through a sequence step by step and carry a state along."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

from kerashape_torch.activations import Activation
from kerashape_torch.constraints import ConstraintLike
from kerashape_torch.errors import ConfigError, ShapeError
from kerashape_torch.graph import snake_case
from kerashape_torch.initializers import InitializerLike
from kerashape_torch.kinds import Kind, Positive
from kerashape_torch.layer import Layer
from kerashape_torch.layers.recurrent_cells import (
    Cell,
    GRUCell,
    Holder,
    LSTMCell,
    Rate,
    SimpleRNNCell,
    StackedRNNCells,
    check_states,
    require_cell,
)
from kerashape_torch.regularizers import RegularizerLike
from kerashape_torch.shape import Shape, elements, fixed, require_rank
from kerashape_torch.structure import flatten, is_shape
from kerashape_torch.weights import WeightSpec


class _UseCudnn(Kind):
    def read(self, value: Any, where: str) -> Any:
        if value not in ("auto", True, False):
            raise ConfigError(f"{where} must be 'auto', True or False, got {value!r}")
        return value


UseCudnn = Annotated[bool | str, _UseCudnn()]


class _Options:
    """Arguments that all recurrent layers have; each says again where they come among its own."""

    return_sequences: bool
    return_state: bool
    go_backwards: bool
    stateful: bool
    unroll: bool
    zero_output_for_mask: bool
    input_length: int | None


class Recurrent(_Options, Layer, catalog=False):
    """Base of the recurrent layers.

    Input shape:  (batch, steps, features)
    Output shape: (batch, units); with ``return_sequences`` (batch, steps, units); with ``return_state`` a list of that
    and the last states, each (batch, units)

    As in Keras, ``go_backwards`` leaves the output sequence in the order in which it was made, the last step first, and
    a ``stateful`` layer needs a fixed batch size. ``unroll`` and ``use_cudnn`` change no number.
    """

    call_arguments = ("sequences", "initial_state", "mask", "training")
    shape_arguments = ("sequences", "initial_state")
    supports_masking = True
    uses_mask = True
    activation_is_inside = True
    unwritten: ClassVar[tuple[str, ...]] = ("input_length",)

    @property
    def one_step(self) -> Cell:
        """The cell that runs over the steps."""
        raise NotImplementedError

    def _declared_shape(self) -> Shape | None:
        shape = super()._declared_shape()
        if self.input_dim is not None and shape is not None and len(shape) == 2:
            return (shape[0], None, shape[1])  # input_dim without input_length: sequences of any length
        return shape

    @property
    def is_stock(self) -> bool:
        """Whether torch has a module for it."""
        return self.one_step.is_stock

    # ---- the rules ---------------------------------------------------------------------------------------------------

    def compute_output_shape(self, shape: Shape, initial_state: Any = None) -> Any:
        if not is_shape(shape):
            raise ShapeError("expected one tensor, (batch, steps, features), got a list",
                             hint="give states by name: layer(x, initial_state=[...])")
        output, states = self.step_shapes(shape)
        if initial_state is not None:
            check_states(initial_state, states, "initial_state")
        if self.stateful and shape[0] is None:
            raise ShapeError("batch: a stateful layer needs a fixed batch size, got None",
                             hint="give it in the input shape: Input(shape, batch_size=...)")
        if self.return_sequences:
            output = (output[0], shape[1], *output[1:])
        return [output, *states] if self.return_state else output

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """Of a sequence its own mask; states have none."""
        mask = flatten(previous_mask)[0]
        return [mask if self.return_sequences else None]

    def step_shapes(self, shape: Shape) -> tuple[Shape, list[Any]]:
        """What comes out of one step, and the states: one shape each, or a list for a cell of several in a stack."""
        require_rank(shape, 3, "(batch, steps, features)")
        return (shape[0], self.one_step.output_size), self.one_step.state_shapes(shape[0])

    def weight_specs(self, shape: Shape, initial_state: Any = None) -> list[WeightSpec]:
        cell = self.one_step
        return [spec.below(cell.name) for spec in cell.sequence_specs(fixed(shape[-1], "features"))]

    def flops(self, shape: Shape, initial_state: Any = None) -> int:
        kernels = [spec.size for spec in self.weight_specs(shape) if spec.name.endswith("kernel")]
        return 2 * sum(kernels) * elements(shape[:2])

    def module(self, shape: Shape, initial_state: Any = None) -> Any:
        return self.one_step.sequence_module(fixed(shape[-1], "features"), self.options(shape))

    def options(self, shape: Shape, dropout: float = 0.0) -> Any:
        """What the torch module is asked to take and to give."""
        from kerashape_torch.torch_modules.recurrent import Options

        batch = fixed(shape[0], "samples in a batch", "the states") if self.stateful else None
        return Options(self.return_sequences, self.return_state, self.go_backwards, batch, dropout,
                       zero_output_for_mask=bool(self.zero_output_for_mask))


class RNN(Holder, Recurrent):
    """Any cell, run over the steps. A list of cells is run as :class:`StackedRNNCells`.

    Input shape:  (batch, steps, features)
    Output shape: (batch, units); with ``return_sequences`` (batch, steps, units); with ``return_state`` a list of that
    and the last states, those of each cell a list of their own

    >>> RNN(LSTMCell(4), return_sequences=True).compute_output_shape((None, 5, 3))
    (None, 5, 4)
    >>> RNN([GRUCell(4), GRUCell(2)]).compute_output_shape((None, None, 3))
    (None, 2)
    """

    cell: Any
    return_sequences: bool = False
    return_state: bool = False
    go_backwards: bool = False
    stateful: bool = False
    unroll: bool = False
    zero_output_for_mask: bool = False
    input_length: int | None = None

    def __post_init__(self) -> None:
        if isinstance(self.cell, (list, tuple)):
            self.cell = StackedRNNCells(cells=list(self.cell))
        require_cell(self.cell, "RNN(cell=...)")
        self.hold()

    def module(self, shape: Shape, initial_state: Any = None) -> Any:
        from kerashape_torch.torch_modules.activity import is_heard

        made = self.cell.called_module(fixed(shape[-1], "features"), self.options(shape))
        if is_heard(made):
            made.rehearsals = 0 if self.unroll else 1
        return made

    def sublayers(self) -> Sequence[Layer]:
        return (self.cell,)

    def shapes_inside(self, *shapes: Any) -> list[tuple[Layer, Any]]:
        return [(self.cell, (shapes[0][0], shapes[0][-1]))]

    @property
    def one_step(self) -> Cell:
        return self.cell  # type: ignore[no-any-return]


class _Named(Recurrent, catalog=False):
    """A recurrent layer that has the arguments of its cell."""

    cell_class: ClassVar[type[Cell]]

    @property
    def cell(self) -> Cell:
        """The cell, under the name that Keras gives it."""
        shared = {name: getattr(self, name) for name in self.cell_class._positional if name in self._fields}
        return self.cell_class(**{**shared, "name": snake_case(self.cell_class.__name__), "dtype": self.dtype})

    @property
    def one_step(self) -> Cell:
        return self.cell


class SimpleRNN(_Named):
    """``activation(inputs @ kernel + state @ recurrent_kernel + bias)`` at each step; the output is the next state.

    Input shape:  (batch, steps, features)
    Output shape: (batch, units); with ``return_sequences`` (batch, steps, units); with ``return_state`` a list of that
    and the last state (batch, units)

    Keras takes an ``activity_regularizer`` and forgets it, so it is forgotten here too.

    >>> SimpleRNN(4).compute_output_shape((None, 5, 3))
    (None, 4)
    """

    cell_class = SimpleRNNCell
    unwritten = ("input_length", "seed")  # Keras forgets the seed of this one

    units: Positive
    activation: Activation = "tanh"
    use_bias: bool = True
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
    dropout: Rate = 0.0
    recurrent_dropout: Rate = 0.0
    return_sequences: bool = False
    return_state: bool = False
    go_backwards: bool = False
    stateful: bool = False
    unroll: bool = False
    seed: Any = None
    zero_output_for_mask: bool = False
    input_length: int | None = None

    def __post_init__(self) -> None:
        self.activity_regularizer = None


class LSTM(_Named):
    """Long short-term memory: gates i, f, c, o side by side in each weight, and two states, h and c.

    Input shape:  (batch, steps, features)
    Output shape: (batch, units); with ``return_sequences`` (batch, steps, units); with ``return_state`` a list of that
    and the last two states, each (batch, units)

    It is ``torch.nn.LSTM`` where the activations are tanh and sigmoid; others run as a loop over the steps.

    >>> LSTM(4, return_sequences=True).compute_output_shape((None, 5, 3))
    (None, 5, 4)
    >>> LSTM(4, return_state=True).compute_output_shape((None, None, 3))
    [(None, 4), (None, 4), (None, 4)]
    """

    cell_class = LSTMCell
    unwritten = ("input_length", "implementation", "use_cudnn")

    units: Positive
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
    use_cudnn: UseCudnn = "auto"
    implementation: Any = 2
    zero_output_for_mask: bool = False
    input_length: int | None = None


class GRU(_Named):
    """Gated recurrent unit: gates z, r, h side by side in each weight, and one state.

    Input shape:  (batch, steps, features)
    Output shape: (batch, units); with ``return_sequences`` (batch, steps, units); with ``return_state`` a list of that
    and the last state (batch, units)

    It is ``torch.nn.GRU`` where the activations are tanh and sigmoid and ``reset_after`` is true, as by default; others
    run as a loop over the steps.

    >>> GRU(4, return_state=True).compute_output_shape((None, 5, 3))
    [(None, 4), (None, 4)]
    """

    cell_class = GRUCell
    unwritten = ("input_length", "implementation", "use_cudnn")

    units: Positive
    activation: Activation = "tanh"
    recurrent_activation: Activation = "sigmoid"
    use_bias: bool = True
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
    dropout: Rate = 0.0
    recurrent_dropout: Rate = 0.0
    seed: Any = None
    return_sequences: bool = False
    return_state: bool = False
    go_backwards: bool = False
    stateful: bool = False
    unroll: bool = False
    reset_after: bool = True
    use_cudnn: UseCudnn = "auto"
    implementation: Any = 2
    zero_output_for_mask: bool = False
    input_length: int | None = None
