"""Columns that a kernel wrote, as Arrow arrays of a table's schema: no copy, no check, no cast.

A kernel writes the fields of one width as rows of one matrix, so that it takes few arrays; a `Plan` says
which row is which field. The width follows from the field's type: i64 for times, i32 for words, and so on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

ZERO: Final = -1
"""The row of a column that is 0 (or '', or false) everywhere."""


class Columns(NamedTuple):
    """Room for the columns of n rows, by width; every first axis is the row number within the width."""

    i64: NDArray[np.int64]
    i32: NDArray[np.int32]
    u16: NDArray[np.uint16]
    u8: NDArray[np.uint8]
    bits: NDArray[np.uint8]
    id128: NDArray[np.uint64]  # [ids, n, 2]
    text: NDArray[np.int32]  # [texts, n + 1] offsets
    starts: NDArray[np.int64]  # [texts + 1] where each text begins in `data`
    data: NDArray[np.uint8]


class Plan:
    """Which fields a kernel writes and where: `rows` within the width of their type, and by which of the
    dictionaries fields of words are named (`words`; else by their own name).
    """

    def __init__(
        self, fields: Mapping[str, pa.DataType], rows: Mapping[str, int], words: Mapping[str, str]
    ) -> None:
        self._fields = [
            (type_, _width(type_), rows[name], words.get(name, name) if _is_words(type_) else "")
            for name, type_ in fields.items()
        ]
        high = dict.fromkeys(Columns._fields, -1)
        for _, width, row, _ in self._fields:
            high[width] = max(high[width], row)
        self._high = {width: row + 1 for width, row in high.items()}

    def room(self, n: int, text_bytes: Iterable[int] = ()) -> Columns:
        """Room for n rows whose texts have so many bytes."""
        high = self._high
        starts = np.array([0, *accumulate(text_bytes)], np.int64)
        return Columns(
            np.empty((high["i64"], n), np.int64),
            np.empty((high["i32"], n), np.int32),
            np.empty((high["u16"], n), np.uint16),
            np.empty((high["u8"], n), np.uint8),
            np.zeros((high["bits"], (n + 7) // 8), np.uint8),
            np.empty((high["id128"], n, 2), np.uint64),
            np.empty((high["text"], n + 1), np.int32),
            starts,
            np.empty(starts[-1], np.uint8),
        )

    def arrays(self, columns: Columns, n: int, words: Mapping[str, pa.Array]) -> list[pa.Array]:
        """The arrays in the order of the fields; each dictionary of `words` must hold a word once."""
        sizes = {"i64": 8 * n, "i32": 4 * n, "u16": 2 * n, "u8": n, "bits": (n + 7) // 8, "id128": 16 * n}
        slices = {width: pa.py_buffer(getattr(columns, width)).slice for width in sizes}
        array, dictionary = pa.Array.from_buffers, pa.DictionaryArray.from_buffers
        made = []
        for type_, width, row, named in self._fields:
            if width == "text":
                made.append(array(type_, n, [None, *_text(columns, row)], 0))
                continue
            size = sizes[width]
            buffer = _zeros(size) if row == ZERO else slices[width](size * row, size)
            if named:
                made.append(dictionary(type_, n, [None, buffer], words[named], 0))
            else:
                made.append(array(type_, n, [None, buffer], 0))
        return made


def lists(
    types: Iterable[pa.DataType], offsets: NDArray[np.int32], items: Iterable[pa.Array]
) -> list[pa.Array]:
    """List arrays over `items` that share their offsets."""
    buffer, n = pa.py_buffer(offsets), len(offsets) - 1
    return [
        pa.Array.from_buffers(type_, n, [None, buffer], 0, children=[item])
        for type_, item in zip(types, items, strict=True)
    ]


def _text(columns: Columns, row: int) -> tuple[pa.Buffer, pa.Buffer]:
    """The offsets and bytes of a text."""
    start, stop = columns.starts[row : row + 2].tolist()
    return pa.py_buffer(columns.text[row]), pa.py_buffer(columns.data[start:stop])


def _is_words(type_: pa.DataType) -> bool:
    return bool(pa.types.is_dictionary(type_))


def _width(type_: pa.DataType) -> str:
    if pa.types.is_string(type_):
        return "text"
    if pa.types.is_fixed_size_binary(type_):
        return "id128"
    bits = 32 if _is_words(type_) else type_.bit_width
    return {64: "i64", 32: "i32", 16: "u16", 8: "u8", 1: "bits"}[bits]


_shared: list[pa.Buffer] = [pa.py_buffer(bytes(1 << 16))]


def _zeros(size: int) -> pa.Buffer:
    """A buffer of zeros that all constant columns share."""
    if _shared[0].size < size:
        _shared[0] = pa.py_buffer(bytes(2 * size))
    return _shared[0].slice(0, size)
