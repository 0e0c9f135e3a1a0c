"""Minutes in a Parquet file: a row for every cohort of a scope, what was counted of it, in order of time.

Columns: `minute` (unix minute of entry), `journey`, `version`, `rank`, `stage`, `segment`
("country=DE,device=mobile", values percent-encoded, empty for everybody), `entered`, `went_on_1` to
`went_on_60` (within so many minutes of the entry), `skipped`, `value_e4`. Cohorts of nothing but zeros may be
left out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final
from urllib.parse import quote, unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.core.detect.minutes import HORIZONS_MINUTES, Minute, Scope
from pipeline.lab.market import Segment

LONGEST: Final = max(HORIZONS_MINUTES)
WENT_ON: Final = tuple(f"went_on_{minutes}" for minutes in HORIZONS_MINUTES)
NAMES: Final = ("journey", "version", "rank", "stage", "segment")
COUNTS: Final = ("entered", *WENT_ON, "skipped", "value_e4")
SCHEMA: Final = pa.schema(
    [
        ("minute", pa.int64()),
        ("journey", pa.string()),
        ("version", pa.int64()),
        ("rank", pa.int64()),
        ("stage", pa.string()),
        ("segment", pa.string()),
        *((name, pa.int64()) for name in COUNTS),
    ]
)
ROWS: Final = 400_000
"""Per group of rows written: some minutes of hundreds of scopes each."""
GAP_MAX: Final = 366 * 1_440
"""Minutes without a row that are still believed: a longer gap is a column in another unit."""


class BadHistory(Exception):  # noqa: N818  the word that users read
    """A file that holds no minutes, said with a hint."""


class Keeper:
    """Writes minutes that come in order, of the same scopes. Use as a context manager."""

    def __init__(self, path: Path) -> None:
        self._writer = pq.ParquetWriter(path, SCHEMA, compression="zstd")
        self._recent: deque[Minute] = deque(maxlen=LONGEST + 1)
        self._tables: list[pa.RecordBatch] = []
        self._rows = 0

    def __enter__(self) -> Keeper:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        if kind is None:
            self._flush()
        self._writer.close()

    def add(self, minute: Minute) -> None:
        """Keeps the cohort that has settled for the longest horizon: the last hour is left out."""
        self._recent.append(minute)
        if len(self._recent) <= LONGEST:
            return
        cohort = self._recent[0]
        went_on = [self._recent[h].went_on[:, k] for k, h in enumerate(HORIZONS_MINUTES)]
        counts = [cohort.entered, *went_on, cohort.skipped, cohort.value_e4]
        kept = np.flatnonzero(np.logical_or.reduce([column != 0 for column in counts]))
        scopes = [cohort.scopes[row] for row in kept]
        columns = [
            np.full(len(kept), cohort.at),
            [scope.journey for scope in scopes],
            [scope.version for scope in scopes],
            [scope.rank for scope in scopes],
            [scope.stage for scope in scopes],
            [written(scope.segment) for scope in scopes],
            *(column[kept] for column in counts),
        ]
        arrays = [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)]
        self._tables.append(pa.RecordBatch.from_arrays(arrays, schema=SCHEMA))
        self._rows += len(kept)
        if self._rows >= ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._tables:
            self._writer.write_table(pa.Table.from_batches(self._tables, SCHEMA))
        self._tables, self._rows = [], 0


class History:
    """The minutes of a file. Raises BadHistory where it holds none."""

    def __init__(self, path: Path) -> None:
        try:
            self._file = pq.ParquetFile(path)
        except (OSError, pa.ArrowInvalid) as error:
            raise BadHistory(
                f"{path}: {_first_line(error)}\n  hint: `pathline alerts lab --keep` writes one"
            ) from None
        missing = [name for name in SCHEMA.names if name not in self._file.schema_arrow.names]
        if missing:
            raise BadHistory(
                f"{path}: no column {', '.join(missing)}\n"
                f"  hint: a row per minute and scope with {', '.join(SCHEMA.names)}"
            )
        self._path = path
        self.scopes = self._find_scopes()

    def minutes(self) -> Iterator[Minute]:
        """From the first minute with a row to the last one, none left out.

        Not beyond: minutes that nobody counted would look like silence.
        """
        cohorts: deque[tuple[NDArray[np.int64], NDArray[np.int64]]] = deque(maxlen=LONGEST + 1)
        width = len(self.scopes)
        nobody = np.zeros((width, len(COUNTS)), np.int64)
        for _ in range(LONGEST + 1):
            cohorts.append((nobody[:, 0], nobody[:, 1 : 1 + len(WENT_ON)]))
        last = None
        for at, counts in self._cohorts():
            for between in range(at if last is None else last + 1, at):
                yield self._minute(between, nobody, cohorts)
            yield self._minute(at, counts, cohorts)
            last = at

    def _minute(
        self, at: int, counts: NDArray[np.int64], cohorts: deque[tuple[NDArray[np.int64], NDArray[np.int64]]]
    ) -> Minute:
        cohorts.append((counts[:, 0], counts[:, 1 : 1 + len(WENT_ON)]))
        settled = np.stack([cohorts[-1 - h][0] for h in HORIZONS_MINUTES], axis=1)
        went_on = np.stack([cohorts[-1 - h][1][:, k] for k, h in enumerate(HORIZONS_MINUTES)], axis=1)
        return Minute(at, self.scopes, counts[:, 0], settled, went_on, counts[:, -2], counts[:, -1])

    def _find_scopes(self) -> list[Scope]:
        found: set[Scope] = set()
        for batch in self._file.iter_batches(columns=list(NAMES)):
            unique = pa.Table.from_batches([batch]).group_by(list(NAMES)).aggregate([])
            for row in unique.to_pylist():
                found.add(
                    Scope(row["journey"], row["version"], row["rank"], row["stage"], read(row["segment"]))
                )
        return sorted(found)

    def _cohorts(self) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """Every minute that has rows, and its counts (scopes, COUNTS)."""
        known = {scope: row for row, scope in enumerate(self.scopes)}
        at, counts = None, np.zeros((len(known), len(COUNTS)), np.int64)
        for batch in self._file.iter_batches(columns=SCHEMA.names):
            self._check_filled(batch)
            minutes = np.asarray(batch.column("minute"))
            rows = _rows(batch, known)
            table = np.stack([np.asarray(batch.column(name).cast(pa.int64())) for name in COUNTS], axis=1)
            cuts = np.flatnonzero(np.diff(minutes, prepend=minutes[:1] - 1))
            for begin, end in zip(cuts, [*cuts[1:], len(minutes)], strict=True):
                minute = int(minutes[begin])
                if at is not None and minute != at:
                    self._check_order(at, minute)
                    yield at, counts
                    counts = np.zeros_like(counts)
                at = minute
                np.add.at(counts, rows[begin:end], table[begin:end])
        if at is not None:
            yield at, counts

    def _check_filled(self, batch: pa.RecordBatch) -> None:
        empty = [name for name in batch.schema.names if batch.column(name).null_count]
        if empty:
            raise BadHistory(
                f"{self._path}: rows without {', '.join(empty)}\n  hint: a count of nothing is 0"
            )

    def _check_order(self, before: int, after: int) -> None:
        if not before < after <= before + GAP_MAX:
            raise BadHistory(
                f"{self._path}: minute {after} comes after {before}\n"
                "  hint: rows lie in order of `minute`, which counts minutes since 1970"
            )


def _rows(batch: pa.RecordBatch, known: dict[Scope, int]) -> NDArray[np.int64]:
    """The place of each row's scope."""
    texts = [batch.column(name).cast(pa.string()) for name in NAMES]
    encoded = pc.binary_join_element_wise(*texts, "\x1f").dictionary_encode()
    places = []
    for text in encoded.dictionary.to_pylist():
        journey, version, rank, stage, segment = text.split("\x1f")
        places.append(known[Scope(journey, int(version), int(rank), stage, read(segment))])
    return np.asarray(np.array(places, np.int64)[np.asarray(encoded.indices)])


def written(segment: Segment) -> str:
    """A segment as text."""
    return ",".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in segment)


def read(text: str) -> Segment:
    """The segment that was written so."""
    pairs = (part.partition("=") for part in text.split(",") if part)
    return tuple(sorted((unquote(name), unquote(value)) for name, _, value in pairs))


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
