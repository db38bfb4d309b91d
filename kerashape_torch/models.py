"""Input, Model and Sequential: layers put together, every shape known at once."""

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from kerashape_torch.config import custom_object_scope, deserialize, from_config_value, to_config
from kerashape_torch.errors import ConfigError, KerashapeError, ShapeError, UnknownLayerError, did_you_mean
from kerashape_torch.graph import Graph, Node, SymbolicTensor, TensorSpec, number
from kerashape_torch.layer import DType, Layer, shapes_of
from kerashape_torch.shape import Shape, standardize, to_text
from kerashape_torch.structure import flatten, is_shape, map_structure
from kerashape_torch.weights import WeightSpec

if TYPE_CHECKING:
    import torch
    from typing_extensions import Self

_serials = itertools.count()


class InputLayer(Layer):
    """Where data enters a model. ``Input(shape)`` makes one and gives back its tensor.

    Input shape:  none; the batch axis is left out of ``shape`` and given by ``batch_size`` or ``batch_shape``
    Output shape: (batch, *shape)

    >>> InputLayer(shape=(50, 50, 3)).output_shape
    (None, 50, 50, 3)
    """

    shape: Any = None
    batch_size: int | None = None
    dtype: DType = None
    sparse: bool | None = False
    ragged: bool | None = False
    batch_shape: Any = None
    optional: bool = False
    keeps_dtype = True
    supports_masking = True

    def __post_init__(self) -> None:
        given = self.__dict__
        if given["shape"] is not None and given["batch_shape"] is not None:
            raise ConfigError(f"Input takes shape or batch_shape, not both: got shape={given['shape']!r}, "
                              f"batch_shape={given['batch_shape']!r}")
        if given["shape"] is not None:
            given["batch_shape"] = (given["batch_size"], *standardize(given["shape"], "Input(shape=...)"))
        given["batch_shape"] = self._declared_shape()
        if given["batch_shape"] is None:
            raise ConfigError("Input needs a shape, without the batch axis: Input(shape=(3,))")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.dtype = self.dtype or "float32"
        self.output: SymbolicTensor = Node(self, (), {}, TensorSpec(self.batch_shape, self.dtype)).outputs

    def call_shapes(self) -> list[Any]:
        return [self.batch_shape]

    def get_config(self) -> dict[str, Any]:
        return {"batch_shape": self.batch_shape, "dtype": self.dtype, "sparse": bool(self.sparse),
                "ragged": bool(self.ragged), "name": self.name, "optional": self.optional}


def Input(shape: Any = None, batch_size: int | None = None, dtype: str | None = None, sparse: bool | None = None,
          ragged: bool | None = None, batch_shape: Any = None, name: str | None = None, tensor: Any = None,
          optional: bool = False) -> SymbolicTensor:
    """A symbolic tensor to start a model from. The batch axis is left out of ``shape``.

    >>> Input((3,)).shape, Input(batch_shape=(30, 50, 50, 3)).shape
    ((None, 3), (30, 50, 50, 3))
    """
    if tensor is not None:
        raise ConfigError("Input(tensor=...) is not taken: a description holds no tensors")
    return InputLayer(shape=shape, batch_size=batch_size, dtype=dtype, sparse=sparse or False, ragged=ragged or False,
                      batch_shape=batch_shape, name=name, optional=optional).output


class _ModelArguments(Layer, catalog=False):
    """What Model takes, in order; the model itself has properties of the same names."""

    inputs: Any = None
    outputs: Any = None
    name: str | None = None


