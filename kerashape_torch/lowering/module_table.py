"""The shape table of a torch module: read off a compiled model, or found by running it on tensors without data."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.func import functional_call
from torch.nn.parameter import is_lazy

from kerashape_torch.errors import KerashapeError, ShapeError
from kerashape_torch.shape import Shape, standardize, to_text
from kerashape_torch.shape_table import Connection, Row, ShapeTable, Weight, bare
from kerashape_torch.structure import flatten, flatten_shapes, map_shapes

_SIZES = ((2, 64), (3, 96))
"""The batch and the other free axes in two runs; what moves with them is None."""


def module_table(module: nn.Module, input_shape: Any = None) -> ShapeTable:
    """Rows for the parts of a torch module, as it runs. What ``to_torch`` made needs no input shape: its shapes are
    known, in Keras' order of axes."""
    if any(map(is_lazy, module.parameters())):
        raise KerashapeError("a lazy module has no shapes before its first call; "
                             "shape_table(model, input_shape) has them")
    if input_shape is not None:
        given = (input_shape,) if isinstance(input_shape, int) else input_shape
        shapes = flatten_shapes(map_shapes(lambda each: standardize(each, "input_shape"), given))
        return _by_running(module, [each if each[:1] == (None,) else (None, *each) for each in shapes])
    if isinstance(module, fx.GraphModule) and "keras" in module.meta:
        return _of_compiled(module)
    raise KerashapeError(f"{type(module).__name__} knows no shapes by itself: shape_table(module, input_shape)")


def _weights(module: nn.Module) -> dict[str, Tensor]:
    """What the module keeps, by name, but for the counter of batch normalization, which no number depends on."""
    return {name: x for name, x in module.state_dict(keep_vars=True).items()
            if isinstance(x, Tensor) and not name.endswith("num_batches_tracked")}


def _described(weights: dict[str, Tensor]) -> list[Weight]:
    return [Weight(name, tuple(x.shape), x.requires_grad, str(x.dtype).removeprefix("torch."))
            for name, x in weights.items()]


def _each_once(module: nn.Module) -> list[Weight]:
    """The weights of a module, of which one that goes by two names counts once."""
    weights = _weights(module)
    names = {id(x): name for name, x in reversed(weights.items())}
    return _described({name: x for name, x in weights.items() if names[id(x)] == name})


def _row(name: str, part: Any, shapes: tuple[Any, Any], weights: list[Weight],
         connected_to: tuple[Connection, ...] = ()) -> Row:
    class_name = type(part).__name__ if isinstance(part, nn.Module) else part.__name__
    return Row(name, class_name, *shapes, weights, sum(w.size for w in weights), connected_to=connected_to)


# ---- a compiled model ------------------------------------------------------------------------------------------------


def _of_compiled(module: fx.GraphModule) -> ShapeTable:
    nodes = list(module.graph.nodes)
    inputs = bare([shape_of(node) for node in nodes if node.op == "placeholder"])
    outputs = bare([shape_of(node) for node in nodes[-1].all_input_nodes])
    return ShapeTable(type(module).__name__, _compiled_rows(module), _each_once(module), inputs, outputs, chain=False)


def _compiled_rows(module: fx.GraphModule) -> Iterator[Row]:
    for node in module.graph.nodes:
        is_module = node.op == "call_module"
        if is_module or (node.op == "call_function" and "keras_shape" in node.meta
                         and node.target is not operator.getitem):
            before = node.all_input_nodes
            part = module.get_submodule(node.target) if is_module else node.target
            yield _row(str(node.target) if is_module else node.name, part,
                       (bare([shape_of(x) for x in before]), shape_of(node)),
                       _described(_weights(part)) if is_module else [], tuple(Connection(x.name) for x in before))


def shape_of(node: fx.Node | None) -> Any:
    """A value's shape in Keras' order: its own, that of what it is a permuted view of, or that of its activation."""
    while node is not None and "keras_shape" not in node.meta:
        node = node.all_input_nodes[0] if node.target is torch.permute else next(iter(node.users), None)
    return node.meta["keras_shape"] if node is not None else None


# ---- any module ------------------------------------------------------------------------------------------------------


def _by_running(module: nn.Module, shapes: list[Shape]) -> ShapeTable:
    first, second = (_run(module, shapes, *sizes) for sizes in _SIZES)
    found = {path: (_merged(took, second[path][0]), _merged(gave, second[path][1]))
             for path, (took, gave) in first.items()}
    title, own = type(module).__name__, _own_weights(module, found)
    rows = [_row(path or title, module.get_submodule(path), ends, _described(own[path])) for path, ends in found.items()
            if own[path] or not any(_is_inside(other, path) for other in found)]
    return ShapeTable(title, rows, _each_once(module), *found[""], chain=False)


def _own_weights(module: nn.Module, ran: Iterable[str]) -> dict[str, dict[str, Tensor]]:
    """The weights of each part that ran; those of a part that did not run by itself are the part's that holds it."""
    own: dict[str, dict[str, Tensor]] = {path: {} for path in ran}
    parts = dict(module.named_modules())
    for name, x in _weights(module).items():
        path = name.rpartition(".")[0]
        if path not in parts:  # a second name of a part
            continue
        while path not in own:
            path = path.rpartition(".")[0]
        own[path][name[len(path) + 1:] if path else name] = x
    return own


def _is_inside(path: str, other: str) -> bool:
    return path != other and (not other or path.startswith(f"{other}."))


def _run(module: nn.Module, shapes: list[Shape], batch: int, other: int) -> dict[str, tuple[Any, Any]]:
    """The shapes that each part of a module takes and gives, by its path, in the order in which the parts end."""
    seen: dict[str, tuple[Any, Any]] = {}

    def noting(path: str) -> Any:
        def note(_: nn.Module, args: Any, output: Any) -> None:
            seen[path] = (_tensor_shapes(args), _tensor_shapes(output))

        return note

    state = {name: x.to("meta") for name, x in (*module.named_parameters(), *module.named_buffers())}
    sizes = [[(other if axis else batch) if size is None else size for axis, size in enumerate(s)] for s in shapes]
    hooks = [part.register_forward_hook(noting(path)) for path, part in module.named_modules()]
    try:
        problem: Exception | None = None
        for dtype in (next((x.dtype for x in state.values() if x.is_floating_point()), torch.float32), torch.int64):
            try:
                with torch.no_grad():
                    functional_call(module, state, tuple(torch.empty(s, dtype=dtype, device="meta") for s in sizes))
                return seen
            except Exception as error:  # whatever the module raises on tensors that it cannot take
                problem = problem or error
        raise ShapeError(f"{type(module).__name__} fails on {to_text(bare(shapes))}: {problem}") from problem
    finally:
        for hook in hooks:
            hook.remove()


def _tensor_shapes(value: Any) -> Any:
    return bare([tuple(x.shape) for x in flatten(value) if isinstance(x, Tensor)])


def _merged(first: Any, second: Any) -> Any:
    """One shape of two runs: what differs is None."""
    pairs = zip(flatten_shapes(first), flatten_shapes(second))
    return bare([tuple(a if a == b else None for a, b in zip(one, two)) for one, two in pairs])
