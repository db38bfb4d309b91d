"""Activations, and sums before them, as a part of the convolution that they follow."""

from __future__ import annotations

import operator
from collections.abc import Mapping
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
    order = {node: i for i, node in enumerate(editor.graph.nodes)}
    for node in list(order) if has_one_input(editor) else ():
        if node.target in (torch.add, operator.add) and is_like_the_first(node):
            order[_fuse_sum(editor, node, order)] = order[node]
    for node in list(editor.graph.nodes):
        activation = _activation(editor, node)
        if activation is not None:
            _fuse_activation(editor, node, activation)


def _fuse_sum(editor: Editor, node: fx.Node, order: Mapping[Any, int]) -> fx.Node:
    """What gives the sum from then on."""
    operands: Any = node.args
    last, other = sorted(operands, key=order.__getitem__, reverse=True)  # the other tensor must be there already
    if last is other or not _is_convolution(editor, last) or shape_of_tensor(last) != shape_of_tensor(other):
        return node
    return _replace(editor, node, last, NONE, (last.args[0], other))


def _fuse_activation(editor: Editor, node: fx.Node, activation: Activation) -> None:
    source: Any = node.args[0]
    part: Any = editor.own_part(source)
    if type(part) is FusedConv2d and part.activation is NONE and len(source.users) == 1:
        part.activation = activation
        editor.bypass(node, source)
    elif _is_convolution(editor, source):
        _replace(editor, node, source, activation, source.args)


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
    return len(node.users) == 1 and len(node.args) == 1 and not node.kwargs and part.padding_mode == "zeros" \
        and not isinstance(part.padding, str)


def _replace(editor: Editor, node: fx.Node, convolution: fx.Node, activation: Activation, arguments: Any) -> fx.Node:
    made = FusedConv2d(editor.part(convolution), activation)  # type: ignore[arg-type]
    fresh = editor.call_instead(node, made, arguments[0], f"{convolution.target}_fused")
    fresh.args = tuple(arguments)
    editor.graph.erase_node(convolution)
    return fresh
