"""The shapes of a model as rows of data. Every report, picture, snapshot and diff is made of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from os import PathLike
from typing import TYPE_CHECKING, Any, NamedTuple

from kerashape_torch.errors import KerashapeError, did_you_mean
from kerashape_torch.graph import Graph, TensorSpec
from kerashape_torch.layer import Layer
from kerashape_torch.models import Model
from kerashape_torch.own_weights import weight_layers
from kerashape_torch.parts import has_anothers_weights, held_specs
from kerashape_torch.shape import count, to_text
from kerashape_torch.standalone import alone, built_for, with_batch
from kerashape_torch.structure import flatten, flatten_shapes, map_structure
from kerashape_torch.text import aligned

if TYPE_CHECKING:
    from kerashape_torch.differences import TableDiff


class Weight(NamedTuple):
    """One weight of a row: its shape is in Keras' layout where the row is a Keras layer."""

    name: str
    shape: tuple[int, ...]
    trainable: bool = True
    dtype: str = "float32"

    @property
    def size(self) -> int:
        """How many numbers it holds."""
        return count(self.shape)

    @property
    def bits(self) -> int:
        """What it takes in memory."""
        width = re.search(r"\d+", self.dtype)
        return self.size * (int(width[0]) if width else 8 if self.dtype == "string" else 1)


class Connection(NamedTuple):
    """A tensor by where it comes from; ``str()`` writes it as Keras does: ``dense[0][0]``."""

    layer: str
    call: int = 0
    output: int = 0

    def __str__(self) -> str:
        return f"{self.layer}[{self.call}][{self.output}]"


class Row(NamedTuple):
    """One layer of a model.

    Attributes:
        input_shape, output_shape: of its last call in the model; a list or dict of shapes where there are several. None
            where the model has no input shape yet.
        weights: its own; those of a nested model stand in the rows below it, which are one ``depth`` deeper.
        params: how many numbers its weights hold, with all that is nested in it; None where that is not known yet.
        connected_to: the tensors that all its calls take.
        dtypes: of what it gives, each once; none where that is not known.
    """

    name: str
    class_name: str
    input_shape: Any
    output_shape: Any
    weights: list[Weight] = []
    params: int | None = 0
    trainable: bool = True
    connected_to: tuple[Connection, ...] = ()
    depth: int = 0
    dtypes: tuple[str, ...] = ()

    @property
    def is_float32(self) -> bool:
        """Whether all that it gives is, as far as is known: most of a model is, so that tables leave that out."""
        return set(self.dtypes) <= {"float32"}

    def to_dict(self) -> dict[str, Any]:
        """The row as values that JSON can hold; with dtypes where they are others than float32."""
        found = {**self._asdict(), "weights": [weight._asdict() for weight in self.weights],
                 "connected_to": list(map(str, self.connected_to)), "dtypes": list(self.dtypes)}
        if self.is_float32:
            del found["dtypes"]
        return found


class Total(NamedTuple):
    """How many numbers some weights hold, and how many bytes."""

    params: int
    bytes: float

    @classmethod
    def of(cls, weights: Iterable[Weight]) -> Total:
        weights = list(weights)
        return cls(sum(w.size for w in weights), sum(w.bits for w in weights) / 8)


class ShapeTable(Sequence[Row]):
    """Rows of shapes in Keras' order of layers, with ``None`` for what is free. ``str()`` prints it.

    Attributes:
        name: of the model.
        rows: its layers; those of a nested model follow it, one ``depth`` deeper.
        input_shape, output_shape: of the model, or None where they are not known yet.
        trainable, non_trainable: totals in which a weight that is used twice counts once.
        chain: True where each layer takes what the one before it gives, and nothing else.
    """

    def __init__(self, name: str, rows: Iterable[Row], weights: Iterable[Weight], input_shape: Any = None,
                 output_shape: Any = None, chain: bool = True) -> None:
        weights = list(weights)
        self.name = name
        self.rows = list(rows)
        self.input_shape = input_shape
        self.output_shape = output_shape
        self.trainable = Total.of(w for w in weights if w.trainable)
        self.non_trainable = Total.of(w for w in weights if not w.trainable)
        self.chain = chain

    @property
    def params(self) -> int:
        """How many numbers all weights hold."""
        return self.trainable.params + self.non_trainable.params

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: Any) -> Any:
        """A row by its place or its name."""
        if isinstance(key, str):
            found = next((row for row in self.rows if row.name == key), None)
            if found is None:
                raise KeyError(f"no row {key!r}.{did_you_mean(key, [row.name for row in self.rows])}")
            return found
        return self.rows[key]

    def __str__(self) -> str:
        cells = [["layer", "class", "input", "output", "dtype", "weights", "params"]]
        cells += [["  " * row.depth + row.name, row.class_name, shape_text(row.input_shape),
                   shape_text(row.output_shape), ", ".join(row.dtypes) or "?", _weights_text(row.weights),
                   "?" if row.params is None else f"{row.params:,}"] for row in self.rows]
        if all(row.is_float32 for row in self.rows):
            cells = [[*row[:4], *row[5:]] for row in cells]
        number = "?" if any(row.params is None for row in self.rows) else f"{self.params:,}"
        fixed = f", {self.non_trainable.params:,} of them not trainable" if self.non_trainable.params else ""
        ends = f"{shape_text(self.input_shape)} -> {shape_text(self.output_shape)}"
        return f"{self.name}: {ends}, {number} parameters{fixed}\n{aligned(cells, right=(len(cells[0]) - 1,))}"

    def __repr__(self) -> str:
        return f"<ShapeTable of {self.name}: {len(self)} rows>"

    def without_nested(self) -> ShapeTable:
        """The table without the layers of nested models."""
        twin = copy(self)
        twin.rows = [row for row in self.rows if not row.depth]
        return twin

    def to_dict(self) -> dict[str, Any]:
        """The table as values that JSON can hold."""
        return {"name": self.name, "input_shape": self.input_shape, "output_shape": self.output_shape,
                "params": self.params, "trainable_params": self.trainable.params,
                "non_trainable_params": self.non_trainable.params, "layers": [row.to_dict() for row in self.rows]}

    def to_json(self, **kwargs: Any) -> str:
        """The table as JSON text."""
        return json.dumps(self.to_dict(), **kwargs)

    def diff(self, other: ShapeTable, layout: str | None = None, names: Mapping[str, str] | None = None) -> TableDiff:
        """What moved from this table to another: see :func:`kerashape_torch.diff`. An empty diff is false."""
        from kerashape_torch.differences import TableDiff

        return TableDiff(self, other, layout, names)