class Model(_ModelArguments, aliases=("Functional",)):
    """Everything between some inputs and some outputs: a tensor, a list or a dict of tensors each.

    >>> from kerashape_torch.layers import Dense
    >>> x = Input((3,))
    >>> model = Model(x, Dense(units=1)(Dense(units=4)(x)))
    >>> model.output_shape, model.count_params()
    ((None, 1), 21)
    """

    keras_module: ClassVar[str] = "keras.src.models.functional"
    keras_class_name: ClassVar[str] = "Functional"
    supports_masking = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._names: dict[Layer, str] | None = None
        trainable = kwargs.pop("trainable", True)
        super().__init__(*args, **kwargs)
        self._trainable = True
        self._start()
        if trainable is False:
            self.trainable = False

    def _start(self) -> None:
        if self.inputs is None or self.outputs is None:
            raise ConfigError(f"{type(self).__name__} needs inputs and outputs: Model(inputs, outputs)")
        self._graph = Graph(self.inputs, self.outputs)
        for layer in self._graph.layers:
            self._adopt(layer)
        self.assign_names()
        self._check_names()

    def _arguments(self, but: tuple[str, ...] = ()) -> str:
        shapes = f"{to_text(self.input_shape)} -> {to_text(self.output_shape)}"
        return f"{self.name!r}, {shapes}, {len(self.layers)} layers"

    # ---- the parts ---------------------------------------------------------------------------------------------------

    @property
    def graph(self) -> Graph:
        """The calls between inputs and outputs.

        Raises:
            ShapeError: the input shape is not known yet.
        """
        return self._graph

    @property
    def layers(self) -> list[Layer]:
        """The layers in Keras' order."""
        return list(self._graph.layers)

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """A layer by its name or its place."""
        if index is not None:
            return self.layers[index]
        for layer in self.layers:
            if layer.name == name:
                return layer
        names = [layer.name for layer in self.layers]
        raise ConfigError(f"{self.name} has no layer {name!r}.{did_you_mean(str(name), names)} "
                          f"It has: {', '.join(names)}")

    def sublayers(self) -> Sequence[Layer]:
        return self.layers

    @property
    def trainable(self) -> bool:  # type: ignore[override]
        """Setting it sets every layer's, as in Keras."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        for layer in self.sublayers():
            layer.trainable = bool(value)

    # ---- names -------------------------------------------------------------------------------------------------------

    @property
    def name_prefix(self) -> str:
        return "functional" if type(self) is Model else super().name_prefix

    def _adopt(self, layer: Layer) -> None:
        """Takes over naming a layer and all inside it, unless a model that is no part of this one named it first."""
        self._names = None
        if layer._namer is None:
            layer._namer = self
        stack = list(layer.sublayers())
        while stack:
            inner = stack.pop()
            if inner._namer is None or inner._namer is layer or inner._namer in _members(layer):
                inner._namer = self
            stack.extend(inner.sublayers())
        if isinstance(layer, Model):
            layer._namer = self if layer._namer in (None, layer) else layer._namer

    def assign_names(self) -> None:
        """Numbers the layers that have no name of their own; nothing happens unless layers have come."""
        if self._names is not None:
            return
        self._names = {}  # set first: looking at a foreign layer's name must not come back here
        members = [*_members(self), self]
        own = [m for m in members if m._namer is self or m is self]
        named = [layer.given_name for layer in self._direct_layers() if layer.given_name is not None]
        names = number([*members, *(ghost for m in members for ghost in m.__dict__.get("_ghosts", ()))], named,
                       fixed=set(members) - set(own))
        for layer in own:
            layer._auto_name = names[layer]
        self._names = {layer: names[layer] for layer in own}

    def _direct_layers(self) -> Sequence[Layer]:
        return self._graph.layers

    @property
    def name(self) -> str:  # type: ignore[override]
        if self.given_name is None:
            (self._namer or self).assign_names()
        return self.given_name or self._auto_name or self.name_prefix

    def _check_names(self) -> None:
        seen: dict[str, Layer] = {}
        for layer in self._direct_layers():
            if seen.setdefault(layer.name, layer) is not layer:
                raise ConfigError(f"two layers of {self.name} are named {layer.name!r}: {seen[layer.name]!r} and "
                                  f"{layer!r}. Give one of them another name")

    # ---- the rules ---------------------------------------------------------------------------------------------------

    def call_shapes(self) -> list[Any]:
        return [shapes_of(self.graph.inputs)]

    @property
    def input_shape(self) -> Any:
        """The input shape, or the list of them in the order in which Keras takes them."""
        shapes = [x.shape for x in self.graph.flat_inputs]
        return shapes[0] if len(shapes) == 1 else shapes

    @property
    def output_shape(self) -> Any:
        """The output shape, or the list of them in the order in which Keras gives them."""
        shapes = [x.shape for x in self.graph.flat_outputs]
        return shapes[0] if len(shapes) == 1 else shapes

    @property
    def built(self) -> bool:
        return True

    def input_dtype(self) -> str:
        return self.graph.flat_inputs[0].dtype if self.built else super().input_dtype()

    def output_spec(self, *args: Any, **kwargs: Any) -> Any:
        given = [x for x in flatten(self.bind(args, kwargs).get("inputs")) if isinstance(x, TensorSpec)]
        expected = self.graph.flat_inputs
        if len(given) != len(expected):
            raise ShapeError(f"the model takes {len(expected)} inputs, got {len(given)}")
        for spec, own in zip(given, expected):
            _check_compatible(spec.shape, own)
        if all(spec.shape == own.shape for spec, own in zip(given, expected)):
            return map_structure(lambda x: TensorSpec(x.shape, x.dtype), self.graph.outputs)
        return self.graph.infer([TensorSpec(spec.shape, own.dtype) for spec, own in zip(given, expected)])

    def compute_output_shape(self, shape: Any) -> Any:
        """The output shape for another input shape: another batch, or sizes where the model has None."""
        shapes = [shape] if is_shape(shape) else flatten_shapes_of(shape)
        specs = [TensorSpec(tuple(s), own.dtype) for s, own in zip(shapes, self.graph.flat_inputs)]
        return shapes_of(self.output_spec(specs))

    def weight_specs(self, shape: Any = None) -> list[WeightSpec]:
        """Every layer's weights in Keras' order, each with the path ``layer/kernel``."""
        return [spec.below(layer.name) for layer in self.layers for spec in layer.weights]

    @property
    def weights(self) -> list[WeightSpec]:
        return self.weight_specs()

    def check_weights(self, shapes: Sequence[Any]) -> None:
        """Nothing: the layers inside have been checked."""

    def build(self, input_shape: Any = None) -> None:
        """Gives the input shape, batch axis included, to a model that has none; see :class:`Sequential`."""

    # ---- configs -----------------------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """The model as a Keras 3 config, which Keras loads to the same shapes."""
        graph = self.graph
        kept = {node: i for layer in graph.layers for i, node in enumerate(graph.nodes_of(layer))}

        def place(x: SymbolicTensor) -> list[Any]:
            # Keras counts a functional model's own creation as its first call here, and only here.
            offset = isinstance(x.node.layer, Model) and not isinstance(x.node.layer, Sequential)
            return [x.node.layer.name, kept[x.node] + offset, x.index]

        layers = []
        for layer in graph.layers:
            nodes = [_write_call(node, kept) for node in graph.nodes_of(layer) if node.inputs]
            layers.append({**layer.serialize(), "name": layer.name, "inbound_nodes": nodes})
        return {"name": self.name, "trainable": self.trainable, "layers": layers,
                "input_layers": map_structure(place, graph.inputs), "output_layers": map_structure(place, graph.outputs)}

    def serialize(self) -> dict[str, Any]:
        written = {"module": self.keras_module, "class_name": self.keras_class_name, "config": self.get_config(),
                   "registered_name": "Functional" if self.keras_class_name == "Functional" else None}
        if self.built:
            single = len(self.graph.flat_inputs) == 1
            written["build_config"] = {"input_shape": self.input_shape if single else None}
        return written

    def to_json(self, **kwargs: Any) -> str:
        """The architecture as JSON text, as Keras writes it; :func:`model_from_json` reads it."""
        return json.dumps(self.serialize(), **kwargs)

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> "Self":
        """A model from ``get_config()``."""
        with custom_object_scope(custom_objects):
            if "layers" not in config or "input_layers" not in config:
                raise ConfigError("the config of a functional model has 'layers', 'input_layers' and 'output_layers'")
            return _Reader(config).model(cls)

    # ---- doors to the rooms below ------------------------------------------------------------------------------------

    def to_torch(self, device: Any = None, dtype: Any = None, layout: str = "keras") -> "torch.nn.Module":  # type: ignore[override]
        """The model as a ``torch.fx.GraphModule`` of stock modules, in evaluation mode.

        Args:
            device: where its weights are made: ``"cuda"``, ``"cpu"``, or ``"meta"`` for no memory at all.
            dtype: the dtype of its weights, where it is not the model's own.
            layout: ``"keras"`` takes and gives axes as the model says; ``"torch"`` takes and gives images channels first.

        Without an input shape the module is lazy: its first call infers every weight shape.
        """
        from kerashape_torch.lowering import model_to_torch

        return model_to_torch(self, device=device, dtype=dtype, layout=layout)

    def summary(self, line_length: int | None = None, positions: Sequence[float] | None = None, print_fn: Any = None,
                expand_nested: bool = False, show_trainable: bool = False, layer_range: Any = None) -> None:
        """Prints Keras' table of layers, shapes and counts. It needs no tensors."""
        from kerashape_torch.reports import print_summary

        print_summary(self, line_length, positions, print_fn, expand_nested, show_trainable, layer_range)

    def save(self, path: Any) -> None:
        """Writes the architecture to a file. A model holds no weights; see ``kerashape_torch.saving``."""
        from kerashape_torch.saving import save_model

        save_model(self, path)


