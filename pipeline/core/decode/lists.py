"""Lists of texts: spans to an Arrow list column.

A list of plain texts is read here, like a single text, which is a list of one. A list with anything else in
it (objects with an id, numbers, escapes, white space, an empty text) is left to the exact decoder.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numba import njit

from pipeline.core.decode.growing import grown
from pipeline.core.decode.spans import ARRAY, ESCAPED, Spans
from pipeline.core.decode.texts import PLAIN, is_text, plain_length, unescape
from pipeline.core.decode.tokens import text_stop
from pipeline.core.raw import borrowed, byte_at, copy_bytes
from pipeline.core.strings import string_array


@njit(nogil=True, forceinline=True)
def _plain_items(buf, at, n):  # type: ignore[no-untyped-def]
    """(texts, their bytes) of the valid JSON array at `at`; (-1, 0) where it has anything but plain texts."""
    if n < 2:
        return -1, 0
    i = at + 1
    if byte_at(buf, i) == 93:
        return 0, 0
    items, size = 0, 0
    while byte_at(buf, i) == 34:
        stop = text_stop(buf, i + 1)
        if byte_at(buf, stop) != 34 or stop == i + 1:
            return -1, 0
        items += 1
        size += stop - i - 1
        i = stop + 1
        if byte_at(buf, i) == 93:
            return items, size
        if byte_at(buf, i) != 44:
            return -1, 0
        i += 1
    return -1, 0


@njit(cache=True, nogil=True)
def _measure(buf, pos, length, kind, field, odd, lists):  # type: ignore[no-untyped-def]
    """Writes the items up to each row into lists[1:]; lists[0] is there. Returns the bytes of all texts."""
    buf, pos, length, kind = borrowed(buf), borrowed(pos), borrowed(length), borrowed(kind)
    odd, lists = borrowed(odd), borrowed(lists)
    total = np.int64(0)
    for r in range(odd.shape[0]):
        items = 0
        if not odd[r]:
            a, n, what = np.int64(pos[field, r]), np.int64(length[field, r]), kind[field, r]
            if what == ARRAY:
                items, n = _plain_items(buf, a, n)
            else:
                n = plain_length(buf, a, n) if what == ESCAPED else n
                items = 1 if is_text(buf, a, n, what, odd, r) else 0
            if items < 0:
                odd[r] = True
            elif items > 0:
                total += n
        lists[r + 1] = lists[r] + max(items, 0)
    return total


@njit(cache=True, nogil=True)
def _copy(buf, pos, length, kind, field, plain, lists, offsets, data):  # type: ignore[no-untyped-def]
    """Writes the texts that `_measure` measured, and where each ends."""
    buf, pos, length, kind = borrowed(buf), borrowed(pos), borrowed(length), borrowed(kind)
    plain, lists, offsets, data = borrowed(plain), borrowed(lists), borrowed(offsets), borrowed(data)
    for r in range(lists.shape[0] - 1):
        i = np.int64(pos[field, r])
        for item in range(lists[r], lists[r + 1]):
            o = np.int64(offsets[item])
            n = np.int64(length[field, r])
            if kind[field, r] == ARRAY:
                i += 2 if item == lists[r] else 3  # [" or ","
                n = text_stop(buf, i) - i
                copy_bytes(data, o, buf, i, n)
                i += n
            elif kind[field, r] == ESCAPED:
                unescape(buf, i, n, plain, data, o)
                n = plain_length(buf, i, n)
            else:
                copy_bytes(data, o, buf, i, n)
            offsets[item + 1] = o + n


class ListColumn:
    """Lists of texts, empty where missing."""

    def __init__(self, field: int, expected: int) -> None:
        self._field = field
        self._expected = expected
        self._lists = np.zeros(expected + 1, np.int32)
        self._offsets = np.zeros(1, np.int32)
        self._data = np.empty(0, np.uint8)

    def add(self, spans: Spans, at: int) -> None:
        self._lists = grown(self._lists, at + 1, at + spans.rows + 1)
        lists = self._lists[at : at + spans.rows + 1]
        fields = (spans.buf, spans.pos, spans.length, spans.kind, self._field)
        size = _measure(*fields, spans.odd, lists)
        share = max(1.0, self._expected / max(at + spans.rows, 1))
        before, items = int(lists[0]), int(lists[-1])
        if items + 1 > len(self._offsets):
            self._offsets = grown(self._offsets, before + 1, int(items * share * 1.1) + 1)
        used = int(self._offsets[before])
        if used + size > len(self._data):
            self._data = grown(self._data, used, int((used + size) * share * 1.1))
        _copy(*fields, PLAIN, lists, self._offsets, self._data)

    def values(self, rows: int) -> tuple[Any, Any, Any]:
        """Items up to each row, bytes up to each item, and the bytes."""
        items = int(self._lists[rows])
        return self._lists[: rows + 1], self._offsets[: items + 1], self._data[: self._offsets[items]]

    def array(self, rows: int) -> pa.Array:
        lists, offsets, data = self.values(rows)
        return pa.ListArray.from_arrays(pa.array(lists), string_array(offsets, data))
