"""Tables in Markdown, and a page of which each bench writes its own section."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

HEAD = """# Performance

Every figure is a ratio of medians that were measured side by side in one run, on the machine and with the versions that
its section names; absolute times are of that machine. A script writes each section:

- `python scripts/bench.py --markdown docs/performance.md`: forwards against hand-written torch and Keras on torch
- `python scripts/bench_shapes.py --markdown docs/performance.md`: shapes, before torch is loaded
- `python scripts/bench_loading.py --markdown docs/performance.md`: from a file to a module that runs
"""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """
    >>> print(table(["a", "b"], [["1", "2"]]))
    | a | b |
    |---|---|
    | 1 | 2 |
    """
    return "\n".join(["| " + " | ".join(head) + " |", "|---" * len(head) + "|",
                      *("| " + " | ".join(row) + " |" for row in rows)])


def machine() -> str:
    """What CPU times were measured on."""
    model = next((line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
                 platform.processor() or platform.machine())
    return f"{model}, Python {platform.python_version()}"


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def write_section(page: Path, title: str, text: str) -> None:
    """Puts a section into a page in place of the one with this title, or at its end."""
    old = page.read_text() if page.exists() else HEAD
    parts = [part for part in re.split(r"(?m)^(?=## )", old) if part.strip()]
    section = f"## {title}\n\n{text.strip()}\n"
    place = next((i for i, part in enumerate(parts) if part.startswith(f"## {title}\n")), len(parts))
    parts[place:place + 1] = [section]
    page.write_text("\n".join(part.strip() + "\n" for part in parts))
