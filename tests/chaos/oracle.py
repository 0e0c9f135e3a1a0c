"""The tables of a database beside what the oracle says of the same records."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import urlsplit

import pyarrow as pa

from pipeline.core.enrich.channels import channel
from schemas.journeys import load_journeys
from schemas.tables import TABLES
from sinks.clickhouse.query import Reader
from tests import harness, oracle
from tests.chaos.stream import Stream
from tests.differences import as_tables, assert_same
from tests.e2e.runs import ROOT
from tests.oracle_walk import Row

JOURNEYS = ("checkout",)


@dataclass(frozen=True)
class Stored:
    """Final rows of all tables as they lie in a database, in the manner of `MemorySink`."""

    tables: dict[str, pa.Table]
    blocks: dict[str, list[pa.RecordBatch]] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "blocks", {name: rows.to_batches() for name, rows in self.tables.items()})

    def rows(self, table: str) -> pa.Table:
        return self.tables[table]


def compare(dsn: str, folder: Path, stream: Stream, topic: str, partitioned_by: str) -> dict[str, int]:
    """Raises AssertionError where the tables differ from the oracle's; else how many rows there were."""
    journeys = load_journeys(list(JOURNEYS))
    settings = oracle.Settings(
        partitioned_by=partitioned_by,  # type: ignore[arg-type]
        end="drained",
        first_position=0,
        position_id=lambda partition, offset: f"{topic}:{partition}:{offset:012}",
        orders=harness.CANONICAL.orders,
    )
    told = [[event and with_channel(event) for event in own] for own in stream.events()]
    wanted = oracle.final_rows(told, journeys, settings)
    core = SimpleNamespace(
        sink=stored(dsn, folder),
        admits=range(stream.partitions),
        is_laned=partitioned_by == "visitor",
        journeys=journeys,
        tracks=[],
    )
    found = harness.rows_of(cast("harness.Core", core))
    found.copies = wanted.copies  # they are in no table: what they would have done is
    assert_same(found, wanted)
    return {name: len(rows) for name, rows in as_tables(found).items() if name != "copies"}


def with_channel(event: Row) -> Row:
    """The event with the channel that `enrich` finds where the producer says none: the oracle knows nothing
    of campaigns and referrers.
    """
    host, own = (_host(event.get(name, "")) for name in ("referrer", "url"))
    is_ours = host == own or host.endswith(f".{own}") or own.endswith(f".{host}")
    found = channel(event.get("source", ""), event.get("medium", ""), "" if is_ours else host, own != "")
    return event | {"channel": event.get("channel") or found}


def _host(address: str) -> str:
    return (urlsplit(address).hostname or "").removeprefix("www.")


def stored(dsn: str, folder: Path) -> Stored:
    """The rows of a database that nobody has open, in the types of `schemas/tables.py`."""
    command = [sys.executable, "-m", "tests.chaos.oracle", dsn, str(folder)]
    subprocess.run(command, check=True, cwd=ROOT)
    tables = {}
    for name, schema in TABLES.items():
        with pa.OSFile(str(folder / f"{name}.arrow")) as file:
            tables[name] = typed(pa.ipc.open_file(file).read_all(), schema)
    source = pa.array([harness.SOURCE] * len(tables["conservation"])).dictionary_encode()
    at = tables["conservation"].schema.get_field_index("source")
    tables["conservation"] = tables["conservation"].set_column(at, "source", source)
    return Stored(tables)


def typed(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """ClickHouse's Arrow as ours: it sends a DateTime as bare seconds, and words without a dictionary."""
    return pa.table([_column(rows[one.name], one.type) for one in schema], schema=schema)


def _column(column: pa.ChunkedArray, to: pa.DataType) -> pa.ChunkedArray:
    if pa.types.is_uint32(column.type) and pa.types.is_timestamp(to):
        return column.cast(pa.int64()).cast(to)
    if pa.types.is_dictionary(to):
        plain = column.cast(pa.string())
        return plain.dictionary_encode().cast(to)
    return column.cast(to)


def main(dsn: str, folder: Path) -> None:
    """Writes every table to a file. In a process of its own: one engine each."""
    with Reader(dsn) as reader:
        for name, schema in TABLES.items():
            columns = ", ".join(f"`{column}`" for column in schema.names)
            rows: Any = reader.query(f"SELECT {columns} FROM pathline.{name} FINAL")
            with (
                pa.OSFile(str(folder / f"{name}.arrow"), "wb") as file,
                pa.ipc.new_file(file, rows.schema) as out,
            ):
                out.write_table(rows)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
