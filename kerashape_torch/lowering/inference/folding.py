"""Scales and shifts become a part of the weights of a neighbour that weighs channels anyway."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx, nn

from kerashape_torch.lowering.fusion import CONVOLUTIONS
from kerashape_torch.lowering.inference.affine import Steps, steps_of, wide
from kerashape_torch.lowering.inference.edit import Editor, before_permutes, rank_of
from kerashape_torch.torch_modules import convolution as convolutions
from kerashape_torch.torch_modules.preprocessing import Affine, rescale

_CONVOLUTIONS: tuple[Any, ...] = (
    *CONVOLUTIONS, convolutions.PaddedConv1d, convolutions.PaddedConv2d, convolutions.PaddedConv3d,
    convolutions.SameConv1d, convolutions.SameConv2d, convolutions.SameConv3d)
_TRANSPOSED: tuple[Any, ...] = (
    nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d, convolutions.CroppedConvTranspose1d,
    convolutions.CroppedConvTranspose2d, convolutions.CroppedConvTranspose3d)
WEIGHING = (*_CONVOLUTIONS, *_TRANSPOSED, nn.Linear)
_FAR = 32.0
"""A shift that is more than this many deviations cancels against what it is added to: float32 would lose digits."""


def into_weights(editor: Editor) -> None:
    """BatchNormalization and the like go into what is before them, else into what is after them, else together."""
    _into_the_one_before(editor)
    _together(editor)
    _into_the_one_after(editor)


def _into_the_one_before(editor: Editor) -> None:
    for node in list(editor.graph.nodes):
        steps = steps_of(editor, node)
        found = None if steps is None else before_permutes(node.args[0], steps.axis)
        if steps is None or found is None:
            continue
        source, axis = found
        part = editor.own_part(source)
        if type(part) not in WEIGHING or len(source.users) != 1:
            continue
        if steps.size is not None and axis != _output_axis(part, source):
            continue
        scale_outputs(part, steps)
        editor.bypass(node, node.args[0])


def _output_axis(part: Any, node: fx.Node) -> int:
    rank = rank_of(node)
    return (rank or 0) - 1 if type(part) is nn.Linear else 1


def _together(editor: Editor) -> None:
    """What scales and shifts twice does it once; what takes several operations for it takes one."""
    for node in list(editor.graph.nodes):
        later = steps_of(editor, node)
        before: Any = node.args[0] if later is not None else None
        earlier = steps_of(editor, before) if isinstance(before, fx.Node) and len(before.users) == 1 else None
        if later is None or earlier is None or (earlier.size and later.size and earlier.axis != later.axis):
            continue
        both = earlier.then(later)
        dtype = getattr(torch, str(node.meta.get("keras_dtype")), None)
        if dtype is None or not _is_near(both):
            continue
        if node.target is rescale and before.target is rescale:
            node.args = before.args  # numbers stay numbers: they are on no device
            node.kwargs = {"scale": float(both.scale), "offset": float(both.shift)}
        else:
            shape = [1] * (rank_of(node) or 1)
            shape[both.axis] = both.size or 1
            module = Affine(both.scale.reshape(shape).to(dtype), both.shift.reshape(shape).to(dtype))
            editor.call_instead(node, module, before.args[0], f"{_name(node)}_affine")
        editor.graph.erase_node(before)


def _name(node: fx.Node) -> str:
    return str(node.meta.get("keras_layer") or node.name).replace(".", "_")


def _is_near(steps: Steps) -> bool:
    return steps.shift.is_meta or bool(steps.shift.abs().max() <= _FAR)


def _into_the_one_after(editor: Editor) -> None:
    for node, part in editor.calls():
        if type(part) not in (*_CONVOLUTIONS, nn.Linear) or editor.own_part(node) is None:
            continue
        rank = rank_of(node) or 2
        found = before_permutes(node.args[0], 1 if type(part) in _CONVOLUTIONS else rank - 1)
        if found is None or len(found[0].users) != 1:
            continue
        source, axis = found
        steps = steps_of(editor, source)
        if steps is None or (steps.size is not None and steps.axis != axis) or not _is_float(source.args[0]):
            continue
        # Zeros beside the image are not shifted, so a shift goes only into what pads nothing.
        if _is_near(steps) and (_pads_nothing(part) or not (steps.shift.is_meta or bool(steps.shift.any()))):
            scale_inputs(part, steps)
            editor.bypass(source, source.args[0])  # type: ignore[arg-type]


def _pads_nothing(part: Any) -> bool:
    return type(part) is nn.Linear or (type(part) in CONVOLUTIONS and part.padding_mode == "zeros"
                                       and part.padding in ("valid", (0,) * len(part.kernel_size)))


def _is_float(node: Any) -> bool:
    return "float" in str(node.meta.get("keras_dtype", "float32"))


# ---- arithmetic ------------------------------------------------------------------------------------------------------


def scale_outputs(part: Any, steps: Steps) -> None:
    """The weights of a module whose outputs are scaled and shifted, channel by channel."""
    weight = wide(part.weight).contiguous()
    scale, shift = (x.to(weight.device) for x in steps[:2])
    outputs = weight.shape[1] * part.groups if type(part) in _TRANSPOSED else weight.shape[0]
    scale, shift = scale.expand(outputs), shift.expand(outputs)
    bias = shift if part.bias is None else wide(part.bias) * scale + shift
    if type(part) in _TRANSPOSED:  # (inputs, outputs of a group, ...), the inputs of each group in a row
        _grouped(weight, part.groups).mul_(_column(scale.reshape(part.groups, 1, -1), weight.dim() + 1))
    else:
        weight.mul_(_column(scale, weight.dim()))
    _set(part, weight, bias)


def scale_inputs(part: Any, steps: Steps) -> None:
    """The weights of a module whose inputs are scaled and shifted, channel by channel."""
    weight = wide(part.weight).contiguous()
    groups = getattr(part, "groups", 1)
    inputs = weight.shape[1] * groups
    scale, shift = (x.to(weight.device).expand(inputs).reshape(groups, 1, -1) for x in steps[:2])
    grouped = _grouped(weight, groups)  # (groups, outputs of a group, inputs of a group, ...)
    moved = (grouped.flatten(3).sum(-1) if grouped.dim() > 3 else grouped) * shift
    bias = moved.sum(-1).flatten()
    _set(part, (grouped * _column(scale, grouped.dim())).flatten(0, 1),
         bias if part.bias is None else wide(part.bias) + bias)


def _grouped(weight: Tensor, groups: int) -> Tensor:
    """The first axis as two, of the groups and of what is in each: a view."""
    return weight.view(groups, weight.shape[0] // groups, *weight.shape[1:])


def _column(x: Tensor, rank: int) -> Tensor:
    """With axes of 1 after its own."""
    return x.reshape(*x.shape, *[1] * (rank - x.dim()))


def _set(part: Any, weight: Tensor, bias: Tensor) -> None:
    dtype = part.weight.dtype
    part.weight = nn.Parameter(weight.to(dtype), requires_grad=False)
    part.bias = nn.Parameter(bias.to(dtype), requires_grad=False)
