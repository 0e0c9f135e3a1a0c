"""Parquet files: a folder per table, a file per block. For those who bring their own engine.

A file appears whole or not at all, and files only ever get added: whoever reads takes the last version
of each row, by `read_parquet_table` or by the keys in the folder's README.
"""

from __future__ import annotations

import errno
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.tables import TABLES
from sinks.base import Deployment, SinkRefused
from sinks.check import conform
from sinks.merge import join, merge

OWNER: Final = "deployment.json"


class ParquetSink:
    """Writes `<directory>/<table>/part-<n>.parquet`; see sinks.base.Sink for what it promises."""

    def __init__(self, directory: str | Path) -> None:
        self._directory = Path(directory).expanduser().resolve()
        self._next: dict[str, int] = {}

    def open(self, deployment: Deployment) -> None:
        """Make the folders, clear half-written files, and claim the directory for `deployment`."""
        try:
            for table in TABLES:
                folder = self._directory / table
                folder.mkdir(parents=True, exist_ok=True)
                for half in folder.glob("*.tmp"):
                    half.unlink()
                self._next[table] = 1 + max((_number(file) for file in _parts(folder)), default=0)
            self._claim(deployment)
        except OSError as error:
            raise self._refused(error) from None

    def write(self, table: str, batch: pa.RecordBatch) -> None:
        """One block, one file, on disk when this returns."""
        batch = conform(table, batch)
        if not batch.num_rows:
            return
        name = f"part-{self._next[table]:08}.parquet"
        try:
            _store(self._directory / table / name, batch)
        except OSError as error:
            raise self._refused(error) from None
        self._next[table] += 1

    def close(self) -> None:
        """Nothing is held open between blocks."""

    def _claim(self, deployment: Deployment) -> None:
        path = self._directory / OWNER
        if not path.exists():
            path.write_text(json.dumps(asdict(deployment)) + "\n", "utf-8")
        owner = Deployment(**json.loads(path.read_text("utf-8")))
        if owner != deployment:
            raise SinkRefused(
                f"parquet://{self._directory} belongs to {owner}, not to {deployment}",
                "point this deployment at a directory of its own",
            )

    def _refused(self, error: OSError) -> SinkRefused:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        hint = "make room and start again: nothing acknowledged is lost" if full else "must be writable"
        return SinkRefused(f"parquet://{self._directory}: {error}", hint)


def read_parquet_table(directory: str | Path, table: str) -> pa.Table:
    """The final rows of `table`, one per key, however often they were written."""
    parts = _parts(Path(directory) / table)
    batches = [
        batch for part in parts for batch in pq.ParquetFile(part).read().cast(TABLES[table]).to_batches()
    ]
    return pa.Table.from_batches([merge(table, join(batches))] if batches else [], TABLES[table])


def _parts(folder: Path) -> list[Path]:
    return sorted(folder.glob("part-*.parquet"), key=_number)


def _number(part: Path) -> int:
    return int(part.stem.removeprefix("part-"))


def _store(path: Path, batch: pa.RecordBatch) -> None:
    half = path.with_suffix(".tmp")
    pq.write_table(pa.Table.from_batches([batch]), half, compression="zstd", compression_level=1)
    descriptor = os.open(half, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    half.rename(path)
