"""One step of a recurrent layer, and the weights and torch modules that follow from it for all steps."""

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from kerashape_torch import activations, initializers
from kerashape_torch.activations import Activation
from kerashape_torch.composed import hold, walked
from kerashape_torch.constraints import ConstraintLike
from kerashape_torch.errors import ConfigError, ShapeError
from kerashape_torch.initializers import InitializerLike
from kerashape_torch.kinds import Kind, Positive
from kerashape_torch.layer import Layer
from kerashape_torch.layers.core import Activation as ActivationLayer
from kerashape_torch.models import Model
from kerashape_torch.regularizers import RegularizerLike
from kerashape_torch.shape import (
    Shape,
    Size,
    channels_first_axis,
    channels_first_shape,
    elements,
    fixed,
    require_rank,
    to_text,
)
from kerashape_torch.structure import flatten, flatten_shapes, is_shape
from kerashape_torch.weights import Place, WeightSpec, said_of


class _Rate(Kind):
    """A dropout rate; Keras moves one outside 0 to 1 to the nearest end."""

    def read(self, value: Any, where: str) -> Any:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ConfigError(f"{where} must be a number between 0 and 1, got {value!r}")
        return min(1.0, max(0.0, value))


Rate = Annotated[float, _Rate()]


def rate_by_gate(rate: float) -> float:
    """Where each gate drops elements of its own, Keras drops nothing at a rate of 1."""
    return rate if rate < 1 else 0.0


class Holder(Layer, catalog=False):
    """A layer that holds others: it numbers those that have no name, until a model numbers all its layers."""

    def shapes_inside(self, *shapes: Any) -> list[tuple[Layer, Any]]:
        """The layers inside, each with the shape that it takes when this one takes these, where that is known."""
        return []

    def hold(self) -> None:
        """Takes over naming the layers inside; a model inside names its own."""
        hold(self)

    def computes_like(self) -> Layer:
        first = self.sublayers()[0]
        return self if isinstance(first, Model) else first.computes_like()


def inside(layer: Layer, models_too: bool = False) -> list[Layer]:
    """Every layer inside a layer, however deep; also those of a model inside, if asked."""
    return walked(layer, lambda each: each.sublayers() if models_too or not isinstance(each, Model) else ())


def require_cell(cell: Any, argument: str) -> None:
    """Refuses what is no cell, or does not say its states. A user's layer with states becomes one, as in Keras."""
    if isinstance(cell, Layer) and hasattr(cell, "state_size") and type(cell).is_users_own():
        own: Any = type(cell)
        cell.__class__ = _as_cell(own)
    if not isinstance(cell, Cell):
        raise ConfigError(f"{argument} takes a cell such as LSTMCell(4), got {cell!r}. One of your own is a layer with "
                          "a state_size and a call(self, inputs, states)")
    if not hasattr(cell, "state_size"):
        raise ConfigError(f"{argument}: {type(cell).__name__} has no state_size, the number of units of its state or a "
                          "list of them")


@cache
def _as_cell(cls: Any) -> Any:
    """The same class as a heir of :class:`Cell` too, under the same name."""
    same = {name: value for name, value in vars(cls).items() if name in ("__module__", "__doc__", "registered_name")}
    return cls if issubclass(cls, Cell) else type(cls.__name__, (cls, Cell), same)