class Sequential(Model):
    """Layers one after another. The first one says the input shape, or ``build`` or the first tensor does.

    >>> from kerashape_torch.layers import Dense, Activation
    >>> model = Sequential()
    >>> model.add(Dense(32, input_dim=784))
    >>> model.add(Activation("relu"))
    >>> model.output_shape
    (None, 32)
    """

    _own_order: ClassVar[tuple[str, ...]] = ("layers", "trainable", "name")
    keras_module: ClassVar[str] = "keras"
    keras_class_name: ClassVar[str] = "Sequential"

    def __init__(self, layers: Sequence[Any] | None = None, trainable: bool = True, name: str | None = None,
                 **kwargs: Any) -> None:
        self._stack: list[Layer] = []
        self._tail: Any = None
        self._ghosts: list["_Ghost"] = []
        self._sequence_graph: Graph | None = None
        super().__init__(name=name, trainable=trainable, **kwargs)
        for layer in layers or ():
            self._push(layer)
        self._haunt()
        if trainable is False:
            self.trainable = False

    def _start(self) -> None:
        pass

    def _arguments(self, but: tuple[str, ...] = ()) -> str:
        return ", ".join(repr(layer) for layer in self.layers)

    def add(self, layer: Any) -> None:
        """Puts a layer, a model or an ``Input`` on top."""
        self._push(layer)
        self._haunt()

    def pop(self) -> Layer:
        """Takes the last layer off."""
        layer = self._stack.pop()
        if self._tail is not None:
            self._tail = self._stack[-1].nodes[-1].outputs if self._stack else None
        self._changed()
        return layer

    def _push(self, layer: Any) -> None:
        if isinstance(layer, SymbolicTensor):
            layer = layer.node.layer
        if not isinstance(layer, Layer):
            raise ConfigError(f"a Sequential model takes layers, got {layer!r} of type {type(layer).__name__}")
        if not self._stack and not isinstance(layer, InputLayer):
            shape = layer.input_shape if isinstance(layer, Model) and layer.built else layer.declared_shape
            if shape is not None:
                self._push(InputLayer(batch_shape=shape, dtype=layer.input_dtype()))
        if isinstance(layer, InputLayer) and self._stack:
            raise ConfigError(f"{self.name} already has the input shape {to_text(self._stack[0].output_shape)}: "
                              "an Input comes first")
        if layer.given_name is not None and any(layer.given_name == other.given_name for other in self._named(layer)):
            raise ConfigError(f"{self.name} already has a layer named {layer.given_name!r}. Give {layer!r} another name")
        if isinstance(layer, InputLayer):
            self._tail = layer.output
        elif self._tail is not None:
            self._tail = layer(self._tail)
        self._stack.append(layer)
        self._given_names[layer.given_name] = layer
        self._changed()
        self._adopt(layer)

    @property
    def _given_names(self) -> dict[str | None, Layer]:
        return self.__dict__.setdefault("_names_given", {})  # type: ignore[no-any-return]

    def _named(self, layer: Layer) -> Iterator[Layer]:
        found = self._given_names.get(layer.given_name)
        if found is not None and found in self._stack[-1:] + self._stack:
            yield found

    def _changed(self) -> None:
        self._sequence_graph = None
        self._names = None

    def _haunt(self) -> None:
        """Keras makes an unnamed Functional at each rebuild; it uses up a number, so later models are named after it."""
        if self._tail is not None and len(self._stack) > 1:
            self._ghosts.append(_Ghost())

    def build(self, input_shape: Any = None) -> None:
        """Gives the input shape, batch axis included.

        >>> from kerashape_torch.layers import Dense
        >>> model = Sequential([Dense(4)])
        >>> model.build((None, 3))
        >>> model.count_params()
        16
        """
        if input_shape is None:
            if self._tail is None:
                raise ShapeError(f"{self.name} has no input shape yet", hint="build((None, ...)) needs one")
            return
        shape = standardize(input_shape, "build(input_shape)")
        if self._tail is not None:
            if self.input_shape != shape:
                raise ShapeError(f"{self.name} is already built for {to_text(self.input_shape)}, not {to_text(shape)}")
            return
        layers, self._stack = self._stack, []
        if not layers:
            raise ConfigError(f"{self.name} has no layers to build; add some first")
        self._names_given = {}
        self._push(InputLayer(batch_shape=shape, dtype=layers[0].input_dtype()))
        for layer in layers:
            self._push(layer)
        self._haunt()

    @property
    def graph(self) -> Graph:
        if self._tail is None:
            raise ShapeError(f"the input shape of {self.name} is not known yet",
                             hint="give the first layer input_shape=..., or call model.build((None, ...)), "
                                  "or start with Input(...)")
        if self._sequence_graph is None:
            first = self._stack[0]
            assert isinstance(first, InputLayer)
            self._sequence_graph = Graph(first.output, self._tail)
        return self._sequence_graph

    @property
    def inputs(self) -> Any:  # type: ignore[override]
        return [self.graph.inputs]

    @property
    def outputs(self) -> Any:  # type: ignore[override]
        return [self.graph.outputs]

    @property
    def built(self) -> bool:
        return self._tail is not None

    @property
    def layers(self) -> list[Layer]:
        """The layers that were added; the input is not one of them, as in Keras."""
        return [layer for layer in self._stack if not isinstance(layer, InputLayer)]

    def sublayers(self) -> Sequence[Layer]:
        return self._stack

    def _direct_layers(self) -> Sequence[Layer]:
        return self._stack

    def output_spec(self, *args: Any, **kwargs: Any) -> Any:
        if self._tail is None:
            first = next(x for x in flatten((args, kwargs)) if isinstance(x, TensorSpec))
            self.build(first.shape)
        return super().output_spec(*args, **kwargs)

    def compute_output_shape(self, shape: Any) -> Any:
        """The output shape for an input shape; it does not build the model."""
        if self._tail is not None:
            return super().compute_output_shape(shape)
        for layer in self._stack:
            shape = layer.compute_output_shape(shape)  # not output_spec, which builds a nested Sequential
        return shape

    def get_config(self) -> dict[str, Any]:
        config: dict[str, Any] = {"name": self.name, "trainable": self.trainable,
                                  "dtype": self._written(self._fields["dtype"]),
                                  "layers": [layer.serialize() for layer in self._stack]}
        if self.built:
            config["build_input_shape"] = self.input_shape
        return config

    def serialize(self) -> dict[str, Any]:
        written = super().serialize()
        if self.built:
            written["build_config"] = {"input_shape": self.input_shape}
        return written

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> "Self":
        if "layers" not in config:
            raise ConfigError("the config of a Sequential model has 'layers'")
        with custom_object_scope(custom_objects):
            model = cls([deserialize(layer) for layer in config["layers"]], name=config.get("name"))
        shape = config.get("build_input_shape")
        if not model.built and shape and is_shape(shape) and model.layers:
            model.build(shape)
        if config.get("trainable") is False:
            model.trainable = False
        return model


