"""Models whose layers of a user's own have become models, to be seen into.

A layer whose ``call`` can be followed on symbolic tensors is a model in all but name.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from kerashape_torch import masks
from kerashape_torch.by_mode import together
from kerashape_torch.composed import INHERITED, attributes, own_specs, paths_inside
from kerashape_torch.dtypes import is_float
from kerashape_torch.errors import ConfigError, KerashapeError
from kerashape_torch.following import alone, apart, followed, followed_by_mode
from kerashape_torch.graph import Graph, Node, SymbolicTensor, following, shapes_of
from kerashape_torch.inner_weights import InnerWeight
from kerashape_torch.inputs import Input, InputLayer
from kerashape_torch.layer import Layer
from kerashape_torch.layers.function import Lambda
from kerashape_torch.models import Model, Sequential
from kerashape_torch.own_weights import OwnWeight, weight_layers
from kerashape_torch.parts import part_module
from kerashape_torch.shape_table import class_name
from kerashape_torch.structure import flatten, map_structure
from kerashape_torch.subclassed import unbuilt
from kerashape_torch.user_layers import torch_function, with_weights


class _StandsIn:
    """What stands for a user's layer makes the masks that the layer makes."""

    _closed: Layer
    _takes: tuple[str, ...] = ()

    def _stand_for(self, closed: Layer, takes: Sequence[str]) -> None:
        self._closed, self._takes = closed, tuple(takes)
        self.supports_masking = closed.supports_masking

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """The layer is told of its first argument and of the mask, which are two tensors here."""
        given, carried = (dict(zip(self._takes, each if len(self._takes) > 1 else [each]))
                          for each in (inputs, previous_mask))
        first = self._takes[0]
        return self._closed.compute_mask(given[first], given.get("mask", carried[first]))


class _Opened(_StandsIn, Model, catalog=False):
    """A model that lists its layers, and with them its weights, in the order in which another model or layer does.

    Args:
        takes: for a user's layer, the names of its arguments that are tensors.
    """

    def __init__(self, graph: Graph, order: list[Layer], closed: Layer, takes: Sequence[str] = ()) -> None:
        self._order = order
        super().__init__(graph.inputs, graph.outputs, name=closed.name)
        if takes:
            self._stand_for(closed, takes)
        self.graph.keep(layer() for layer in order if isinstance(layer, OwnWeight))
        self.keras_class_name = class_name(closed)  # type: ignore[misc]  # of this one, not of its class

    @property
    def argument_names(self) -> list[str]:
        """For each tensor that a user's layer takes the name of the argument; none for what lies in a list."""
        names = [name for name, x in zip(self._takes, self.inputs if len(self._takes) > 1 else [self.inputs])
                 for _ in flatten(x)]
        return [name if names.count(name) == 1 else "" for name in names]

    @property
    def layers(self) -> list[Layer]:
        found = super().layers
        return [*(x for x in found if x not in self._order), *(layer for layer in self._order if layer in found)]