class Cell(Layer, catalog=False):
    """Base of all cells: what :class:`RNN` runs over the steps.

    A cell of your own has a ``state_size``, a ``build`` if it has weights, and a ``forward(self, inputs, states)`` that
    returns the output and the next states. Its first states are zeros, or what its ``get_initial_state(batch_size)``
    returns.

    Input shape:  (batch, features), and the states, each (batch, units)
    Output shape: (batch, units), and the states after this step
    """

    call_arguments = ("inputs", "states", "training")
    shape_arguments = ("inputs", "states")
    activation_is_inside = True
    runs_functions = True
    module_names: ClassVar[tuple[str, str]] = ("", "")
    """In ``torch_modules.recurrent``: torch's own module with Keras' options, and the loop for what torch lacks."""

    if TYPE_CHECKING:

        @property
        def state_size(self) -> Any:
            """The number of units of each state, nested as Keras nests the states."""

        @property
        def output_size(self) -> int:
            """The number of units of the output; that of the first state, if the class does not say it."""

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if cls._torch_function is not None and cls.sequence_module is not Cell.sequence_module:
            raise ConfigError(f"{cls.__name__} has a step of its own, and extends a cell that torch runs as a whole: "
                              "make it a subclass of layers.Cell, with its own build")

    def __getattr__(self, name: str) -> Any:
        if name == "output_size":
            return flatten(self.state_size)[0]
        raise AttributeError(f"{type(self).__name__} has no {name!r}")

    @property
    def is_stock(self) -> bool:
        """Whether torch has a module for many steps of this cell."""
        return False

    def sequence_specs(self, features: int) -> list[WeightSpec]:
        """The weights, as they lie in :meth:`sequence_module`."""
        return [spec.below(torch="cell") for spec in Layer.weight_specs(self, (None, features))]

    def shapes_to_try(self, shapes: Sequence[Any]) -> Sequence[Any]:
        return [*shapes[:1], self.state_shapes(shapes[0][0])]

    def sequence_module(self, features: int, options: Any) -> Any:
        """A torch module that runs the cell over (batch, steps, features)."""
        from kerashape_torch.torch_modules.user import UserCell

        module: Any = Layer.module(self, (None, features))
        return UserCell(module, flatten(self.state_size), options)

    def called_module(self, features: int, options: Any) -> Any:
        """:meth:`sequence_module` as layers around the cell call it: its activity regularizer hears each step."""
        made = self.sequence_module(features, options)
        made.activity = self.listener()
        return made

    def built_for(self) -> list[Any]:
        """Keras builds a cell by the shape of its input alone."""
        return self.call_shapes()[:1]

    # ---- the rules of a cell that is called by itself ----------------------------------------------------------------

    def compute_output_shape(self, shape: Shape, states: Any = None) -> Any:
        require_rank(shape, 2, "(batch, features)", hint="a cell is one step; RNN(cell) takes (batch, steps, features)")
        check_states(states, self.state_shapes(shape[0]), "states")
        return [(shape[0], self.output_size), self._after(states)]

    def state_shapes(self, batch: Size) -> list[Any]:
        """One shape for each state; a list of shapes for a cell of several in a stack."""
        sizes = self.state_size
        return [[(batch, each) for each in size] if isinstance(size, (list, tuple)) else (batch, size)
                for size in (sizes if isinstance(sizes, (list, tuple)) else [sizes])]

    def _after(self, states: Any) -> Any:
        return states

    def weight_specs(self, shape: Shape, states: Any = None) -> list[WeightSpec]:
        return [spec.below(torch="steps") for spec in self.sequence_specs(fixed(shape[-1], "features"))]

    def flops(self, shape: Shape, states: Any = None) -> int:
        kernels = [spec.size for spec in self.weight_specs(shape) if spec.name.endswith("kernel")]
        return 2 * sum(kernels) * elements(shape[:1])

    def module(self, shape: Shape, states: Any = None) -> Any:
        from kerashape_torch.torch_modules import recurrent

        return recurrent.OneStep(self.sequence_module(fixed(shape[-1], "features"), recurrent.Options()))


def check_states(given: Any, wanted: list[Any], what: str) -> None:
    """Refuses states of another number or shape than a layer has.

    >>> check_states([(None, 4), (2, 4)], [(None, 4), (None, 4)], "states")
    """
    shapes = [] if given is None else [given] if is_shape(given) else flatten_shapes(given)
    expected = flatten_shapes(wanted)
    if len(shapes) != len(expected):
        raise ShapeError(f"{what}: takes {len(expected)}, {to_text(expected)}, got {len(shapes)}")
    for shape, own in zip(shapes, expected):
        if len(shape) != len(own) or any(size not in (None, known) for size, known in zip(shape[1:], own[1:])):
            raise ShapeError(f"{what}: each is {to_text(own)}, got {to_text(shape)}")


