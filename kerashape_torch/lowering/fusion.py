"""Passes over the finished graph: what torch can say in one module is said in one."""

from __future__ import annotations

from collections import Counter
from typing import Any

from torch import fx, nn

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_ZERO_PADS = (nn.ZeroPad1d, nn.ZeroPad2d, nn.ZeroPad3d)


def fuse(module: fx.GraphModule) -> None:
    """Runs all passes in place."""
    fold_padding(module)


def fold_padding(module: fx.GraphModule) -> None:
    """ZeroPadding before a valid convolution becomes the convolution's own ``padding``, where both sides are alike."""
    uses = Counter(node.target for node in module.graph.nodes if node.op == "call_module")
    for node in list(module.graph.nodes):
        if node.op != "call_module" or uses[node.target] != 1:
            continue
        source = node.args[0]
        if not isinstance(source, fx.Node) or source.op != "call_module" or len(source.users) != 1:
            continue
        convolution: Any = module.get_submodule(str(node.target))
        pad: Any = module.get_submodule(str(source.target))
        if type(convolution) not in _CONVOLUTIONS or type(pad) not in _ZERO_PADS:
            continue
        padding = _symmetric(pad.padding)
        if padding is None or any(convolution.padding) or convolution.padding_mode != "zeros":
            continue
        convolution.padding = padding
        convolution._reversed_padding_repeated_twice = [side for size in reversed(padding) for side in (size, size)]
        node.replace_input_with(source, source.args[0])
        module.graph.erase_node(source)
    module.delete_all_unused_submodules()


def _symmetric(pad: tuple[int, ...]) -> tuple[int, ...] | None:
    """torch lists pads from the last axis to the first, before and after each."""
    before, after = pad[0::2], pad[1::2]
    return tuple(reversed(before)) if before == after and min(before) >= 0 else None
