"""A diff as annotations that GitHub shows beside the lines of a pull request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kerashape_torch.differences.causes import Departure
from kerashape_torch.differences.lines import headline
from kerashape_torch.shape_table import shape_text

if TYPE_CHECKING:
    from kerashape_torch.differences.table_diff import TableDiff

_MOST = 9
"""GitHub shows ten of a step: one each for this many causes, and one for the rest."""


def command_lines(diff: TableDiff, file: str | None = None) -> str:
    """One workflow command for each cause; nothing where nothing moved.

    Args:
        diff: what moved.
        file: where in the repository it shall be shown.
    """
    found = [_line(f"{cause.how}: {cause.path}", _message(cause), file) for cause in diff.causes]
    if len(found) > _MOST + 1 or (diff and not found):
        found[_MOST:] = [_line("shapes moved", str(headline(diff)), file)]
    return "\n".join(found)


def _message(cause: Departure) -> str:
    lines = [f"{change.what}: {change.before} -> {change.after}" for change in cause.changes]
    if cause.how != "changed" and cause.place:
        row = cause.place.row
        lines = [f"{row.class_name}: {shape_text(row.input_shape)} -> {shape_text(row.output_shape)}"]
    if cause.follows:
        more = f" ... {cause.follows[-1].path}" if len(cause.follows) > 1 else ""
        lines.append(f"followed by {cause.follows[0].path}{more} ({len(cause.follows):,})")
    return "\n".join(lines)


def _line(title: str, message: str, file: str | None) -> str:
    properties = {**({"file": file} if file else {}), "title": title}
    told = ",".join(f"{key}={escaped(value, ':,')}" for key, value in properties.items())
    return f"::error {told}::{escaped(message)}"


def escaped(text: str, more: str = "") -> str:
    """Text inside a workflow command, where some characters end what they stand in.

    >>> escaped("50%: a\\nb"), escaped("a: b, c", ":,")
    ('50%25: a%0Ab', 'a%3A b%2C c')
    """
    for character in "%\r\n" + more:
        text = text.replace(character, f"%{ord(character):02X}")
    return text
