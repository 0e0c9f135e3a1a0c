"""Words: spans of small cardinality to dictionary columns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from pipeline.core.decode.growing import grown
from pipeline.core.decode.spans import ESCAPED, Spans, frozen
from pipeline.core.decode.texts import is_text
from pipeline.core.hashing import murmur128, short_hash
from pipeline.core.raw import borrowed, byte_at, differing32

FIRST_SIZE: Final = 512
"""Slots of a fresh table: few words stay within the L1 cache."""


@njit(nogil=True, forceinline=True)
def _hash(buf, a, n):  # type: ignore[no-untyped-def]
    if n <= 16:
        return short_hash(buf, a, n)
    h, _ = murmur128(buf, a, n)
    return h


@njit(nogil=True, forceinline=True)
def _equal(buf, a, b, n):  # type: ignore[no-untyped-def]
    if n <= 32 and max(a, b) + 32 <= buf.shape[0]:
        return differing32(buf, a, buf, b) << np.uint64(64 - n) == 0
    k = 0
    while k < n and byte_at(buf, a + k) == byte_at(buf, b + k):
        k += 1
    return k == n


@njit(cache=True, nogil=True)
def _encode(buf, pos, length, kind, field, odd, table, words, count, first, codes):  # type: ignore[no-untyped-def]
    """Codes by first appearance from row `first` on; code 0 is ''.

    `words` holds start, length and kind per code, `table` the code per slot, or 0. Returns (rows done,
    number of words): not all rows where `table` is half full.
    """
    buf, pos, length, kind = borrowed(buf), borrowed(pos), borrowed(length), borrowed(kind)
    odd, table, words, codes = borrowed(odd), borrowed(table), borrowed(words), borrowed(codes)
    mask = table.shape[0] - 1
    for r in range(first, codes.shape[0]):
        codes[r] = 0
        a = np.int64(pos[field, r])
        n = np.int64(length[field, r])
        escaped = kind[field, r] == ESCAPED
        if odd[r] or not is_text(buf, a, n, kind[field, r], odd, r):
            continue
        slot = np.int64(_hash(buf, a, n) & np.uint64(mask))
        while True:
            code = table[slot]
            if code == 0:
                if 2 * count > mask:
                    return r, count
                table[slot] = code = count
                words[code, 0] = a
                words[code, 1] = n
                words[code, 2] = escaped
                count += 1
                break
            if words[code, 1] == n and _equal(buf, a, words[code, 0], n):
                break
            slot = (slot + 1) & mask
        codes[r] = code
    return codes.shape[0], count


@njit(cache=True, nogil=True)
def _fill(buf, words, count, table):  # type: ignore[no-untyped-def]
    """Files the words into a new table."""
    mask = table.shape[0] - 1
    for code in range(1, count):
        slot = np.int64(_hash(buf, words[code, 0], words[code, 1]) & np.uint64(mask))
        while table[slot] != 0:
            slot = (slot + 1) & mask
        table[slot] = code


class WordColumn:
    """Words as codes: `translate` makes the canonical one of what was read, `missing` stands for none."""

    def __init__(
        self, field: int, expected: int, translate: Callable[[str], str] | None = None, missing: str = ""
    ) -> None:
        self._field = field
        self._translate = translate
        self._missing = missing
        self._codes = np.empty(expected, np.int32)
        self._table = np.zeros(FIRST_SIZE, np.int32)
        self._words = np.zeros((FIRST_SIZE, 3), np.int64)
        self._count = 1
        self._buf: NDArray[np.uint8] | None = None

    def add(self, spans: Spans, at: int) -> None:
        assert self._buf is None or self._buf is spans.buf, "all chunks lie in one buffer"
        self._buf = spans.buf
        stop = at + spans.rows
        self._codes = grown(self._codes, at, stop)
        codes = self._codes[at:stop]
        done = 0
        while True:
            done, self._count = _encode(
                spans.buf, spans.pos, spans.length, spans.kind, self._field, spans.odd,
                self._table, self._words, self._count, done, codes,
            )  # fmt: skip
            if done == spans.rows:
                return
            self._grow()

    def _grow(self) -> None:
        self._table = np.zeros(8 * len(self._table), np.int32)
        words = np.zeros((len(self._table), 3), np.int64)
        words[: self._count] = self._words[: self._count]
        self._words = words
        _fill(self._buf, self._words, self._count, self._table)

    def values(self, rows: int) -> tuple[NDArray[np.int32], list[str]]:
        """Codes and distinct words."""
        known = [self._missing, *(self._word(*word) for word in self._words[1 : self._count].tolist())]
        return distinct(self._codes[:rows], known)

    def _word(self, at: int, n: int, escaped: int) -> str:
        assert self._buf is not None
        raw = self._buf[at : at + n].tobytes()
        word = msgspec.json.decode(b'"%s"' % raw, type=str) if escaped else raw.decode()
        return self._translate(word) if self._translate else word

    def array(self, rows: int) -> pa.Array:
        return word_array(*self.values(rows))


class TranslatedTextColumn(WordColumn):
    """Texts that a mapping translates, or that have a default."""

    def array(self, rows: int) -> pa.Array:
        return super().array(rows).cast(pa.string())


def distinct(codes: NDArray[np.int32], known: list[str]) -> tuple[NDArray[np.int32], list[str]]:
    """The same words with no word twice in the list."""
    place = {word: code for code, word in enumerate(dict.fromkeys(known))}
    if len(place) == len(known):
        return codes, known
    return np.array([place[word] for word in known], np.int32)[codes], list(place)


def word_array(codes: NDArray[np.int32], known: list[str]) -> pa.DictionaryArray:
    """The dictionary column of `codes` into the words `known`."""
    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(known, pa.string()))


def words(
    buf: NDArray[np.uint8], pos: Any, length: Any, kind: Any, odd: NDArray[np.bool_]
) -> tuple[NDArray[np.int32], list[str]]:
    """Dictionary codes (int32 per row) and the words of one field's spans; word 0 is ''."""
    column = WordColumn(0, len(pos))
    column.add(Spans(frozen(buf), odd, pos[None], length[None], kind[None]), 0)
    return column.values(len(pos))
