"""Hashes of strings as TensorFlow takes them: the same string is in the same bin there and here.

FarmHash's 64-bit fingerprint (which never changes), SipHash-2-4 with a key, and the mix of fingerprints that crosses
features. Strings of one length are hashed together: a matrix of bytes, a row for each, in arithmetic modulo 2**64.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Words = Any  # an array of uint64, whose type numpy's stubs lose in arithmetic with numbers
Rows = np.ndarray[Any, np.dtype[np.uint8]]

_K0, _K1, _K2 = (np.uint64(k) for k in (0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F))


def _u(number: int) -> Any:
    return np.uint64(number & 0xFFFFFFFFFFFFFFFF)


def _rotate_right(x: Words, bits: int) -> Words:
    return (x >> _u(bits)) | (x << _u(64 - bits))


def _shift_mix(x: Words) -> Words:
    return x ^ (x >> _u(47))


def _word(rows: Rows, at: int, size: int = 8) -> Words:
    """The little-endian number in each row's bytes from ``at`` on."""
    return np.ascontiguousarray(rows[:, at:at + size]).view(f"<u{size}")[:, 0].astype(np.uint64)


# ---- FarmHash --------------------------------------------------------------------------------------------------------


def fingerprint64(rows: Rows) -> Words:
    """FarmHash's Fingerprint64 of each row of bytes.

    >>> fingerprint64(np.frombuffer(b"a", np.uint8)[None])
    array([12917804110809363939], dtype=uint64)
    """
    length = rows.shape[1]
    if length == 0:
        return np.full(len(rows), _K2)
    if length <= 16:
        return _up_to_16(rows, length)
    if length <= 32:
        return _up_to_32(rows, length)
    return _up_to_64(rows, length) if length <= 64 else _longer(rows, length)


def _fold(u: Words, v: Words, factor: Any) -> Words:
    a = _shift_mix((u ^ v) * factor)
    return _shift_mix((v ^ a) * factor) * factor


