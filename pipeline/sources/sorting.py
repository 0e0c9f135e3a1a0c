"""`--sort`: a copy of a file in order of event time, for exports that are ordered by something else.

The copy is made once per deployment and kept in its state folder, so that a resumed run reads the same.
Records without a usable time stay behind the record before them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.core.decode import Decoder, TimeBounds
from pipeline.sources.files import BLOCK_BYTES, JsonLinesReader, is_lines
from pipeline.sources.tables import TabularReader
from schemas.mappings import Mapping

SORT_BYTES_MAX: Final = 4 << 30
"""A file is sorted in memory; a larger one should come sorted, or in pieces that are."""

ROWS_A_READ: Final = 65_536


class TooLargeToSort(Exception):  # noqa: N818  the word that users read
    """The file does not fit the memory that sorting may take."""


def sorted_copy(path: Path, target: Path, mapping: Mapping, bounds: TimeBounds) -> Path:
    """The path of the sorted copy of `path` (`target` plus a suffix), made now if it is not there yet."""
    lines = is_lines(path)
    done = target.with_suffix(".jsonl" if lines else ".parquet")
    if done.exists():
        return done
    if path.stat().st_size > SORT_BYTES_MAX:
        raise TooLargeToSort(
            f"--sort: {path} has {path.stat().st_size:,} bytes, more than {SORT_BYTES_MAX:,}\n"
            f"  hint: sort it by event time beforehand, or split it"
        )
    done.parent.mkdir(parents=True, exist_ok=True)
    draft = done.with_suffix(".part")
    decoder = Decoder(mapping, (), bounds)
    if lines:
        _sort_lines(path, draft, decoder)
    else:
        _sort_rows(path, draft, decoder)
    os.replace(draft, done)
    return done


def _times(reader: JsonLinesReader | TabularReader) -> tuple[np.ndarray, list]:  # type: ignore[type-arg]
    """Event time per record (that of the one before where it has none), and the records themselves."""
    times, records = [], []
    last = np.iinfo(np.int64).min
    while (block := reader.read(ROWS_A_READ)) is not None:
        decoded = block.decoded
        at = np.full(decoded.records, np.iinfo(np.int64).min)
        at[decoded.rows] = decoded.batch.column("event_at").cast(pa.int64()).to_numpy()
        known = np.where(at == np.iinfo(np.int64).min, -1, np.arange(len(at)))
        carry = np.maximum.accumulate(known)
        at = np.where(carry >= 0, at[carry], last)
        last = at[-1] if len(at) else last
        times.append(at)
        records.append(reader.raw_records(block))
    return (np.concatenate(times) if times else np.empty(0, np.int64)), records


def _sort_lines(path: Path, draft: Path, decoder: Decoder) -> None:
    reader = JsonLinesReader(path, decoder, growing=False)
    at, blocks = _times(reader)
    lines = [line for block in blocks for line in block]
    with draft.open("wb", buffering=BLOCK_BYTES) as out:
        for row in np.argsort(at, kind="stable").tolist():
            out.write(lines[row] + b"\n")


def _sort_rows(path: Path, draft: Path, decoder: Decoder) -> None:
    reader = TabularReader(path, decoder)
    at, batches = _times(reader)
    if not batches:
        draft.write_bytes(b"")
        return
    table = pa.Table.from_batches(batches)
    pq.write_table(table.take(np.argsort(at, kind="stable")), draft)
