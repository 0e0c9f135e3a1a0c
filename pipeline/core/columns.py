"""Spans to typed columns: text, words, times, money and flags, each in one pass of a numba kernel.

Every kernel takes the block and one field's spans (`pos`, `length`, `kind` per row) and marks as *odd*
the rows whose value it does not understand: those go to the exact decoder. Nothing is rejected here.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from pipeline.core.hashing import murmur128
from pipeline.core.raw import borrowed, copy_bytes
from pipeline.core.scan import FALSE, MISSING, NULL, NUMBER, STRING, TRUE

NO_TIME: Final = np.iinfo(np.int64).min
"""A time that is missing."""

VALUE_E4_MAX: Final = 10**15
"""Beyond 100 billion units a value is a mistake, and sums of it would leave 64 bits."""

TIME_ISO, TIME_S, TIME_MS, TIME_US = range(4)


@njit(cache=True, nogil=True)
def first_present(pos, length, kind, fields):  # type: ignore[no-untyped-def]
    """Spans of the first of `fields` that is present (not missing, not null) in each row."""
    rows = pos.shape[1]
    out_pos = pos[fields[0]].copy()
    out_length = length[fields[0]].copy()
    out_kind = kind[fields[0]].copy()
    for r in range(rows):
        for k in range(1, fields.shape[0]):
            if out_kind[r] != MISSING and out_kind[r] != NULL:
                break
            f = fields[k]
            out_pos[r] = pos[f, r]
            out_length[r] = length[f, r]
            out_kind[r] = kind[f, r]
    return out_pos, out_length, out_kind


@njit(nogil=True, forceinline=True)
def _is_text(buf, at, n, kind, odd, r):  # type: ignore[no-untyped-def]
    """Whether the row has text; a whole number is its digits, anything else is odd."""
    if kind == STRING:
        return n > 0
    if kind == MISSING or kind == NULL:
        return False
    if kind == NUMBER and buf[at] != 45:
        for k in range(n):
            if buf[at + k] == 46:
                odd[r] = True
                return False
        return True
    odd[r] = True
    return False


@njit(cache=True, nogil=True)
def _text(buf, pos, length, kind, odd):  # type: ignore[no-untyped-def]
    buf, pos, length, kind, odd = (
        borrowed(buf),
        borrowed(pos),
        borrowed(length),
        borrowed(kind),
        borrowed(odd),
    )
    rows = pos.shape[0]
    offsets = np.empty(rows + 1, np.int32)
    total = 0
    for r in range(rows):
        offsets[r] = total
        if not odd[r] and _is_text(buf, pos[r], length[r], kind[r], odd, r):
            total += length[r]
    offsets[rows] = total
    data = np.empty(total, np.uint8)
    for r in range(rows):
        o = offsets[r]
        copy_bytes(data, o, buf, pos[r], offsets[r + 1] - o)
    return offsets, data


def text(buf: NDArray[np.uint8], pos: Any, length: Any, kind: Any, odd: NDArray[np.bool_]) -> pa.Array:
    """A string column; '' where missing."""
    offsets, data = _text(buf, pos, length, kind, odd)
    return string_array(offsets, data)


def string_array(offsets: NDArray[np.int32], data: NDArray[np.uint8]) -> pa.Array:
    """An Arrow string array over int32 offsets and valid UTF-8 bytes, without a copy."""
    return pa.StringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(data))


def string_buffers(array: pa.Array) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """The int32 offsets (of its rows) and bytes of an Arrow string array, without a copy."""
    _, offsets, data = array.buffers()
    offsets = np.frombuffer(offsets, np.int32)[array.offset : array.offset + len(array) + 1]
    return offsets, np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)


@njit(cache=True, nogil=True)
def _words(buf, pos, length, kind, odd, codes, table, first):  # type: ignore[no-untyped-def]
    """Codes by first appearance (0 is ''); `first[code]` is the row where a word was met first.

    Returns the number of words, or -1 where `table` is half full: call again with a larger one.
    """
    buf, pos, length, kind, odd = (
        borrowed(buf),
        borrowed(pos),
        borrowed(length),
        borrowed(kind),
        borrowed(odd),
    )
    mask = table.shape[0] - 1
    limit = table.shape[0] // 2
    words = 1
    for r in range(pos.shape[0]):
        codes[r] = 0
        if odd[r] or not _is_text(buf, pos[r], length[r], kind[r], odd, r):
            continue
        a = pos[r]
        n = length[r]
        h, _ = murmur128(buf, a, n)
        slot = np.int64(h & np.uint64(mask))
        while True:
            code = table[slot]
            if code == 0:
                if words >= limit:
                    return -1
                table[slot] = words
                first[words] = r
                codes[r] = words
                words += 1
                break
            q = first[code]
            if length[q] == n:
                b = pos[q]
                same = True
                for k in range(n):
                    if buf[b + k] != buf[a + k]:
                        same = False
                        break
                if same:
                    codes[r] = code
                    break
            slot = (slot + 1) & mask
    return words


def words(
    buf: NDArray[np.uint8], pos: Any, length: Any, kind: Any, odd: NDArray[np.bool_]
) -> tuple[NDArray[np.int32], list[str]]:
    """Dictionary codes (int32 per row) and the words of this block; word 0 is ''."""
    rows = len(pos)
    codes = np.empty(rows, np.int32)
    size = 1024
    while True:
        table = np.zeros(size, np.int32)
        first = np.empty(size // 2, np.int32)
        count = _words(buf, pos, length, kind, odd, codes, table, first)
        if count >= 0:
            break
        size *= 8
    known = [""]
    for r in first[1:count]:
        known.append(buf[pos[r] : pos[r] + length[r]].tobytes().decode())
    return codes, known


def word_array(codes: NDArray[np.int32], known: list[str]) -> pa.DictionaryArray:
    """The dictionary column of `codes` into the words `known`."""
    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(known, pa.string()))


@njit(nogil=True, forceinline=True)
def _digits(buf, at, n):  # type: ignore[no-untyped-def]
    """The number that `n` digits spell, or -1."""
    out = 0
    for k in range(n):
        c = buf[at + k]
        if c < 48 or c > 57:
            return -1
        out = out * 10 + (c - 48)
    return out


@njit(nogil=True, forceinline=True)
def _days(y, m, d):  # type: ignore[no-untyped-def]
    """Days since 1970-01-01 of a proleptic Gregorian date (Howard Hinnant, days_from_civil)."""
    if m <= 2:
        y -= 1
    era = y // 400
    yoe = y - era * 400
    doy = (153 * (m - 3 if m > 2 else m + 9) + 2) // 5 + d - 1
    doe = yoe * 365 + yoe // 4 - yoe // 100 + doy
    return era * 146097 + doe - 719468


MONTH_DAYS = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], np.int64)


@njit(cache=True, nogil=True)
def _iso(buf, a, n, month_days):  # type: ignore[no-untyped-def]
    """(milliseconds, 1 with a zone | 0 without | -1 not understood) of an ISO 8601 date and time."""
    if n < 19 or buf[a + 4] != 45 or buf[a + 7] != 45 or buf[a + 13] != 58 or buf[a + 16] != 58:
        return 0, -1
    if buf[a + 10] != 84 and buf[a + 10] != 32:
        return 0, -1
    y, mo, d = _digits(buf, a, 4), _digits(buf, a + 5, 2), _digits(buf, a + 8, 2)
    h, mi, s = _digits(buf, a + 11, 2), _digits(buf, a + 14, 2), _digits(buf, a + 17, 2)
    if y < 1 or mo < 1 or mo > 12 or d < 1 or h < 0 or h > 23 or mi < 0 or mi > 59 or s < 0 or s > 59:
        return 0, -1
    leap = y % 4 == 0 and (y % 100 != 0 or y % 400 == 0)
    if d > month_days[mo] + (1 if leap and mo == 2 else 0):
        return 0, -1
    ms = (_days(y, mo, d) * 86400 + h * 3600 + mi * 60 + s) * 1000
    i = a + 19
    stop = a + n
    if i < stop and buf[i] == 46:
        i += 1
        first = i
        scale = 100
        while i < stop and 48 <= buf[i] <= 57:
            ms += (buf[i] - 48) * scale
            scale //= 10
            i += 1
        if i == first or i - first > 9:
            return 0, -1
    if i == stop:
        return ms, 0
    if buf[i] == 90 and i + 1 == stop:
        return ms, 1
    if (buf[i] == 43 or buf[i] == 45) and stop - i == 6 and buf[i + 3] == 58:
        oh, om = _digits(buf, i + 1, 2), _digits(buf, i + 4, 2)
        if 0 <= oh <= 23 and 0 <= om <= 59:
            shift = (oh * 60 + om) * 60_000
            return (ms - shift if buf[i] == 43 else ms + shift), 1
    return 0, -1


@njit(cache=True, nogil=True)
def times(buf, pos, length, kind, odd, form, month_days, out, zoned):  # type: ignore[no-untyped-def]
    """Milliseconds per row into int64 `out` (NO_TIME where missing).

    `form` is TIME_ISO (text; `zoned` says which rows named a zone) or a unit of epoch numbers.
    """
    buf = borrowed(buf)
    for r in range(pos.shape[0]):
        out[r] = NO_TIME
        zoned[r] = True
        if odd[r] or kind[r] == MISSING or kind[r] == NULL or (kind[r] == STRING and length[r] == 0):
            continue
        a = pos[r]
        n = length[r]
        if form == TIME_ISO:
            ms, how = _iso(buf, a, n, month_days) if kind[r] == STRING else (0, -1)
            if how < 0:
                odd[r] = True
            else:
                out[r] = ms
                zoned[r] = how == 1
            continue
        number = _digits(buf, a, n) if (kind[r] == NUMBER or kind[r] == STRING) and 0 < n <= 18 else -1
        if number < 0:
            odd[r] = True
        elif form == TIME_MS:
            out[r] = number
        elif form == TIME_US:
            out[r] = number // 1000
        elif number < 1_000_000_000_000:
            out[r] = number * 1000
        else:
            odd[r] = True


@njit(cache=True, nogil=True)
def money(buf, pos, length, kind, odd, out):  # type: ignore[no-untyped-def]
    """Value in 1/10,000 per row into int64 `out`; 0 where missing. Signs, exponents and more than
    4 decimals are odd.
    """
    for r in range(pos.shape[0]):
        out[r] = 0
        if odd[r] or kind[r] == MISSING or kind[r] == NULL:
            continue
        n = length[r]
        if (kind[r] != NUMBER and kind[r] != STRING) or n == 0 or n > 16:
            odd[r] = True
            continue
        a = pos[r]
        whole = 0
        decimals = -1
        for k in range(n):
            c = buf[a + k]
            if 48 <= c <= 57:
                whole = whole * 10 + (c - 48)
                if decimals >= 0:
                    decimals += 1
            elif c == 46 and decimals < 0 and 0 < k < n - 1:
                decimals = 0
            else:
                odd[r] = True
                break
        if decimals > 4:
            odd[r] = True
        for _ in range(4 - max(decimals, 0)):
            whole *= 10
        if whole > VALUE_E4_MAX:
            odd[r] = True
        if not odd[r]:
            out[r] = whole


@njit(cache=True, nogil=True)
def numbers(buf, pos, length, kind, odd, out):  # type: ignore[no-untyped-def]
    """Whole numbers per row into int64 `out`; 0 where missing."""
    buf = borrowed(buf)
    for r in range(pos.shape[0]):
        out[r] = 0
        if odd[r] or kind[r] == MISSING or kind[r] == NULL:
            continue
        number = -1
        if (kind[r] == NUMBER or kind[r] == STRING) and 0 < length[r] <= 18:
            number = _digits(buf, pos[r], length[r])
        if number < 0:
            odd[r] = True
        else:
            out[r] = number


@njit(cache=True, nogil=True)
def flags(kind, odd, out):  # type: ignore[no-untyped-def]
    """True and false per row into bool `out`; false where missing, anything else is odd."""
    for r in range(kind.shape[0]):
        out[r] = kind[r] == TRUE
        if kind[r] != TRUE and kind[r] != FALSE and kind[r] != MISSING and kind[r] != NULL:
            odd[r] = True
