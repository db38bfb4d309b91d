"""The graph of a functional model in its config: every call of every layer, written as Keras 3 does, and read back."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from kerashape_torch.config import deserialize, from_config_value, to_config
from kerashape_torch.errors import ConfigError, UnknownLayerError
from kerashape_torch.graph import Constant, Graph, Node, SymbolicTensor, TensorSpec
from kerashape_torch.layer import Layer
from kerashape_torch.structure import SCALARS, flatten, flatten_in_torchs_order, map_structure, sorted_inside


def write_graph(graph: Graph) -> dict[str, Any]:
    """The layers with their calls, and where inputs and outputs are.

    Dicts in dicts are written with their keys sorted, as Keras' backends differ in how they take the others; a graph
    from a file stays in that file's order.
    """
    kept = {node: i for layer in graph.layers for i, node in enumerate(graph.nodes_of(layer))}

    def place(x: SymbolicTensor) -> list[Any]:
        return [x.node.layer.name, kept[x.node] + x.node.layer.counts_its_creation, _index(x)]

    def places(ends: Any) -> Any:
        return map_structure(place, ends if graph.in_torchs_order else sorted_inside(ends))

    layers = []
    for layer in graph.layers:
        nodes = [_write_call(node, kept, graph.in_torchs_order) for node in graph.nodes_of(layer) if node.inputs]
        layers.append({**layer.serialize(), "name": layer.name, "inbound_nodes": nodes})
    return {"layers": layers, "input_layers": places(graph.inputs), "output_layers": places(graph.outputs)}


def _outputs_of(node: Node) -> list[SymbolicTensor]:
    """What came out of a call, in the order in which the file of its layer counts them."""
    return (flatten_in_torchs_order if _is_in_torchs_order(node.layer) else flatten)(node.outputs)


def _is_in_torchs_order(layer: Layer) -> bool:
    return getattr(getattr(layer, "graph", None), "in_torchs_order", False)


def _index(x: SymbolicTensor) -> int:
    return next(i for i, each in enumerate(_outputs_of(x.node)) if each is x)


def _write_call(node: Node, kept: Mapping[Node, int], in_torchs_order: bool) -> dict[str, Any]:
    def write(value: Any) -> Any:
        if not isinstance(value, SymbolicTensor):
            return _write_constant(value)
        history = [value.node.layer.name, kept[value.node], _index(value)]
        return {"class_name": "__keras_tensor__",
                "config": {"shape": value.shape, "dtype": value.dtype, "keras_history": history}}

    args, kwargs = (node.args, node.kwargs) if in_torchs_order else sorted_inside((node.args, node.kwargs))
    return {"args": map_structure(write, list(args)), "kwargs": map_structure(write, kwargs)}


def _write_constant(value: Any) -> Any:
    if isinstance(value, slice):
        parts = [_write_constant(part) for part in (value.start, value.stop, value.step)]
        return {"class_name": "__slice__", "config": dict(zip(("start", "stop", "step"), parts))}
    if value is Ellipsis:
        return {"class_name": "__ellipsis__", "config": {}}
    if isinstance(value, Constant):
        kind = "__tensor__" if value.is_tensor else "__numpy__"
        if value.shape:
            return {"class_name": kind, "config": {"value": value.items, "dtype": value.dtype}}
        return value.items
    return to_config(value)


_L = TypeVar("_L", bound=Layer)


class _NotMade(ConfigError):
    """An output of a call that does not exist, or not yet."""

    def __init__(self, layer: str, call: int) -> None:
        super().__init__(f"call {call} of the layer {layer!r} is needed, and this config does not have it")
        self.layer = layer


def _take_mask_over(args: Any, kwargs: Mapping[str, Any]) -> None:
    """Keras writes down the mask that a tensor brings along: it is the tensor's own, which is found once then."""
    x, mask = args[0] if args else None, kwargs.get("mask")
    if isinstance(x, SymbolicTensor) and isinstance(mask, SymbolicTensor) and _is_as(x.mask, mask):
        x.mask = mask


def _is_as(one: Any, other: Any) -> bool:
    """Whether two tensors come of the same calls of the same ops."""
    if not isinstance(one, SymbolicTensor) or not isinstance(other, SymbolicTensor) or one is other:
        return one is other or (not isinstance(one, TensorSpec) and bool(one == other))
    a, b = one.node, other.node
    is_same_op = type(a.layer) is type(b.layer) and not a.layer.has_policy and one.index == other.index
    return (is_same_op and a.layer.copy(name=None).given() == b.layer.copy(name=None).given()
            and a.kwargs.keys() == b.kwargs.keys() and len(a.args) == len(b.args)
            and all(map(_is_as, (*a.args, *a.kwargs.values()), (*b.args, *(b.kwargs[name] for name in a.kwargs)))))


