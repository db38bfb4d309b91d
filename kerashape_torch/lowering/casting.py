"""A module in another dtype: its weights, and the casts and constants that its graphs speak of."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from torch import fx, nn

from kerashape_torch.torch_modules.mixed import MixedPrecision

_M = TypeVar("_M", bound=nn.Module)


def cast_module(module: _M, dtype: torch.dtype) -> _M:
    """Makes all floats of a module others, whatever its layers' policies say. Weights alone would not do: what a graph
    casts to float32, or makes in it, would meet them.

    Args:
        dtype: of floats.
    """
    def other(x: Any) -> Any:
        return dtype if isinstance(x, torch.dtype) and x.is_floating_point else x

    for part in module.modules():
        if isinstance(part, MixedPrecision):
            part.dtype = dtype
        elif isinstance(part, fx.GraphModule):
            for node in part.graph.nodes:
                node.args, node.kwargs = fx.node.map_aggregate((node.args, node.kwargs), other)
            part.recompile()
    return module.to(dtype)