class _Ghost:
    """A name that Keras uses up without a model that anyone sees."""

    given_name = None
    name_prefix = "functional"

    def __init__(self) -> None:
        from kerashape_torch.layer import _serials as serials

        self.serial = next(serials)


def _members(layer: Layer) -> dict[Layer, None]:
    """Every layer inside a layer, however deep."""
    found: dict[Layer, None] = {}
    stack = list(layer.sublayers())
    while stack:
        inner = stack.pop()
        if inner not in found:
            found[inner] = None
            stack.extend(inner.sublayers())
    return found


def _check_compatible(given: Shape, own: SymbolicTensor) -> None:
    if len(given) != len(own.shape):
        raise ShapeError(f"input {own.node.layer.name!r} has rank {len(own.shape)}, {to_text(own.shape)}, "
                         f"got rank {len(given)}")
    for axis, (got, expected) in enumerate(zip(given, own.shape)):
        if None not in (got, expected) and got != expected:
            raise ShapeError(f"axis {axis} of input {own.node.layer.name!r} is {expected}, got {got}")


def flatten_shapes_of(shape: Any) -> list[Shape]:
    from kerashape_torch.structure import flatten_shapes

    return flatten_shapes(shape)


# ---- functional configs ----------------------------------------------------------------------------------------------


