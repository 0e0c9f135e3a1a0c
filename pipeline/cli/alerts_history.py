"""`pathline alerts history`: minutes that were counted, from the facts of a run into a file."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Final

import pyarrow.parquet as pq
import typer
from rich.console import Console

from pipeline.cli.alerts_lab import progress
from pipeline.lab.history import SCHEMA
from pipeline.settings import BadSettings, load_settings
from sinks.clickhouse.query import Reader

QUESTION: Final = files("sinks.clickhouse") / "sql" / "alerts" / "minutes.sql"
SPAN: Final = "SELECT min(time) AS first, max(time) AS last FROM bi.transitions_all"
DAY: Final = timedelta(days=1)
"""So much is asked for at once: a day has at most some hundred thousand rows."""


def history(
    minutes: Annotated[Path, typer.Argument(help="Parquet file to write, for `pathline alerts simulate`")],
    clickhouse: Annotated[str | None, typer.Option(help="Where the rows are: a DSN")] = None,
) -> None:
    """Take the minutes that alerts are made of from the tables of a run, for `pathline alerts simulate`.

    Those of stages and their segments. Kinds of objects (carts, payments) and pairs of segments are counted
    by a run alone.
    """
    settings = load_settings({"clickhouse": clickhouse})
    if not minutes.parent.is_dir():
        raise BadSettings([f"{minutes}: no such folder: {minutes.parent}"])
    console = Console(stderr=True)
    with Reader(settings.clickhouse) as reader:
        (span,) = reader.query(SPAN).to_pylist()
        if span["last"].timestamp() == 0:
            raise BadSettings(
                ["there are no transitions to count\n  hint: --clickhouse names the database of a run"]
            )
        rows = _write(reader, minutes, span["first"], span["last"], console)
    console.print(f"wrote {minutes}: {rows:,} rows", highlight=False, soft_wrap=True)


def _write(reader: Reader, path: Path, first: datetime, last: datetime, console: Console) -> int:
    rows, days = 0, [*_days(first, last)]
    with (
        pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer,
        progress(console, "counting", len(days)) as (bar, task),
    ):
        for since in days:
            found = reader.query(
                QUESTION.read_text("utf-8"), {"since": _text(since), "until": _text(since + DAY)}
            )
            writer.write_table(found.select(SCHEMA.names).cast(SCHEMA))
            rows += found.num_rows
            bar.advance(task)
    return rows


def _days(first: datetime, last: datetime) -> Iterator[datetime]:
    day = first.replace(hour=0, minute=0, second=0, microsecond=0)
    while day <= last:
        yield day
        day += DAY


def _text(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"
