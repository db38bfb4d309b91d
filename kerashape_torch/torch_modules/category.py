"""Bins and categories: values to indices, and indices to vectors of ones or counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from kerashape_torch.torch_modules.hashing import Words, concatenated, fingerprints, hash_bins
from kerashape_torch.torch_modules.strings import Array, Placed, is_text, on_host, text_array, text_bytes


def encode(indices: Tensor, depth: int, mode: str, dtype: torch.dtype, weights: Tensor | None = None) -> Tensor:
    """Indices as vectors of length ``depth``. An index below 0 or beyond the end counts nowhere.

    ``one_hot`` makes a vector of each element, and a last axis of 1 becomes the vector. ``multi_hot`` and ``count`` put
    the elements along axis 1 together, or those of the only axis, as Keras does.

    >>> encode(torch.tensor([[0, 2, 2]]), 4, "count", torch.float32)
    tensor([[1., 0., 2., 0.]])
    >>> encode(torch.tensor([[0], [2]]), 3, "one_hot", torch.int64)
    tensor([[1, 0, 0],
            [0, 0, 1]])
    """
    indices = indices.long()
    if indices.ndim == 0:
        indices = indices[None]
    if mode == "one_hot":
        indices = indices[..., 0] if indices.ndim > 1 and indices.shape[-1] == 1 else indices
        return (indices[..., None] == torch.arange(depth, device=indices.device)).to(dtype)
    axis = min(1, indices.ndim - 1)
    places = torch.where((indices >= 0) & (indices < depth), indices, depth).movedim(axis, -1)  # the last is cut off
    one = torch.ones((), dtype=dtype, device=indices.device) if weights is None else weights.to(dtype).movedim(axis, -1)
    counts = torch.zeros(*places.shape[:-1], depth + 1, dtype=dtype, device=indices.device)
    counts = counts.scatter_add(-1, places, one.expand(places.shape))[..., :depth]
    return counts.clamp(max=1) if mode == "multi_hot" else counts


class Dtypes(NamedTuple):
    """What comes out of an :class:`Encode`, by what it is.

    Attributes:
        module: a float dtype that follows the module where it is cast to another one.
        indices: of the mode ``int``.
        vectors: of the other modes; None for that of the module.
        weighted: of weighted counts; None for that of vectors.
    """

    module: torch.dtype = torch.float32
    indices: torch.dtype = torch.int64
    vectors: torch.dtype | None = None
    weighted: torch.dtype | None = None


FLOATS = Dtypes()


class Encode(Placed):
    """:func:`encode`, or the indices themselves in the mode ``int``."""

    def __init__(self, depth: int | None, mode: str, dtypes: Dtypes = FLOATS) -> None:
        super().__init__(dtypes.module)
        self.depth = depth
        self.mode = mode
        self.dtypes = dtypes

    def encoded(self, indices: Tensor, weights: Tensor | None = None) -> Tensor:
        if self.mode == "int" or self.depth is None:
            return indices.to(self.dtypes.indices)
        dtype = (self.dtypes.weighted if weights is not None else None) or self.dtypes.vectors or self.here.dtype
        return encode(indices, self.depth, self.mode, dtype, weights)

    def forward(self, x: Tensor, count_weights: Tensor | None = None) -> Tensor:
        return self.encoded(x, count_weights)

    def extra_repr(self) -> str:
        return self.mode if self.mode == "int" else f"{self.mode}, depth={self.depth}"


class Bucketize(Encode):
    """The number of boundaries that are not greater than each element, encoded."""

    boundaries: Tensor

    def __init__(self, boundaries: Sequence[float], mode: str, dtypes: Dtypes) -> None:
        super().__init__(len(boundaries) + 1, mode, dtypes)
        made = torch.tensor([float(each) for each in boundaries], dtype=dtypes.module, device="cpu")
        self.register_buffer("boundaries", made, persistent=False)

    def forward(self, x: Tensor, count_weights: Tensor | None = None) -> Tensor:
        return self.encoded(torch.bucketize(x.to(self.boundaries.dtype), self.boundaries, right=True))

    def extra_repr(self) -> str:
        return f"{self.boundaries.tolist() if not self.boundaries.is_meta else '...'}, {super().extra_repr()}"


# ---- hashing ---------------------------------------------------------------------------------------------------------


def integer_texts(values: Array) -> list[bytes]:
    """Numbers in decimal digits, truth values as words, as TensorFlow writes them before it hashes them."""
    if values.dtype == np.bool_:
        return [b"true" if value else b"false" for value in values.ravel()]
    return [b"%d" % value for value in values.ravel()]


def integer_bins(x: Tensor, bins: int, salt: Sequence[int] | None) -> Array:
    """The bin of each integer by the hash of its digits; equal ones are hashed once."""
    values, inverse = np.unique((x.long() if x.is_floating_point() else x).cpu().numpy(), return_inverse=True)
    found: Array = hash_bins(integer_texts(values), bins, salt)[inverse.reshape(x.shape)]
    return found


class HashBins(Encode):
    """The bin of each string or integer by its hash, encoded. Hashes are computed on the host.

    Args:
        bins: how many; the first is for ``mask_value`` alone, where there is one.
        mask_value: what goes to bin 0.
        salt: two numbers, the key of SipHash; without it, it is FarmHash.
    """

    def __init__(self, bins: int, mask_value: Any, salt: Sequence[int] | None, mode: str,
                 dtypes: Dtypes) -> None:
        super().__init__(bins, mode, dtypes)
        self.bins = bins
        self.mask_value = mask_value if bins > 1 else None
        self.free_bins = bins - (self.mask_value is not None)
        self.salt = salt

    def forward(self, x: Any, count_weights: Tensor | None = None) -> Tensor:
        return self.encoded(self.hashed(x))

    @on_host
    def hashed(self, x: Any) -> Tensor:
        """The bins, before they are encoded."""
        if isinstance(x, Tensor):
            if x.is_meta:
                return torch.empty(self._squeezed(x).shape, dtype=torch.int64, device="meta")
            masked = x.cpu().numpy() == self.mask_value
            bins = integer_bins(x, self.free_bins, self.salt)
        else:
            x = text_array(x)
            strings = text_bytes(x)
            wanted = self.mask_value.encode() if isinstance(self.mask_value, str) else self.mask_value
            masked = np.reshape([each == wanted for each in strings], x.shape)
            bins = hash_bins(strings, self.free_bins, self.salt).reshape(x.shape)
        if self.mask_value is not None:
            bins = np.where(masked, 0, bins + 1)
        return self._squeezed(self.placed(bins))

    def _squeezed(self, bins: Tensor) -> Tensor:
        # Keras takes off one last axis of 1 here, and encoding takes off one more
        return bins[..., 0] if self.mode == "one_hot" and bins.ndim > 0 and bins.shape[-1] == 1 else bins

    def extra_repr(self) -> str:
        masked = "" if self.mask_value is None else f", mask_value={self.mask_value!r}"
        return f"{super().extra_repr()}, bins={self.bins}, salt={self.salt}{masked}"


class CrossBins(Encode):
    """One bin for what several features are together, encoded: of integers themselves, of strings by their hash."""

    _START = np.uint64(0xDECAFCAFFE)

    def __init__(self, bins: int, mode: str, dtypes: Dtypes) -> None:
        super().__init__(bins, mode, dtypes)
        self.bins = bins

    def forward(self, x: Any, count_weights: Tensor | None = None) -> Tensor:
        return self.encoded(self.crossed(x))

    @on_host
    def crossed(self, features: Sequence[Any]) -> Tensor:
        """The bins, before they are encoded."""
        meta = next((x for x in features if isinstance(x, Tensor) and x.is_meta), None)
        if meta is not None:
            return torch.empty(meta.shape, dtype=torch.int64, device="meta")
        words = [self._words(x) for x in features]
        mixed = np.full(words[0].shape, self._START)
        for each in words:
            mixed = concatenated(mixed, each)
        return self.placed((mixed % np.uint64(self.bins or (1 << 63) - 1)).astype(np.int64))

    @staticmethod
    def _words(x: Any) -> Words:
        if is_text(x):
            array = text_array(x)
            return fingerprints(text_bytes(array)).reshape(array.shape)
        return x.long().cpu().numpy().astype(np.uint64)


