"""Texts: spans to Arrow string columns. Escapes of JSON are undone here."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from pipeline.core.decode.growing import grown
from pipeline.core.decode.spans import ARRAY, ESCAPED, INSTANT, MISSING, NULL, NUMBER, OBJECT, STRING, Spans
from pipeline.core.raw import VECTOR, borrowed, byte_at, copy32, copy_bytes
from pipeline.core.strings import string_array

PLAIN: Final = np.arange(256, dtype=np.uint8)
"""What stands after a backslash, to what it means; `u` apart."""
PLAIN[[ord(c) for c in "bfnrt"]] = [8, 12, 10, 13, 9]


@njit(nogil=True, forceinline=True)
def is_text(buf, at, n, kind, odd, r):  # type: ignore[no-untyped-def]
    """Whether the row has a text; a whole number is its digits, anything else is odd."""
    if kind in (STRING, ESCAPED, INSTANT):
        return n > 0
    if kind in (MISSING, NULL):
        return False
    plain = kind == NUMBER
    for k in range(n if plain else 0):
        if not 48 <= byte_at(buf, at + k) <= 57:
            plain = False
    odd[r] = not plain
    return plain


@njit(nogil=True, forceinline=True)
def _is_scalar_text(buf, at, n, kind, odd, r):  # type: ignore[no-untyped-def]
    """Whether the row has a scalar: its text is what stands there (but -0 is 0, so a sign is odd)."""
    if kind in (MISSING, NULL, OBJECT, ARRAY):
        return False
    if kind == NUMBER and byte_at(buf, at) == 45:
        odd[r] = True
        return False
    return n > 0


@njit(nogil=True, forceinline=True)
def _hex(c):  # type: ignore[no-untyped-def]
    return c - 48 if c <= 57 else (c | 32) - 87


@njit(nogil=True, forceinline=True)
def _unit(buf, at):  # type: ignore[no-untyped-def]
    """The number that the four hex digits at `at` spell."""
    high = _hex(byte_at(buf, at)) << 12 | _hex(byte_at(buf, at + 1)) << 8
    return high | _hex(byte_at(buf, at + 2)) << 4 | _hex(byte_at(buf, at + 3))


@njit(nogil=True)
def _code_point(buf, at):  # type: ignore[no-untyped-def]
    """(code point, bytes of the escape, bytes in UTF-8) of the escape at `at`, or of a surrogate pair."""
    unit = _unit(buf, at + 2)
    if unit < 0x80:
        return unit, 6, 1
    if unit < 0x800:
        return unit, 6, 2
    if not 0xD800 <= unit < 0xDC00:
        return unit, 6, 3
    return 0x10000 + ((unit - 0xD800) << 10) + _unit(buf, at + 8) - 0xDC00, 12, 4


@njit(cache=True, nogil=True)
def plain_length(buf, at, n):  # type: ignore[no-untyped-def]
    """Bytes of an escaped text once its escapes are undone."""
    stop = at + n
    while at < stop:
        if byte_at(buf, at) != 92:
            at += 1
        elif byte_at(buf, at + 1) != 117:
            at += 2
            n -= 1
        else:
            _, size, plain = _code_point(buf, at)
            at += size
            n -= size - plain
    return n


@njit(cache=True, nogil=True)
def unescape(buf, at, n, plain, data, o):  # type: ignore[no-untyped-def]
    """Writes an escaped text from `o`."""
    stop = at + n
    while at < stop:
        c = byte_at(buf, at)
        if c != 92:
            data[o] = c
            at += 1
            o += 1
        elif byte_at(buf, at + 1) != 117:
            data[o] = plain[byte_at(buf, at + 1)]
            at += 2
            o += 1
        else:
            point, size, count = _code_point(buf, at)
            lead = (0, 0xC0, 0xE0, 0xF0)[count - 1]
            data[o] = lead | point >> (6 * (count - 1))
            for k in range(1, count):
                data[o + k] = 0x80 | point >> (6 * (count - 1 - k)) & 0x3F
            at += size
            o += count


@njit(cache=True, nogil=True)
def _measure(buf, pos, length, kind, field, odd, scalars, offsets):  # type: ignore[no-untyped-def]
    """Writes the offset after each row into offsets[1:]; offsets[0] is there. Returns the last."""
    buf, pos, length, kind = borrowed(buf), borrowed(pos), borrowed(length), borrowed(kind)
    odd, offsets = borrowed(odd), borrowed(offsets)
    total = np.int64(offsets[0])
    for r in range(odd.shape[0]):
        if not odd[r]:
            a = np.int64(pos[field, r])
            n = np.int64(length[field, r])
            what = kind[field, r]
            if what == ESCAPED:
                n = plain_length(buf, a, n)
            if scalars:
                total += n if _is_scalar_text(buf, a, n, what, odd, r) else 0
            else:
                total += n if is_text(buf, a, n, what, odd, r) else 0
        offsets[r + 1] = total
    return total


@njit(cache=True, nogil=True)
def _copy(buf, pos, length, kind, field, plain, offsets, data):  # type: ignore[no-untyped-def]
    """Writes the texts that `_measure` measured; short ones are copied as 32 bytes, the rest overwritten."""
    buf, pos, length, kind = borrowed(buf), borrowed(pos), borrowed(length), borrowed(kind)
    offsets, data, plain = borrowed(offsets), borrowed(data), borrowed(plain)
    into = data.shape[0] - VECTOR
    of = buf.shape[0] - VECTOR
    for r in range(offsets.shape[0] - 1):
        o = np.int64(offsets[r])
        n = np.int64(offsets[r + 1]) - o
        if n == 0:
            continue
        a = np.int64(pos[field, r])
        if kind[field, r] == ESCAPED:
            unescape(buf, a, np.int64(length[field, r]), plain, data, o)
        elif n <= VECTOR and a <= of and o <= into:
            copy32(data, o, buf, a)
        else:
            copy_bytes(data, o, buf, a, n)


class TextColumn:
    """Texts, '' where missing. With `scalars` also numbers and booleans as JSON has them, '' for the rest."""

    def __init__(self, field: int, expected: int, scalars: bool = False) -> None:
        self._field = field
        self._scalars = scalars
        self._expected = expected
        self._offsets = np.zeros(expected + 1, np.int32)
        self._data = np.empty(0, np.uint8)

    def add(self, spans: Spans, at: int) -> None:
        self._offsets = grown(self._offsets, at + 1, at + spans.rows + 1)
        offsets = self._offsets[at : at + spans.rows + 1]
        fields = (spans.buf, spans.pos, spans.length, spans.kind, self._field)
        total = _measure(*fields, spans.odd, self._scalars, offsets)
        if total > len(self._data) - VECTOR:
            share = max(1.0, self._expected / max(at + spans.rows, 1))
            self._data = grown(self._data, int(offsets[0]), int(total * share * 1.1) + 2 * VECTOR)
        _copy(*fields, PLAIN, offsets, self._data)

    def values(self, rows: int) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
        return self._offsets[: rows + 1], self._data[: self._offsets[rows]]

    def array(self, rows: int) -> pa.Array:
        return string_array(*self.values(rows))
