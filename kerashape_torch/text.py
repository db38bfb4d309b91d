"""Plain text for people: columns that line up, and names from files as Python takes them."""

from __future__ import annotations

import keyword
import re
from collections.abc import Sequence


def aligned(rows: Sequence[Sequence[str]], right: Sequence[int] = (), indent: str = "", gap: str = "  ") -> str:
    """Rows of cells as lines; the columns named in ``right`` are pushed to the right.

    >>> print(aligned([("layer", "params"), ("dense", "16")], right=(1,)))
    layer  params
    dense      16
    """
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = (gap.join(cell.rjust(width) if i in right else cell.ljust(width)
                      for i, (cell, width) in enumerate(zip(row, widths))) for row in rows)
    return "\n".join((indent + line).rstrip() for line in lines)


def identifier(name: str) -> str:
    """A layer name as the name of a Python argument or variable.

    >>> identifier("conv-1"), identifier("1"), identifier("lambda")
    ('conv_1', '_1', '_lambda')
    """
    name = re.sub(r"\W", "_", name)
    return f"_{name}" if not name or name[0].isdigit() or keyword.iskeyword(name) else name
