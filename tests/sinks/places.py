"""Every kind of sink behind one face: make it, read what a reader would see, make it again."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from schemas.tables import KEYS, TABLES
from sinks.base import Deployment, Sink
from sinks.memory import MemorySink
from sinks.parquet import read_parquet_table
from sinks.registry import open_sink
from tests.sinks import clickhouse_server

OURS = Deployment("d1", 8, 1)


class Place(Protocol):
    def sink(self) -> Sink: ...

    def table(self, table: str) -> pa.Table: ...


class MemoryPlace:
    def __init__(self, _: Path) -> None:
        self._sink = MemorySink()

    def sink(self) -> Sink:
        return self._sink

    def table(self, table: str) -> pa.Table:
        return self._sink.rows(table)


class ParquetPlace:
    def __init__(self, folder: Path) -> None:
        self._folder = folder / "files"

    def sink(self) -> Sink:
        return open_sink(f"parquet://{self._folder}")

    def table(self, table: str) -> pa.Table:
        return read_parquet_table(self._folder, table)


class DatabasePlace:
    dsn: str

    def sink(self) -> Sink:
        return open_sink(self.dsn)

    def table(self, table: str) -> pa.Table:
        columns = ", ".join(f"`{name}`" for name in TABLES[table].names)
        return ask(self.dsn, f"SELECT {columns} FROM pathline.{table} FINAL")


class EmbeddedPlace(DatabasePlace):
    def __init__(self, folder: Path) -> None:
        self.dsn = f"chdb://{folder / 'db'}"


class ServerPlace(DatabasePlace):
    def __init__(self, _: Path) -> None:
        self.dsn = clickhouse_server.dsn(clickhouse_server.emptied())


def ask(dsn: str, sql: str, **parameters: Any) -> pa.Table:
    from sinks.clickhouse.query import Reader

    with Reader(dsn) as reader:
        return reader.query(sql, parameters)


def rows(place: Place, table: str) -> list[dict[str, Any]]:
    """What a reader sees, in the order of the key."""
    found = place.table(table)
    if "payload" in found.schema.names:  # ClickHouse's String may hold any bytes; Arrow's may not
        index = found.schema.get_field_index("payload")
        found = found.set_column(index, "payload", found.column(index).cast(pa.binary()))
    return sorted(found.to_pylist(), key=lambda row: [row[name] for name in KEYS[table]])


PLACES = {"memory": MemoryPlace, "parquet": ParquetPlace, "embedded": EmbeddedPlace, "server": ServerPlace}
