"""How shapes are written that tensors are held to: as Keras does, ``"(None, 50, 50, 3)"``, or with names as einops
does, ``"batch h w 3"``.

- A name is any size, and one and the same wherever it stands in a call; ``_`` and ``None`` are any size.
- ``...`` is any number of axes, and ``*name`` too, the same ones wherever it stands.
- ``(h w)`` is one axis, of the product of these sizes.
- Lists and dicts of shapes stand for lists and dicts of tensors.
"""

from __future__ import annotations

import functools
import re
from typing import Any, NamedTuple

from kerashape_torch.errors import ConfigError
from kerashape_torch.shape import standardize
from kerashape_torch.shape_text import read_shape
from kerashape_torch.structure import is_shape

_KERAS = re.compile(r"\s*([\[{].*|\((None|\d+|[\s,])*\))\s*", re.DOTALL)
_WORDS = re.compile(r"\s*(\([^()]*\)|[^\s()]+)")
_WORD = re.compile(r"\.\.\.|\*?[A-Za-z_]\w*|\d+")


class Axis(NamedTuple):
    """One word of a shape.

    Attributes:
        text: as it is written.
        size: a known one.
        name: of a size; of sizes, if ``several``. None for what may be anything.
        several: any number of axes.
        of: what a product is made of.
    """

    text: str
    size: int | None = None
    name: str | None = None
    several: bool = False
    of: tuple[Axis, ...] = ()


def parsed(shape: Any) -> Any:
    """A tuple of axes for each shape, in the lists and dicts in which the shapes stand.

    Raises:
        ConfigError: this is no shape.
    """
    if isinstance(shape, str):
        return parsed(read_shape(shape)) if _KERAS.fullmatch(shape) else _axes(shape)
    if isinstance(shape, dict):
        return {key: parsed(each) for key, each in shape.items()}
    if is_shape(shape):
        return tuple(Axis(str(size), size) for size in standardize(shape))
    if isinstance(shape, (list, tuple)):
        return [parsed(each) for each in shape]
    raise ConfigError(f"a shape is text such as 'batch h w 3', or a tuple of sizes and None, got {shape!r}")


@functools.cache
def _axes(text: str) -> tuple[Axis, ...]:
    axes: list[Axis] = []
    place = 0
    while place < len(text.rstrip()):
        match = _WORDS.match(text, place)
        if match is None:
            raise _no_shape(text, "a bracket has no other one")
        place = match.end()
        axes.append(_axis(match[1], text))
    if sum(axis.several for axis in axes) > 1 or any(inner.several for axis in axes for inner in axis.of):
        raise _no_shape(text, "any number of axes may stand once, and in no bracket")
    return tuple(axes)


def _axis(word: str, text: str) -> Axis:
    if word.startswith("("):
        inner = tuple(_axis(each, text) for each in word[1:-1].split())
        return Axis(f"({' '.join(axis.text for axis in inner)})", of=inner)
    if not _WORD.fullmatch(word):
        raise _no_shape(text, f"{word!r} is neither a name nor a size")
    if word.isdigit():
        return Axis(word, int(word))
    several = word == "..." or word.startswith("*")
    return Axis(word, None, None if word in ("_", "None", "...") else word, several)


def _no_shape(text: str, fact: str) -> ConfigError:
    return ConfigError(f"{text!r} is no shape: {fact}. Write 'batch h w 3' or '(None, 50, 50, 3)'")