def class_name(layer: Layer) -> str:
    """The class of a layer as Keras writes it: a ``Model`` is a Functional there."""
    return getattr(layer, "keras_class_name", type(layer).__name__)


def shape_text(shape: Any) -> str:
    """A shape as Keras writes it, or ? where it is not known yet."""
    return "?" if shape is None else to_text(shape)


def _weights_text(weights: Sequence[Weight]) -> str:
    return ", ".join(f"{w.name} {to_text(w.shape)}" for w in weights) or "-"


# ---- of a model ------------------------------------------------------------------------------------------------------


def shape_table(model: Any, input_shape: Any = None, input_dtype: Any = None) -> ShapeTable:
    """Every layer's shapes and weights, as data.

    Args:
        model: what has shapes:

            - a model or a layer;
            - a file of any Keras that ``load_model`` reads, or a config: the dict of ``to_json()`` or
              ``get_config()``; weights are not read;
            - a live model or layer of Keras 3 or ``tf_keras``, which is described by its own config, or, where that
              cannot be read (a subclass of ``keras.Model``, a Lambda), by what Keras knows of its layers;
            - a module that ``to_torch`` made, with its shapes in Keras' order of axes;
            - any other torch module, for an ``input_shape``: a twin of it without data is run at several sizes, so that
              it takes no memory and stays as it is. Rows are its parts that hold weights or have no part inside, in
              evaluation mode, with the shapes of their last call; those whose weights nothing used have no shapes.
        input_shape: for what has none, or to see the shapes for another one; the model is left as it is.
            The batch axis may be left out. Several inputs take a list, in the order of the arguments, and for a torch
            module also a dict by their names. None is an axis of any size; where a torch module needs it to be of one
            size, the error says so.
        input_dtype: of the inputs of a torch module, one for all, a list or a dict: ``{"ids": "int64"}``. Without it
            the dtype of the weights is tried, then integers and booleans.

    Raises:
        ShapeError: the model cannot take the shape; or a torch module's shapes depend on numbers, and then it names the
            part that asked for them, the line, and what was seen up to there.

    >>> from kerashape_torch.layers import Dense
    >>> from kerashape_torch.models import Sequential
    >>> print(shape_table(Sequential([Dense(units=4), Dense(units=1)]), (3,)))
    sequential: (None, 3) -> (None, 1), 21 parameters
    layer    class  input      output     weights                  params
    dense    Dense  (None, 3)  (None, 4)  kernel (3, 4), bias (4)      16
    dense_1  Dense  (None, 4)  (None, 1)  kernel (4, 1), bias (1)       5
    """
    model = _described(model)
    if isinstance(model, ShapeTable):  # of a live Keras model that has no config
        if input_shape is not None:
            raise KerashapeError(f"{model.name} has no config that can be read, only the shapes that Keras has seen")
        return model
    if isinstance(model, Model):
        return _of_model(*built_for(model, input_shape))
    if isinstance(model, Layer):
        return _of_model(alone(model, model.input_shape if input_shape is None else with_batch(model, input_shape)))
    if hasattr(model, "named_modules"):
        from kerashape_torch.lowering.module_table import module_table

        return module_table(model, input_shape, input_dtype)
    raise KerashapeError(f"shape_table takes a model, a layer, a file or a torch module, got {type(model).__name__}")


