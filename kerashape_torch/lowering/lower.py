"""One walk over a model's calls that emits an fx graph.

Every value carries the order in which its axes run: Keras' own, or channels first. A layer says which order its module
works in; a permute is emitted only where a value is not in the order that is asked for, and once for each value.
"""

from __future__ import annotations

import functools
import itertools
import keyword
import operator
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import fx, nn
from torch.overrides import TorchFunctionMode

from kerashape_torch import activations, masks
from kerashape_torch.composed import MASK_ARGUMENTS, masks_arriving
from kerashape_torch.dtypes import is_float, narrow
from kerashape_torch.errors import KerashapeError
from kerashape_torch.graph import Constant, Graph, Node, SymbolicTensor, TensorSpec, nodes_to, shapes_of
from kerashape_torch.layer import ANY, CHANNELS_FIRST, KERAS, Layer
from kerashape_torch.lowering.marked import MarkedGraph
from kerashape_torch.models import InputLayer, Model
from kerashape_torch.own_weights import OwnWeight
from kerashape_torch.parts import has_anothers_weights, held_specs, layers_with_weights, owners
from kerashape_torch.shape import Shape, channels_first_axis, channels_first_shape
from kerashape_torch.structure import flatten, map_shapes, map_structure
from kerashape_torch.text import identifier
from kerashape_torch.torch_modules import FixedMode, Function, Inline, place, set_at
from kerashape_torch.torch_modules.activity import as_it_is, listener
from kerashape_torch.torch_modules.mixed import MixedPrecision
from kerashape_torch.torch_modules.shared import refuse_layers_in_two_places, share
from kerashape_torch.user_layers import torch_function
from kerashape_torch.weights import WeightSpec

_SAID_OTHERWISE = ("training", *MASK_ARGUMENTS)
"""Arguments of Keras calls that a module's ``forward`` does not take as they are."""


class Value(NamedTuple):
    """A tensor on its way through the fx graph: the node that holds it, the order of its axes, and its Keras spec."""

    node: fx.Node
    order: str
    spec: TensorSpec


class Binding(NamedTuple):
    """A Keras weight and where it lives in the compiled module; the spec's paths are seen from the model."""

    layer: Layer
    spec: WeightSpec


class Lowered(NamedTuple):
    """What came out: the modules by path, the fx graph over them, and the weights in Keras' order."""

    root: nn.Module
    graph: fx.Graph
    bindings: list[Binding]
    input_names: list[str]
    input_shapes: list[Shape]
    optional: list[bool]
    structure: Any
    strings: list[bool]


def lower(graph: Graph, layers: list[Layer], layout: str, observed: bool = False, masks: bool = False) -> Lowered:
    """Lowers the calls of a model. ``layers`` are its layers in Keras' order, by which the weights are listed.

    If ``observed`` or ``masks``, it gives more than its outputs: their masks. If ``observed``, it tells who listens the
    outputs of all layers that have activity regularizers; else, as a part of a layer, those of layers in models alone.
    """
    lowering = _Lowering(graph, layout, observed, masks or observed)
    lowering.inputs()
    lowering.calls(_run_order(graph), "", None)
    if observed:
        lowering.losses(graph, "")
    lowering.outputs()
    tensors = graph.flat_inputs
    places = {id(x): i for i, x in enumerate(tensors)}
    return Lowered(lowering.root, lowering.fx, lowering.bindings(layers), [x.node.layer.name for x in tensors],
                   lowering.input_shapes, [getattr(x.node.layer, "optional", False) for x in tensors],
                   map_structure(lambda x: places[id(x)], graph.inputs), [x.dtype == "string" for x in tensors])


