"""Whether bytes are UTF-8."""

from __future__ import annotations

from numba import njit

from pipeline.core.raw import VECTOR, byte_at, high32, trailing_zeros


@njit(cache=True, nogil=True)
def utf8_valid(buf, at, stop):  # type: ignore[no-untyped-def]
    """Whether bytes [at, stop) are valid UTF-8 (RFC 3629: no surrogates, no overlong forms)."""
    while at < stop:
        if at + VECTOR <= stop:
            high = high32(buf, at)
            if high == 0:
                at += VECTOR
                continue
            at += trailing_zeros(high)
        size = _sequence(buf, at, stop)
        if size == 0:
            return False
        at += size
    return True


@njit(nogil=True, forceinline=True)
def _sequence(buf, at, stop):  # type: ignore[no-untyped-def]
    """Length of the valid sequence at `at`, or 0."""
    c = byte_at(buf, at)
    if c < 0x80:
        return 1
    if 0xC2 <= c <= 0xDF:
        size = 2
    elif 0xE0 <= c <= 0xEF:
        size = 3
    elif 0xF0 <= c <= 0xF4:
        size = 4
    else:
        return 0
    if at + size > stop:
        return 0
    d = byte_at(buf, at + 1)
    if (c == 0xE0 and d < 0xA0) or (c == 0xED and d > 0x9F):
        return 0
    if (c == 0xF0 and d < 0x90) or (c == 0xF4 and d > 0x8F):
        return 0
    for k in range(1, size):
        if byte_at(buf, at + k) & 0xC0 != 0x80:
            return 0
    return size
