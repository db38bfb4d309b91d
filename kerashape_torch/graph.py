"""Symbolic tensors, the nodes that make them, and the walk from a model's inputs to its outputs.

A symbolic tensor knows its shape, its dtype and the call that made it. Every walk here is iterative, so the depth of a
model never meets Python's recursion limit.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any

from kerashape_torch import masks
from kerashape_torch.errors import ConfigError, KerashapeError, ShapeError
from kerashape_torch.shape import Shape, to_text
from kerashape_torch.sizes import FreeSize
from kerashape_torch.structure import flatten, map_structure


class TensorSpec:
    """A shape and a dtype: what a shape rule needs to know of a tensor."""

    __slots__ = ("dtype", "shape")
    mask: TensorSpec | None = None

    def __init__(self, shape: Shape, dtype: str = "float32") -> None:
        self.shape = shape
        self.dtype = dtype

    @property
    def ndim(self) -> int:
        """The number of axes. Not ``input_dim``, which is the size of the only axis of a sample."""
        return len(self.shape)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(shape={to_text(self.shape)}, dtype={self.dtype!r})"


class MaskedSpec(TensorSpec):
    """What is known of a tensor that carries a mask."""

    __slots__ = ("mask",)

    def __init__(self, shape: Shape, dtype: str, mask: TensorSpec) -> None:
        super().__init__(shape, dtype)
        self.mask: TensorSpec | None = mask

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}, mask={self.mask!r})"


class Constant(TensorSpec):
    """An array that stands where a tensor is expected; a compiled module holds it as a buffer.

    >>> Constant([[1.0, 2.0]], "float32")
    Constant(shape=(1, 2), dtype='float32')
    """

    __slots__ = ("is_tensor", "value")

    def __init__(self, value: Any, dtype: str | None = None, is_tensor: bool = False) -> None:
        name = dtype or str(value.dtype).removeprefix("torch.").removeprefix("<dtype: '").removesuffix("'>")
        super().__init__(tuple(value.shape) if hasattr(value, "shape") else _shape_of(value), name)
        self.value = value
        self.is_tensor = is_tensor or hasattr(value, "detach")  # of torch, not of NumPy; Keras writes them apart

    @property
    def items(self) -> Any:
        """The numbers in nested lists."""
        value = self.value.detach().cpu() if hasattr(self.value, "detach") else self.value
        return value.tolist() if hasattr(value, "tolist") else value


def _shape_of(value: Any) -> Shape:
    return (len(value), *_shape_of(value[0] if value else 0)) if isinstance(value, (list, tuple)) else ()


class SymbolicTensor(TensorSpec):
    """A tensor that flows between layers before any number exists. ``Input`` makes the first one.

    Arithmetic and slicing on it make layers, as in Keras: see :mod:`kerashape_torch.ops`.
    """

    __slots__ = ("index", "mask", "node")
    is_symbolic = True
    node: Node
    index: int

    def __init__(self, shape: Shape, dtype: str = "float32") -> None:
        self.shape = shape
        self.dtype = dtype
        self.mask: SymbolicTensor | None = None

    def _operator(self, name: str, *operands: Any) -> Any:
        for load in OPERATOR_LOADERS if not OPERATORS else ():
            load()
        if name not in OPERATORS:
            raise KerashapeError(f"the operator {name!r} is not defined on symbolic tensors")
        return OPERATORS[name](*operands)

    def apply_function(self, name: str, kwargs: dict[str, Any]) -> Any:
        """An activation applied to a symbolic tensor, as ``keras.activations.relu(x)`` does."""
        return self._operator("activation", self, name, kwargs)

    def __add__(self, other: Any) -> Any:
        return self._operator("add", self, other)

    def __radd__(self, other: Any) -> Any:
        return self._operator("add", other, self)

    def __sub__(self, other: Any) -> Any:
        return self._operator("subtract", self, other)

    def __rsub__(self, other: Any) -> Any:
        return self._operator("subtract", other, self)

    def __mul__(self, other: Any) -> Any:
        return self._operator("multiply", self, other)

    def __rmul__(self, other: Any) -> Any:
        return self._operator("multiply", other, self)

    def __truediv__(self, other: Any) -> Any:
        return self._operator("divide", self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return self._operator("divide", other, self)

    def __floordiv__(self, other: Any) -> Any:
        return self._operator("floor_divide", self, other)

    def __rfloordiv__(self, other: Any) -> Any:
        return self._operator("floor_divide", other, self)

    def __mod__(self, other: Any) -> Any:
        return self._operator("mod", self, other)

    def __rmod__(self, other: Any) -> Any:
        return self._operator("mod", other, self)

    def __matmul__(self, other: Any) -> Any:
        return self._operator("matmul", self, other)

    def __pow__(self, other: Any) -> Any:
        return self._operator("power", self, other)

    def __rpow__(self, other: Any) -> Any:
        return self._operator("power", other, self)

    def __neg__(self) -> Any:
        return self._operator("negative", self)

    def __abs__(self) -> Any:
        return self._operator("absolute", self)

    def __invert__(self) -> Any:
        return self._operator("logical_not", self)

    def __and__(self, other: Any) -> Any:
        return self._operator("logical_and", self, other)

    def __or__(self, other: Any) -> Any:
        return self._operator("logical_or", self, other)

    def __xor__(self, other: Any) -> Any:
        return self._operator("logical_xor", self, other)

    def __lt__(self, other: Any) -> Any:
        return self._operator("less", self, other)

    def __le__(self, other: Any) -> Any:
        return self._operator("less_equal", self, other)

    def __gt__(self, other: Any) -> Any:
        return self._operator("greater", self, other)

    def __ge__(self, other: Any) -> Any:
        return self._operator("greater_equal", self, other)

    def __ne__(self, other: Any) -> Any:  # as in Keras, which leaves == to identity
        return self._operator("not_equal", self, other)

    def __getitem__(self, key: Any) -> Any:
        return self._operator("get_item", self, key)

    def __iter__(self) -> Iterator[Any]:
        raise TypeError("a symbolic tensor cannot be iterated over")

    def __bool__(self) -> bool:
        raise TypeError("a symbolic tensor has no truth value: no number exists yet")


OPERATORS: dict[str, Callable[..., Any]] = {}
"""What Python's operators do to symbolic tensors; :mod:`kerashape_torch.ops` fills it when one is used."""
OPERATOR_LOADERS: list[Callable[[], None]] = []


