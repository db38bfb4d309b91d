"""Texts to words to indices, as TensorFlow's string functions do it: byte by byte, so that only ASCII has a case."""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from torch import Tensor, nn

from kerashape_torch.errors import ShapeError
from kerashape_torch.torch_modules.lookup import DROPPED, StringTable
from kerashape_torch.torch_modules.strings import Array, as_bytes, on_host, text_array, text_bytes, texts

_PUNCTUATION = string.punctuation.encode()


def tokenize(array: Array, standardize: Any, split: Any, ngrams: Sequence[int] | None,
             encoding: str = "utf-8") -> tuple[tuple[int, ...], list[list[bytes]]]:
    """The words of each text, and the shape in which the texts are arranged.

    Without ``split`` the strings along the last axis are the words of one text.

    >>> tokenize(text_array(["The cat, sat!"]), "lower_and_strip_punctuation", "whitespace", (1, 2))[1]
    [[b'the', b'cat', b'sat', b'the cat', b'cat sat']]
    """
    array = _standardized(array, standardize, encoding)
    if split is None:
        outer, width = array.shape[:-1], array.shape[-1]
        words = text_bytes(array)
        rows = [words[at:at + width] for at in range(0, len(words), width)] if width else []
    else:
        if array.ndim > 1 and array.shape[-1] != 1:
            raise ShapeError(f"texts are (batch) or (batch, 1), got {array.shape}")
        array = array[..., 0] if array.ndim > 1 else array
        outer, rows = array.shape, _split(array.ravel(), split, encoding)
    if ngrams is not None:
        rows = [[b" ".join(row[at:at + n]) for n in ngrams for at in range(len(row) - n + 1)] for row in rows]
    return outer, rows


def _standardized(array: Array, standardize: Any, encoding: str) -> Array:
    if callable(standardize):
        return text_array(standardize(_decoded(array, encoding)))
    how = standardize or ""
    texts = text_bytes(array)
    if "lower" in how:
        texts = [each.lower() for each in texts]
    if "punctuation" in how:
        texts = [each.translate(None, _PUNCTUATION) for each in texts]
    made = np.empty(len(texts), dtype=object)
    made[:] = texts
    return np.reshape(made, array.shape)


def _decoded(array: Array, encoding: str) -> Array:
    """An array of ``str``, which is what a user's function takes."""
    return np.reshape(np.array([each.decode(encoding) for each in text_bytes(array)], dtype=str), array.shape)


def _split(array: Array, split: str | Callable[[Array], Any], encoding: str) -> list[list[bytes]]:
    if callable(split):
        return [[as_bytes(word) for word in words] for words in split(_decoded(array, encoding))]
    if split == "whitespace":
        return [each.split() for each in text_bytes(array)]
    return [[sign.encode() for sign in each.decode("utf-8", "replace")] for each in text_bytes(array)]


class Vectorize(nn.Module):
    """Texts to the indices of their words, or to vectors of ones or counts, as a tensor on the module's device.

    Args:
        table: where words are looked up.
        length: to which indices are cut or filled up with 0; None is that of the longest text.
        standardize, split, ngrams, encoding: see :func:`tokenize`.
    """

    def __init__(self, table: StringTable, length: int | None, **how: Any) -> None:
        super().__init__()
        self.table = table
        self.length = length
        self.how = how

    @on_host
    def forward(self, x: Any) -> Tensor:
        outer, rows = tokenize(texts(x, "TextVectorization"), **self.how)
        found = iter(self.table.indices([word for row in rows for word in row]).tolist())
        lengths = [len(row) for row in rows]
        width = max(lengths, default=0) if self.length is None else self.length
        indices = np.full((len(rows), width), 0 if self.table.mode == "int" else DROPPED, np.int64)
        for row, length in zip(indices, lengths):
            words = [next(found) for _ in range(length)][:width]
            row[:len(words)] = words
        placed = self.table.placed(indices.reshape(*outer, width))
        separate = self.table.mode == "one_hot" and self.how["split"] is not None
        return self.table.encoded(placed[..., None] if separate else placed)

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={value!r}" for name, value in {"length": self.length, **self.how}.items())
