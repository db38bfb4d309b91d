"""What a picture of a model says: boxes with their words, and links between them. It knows no length and no colour."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, NamedTuple

from kerashape_torch.errors import ConfigError
from kerashape_torch.graph import Graph, Node, SymbolicTensor
from kerashape_torch.layer import Layer
from kerashape_torch.models import InputLayer, Model, Sequential
from kerashape_torch.shape import to_text
from kerashape_torch.structure import flatten

MOST_BOXES = 20_000
MOST_LINES = 5


class Options(NamedTuple):
    """What to show; the names are Keras'."""

    show_shapes: bool = False
    show_dtype: bool = False
    show_layer_names: bool = False
    rankdir: str = "TB"
    expand_nested: bool = False
    show_layer_activations: bool = False
    show_trainable: bool = False


@dataclass(eq=False)
class Box:
    """One layer, one model inside the model, or one end of a link at the border of such a model's frame.

    Attributes:
        rows: (label, value) pairs.
        notes: short facts for the right side, beside the rows.
        inside: what is drawn in the frame, where a nested model is expanded.
        port: "in" or "out" for a point on the border.
    """

    name: str = ""
    class_name: str = ""
    family: str = "other"
    rows: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    inside: Diagram | None = None
    port: str | None = None

    def note(self, text: str, beside: str) -> None:
        """One more note: beside the row of this label or below, if there is one and no note has gone further down."""
        row = next((i for i, (label, _) in enumerate(self.rows) if label == beside), 0)
        self.notes += [""] * (row - len(self.notes)) + [text]


class Link(NamedTuple):
    """An arrow from the output number ``out`` of one box to the input number ``into`` of another."""

    source: int
    out: int
    target: int
    into: int


@dataclass(eq=False)
class Diagram:
    """One model: its boxes in the order in which they run, and the links between them."""

    name: str
    boxes: list[Box]
    links: list[Link]

    def walk(self) -> Iterator[tuple[str, Box]]:
        """Every box, in frames too, with the names of the frames around it."""
        stack = [("", box) for box in reversed(self.boxes)]
        while stack:
            path, box = stack.pop()
            yield path, box
            if box.inside is not None:
                stack.extend((f"{path}{box.name}/", inner) for inner in reversed(box.inside.boxes))


def diagram(model: Any, options: Options) -> Diagram:
    """The diagram of a model. Models inside are drawn first, so no depth of nesting meets a recursion limit."""
    if not isinstance(model, Model):
        raise ConfigError(f"a picture is drawn of a model, got {type(model).__name__}")
    order = [model]
    if options.expand_nested:
        for found in order:  # grows while it is walked
            order.extend(layer for layer in found.graph.layers if isinstance(layer, Model))
            if len(order) > MOST_BOXES:
                raise ConfigError(f"more than {MOST_BOXES} models inside {model.name}: draw it without expand_nested")
    done: dict[Model, Diagram] = {}
    sizes: dict[Model, int] = {}
    for each in reversed(order):
        if each not in done or each is model:
            framed = each is not model
            done[each] = _Drawer(each, options, done, framed).diagram()
            sizes[each] = sum(sizes.get(layer, 1) for layer in each.graph.layers)
            if sizes[each] > MOST_BOXES:
                raise ConfigError(f"{each.name} has {sizes[each]} layers, and a picture holds {MOST_BOXES}")
    return done[model]


