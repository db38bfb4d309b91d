"""Activations, and sums before them, as a part of the convolution that they follow."""

from __future__ import annotations

import operator
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from kerashape_torch.lowering.inference.edit import Editor, shape_of_tensor
from kerashape_torch.lowering.inference.inplace import has_one_input, is_like_the_first
from kerashape_torch.torch_modules.fused import ACTIVATIONS, NONE, Activation, FusedConv2d

_SAME: dict[Any, Any] = {torch.relu: F.relu, nn.ReLU: F.relu, nn.ReLU6: F.relu6}
"""Other forms of activations."""


def into_convolutions(editor: Editor) -> None:
    """An activation, a sum of two tensors, or a sum and an activation after it go into the convolution before them, if
    nobody else needs what it gives."""
    for node in list(editor.graph.nodes):
        if _is_convolution(editor, node):
            editor.put(str(node.target), FusedConv2d(editor.part(node), NONE))  # type: ignore[arg-type]
    order = {node: i for i, node in enumerate(editor.graph.nodes)}
    for node in list(order) if has_one_input(editor) else ():
        if node.target in (torch.add, operator.add) and is_like_the_first(node):
            _fuse_sum(editor, node, order)
    for node in list(editor.graph.nodes):
        activation = _activation(editor, node)
        if activation is not None and _is_open(editor, node.args[0]):
            convolution: Any = editor.part(node.args[0])
            convolution.activation = activation
            editor.bypass(node, node.args[0])


def _fuse_sum(editor: Editor, node: fx.Node, order: dict[fx.Node, int]) -> None:
    operands: Any = node.args
    last, other = sorted(operands, key=order.__getitem__, reverse=True)  # the other tensor must be there already
    fits = last is not other and len(last.args) == 1 and shape_of_tensor(last) == shape_of_tensor(other)
    if not fits or not _is_open(editor, last):
        return
    node.prepend(last)
    last.args = (*last.args, other)
    order[last] = order[node]
    editor.bypass(node, last)


def _activation(editor: Editor, node: fx.Node) -> Activation | None:
    """The activation that a node is, as long as it has no arguments of its own."""
    part = editor.part(node)
    kind = node.target if node.op == "call_function" else type(part)
    if len(node.args) != 1 or not node.kwargs.keys() <= {"inplace"}:
        return None
    return ACTIVATIONS.get(_SAME.get(kind, kind))


def _is_convolution(editor: Editor, node: Any) -> bool:
    part: Any = editor.own_part(node)
    if type(part) is not nn.Conv2d or editor.module.get_submodule(str(node.target)) is not part:  # in mixed precision
        return False
    return len(node.args) == 1 and not node.kwargs and part.padding_mode == "zeros" \
        and not isinstance(part.padding, str)


def _is_open(editor: Editor, node: Any) -> bool:
    """Whether a node is a convolution that nothing has gone into yet but a sum, and that one other node needs."""
    part = editor.own_part(node)
    return type(part) is FusedConv2d and part.activation == NONE and len(node.users) == 1
