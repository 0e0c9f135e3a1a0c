"""Tables as records: Arrow columns (of CSV or Parquet) looked into as if each row were a JSON object.

A leaf column is rendered once as text (whole numbers as digits, times as ISO text), so that the same kernels
read it that read JSON. A row that is odd in some way becomes a dict for the exact decoder.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit
from numpy.typing import NDArray

from pipeline.core.decode.parse import Rejected, encode_json
from pipeline.core.decode.rendering import is_text, kinds, plain, rendered, values
from pipeline.core.decode.spans import MISSING, NULL, Spans, frozen
from pipeline.core.decode.utf8 import utf8_valid
from pipeline.core.raw import VECTOR, borrowed
from pipeline.core.strings import string_buffers
from schemas.mappings import Path
from schemas.rejects import RECORD_BYTES_MAX, RejectReason

EXACT_ROWS: Final = 256
"""Rows are made Python objects so many at a time: odd ones come in company."""


class TableRecords:
    """The rows of a batch, as `decode.Records`."""

    def __init__(self, batch: pa.RecordBatch, paths: Sequence[Path]) -> None:
        self.expected = batch.num_rows
        self.received_ms: NDArray[np.int64] | None = None
        self._batch = plain(batch)
        self._odd, self._too_large = _unusual(self._batch)
        self._spans = self._look(paths)
        self._exact: tuple[int, list[dict[str, Any]]] = (-1, [])

    def spans(self) -> Iterator[Spans]:
        yield self._spans

    def exact(self, row: int) -> dict[str, Any]:
        """The row as a JSON object would be read; a null is None. Raises Rejected."""
        if self._too_large[row]:
            raise Rejected(RejectReason.TOO_LARGE)
        record = self._record(row)
        if any(isinstance(value, str) and "\0" in value for value in record.values()):
            raise Rejected(RejectReason.NULL_BYTE)
        if any(isinstance(value, bytes) for value in record.values()):
            raise Rejected(RejectReason.INVALID_UTF8)
        return record

    def payload(self, row: int) -> bytes:
        """The row as JSON; what is no UTF-8 is replaced."""
        record = self._record(row)
        return encode_json(
            {
                key: value.decode(errors="replace") if isinstance(value, bytes) else value
                for key, value in record.items()
            }
        )

    def _record(self, row: int) -> dict[str, Any]:
        begin = row - row % EXACT_ROWS
        if self._exact[0] != begin:
            part = self._batch.slice(begin, EXACT_ROWS)
            columns = [values(column) for column in part.columns]
            names = part.schema.names
            self._exact = begin, [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
        return self._exact[1][row - begin]

    def _look(self, paths: Sequence[Path]) -> Spans:
        rows = self.expected
        pos, length = np.zeros((2, len(paths), rows), np.int32)
        kind = np.full((len(paths), rows), MISSING, np.uint8)
        pieces = []
        size = 0
        for field, path in enumerate(paths):
            column = self._leaf(path)
            if column is None:
                continue
            what = kinds(column)
            if what is None:
                self._odd |= column.is_valid().to_numpy(zero_copy_only=False)
                continue
            offsets, data = string_buffers(rendered(column))
            pieces.append(data[offsets[0] : offsets[-1]])
            pos[field] = offsets[:-1] - offsets[0] + size
            length[field] = np.diff(offsets)
            size += len(pieces[-1])
            kind[field] = what
            if column.null_count:
                kind[field][column.is_null().to_numpy(zero_copy_only=False)] = NULL
        buf = np.concatenate([*pieces, np.zeros(VECTOR, np.uint8)])
        return Spans(frozen(buf), self._odd, pos, length, kind)

    def _leaf(self, path: Path) -> pa.Array | None:
        """The column that a path leads to, null where an object on the way is; None where there is none."""
        place = self._batch.schema.get_all_field_indices(path[0])
        column = self._batch.column(place[-1]) if place else None
        for key in path[1:]:
            if column is None:
                break
            if pa.types.is_map(column.type):
                self._odd |= column.is_valid().to_numpy(zero_copy_only=False)
            is_struct = pa.types.is_struct(column.type)
            place = column.type.get_all_field_indices(key) if is_struct else []
            column = pc.struct_field(column, place[-1]) if place else None
        return column


def table_records(batch: pa.RecordBatch, paths: Sequence[Path]) -> TableRecords:
    """The rows of `batch` for `Decoder.records`; `paths` are the decoder's."""
    return TableRecords(batch, paths)


def _unusual(batch: pa.RecordBatch) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which rows have a text with null bytes or not in UTF-8, or are too large: (odd, too large)."""
    odd = np.zeros(batch.num_rows, np.bool_)
    size = np.zeros(batch.num_rows, np.int64)
    for column in batch.columns:
        if not is_text(column.type) or len(column) == 0:
            continue
        offsets, data = string_buffers(column)
        _mark_broken(data, offsets, odd)
        size += np.diff(offsets)
        nulls = offsets[0] + np.flatnonzero(data[offsets[0] : offsets[-1]] == 0)
        odd[np.searchsorted(offsets, nulls, side="right") - 1] = True
    too_large = size > RECORD_BYTES_MAX
    return odd | too_large, too_large


@njit(cache=True, nogil=True)
def _mark_broken(data, offsets, odd):  # type: ignore[no-untyped-def]
    data, offsets, odd = borrowed(data), borrowed(offsets), borrowed(odd)
    for r in range(odd.shape[0]):
        if not utf8_valid(data, int(offsets[r]), int(offsets[r + 1])):
            odd[r] = True
