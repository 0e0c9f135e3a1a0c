"""The smallest parts of a JSON line. A newline ends the buffer, and none of these looks beyond the next."""

from __future__ import annotations

import numpy as np
from numba import njit

from pipeline.core.decode.spans import FALSE, MISSING, NULL, TRUE, is_false, is_null, is_true
from pipeline.core.raw import VECTOR, byte_at, high32, stops32, trailing_zeros


@njit(nogil=True, forceinline=True)
def after_space(buf, i):  # type: ignore[no-untyped-def]
    c = byte_at(buf, i)
    while c == 32 or c == 9 or c == 13:
        i += 1
        c = byte_at(buf, i)
    return i


@njit(nogil=True, forceinline=True)
def text_stop(buf, i):  # type: ignore[no-untyped-def]
    """The first quote, backslash or control byte from `i`; the newline at the end of the block is one."""
    last = buf.shape[0] - VECTOR
    while True:
        at = min(i, last)
        stops = stops32(buf, at) >> np.uint64(i - at)
        if stops != 0:
            return i + trailing_zeros(stops)
        i = at + VECTOR


@njit(nogil=True)
def after_escape(buf, i):  # type: ignore[no-untyped-def]
    """The byte after the escape, or the surrogate pair, whose backslash is at `i`; -1 where it is none."""
    c = byte_at(buf, i + 1)
    if c == 34 or c == 92 or c == 47 or c == 98 or c == 102 or c == 110 or c == 114 or c == 116:
        return i + 2
    surrogate = _surrogate(buf, i)
    if surrogate == 0:
        return i + 6
    if surrogate == 1 and byte_at(buf, i + 6) == 92 and _surrogate(buf, i + 6) == 2:
        return i + 12
    return -1


@njit(nogil=True)
def _surrogate(buf, i):  # type: ignore[no-untyped-def]
    """Whether a character (0), a first half (1) or a second (2) is escaped at `i` by its number; else -1."""
    if byte_at(buf, i + 1) != 117:
        return -1
    for k in range(2, 6):
        c = byte_at(buf, i + k)
        if not (48 <= c <= 57 or 65 <= c <= 70 or 97 <= c <= 102):
            return -1
    if byte_at(buf, i + 2) | 32 != 100 or byte_at(buf, i + 3) < 56:
        return 0
    return 1 if byte_at(buf, i + 3) | 32 in (56, 57, 97, 98) else 2


@njit(nogil=True, forceinline=True)
def number_end(buf, i):  # type: ignore[no-untyped-def]
    """End of the JSON number at `i`, or -1 for none and for one of over 18 digits."""
    if byte_at(buf, i) == 45:
        i += 1
    first = i
    while 48 <= byte_at(buf, i) <= 57:
        i += 1
    if i == first or (byte_at(buf, first) == 48 and i > first + 1):
        return -1
    if byte_at(buf, i) == 46:
        i += 1
        fraction = i
        while 48 <= byte_at(buf, i) <= 57:
            i += 1
        if i == fraction:
            return -1
    if i - first > 18:
        return -1
    return i


@njit(nogil=True, forceinline=True)
def literal(buf, i):  # type: ignore[no-untyped-def]
    """(kind, length) of true, false or null at `i`, or (MISSING, 0)."""
    if is_null(buf, i, 4):
        return NULL, 4
    if is_true(buf, i, 4):
        return TRUE, 4
    if is_false(buf, i, 5):
        return FALSE, 5
    return MISSING, 0


@njit(nogil=True, forceinline=True)
def has_high(buf, at, stop):  # type: ignore[no-untyped-def]
    """Whether there may be a byte that is not ASCII in [at, stop): it looks at whole vectors."""
    last = buf.shape[0] - VECTOR
    high = np.uint64(0)
    while at < stop:
        high |= high32(buf, min(at, last))
        at += VECTOR
    return high != 0


@njit(nogil=True, forceinline=True)
def newline(buf, i):  # type: ignore[no-untyped-def]
    while byte_at(buf, i) != 10:
        i += 1
    return i