class Node:
    """One call of one layer: its arguments, and the tensors that came out."""

    __slots__ = ("args", "inputs", "kwargs", "layer", "outputs", "position")

    def __init__(self, layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any], inputs: list[SymbolicTensor],
                 specs: Any) -> None:
        self.layer = layer
        self.args = args
        self.kwargs = kwargs
        self.inputs = inputs
        self.position = len(layer.nodes)
        if isinstance(specs, TensorSpec):
            self.outputs: Any = self._output(specs, 0)
        else:
            counter = itertools.count()
            self.outputs = map_structure(lambda spec: self._output(spec, next(counter)), specs)
        layer.nodes.append(self)

    def _output(self, spec: TensorSpec, index: int) -> SymbolicTensor:
        tensor = SymbolicTensor(tuple(spec.shape), spec.dtype)
        tensor.node, tensor.index = self, index
        return tensor

    def __repr__(self) -> str:
        return f"Node({self.layer.name}: {to_text([x.shape for x in self.inputs])})"


_followed: ContextVar[Sequence[SymbolicTensor] | None] = ContextVar("followed", default=None)


@contextlib.contextmanager
def following(inputs: Sequence[SymbolicTensor] | None) -> Iterator[None]:
    """Says that a function is being followed that was not written for symbolic tensors, and what it was given; or, with
    None, that none is. Layers may be called on arrays in it, which are constants, and sizes have numbers."""
    token = _followed.set(inputs)
    try:
        yield
    finally:
        _followed.reset(token)


def followed_inputs() -> Sequence[SymbolicTensor] | None:
    """What the function was given that is being followed."""
    return _followed.get()


def free_shape(x: SymbolicTensor) -> tuple[Any, ...]:
    """The shape of a symbolic tensor, with a :class:`FreeSize` for each size that is not known in a function that is
    being followed, and which would have numbers there."""
    is_free = _followed.get() is not None
    return tuple(FreeSize("size", x, i) if size is None and is_free else size for i, size in enumerate(x.shape))