def activation_inside(layer: Layer, argument: str, shape: Shape, channels_first: bool = False) -> Any:
    """An activation that a recurrent layer applies at each step, as a torch function or module; None for linear.

    ``shape`` is one step's in Keras' order; with ``channels_first`` the step itself runs in that order.
    """
    activation, rank = getattr(layer, argument), len(shape)
    while isinstance(activation, ActivationLayer):
        activation = activation.activation
    if not isinstance(activation, Layer):
        if activations.shape_after(activation, shape) != shape:
            raise ShapeError(f"{argument}={activation!r} makes another shape, and each step needs its own back")
        return activations.lowered(activation, partial(channels_first_axis, rank=rank) if channels_first else None)
    if activation.weight_specs(shape):
        raise ConfigError(f"{type(layer).__name__}({argument}={activation!r}): an activation inside a cell has no "
                          "weights of its own")
    if channels_first:
        return activation.in_channels_first(rank).module(channels_first_shape(shape))
    return activation.module(shape)


class _Options:
    """Arguments that these cells share; each says again where they come among its own."""

    units: Positive
    activation: Activation
    use_bias: bool
    dropout: Rate
    recurrent_dropout: Rate


class _OneCell(_Options, Cell, catalog=False):
    """A cell with a kernel, a recurrent kernel and a bias."""

    gates: ClassVar[int] = 1
    torch_gates: ClassVar[tuple[int, ...] | None] = None
    """Keras' gates in torch's order, where it differs."""

    @property
    def output_size(self) -> int:
        return self.units

    @property
    def state_size(self) -> Any:
        return self.units

    @property
    def has_recurrent_bias(self) -> bool:
        """Whether the recurrent part has a bias of its own."""
        return False

    def sequence_specs(self, features: int) -> list[WeightSpec]:
        rows = self.gates * self.units
        counted = "units" if self.gates == 1 else f"{self.gates} gates * units"
        specs = [self._spec("kernel", "kernel", (features, rows), ("input features", counted), "weight_ih_l0"),
                 self._spec("recurrent_kernel", "recurrent", (self.units, rows), ("units", counted), "weight_hh_l0")]
        if self.use_bias:
            specs.append(self._bias_spec(rows, counted))
        return specs

    def _bias_spec(self, rows: int, counted: str) -> WeightSpec:
        place = Place("bias_ih_l0", gates=self.torch_gates)
        return self._spec("bias", "bias", (rows,), (counted,))._replace(places=(place,))

    def _spec(self, name: str, argument: str, shape: tuple[int, ...], axes: tuple[str, ...],
              at: str = "") -> WeightSpec:
        return WeightSpec(name, shape, self.trainable, *said_of(self, argument), axes,
                          (Place(at, "i o -> o i", gates=self.torch_gates),))

    # ---- torch modules -----------------------------------------------------------------------------------------------

    def _acts_as(self, argument: str, *names: str) -> bool:
        return activations.name_of(activations.get(getattr(self, argument))) in names

    def sequence_module(self, features: int, options: Any) -> Any:
        from kerashape_torch.torch_modules import recurrent

        options = options._replace(dropout=self.dropout)
        if self.is_stock and self.listener() is None:
            stock = getattr(recurrent, self.module_names[0])
            return stock(features, self.units, self.use_bias, options, **self._stock_arguments())
        loop = getattr(recurrent, self.module_names[1])
        biases = (self.use_bias, self.use_bias and self.has_recurrent_bias)
        return loop(features, self.units, biases, options, self._function("activation"), **self._loop_arguments())

    def bidirectional_module(self, features: int, options: Any) -> Any:
        """torch's own module for both directions of a cell that :attr:`is_stock`."""
        from kerashape_torch.torch_modules import recurrent

        stock = getattr(recurrent, f"Bidirectional{self.module_names[0]}")
        return stock(features, self.units, self.use_bias, options, bidirectional=True, **self._stock_arguments())

    def _stock_arguments(self) -> dict[str, Any]:
        return {}

    def _loop_arguments(self) -> dict[str, Any]:
        return {"recurrent_dropout": self.recurrent_dropout}

    def _function(self, argument: str) -> Callable[[Any], Any] | None:
        return activation_inside(self, argument, (None, self.units))  # type: ignore[no-any-return]


