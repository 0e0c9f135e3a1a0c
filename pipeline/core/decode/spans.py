"""Spans: where the needed fields of some records lie in a buffer of bytes, and of which kind each value is.

What reads records (`scan.py` JSON lines, `tabular.py` tables) makes them; the columns read them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.core.raw import byte_at

MISSING, STRING, ESCAPED, NUMBER, TRUE, FALSE, NULL, OBJECT, ARRAY, INSTANT = range(10)
"""Kinds of a span. The span of a text is what is between its quotes: an ESCAPED one has escapes in it,
valid ones and never half a surrogate pair. An INSTANT is a time as ISO text, whatever the mapping says of
times.
"""


@dataclass(frozen=True)
class Spans:
    """Fields [field, row] of some rows as starts and lengths in `buf`; of an *odd* row nothing is known.

    `odd` has one item per row; the others may be wider.
    """

    buf: NDArray[np.uint8]
    odd: NDArray[np.bool_]  # a column marks here what it does not understand
    pos: NDArray[np.int32]
    length: NDArray[np.int32]
    kind: NDArray[np.uint8]

    @property
    def rows(self) -> int:
        return len(self.odd)


def frozen(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The same bytes, not to be written: kernels are compiled for one kind of buffer instead of two."""
    view = array.view()
    view.flags.writeable = False
    return view


@njit(nogil=True, forceinline=True)
def is_present(kind, length):  # type: ignore[no-untyped-def]
    """Whether a value is there: neither null nor an empty text."""
    return kind != MISSING and kind != NULL and not (kind == STRING and length == 0)


@njit(nogil=True, forceinline=True)
def is_true(buf, at, n):  # type: ignore[no-untyped-def]
    """Whether the `n` bytes from `at` are `true`; none is read after the first that differs."""
    if n != 4 or byte_at(buf, at) != 116 or byte_at(buf, at + 1) != 114:
        return False
    return byte_at(buf, at + 2) == 117 and byte_at(buf, at + 3) == 101


@njit(nogil=True, forceinline=True)
def is_false(buf, at, n):  # type: ignore[no-untyped-def]
    """Whether the `n` bytes from `at` are `false`."""
    if n != 5 or byte_at(buf, at) != 102 or byte_at(buf, at + 1) != 97 or byte_at(buf, at + 2) != 108:
        return False
    return byte_at(buf, at + 3) == 115 and byte_at(buf, at + 4) == 101


@njit(nogil=True, forceinline=True)
def is_null(buf, at, n):  # type: ignore[no-untyped-def]
    """Whether the `n` bytes from `at` are `null`."""
    if n != 4 or byte_at(buf, at) != 110 or byte_at(buf, at + 1) != 117:
        return False
    return byte_at(buf, at + 2) == 108 and byte_at(buf, at + 3) == 108


@njit(nogil=True, forceinline=True)
def digits(buf, at, n):  # type: ignore[no-untyped-def]
    """The number that `n` digits spell, or -1; `n` is at most 18."""
    out = 0
    for k in range(n):
        c = byte_at(buf, at + k) - 48
        if c < 0 or c > 9:
            return -1
        out = out * 10 + c
    return out if n > 0 else -1


@njit(cache=True, nogil=True)
def _prefer(pos, length, kind, fields, out_pos, out_length, out_kind):  # type: ignore[no-untyped-def]
    for r in range(out_kind.shape[1]):
        out_kind[0, r] = MISSING
        for f in fields:
            if is_present(kind[f, r], length[f, r]):
                out_pos[0, r] = pos[f, r]
                out_length[0, r] = length[f, r]
                out_kind[0, r] = kind[f, r]
                break


def preferred(spans: Spans, fields: NDArray[np.int64]) -> Spans:
    """Spans of a single field: in each row the first of `fields` that is present."""
    shape = (1, spans.rows)
    found = Spans(
        spans.buf, spans.odd, np.empty(shape, np.int32), np.empty(shape, np.int32), np.empty(shape, np.uint8)
    )
    _prefer(spans.pos, spans.length, spans.kind, fields, found.pos, found.length, found.kind)
    return found
