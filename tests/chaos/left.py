"""What a run has left in its database, read by a process of its own: one embedded engine each."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from schemas.tables import TABLES
from sinks.clickhouse.query import Reader
from tests.e2e.runs import ROOT, VIEWS, Rows
from tests.harness import SOURCE

VIEWS_FILE = "views.json"


@dataclass(frozen=True)
class Left:
    """Every view of `bi` but freshness, sorted; and of every table the final rows, as in a `MemorySink`."""

    views: Rows
    tables: dict[str, pa.Table]
    blocks: dict[str, list[pa.RecordBatch]] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "blocks", {name: rows.to_batches() for name, rows in self.tables.items()})

    def rows(self, table: str) -> pa.Table:
        return self.tables[table]


def left(dsn: str, folder: Path) -> Left:
    """What is in a database that nobody has open; `folder` is for what is passed on."""
    folder.mkdir(exist_ok=True)
    subprocess.run([sys.executable, "-m", "tests.chaos.left", dsn, str(folder)], check=True, cwd=ROOT)
    tables = {}
    for name, schema in TABLES.items():
        with pa.OSFile(str(folder / f"{name}.arrow")) as file:
            tables[name] = _typed(pa.ipc.open_file(file).read_all(), schema)
    counted = tables["conservation"]
    source = pa.array([SOURCE] * len(counted)).dictionary_encode()  # the topic's name is drawn
    tables["conservation"] = counted.set_column(counted.schema.get_field_index("source"), "source", source)
    return Left(json.loads((folder / VIEWS_FILE).read_text()), tables)


def _typed(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """ClickHouse's Arrow as ours: it sends a DateTime as bare seconds, and words without a dictionary."""
    return pa.table([_column(rows[one.name], one.type) for one in schema], schema=schema)


def _column(column: pa.ChunkedArray, to: pa.DataType) -> pa.ChunkedArray:
    if pa.types.is_uint32(column.type) and pa.types.is_timestamp(to):
        return column.cast(pa.int64()).cast(to)
    if pa.types.is_dictionary(to):
        return column.cast(pa.string()).dictionary_encode().cast(to)
    return column.cast(to)


def main(dsn: str, folder: Path) -> None:
    """Writes every view and every table to a file."""
    with Reader(dsn) as reader:
        names = [row["name"] for row in reader.query(VIEWS).to_pylist()]
        views = {name: reader.query(f"SELECT * FROM bi.{name}").to_pylist() for name in names}
        told = {name: sorted(json.dumps(row, default=_told) for row in rows) for name, rows in views.items()}
        (folder / VIEWS_FILE).write_text(json.dumps(told))
        for name, schema in TABLES.items():
            columns = ", ".join(f"`{column}`" for column in schema.names)
            rows = reader.query(f"SELECT {columns} FROM pathline.{name} FINAL")
            with (
                pa.OSFile(str(folder / f"{name}.arrow"), "wb") as file,
                pa.ipc.new_file(file, rows.schema) as out,
            ):
                out.write_table(rows)


def _told(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
