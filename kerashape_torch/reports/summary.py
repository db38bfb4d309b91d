"""Keras 3's table of layers, from a shape table; it looks the same, line by line."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from kerashape_torch.errors import ConfigError
from kerashape_torch.shape_table import Connection, Row, ShapeTable, Total, shape_table
from kerashape_torch.structure import flatten_shapes, is_shape

_Columns = tuple[int, Sequence[float], tuple[str, ...]]
_CHAIN: _Columns = (88, (0.45, 0.80, 1.0), ("Layer (type)", "Output Shape", "Param #"))
_GRAPH: _Columns = (108, (0.3, 0.56, 0.74, 1.0), ("Layer (type)", "Output Shape", "Param #", "Connected to"))
_JUSTIFY = {"Param #": "right", "Trainable": "center"}
_NUMBER, _NONE, _CLASS = "color(34)", "color(45)", "color(33)"


def print_summary(model: Any, line_length: int | None = None, positions: Sequence[float] | None = None,
                  print_fn: Callable[[str], Any] | None = None, expand_nested: bool = False,
                  show_trainable: bool = False, layer_range: Sequence[str] | None = None) -> None:
    """Prints what ``keras.Model.summary`` prints.

    Args:
        model: a model, or its shape table.
        line_length: of the table; as wide as Keras' where the terminal allows.
        positions: where the columns end, as parts of a line.
        print_fn: takes the whole text instead of the terminal.
        expand_nested: shows the layers of nested models below them.
        show_trainable: adds a column.
        layer_range: names, or patterns that names begin with, of the first and the last layer shown.
    """
    from rich.console import Console

    table = model if isinstance(model, ShapeTable) else shape_table(model)
    width, ends, header = _CHAIN if table.chain else _GRAPH
    ends = positions or ends
    if show_trainable:
        width, ends, header = width + 12, [*(end * 0.9 for end in ends), 1.0], (*header, "Trainable")
    width = line_length or min(width, shutil.get_terminal_size().columns - 4)
    lines = [f'[bold]Model: "{_plain(table.name)}"[/]',
             _grid(_in_range(table.rows, layer_range), header, _widths(ends, width), width, expand_nested)]
    lines += [f"[bold] {what} params: [/]{_paint(f'{total.params:,}')} ({_memory(total.bytes)})"
              for what, total in _totals(table)]
    if print_fn is None:
        console = Console(highlight=False)
        for line in lines:
            console.print(line)
        return
    console = Console(highlight=False, force_terminal=False, color_system=None)
    with console.capture() as captured:
        for line in lines:
            console.print(line)
    print_fn(captured.get())


def _widths(ends: Sequence[float], total: int) -> list[int]:
    places = [0, *(int(end * total) for end in ends)]
    widths = [end - start for start, end in pairwise(places)]
    if min(widths) < 4:
        raise ConfigError(f"a line of {total} is too short for the columns of a summary")
    return widths


def _grid(rows: list[Row], header: Sequence[str], widths: list[int], width: int, expand_nested: bool) -> Any:
    from rich.table import Column, Table

    columns = [Column(name, justify=_JUSTIFY.get(name, "left"), width=w) for name, w in zip(header, widths)]  # type: ignore[arg-type]
    grid = Table(*columns, width=width, show_lines=True)
    for row in rows:
        if expand_nested or not row.depth:
            cells = _cells(row)
            grid.add_row(*(cells[name] for name in header))
    return grid


def _cells(row: Row) -> dict[str, str]:
    indent = "   " * row.depth + "└ " if row.depth else ""
    params = f"{_paint(0)} (unbuilt)" if row.params is None else _paint(f"{row.params:,}")
    # As in Keras, connections are told for the outer model only.
    connections = ", ".join(map(_connection, row.connected_to if not row.depth else ())) or "-"
    mark = "-" if not row.params else "[color(34)]Y[/]" if row.trainable else "[color(9)]N[/]"
    return {"Layer (type)": f"{_plain(indent + row.name)} ([{_CLASS}]{_plain(row.class_name)}[/])",
            "Output Shape": _shapes(row.output_shape), "Param #": params, "Connected to": connections,
            "Trainable": f"[bold]{mark}[/]"}


def _shapes(shape: Any) -> str:
    if shape is None:
        return "?"
    flat = flatten_shapes(shape)
    return _markup(shape if len(flat) > 1 else flat[0])


def _markup(shape: Any) -> str:
    if is_shape(shape):
        return "(" + ", ".join(map(_paint, shape)) + ")"
    if isinstance(shape, dict):
        return "{" + ", ".join(f"{key}: {_markup(value)}" for key, value in shape.items()) + "}"
    inside = ", ".join(map(_markup, shape))
    return f"({inside})" if isinstance(shape, tuple) else f"[{inside}]"


def _connection(tensor: Connection) -> str:
    return f"{_plain(tensor.layer)}[{_paint(tensor.call)}][{_paint(tensor.output)}]"


def _paint(number: Any) -> str:
    return f"[{_NONE if number is None else _NUMBER}]{number}[/]"


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _totals(table: ShapeTable) -> list[tuple[str, Total]]:
    both = Total(table.params, table.trainable.bytes + table.non_trainable.bytes)
    return [("Total", both), ("Trainable", table.trainable), ("Non-trainable", table.non_trainable)]


def _memory(size: float) -> str:
    units = ["B", "KB", "MB", "GB", "TB", "PB"]
    while size >= 1024 and len(units) > 1:
        size, units = size / 1024, units[1:]
    return f"{size:.2f} {units[0]}"


def _in_range(rows: list[Row], names: Sequence[str] | None) -> list[Row]:
    """The rows from the first outer layer that matches to the last, with what is nested in them."""
    if names is None:
        return rows
    if len(names) != 2 or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"layer_range is two names, of the first and the last layer, got {names!r}")
    outer = [place for place, row in enumerate(rows) if not row.depth]
    first, last = ([i for i, place in enumerate(outer) if re.match(name, rows[place].name)] for name in names)
    if not first or not last:
        raise ConfigError(f"layer_range={tuple(names)!r} matches no layers; they are: "
                          f"{', '.join(rows[place].name for place in outer)}")
    start, end = (first[0], last[-1]) if first[0] <= last[-1] else (last[0], first[-1])
    return rows[outer[start]:(*outer, len(rows))[end + 1]]
