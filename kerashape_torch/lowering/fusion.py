"""What torch can say in one module is said in one, and in the format in which torch is fastest."""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from torch import fx, nn

from kerashape_torch.layer import CHANNELS_FIRST

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
ZERO_PADS = (nn.ZeroPad1d, nn.ZeroPad2d, nn.ZeroPad3d)
_FORMATS: dict[Any, torch.memory_format] = {nn.Conv2d: torch.channels_last, nn.ConvTranspose2d: torch.channels_last,
                                            nn.Conv3d: torch.channels_last_3d,
                                            nn.ConvTranspose3d: torch.channels_last_3d}


def fold_padding(root: nn.Module, graph: fx.Graph) -> None:
    """ZeroPadding before a valid convolution becomes the convolution's own ``padding``, where both sides are alike."""
    uses = Counter(node.target for node in graph.nodes if node.op == "call_module")
    for node in list(graph.nodes):
        if node.op != "call_module" or uses[node.target] != 1:
            continue
        source = next(iter(node.args), None)
        if not isinstance(source, fx.Node) or source.op != "call_module" or len(source.users) != 1:
            continue
        convolution: Any = root.get_submodule(str(node.target))
        pad: Any = root.get_submodule(str(source.target))
        if type(convolution) not in CONVOLUTIONS or type(pad) not in ZERO_PADS:
            continue
        padding = _symmetric(pad.padding)
        if padding is None or any(convolution.padding) or convolution.padding_mode != "zeros":
            continue
        convolution.padding = padding
        convolution._reversed_padding_repeated_twice = [side for size in reversed(padding) for side in (size, size)]
        node.replace_input_with(source, source.args[0])
        graph.erase_node(source)


def _symmetric(pad: tuple[int, ...]) -> tuple[int, ...] | None:
    """torch lists pads from the last axis to the first, before and after each."""
    before, after = pad[0::2], pad[1::2]
    return tuple(reversed(before)) if before == after and min(before) >= 0 else None


def lay_out_kernels(module: nn.Module) -> None:
    """The kernels of convolutions in the format in which images come: torch would copy them so at each call."""
    for part in module.modules():
        found = next((form for kind, form in _FORMATS.items() if isinstance(part, kind)), None)
        weight = getattr(part, "weight", None)
        if found is not None and isinstance(weight, nn.Parameter):
            weight.data = weight.data.to(memory_format=found)


def takes_images_channels_last(module: nn.Module) -> bool:
    """Whether images come in Keras' order somewhere: seen channels first, that is torch's channels-last format."""
    graphs = [part.graph for part in module.modules() if isinstance(part, fx.GraphModule)]
    return any(node.meta.get("keras_order") == CHANNELS_FIRST for graph in graphs for node in graph.nodes)
