"""Statements that are too long, broken between brackets as people break them."""

from __future__ import annotations

WIDTH = 120


def broken(text: str, room: int) -> list[str]:
    """A statement as lines of at most ``room`` characters, if it has brackets to be broken in.

    >>> print("\\n".join(broken('x = f(self.first(a, b), "c, d")', 25)))
    x = f(
        self.first(a, b),
        "c, d",
    )
    """
    if len(text) <= room:
        return [text]
    spans = _brackets(text)
    if not spans:
        return [text]
    start, end = spans[-1]
    whole = text[start + 1:end]
    items = _items(whole)
    if len(items) > 1 or whole.rstrip().endswith(","):
        inside = [line for item in items for line in broken(f"{item},", room - 4)]
    else:  # a comma would make a tuple of it
        inside = broken(items[0], room - 4)
    return [text[:start + 1], *(f"    {line}" for line in inside), text[end:]]


def wrapped(text: str, room: int) -> list[str]:
    """Prose as lines, broken between words."""
    lines, current = [], ""
    for word in text.split(" "):
        if current and len(current) + 1 + len(word) > room:
            lines.append(current)
            current = word
        else:
            current = f"{current} {word}".strip()
    return [*lines, current]


def _brackets(text: str) -> list[tuple[int, int]]:
    """Where the outermost brackets that hold something begin and end."""
    spans, stack = [], []
    for i, ch in _outside_strings(text):
        if ch in "([{":
            stack.append(i)
        elif ch in ")]}":
            start = stack.pop()
            if not stack and i > start + 1:
                spans.append((start, i))
    return spans


def _items(text: str) -> list[str]:
    found, start, depth = [], 0, 0
    for i, ch in _outside_strings(text):
        depth += (ch in "([{") - (ch in ")]}")
        if ch == "," and not depth:
            found.append(text[start:i].strip())
            start = i + 1
    last = text[start:].strip()
    return [*found, last] if last else found


def _outside_strings(text: str) -> list[tuple[int, str]]:
    """The characters that are in no string literal; ours are in double quotes."""
    found, quoted, skip = [], False, False
    for i, ch in enumerate(text):
        if skip:
            skip = False
        elif quoted:
            skip, quoted = ch == "\\", ch != '"'
        elif ch == '"':
            quoted = True
        else:
            found.append((i, ch))
    return found