class GraphReader:
    """Makes a functional model from its config: the layers first, then their calls as soon as their inputs exist."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.config = config
        self.made: dict[str, Layer] = {}
        self.calls: dict[str, list[Any]] = {}
        self.nodes: dict[str, list[Node]] = {}  # of the calls made; a layer may have others, in models that share it
        self.progress: dict[str, int] = {}
        self.ready: deque[str] = deque()  # layers to be called, the next one at the right end
        self.waiting: dict[str, list[str]] = {}  # for a layer's next call: the layers that need it
        for written in config["layers"]:
            self.add(written)

    def add(self, written: Mapping[str, Any]) -> None:
        """Makes one more layer; its calls wait for :meth:`call_all`."""
        name = written.get("name") or written["config"]["name"]
        if name in self.made:
            raise ConfigError(f"two layers of this config are named {name!r}")
        self.made[name] = self._layer(written)
        self.calls[name] = list(written.get("inbound_nodes", ()))
        self.nodes[name] = [node for node in self.made[name].nodes if not node.inputs]  # an input's own
        self.progress[name] = 0
        self.ready.appendleft(name)

    @staticmethod
    def _layer(written: Mapping[str, Any]) -> Layer:
        layer = deserialize(written)
        if not isinstance(layer, Layer):
            raise UnknownLayerError(f"{written['class_name']!r} is not a layer")
        return layer

    def model(self, cls: type[_L]) -> _L:
        config = self.config
        self.call_all()
        stuck = [name for name in self.made if self.progress[name] < len(self.calls[name])]
        lacking = next((name for name in self.waiting if name not in self.made), None)
        if lacking is not None:
            raise ConfigError(f"a call needs the layer {lacking!r}, which this config does not have")
        if stuck:
            raise ConfigError(f"the calls of these layers form a loop or need what does not exist: {', '.join(stuck)}")
        make: Callable[..., _L] = cls
        model = make(self._tensors(config["input_layers"]), self._tensors(config["output_layers"]),
                     name=config.get("name"))
        if config.get("trainable") is False:
            model.trainable = False
        self._order(model.graph)  # type: ignore[attr-defined]  # a functional model
        return model

    def _order(self, graph: Graph) -> None:
        """Keeps the file's order of layers where it comes of dicts in dicts, which Keras' torch backend leaves as they
        are and its other backends sort. Weights are numbered in that order, and outputs of models likewise."""
        listed = {name: i for i, name in enumerate(self.made)}
        order = sorted(graph.layers, key=lambda layer: listed.get(layer.name, -1))  # ops that make masks are not listed
        if order != graph.layers:
            taken = [graph.outputs, graph.inputs, *((node.args, node.kwargs) for node in graph.nodes)]
            if any(flatten(each) != flatten_in_torchs_order(each) for each in taken):
                graph.layers, graph.in_torchs_order = order, True
        graph.in_torchs_order |= any(map(_is_in_torchs_order, order))

    def call_all(self) -> None:
        """Calls all layers whose inputs exist.

        Each call waits for the layers that it needs, so the work is linear in the number of calls.
        """
        while self.ready:
            name = self.ready.pop()
            try:
                self._call(name)
            except BaseException:
                self.ready.append(name)  # whoever comes again is told again
                raise

    def _call(self, name: str) -> None:
        """Makes the calls of a layer up to the first one whose inputs do not exist yet."""
        calls = self.calls[name]
        while self.progress[name] < len(calls):
            call = calls[self.progress[name]]
            try:
                args, kwargs = self._arguments(call["args"]), self._arguments(call["kwargs"])
            except _NotMade as needed:
                self.waiting.setdefault(needed.layer, []).append(name)
                break
            _take_mask_over(args, kwargs)
            self.made[name](*args, **kwargs)
            self.nodes[name].append(self.made[name].nodes[-1])
            self.progress[name] += 1
            self.ready.extend(self.waiting.pop(name, ()))

    def spec(self, name: str, call: int, index: int) -> TensorSpec | None:
        """Shape and dtype of an output of a call, None where the call has not been made."""
        self.call_all()
        made = name in self.made and len(self.nodes[name]) > call
        return self._tensor(name, call, index) if made else None

    def _arguments(self, value: Any) -> Any:
        if type(value) in SCALARS:
            return value
        if isinstance(value, (list, tuple)):  # asked first: whether a list is a Mapping is a long question
            return type(value)([self._arguments(item) for item in value])
        if isinstance(value, (dict, Mapping)):
            name = value.get("class_name")
            if name == "__keras_tensor__":
                return self._tensor(*value["config"]["keras_history"])
            if name == "__slice__":
                parts = self._arguments(value["config"])
                return slice(parts["start"], parts["stop"], parts["step"])
            if name == "__ellipsis__":
                return ...
            if name in ("__numpy__", "__tensor__"):
                return Constant(value["config"]["value"], value["config"]["dtype"], name == "__tensor__")
            if name is not None and "config" in value:
                return from_config_value(value)
            return {key: self._arguments(item) for key, item in value.items()}
        return value

    def _tensor(self, name: str, node: int, index: int) -> SymbolicTensor:
        if name not in self.made or len(self.nodes[name]) <= node:
            raise _NotMade(name, node)
        return _outputs_of(self.nodes[name][node])[index]

    def _tensors(self, structure: Any) -> Any:
        if isinstance(structure, Mapping):
            return {key: self._tensors(value) for key, value in structure.items()}
        if len(structure) == 3 and isinstance(structure[0], str):
            name, node, index = structure
            return self._tensor(name, node - self.made[name].counts_its_creation, index)
        return [self._tensors(value) for value in structure]
