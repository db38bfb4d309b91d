"""Padding of one side more than of the other, without a padded copy of the tensor."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import nn

from kerashape_torch.lowering.fusion import CONVOLUTIONS, ZERO_PADS
from kerashape_torch.lowering.inference.edit import Editor
from kerashape_torch.torch_modules import convolution as convolutions

_PLAIN: dict[Any, Any] = {**{kind: kind for kind in CONVOLUTIONS},
                          convolutions.PaddedConv1d: nn.Conv1d, convolutions.PaddedConv2d: nn.Conv2d,
                          convolutions.PaddedConv3d: nn.Conv3d}


def widen_kernels(editor: Editor) -> None:
    """A depthwise convolution of a tensor that is padded unevenly gets a kernel with a row of zeros instead.

    The windows start as far outside as the larger side wants, and the zeros meet what is too much. Depthwise
    convolutions are bound by memory, so the copy costs more than the zeros; others are not.
    """
    for node, part in editor.calls():
        if type(part) not in _PLAIN or editor.own_part(node) is None:
            continue
        source: Any = node.args[0]
        pad: Any = editor.part(source)
        outside = pad.padding if type(pad) in ZERO_PADS and len(source.users) == 1 else None
        sides = _sides(part, getattr(part, "pads", None), outside)
        if sides is None or not _is_depthwise(part):
            continue
        wider = _wider(part, sides)
        if wider is None:
            continue
        value = source.args[0] if outside is not None else source
        editor.call_instead(node, wider, value, f"{node.target}_wide")
        if outside is not None:
            editor.graph.erase_node(source)


def _is_depthwise(part: Any) -> bool:
    return bool(part.groups > 1 and part.groups == part.in_channels)


def _sides(part: Any, own: Any, outside: Any) -> list[tuple[int, int]] | None:
    """What is added before and after each axis, from the first; None where that is alike on both sides."""
    if part.padding_mode != "zeros" or isinstance(part.padding, str):
        return None
    rank = len(part.kernel_size)
    sides = [[size, size] for size in part.padding]
    for pads in (own, outside):
        for axis in range(rank) if pads is not None else ():
            sides[axis][0] += pads[2 * (rank - 1 - axis)]
            sides[axis][1] += pads[2 * (rank - 1 - axis) + 1]
    found = [(before, after) for before, after in sides]
    uneven = any(before != after for before, after in found) and all(min(side) >= 0 for side in found)
    return found if uneven else None


def _wider(part: Any, sides: list[tuple[int, int]]) -> nn.Module | None:
    """The convolution with zeros at one end of its kernel."""
    extra = [after - before for before, after in sides]
    if any(size % step for size, step in zip(extra, part.dilation)):
        return None
    taps = [size // step for size, step in zip(extra, part.dilation)]
    kernel = tuple(size + abs(more) for size, more in zip(part.kernel_size, taps))
    made: nn.Module = _PLAIN[type(part)](
        part.in_channels, part.out_channels, kernel, part.stride, tuple(max(side) for side in sides), part.dilation,
        part.groups, part.bias is not None, device="meta")
    zeros = [count for more in reversed(taps) for count in (max(more, 0), max(-more, 0))]
    made.weight = nn.Parameter(F.pad(part.weight.detach(), zeros), requires_grad=False)
    made.bias = part.bias
    return made
