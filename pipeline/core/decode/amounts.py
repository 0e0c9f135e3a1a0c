"""Money, whole numbers and flags: spans to numpy columns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from pipeline.core.decode.growing import grown
from pipeline.core.decode.spans import (
    FALSE,
    NUMBER,
    STRING,
    TRUE,
    Spans,
    digits,
    is_false,
    is_present,
    is_true,
)
from pipeline.core.raw import borrowed, byte_at

VALUE_E4_MAX: Final = 10**15
"""In 1/10,000: a larger value is a mistake (`exact.VALUE_MAX`), and odd here."""


@njit(nogil=True, forceinline=True)
def _e4(buf, a, n):  # type: ignore[no-untyped-def]
    """Digits with at most 4 after a point, in 1/10,000; -1 for anything else."""
    whole = 0
    decimals = -1
    for k in range(n):
        c = byte_at(buf, a + k)
        if 48 <= c <= 57:
            whole = whole * 10 + (c - 48)
            if decimals >= 0:
                decimals += 1
        elif c == 46 and decimals < 0 and 0 < k < n - 1:
            decimals = 0
        else:
            return -1
    if decimals > 4:
        return -1
    for _ in range(4 - max(decimals, 0)):
        whole *= 10
    return whole if whole <= VALUE_E4_MAX else -1


@njit(cache=True, nogil=True)
def money(buf, pos, length, kind, field, odd, missing, out):  # type: ignore[no-untyped-def]
    """Value in 1/10,000 per row; a sign, an exponent and more than 4 decimals are odd."""
    buf, pos, length, kind = borrowed(buf), borrowed(pos), borrowed(length), borrowed(kind)
    for r in range(odd.shape[0]):
        out[r] = missing
        what = kind[field, r]
        n = np.int64(length[field, r])
        if odd[r] or not is_present(what, n):
            continue
        value = -1
        if what in (NUMBER, STRING) and n <= 16:
            value = _e4(buf, np.int64(pos[field, r]), n)
        if value < 0:
            odd[r] = True
        else:
            out[r] = value


@njit(cache=True, nogil=True)
def numbers(buf, pos, length, kind, field, odd, missing, out):  # type: ignore[no-untyped-def]
    """Whole numbers without a sign per row."""
    buf, pos, length, kind = borrowed(buf), borrowed(pos), borrowed(length), borrowed(kind)
    for r in range(odd.shape[0]):
        out[r] = missing
        what = kind[field, r]
        n = np.int64(length[field, r])
        if odd[r] or not is_present(what, n):
            continue
        number = -1
        if what in (NUMBER, STRING) and n <= 18:
            number = digits(buf, np.int64(pos[field, r]), n)
        if number < 0:
            odd[r] = True
        else:
            out[r] = number


@njit(cache=True, nogil=True)
def flags(buf, pos, length, kind, field, odd, missing, out):  # type: ignore[no-untyped-def]
    """True and false per row, also as the texts or numbers 1 and 0, and as the texts true and false."""
    buf, pos, length, kind = borrowed(buf), borrowed(pos), borrowed(length), borrowed(kind)
    for r in range(odd.shape[0]):
        out[r] = missing
        what = kind[field, r]
        n = np.int64(length[field, r])
        if odd[r] or not is_present(what, n):
            continue
        a = np.int64(pos[field, r])
        if what in (TRUE, FALSE):
            out[r] = what == TRUE
        elif what in (NUMBER, STRING) and n == 1 and 48 <= byte_at(buf, a) <= 49:
            out[r] = byte_at(buf, a) == 49
        elif what == STRING and is_true(buf, a, n):
            out[r] = True
        elif what == STRING and is_false(buf, a, n):
            out[r] = False
        else:
            odd[r] = True


class AmountColumn:
    """What the kernel (`money`, `numbers` or `flags`) makes of a field; `missing` where it is not there."""

    def __init__(self, kernel: Callable[..., None], field: int, missing: Any, expected: int) -> None:
        self._kernel = kernel
        self._field = field
        self._missing = missing
        self._out: NDArray[Any] = np.empty(expected, np.bool_ if kernel is flags else np.int64)

    def add(self, spans: Spans, at: int) -> None:
        stop = at + spans.rows
        self._out = grown(self._out, at, stop)
        self._kernel(
            spans.buf, spans.pos, spans.length, spans.kind, self._field, spans.odd, self._missing,
            self._out[at:stop],
        )  # fmt: skip

    def values(self, rows: int) -> NDArray[Any]:
        return self._out[:rows]

    def array(self, rows: int) -> pa.Array:
        return pa.array(self._out[:rows])