def connect(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Calls a layer on symbolic tensors: infers the output shapes, and remembers the call."""
    if len(args) == 1 and not kwargs and type(args[0]) is SymbolicTensor and args[0].mask is None:  # most calls
        return _remembered(layer, args, kwargs, layer.bind(args, kwargs), [args[0]], [args[0]])
    is_followed = _followed.get() is not None
    if is_followed:
        args, kwargs = map_structure(_constant, (args, kwargs))
    bound = layer.bind(args, kwargs)
    leaves = [*flatten(args), *flatten(kwargs)] if kwargs else flatten(args)
    inputs = tensors = [x for x in leaves if isinstance(x, SymbolicTensor)]
    if [x for x in tensors if x.mask is not None]:  # a generator in any() takes longer, and every call asks this
        brought = masks.brought_along(layer, bound, _mask_of)
        bound |= brought
        if not kwargs and layer.keeps_masks_of(args):
            kwargs = brought
            inputs = [*tensors, *symbolic(brought)]
    is_plain = len(leaves) == len(tensors) or not any(hasattr(x, "get_config") for x in leaves)
    if not (tensors or (is_followed and leaves)) or not is_plain:  # a layer is no tensor
        if layer.runs_on_the_spot and any(hasattr(x, "detach") for x in leaves):
            return layer.run_on_tensors(args, kwargs)
        given = ", ".join(type(x).__name__ for x in leaves) or "nothing"
        raise KerashapeError(f"{layer.describe()} describes a layer and is called on symbolic tensors, got {given}. "
                             "To run it on real tensors: layer.to_torch()(x). For a call of your own: make it in "
                             "__init__ or build")
    if "mask" in bound:
        masks.require_symbolic(layer, bound["mask"])
    return _remembered(layer, args, kwargs, bound, tensors, inputs)


def _remembered(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any], bound: dict[str, Any],
                tensors: list[SymbolicTensor], inputs: list[SymbolicTensor]) -> Any:
    """What comes out of a call; ``inputs`` are its ``tensors`` and the masks that they bring along."""
    try:
        given = layer.input_specs(args, kwargs, bound)
        specs = layer.outputs_for(given, args, kwargs)
        layer.check_weights(given)
    except ShapeError as error:
        shapes = [x.shape for x in tensors]
        path, names = way_to(layer, tensors)
        error.layer = None
        raise error.at(layer.describe(names[layer]), to_text(shapes[0] if len(shapes) == 1 else shapes), path) from None
    outputs = Node(layer, args, kwargs, inputs, specs).outputs
    made = masks.passed_on(layer, bound, _mask_of)
    for x, mask in zip(flatten(outputs), made) if made else ():
        x.mask = mask
    return outputs


def _constant(x: Any) -> Any:
    return Constant(x) if not isinstance(x, TensorSpec) and hasattr(x, "dtype") and hasattr(x, "tolist") else x


def symbolic(structure: Any) -> list[SymbolicTensor]:
    """The symbolic tensors among the leaves of a structure, in order."""
    return [x for x in flatten(structure) if isinstance(x, SymbolicTensor)]


def _mask_of(x: SymbolicTensor) -> SymbolicTensor | None:
    return x.mask


def shapes_of(specs: Any) -> Any:
    """The shapes of a structure of tensors; what is no tensor becomes None."""
    if isinstance(specs, TensorSpec):
        return specs.shape
    return map_structure(lambda x: x.shape if isinstance(x, TensorSpec) else None, specs)


def way_to(layer: Any, tensors: list[SymbolicTensor]) -> tuple[str, dict[Any, str]]:
    """The chain of layers that leads to a call, as text, and a name for each layer on the way."""
    seen: dict[Node, None] = {}
    stack = [x.node for x in tensors]
    while stack:
        node = stack.pop()
        if node not in seen:
            seen[node] = None
            stack.extend(x.node for x in node.inputs)
    names = number([*(node.layer for node in seen), layer])
    chain, tensor = [], tensors[0] if tensors else None
    while tensor is not None:
        chain.append(f"{names[tensor.node.layer]} {to_text(tensor.shape)}")
        tensor = tensor.node.inputs[0] if tensor.node.inputs else None
    if len(chain) > 8:
        chain = [*chain[:6], "...", chain[-1]]
    return " -> ".join(reversed(chain)), names


def nodes_to(tensor: SymbolicTensor, known: Container[int]) -> list[Node]:
    """The calls that lead to a tensor from those whose ids are known, each after what it needs."""
    order: list[Node] = []
    done: set[Node] = set()
    stack = [(tensor.node, iter(tensor.node.inputs))]
    while stack:
        node, parents = stack[-1]
        parent = next((x for x in parents if id(x) not in known and x.node not in done), None)
        if parent is not None:
            stack.append((parent.node, iter(parent.node.inputs)))
            continue
        stack.pop()
        if node not in done:
            done.add(node)
            order.append(node)
    return order


# ---- names -----------------------------------------------------------------------------------------------------------


serials = itertools.count()
"""Of layers, in the order of their creation, in which Keras numbers them."""


class Ghost:
    """A layer that Keras makes and nobody sees: it uses up a name."""

    given_name = None

    def __init__(self, name_prefix: str) -> None:
        self.name_prefix = name_prefix
        self.serial = next(serials)


@functools.cache
def snake_case(name: str) -> str:
    """A class name as Keras makes layer names of it.

    >>> snake_case("MaxPooling2D"), snake_case("LSTM"), snake_case("PReLU")
    ('max_pooling2d', 'lstm', 'p_re_lu')
    """
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def number(layers: Iterable[Any], taken: Iterable[str] = (), fixed: Iterable[Any] = ()) -> dict[Any, str]:
    """Names for layers as Keras gives them in a fresh process: ``dense``, ``dense_1``, ... in order of creation.

    ``fixed`` layers keep the number that they have; names in ``taken`` are left out.
    """
    names: dict[Any, str] = {}
    counters: dict[str, int] = {}
    held = set(taken)
    keep = set(fixed)
    for layer in sorted(set(layers), key=lambda each: each.serial):
        if layer.given_name is not None:
            names[layer] = layer.given_name
            continue
        prefix = layer.name_prefix
        if layer in keep:
            names[layer] = layer.name
        else:
            count = counters.get(prefix, 0)
            while (candidate := f"{prefix}_{count}" if count else prefix) in held:
                count += 1
            names[layer] = candidate
            counters[prefix] = count + 1
        held.add(names[layer])
    return names


# ---- the walk --------------------------------------------------------------------------------------------------------


class Graph:
    """The nodes between some inputs and some outputs, in an order in which they can run.

    Attributes:
        inputs, outputs: the structures that were given.
        nodes: every call between them, each after the calls that it needs.
        layers: the layers of these calls in Keras' order: by distance from the outputs, then as first met.
        depths: for each node its distance from the outputs, by which Keras orders layers.
        losses: numbers that a training step adds to the loss. What they need besides these calls are ops.
        in_torchs_order: whether layers and outputs are counted as by Keras' torch backend, which wrote the file that
            the graph is from: it sorts no dict in another one.
    """

    in_torchs_order = False

    def __init__(self, inputs: Any, outputs: Any) -> None:
        self.inputs = inputs
        self.outputs = outputs
        self.flat_inputs: list[SymbolicTensor] = flatten(inputs)
        self.flat_outputs: list[SymbolicTensor] = flatten(outputs)
        self._check_tensors()
        self.nodes, first_met = self._search()
        self._members = set(self.nodes)
        self.depths, self.layers = self._order(first_met)
        self.losses: list[SymbolicTensor] = []

    def _check_tensors(self) -> None:
        for what, tensors in (("inputs", self.flat_inputs), ("outputs", self.flat_outputs)):
            for tensor in tensors:
                if not isinstance(tensor, SymbolicTensor):
                    raise ConfigError(f"the {what} of a model are symbolic tensors, such as Input(...) gives, "
                                      f"got {type(tensor).__name__}")

    def __contains__(self, node: Node) -> bool:
        return node in self._members

    def _search(self) -> tuple[list[Node], dict[Any, int]]:
        """Depth first from the outputs; a node is listed after everything that it needs."""
        ends = {id(x) for x in self.flat_inputs}
        order: list[Node] = []
        done: set[Node] = set()
        first_met: dict[Any, int] = {}
        for output in self.flat_outputs:
            stack: list[tuple[Node, Iterator[SymbolicTensor]]] = []
            self._enter(output, ends, done, first_met, stack)
            while stack:
                node, parents = stack[-1]
                parent = next(parents, None)
                if parent is not None:
                    self._enter(parent, ends, done, first_met, stack)
                    continue
                stack.pop()
                order.append(node)
        return order, first_met

    def _enter(self, tensor: SymbolicTensor, ends: set[int], done: set[Node], first_met: dict[Any, int],
               stack: list[tuple[Node, Iterator[SymbolicTensor]]]) -> None:
        node = tensor.node
        if node in done or (node.inputs and id(tensor) in ends):
            return
        is_input = not node.args and not node.kwargs and not node.layer.makes_its_tensor
        if is_input and id(tensor) not in ends:
            raise ConfigError(f"graph disconnected: the outputs need the input {node.layer.name!r} "
                              f"{to_text(tensor.shape)}, which is not among the model's inputs")
        done.add(node)
        first_met.setdefault(node.layer, len(first_met))
        stack.append((node, iter(node.inputs)))

    def _order(self, first_met: dict[Any, int]) -> tuple[dict[Node, int], list[Any]]:
        depths: dict[Node, int] = {}  # in the order in which Keras meets them, which is how it runs those of one depth
        layer_depths: dict[Any, int] = {}
        for node in reversed(self.nodes):
            depth = max(depths.get(node, 0), layer_depths.get(node.layer, 0))
            depths[node] = layer_depths[node.layer] = depth
            for tensor in node.inputs:
                before = tensor.node
                if before in self._members and depths.get(before, 0) <= depth:
                    depths[before] = depth + 1
        for tensor in self.flat_inputs:  # inputs that no output needs are still inputs
            if not tensor.node.inputs and tensor.node not in depths:
                depths[tensor.node] = layer_depths[tensor.node.layer] = 0
                first_met[tensor.node.layer] = -1
                self.nodes.insert(0, tensor.node)
                self._members.add(tensor.node)
        return depths, sorted(layer_depths, key=lambda layer: (-layer_depths[layer], first_met[layer]))

    def keep(self, tensors: Iterable[SymbolicTensor]) -> None:
        """Adds the calls that made these, which need nothing, where no output needs them."""
        for node in (x.node for x in tensors if x.node not in self._members):
            self.nodes.insert(0, node)
            self._members.add(node)
            self.depths[node] = 0
            self.layers.append(node.layer)

    def mask_layers(self) -> list[Any]:
        """The ops that make masks of the model's tensors. Keras numbers them, even those that nothing in it needs."""
        tensors = [x for node in self.nodes for x in flatten(node.outputs)]
        if all(x.mask is None for x in tensors):
            return []
        known = {id(x) for x in tensors}
        found: dict[Any, None] = {}
        for mask in (x.mask for x in tensors if x.mask is not None):
            for node in nodes_to(mask, known) if id(mask) not in known else ():
                found[node.layer] = None
                known.update(id(x) for x in flatten(node.outputs))
        return list(found)

    def by_depth(self) -> dict[int, list[Node]]:
        """Nodes grouped by their distance from the outputs, the farthest first: the order in which Keras runs them."""
        groups: dict[int, list[Node]] = {}
        for node, depth in self.depths.items():
            groups.setdefault(depth, []).append(node)
        return dict(sorted(groups.items(), reverse=True))

    def nodes_of(self, layer: Any) -> list[Node]:
        """The calls of one layer that belong to this graph, in the order in which they were made."""
        return [node for node in layer.nodes if node in self._members]

    def infer(self, inputs: list[TensorSpec]) -> Any:
        """The output specs for other input specs: the shape rules once more, node by node."""
        known = self.known(inputs)
        return map_structure(lambda x: known[id(x)], self.outputs)

    def shapes_at(self, node: Node, known: Mapping[int, TensorSpec]) -> list[Any]:
        """What the rules of a call's layer are told, where the specs of tensors are those of :meth:`known`."""
        args, kwargs = map_structure(lambda x: known.get(id(x), x), (node.args, node.kwargs))
        return [shapes_of(spec) for spec in node.layer.input_specs(args, kwargs)]

    def known(self, inputs: list[TensorSpec]) -> dict[int, TensorSpec]:
        """The spec of every tensor, by its id, for other input specs."""
        known: dict[int, TensorSpec] = {id(x): spec for x, spec in zip(self.flat_inputs, inputs)}
        for node in self.nodes:
            if not node.inputs:
                known.update((id(x), x) for x in flatten(node.outputs) if id(x) not in known)
                continue
            args, kwargs = map_structure(lambda x: known.get(id(x), x), (node.args, node.kwargs))
            specs = node.layer.output_spec(*args, **kwargs)
            known.update((id(x), spec) for x, spec in zip(flatten(node.outputs), flatten(specs)))
        return known
