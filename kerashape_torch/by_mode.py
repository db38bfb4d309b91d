"""What a function does in training and what it does in inference, put together where both do the same."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Sequence
from typing import Any

from kerashape_torch.errors import KerashapeError
from kerashape_torch.graph import Graph, Node, SymbolicTensor, following, nodes_to
from kerashape_torch.inputs import Input, InputLayer
from kerashape_torch.layer import Layer
from kerashape_torch.own_weights import OwnWeight
from kerashape_torch.structure import flatten, map_structure

Choice = Callable[[Sequence[SymbolicTensor], Graph, Graph], SymbolicTensor]


def together(in_training: Graph, in_inference: Graph, held: Collection[Layer], choice: Choice) -> Graph:
    """One graph of a function that was followed in both modes.

    Layers with weights are called in both, in the same order and by the same other arguments. Where they are given
    other tensors, or others come out, what makes these is a graph for each mode, without weights.

    Args:
        in_training, in_inference: what was followed.
        held: the layers that are the same whenever the function is called.
        choice: calls a layer that runs one of two graphs, by the mode, on these tensors.

    Raises:
        KerashapeError: the modes call layers with weights otherwise.
    """
    return _Together((in_training, in_inference), held, choice).graph


class _Together:
    def __init__(self, graphs: tuple[Graph, Graph], held: Collection[Layer], choice: Choice) -> None:
        self.held, self.choice = held, choice
        inputs = map_structure(_input_like, graphs[0].inputs)
        self.known: tuple[dict[int, SymbolicTensor], ...] = ({}, {})  # of each mode's tensors, those in the new graph
        for known, graph in zip(self.known, graphs):
            known.update(zip(map(id, graph.flat_inputs), flatten(inputs)))
        self.originals = {id(x): pair for x, *pair in zip(flatten(inputs), *(graph.flat_inputs for graph in graphs))}
        for weight in (layer() for layer in held if isinstance(layer, OwnWeight)):
            self.meet(weight, (weight, weight))
        training, self.left = ([node for node in graph.nodes if not isinstance(node.layer, (InputLayer, OwnWeight))]
                               for graph in graphs)
        self.placed: set[Node] = set()
        with following(flatten(inputs)):
            for node in training:
                self.node(node)
            if any(_has_weights(node.layer) for node in self.left):
                raise _otherwise()
            outputs = self.all(*(graph.outputs for graph in graphs))
        self.graph = Graph(inputs, outputs)

    def node(self, node: Node) -> None:
        """Calls a layer as both modes do, if they do; what is left to one of them is called where it is needed."""
        other = next((each for each in self.left if self.alike(node, each)), None)
        if other is None:
            if _has_weights(node.layer):
                raise _otherwise()
            return
        self.left.remove(other)
        args, kwargs = self.all(*((each.args, each.kwargs) for each in (node, other)))
        outputs = node.layer(*args, **kwargs)
        for found, *pair in zip(*map(flatten, (outputs, node.outputs, other.outputs))):
            self.meet(found, pair)

    def meet(self, found: SymbolicTensor, pair: Sequence[SymbolicTensor]) -> None:
        self.originals[id(found)] = list(pair)
        for known, x in zip(self.known, pair):
            known[id(x)] = found

    def alike(self, node: Node, other: Node) -> bool:
        """Whether two calls are one: of the same layer with weights, or of layers alike on the same tensors."""
        if _has_weights(node.layer):
            return node.layer is other.layer and bool(_said(node, lambda x: "") == _said(other, lambda x: ""))
        is_one = node.layer is other.layer if node.layer in self.held else repr(node.layer) == repr(other.layer)
        if not is_one or not all(id(x) in self.known[0] for x in node.inputs):
            return False
        ours, theirs = (_said(each, lambda x, known=known: id(known.get(id(x))))  # type: ignore[misc]
                        for each, known in zip((node, other), self.known))
        return bool(ours == theirs)

    def all(self, structure: Any, other: Any) -> Any:
        """The tensors for those of each mode, in structures that are alike."""
        if not _same_structure(structure, other):
            raise _otherwise()
        others = iter(flatten(other))
        return map_structure(lambda x: self.one(x, next(others)), structure)

    def one(self, x: Any, y: Any) -> Any:
        """The tensor for one of each mode; what is no tensor is alike."""
        if not isinstance(x, SymbolicTensor):
            return x
        found, other = (known.get(id(each)) for known, each in zip(self.known, (x, y)))
        if found is not None and found is other:
            return found
        if x.shape != y.shape or x.dtype != y.dtype:
            raise _otherwise()
        calls = [nodes_to(each, known) if id(each) not in known else [] for each, known in zip((x, y), self.known)]
        taken = [self.known[i][id(each)] for i, end in enumerate((x, y)) for each in
                 (end, *(tensor for node in calls[i] for tensor in node.inputs)) if id(each) in self.known[i]]
        taken = list({id(each): each for each in taken}.values())
        nodes = {node for each in calls for node in each}
        if not taken or nodes & self.placed or any(_has_weights(node.layer) for node in nodes):
            raise _otherwise()
        self.placed |= nodes  # what was drawn once is not drawn anew
        found = self.choice(taken, *(self.part(i, taken, calls[i], end) for i, end in enumerate((x, y))))
        self.meet(found, (x, y))
        return found

    def part(self, mode: int, taken: Sequence[SymbolicTensor], nodes: Sequence[Node], end: SymbolicTensor) -> Graph:
        """A graph of its own of these calls in one mode."""
        names = itertools.chain("xyz", map("x{}".format, itertools.count(4)))
        inputs = [_input_like(x, name) for x, name in zip(taken, names)]
        own = {id(self.originals[id(x)][mode]): each for x, each in zip(taken, inputs)}
        with following(inputs):
            for node in nodes:
                args, kwargs = map_structure(lambda x: own.get(id(x), x), (node.args, node.kwargs))
                own.update(zip(map(id, flatten(node.outputs)), flatten(node.layer(*args, **kwargs))))
        return Graph(inputs[0] if len(inputs) == 1 else inputs, own[id(end)])


def _input_like(x: SymbolicTensor, name: str | None = None) -> SymbolicTensor:
    made: SymbolicTensor = Input(batch_shape=x.shape, dtype=x.dtype, name=name)
    return made


def _has_weights(layer: Layer) -> bool:
    return bool(layer.weight_specs(*layer.call_shapes()))


def _said(node: Node, of_tensor: Callable[[SymbolicTensor], Any]) -> Any:
    """The arguments of a call, as far as they can be compared."""
    return map_structure(lambda x: of_tensor(x) if isinstance(x, SymbolicTensor) else repr(getattr(x, "items", x)),
                         (node.args, node.kwargs))


def _same_structure(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(
            _same_structure(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return isinstance(other, (list, tuple)) and len(one) == len(other) and all(map(_same_structure, one, other))
    return isinstance(one, SymbolicTensor) == isinstance(other, SymbolicTensor)


def _otherwise() -> KerashapeError:
    return KerashapeError("it calls layers with weights otherwise in training than in inference")
