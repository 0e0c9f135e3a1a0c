"""`--sort`: a file's records in order of event time, for exports that are ordered by something else.

The whole file is decoded into memory once, and handed out in order; every record keeps its own position.
A record without a usable time stays behind the one before it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.core.decode.decoder import Decoded, Reject
from pipeline.sources.blocks import Block, Reader

SORT_BYTES_MAX: Final = 4 << 30
"""A file is sorted in memory; a larger one should come sorted, or in pieces that are."""

ROWS_A_READ: Final = 65_536
NO_TIME: Final = np.iinfo(np.int64).min


class TooLargeToSort(Exception):  # noqa: N818  the word that users read
    """The file does not fit the memory that sorting may take."""


class SortedReader:
    """Another reader's records, sorted by event time (stable: equal times stay in the file's order)."""

    def __init__(self, path: Path, reader: Reader) -> None:
        if path.stat().st_size > SORT_BYTES_MAX:
            raise TooLargeToSort(
                f"--sort: {path} has {path.stat().st_size:,} bytes, more than {SORT_BYTES_MAX:,}\n"
                f"  hint: sort it by event time beforehand, or split it"
            )
        self._reader = reader
        self._next = 0
        self._sorted: _Sorted | None = None

    @property
    def bytes_read(self) -> int:
        return self._reader.bytes_read

    def read(self, rows_max: int) -> Block | None:
        if self._sorted is None:
            self._sorted = _Sorted(self._reader)
        if self._next >= self._sorted.records:
            return None
        block = self._sorted.block(self._next, rows_max)
        self._next += len(block.position)
        return block

    def dump(self) -> dict[str, Any]:
        return {"next": self._next}

    def load(self, state: dict[str, Any]) -> None:
        self._next = state["next"]

    def close(self) -> None:
        self._reader.close()


class _Sorted:
    """A whole file: its events as one table, its rejects, and the order of all records."""

    def __init__(self, reader: Reader) -> None:
        blocks: list[Block] = []
        while (block := reader.read(ROWS_A_READ)) is not None:
            blocks.append(block)
        self._blocks = blocks
        self._first = np.cumsum([0, *(block.decoded.records for block in blocks)])
        self.records = records = int(self._first[-1])
        self._position = np.concatenate([np.empty(0, np.int64), *(block.position for block in blocks)])
        self._event = np.full(records, -1)  # row of the table, -1 for a reject
        self._rejects: dict[int, Reject] = {}
        at = np.full(records, NO_TIME)
        rows = 0
        for first, block in zip(self._first, blocks, strict=False):
            decoded = block.decoded
            where = first + decoded.rows
            self._event[where] = np.arange(rows, rows + len(decoded.rows))
            at[where] = decoded.batch.column("event_at").cast(pa.int64()).to_numpy()
            self._rejects |= {int(first) + reject.row: reject for reject in decoded.rejects}
            rows += len(decoded.rows)
        if blocks:
            batches = [block.decoded.batch for block in blocks]
            self._table = pa.Table.from_batches(batches).unify_dictionaries().combine_chunks()
        self._order = np.argsort(_carried(at), kind="stable")

    def block(self, start: int, rows_max: int) -> Block:
        """Records `start` to `start + rows_max` of the order."""
        records = self._order[start : start + rows_max]
        event = self._event[records]
        rows = np.flatnonzero(event >= 0)
        rejects = [
            Reject(row, self._rejects[record].reason, self._rejects[record].payload)
            for row, record in enumerate(records.tolist())
            if record in self._rejects
        ]
        batch = self._batch(event[rows])
        payload = lambda row: self._payload(int(records[row]))  # noqa: E731
        return Block(Decoded(len(records), batch, rows, rejects, payload), self._position[records])

    def _batch(self, rows: NDArray[np.int64]) -> pa.RecordBatch:
        taken = self._table.take(rows).combine_chunks()
        return taken.to_batches()[0] if len(rows) else self._blocks[0].decoded.batch.slice(0, 0)

    def _payload(self, record: int) -> bytes:
        block = int(np.searchsorted(self._first, record, side="right")) - 1
        return self._blocks[block].decoded.payload(int(record - self._first[block]))


def _carried(at: NDArray[np.int64]) -> NDArray[np.int64]:
    """Times with those that are missing taken from the record before."""
    known = np.where(at != NO_TIME, np.arange(len(at)), 0)
    return at[np.maximum.accumulate(known)] if len(at) else at
