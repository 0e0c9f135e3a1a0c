"""All properties of a record as the text of one JSON object.

An object that is written as short as can be is kept as it stands: its text is what the exact decoder would
write. One with white space, escapes, a repeated key or something nested in it is left to that decoder. (The
scanner leaves numbers with an exponent or more than 18 digits to it already.)
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

from pipeline.core.decode.growing import grown
from pipeline.core.decode.spans import OBJECT, Spans
from pipeline.core.decode.texts import TextColumn
from pipeline.core.decode.tokens import text_stop
from pipeline.core.raw import borrowed, byte_at, copy_bytes

MEMBERS_MAX: Final = 32
"""An object with more is left to the exact decoder: each key is compared with all before it."""


@njit(nogil=True, forceinline=True)
def _scalar_end(buf, i):  # type: ignore[no-untyped-def]
    """The end of a number, true, false or null; -1 for anything else, and for a -0, which is written 0."""
    c = byte_at(buf, i)
    if c == 91 or c == 123:
        return -1
    if c == 45 and byte_at(buf, i + 1) == 48 and byte_at(buf, i + 2) != 46:
        return -1
    while c != 44 and c != 125:
        if c <= 32:
            return -1
        i += 1
        c = byte_at(buf, i)
    return i


@njit(nogil=True, forceinline=True)
def _is_repeated(buf, members, count):  # type: ignore[no-untyped-def]
    """Whether the last of `count` keys is one of those before it."""
    at, n = members[0, count - 1], members[1, count - 1]
    for other in range(count - 1):
        if members[1, other] == n:
            k = 0
            while k < n and byte_at(buf, at + k) == byte_at(buf, members[0, other] + k):
                k += 1
            if k == n:
                return True
    return False


@njit(nogil=True)
def _is_shortest(buf, at, n, members):  # type: ignore[no-untyped-def]
    """Whether the valid JSON object at `at` is flat and written as the exact decoder would write it."""
    stop = at + n
    i = at + 1
    for count in range(1, members.shape[1] + 1):
        if byte_at(buf, i) != 34:
            return False
        end = text_stop(buf, i + 1)
        if byte_at(buf, end) != 34 or byte_at(buf, end + 1) != 58:
            return False
        members[0, count - 1] = i + 1
        members[1, count - 1] = end - i - 1
        if _is_repeated(buf, members, count):
            return False
        i = end + 2
        if byte_at(buf, i) == 34:
            i = text_stop(buf, i + 1)
            if byte_at(buf, i) != 34:
                return False
            i += 1
        else:
            i = _scalar_end(buf, i)
            if i < 0:
                return False
        if byte_at(buf, i) == 125:
            return i + 1 == stop
        if byte_at(buf, i) != 44:
            return False
        i += 1
    return False


@njit(cache=True, nogil=True)
def _measure(buf, pos, length, kind, field, odd, members, offsets):  # type: ignore[no-untyped-def]
    """Writes the offset after each row into offsets[1:]; offsets[0] is there. Returns the last."""
    buf, pos, length, kind = borrowed(buf), borrowed(pos), borrowed(length), borrowed(kind)
    odd, offsets, members = borrowed(odd), borrowed(offsets), borrowed(members)
    total = np.int64(offsets[0])
    for r in range(odd.shape[0]):
        if not odd[r] and kind[field, r] == OBJECT:
            n = np.int64(length[field, r])
            # the one of a table has no text
            if n >= 2 and _is_shortest(buf, np.int64(pos[field, r]), n, members):
                total += n
            elif n != 2 or byte_at(buf, np.int64(pos[field, r]) + 1) != 125:
                odd[r] = True
        offsets[r + 1] = total
    return total


@njit(cache=True, nogil=True)
def _copy(buf, pos, field, offsets, data):  # type: ignore[no-untyped-def]
    buf, pos, offsets, data = borrowed(buf), borrowed(pos), borrowed(offsets), borrowed(data)
    for r in range(offsets.shape[0] - 1):
        o = np.int64(offsets[r])
        n = np.int64(offsets[r + 1]) - o
        if n > 0:
            copy_bytes(data, o, buf, np.int64(pos[field, r]), n)


class ObjectColumn(TextColumn):
    """Objects as JSON text, '' for what is none, or has nothing in it."""

    def add(self, spans: Spans, at: int) -> None:
        self._offsets = grown(self._offsets, at + 1, at + spans.rows + 1)
        offsets = self._offsets[at : at + spans.rows + 1]
        fields = (spans.buf, spans.pos, spans.length, spans.kind, self._field)
        total = _measure(*fields, spans.odd, np.empty((2, MEMBERS_MAX), np.int64), offsets)
        if total > len(self._data):
            share = max(1.0, self._expected / max(at + spans.rows, 1))
            self._data = grown(self._data, int(offsets[0]), int(total * share * 1.1))
        _copy(spans.buf, spans.pos, self._field, offsets, self._data)