class _GateOptions:
    recurrent_activation: Activation
    implementation: Any


class _GatedCell(_GateOptions, _OneCell, catalog=False):
    """A cell with gates."""

    unwritten = ("implementation",)

    @property
    def mask_per_gate(self) -> bool:
        """Whether each gate drops elements of its own: Keras' first implementation does, and recurrent dropout."""
        return bool(self.implementation == 1 or self.recurrent_dropout)

    @property
    def is_stock(self) -> bool:
        return (self._acts_as("activation", "tanh") and self._acts_as("recurrent_activation", "sigmoid")
                and not self.recurrent_dropout and not (self.dropout and self.mask_per_gate))

    def _loop_arguments(self) -> dict[str, Any]:
        return {"recurrent_activation": self._function("recurrent_activation"),
                "recurrent_dropout": rate_by_gate(self.recurrent_dropout), "mask_per_gate": self.mask_per_gate}


class SimpleRNNCell(_OneCell):
    """One step of :class:`SimpleRNN`: ``activation(inputs @ kernel + state @ recurrent_kernel + bias)``.

    Input shape:  (batch, features), and a list of one state (batch, units)
    Output shape: (batch, units), and a list of the state after this step

    >>> SimpleRNNCell(4).compute_output_shape((None, 3), [(None, 4)])
    [(None, 4), [(None, 4)]]
    """

    call_arguments = ("sequence", "states", "training")
    shape_arguments = ("sequence", "states")
    module_names = ("RNN", "Loop")

    units: Positive
    activation: Activation = "tanh"
    use_bias: bool = True
    kernel_initializer: InitializerLike = "glorot_uniform"
    recurrent_initializer: InitializerLike = "orthogonal"
    bias_initializer: InitializerLike = "zeros"
    kernel_regularizer: RegularizerLike = None
    recurrent_regularizer: RegularizerLike = None
    bias_regularizer: RegularizerLike = None
    kernel_constraint: ConstraintLike = None
    recurrent_constraint: ConstraintLike = None
    bias_constraint: ConstraintLike = None
    dropout: Rate = 0.0
    recurrent_dropout: Rate = 0.0
    seed: Any = None

    @property
    def is_stock(self) -> bool:
        return self._acts_as("activation", "tanh", "relu") and not self.recurrent_dropout

    def _stock_arguments(self) -> dict[str, Any]:
        return {"nonlinearity": activations.name_of(activations.get(self.activation))}


class LSTMCell(_GatedCell):
    """One step of :class:`LSTM`, with the gates i, f, c, o side by side in each weight.

    Input shape:  (batch, features), and a list of two states (batch, units)
    Output shape: (batch, units), and a list of the two states after this step

    >>> LSTMCell(4).compute_output_shape((None, 3), [(None, 4), (None, 4)])
    [(None, 4), [(None, 4), (None, 4)]]
    """

    gates = 4
    module_names = ("LSTM", "LSTMLoop")

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
    kernel_constraint: ConstraintLike = None
    recurrent_constraint: ConstraintLike = None
    bias_constraint: ConstraintLike = None
    dropout: Rate = 0.0
    recurrent_dropout: Rate = 0.0
    seed: Any = None
    implementation: Any = 2

    @property
    def state_size(self) -> Any:
        return [self.units, self.units]

    def _bias_spec(self, rows: int, counted: str) -> WeightSpec:
        spec = super()._bias_spec(rows, counted)
        return spec._replace(initializer=ForgetGateOnes(self.bias_initializer)) if self.unit_forget_bias else spec


class ForgetGateOnes:
    """The initializer of an LSTM's bias: ones for the forget gate, another initializer for the rest."""

    def __init__(self, others: Any, at: int = 1, gates: int = 4) -> None:
        self.others = others
        self.at, self.gates = at, gates

    def __call__(self, shape: Sequence[int], dtype: Any = None, device: Any = None) -> Any:
        import torch

        units = shape[0] // self.gates
        parts = ((self.others, self.at), ("ones", 1), (self.others, self.gates - self.at - 1))
        return torch.cat([initializers.of_weight(one)((n * units,), dtype=dtype, device=device) for one, n in parts])

    def __repr__(self) -> str:
        return f"{self.others!r}, and ones for the forget gate"