class _ByMode(_StandsIn, Layer, catalog=False):
    """What is done with some tensors, and without weights, in training and in inference, as a model each."""

    in_training: Any
    in_inference: Any

    def __call__(self, *tensors: Any, **kwargs: Any) -> Any:
        self.call_arguments = self.shape_arguments = tuple(f"x{i}" for i in range(len(tensors)))  # type: ignore[misc]
        return super().__call__(*tensors, **kwargs)

    def outputs_for(self, specs: list[Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        return self.in_inference.graph.infer(specs)

    def module(self, *shapes: Any) -> Any:
        from kerashape_torch.torch_modules.by_mode import ByMode

        shape = shapes[0] if len(shapes) == 1 else list(shapes)
        return ByMode(part_module(self.in_training, shape), part_module(self.in_inference, shape))


def opened(model: Model, reasons: dict[str, str] | None = None) -> Model | None:
    """A copy of a model in which such layers are models, in models inside too; None if it has none of them.

    The copy has the weights of the model, in the same order; their numbers are not copied.

    Args:
        model: with layers of a user's own.
        reasons: takes, by the names of layers that stay as they are, why their calls cannot be followed.

    >>> from kerashape_torch.layers import Dense, Layer
    >>> class Twice(Layer):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.dense = Dense(3)
    ...     def call(self, x):
    ...         return self.dense(self.dense(x))
    >>> x = Input((3,))
    >>> [type(layer).__name__ for layer in Model(x, Twice()(x)).layers][-1]
    'Twice'
    >>> [layer.name for layer in opened(Model(x, Twice()(x))).layers[-1].layers][1:]
    ['dense']
    """
    found = _Opening({} if reasons is None else reasons).model(model)
    return None if found is model else found


class _Opening:
    def __init__(self, reasons: dict[str, str]) -> None:
        self.made: dict[Layer, Layer] = {}
        self.reasons = reasons

    def model(self, model: Model) -> Model:
        """The model itself, if nothing in it is opened."""
        calls = [node for node in model.graph.nodes if node.inputs or not isinstance(node.layer, InputLayer)]
        twins = {node.layer: self.layer(node) for node in calls}
        if all(twin is layer for layer, twin in twins.items()) and not model.follows_call:
            return model
        names = paths_inside(model) if model.follows_call else {}
        twins = {layer: _named_alike(layer, twin, names.get(layer)) for layer, twin in twins.items()}
        inputs = map_structure(lambda x: Input(batch_shape=x.shape, dtype=x.dtype, name=x.node.layer.name),
                               model.graph.inputs)
        known = dict(zip(map(id, model.graph.flat_inputs), flatten(inputs)))
        with following(flatten(inputs)):
            for node in (each for each in calls if any(id(x) not in known for x in flatten(each.outputs))):
                for x, copy in zip(flatten(node.outputs), flatten(self.call(node, twins, known))):
                    known[id(x)] = copy
                    if x.mask is not None and copy.mask is not None:
                        known.setdefault(id(x.mask), copy.mask)
        ends = map_structure(lambda x: known[id(x)], model.graph.outputs)
        return _Opened(Graph(inputs, ends), [twins[layer] for layer in weight_layers(model) if layer in twins], model)

    @staticmethod
    def call(node: Node, twins: Mapping[Layer, Layer], known: Mapping[int, Any]) -> Any:
        twin = twins[node.layer]
        if isinstance(node.layer, InnerWeight):
            if node.layer.layer not in twins:
                raise KerashapeError(
                    f"{node.layer.weight} of {node.layer.layer.describe()} is read outside of the model that has this "
                    "layer, which is not written as source. Way out: run this part with kerashape_torch, and port what "
                    "follows it")
            return twin.copy(nodes=[], layer=twins[node.layer.layer])()
        args, kwargs = map_structure(lambda x: known.get(id(x), x), (node.args, node.kwargs))
        if node.layer.follows_call:
            bound = node.layer.bind(args, kwargs)
            if bound.get("training") == node.layer.training_unless_told:
                bound.pop("training", None)  # it means nothing
            return twin(bound.pop("inputs"), **bound)
        if isinstance(twin, _StandsIn) and not isinstance(node.layer, Model):
            mask = kwargs.get("mask")
            if isinstance(mask, SymbolicTensor) and mask is node.kwargs["mask"]:
                del kwargs["mask"]  # that of the copy comes along
            tensors, said = apart(_with_masks(node.layer, args, kwargs))
            mode = said.get("training")
            return twin(alone(tensors), **({} if mode is None else {"training": mode}))
        return twin(*args, **kwargs)

    def layer(self, node: Node) -> Layer:
        """What stands for the layer of a call; itself, if it cannot be opened."""
        layer: Layer = node.layer
        if layer not in self.made:
            if isinstance(layer, Model):
                self.made[layer] = self.model(layer)
            elif torch_function(layer) is not None and layer.compute_dtype == "float32":
                self.made[layer] = self.users(layer, node) or layer
            elif isinstance(layer, Lambda) and layer.compute_dtype == "float32":
                self.made[layer] = self.function(layer, node) or layer
            else:
                self.made[layer] = layer
        return self.made[layer]

    def users(self, layer: Layer, node: Node) -> Layer | None:
        """A model of what a user's layer does in a call, if it can be followed; or one for each mode."""
        ready, own = own_specs(layer, list(map(shapes_of, layer.input_specs(node.args, node.kwargs))))
        function = torch_function(layer)
        assert function is not None
        if INHERITED in vars(ready) or any(is_float(spec.dtype or "") and spec.dtype != "float32" for spec in own):
            return None
        weights = {spec.places[0].path: OwnWeight(spec, name=spec.places[0].path) for spec in own}
        copies = {inner: _named_alike(inner, inner, path) for inner, path in paths_inside(ready).items()}
        own_tensors = {path: weight() for path, weight in weights.items()}
        parts = attributes(ready, lambda inner: copies[inner])
        body = ready.copy(**{**own_tensors, **parts, **with_weights({**vars(ready), **parts}, own_tensors)})
        calls = [apart(_with_masks(layer, each.args, each.kwargs)) for each in (node, *layer.nodes)]
        tensors, said = calls[0]
        if len({(tuple(given), repr(others)) for given, others in calls}) > 1:
            return None  # it does other things in another call
        said = {name: x for name, x in said.items() if name != "training" and x is not None}
        if "mask" in said or ("mask" in tensors and None in flatten(tensors["mask"])):
            return None
        order = [*weights.values(), *copies.values()]
        call = function.__get__(body)
        try:
            graph = followed(call, tensors, said, order, ConfigError)
        except KerashapeError as error:
            self.reasons[layer.name] = str(error).partition("\n")[0]
            try:
                graphs = followed_by_mode(call, tensors, said, order, ConfigError)
                if not order and len(layer.nodes[0].inputs) == 1:
                    return self.by_mode(layer, *graphs, tuple(tensors))
                names = itertools.count(1)
                graph = together(*graphs, order, lambda x, one, other: self.by_mode(
                    layer, one, other, name=f"by_mode_{next(names)}")(*x))
            except KerashapeError:
                return None
        made = _Opened(graph, order, layer, tuple(tensors))
        if not layer.trainable:
            made.trainable = False
        return self.model(made)

    def by_mode(self, layer: Layer, in_training: Graph, in_inference: Graph, takes: Sequence[str] = (),
                name: str | None = None) -> Layer:
        """A model for each mode of a layer, or of a part of it, that does other things in training, as one that drops
        whole samples."""
        graphs = in_training, in_inference
        if shapes_of(graphs[0].outputs) != shapes_of(graphs[1].outputs) or not all(
                isinstance(graph.outputs, SymbolicTensor) for graph in graphs):
            raise ConfigError("it gives other shapes in training than in inference, or several tensors")
        models = [self.model(_Opened(graph, [], layer)) for graph in graphs]
        for model, mode in zip(models, ("InTraining", "InInference")):
            model.given_name = model.keras_class_name = f"{class_name(layer)}{mode}"  # type: ignore[misc]
        made = _ByMode(in_training=models[0], in_inference=models[1], name=name or layer.name)
        if takes:
            made._stand_for(layer, takes)
        return made

    def function(self, layer: Lambda, node: Node) -> Model | None:
        """A model of what a function does in a call, if it is written in operators and ops alone."""
        tensors, _ = apart(layer.bind(node.args, node.kwargs))
        if "mask" in tensors or any(shapes_of(each.outputs) != shapes_of(node.outputs) for each in layer.nodes):
            return None
        try:
            graph = followed(lambda inputs: layer.function(inputs, **layer.arguments), tensors, {}, [], ConfigError)
        except KerashapeError:
            return None
        if shapes_of(graph.outputs) != shapes_of(node.outputs):
            return None
        made = _Opened(graph, [], layer)
        made.keras_class_name = layer.name  # type: ignore[misc]
        return self.model(made)


def _with_masks(layer: Layer, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call by name, with the masks that its tensors bring along."""
    bound = layer.bind(args, kwargs)
    return bound | masks.brought_along(layer, bound, lambda x: x.mask)


def _named_alike(layer: Layer, twin: Layer, path: str | None) -> Layer:
    """A copy of a layer, if it has no twin, under the name of the attribute that holds it."""
    copy = unbuilt(layer) if twin is layer else twin
    if path is not None:
        copy.given_name = path.replace(".", "_")
        if isinstance(copy, Sequential) and not copy.built:
            _number(copy, layer.sublayers())
    return copy


def _number(copy: Sequential, originals: Sequence[Layer]) -> None:
    """Names the layers that nobody named by their place in the model: the same in each layer of a class."""
    kinds = [inner.name_prefix for inner in copy.layers]
    for i, (inner, original) in enumerate(zip(copy.layers, originals)):
        if original.given_name is None:
            inner.given_name = f"{kinds[i]}_{kinds[:i].count(kinds[i])}" if kinds.count(kinds[i]) > 1 else kinds[i]
