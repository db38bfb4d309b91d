"""Activations and sums write over what nobody needs any more: no memory is taken, and what is written is at hand."""

from __future__ import annotations

import operator
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from kerashape_torch.lowering.inference.affine import BATCH_NORMS
from kerashape_torch.lowering.inference.edit import Editor, shape_of_tensor
from kerashape_torch.lowering.inference.folding import WEIGHING
from kerashape_torch.torch_modules.fused import FusedConv2d
from kerashape_torch.torch_modules.preprocessing import Affine

_FRESH_MODULES: tuple[Any, ...] = (
    *WEIGHING, FusedConv2d, *BATCH_NORMS, Affine, nn.LayerNorm, nn.GroupNorm, nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d,
    nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d, nn.ReLU, nn.ReLU6)
_MODULES_IN_PLACE: tuple[Any, ...] = (nn.ReLU, nn.ReLU6)

_FUNCTIONS_IN_PLACE: dict[Any, Any] = {torch.relu: torch.relu_, torch.sigmoid: torch.sigmoid_, torch.tanh: torch.tanh_}
_BY_ARGUMENT: tuple[Any, ...] = (F.relu, F.relu6, F.silu, F.hardswish, F.hardsigmoid, F.mish, F.elu, F.selu, F.celu,
                                 F.leaky_relu, F.hardtanh)
_OF_TWO: dict[Any, str] = {torch.add: "add_", torch.mul: "mul_", operator.add: "add_", operator.mul: "mul_"}
_FRESH_FUNCTIONS = {*_FUNCTIONS_IN_PLACE, *_BY_ARGUMENT, *_OF_TWO, torch.mean, torch.cat, torch.softmax, F.gelu,
                    torch.amax}
"""What gives new memory, and keeps nothing of its arguments."""


def write_in_place(editor: Editor) -> None:
    """Makes calls write over their argument: where it was made for this graph, no view of it is about, and all other
    users came before."""
    order = {node: i for i, node in enumerate(editor.graph.nodes)}
    fresh = {node for node in editor.graph.nodes if _is_fresh(editor, node)}
    one_input = has_one_input(editor)

    def is_over(node: Any, user: fx.Node) -> bool:
        return isinstance(node, fx.Node) and node in fresh and all(
            other is user or (other in fresh and order[other] < order[user]) for other in node.users)

    for node in list(editor.graph.nodes):
        if not node.args or not is_over(node.args[0], node) or node.args.count(node.args[0]) > 1:
            continue
        if node.op == "call_module":
            part: Any = editor.own_part(node)
            if type(part) in _MODULES_IN_PLACE:
                part.inplace = True
        elif node.target in _FUNCTIONS_IN_PLACE:
            node.target = _FUNCTIONS_IN_PLACE[node.target]
        elif node.target in _BY_ARGUMENT:
            node.kwargs = {**node.kwargs, "inplace": True}
        elif node.target in _OF_TWO and one_input and is_like_the_first(node):
            _call_method(editor, node, order, fresh)


def _is_fresh(editor: Editor, node: fx.Node) -> bool:
    if node.op == "call_module":
        return type(editor.part(node)) in _FRESH_MODULES
    return node.op == "call_function" and node.target in _FRESH_FUNCTIONS


def has_one_input(editor: Editor) -> bool:
    """Then all tensors have as many samples."""
    return [node.op for node in editor.graph.nodes].count("placeholder") == 1


def is_like_the_first(node: fx.Node) -> bool:
    """Whether the result of two operands is like the first of them, for any size of the batch."""
    if len(node.args) != 2 or node.kwargs:
        return False
    first, second = node.args
    if not isinstance(first, fx.Node) or not isinstance(second, fx.Node):
        return False
    shapes = [shape_of_tensor(x) for x in (first, second)]
    dtypes = {str(x.meta.get("keras_dtype", x)) for x in (first, second)}
    if None in shapes or len(dtypes) > 1:
        return False
    a, b = shapes
    assert a is not None and b is not None
    return len(a) == len(b) and None not in a[1:] and a[:1] == b[:1] and all(
        y in (x, 1) for x, y in zip(a[1:], b[1:]))


def _call_method(editor: Editor, node: fx.Node, order: dict[fx.Node, int], fresh: set[fx.Node]) -> None:
    with editor.graph.inserting_before(node):
        written = editor.graph.call_method(_OF_TWO[node.target], node.args)
    written.meta.update(node.meta)
    order[written] = order[node]
    fresh.discard(node)
    fresh.add(written)
    node.replace_all_uses_with(written)
    editor.graph.erase_node(node)