def _described(model: Any) -> Any:
    """A file, a config or a live Keras object as a model, a layer or a table; anything else as it is."""
    if isinstance(model, (str, PathLike)):
        from kerashape_torch.saving import load_model

        return load_model(model, compile=False, weights=False)
    if isinstance(model, Mapping):
        from kerashape_torch.saving.described import of_config

        return of_config(model)
    packages = {cls.__module__.partition(".")[0] for cls in type(model).__mro__}
    if packages & {"keras", "tf_keras", "tensorflow"} and hasattr(model, "get_config"):
        from kerashape_torch.saving.described import of_live

        return of_live(model)
    return model


def _of_model(model: Model, shape: Any = None) -> ShapeTable:
    found = _WeightsOf()
    weights = [w if model.trainable else w._replace(trainable=False) for w in found.in_all(weight_layers(model))]
    if not model.built:
        return ShapeTable(model.name, _rows_without_shapes(model), weights)
    graph = model.graph
    known: dict[int, TensorSpec] = {}
    if shape is not None:
        model.compute_output_shape(shape)  # refuses what does not fit the model's inputs
        specs = [TensorSpec(tuple(each), x.dtype) for each, x in zip(flatten_shapes(shape), graph.flat_inputs)]
        known = graph.known(specs)
    inputs, outputs = (bare([known.get(id(x), x).shape for x in tensors])
                       for tensors in (graph.flat_inputs, graph.flat_outputs))
    return ShapeTable(model.name, _rows(model, known, found), weights, inputs, outputs,
                      chain=model.follows_call or _is_chain(graph))  # of others, Keras shows no connections


def _rows(model: Model, known: dict[int, TensorSpec], found: _WeightsOf, depth: int = 0) -> Iterator[Row]:
    """A row for each layer. ``known`` holds other specs than the tensors' own, by the tensor's id."""
    for layer in model.operations:
        nodes = model.graph.nodes_of(layer)
        node = nodes[-1]
        inputs = [known.get(id(x), x) for x in node.inputs]
        output = map_structure(lambda x: known.get(id(x), x).shape, node.outputs)
        yield Row(layer.name, class_name(layer), bare([x.shape for x in inputs]) if inputs else output, output,
                  [] if isinstance(layer, Model) else found[layer], sum(w.size for w in found.in_all([layer])),
                  layer.trainable,
                  tuple(Connection(x.node.layer.name, x.node.position, x.index) for each in nodes for x in each.inputs),
                  depth, tuple(dict.fromkeys(known.get(id(x), x).dtype for x in flatten(node.outputs))))
        if isinstance(layer, Model):
            specs = [TensorSpec(x.shape, own.dtype) for x, own in zip(inputs, layer.graph.flat_inputs)]
            yield from _rows(layer, layer.graph.known(specs) if known else {}, found, depth + 1)


def _rows_without_shapes(model: Model, depth: int = 0) -> Iterator[Row]:
    for layer in model.operations:
        has_none = type(layer).weight_specs is Layer.weight_specs
        yield Row(layer.name, class_name(layer), None, None, params=0 if has_none else None,
                  trainable=layer.trainable, depth=depth)
        if isinstance(layer, Model):
            yield from _rows_without_shapes(layer, depth + 1)


def bare(shapes: list[Any]) -> Any:
    """A list of shapes, or the only one of them.

    >>> bare([(None, 3)]), bare([(None, 3), (None, 4)])
    ((None, 3), [(None, 3), (None, 4)])
    """
    return shapes[0] if len(shapes) == 1 else shapes


def _is_chain(graph: Graph) -> bool:
    alone_at_its_depth = all(len(nodes) == 1 and len(nodes[0].inputs) <= 1 for nodes in graph.by_depth().values())
    return alone_at_its_depth and all(len(graph.nodes_of(layer)) == 1 for layer in graph.layers)


def layer_weights(layer: Layer) -> list[Weight]:
    """A layer's own weights by their names, or by their paths where two have one name."""
    if not layer.built:
        return []
    specs = layer.weights
    unique = len({spec.name for spec in specs}) == len(specs)
    return [Weight(spec.name if unique else spec.full_path, spec.shape, spec.trainable,
                   spec.dtype or layer.computes_like().variable_dtype) for spec in specs]


class _WeightsOf(dict[Layer, list[Weight]]):
    """The weights of layers, each found once."""

    def __missing__(self, layer: Layer) -> list[Weight]:
        found = self[layer] = layer_weights(layer)
        return found

    def in_all(self, layers: Iterable[Layer]) -> list[Weight]:
        """Those of layers and of all that is nested in them, each layer once."""
        found: dict[Layer, list[Weight]] = {}
        seen: set[Layer] = set()
        waiting = list(layers)[::-1]
        while waiting:
            layer = waiting.pop()
            if layer in seen:
                continue
            seen.add(layer)
            if isinstance(layer, Model):
                waiting += reversed(weight_layers(layer))
            elif has_anothers_weights(layer) and layer.built:
                weights = iter(self[layer])
                for owner, specs in held_specs(layer):
                    found.setdefault(owner, [weight for _, weight in zip(specs, weights)])
            else:
                found.setdefault(layer, self[layer])
        return [weight for own in found.values() for weight in own]
