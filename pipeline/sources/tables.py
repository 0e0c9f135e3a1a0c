"""CSV and Parquet files as source partitions: rows instead of lines, the same blocks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.core.decode.decoder import Decoded, Decoder, Reject
from pipeline.core.decode.tabular import table_records
from pipeline.sources.blocks import Block
from pipeline.sources.table_files import TablePart, csv_reader, parquet_reader
from schemas.rejects import PAYLOAD_BYTES_MAX, RejectReason


class TabularReader:
    """Rows of one file; a row's position is its number from 1, the header of a CSV not counted.

    The bytes read are not known: both formats are read through a library.
    """

    def __init__(self, path: Path, decoder: Decoder) -> None:
        self._path = path
        self._decoder = decoder
        self._row = 0
        self._parts: Iterator[TablePart] | None = None

    @property
    def bytes_read(self) -> int:
        return 0

    def read(self, rows_max: int) -> Block | None:
        """The next part of the file, as the library cuts it (`rows_max` is its business)."""
        if self._parts is None:
            read = parquet_reader if self._path.name.lower().endswith(".parquet") else csv_reader
            self._parts = read(self._path, self._row)
        part = next(self._parts, None)
        if part is None:
            return None
        self._row = part.last
        return Block(self._decoded(part), np.arange(part.first, part.last + 1))

    def _decoded(self, part: TablePart) -> Decoded:
        """The part's rows and its malformed ones as one block of records."""
        decoded = self._decoder.records(table_records(part.batch, self._decoder.paths))
        if not part.malformed:
            return decoded
        place = part.position - part.first
        broken = [
            Reject(number - part.first, RejectReason.NOT_A_ROW, text.encode()[:PAYLOAD_BYTES_MAX])
            for number, text in part.malformed
        ]
        rejects = [Reject(int(place[each.row]), each.reason, each.payload) for each in decoded.rejects]
        back = {int(row): k for k, row in enumerate(place)}
        return Decoded(
            records=part.last - part.first + 1,
            batch=decoded.batch,
            rows=place[decoded.rows],
            rejects=sorted([*rejects, *broken], key=lambda reject: reject.row),
            payload=lambda row: decoded.payload(back[row]),
        )

    def dump(self) -> dict[str, Any]:
        return {"row": self._row}

    def load(self, state: dict[str, Any]) -> None:
        self._row = state["row"]
        self._parts = None

    def close(self) -> None:
        self._parts = None
