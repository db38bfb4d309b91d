"""Layers that hold another layer: one runs it in both directions of a sequence, one runs it on each step alone."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

from kerashape_torch import activations
from kerashape_torch.config import serialize
from kerashape_torch.errors import ConfigError, ShapeError
from kerashape_torch.kinds import ChoiceOrNone
from kerashape_torch.layer import CHANNELS_FIRST, KERAS, Layer
from kerashape_torch.layers.recurrent import Recurrent
from kerashape_torch.layers.recurrent_cells import Holder, check_states, inside
from kerashape_torch.models import Model, Sequential
from kerashape_torch.parts import part_module, part_specs
from kerashape_torch.shape import Shape, broadcast, fixed, product, require_min_rank
from kerashape_torch.structure import flatten, flatten_shapes, is_shape
from kerashape_torch.weights import WeightSpec

MergeMode = Annotated[str | None, ChoiceOrNone("concat", "sum", "mul", "ave")]


class Wrapper(Holder, catalog=False):
    """Base of layers around another layer, which is the argument ``layer``. The weights are that layer's.

    A subclass states the shape where it is another, and the torch module, which has the layer's module as ``layer``.

    Input shape:  as the layer's
    Output shape: as the layer's

    >>> from torch import nn
    >>> from kerashape_torch.layers import Dense
    >>> class Repeated(Wrapper, catalog=False):
    ...     '''Runs the layer twice.'''
    ...     def module(self, shape):
    ...         inner = part_module(self.layer, shape)
    ...         made = nn.Sequential(inner, inner)
    ...         made.layer = inner
    ...         return made
    >>> Repeated(Dense(4, name="dense"), input_shape=(4,)).weights[0].full_path
    'dense/kernel'
    """

    layer: Any

    def __post_init__(self) -> None:
        if not isinstance(self.layer, Layer):
            raise ConfigError(f"{type(self).__name__}(layer=...) takes a layer or a model, got {self.layer!r}")
        self.hold()

    @property
    def makes_floats(self) -> bool:
        return not isinstance(self.layer, Model) and bool(self.layer.makes_floats)  # a model sees to its own layers

    @property
    def passes_weights_on(self) -> bool:
        """Whether it has no weights but the layer's, which are that layer's wherever else it is called."""
        return type(self).weight_specs is Wrapper.weight_specs

    def sublayers(self) -> Sequence[Layer]:
        return (self.layer,)

    def shapes_inside(self, *shapes: Any) -> list[tuple[Layer, Any]]:
        return [(self.layer, shapes[0])]

    def input_dtype(self) -> str:
        return self.layer.input_dtype()  # type: ignore[no-any-return]

    def compute_output_shape(self, shape: Shape) -> Any:
        return self.layer.compute_output_shape(shape)

    def weight_specs(self, shape: Shape) -> list[WeightSpec]:
        return [spec for inner, each in self.shapes_inside(shape) for spec in part_specs(inner, each, "layer")]

    def flops(self, shape: Shape) -> int:
        return self.layer.flops(shape)  # type: ignore[no-any-return]


class Bidirectional(Holder):
    """A recurrent layer run from the first step to the last and another from the last to the first, put together.

    Input shape:  (batch, steps, features), or as the layer's
    Output shape: the two outputs merged: ``concat`` adds up the last axes, ``None`` gives a list of both; with
    ``return_state`` a list of that and the last states, the forward ones first

    Where the layer inside runs as torch's own module, both directions are one module with ``bidirectional=True``. A
    ``backward_layer`` of other units changes the size of ``concat``, for which Keras' own shape rule counts the forward
    layer twice.

    >>> from kerashape_torch.layers import LSTM
    >>> Bidirectional(LSTM(4)).compute_output_shape((None, 5, 3))
    (None, 8)
    >>> Bidirectional(LSTM(4, return_sequences=True), merge_mode=None).compute_output_shape((None, 5, 3))
    [(None, 5, 4), (None, 5, 4)]
    """

    call_arguments = ("sequences", "initial_state", "mask", "training")
    shape_arguments = ("sequences", "initial_state")
    supports_masking = True
    uses_mask = True
    _common: ClassVar[tuple[str, ...]] = ("stateful", "return_sequences", "return_state")

    layer: Any
    merge_mode: MergeMode = "concat"
    backward_layer: Any = None

    def __init__(self, layer: Any, merge_mode: str | None = "concat", weights: Any = None, backward_layer: Any = None,
                 **arguments: Any) -> None:
        if weights is not None:
            raise ConfigError("Bidirectional(weights=...) is not taken: a description holds no arrays. "
                              "Way out: set_keras_weights(module, arrays)")
        arguments.update(layer=layer, merge_mode=merge_mode, backward_layer=backward_layer)
        super().__init__(**arguments)

    def __post_init__(self) -> None:
        for argument, layer in (("layer", self.layer), ("backward_layer", self.backward_layer)):
            fits = isinstance(layer, Layer) and all(name in layer._fields for name in ("go_backwards", *self._common))
            if not fits and (layer is not None or argument == "layer"):
                raise ConfigError(f"Bidirectional({argument}=...) takes a recurrent layer such as LSTM(4), "
                                  f"got {layer!r}")
        padded = {"zero_output_for_mask": self.layer.return_sequences}
        self._forward = self.layer.copy(nodes=[], **padded)
        if self.backward_layer is None:
            self._backward = self.layer.copy(nodes=[], **padded, go_backwards=True)
        else:
            self._backward = self.backward_layer
            self._backward.zero_output_for_mask = self._backward.return_sequences
        self._check_directions()
        self.hold()

    def _check_directions(self) -> None:
        there, back = self._forward, self._backward
        if there.go_backwards == back.go_backwards:
            raise ConfigError(f"Bidirectional: one layer goes backwards and one does not; both have go_backwards="
                              f"{there.go_backwards}")
        for name in self._common:
            if getattr(there, name) != getattr(back, name):
                raise ConfigError(f"Bidirectional: {name} must be alike, got {getattr(there, name)} for the layer and "
                                  f"{getattr(back, name)} for backward_layer")

    def sublayers(self) -> Sequence[Layer]:
        """The layers that were given: in Keras each of them uses up a number, and the copies are named after them."""
        return (self.layer,) if self.backward_layer is None else (self.layer, self.backward_layer)

    def shapes_inside(self, *shapes: Any) -> list[tuple[Layer, Any]]:
        return [(self.forward_layer, shapes[0]), (self._backward_layer, shapes[0])]

    @property
    def forward_layer(self) -> Any:
        """The layer that runs first; Keras makes it anew, as ``forward_lstm``."""
        self._forward.given_name = f"forward_{self.layer.name.removeprefix('forward_')}"
        return self._forward

    @property
    def _backward_layer(self) -> Any:
        """The layer that runs the other way; where none is given, Keras makes it, as ``backward_lstm``."""
        if self.backward_layer is None:
            self._backward.given_name = f"backward_{self.layer.name.removeprefix('backward_')}"
        return self._backward

    @property
    def return_sequences(self) -> bool:
        return bool(self.layer.return_sequences)

    @property
    def return_state(self) -> bool:
        return bool(self.layer.return_state)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "layer": serialize(self.forward_layer),
                "backward_layer": serialize(self._backward_layer)}

    # ---- the rules ---------------------------------------------------------------------------------------------------

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """Of a sequence its own mask, of both directions where they are not merged; states have none."""
        mask = flatten(previous_mask)[0] if self.return_sequences else None
        return [mask, mask] if self.merge_mode is None else [mask]

    def layout(self, shape: Shape, initial_state: Any = None) -> str:
        return CHANNELS_FIRST if {part.layout(shape) for part in self.sublayers()} == {CHANNELS_FIRST} else KERAS

    def compute_output_shape(self, shape: Shape, initial_state: Any = None) -> Any:
        there = self.forward_layer.compute_output_shape(shape)
        back = self._backward_layer.compute_output_shape(shape)
        states: list[Any] = []
        if self.return_state:
            there, back, states = there[0], back[0], [*there[1:], *back[1:]]
        if initial_state is not None:
            self._check_states(shape, initial_state)
        merged = [there, back] if self.merge_mode is None else [self._merged(there, back)]
        outputs = [*merged, *states]
        return outputs if len(outputs) > 1 else outputs[0]

    def _merged(self, there: Shape, back: Shape) -> Shape:
        if self.merge_mode != "concat":
            return broadcast(there, back)
        last = None if there[-1] is None or back[-1] is None else there[-1] + back[-1]
        return (*there[:-1], last)

    def _check_states(self, shape: Shape, states: Any) -> None:
        layers = (self.forward_layer, self._backward_layer)
        if all(isinstance(layer, Recurrent) for layer in layers):
            check_states(states, [layer.step_shapes(shape)[1] for layer in layers], "initial_state")

    def weight_specs(self, shape: Shape, initial_state: Any = None) -> list[WeightSpec]:
        there, back = self.forward_layer, self._backward_layer
        if not self._is_stock():
            parts = (("forward_layer", there), ("backward_layer", back))
            return [spec for at, part in parts for spec in part_specs(part, shape, at, self.layout(shape))]
        specs = part_specs(there, shape, "")
        for spec in part_specs(back, shape, ""):
            places = tuple(place._replace(path=f"{place.path}_reverse") for place in spec.places)
            specs.append(spec._replace(places=places))
        return specs

    def flops(self, shape: Shape, initial_state: Any = None) -> int:
        return self.forward_layer.flops(shape) + self._backward_layer.flops(shape)  # type: ignore[no-any-return]

    def _is_stock(self) -> bool:
        """Whether torch runs both directions in one module: two cells alike, and nothing between calls or steps."""
        there, back = self._forward, self._backward
        if not (isinstance(there, Recurrent) and isinstance(back, Recurrent)):
            return False
        if not (there.is_stock and back.is_stock) or there.stateful or there.go_backwards:
            return False
        cells: list[Any] = [there.one_step, back.one_step]
        if any(cell.dropout or cell.output_regularizer() is not None for cell in cells):
            return False
        first, second = ({name: getattr(cell, name, None) for name in ("units", "use_bias", "reset_after")}
                         for cell in cells)
        alike = type(cells[0]) is type(cells[1]) and first == second
        return alike and activations.get(cells[0].activation) is activations.get(cells[1].activation)

    def module(self, shape: Shape, initial_state: Any = None) -> Any:
        from kerashape_torch.torch_modules import recurrent

        options = recurrent.Options(self.return_sequences, self.return_state, merge_mode=self.merge_mode,
                                    zero_output_for_mask=self.return_sequences)
        there, back = self.forward_layer, self._backward_layer
        if self._is_stock():
            made = there.one_step.bidirectional_module(fixed(shape[-1], "features"), options)
            made.activity, made.activity_back = there.listener(), back.listener()
            return made
        order = self.layout(shape)
        return recurrent.Bidirectional(part_module(there, shape, order), part_module(back, shape, order), options,
                                       channels_first=order == CHANNELS_FIRST)


class TimeDistributed(Wrapper):
    """The same layer, or model, for each step of a sequence.

    Input shape:  (batch, steps, ...)
    Output shape: (batch, steps, ...) where the rest is what the layer makes of it

    All steps run at once, as more samples. In training a layer that gathers statistics, such as BatchNormalization, is
    run step by step, since Keras gives it the samples of one step at a time.

    >>> from kerashape_torch.layers import Dense
    >>> TimeDistributed(Dense(3)).compute_output_shape((None, 5, 4))
    (None, 5, 3)
    """

    call_arguments = ("inputs", "training", "mask")
    supports_masking = True

    @property
    def uses_mask(self) -> bool:  # type: ignore[override]
        """Whether a layer inside does: each step's part of the mask goes to it."""
        return any(layer.uses_mask for layer in inside(self, models_too=True))

    def _step_shape(self, shape: Any) -> Shape:
        if not is_shape(shape):
            raise ShapeError("expected one tensor, (batch, steps, ...), got a list")
        require_min_rank(shape, 3, "(batch, steps, ...)")
        return (shape[0], *shape[2:])

    def shapes_inside(self, *shapes: Any) -> list[tuple[Layer, Any]]:
        step = self._step_shape(shapes[0])
        if isinstance(self.layer, Sequential) and not self.layer.built:
            self.layer.build(step)
        return [(self.layer, step)]

    def compute_output_shape(self, shape: Shape) -> Shape:
        output = self.layer.compute_output_shape(self._step_shape(shape))
        if not is_shape(output):
            raise ShapeError(f"the layer inside must give one tensor, got {len(flatten_shapes(output))}")
        return (output[0], shape[1], *output[1:])

    def flops(self, shape: Shape) -> int:
        step = self._step_shape(shape)
        return self.layer.flops((product((step[0], shape[1])), *step[1:]))  # type: ignore[no-any-return]

    def module(self, shape: Shape) -> Any:
        return self._module(shape, masked=False)

    def masked_module(self, shape: Shape) -> Any:
        return self._module(shape, masked=True)

    def _module(self, shape: Shape, masked: bool) -> Any:
        from kerashape_torch.torch_modules.activity import is_heard
        from kerashape_torch.torch_modules.recurrent import TimeDistributed as Module

        stateful = any(getattr(layer, "stateful", False) for layer in inside(self, models_too=True))
        step = self._step_shape(shape)
        batch = step[0] if stateful else product((step[0], shape[1]))
        part = part_module(self.layer, (batch, *step[1:]), masked=masked, heard=False)
        return Module(part, _gathers(self.layer, step), stateful or is_heard(part))


def _gathers(layer: Layer, *shapes: Any) -> bool:
    """Whether a layer gathers statistics: before any freezing, it has weights that are not trained."""
    if isinstance(layer, Model):
        return any(_gathers(inner, *inner.call_shapes()) for inner in layer.layers)
    return any(not spec.trainable for spec in layer.weight_specs(*shapes))
