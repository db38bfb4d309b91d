"""Model and Sequential: layers put together, every shape known at once."""

import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from kerashape_torch import sharing
from kerashape_torch.compilable import Compilable
from kerashape_torch.config import argument, custom_object_scope, deserialize, from_config_value, serialize
from kerashape_torch.errors import ConfigError, KerashapeError, ShapeError, did_you_mean
from kerashape_torch.functional_config import GraphReader, write_graph
from kerashape_torch.graph import Ghost, Graph, SymbolicTensor, TensorSpec, number, shapes_of
from kerashape_torch.inputs import Input as Input  # Keras has it in keras.models too
from kerashape_torch.inputs import InputLayer as InputLayer
from kerashape_torch.layer import Layer
from kerashape_torch.shape import Shape, standardize, to_text
from kerashape_torch.structure import flatten, flatten_shapes, is_shape, map_structure, without_collecting
from kerashape_torch.weights import WeightSpec

if TYPE_CHECKING:
    import torch
    from typing_extensions import Self


class Model(Compilable, Layer, aliases=("Functional",)):
    """Everything between some inputs and some outputs: a tensor, a list or a dict of tensors each.

    >>> from kerashape_torch.layers import Dense
    >>> x = Input((3,))
    >>> model = Model(x, Dense(units=1)(Dense(units=4)(x)))
    >>> model.output_shape, model.count_params()
    ((None, 1), 21)
    """

    given_inputs: Any = argument(alias="inputs", default=None)
    given_outputs: Any = argument(alias="outputs", default=None)
    given_name: str | None = argument(alias="name", default=None)
    keras_module: ClassVar[str] = "keras.src.models.functional"
    keras_class_name: ClassVar[str] = "Functional"
    counts_its_creation = True
    call_arguments = ("inputs", "training", "mask")
    unwritten = ("inputs", "outputs")
    asks_for_training: ClassVar[bool] = True
    """False for a model with a ``call`` without ``training``: as in Keras, ``step`` leaves its layers in inference."""

    def __init_subclass__(cls, **keywords: Any) -> None:
        if "call" in vars(cls) and not issubclass(cls, Sequential):
            from kerashape_torch.subclassed import Subclassed

            Subclassed.extended_by(cls)
        super().__init_subclass__(**keywords)
        if cls.is_users_own() and not issubclass(cls, Sequential):
            cls.keras_class_name = cls.__name__
        if cls._torch_function is not None:
            raise ConfigError(f"{cls.__name__} is a model with a function of torch. Make it a layer, class "
                              f"{cls.__name__}(layers.Layer), and a model of that: x = Input(...); Model(x, layer(x))")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._names: dict[Layer, str] | None = None
        trainable = kwargs.pop("trainable", True)
        super().__init__(*args, **kwargs)
        self._trainable = True
        self._start()
        if trainable is False:
            self.trainable = False

    def _start(self) -> None:
        if self.given_inputs is None or self.given_outputs is None:
            raise ConfigError(f"{type(self).__name__} needs inputs and outputs: Model(inputs, outputs)")
        self._graph = Graph(self.given_inputs, self.given_outputs)
        self._ghosts: list[Any] = self._graph.mask_layers()
        for layer in self._graph.layers:
            self._adopt(layer)
        self.assign_names()
        self._check_names()

    @property
    def inputs(self) -> Any:
        """The tensor, list or dict of tensors that it was made from."""
        return self.graph.inputs

    @property
    def outputs(self) -> Any:
        """The tensor, list or dict of tensors that it was made to."""
        return self.graph.outputs

    @property
    def input(self) -> Any:
        """:attr:`inputs`; the tensor of a Sequential model."""
        return self.graph.inputs

    @property
    def output(self) -> Any:
        """:attr:`outputs`; the tensor of a Sequential model."""
        return self.graph.outputs

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
        """The layers in Keras' order. Ops, as in ``x + y``, are no layers: see :attr:`operations`."""
        return [layer for layer in self._graph.layers if layer.has_policy]

    @property
    def operations(self) -> list[Layer]:
        """The layers and ops in Keras' order."""
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
        return self.operations

    def keeps_masks_of(self, args: Sequence[Any]) -> bool:
        return True

    @property
    def trainable(self) -> bool:
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
        stack = list(layer.layers_to_name())
        while stack:
            inner = stack.pop()
            if inner._namer is None or inner._namer is layer or inner._namer in _members(layer):
                inner._namer = self
            stack.extend(inner.layers_to_name())
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
    def name(self) -> str:
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

    @property  # type: ignore[misc]
    def built(self) -> bool:
        return True

    def input_dtype(self) -> str:
        return self.graph.flat_inputs[0].dtype if self.built else super().input_dtype()

    def outputs_for(self, specs: list[Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
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
        specs = [TensorSpec(tuple(s), own.dtype) for s, own in zip(flatten_shapes(shape), self.graph.flat_inputs)]
        return shapes_of(self.output_spec(specs))

    def weight_specs(self, shape: Any = None) -> list[WeightSpec]:
        """Every layer's weights in Keras' order, each with the path ``layer/kernel``."""
        from kerashape_torch.parts import held_specs, where_first

        return [spec for specs in where_first(held_specs(self)).values() for spec in specs]

    @property
    def weights(self) -> list[WeightSpec]:
        return self.weight_specs()

    def check_weights(self, specs: Sequence[Any]) -> None:
        """Nothing: the layers inside have been checked."""

    def build(self, input_shape: Any = None) -> None:
        """Gives the input shape, batch axis included, to a model that has none; see :class:`Sequential`."""

    def flops(self, *shapes: Any) -> int:
        """What all calls inside cost; see :meth:`Layer.flops`."""
        given = zip(flatten_shapes(list(shapes)), self.graph.flat_inputs)
        known = self.graph.known([TensorSpec(shape, own.dtype) for shape, own in given])
        return sum(node.layer.flops(*self.graph.shapes_at(node, known)) for node in self.graph.nodes if node.inputs)

    # ---- configs -----------------------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """The model as a Keras 3 config; a class whose own ``__init__`` makes the graph is written by its arguments."""
        if type(self).__init__ is not Model.__init__ and "outputs" not in inspect.signature(type(self)).parameters:
            return super().get_config()
        return {"name": self.name, "trainable": self.trainable, **write_graph(self.graph)}

    def serialize(self) -> dict[str, Any]:
        written = serialize(self) if self.is_users_own() else {**serialize(self), "registered_name": "Functional"}
        # a functional model is built by its calls: Keras writes no input shape
        return {**written, "build_config": {"input_shape": None}, "compile_config": self.get_compile_config()}

    def to_json(self, **kwargs: Any) -> str:
        """The architecture as JSON text, as Keras writes it; :func:`model_from_json` reads it."""
        with sharing.numbered(self):
            return json.dumps(self.serialize(), **kwargs)

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> "Self":
        """A model from ``get_config()``."""
        with custom_object_scope(custom_objects):
            if "layers" not in config or "input_layers" not in config:
                if cls.is_users_own():
                    return cls._from_arguments(config)
                raise ConfigError("the config of a functional model has 'layers', 'input_layers' and 'output_layers'")
            return GraphReader(_in_keras3s_form("Functional", config)).model(cls)

    @classmethod
    def _from_arguments(cls, config: Mapping[str, Any]) -> "Self":
        """Made anew by its own ``__init__``. Keras writes arguments of every layer too, which that may not take."""
        given = {name: from_config_value(value) for name, value in config.items()}
        taken = inspect.signature(cls).parameters
        if not any(each.kind is each.VAR_KEYWORD for each in taken.values()):
            given = {name: value for name, value in given.items() if name in taken or name not in cls._fields}
        return cls(**given)

    # ---- doors to the rooms below ------------------------------------------------------------------------------------

    def to_torch(self, device: Any = None, dtype: Any = None, layout: str = "keras",  # type: ignore[override]
                 optimize: str | None = None) -> "torch.nn.Module":
        """The model as a ``torch.fx.GraphModule`` of stock modules, in evaluation mode.

        Args:
            device: where its weights are made: ``"cuda"``, ``"cpu"``, or ``"meta"`` for no memory at all.
            dtype: the dtype of its weights, where it is not the model's own.
            layout: ``"keras"`` takes and gives axes as the model says; ``"torch"`` has images channels first.
            optimize: ``"inference"`` gives the same numbers faster, and nothing but that: see
                :func:`kerashape_torch.optimize_for_inference`.

        Without an input shape the module is lazy: its first call infers every weight shape.
        """
        from kerashape_torch.lowering import model_to_torch

        return model_to_torch(self, device=device, dtype=dtype, layout=layout, optimize=optimize)

    def summary(self, line_length: int | None = None, positions: Sequence[float] | None = None, print_fn: Any = None,
                expand_nested: bool = False, show_trainable: bool = False, layer_range: Any = None) -> None:
        """Prints Keras' table of layers, shapes and counts. It needs no tensors."""
        from kerashape_torch.reports import print_summary

        print_summary(self, line_length, positions, print_fn, expand_nested, show_trainable, layer_range)

    def save(self, path: Any, weights: Any = None) -> None:
        """Writes ``.keras``, ``.h5`` or ``.json``, with a module's numbers, or else those of :meth:`to_torch`."""
        from kerashape_torch.saving import save_model

        save_model(self, path, weights)

    def save_weights(self, path: Any, weights: Any = None) -> None:
        """Writes ``.weights.h5``, with the same numbers."""
        from kerashape_torch.saving import save_weights

        save_weights(self if weights is None else weights, path)

    def load_weights(self, path: Any, by_name: bool = False, skip_mismatch: bool = False) -> None:
        """Takes the numbers in a file for :meth:`to_torch`; see :func:`kerashape_torch.saving.load_weights`."""
        from kerashape_torch.saving import load_weights

        load_weights(self, path, by_name, skip_mismatch)


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
    counts_its_creation = False

    def __init__(self, layers: Sequence[Any] | None = None, trainable: bool = True, name: str | None = None,
                 **kwargs: Any) -> None:
        self._stack: list[Layer] = []
        self._tail: Any = None
        self._ghosts: list[Ghost] = []
        self._given_names: dict[str | None, Layer] = {}
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
            raise ConfigError(f"{self.name} already has a layer named {layer.given_name!r}. Name {layer!r} anew")
        if isinstance(layer, InputLayer):
            self._tail = layer.output
        elif self._tail is not None:
            self._tail = layer(self._tail)
        self._stack.append(layer)
        self._given_names[layer.given_name] = layer
        self._changed()
        self._adopt(layer)

    def _named(self, layer: Layer) -> Iterator[Layer]:
        found = self._given_names.get(layer.given_name)
        if found is not None and found in self._stack[-1:] + self._stack:
            yield found

    def _changed(self) -> None:
        self._sequence_graph = None
        self._names = None

    def _haunt(self) -> None:
        """Keras makes an unnamed Functional at each rebuild; it uses up a number, which later names show."""
        if self._tail is not None and len(self._stack) > 1:
            self._ghosts.append(Ghost("functional"))

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
            raise ConfigError(f"{self.name} has no layers to build; layers.Identity() gives back what it gets")
        self._given_names = {}
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
    def inputs(self) -> Any:
        return [self.graph.inputs]

    @property
    def outputs(self) -> Any:
        return [self.graph.outputs]

    @property  # type: ignore[misc]
    def built(self) -> bool:
        return self._tail is not None

    @property
    def layers(self) -> list[Layer]:
        """The layers that were added; the input is not one of them, as in Keras."""
        return [layer for layer in self._stack if not isinstance(layer, InputLayer)]

    @property
    def operations(self) -> list[Layer]:
        return self.layers

    def sublayers(self) -> Sequence[Layer]:
        return self._stack

    def _direct_layers(self) -> Sequence[Layer]:
        return self._stack

    def outputs_for(self, specs: list[Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        if self._tail is None:
            first = next(x for x in flatten((args, kwargs)) if isinstance(x, TensorSpec))
            self.build(first.shape)
        return super().outputs_for(specs, args, kwargs)

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
        written = {**super().serialize(), "module": Sequential.keras_module, "registered_name": None}
        if self.built:
            written["build_config"] = {"input_shape": self.input_shape}
        else:
            del written["build_config"]
        return written

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> "Self":
        config = _in_keras3s_form("Sequential", config)
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


def _members(layer: Layer) -> dict[Layer, None]:
    """Every layer inside a layer, however deep."""
    found: dict[Layer, None] = {}
    stack = list(layer.layers_to_name())
    while stack:
        inner = stack.pop()
        if inner not in found:
            found[inner] = None
            stack.extend(inner.layers_to_name())
    return found


def _check_compatible(given: Shape, own: SymbolicTensor) -> None:
    if len(given) != len(own.shape):
        raise ShapeError(f"input {own.node.layer.name!r} has rank {len(own.shape)}, {to_text(own.shape)}, "
                         f"got rank {len(given)}")
    for axis, (got, expected) in enumerate(zip(given, own.shape)):
        if None not in (got, expected) and got != expected:
            raise ShapeError(f"axis {axis} of input {own.node.layer.name!r} is {expected}, got {got}")


def _in_keras3s_form(class_name: str, config: Any) -> Mapping[str, Any]:
    """The config of a model's ``get_config()``, where it is one of Keras 1 or 2: layers without a ``module``."""
    layers = config.get("layers") if isinstance(config, Mapping) else config
    if not isinstance(layers, (list, tuple)) or all(not isinstance(x, Mapping) or "module" in x for x in layers):
        return config  # type: ignore[no-any-return]
    from kerashape_torch.saving.upgrade import to_keras3

    return to_keras3({"class_name": class_name, "config": config})["config"]  # type: ignore[no-any-return]


def model_from_json(text: str | bytes, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """A model from the text that ``to_json`` wrote, here or in any Keras."""
    with without_collecting():
        return _model_from(json.loads(text), custom_objects)


def model_from_yaml(text: str | bytes, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """A model from the text that ``to_yaml`` of Keras 1 or 2 wrote. It takes PyYAML to read."""
    from kerashape_torch.saving.upgrade.yaml_text import parse_yaml

    return _model_from(parse_yaml(text), custom_objects)


def _model_from(config: Any, custom_objects: Mapping[str, Any] | None) -> Any:
    from kerashape_torch.saving import load_model

    if isinstance(config, (str, bytes)):  # which load_model would take for a path
        raise ConfigError("the config of a model is a dict with 'class_name' and 'config'")
    return load_model(config, custom_objects=custom_objects)


def clone_model(model: Model) -> Model:
    """A new model of the same architecture; its layers share nothing with the old ones."""
    if not isinstance(model, Model):
        raise KerashapeError(f"clone_model takes a model, got {type(model).__name__}")
    own = {type(layer).__name__: type(layer) for layer in _members(model) if layer.is_users_own()}
    with custom_object_scope(own):
        return type(model).from_config(model.get_config())