class _Drawer:
    """Makes the diagram of one model; those of the models inside it are done."""

    def __init__(self, model: Model, options: Options, done: dict[Model, Diagram], framed: bool) -> None:
        self.model = model
        self.graph: Graph = model.graph
        self.options = options
        self.done = done if options.expand_nested else {}
        self.framed = framed
        self.boxes: list[Box] = []
        self.links: list[Link] = []
        self.places: dict[Any, int] = {}
        """Where a layer, or a tensor that enters in the middle, has its box."""
        self.shown_as: dict[int, tuple[int, int]] = {}
        """For a tensor that stands at the border: its box and output."""

    def diagram(self) -> Diagram:
        self._inputs()
        for node in self.graph.nodes:
            if node.layer not in self.places and not self._is_hidden(node.layer):
                self._add(node.layer, layer_box(node.layer, self.graph, self.options, self.done))
        for node in self.graph.nodes:
            for into, tensor in enumerate(node.inputs):
                self.links.append(Link(*self._origin(tensor), self.places[node.layer], into))
        self._outputs()
        self._name_the_ends()
        return Diagram(self.model.name, self.boxes, self.links)

    def _is_hidden(self, layer: Layer) -> bool:
        """The input of a Sequential inside another model is none of its layers, as in Keras."""
        return self.framed and isinstance(self.model, Sequential) and isinstance(layer, InputLayer)

    def _add(self, key: Any, box: Box) -> int:
        self.boxes.append(box)
        self.places[key] = len(self.boxes) - 1
        return len(self.boxes) - 1

    def _inputs(self) -> None:
        for number, tensor in enumerate(self.graph.flat_inputs):
            port = self._add(("in", number), Box(port="in")) if self.framed else None
            layer = tensor.node.layer
            if tensor.node.inputs:  # the model begins in the middle of another one's graph
                box = Box(layer.name, "InputLayer", "input", _shape_rows("shape", [tensor.shape], self.options))
                place = self._add(("input", number), box)
            elif self._is_hidden(layer):
                assert port is not None
                self.shown_as[id(tensor)] = (port, 0)
                continue
            else:
                place = self._add(layer, layer_box(layer, self.graph, self.options, self.done))
            self.shown_as[id(tensor)] = (place, 0)
            if port is not None:
                self.links.append(Link(port, 0, place, 0))

    def _origin(self, tensor: SymbolicTensor) -> tuple[int, int]:
        return self.shown_as.get(id(tensor)) or (self.places[tensor.node.layer], tensor.index)

    def _outputs(self) -> None:
        for number, tensor in enumerate(self.graph.flat_outputs if self.framed else ()):
            port = self._add(("out", number), Box(port="out"))
            self.links.append(Link(*self._origin(tensor), port, 0))

    def _name_the_ends(self) -> None:
        """A dict's keys, where the layers do not say them already; the numbers of several outputs."""
        if self.framed or not (self.options.show_shapes or self.options.show_layer_names):
            return
        for what, structure in (("input", self.graph.inputs), ("output", self.graph.outputs)):
            ends = [(path, self.boxes[self._origin(tensor)[0]]) for path, tensor in _paths(structure)]
            keyed = isinstance(structure, dict)
            if (any(path != box.name for path, box in ends) if keyed else what == "output" and len(ends) > 1):
                for path, box in ends:
                    box.note(f"{what} {path!r}" if keyed else f"{what} {path}", beside=what.removesuffix("put"))


def _paths(structure: Any) -> Iterator[tuple[str, SymbolicTensor]]:
    """The tensors of a structure, each with the keys and numbers that lead to it."""
    stack = [("", structure)]
    while stack:
        path, value = stack.pop()
        if isinstance(value, dict):
            stack.extend((f"{path}/{key}" if path else str(key), value[key]) for key in sorted(value, reverse=True))
        elif isinstance(value, (list, tuple)):
            several = len(value) > 1 or path
            items = [((f"{path}/{i}" if path else str(i)) if several else "", item) for i, item in enumerate(value)]
            stack.extend(reversed(items))
        else:
            yield path, value


# ---- the words of one box --------------------------------------------------------------------------------------------


def layer_box(layer: Layer, graph: Graph, options: Options, done: dict[Any, Diagram]) -> Box:
    """The box of one layer of a graph."""
    nodes = graph.nodes_of(layer) or layer.nodes[:1]
    box = Box(layer.name, class_label(layer), family(layer), inside=done.get(layer))
    if options.show_shapes:
        box.rows = _rows_of(nodes, options)
        box.notes = _counts(layer)
    if len(nodes) > 1:
        box.notes.append(f"{len(nodes)} calls")
    more = []
    if options.show_dtype:
        more.append(("dtype", ", ".join(dict.fromkeys(x.dtype for node in nodes for x in flatten(node.outputs)))))
    if options.show_layer_activations and getattr(layer, "activation", None) is not None:
        more.append(("activation", _activation(layer)))
    if options.show_trainable and not isinstance(layer, InputLayer):
        more.append(("trainable", "yes" if layer.trainable else "no"))
    box.rows.extend(more)
    return box


