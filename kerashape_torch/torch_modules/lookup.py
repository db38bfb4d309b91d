"""Vocabularies as modules: tokens to indices on the host or on the device, and indices back to tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kerashape_torch.errors import KerashapeError
from kerashape_torch.torch_modules.category import Encode, integer_bins
from kerashape_torch.torch_modules.hashing import hash_bins
from kerashape_torch.torch_modules.strings import Array, as_bytes, on_host, text_bytes, texts
from kerashape_torch.torch_modules.watched import is_watched

DROPPED = np.iinfo(np.int64).max
"""The index of what counts nowhere."""


class Lookup(Encode):
    """What both tables have: indices for tokens in the vocabulary and for others, and the weights of ``tf_idf``.

    Args:
        tokens: the vocabulary, without the mask and what is out of it.
        oov_start: the first index for tokens out of the vocabulary.
        oov_indices: how many there are; more than one are chosen by hash.
        mask_token: what has index 0, or counts nowhere where indices are encoded; None is no token.
        salt: the key of the hash.
        depth, mode: see :class:`Encode`; ``tf_idf`` counts, and weighs the counts by ``idf``.
    """

    idf: Tensor | None

    def __init__(self, tokens: Sequence[Any], oov_start: int, oov_indices: int, mask_token: Any,
                 salt: Sequence[int] | None, depth: int | None, mode: str, idf: Sequence[float] | None = None) -> None:
        super().__init__(depth, mode)
        self.oov_start = oov_start
        self.oov_indices = oov_indices
        self.salt = salt
        self.size = oov_start + oov_indices + len(tokens)
        self.index = {token: i for i, token in enumerate(tokens, start=oov_start + oov_indices)}
        if mask_token is not None:
            self.index[mask_token] = 0 if mode == "int" else DROPPED
        weights = None if idf is None else torch.tensor([float(x) for x in idf], device="cpu")
        self.register_buffer("idf", weights, persistent=False)

    def encoded(self, indices: Tensor, weights: Tensor | None = None) -> Tensor:
        if self.idf is None:
            return super().encoded(indices, weights)
        counts = super().encoded(indices, weights)
        return counts * self.idf

    def refuse_unknown(self, tokens: Any) -> None:
        raise KerashapeError(f"with num_oov_indices=0 every input must be in the vocabulary, got {tokens}. "
                             "num_oov_indices=1 gives the others an index of their own")

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, vocabulary={self.size}"


class StringTable(Lookup):
    """The index of each string, found on the host, as a tensor on the module's device."""

    def __init__(self, tokens: Sequence[str], mask_token: str | None = None, **table: Any) -> None:
        mask = None if mask_token is None else as_bytes(mask_token)
        super().__init__([as_bytes(token) for token in tokens], mask_token=mask, **table)

    @on_host
    def forward(self, x: Any, count_weights: Tensor | None = None) -> Tensor:
        array = texts(x, "StringLookup")
        return self.encoded(self.placed(self.indices(text_bytes(array)).reshape(array.shape)))

    def indices(self, tokens: list[bytes]) -> Array:
        """The index of each token."""
        found = np.fromiter((self.index.get(token, -1) for token in tokens), np.int64, len(tokens))
        unknown = np.flatnonzero(found < 0)
        if len(unknown):
            strangers = [tokens[i] for i in unknown.tolist()]
            if self.oov_indices == 0:
                self.refuse_unknown([token.decode(errors="replace") for token in strangers[:5]])
            several = self.oov_indices > 1
            found[unknown] = self.oov_start + (hash_bins(strangers, self.oov_indices, self.salt) if several else 0)
        return found


class IntegerTable(Lookup):
    """The index of each integer, found on the module's device.

    Args:
        hashed: whether several indices out of the vocabulary are chosen by hash, or by the remainder.
    """

    keys: Tensor
    places: Tensor

    def __init__(self, hashed: bool = False, **table: Any) -> None:
        super().__init__(**table)
        self.hashed = hashed
        keys = sorted(self.index)
        for name, values in (("keys", keys), ("places", [self.index[key] for key in keys])):
            self.register_buffer(name, torch.tensor(values, dtype=torch.int64, device="cpu"), persistent=False)

    def forward(self, x: Tensor, count_weights: Tensor | None = None) -> Tensor:
        x = x.long()
        at = torch.searchsorted(self.keys, x).clamp(max=len(self.keys) - 1)
        known = self.keys[at] == x
        return self.encoded(torch.where(known, self.places[at], self._unknown(x, known)))

    def _unknown(self, x: Tensor, known: Tensor) -> Tensor | int:
        if self.oov_indices == 0:
            if not is_watched(x) and not bool(known.all()):
                self.refuse_unknown(x[~known][:5].tolist())
            return -1
        if self.oov_indices == 1 or x.is_meta:
            return self.oov_start
        return self.oov_start + (self._bins(x) if self.hashed else x.remainder(self.oov_indices))

    @on_host
    def _bins(self, x: Tensor) -> Tensor:
        return self.placed(integer_bins(x, self.oov_indices, self.salt))


# ---- indices to tokens -----------------------------------------------------------------------------------------------


def _within(x: Any, size: int) -> Any:
    """Indices, those beyond the table being its last."""
    return x * ((x >= 0) & (x < size)) + size * ((x < 0) | (x >= size))


class IntegerFromIndex(Encode):
    """The token at each index; an index beyond the vocabulary gives the token for what is out of it."""

    tokens: Tensor

    def __init__(self, vocabulary: Sequence[int], oov_token: int) -> None:
        super().__init__(None, "int")
        self.register_buffer("tokens", torch.tensor([*vocabulary, oov_token], device="cpu"), persistent=False)

    def forward(self, x: Tensor, count_weights: Tensor | None = None) -> Tensor:
        return self.tokens[_within(x.long(), len(self.tokens) - 1)]


class StringFromIndex(Encode):
    """The string at each index, in an array of ``str`` on the host."""

    def __init__(self, vocabulary: Sequence[str], oov_token: str) -> None:
        super().__init__(None, "int")
        self.tokens = np.array([*vocabulary, oov_token], dtype=object)

    @on_host
    def forward(self, x: Tensor, count_weights: Tensor | None = None) -> Any:
        if x.is_meta:
            return np.full(x.shape, self.tokens[-1], dtype=object)
        return self.tokens[_within(x.long().cpu().numpy(), len(self.tokens) - 1)]
