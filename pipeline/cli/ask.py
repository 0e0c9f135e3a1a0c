"""`pathline query`: SQL on the views, read-only."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Literal

import pyarrow as pa
import pyarrow.csv as csv
import typer
from rich.console import Console
from rich.table import Table

from pipeline.settings import load_settings
from sinks.clickhouse.query import QueryRefused, Reader

WIDE = 4096
"""Columns of a terminal that is none: nothing is folded where a program reads along."""

ROWS_SHOWN_MAX = 1000
"""A terminal is no place for more: the other formats print everything."""


def query(
    sql: Annotated[
        str, typer.Argument(help="One statement that reads, such as: SELECT * FROM bi.sessions LIMIT 5")
    ],
    clickhouse: Annotated[str | None, typer.Option(help="Where the rows are: a DSN")] = None,
    form: Annotated[str, typer.Option("--format", help="table, json (one object a line) or csv")] = "table",
) -> None:
    """Ask the views (database bi) something; nothing can be changed."""
    settings = load_settings({"clickhouse": clickhouse})
    with Reader(settings.clickhouse) as reader:
        answer = reader.query(sql)
    _print(answer, "json" if form == "json" else "csv" if form == "csv" else "table")


def _print(answer: pa.Table, form: Literal["table", "json", "csv"]) -> None:
    if form == "json":
        for row in answer.to_pylist():
            sys.stdout.write(json.dumps(row, default=str) + "\n")
    elif form == "csv":
        csv.write_csv(answer, sys.stdout.buffer)
    else:
        console = Console()
        width = None if console.is_terminal else WIDE
        Console(width=width).print(as_table(answer))


def as_table(answer: pa.Table) -> Table:
    """A result as a table for the terminal."""
    shown = Table(box=None, header_style="bold", pad_edge=False)
    for field in answer.schema:
        number = (
            pa.types.is_integer(field.type)
            or pa.types.is_floating(field.type)
            or pa.types.is_decimal(field.type)
        )
        shown.add_column(field.name, justify="right" if number else "left", overflow="fold")
    for row in answer.slice(0, ROWS_SHOWN_MAX).to_pylist():
        shown.add_row(*(_cell(value) for value in row.values()))
    if len(answer) > ROWS_SHOWN_MAX:
        shown.caption = f"the first {ROWS_SHOWN_MAX:,} of {len(answer):,} rows"
    return shown


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return " › ".join(str(item) for item in value)
    return str(value)


__all__ = ["QueryRefused", "as_table", "query"]
