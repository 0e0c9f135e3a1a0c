"""MurmurHash3 x64 128 in numba: the identity of visitors, events and sessions.

The algorithm is Austin Appleby's (public domain, `MurmurHash3_x64_128`, seed 0). It was chosen because
ClickHouse has it too: `murmurHash3_128(...)` gives a session's id in SQL from what the row shows.
"""

from __future__ import annotations

import numpy as np
from numba import njit, uint8, uint64

from pipeline.core.raw import borrowed, load_u64

C1 = np.uint64(0x87C37B91114253D5)
C2 = np.uint64(0x4CF5AD432745937F)
M1 = np.uint64(0xFF51AFD7ED558CCD)
M2 = np.uint64(0xC4CEB9FE1A85EC53)
FIVE = np.uint64(5)
N1 = np.uint64(0x52DCE729)
N2 = np.uint64(0x38495AB5)
R27, R31, R33 = np.uint64(27), np.uint64(31), np.uint64(33)
R64 = np.uint64(64)
EIGHT = np.uint64(8)
ALL = np.uint64(2**64 - 1)


@njit(nogil=True, forceinline=True)
def _rotl(x, r):  # type: ignore[no-untyped-def]
    return (x << r) | (x >> (R64 - r))


@njit(nogil=True, forceinline=True)
def _mix(k):  # type: ignore[no-untyped-def]
    k ^= k >> R33
    k *= M1
    k ^= k >> R33
    k *= M2
    return k ^ (k >> R33)


@njit(nogil=True, forceinline=True)
def _word(buf, at, count):  # type: ignore[no-untyped-def]
    """`count` (1 to 8) bytes from `at`, little endian."""
    if at + 8 <= buf.shape[0]:
        return load_u64(buf, at) & (ALL >> uint64(64 - 8 * count))
    k = uint64(0)
    for j in range(count):
        k |= uint64(buf[at + j]) << uint64(8 * j)
    return k


@njit(cache=True, nogil=True)
def murmur128(buf, at, length):  # type: ignore[no-untyped-def]
    """The two uint64 halves (h1, h2) of the hash of `length` bytes of uint8 array `buf` from `at`."""
    buf = borrowed(buf)
    h1 = uint64(0)
    h2 = uint64(0)
    i = at
    stop = at + (length & ~15)
    while i < stop:
        k1 = load_u64(buf, i) * C1
        h1 ^= _rotl(k1, R31) * C2
        h1 = (_rotl(h1, R27) + h2) * FIVE + N1
        k2 = load_u64(buf, i + 8) * C2
        h2 ^= _rotl(k2, R33) * C1
        h2 = (_rotl(h2, R31) + h1) * FIVE + N2
        i += 16
    tail = at + length - i
    if tail > 8:
        h2 ^= _rotl(_word(buf, i + 8, tail - 8) * C2, R33) * C1
    if tail > 0:
        h1 ^= _rotl(_word(buf, i, min(tail, 8)) * C1, R31) * C2
    h1 ^= uint64(length)
    h2 ^= uint64(length)
    h1 += h2
    h2 += h1
    h1 = _mix(h1)
    h2 = _mix(h2)
    h1 += h2
    h2 += h1
    return h1, h2


@njit(nogil=True, forceinline=True)
def combine(a, b):  # type: ignore[no-untyped-def]
    """A 64-bit hash of two 64-bit hashes, in that order."""
    return _mix(a * C1 ^ _rotl(b * C2, R31))


@njit(nogil=True, forceinline=True)
def short_hash(buf, at, length):  # type: ignore[no-untyped-def]
    """A hash of 1 to 16 bytes for tables that live within a call."""
    if length <= 8:
        h = _word(buf, at, length) * C1
    else:
        h = (load_u64(buf, at) * C1 ^ load_u64(buf, at + length - 8)) * C2
    h += uint64(length)
    h ^= h >> R33
    h *= M1
    return h ^ (h >> R33)


@njit(cache=True, nogil=True)
def hash_texts(data, offsets):  # type: ignore[no-untyped-def]
    """First half of the hash of every string of an Arrow string array: uint64 per row."""
    n = offsets.shape[0] - 1
    out = np.empty(n, np.uint64)
    for r in range(n):
        h, _ = murmur128(data, offsets[r], offsets[r + 1] - offsets[r])
        out[r] = h
    return out


@njit(cache=True, nogil=True)
def to_bytes16(h1, h2, out, row):  # type: ignore[no-untyped-def]
    """Writes the 16 bytes of a 128-bit hash, little endian halves, into row `row` of uint8[n, 16]."""
    for j in range(8):
        out[row, j] = uint8((h1 >> (EIGHT * uint64(j))) & uint64(0xFF))
        out[row, 8 + j] = uint8((h2 >> (EIGHT * uint64(j))) & uint64(0xFF))