def _up_to_16(rows: Rows, length: int) -> Words:
    factor = _K2 + _u(2 * length)
    if length >= 8:
        a, b = _word(rows, 0) + _K2, _word(rows, length - 8)
        return _fold(_rotate_right(b, 37) * factor + a, (_rotate_right(a, 25) + b) * factor, factor)
    if length >= 4:
        return _fold(_u(length) + (_word(rows, 0, 4) << _u(3)), _word(rows, length - 4, 4), factor)
    first, middle, last = (rows[:, i].astype(np.uint64) for i in (0, length // 2, length - 1))
    return _shift_mix((first + (middle << _u(8))) * _K2 ^ (_u(length) + (last << _u(2))) * _K0) * _K2


def _ends(rows: Rows, length: int, first: Any, factor: Any) -> tuple[Words, Words, Words]:
    """What the first and the last 16 bytes come to, as two numbers, and the first word."""
    a, b = _word(rows, 0) * first, _word(rows, 8)
    c, d = _word(rows, length - 8) * factor, _word(rows, length - 16) * _K2
    return _rotate_right(a + b, 43) + _rotate_right(c, 30) + d, a + _rotate_right(b + _K2, 18) + c, a


def _up_to_32(rows: Rows, length: int) -> Words:
    factor = _K2 + _u(2 * length)
    u, v, _ = _ends(rows, length, _K1, factor)
    return _fold(u, v, factor)


def _up_to_64(rows: Rows, length: int) -> Words:
    factor = _K2 + _u(2 * length)
    y, z, a = _ends(rows, length, _K2, factor)
    z = _fold(y, z, factor)
    e, f = _word(rows, 16) * factor, _word(rows, 24)
    g, h = (y + _word(rows, length - 32)) * factor, (z + _word(rows, length - 24)) * factor
    return _fold(_rotate_right(e + f, 43) + _rotate_right(g, 30) + h, e + _rotate_right(f + a, 18) + g, factor)


def _weak_32(rows: Rows, at: int, a: Words, b: Words) -> tuple[Words, Words]:
    w, x, y, z = (_word(rows, at + 8 * i) for i in range(4))
    a = a + w
    b = _rotate_right(b + a + z, 21)
    total = a + x + y
    return total + z, b + _rotate_right(total, 44) + a


def _longer(rows: Rows, length: int) -> Words:
    """A state of 56 bytes goes through chunks of 64, and once more through the last 64, which may overlap."""
    seed = np.full(len(rows), _u(81))
    y = seed * _K1 + _u(113)
    z = _shift_mix(y * _K2 + _u(113)) * _K2
    v = w = (np.zeros_like(seed), np.zeros_like(seed))
    x = seed * _K2 + _word(rows, 0)
    last = length - 64
    for at in (*range(0, (length - 1) // 64 * 64, 64), last):
        factor, nine = (_K1 + ((z & _u(255)) << _u(1)), _u(9)) if at == last else (_K1, _u(1))
        if at == last:
            w = (w[0] + _u((length - 1) % 64), w[1])
            v = (v[0] + w[0], v[1])
            w = (w[0] + v[0], w[1])
        x = _rotate_right(x + y + v[0] + _word(rows, at + 8), 37) * factor
        y = _rotate_right(y + v[1] + _word(rows, at + 48), 42) * factor
        x = x ^ w[1] * nine
        y = y + v[0] * nine + _word(rows, at + 40)
        z = _rotate_right(z + w[0], 33) * factor
        v = _weak_32(rows, at, v[1] * factor, x + w[0])
        w = _weak_32(rows, at + 32, z + w[1], y + _word(rows, at + 16))
        z, x = x, z
    return _fold(_fold(v[0], w[0], factor) + _shift_mix(y) * _K0 + z, _fold(v[1], w[1], factor) + x, factor)


def concatenated(first: Words, second: Words) -> Words:
    """The fingerprint of two fingerprints, by which features are crossed."""
    factor = _u(0xC6A4A7935BD1E995)
    mixed = (first ^ factor ^ _shift_mix(second * factor) * factor) * factor
    return _shift_mix(_shift_mix(mixed) * factor)


# ---- SipHash ---------------------------------------------------------------------------------------------------------


def siphash(rows: Rows, key: Sequence[int]) -> Words:
    """SipHash-2-4 of each row of bytes under a key of two numbers."""
    full = rows.shape[1] // 8 * 8
    rest = np.zeros((len(rows), 8), np.uint8)
    rest[:, :rows.shape[1] - full] = rows[:, full:]
    rest[:, 7] = rows.shape[1] % 256
    start = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)
    state = tuple(np.full(len(rows), _u(word ^ key[i % 2])) for i, word in enumerate(start))
    for word in (*(_word(rows, at) for at in range(0, full, 8)), _word(rest, 0)):
        a, b, c, d = _sip_rounds((*state[:3], state[3] ^ word), 2)
        state = (a ^ word, b, c, d)
    a, b, c, d = _sip_rounds((state[0], state[1], state[2] ^ _u(0xFF), state[3]), 4)
    return a ^ b ^ c ^ d


def _sip_rounds(state: tuple[Words, ...], rounds: int) -> tuple[Words, ...]:
    a, b, c, d = state
    for _ in range(rounds):
        a, c = a + b, c + d
        b, d = _rotate_right(b, 51) ^ a, _rotate_right(d, 48) ^ c
        a, c = _rotate_right(a, 32) + d, c + b
        b, d = _rotate_right(b, 47) ^ c, _rotate_right(d, 43) ^ a
        c = _rotate_right(c, 32)
    return a, b, c, d


# ---- strings to bins -------------------------------------------------------------------------------------------------


def fingerprints(strings: Sequence[bytes], salt: Sequence[int] | None = None) -> Words:
    """The hash of each string: FarmHash's fingerprint, or SipHash under a salt.

    >>> fingerprints([b"a", b"", b"a"]) % np.uint64(5)
    array([4, 3, 4], dtype=uint64)
    """
    hashed: Callable[[Rows], Words] = fingerprint64 if salt is None else lambda rows: siphash(rows, salt)
    found = np.zeros(len(strings), np.uint64)
    lengths = np.fromiter(map(len, strings), np.int64, len(strings))
    for length in np.unique(lengths):
        which = np.flatnonzero(lengths == length)
        joined = b"".join([strings[i] for i in which.tolist()])
        found[which] = hashed(np.frombuffer(joined, np.uint8).reshape(len(which), length))
    return found


def hash_bins(strings: Sequence[bytes], bins: int, salt: Sequence[int] | None = None) -> np.ndarray[Any, Any]:
    """The bin of each string, as int64."""
    found: np.ndarray[Any, Any] = (fingerprints(strings, salt) % _u(bins)).astype(np.int64)
    return found
