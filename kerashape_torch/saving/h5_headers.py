"""How long the texts of an HDF5 attribute say that they are, found before HDF5 believes it.

A text of no fixed length lies in a heap, and the attribute says where and how long it is. HDF5 makes room for as much
as it says, up to 4 GiB, before it looks. So the bytes of the object's header are read here: its messages, of which the
attributes are some.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_ATTRIBUTE, _CONTINUATION = 0x0C, 0x10
_BLOCKS_LIMIT = 1024


def text_lengths(file: Any, address: int, name: str, count: int, size: int) -> list[int] | None:
    """The lengths of the texts of an attribute; None if it does not stand in the header itself.

    Args:
        file: the HDF5 file as bytes.
        address: of the object's header.
        name: of the attribute.
        count: how many texts there are.
        size: of what stands in the attribute for all of them, in bytes.
    """
    for kind, body in _messages(file, address):
        if kind == _ATTRIBUTE and _name_of(body) == name.encode():
            held, step = body[_start_of_data(body):], size // max(count, 1)
            if len(held) >= size:
                return [int.from_bytes(held[i * step:i * step + 4], "little") for i in range(count)]
    return None


def _read(file: Any, start: int, size: int) -> bytes:
    if not 0 <= start <= len(file) or size > len(file):
        return b""
    file.seek(start)
    return file.read(size) or b""


def _messages(file: Any, address: int) -> Iterator[tuple[int, bytes]]:
    """The messages of an object's header, with their kinds; a header of either version, block after block."""
    start = _read(file, address, 48)
    if len(start) < 48:
        return
    if start[:4] == b"OHDR":
        flags = start[5]
        at = 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
        width = 1 << (flags & 3)
        size = int.from_bytes(start[at:at + width], "little")
        blocks, head, ordered = [(address + at + width, size)], 4, bool(flags & 4)
    else:
        blocks, head, ordered = [(address + 16, int.from_bytes(start[8:12], "little"))], 8, False
    for i in range(_BLOCKS_LIMIT):
        if i >= len(blocks):
            return
        block = _read(file, *blocks[i])
        here = 0
        while here + head <= len(block):
            if head == 8:
                kind, length = (int.from_bytes(block[here + k:here + k + 2], "little") for k in (0, 2))
                body = here + 8
            else:
                kind, length = block[here], int.from_bytes(block[here + 1:here + 3], "little")
                body = here + 4 + (2 if ordered else 0)
            message = block[body:body + length]
            if kind == _CONTINUATION and len(message) >= 16:
                where, long = (int.from_bytes(message[k:k + 8], "little") for k in (0, 8))
                blocks.append((where, long) if head == 8 else (where + 4, long - 8))  # a signature, and a checksum
            yield kind, message
            here = body + length


def _sizes(body: bytes) -> tuple[int, int, int, int]:
    """Where the name begins, and how long it, the type and the shape are."""
    name, kind, shape = (int.from_bytes(body[k:k + 2], "little") for k in (2, 4, 6))
    if body[:1] == b"\x01":
        name, kind, shape = (-(-length // 8) * 8 for length in (name, kind, shape))
    return 9 if body[:1] == b"\x03" else 8, name, kind, shape


def _name_of(body: bytes) -> bytes:
    start, length, _, _ = _sizes(body)
    return body[start:start + length].split(b"\0")[0]


def _start_of_data(body: bytes) -> int:
    return sum(_sizes(body))
