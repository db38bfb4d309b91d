"""The calls of a functional model: from Keras 2's lists to Keras 3's args and kwargs.

Keras 2 writes a call as a structure of tensors ``[layer, call, output, {kwargs}]``: the structure is the first
argument, and everything else is in the kwargs, which each tensor repeats. Op layers leave out the outermost list where
there is one tensor. Calls are numbered from 0, but from 1 for a nested model that knows its input shape, because its
making counts. Keras 3 counts the making only where a config names inputs and outputs, and of functional models alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from kerashape_torch.errors import ShapeError
from kerashape_torch.functional_config import GraphReader
from kerashape_torch.graph import TensorSpec
from kerashape_torch.saving.upgrade import op_layers, sizes
from kerashape_torch.saving.upgrade.constants import dtype_of as dtype_of_constant
from kerashape_torch.saving.upgrade.expressions import Op, Tensor, map_tensors
from kerashape_torch.saving.upgrade.origin import is_call_of_keras3
from kerashape_torch.saving.upgrade.scope import Scope, refuse
from kerashape_torch.saving.upgrade.tensorflow import counted, takes_sizes
from kerashape_torch.saving.upgrade.written import layers_of, unused

CONSTANT = "_CONSTANT_VALUE"
_WITH_STATES = {"LSTM", "GRU", "SimpleRNN", "RNN", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D", "ConvRNN2D", "CuDNNLSTM",
                "CuDNNGRU", "Bidirectional", "UnifiedLSTM", "UnifiedGRU"}
"""Layers whose first argument, where it is a list, is the input followed by the initial state."""

PROBE = (7919, 5040)
"""Sizes for the open axes of inputs, the batch first, which no other axis has by chance."""

Config = dict[str, Any]


def upgraded_graph(config: Config, upgraded: Callable[[Any], Any], scope: Scope) -> Config:
    """The config of a functional model with every layer upgraded, and every call in Keras 3's form."""
    entries = [_named(entry) for entry in config["layers"]]
    if not any(not is_call_of_keras3(call) for entry in entries for call in _calls(entry)):
        return {**config, "layers": [upgraded(entry) for entry in entries]}
    graph = _Graph(entries, config, scope)
    for entry in entries:
        made = graph.op(entry) if op_layers.is_op_layer(entry) else graph.layer(entry, upgraded(entry))
        graph.layers.extend(made)
    ends: Config = {key: graph.ends(config[key]) for key in ("input_layers", "output_layers") if key in config}
    if isinstance(config.get("name"), str):
        ends["name"] = scope.name(config["name"])
    return {**config, "layers": graph.layers, **ends}


def _named(entry: Mapping[str, Any]) -> Config:
    if "name" in entry:
        return dict(entry)
    config = entry["config"]
    if not isinstance(config, Mapping) or "name" not in config:
        refuse("a functional model", f"one of its layers, {entry['class_name']}, has no name")
    return {**entry, "name": config["name"]}


def _calls(entry: Mapping[str, Any]) -> list[Any]:
    return list(entry.get("inbound_nodes") or ())