class _Unfilled(TorchFunctionMode):
    """Modules are made without torch's initial numbers, which Keras' or those of a file would replace."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == nn.init.__name__ and func.__name__.endswith("_"):
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


class _Lowering:
    def __init__(self, graph: Graph, layout: str, observed: bool, gives_masks: bool) -> None:
        self.graph = graph
        self.observed, self.gives_masks = observed, gives_masks
        self.torch_layout = layout == "torch"
        self.fx = MarkedGraph()
        self.root = nn.Module()
        self.values: dict[int, Value] = {}
        self.masks: dict[int, SymbolicTensor] = {}
        self.alive: list[Any] = []  # masks that have a value: they are known by their ids
        self.permuted: dict[tuple[fx.Node, str], fx.Node] = {}
        self.modules: dict[Any, list[tuple[str, str]]] = {}
        self.specs: dict[Layer, list[WeightSpec]] = {}
        self.again: list[tuple[Layer, WeightSpec, WeightSpec]] = []  # where a weight lies first, and where else
        self.paths: dict[str, Layer] = {}
        self.input_shapes: list[Shape] = []
        self.constants: list[Constant] = []

    # ---- inputs and outputs ------------------------------------------------------------------------------------------

    def inputs(self) -> None:
        taken = {"self", "torch", "isinstance", "getattr", "_receive"}  # what the first lines of forward speak of
        for tensor in self.graph.flat_inputs:
            name = identifier(tensor.node.layer.name)
            while name in taken:
                name += "_"
            taken.add(name)
            node = self.fx.placeholder(name)
            order = CHANNELS_FIRST if self.torch_layout and self._runs_channels_first(tensor) else KERAS
            self.input_shapes.append(channels_first_shape(tensor.shape) if order == CHANNELS_FIRST else tensor.shape)
            self.values[id(tensor)] = self._value(node, order, tensor)
            if tensor.mask is not None:
                self.masks[id(tensor)] = tensor.mask

    def _runs_channels_first(self, tensor: SymbolicTensor) -> bool:
        """Whether the first layer with an opinion that this input meets works channels first."""
        consumers: dict[int, list[Node]] = {}
        for node in self.graph.nodes:
            for x in node.inputs:
                consumers.setdefault(id(x), []).append(node)
        queue, seen = [tensor], {id(tensor)}
        for x in queue:
            for node in consumers.get(id(x), ()):
                layer = node.layer
                if isinstance(layer, Model):
                    return len(tensor.shape) > 3
                order = layer.layout(*map(shapes_of, layer.input_specs(node.args, node.kwargs)))
                if order != ANY:
                    return bool(order == CHANNELS_FIRST)
                fresh = [y for y in flatten(node.outputs) if id(y) not in seen]
                seen.update(map(id, fresh))
                queue.extend(fresh)
        return False

    def outputs(self) -> None:
        def given(tensor: SymbolicTensor) -> fx.Node:
            value = self.value(tensor)
            return value.node if self.torch_layout else self.in_order(value, KERAS)

        outputs = map_structure(given, self.graph.outputs)
        if self.gives_masks:
            masks = [self._mask_value(self.masks.get(id(x))) for x in self.graph.flat_outputs]
            outputs = (outputs, [None if mask is None else mask.node for mask in masks])
        self.fx.output(outputs)

    # ---- calls -------------------------------------------------------------------------------------------------------

    def calls(self, nodes: list[Node], prefix: str, training: bool | None) -> None:
        for node in nodes:
            has_value = all(id(x) in self.values for x in flatten(node.outputs))  # of masks that were asked for before
            if not has_value and (node.inputs or not isinstance(node.layer, InputLayer)):
                said = node.kwargs.get("training")
                mode = training if said is None or said == node.layer.training_unless_told else bool(said)
                if isinstance(node.layer, Model):
                    self.nested(node, prefix, mode)
                else:
                    self.call(node, prefix, mode)

    def losses(self, graph: Graph, prefix: str) -> None:
        """Tells who listens what a model's own call adds to the loss."""
        for i, loss in enumerate(graph.losses):
            if (heard := listener(as_it_is)) is not None:
                place(self.root, f"{prefix}_loss_{i}", heard)
                self.fx.call_module(f"{prefix}_loss_{i}", (self.value(loss).node,))

    def value(self, tensor: SymbolicTensor) -> Value:
        """The value of a tensor; that of a mask is made when somebody asks for it."""
        if id(tensor) not in self.values:
            self.calls(nodes_to(tensor, self.values), "", None)
        return self.values[id(tensor)]

    def nested(self, node: Node, prefix: str, training: bool | None) -> None:
        """A model inside a model: its calls are emitted here, its modules live under its name. Masks go in and out."""
        inner = node.layer.graph
        bound = node.layer.bind(node.args, node.kwargs)
        given = [x for x in flatten(bound["inputs"]) if isinstance(x, (SymbolicTensor, Constant))]
        explicit = flatten(bound.get("mask"))
        masked = [*explicit, *[None] * (len(given) - len(explicit))]
        going_in = [(self._constant(x) if isinstance(x, Constant) else self.value(x),
                     self._mask_value(self.masks.get(id(x)) if mask is None else mask))
                    for x, mask in zip(given, masked)]
        made = masks.passed_on(node.layer, bound, self._mask_of)
        outside = self.values, self.masks
        self.values, self.masks = {}, {}
        self._carry(inner.flat_inputs, going_in)
        path = self._path(prefix, node.layer)
        with self.fx.inside(path, node.layer, [value.node for value, _ in going_in]):
            self.calls(_run_order(inner), f"{path}.", training)
            self.losses(inner, f"{path}.")
            coming_out = [(self.value(x), self._mask_value(self.masks.get(id(x)))) for x in inner.flat_outputs]
        taken_off = [x for x, own in zip(given, inner.flat_inputs)
                     if id(own) not in self.masks and x.dtype == own.dtype]
        self.values, self.masks = outside
        for x in taken_off:  # in Keras they are one tensor: see takes_masks_off
            self.masks.pop(id(x), None)
        self._carry(flatten(node.outputs), coming_out)
        self._pass_masks_on(node, made)

    def _mask_value(self, mask: SymbolicTensor | None) -> Value | None:
        return None if mask is None else self.value(mask)

    def _carry(self, tensors: list[SymbolicTensor], found: list[tuple[Value, Value | None]]) -> None:
        """Values, and those of their masks, over the border of a model."""
        for tensor, (value, mask) in zip(tensors, found):
            self.values[id(tensor)] = value
            if mask is not None:
                self.masks[id(tensor)] = stand_in = SymbolicTensor(mask.spec.shape, mask.spec.dtype)
                self.values[id(stand_in)] = mask

    def call(self, node: Node, prefix: str, training: bool | None) -> None:
        layer: Layer = node.layer
        self.fx.layer = layer.name
        bound = layer.bind(node.args, node.kwargs)
        given_masks = self._masks_for(layer, bound)
        made = masks.passed_on(layer.leaves_masks_of(), bound, self._mask_of)
        if made and not self.fx.calls:  # in a model inside they come from outside too
            made = [mask if x.mask is None else x.mask for x, mask in zip(flatten(node.outputs), made)]
        if layer.uses_own_mask:  # the one that the next layers were told of, if there is one
            given_masks = {"mask": made[0] if node.outputs.mask is None else node.outputs.mask}
        specs = map_structure(self._spec, (node.args, node.kwargs))
        given = layer.input_specs(*specs)
        shapes = [shapes_of(spec) for spec in given]
        order, working = self._choose_order(layer, shapes, node, bool(given_masks))
        before, after = layer.casts_of(*specs)
        arguments = _without_masks(node)
        carried = self._carried(layer, arguments)
        args, kwargs = map_structure(lambda x: self._argument(x, order, layer, before), arguments)
        if any(mask is not None for mask in carried):
            kwargs["carried"] = [self._argument(mask, KERAS, layer, None) for mask in carried]
        kwargs |= map_structure(lambda x: self._argument(x, KERAS, layer, None), given_masks)
        if order == CHANNELS_FIRST and working is not layer:
            shapes = [map_shapes(lambda s: channels_first_shape(tuple(s)), shape) for shape in shapes]
        with masks_arriving([self._spec(mask) for mask in carried]):
            result = self._emit(layer, working, shapes, self._path(prefix, layer), args, kwargs, training)
            output_specs = layer.output_spec(*specs[0], **specs[1])
        if after is not None:
            result = self.fx.call_method("to", (result, getattr(torch, after)))
        result = self._activate(working, result, order, output_specs, prefix)
        self._store(node, result, order, output_specs)
        if self.observed or self.fx.calls:  # else the layer around this one sees to it
            self._tell(layer, self._path(prefix, layer), map(self.value, flatten(node.outputs)))
        self._pass_masks_on(node, made)

    def _masks_for(self, layer: Layer, bound: dict[str, Any]) -> dict[str, Any]:
        """The masks that a call needs for its numbers: given to it, or brought along by its tensors."""
        bound |= masks.brought_along(layer, bound, self._mask_of)
        if not layer.uses_mask:
            return {}
        if layer.takes_masks_off:  # Keras looks at the tensor here, whatever the call was given
            bound["query_mask"] = self._mask_of(bound["query"])
        found = {name: bound[name] for name in MASK_ARGUMENTS if bound.get(name) is not None}
        if "mask" not in layer.call_arguments and not found:  # a merging layer looks at its tensors itself
            found = {"mask": map_structure(self._mask_of, bound.get("inputs"))}
        return found if any(isinstance(x, SymbolicTensor) for x in flatten(found)) else {}

    def _carried(self, layer: Layer, arguments: Any) -> list[SymbolicTensor | None]:
        """What the tensors of a call bring into a user's function, where layers inside may look at it."""
        if torch_function(layer) is None:
            return []
        return [self._mask_of(x) for x in flatten(arguments) if isinstance(x, (SymbolicTensor, Constant))]

    def _mask_of(self, x: Any) -> SymbolicTensor | None:
        return self.masks.get(id(x))

    def _pass_masks_on(self, node: Node, made: list[Any]) -> None:
        self.alive += made
        for x, mask in zip(flatten(node.outputs), made):
            if mask is not None:
                self.masks.setdefault(id(x), mask)
        if node.layer.takes_masks_off:
            for x in node.inputs:
                self.masks.pop(id(x), None)

    def _spec(self, x: Any) -> Any:
        return self.value(x).spec if isinstance(x, SymbolicTensor) else x

    def _argument(self, x: Any, order: str, layer: Layer, cast: str | None) -> Any:
        """A tensor in the order and, if it is of floats, in the dtype that a layer computes in."""
        if not isinstance(x, (SymbolicTensor, Constant)):
            return x
        value = self.value(x) if isinstance(x, SymbolicTensor) else self._constant(x)
        if value.spec.dtype == "string" and not layer.takes_strings:
            raise KerashapeError(f"{layer.describe()} takes numbers, and its input holds strings. "
                                 "StringLookup, TextVectorization and Hashing turn them into numbers")
        found = self.in_order(value, order)
        if cast is not None:
            found = self._cast(found, narrow(value.spec.dtype), cast)
        if layer.has_policy and is_float(value.spec.dtype):
            dtypes = value.spec.dtype, layer.compute_dtype, layer.computes_like().compute_dtype
            for before, after in itertools.pairwise(filter(is_float, dtypes)):  # Discretization computes integers
                found = self._cast(found, before, after)
        return found

    def _cast(self, x: fx.Node, before: str, after: str) -> fx.Node:
        return x if before == after else self.fx.call_method("to", (x, getattr(torch, after)))

    def _constant(self, x: Constant) -> Value:
        """An array of the graph as a buffer, which a state_dict does not have: it is no weight."""
        if id(x) not in self.values:
            dtype = narrow(x.dtype) if is_float(x.dtype) else x.dtype
            with torch.device("cpu"):
                tensor = torch.as_tensor(x.value).detach().to(getattr(torch, dtype))
            name = f"_constant_{len(self.constants)}"
            self.constants.append(x)
            self.root.register_buffer(name, tensor, persistent=False)
            self.values[id(x)] = self._value(self.fx.get_attr(name), KERAS, x)
        return self.values[id(x)]

    def _choose_order(self, layer: Layer, shapes: list[Any], node: Node, masked: bool) -> tuple[str, Layer]:
        """The order a call runs in, and the layer as it works in that order. Masks are in Keras' order."""
        order = layer.layout(*shapes)
        if order != ANY or masked:
            return (KERAS if order == ANY else order), layer
        values = [self.value(x) for x in node.inputs]
        ranks = {len(value.spec.shape) for value in values}
        ranks |= {x.ndim for x in flatten((node.args, node.kwargs)) if isinstance(x, Constant) and x.shape}
        if len(ranks) > 1 or all(value.order == KERAS for value in values):
            return KERAS, layer
        return CHANNELS_FIRST, layer.in_channels_first(ranks.pop())

    def _emit(self, layer: Layer, working: Layer, shapes: list[Any], path: str, args: Any, kwargs: Any,
              training: bool | None) -> Any:
        with _Unfilled(), torch.device("meta"):
            masked = "mask" in kwargs and layer.uses_mask
            module = (working.masked_module if masked else working.module)(*shapes)
        module = _in_dtype(module, layer.computes_like())
        if layer not in self.modules:
            named = path.rpartition(".")[0] if isinstance(layer, OwnWeight) else path
            for owner, specs in held_specs(layer, list(map(_keras_shapes(layer, working), shapes))):
                below = [spec.below(named.replace(".", "/"), path) for spec in specs]
                self.again += [(owner, *pair) for pair in zip(self.specs.setdefault(owner, below), below)]
        if training is not None and not isinstance(module, Inline):
            module.train = FixedMode(module, training)  # type: ignore[method-assign]
        if isinstance(module, nn.Identity):
            return args[0]
        if isinstance(module, Inline):
            return module.written(self._node, *args, **kwargs)
        return self.fx.call_module(self._register(layer, module, path), tuple(args), kwargs)

    def _node(self, function: Callable[..., Any] | str, /, *args: Any, **kwargs: Any) -> fx.Node:
        make = self.fx.call_method if isinstance(function, str) else self.fx.call_function
        return make(function, args, kwargs)  # type: ignore[arg-type]

    def _register(self, layer: Any, module: nn.Module, path: str) -> str:
        """The path of a layer's module. A layer called twice is one module, unless the shapes ask for another."""
        made = self.modules.setdefault(layer, [])
        text = repr(module)
        for known_path, known_text in made:
            if known_text == text:
                return known_path
        if made:
            first = self.root.get_submodule(made[0][0])
            path = f"{path}__{len(made)}"
            for name, parameter in first.named_parameters():
                set_at(module, name, parameter)
        made.append((path, text))
        place(self.root, path, module)
        return path

    def _activate(self, layer: Layer, result: Any, order: str, specs: Any, prefix: str) -> Any:
        activation = layer.appended_activation
        if activation is None:
            return result
        if isinstance(activation, Layer):
            return self._activation_layer(activation, result, order, specs, self._path(prefix, layer))
        rank = len(specs.shape)
        moves = order == CHANNELS_FIRST and rank > 2
        axis_map: Callable[[int], int] | None = functools.partial(channels_first_axis, rank=rank) if moves else None
        function = activations.lowered(activation, axis_map)
        if function is None:
            return result
        if isinstance(function, functools.partial):
            return self.fx.call_function(function.func, (result, *function.args), function.keywords)
        if getattr(function, "__name__", "<lambda>") == "<lambda>":  # fx wants a function with a name, or a module
            module = function if isinstance(function, nn.Module) else Function(function)
            path = self._register(function, module, f"{self._path(prefix, layer)}_activation")
            return self.fx.call_module(path, (result,))
        return self.fx.call_function(function, (result,))

    def _activation_layer(self, activation: Layer, result: fx.Node, order: str, specs: TensorSpec,
                          path: str) -> fx.Node:
        shape = channels_first_shape(specs.shape) if order == CHANNELS_FIRST else specs.shape
        working = activation.in_channels_first(len(shape)) if order == CHANNELS_FIRST else activation
        result = self._emit(activation, working, [shape], f"{path}_activation", (result,), {}, None)
        result = self._activate(activation, result, order, specs, path)
        self._tell(activation, f"{path}_activation", [self._value(result, order, specs)])
        return result

    def _path(self, prefix: str, layer: Layer) -> str:
        """Where the module of a layer lies; names that torch cannot tell apart are told apart by underscores."""
        path = f"{prefix}{module_name(layer.name)}"
        while self.paths.setdefault(path, layer) is not layer:
            path += "_"
        return path

    def _tell(self, layer: Layer, path: str, outputs: Iterable[Value]) -> None:
        listener = layer.listener()
        if listener is not None:
            place(self.root, f"{path}__activity", listener)
            self.fx.call_module(f"{path}__activity", tuple(self.in_order(value, KERAS) for value in outputs))

    def _store(self, node: Node, result: Any, order: str, specs: Any) -> None:
        tensors = flatten(node.outputs)
        if isinstance(node.outputs, SymbolicTensor):
            results = [result]
        else:
            results = flatten(map_structure(lambda path: self._item(result, path), _paths(node.outputs)))
        inner = node.layer.computes_like()
        made = inner.output_dtype(self._spec(node.inputs[0]).dtype) if inner is not node.layer else None
        for tensor, part, spec in zip(tensors, results, flatten(specs)):
            if made is not None and is_float(spec.dtype):
                part = self._cast(part, made, spec.dtype)
            self.values[id(tensor)] = self._value(part, order, spec)
            if spec.mask is not None:  # a user's function gave it so
                stand_in = SymbolicTensor(spec.mask.shape, spec.mask.dtype)
                self.alive.append(stand_in)
                self.masks[id(tensor)] = stand_in
                self.values[id(stand_in)] = self._value(self.fx.call_function(masks.carried, (part,)), KERAS, stand_in)

    def _item(self, result: fx.Node, path: _Leaf) -> fx.Node:
        for key in path.keys:
            result = self.fx.call_function(operator.getitem, (result, key))
        return result

    # ---- order of axes -----------------------------------------------------------------------------------------------

    @staticmethod
    def _value(node: fx.Node, order: str, spec: TensorSpec) -> Value:
        order = order if len(spec.shape) > 2 else KERAS  # with two axes or fewer both orders are the same
        node.meta.setdefault("keras_shape", tuple(spec.shape))
        node.meta.setdefault("keras_dtype", spec.dtype)
        return Value(node, order, TensorSpec(tuple(spec.shape), spec.dtype))

    def in_order(self, value: Value, order: str) -> fx.Node:
        rank = len(value.spec.shape)
        if value.order == order or order == ANY or rank <= 2:
            return value.node
        key = (value.node, order)
        if key not in self.permuted:
            axes = (0, rank - 1, *range(1, rank - 1)) if order == CHANNELS_FIRST else (0, *range(2, rank), 1)
            self.permuted[key] = self.fx.call_function(torch.permute, (value.node, axes))
            self.permuted[key].meta["keras_order"] = order
        return self.permuted[key]

    # ---- weights -----------------------------------------------------------------------------------------------------

    def bindings(self, layers: list[Layer]) -> list[Binding]:
        """The weights in Keras' order, each once; frozen layers have no trainable ones."""
        refuse_layers_in_two_places(self.specs)
        share(self.root, self.again)
        found: list[Binding] = []
        seen: set[Layer] = set()

        def collect(layers: Sequence[Layer], frozen: bool) -> None:
            for layer in layers:
                if layer in seen:
                    continue
                seen.add(layer)
                off = frozen or not layer.trainable
                if isinstance(layer, Model) or has_anothers_weights(layer):
                    collect(layers_with_weights(layer), off)
                for spec in self.specs.get(layer, ()):
                    found.append(Binding(layer, spec._replace(trainable=False) if off else spec))

        collect(layers, False)
        return found