class GRUCell(_GatedCell):
    """One step of :class:`GRU`, with the gates z, r, h side by side in each weight.

    Input shape:  (batch, features), and a list of one state (batch, units)
    Output shape: (batch, units), and a list of the state after this step

    >>> GRUCell(4).compute_output_shape((None, 3), [(None, 4)])
    [(None, 4), [(None, 4)]]
    """

    gates = 3
    torch_gates = (1, 0, 2)
    module_names = ("GRU", "GRULoop")

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
    kernel_constraint: ConstraintLike = None
    recurrent_constraint: ConstraintLike = None
    bias_constraint: ConstraintLike = None
    dropout: Rate = 0.0
    recurrent_dropout: Rate = 0.0
    reset_after: bool = True
    seed: Any = None
    implementation: Any = 2

    @property
    def has_recurrent_bias(self) -> bool:
        return self.reset_after

    @property
    def is_stock(self) -> bool:
        return self.reset_after and super().is_stock

    def _bias_spec(self, rows: int, counted: str) -> WeightSpec:
        if not self.reset_after:
            return super()._bias_spec(rows, counted)
        places = (Place("bias_ih_l0", entry=0, gates=self.torch_gates),
                  Place("bias_hh_l0", entry=1, gates=self.torch_gates))
        return self._spec("bias", "bias", (2, rows), ("parts (input and recurrent)", counted))._replace(places=places)

    def _loop_arguments(self) -> dict[str, Any]:
        return {**super()._loop_arguments(), "reset_after": self.reset_after}


class StackedRNNCells(Holder, Cell):
    """Cells on top of each other, as one cell: the output of one is the input of the next.

    Input shape:  (batch, features), and a list with the states of each cell
    Output shape: (batch, units of the last cell), and a list with the states of each cell

    >>> cells = StackedRNNCells([LSTMCell(4), GRUCell(2)])
    >>> cells.compute_output_shape((None, 3), [[(None, 4), (None, 4)], [(None, 2)]])
    [(None, 2), [[(None, 4), (None, 4)], [(None, 2)]]]
    """

    cells: list[Any]

    def __post_init__(self) -> None:
        self.cells = list(self.cells)
        for cell in self.cells:
            require_cell(cell, "StackedRNNCells(cells=...)")
        if not self.cells:
            raise ConfigError("StackedRNNCells(cells=...) takes one cell or more, got none")
        self.hold()

    def sublayers(self) -> Sequence[Layer]:
        return self.cells

    def shapes_inside(self, *shapes: Any) -> list[tuple[Layer, Any]]:
        batch, features = shapes[0]
        sizes = [features, *(cell.output_size for cell in self.cells)]
        return [(cell, (batch, size)) for cell, size in zip(self.cells, sizes)]

    @property
    def state_size(self) -> Any:
        sizes = [cell.state_size for cell in self.cells]
        return [list(size) if isinstance(size, tuple) else size for size in sizes]

    @property
    def output_size(self) -> int:
        return self.cells[-1].output_size  # type: ignore[no-any-return]

    @property
    def is_stock(self) -> bool:
        return False

    def _after(self, states: Any) -> Any:
        return states[0] if len(self.cells) == 1 else states

    def sequence_specs(self, features: int) -> list[WeightSpec]:
        specs = []
        for i, cell in enumerate(self.cells):
            specs += [spec.below(cell.name, f"cells.{i}") for spec in cell.sequence_specs(features)]
            features = cell.output_size
        return specs if self.trainable else [spec._replace(trainable=False) for spec in specs]

    def sequence_module(self, features: int, options: Any) -> Any:
        from kerashape_torch.torch_modules import recurrent

        modules = []
        seen = recurrent.Options(return_sequences=True,  # the next cell takes them
                                 return_state=options.return_state or options.batch is not None)
        for cell in self.cells:
            modules.append(cell.called_module(features, seen))
            features = cell.output_size
        return recurrent.Stack(modules, self.state_size, options)