class _Graph:
    """The layers of one functional model by name, and what its references to calls mean."""

    def __init__(self, entries: list[Config], config: Config, scope: Scope) -> None:
        self.scope = scope
        self.entries = {entry["name"]: entry for entry in entries}
        self.layers: list[Config] = []
        self.taken = {scope.name(name) for name in self.entries}
        self.offsets = dict.fromkeys(self.entries, 0)
        used: dict[str, set[int]] = {}
        for reference in self._references([[_calls(entry) for entry in entries], config.get("output_layers")]):
            used.setdefault(reference[0], set()).add(reference[1])
        for name, entry in self.entries.items():
            if _is_model(entry) and 0 not in used.get(name, {0}):
                self.offsets[name] = 1
        self.split = op_layers.names_of_calls(entries, self.taken, scope)
        self.old_names = {scope.name(name): name for name in self.entries}
        self.held: dict[Tensor, Tensor] = {}
        self.sizes = sizes.Sizes(self._call_of_op, sizes.Shapes(self._engine(None), self._engine(PROBE)),
                                 op_layers.constant)

    def _references(self, value: Any) -> Iterator[list[Any]]:
        if self.is_reference(value):
            yield value
            value = value[3:]
        if isinstance(value, Mapping):
            value = list(value.values())
        for item in value if isinstance(value, list) else ():
            yield from self._references(item)

    def is_reference(self, value: Any) -> bool:
        """``[layer, call, output]``, with kwargs or without, of a layer that exists, or a constant in its place."""
        return (isinstance(value, list) and len(value) in (3, 4) and isinstance(value[0], str)
                and ((value[0] in self.entries and isinstance(value[2], int)) or value[0] == CONSTANT)
                and isinstance(value[1], int) and (len(value) == 3 or isinstance(value[3], Mapping)))

    # ---- calls -------------------------------------------------------------------------------------------------------

    def structure(self, value: Any) -> Any:
        """A structure with tensors for the references in it, and constants as they are."""
        if self.is_reference(value):
            return self._constant(value[2]) if value[0] == CONSTANT else self._tensor(*value[:3])
        if isinstance(value, list):
            return [self.structure(item) for item in value]
        if isinstance(value, Mapping):
            return {key: self.structure(item) for key, item in value.items()}
        return value

    @staticmethod
    def _constant(value: Any) -> Any:
        if isinstance(value, list) and value and value[0] == {"_TYPE": "COMPOSITE"}:
            refuse("a functional model", "a sparse or ragged constant is not taken", "make it dense")
        return value

    def _tensor(self, name: str, call: int, index: int) -> Tensor:
        call -= self.offsets[name]
        apart = self.split.get((name, call))
        return Tensor(self.scope.name(name), call, index) if apart is None else Tensor(apart, 0, index)

    def call(self, written: Any) -> tuple[Any, Config]:
        """The first argument of a call, and the others by name."""
        kwargs: Config = {}
        for atom in self._atoms(written):
            kwargs = atom[3] if len(atom) == 4 else {}
        return self.structure(written), {key: self.structure(value) for key, value in kwargs.items()}

    def _atoms(self, value: Any) -> Iterator[list[Any]]:
        if self.is_reference(value):
            yield value
        elif isinstance(value, list) and len(value) in (3, 4) and isinstance(value[0], str) and isinstance(
                value[1], int):
            refuse("a functional model", f"a call needs the layer {value[0]!r}, which this config does not have")
        elif isinstance(value, (list, Mapping)):
            for item in value.values() if isinstance(value, Mapping) else value:
                yield from self._atoms(item)

    def layer(self, entry: Config, made: Config) -> list[Config]:
        """An entry that stays one layer, with its calls."""
        calls = [call if is_call_of_keras3(call) else self._call_of_layer(entry, call) for call in _calls(entry)]
        return [{**made, "name": self.scope.name(entry["name"]), "inbound_nodes": calls}]

    def _call_of_layer(self, entry: Config, written: Any) -> Config:
        first, kwargs = map(self._as_tensors, self.call(written))
        while isinstance(first, list) and len(first) == 1:
            first = first[0]
        kwargs = {key: value for key, value in kwargs.items() if value is not None}
        if entry["class_name"] in _WITH_STATES and isinstance(first, list):
            first, kwargs = _split_states(entry, first, kwargs)
        if entry["class_name"] in ("Attention", "AdditiveAttention") and entry["config"].get("causal"):
            kwargs["use_causal_mask"] = True
        return {"args": [_written(first)], "kwargs": _written(kwargs)}

    def op(self, entry: Config) -> list[Config]:
        """An op layer as ops, one chain of them for each call."""
        if self.sizes.is_size(self.scope.name(entry["name"])):
            return []
        made = []
        for number, written in enumerate(_calls(entry)):
            function, first, kwargs = op_layers.function_of(entry, *self.call(written))
            name = self._tensor(entry["name"], number, 0).layer
            known = self.sizes.known if takes_sizes(function) else self._with_open_sizes
            made += op_layers.as_layers(entry["name"], name, function, known(first), known(kwargs), self.taken,
                                        self.sizes.shapes)
        return made

    def _with_open_sizes(self, value: Any) -> Any:
        """A structure with numbers for sizes that are known, and tensors for those that are not."""
        def known(x: Tensor) -> Any:
            found = self.sizes.known(x)
            return self._held(x) if isinstance(found, sizes.Size) else found

        return map_tensors(value, known)

    def _as_tensors(self, value: Any) -> Any:
        """A structure for what is no op layer, and takes sizes and what comes of them as the tensors that they were."""
        return map_tensors(value, lambda x: self._held(x) if self.sizes.is_size(x.layer) else x)

    def _held(self, x: Tensor) -> Tensor:
        """A size, or a constant that comes of some, as the output of a layer, which takes the tensor that has it."""
        if x in self.held:
            return self.held[x]
        value, name = self.sizes.known(x), unused(f"{x.layer}_held", self.taken)
        if not sizes.sources(value):
            zero = Op("Sum", Op("ZerosLike", self.sizes.root(x), dtype=dtype_of_constant(value)))
            made = layers_of(Op("Add", zero, value), name, self.taken)
        elif not isinstance(value, sizes.Size):
            refuse(x.layer, "several sizes of a tensor are taken for a tensor, and are not known before there are "
                            "tensors", "settle the sizes in the input shape")
        elif value.axis is not None:
            made = layers_of(counted(value), name, self.taken)
        else:
            call = self._call_of_op(x.layer)
            assert call is not None
            function, first, kwargs = call
            made = op_layers.as_layers(x.layer, name, function, self._with_open_sizes(first),
                                       self._with_open_sizes(dict(kwargs)), self.taken, self.sizes.shapes)
        self.layers += made
        self.held[x] = Tensor(name, 0, 0)
        return self.held[x]

    # ---- sizes -------------------------------------------------------------------------------------------------------

    def _call_of_op(self, name: str) -> sizes.Call | None:
        """The first call of an op layer, by the name that it has today."""
        entry = self.entries.get(self.old_names.get(name, name))
        if entry is None or not op_layers.is_op_layer(entry) or not _calls(entry):
            return None
        return op_layers.function_of(entry, *self.call(_calls(entry)[0]))

    def _engine(self, open_sizes: Sequence[int] | None) -> Callable[[Tensor], TensorSpec | None]:
        """Finds shapes and dtypes in what is upgraded so far, with sizes for the open axes of the inputs, if any."""
        reader = GraphReader({"layers": []})

        def spec(x: Tensor) -> TensorSpec | None:
            for made in self.layers[len(reader.made):]:
                reader.add(made if open_sizes is None else _with_sizes(made, open_sizes))
            try:
                return reader.spec(*x)
            except ShapeError:
                if open_sizes is None:
                    raise
                return None  # the layers do not take these sizes

        return spec

    # ---- inputs and outputs ------------------------------------------------------------------------------------------

    def ends(self, value: Any) -> Any:
        """Inputs or outputs of the model; one of them alone stands without a list around it."""
        if self.is_reference(value):
            name, call, index = self._as_tensors(self._tensor(*value[:3]))
            return [name, call + self._counts_its_making(value[0]), index]
        if isinstance(value, Mapping):
            return {key: self.ends(item) for key, item in value.items()}
        if not isinstance(value, list):
            refuse("a functional model", f"an input or output is {value!r}, which is no reference to a layer's call")
        found = [self.ends(item) for item in value]
        return found[0] if len(found) == 1 and self.is_reference(value[0]) else found

    def _counts_its_making(self, name: str) -> int:
        entry = self.entries[name]
        return int(_is_model(entry) and entry["class_name"] != "Sequential")


def _is_model(entry: Config) -> bool:
    config = entry["config"]
    return entry["class_name"] in ("Sequential", "Model", "Functional") or (
        isinstance(config, Mapping) and "layers" in config and "input_layers" in config)


def _with_sizes(made: Config, open_sizes: Sequence[int]) -> Config:
    config = made["config"]
    if made["class_name"] != "InputLayer" or not isinstance(config.get("batch_shape"), list):
        return made
    shape = [open_sizes[min(axis, 1)] if size is None else size for axis, size in enumerate(config["batch_shape"])]
    return {**made, "config": {**config, "batch_shape": shape}}


def _split_states(entry: Config, first: list[Any], kwargs: Config) -> tuple[Any, Config]:
    constants = int(entry["config"].get("num_constants") or 0)
    states = first[1:len(first) - constants]
    if constants:
        kwargs["constants"] = first[len(first) - constants:]
    if states:
        kwargs["initial_state"] = states
    return first[0], kwargs


def _written(value: Any) -> Any:
    return map_tensors(value, lambda x: x.written())
