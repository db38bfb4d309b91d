"""Recurrent layers without masks as torch's own modules, called as people call them."""

from __future__ import annotations

from typing import Any

from torch import nn

from kerashape_torch.port.program import Part, Step


class Stock:
    module: nn.Module

    def steps(self, part: Part, results: Any) -> list[Step]:
        return []


def as_stock(module: nn.Module, args: Any, kwargs: Any) -> Stock | None:
    return None