def _write_call(node: Node, kept: Mapping[Node, int]) -> dict[str, Any]:
    def write(value: Any) -> Any:
        if not isinstance(value, SymbolicTensor):
            return _write_constant(value)
        history = [value.node.layer.name, kept[value.node], value.index]
        return {"class_name": "__keras_tensor__",
                "config": {"shape": value.shape, "dtype": value.dtype, "keras_history": history}}

    return {"args": map_structure(write, list(node.args)), "kwargs": map_structure(write, node.kwargs)}


def _write_constant(value: Any) -> Any:
    if isinstance(value, slice):
        parts = [_write_constant(part) for part in (value.start, value.stop, value.step)]
        return {"class_name": "__slice__", "config": dict(zip(("start", "stop", "step"), parts))}
    if value is Ellipsis:
        return {"class_name": "__ellipsis__", "config": {}}
    return to_config(value)


class _Reader:
    """Makes a functional model from its config: the layers first, then their calls as soon as their inputs exist."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.config = config
        self.made: dict[str, Layer] = {}
        self.calls: dict[str, list[Any]] = {}
        for written in config["layers"]:
            name = written.get("name") or written["config"]["name"]
            if name in self.made:
                raise ConfigError(f"two layers of this config are named {name!r}")
            self.made[name] = self._layer(written)
            self.calls[name] = list(written.get("inbound_nodes", ()))

    @staticmethod
    def _layer(written: Mapping[str, Any]) -> Layer:
        layer = deserialize(written)
        if not isinstance(layer, Layer):
            raise UnknownLayerError(f"{written['class_name']!r} is not a layer")
        return layer

    def model(self, cls: type[Any]) -> Any:
        self._call_all()
        config = self.config
        model = cls(self._tensors(config["input_layers"]), self._tensors(config["output_layers"]),
                    name=config.get("name"))
        if config.get("trainable") is False:
            model.trainable = False
        return model

    def _call_all(self) -> None:
        """Each call waits for the layers that it needs, so the work is linear in the number of calls."""
        waiting: dict[str, list[str]] = {}
        ready = list(reversed(self.made))
        progress = dict.fromkeys(self.made, 0)
        while ready:
            name = ready.pop()
            calls = self.calls[name]
            while progress[name] < len(calls):
                missing = self._missing(calls[progress[name]])
                if missing is not None:
                    waiting.setdefault(missing, []).append(name)
                    break
                call = calls[progress[name]]
                args, kwargs = self._arguments(call["args"]), self._arguments(call["kwargs"])
                self.made[name](*args, **kwargs)
                progress[name] += 1
                ready.extend(waiting.pop(name, ()))
        stuck = [name for name in self.made if progress[name] < len(self.calls[name])]
        if stuck:
            raise ConfigError(f"the calls of these layers form a loop or need what does not exist: {', '.join(stuck)}")

    def _missing(self, call: Any) -> str | None:
        for name, index, _ in _histories(call):
            if name not in self.made:
                raise ConfigError(f"a call needs the layer {name!r}, which this config does not have")
            if len(self.made[name].nodes) <= index:
                return str(name)
        return None

    def _arguments(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            name = value.get("class_name")
            if name == "__keras_tensor__":
                return self._tensor(*value["config"]["keras_history"])
            if name == "__slice__":
                parts = self._arguments(value["config"])
                return slice(parts["start"], parts["stop"], parts["step"])
            if name == "__ellipsis__":
                return ...
            if name is not None and "config" in value:
                return from_config_value(value)
            return {key: self._arguments(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._arguments(item) for item in value]
        return value

    def _tensor(self, name: str, node: int, index: int) -> SymbolicTensor:
        outputs: list[SymbolicTensor] = flatten(self.made[name].nodes[node].outputs)
        return outputs[index]

    def _tensors(self, structure: Any) -> Any:
        if isinstance(structure, Mapping):
            return {key: self._tensors(value) for key, value in structure.items()}
        if len(structure) == 3 and isinstance(structure[0], str):
            name, node, index = structure
            layer = self.made[name]
            return self._tensor(name, node - (isinstance(layer, Model) and not isinstance(layer, Sequential)), index)
        return [self._tensors(value) for value in structure]


def _histories(value: Any) -> Iterator[list[Any]]:
    if isinstance(value, Mapping):
        if value.get("class_name") == "__keras_tensor__":
            yield value["config"]["keras_history"]
        else:
            for item in value.values():
                yield from _histories(item)
    elif isinstance(value, list):
        for item in value:
            yield from _histories(item)


def model_from_json(text: str | bytes, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """A model from the text that ``to_json`` wrote, here or in Keras."""
    from kerashape_torch.saving import load_model

    return load_model(json.loads(text), custom_objects=custom_objects)


def clone_model(model: Model) -> Model:
    """A new model of the same architecture; its layers share nothing with the old ones."""
    if not isinstance(model, Model):
        raise KerashapeError(f"clone_model takes a model, got {type(model).__name__}")
    return type(model).from_config(model.get_config())
