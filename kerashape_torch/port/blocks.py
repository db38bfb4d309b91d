"""Repeated structure."""

from __future__ import annotations

from kerashape_torch.port.program import Unit


def with_blocks(program: Unit) -> Unit:
    return program