def _rows_of(nodes: list[Node], options: Options) -> list[tuple[str, str]]:
    if not nodes[0].inputs:
        return _shape_rows("shape", [nodes[0].outputs.shape], options)
    taken = [[x.shape for x in node.inputs] for node in nodes]
    given = [[x.shape for x in flatten(node.outputs)] for node in nodes]
    rows = []
    for label, calls in (("in", taken), ("out", given)):
        calls = [shapes for shapes, _ in groupby(sorted(calls, key=repr))] if len(calls) > 1 else calls
        rows.extend(_shape_rows(label, [shape for shapes in calls for shape in shapes], options))
    return rows


def _shape_rows(label: str, shapes: list[Any], options: Options) -> list[tuple[str, str]]:
    """One line for each shape, several alike in one, not too many."""
    if not options.show_shapes:
        return []
    lines = []
    for shape, alike in groupby(shapes):
        number = len(list(alike))
        lines.append(f"{number} x {to_text(shape)}" if number > 1 else to_text(shape))
    if len(lines) > MOST_LINES:
        lines[MOST_LINES - 1:] = [f"and {len(lines) - MOST_LINES + 1} more"]
    return [(label if i == 0 else "", line) for i, line in enumerate(lines)]


def _counts(layer: Layer) -> list[str]:
    notes = []
    if isinstance(layer, Model):
        notes.append(f"{len(layer.layers)} layer{'s' * (len(layer.layers) != 1)}")
    params = layer.count_params()
    if params:
        notes.append(f"{params:,} param{'s' * (params != 1)}")
    return notes


def _activation(layer: Layer) -> str:
    written = layer.get_config().get("activation")
    if isinstance(written, dict):
        written = written.get("class_name") if isinstance(written.get("config"), dict) else written.get("config")
    return str(written)


def class_label(layer: Layer) -> str:
    """The class, and for a wrapper the class that it wraps: ``Bidirectional(LSTM)``."""
    label = type(layer).__name__
    if isinstance(layer, Model):
        return "Functional" if type(layer) is Model else label
    for _ in range(3):
        inner = layer.sublayers()
        if not inner or len({type(each) for each in inner}) > 1 or isinstance(layer, Model):
            break
        layer = inner[0]
        label += f"({'Functional' if type(layer) is Model else type(layer).__name__}"
    return label + ")" * label.count("(")


_FAMILIES = (
    ("input", r"InputLayer$"),
    ("recurrent", r"RNN|LSTM|GRU|Attention|Bidirectional"),
    ("pooling", r"Pool|Flatten|Reshape|Permute|Repeat|Crop|ZeroPad|UpSampl|^Transpose$|ExpandDims|Squeeze|GetItem|"
                r"Resizing"),
    ("convolution", r"Conv"),
    ("merge", r"^(Add|Subtract|Multiply|Average|Maximum|Minimum|Concatenate|Dot|Stack|Matmul|Einsum)$"),
    ("normalization", r"Norm|Dropout|Noise|Activation|Re[lL][uU]|E[lL][uU]$|Softmax|Sigmoid|Tanh|Softplus|Gelu|Silu"),
    ("dense", r"Dense|Embedding"),
)
_PATTERNS = [(name, re.compile(pattern)) for name, pattern in _FAMILIES]


def family(layer: Layer) -> str:
    """The family of a layer, by which it is coloured; a subclass is of its base's family, a wrapper of what it wraps.

    >>> from kerashape_torch.layers import Dense
    >>> family(Dense(4))
    'dense'
    """
    if isinstance(layer, Model):
        return "nested"
    for cls in type(layer).__mro__:
        if cls is Layer:
            break
        for name, pattern in _PATTERNS:
            if pattern.search(cls.__name__):
                return name
    inner = layer.sublayers()
    return family(inner[0]) if inner else "other"