def _run_order(graph: Graph) -> list[Node]:
    """The calls, branch after branch; in Keras' order where a layer that changes by being called is called again."""
    counts = Counter(owner for layer in graph.layers for owner in owners([layer]) for _ in graph.nodes_of(layer))
    if not any(counts[owner] > 1 and _changes(owner, specs) for layer in graph.layers
               if any(counts[owner] > 1 for owner in owners([layer])) for owner, specs in held_specs(layer)):
        return graph.nodes
    return [node for level in graph.by_depth().values() for node in level]


def _changes(layer: Layer, specs: Iterable[WeightSpec]) -> bool:
    """Whether a call leaves something behind for the next one: states, or statistics in training."""
    return getattr(layer, "stateful", False) or any(not spec.trainable for spec in specs)


def _in_dtype(module: nn.Module, layer: Layer) -> nn.Module:
    """A layer's module with weights and numbers in the dtypes of its policy."""
    if layer.has_policy and layer.variable_dtype != "float32":
        module.to(getattr(torch, layer.variable_dtype))
    mixed = layer.has_policy and layer.compute_dtype != layer.variable_dtype and is_float(layer.compute_dtype)
    return MixedPrecision(module, getattr(torch, layer.compute_dtype)) if mixed and [*module.parameters()] else module


