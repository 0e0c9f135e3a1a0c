"""CSV and Parquet files as batches of rows that know their numbers."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

BLOCK_BYTES: Final = 8 << 20
BATCH_ROWS: Final = 65_536


class TableUnreadable(Exception):  # noqa: N818  the word that users read
    """The file is no table of the kind that it claims to be, or is broken beyond single rows."""


@dataclass(frozen=True)
class TablePart:
    """Rows `first` to `last` of a file (from 1; a header is not counted): those of `batch` and the malformed,
    each with its number and text.
    """

    first: int
    batch: pa.RecordBatch
    malformed: list[tuple[int, str]]

    @property
    def last(self) -> int:
        return self.first + int(self.batch.num_rows) + len(self.malformed) - 1

    @property
    def position(self) -> NDArray[np.int64]:
        """The numbers of the rows of `batch`."""
        return np.setdiff1d(
            np.arange(self.first, self.last + 1), [number for number, _ in self.malformed], assume_unique=True
        )

    def after(self, row: int) -> TablePart:
        """What comes after row number `row`, which is not the last."""
        if row < self.first:
            return self
        skip = int(np.searchsorted(self.position, row, side="right"))
        left = [(number, text) for number, text in self.malformed if number > row]
        return TablePart(row + 1, self.batch.slice(skip), left)


def csv_reader(
    source: Path | IO[bytes], skip_rows: int = 0, block_bytes: int = BLOCK_BYTES, delimiter: str = ","
) -> Iterator[TablePart]:
    """The rows after the first `skip_rows` of a CSV file with a header, every column as bytes.

    A row with more or fewer cells than the header is malformed; blank lines are no rows. Quoted cells may
    span lines. Raises TableUnreadable.
    """
    stream = _opened(source) if isinstance(source, Path) else source
    names = _header(stream, delimiter)
    if names is None:
        return
    malformed: list[tuple[int, str]] = []

    def note(row: Any) -> str:
        malformed.append((row.number, row.text))
        return "skip"

    try:
        reader = pa_csv.open_csv(
            stream,
            pa_csv.ReadOptions(use_threads=False, block_size=block_bytes, column_names=names),
            pa_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True, invalid_row_handler=note),
            pa_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.binary()), strings_can_be_null=False, check_utf8=False
            ),
        )
        batches = iter(reader)
        yield from _after(_parts(batches, malformed, reader.schema), skip_rows)
    except pa.ArrowInvalid as error:
        if "Empty CSV" not in str(error):
            raise TableUnreadable(f"{source}: {error}") from error


def _opened(path: Path) -> IO[bytes]:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]


def _header(stream: IO[bytes], delimiter: str) -> list[str] | None:
    """The names of the columns; None where the file is empty. Raises TableUnreadable."""
    lines = (line.decode("utf-8-sig" if k == 0 else "utf-8") for k, line in enumerate(stream))
    try:
        names = next((row for row in csv.reader(lines, delimiter=delimiter) if row), None)
    except (UnicodeDecodeError, csv.Error) as error:
        raise TableUnreadable(f"its header cannot be read: {error}") from error
    twice = sorted({name for name in names or () if (names or []).count(name) > 1})
    if twice:
        raise TableUnreadable(f"its header has '{twice[0]}' twice")
    return names


def _parts(
    batches: Iterator[pa.RecordBatch], malformed: list[tuple[int, str]], schema: pa.Schema
) -> Iterator[TablePart]:
    """Batches with the malformed rows among them, which the parser tells of before it hands out a batch."""
    first = 1
    for batch in batches:
        taken = 0
        while taken < len(malformed) and malformed[taken][0] < first + batch.num_rows + taken:
            taken += 1
        part = TablePart(first, batch, malformed[:taken])
        del malformed[:taken]
        first = part.last + 1
        yield part
    if malformed:
        yield TablePart(first, pa.RecordBatch.from_pylist([], schema), list(malformed))


def parquet_reader(
    source: Path | IO[bytes], skip_rows: int = 0, batch_rows: int = BATCH_ROWS
) -> Iterator[TablePart]:
    """The rows after the first `skip_rows` of a Parquet file. Raises TableUnreadable."""
    try:
        file = pq.ParquetFile(source)
        yield from _after(_numbered(file.iter_batches(batch_rows)), skip_rows)
    except pa.ArrowInvalid as error:
        raise TableUnreadable(f"{source}: {error}") from error


def _numbered(batches: Iterator[pa.RecordBatch]) -> Iterator[TablePart]:
    first = 1
    for batch in batches:
        yield TablePart(first, batch, [])
        first += batch.num_rows


def _after(parts: Iterator[TablePart], row: int) -> Iterator[TablePart]:
    """What comes after row number `row`: resuming reads again what it skips."""
    for part in parts:
        if part.last > row:
            yield part.after(row)
