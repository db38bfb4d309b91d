"""The shape table of a torch module: read off a compiled model, or found by running it on tensors without data."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any

import torch
from torch import fx, nn
from torch.nn.parameter import is_lazy

from kerashape_torch.errors import KerashapeError
from kerashape_torch.lowering.by_running import table_by_running
from kerashape_torch.lowering.module_weights import each_once, row, weights_of
from kerashape_torch.shape_table import Connection, Row, ShapeTable, bare


def module_table(module: nn.Module, input_shape: Any = None, input_dtype: Any = None) -> ShapeTable:
    """Rows for the parts of a torch module, as it runs. What ``to_torch`` made needs no input shape: its shapes are
    known, in Keras' order of axes."""
    module = getattr(module, "_orig_mod", module)  # of torch.compile
    if any(map(is_lazy, module.parameters())):
        raise KerashapeError("a lazy module has no shapes before its first call; "
                             "shape_table(model, input_shape) has them")
    if any(isinstance(part, torch.jit.ScriptModule) for part in module.modules()):
        raise KerashapeError(f"{type(module).__name__} is compiled by torch.jit, where its parts cannot be seen. "
                             "Way out: the module that it was made of")
    if input_shape is not None:
        return table_by_running(module, input_shape, input_dtype)
    if isinstance(module, fx.GraphModule) and "keras" in module.meta:
        return _of_compiled(module)
    raise KerashapeError(f"{type(module).__name__} knows no shapes by itself: shape_table(module, input_shape)")


def _of_compiled(module: fx.GraphModule) -> ShapeTable:
    nodes = list(module.graph.nodes)
    inputs = bare([shape_of(node) for node in nodes if node.op == "placeholder"])
    outputs = bare([shape_of(node) for node in nodes[-1].all_input_nodes])
    return ShapeTable(type(module).__name__, _compiled_rows(module), each_once(module), inputs, outputs, chain=False)


def _compiled_rows(module: fx.GraphModule) -> Iterator[Row]:
    for node in module.graph.nodes:
        is_module = node.op == "call_module"
        if is_module or (node.op == "call_function" and "keras_shape" in node.meta
                         and node.target is not operator.getitem):
            before = node.all_input_nodes
            part = module.get_submodule(node.target) if is_module else node.target
            yield row(str(node.target) if is_module else node.name, part,
                      (bare([shape_of(x) for x in before]), shape_of(node)),
                      weights_of(part) if is_module else {}, tuple(Connection(x.name) for x in before))


def shape_of(node: fx.Node | None) -> Any:
    """A value's shape in Keras' order: its own, that of what it is a permuted view of, or that of its activation."""
    while node is not None and "keras_shape" not in node.meta:
        node = node.all_input_nodes[0] if node.target is torch.permute else next(iter(node.users), None)
    return node.meta["keras_shape"] if node is not None else None