def _without_masks(node: Node) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of a call but for masks and ``training``; what comes after one by position is given by name."""
    names = node.layer.call_arguments[:len(node.args)]
    left_out = set(_SAID_OTHERWISE) - set(node.layer.shape_arguments)  # a mask is an operand of some ops
    first = next((i for i, name in enumerate(names) if name in left_out), len(node.args))
    named = {**dict(zip(names[first:], node.args[first:])), **node.kwargs}
    given = list(node.args[:first])
    for name in node.layer.shape_arguments[len(given):] if node.layer.has_policy else ():
        if name not in named:
            break
        given.append(named.pop(name))  # as modules take what a call may give by name
    return given, {name: x for name, x in named.items() if name not in left_out}


def _paths(structure: Any) -> Any:
    """The same structure with the way to each leaf in its place."""

    def walk(value: Any, keys: tuple[Any, ...]) -> Any:
        if isinstance(value, dict):
            return {key: walk(item, (*keys, key)) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [walk(item, (*keys, i)) for i, item in enumerate(value)]
        return _Leaf(keys)

    return walk(structure, ())


class _Leaf:
    def __init__(self, keys: tuple[Any, ...]) -> None:
        self.keys = keys


def _keras_shapes(layer: Layer, working: Layer) -> Callable[[Any], Any]:
    """Weights are stated for Keras' order even where the layer works in another."""
    if working is layer:
        return lambda shape: shape
    return lambda shape: map_shapes(lambda s: (s[0], *s[2:], s[1]) if len(s) > 2 else s, shape)


_RESERVED = frozenset(dir(nn.Module())) | frozenset(dir(fx.GraphModule)) | {"training"}


def module_name(name: str) -> str:
    """A layer name as the name of a submodule: torch splits paths at dots, and it and Python keep some names.

    fx writes paths into the source of ``forward`` as they are, so no name may end a string there.

    >>> module_name('conv.1'), module_name('x"); print("run")  # '), module_name("class")
    ('conv_1', 'x_); print(_run_)  # ', 'class_')
    """
    name = "".join("_" if ch in '."\\' or not ch.isprintable() else ch for ch in name)
    return f"{name}_" if name in _RESERVED or keyword.iskeyword(name) or not name else name

