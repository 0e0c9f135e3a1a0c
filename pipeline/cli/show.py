"""`pathline show`: what is in a database, as a picture for the terminal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from importlib.resources import files
from typing import Annotated, Any, Final, NamedTuple

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.settings import load_settings
from sinks.clickhouse.query import Reader

QUERIES: Final = files("sinks.clickhouse") / "sql" / "queries"
WENT_ON, DROPPED, OPEN = ("█", "green"), ("▒", "red"), ("░", "dim")
BESIDE_BAR: Final = 58
"""Columns that the words and numbers beside a bar take."""
BAR_MAX: Final = 60

Row = dict[str, Any]


class Journey(NamedTuple):
    """What rows belong together."""

    name: str
    version: int


def show(clickhouse: Annotated[str | None, typer.Option(help="Where the rows are: a DSN")] = None) -> None:
    """Show the funnel, what became of sessions, and what was set aside."""
    report(load_settings({"clickhouse": clickhouse}).clickhouse, Console())


def sql(name: str) -> str:
    """The text of a query that ships with Pathline."""
    return (QUERIES / f"{name}.sql").read_text("utf-8")


def one_line(text: str) -> str:
    """A statement without its comments, on one line."""
    return " ".join(line.strip() for line in text.splitlines() if line.strip() and not line.startswith("--"))


def report(dsn: str, console: Console) -> None:
    """Prints the whole picture of a database."""
    with Reader(dsn) as reader:
        rows = {
            name: reader.query(sql(name)).to_pylist()
            for name in ("funnel", "dropoff_by_device", "abandonment", "outcomes", "conservation", "rejects")
        }
    devices, outcomes = _by_journey(rows["dropoff_by_device"]), _by_journey(rows["outcomes"])
    objects = _by_journey(rows["abandonment"])
    for journey, stages in _by_journey(rows["funnel"]).items():
        console.print()
        console.print(funnel(journey, stages, min(BAR_MAX, console.width - BESIDE_BAR)))
        console.print(_legend())
        console.print()
        console.print(by_device(stages, devices[journey]))
        console.print()
        if objects[journey]:
            console.print(abandonment(objects[journey]))
            console.print()
        console.print(sessions(outcomes[journey]))
    console.print()
    console.print(balance(rows["conservation"][0], rows["rejects"]))


def _by_journey(rows: Iterable[Row]) -> dict[Journey, list[Row]]:
    grouped: dict[Journey, list[Row]] = defaultdict(list)
    for row in rows:
        grouped[Journey(row["journey"], row["journey_version"])].append(row)
    return grouped


def funnel(journey: Journey, stages: list[Row], width: int) -> Table:
    """A bar per stage: who went on, who dropped off, who is still open."""
    table = _table()
    table.add_column(f"{journey.name} {journey.version}")
    table.add_column("entered", justify="right")
    table.add_column()
    for heading in ("went on", "dropped", "open", "drop-off"):
        table.add_column(heading, justify="right")
    most = max(row["entered"] for row in stages)
    for row in stages:
        is_last = row is stages[-1]
        table.add_row(
            row["stage"],
            f"{row['entered']:,}",
            bar(row, most, width),
            *(("", "", "", "") if is_last else (*_counts(row), percent(row["dropoff_rate"]))),
        )
    return table


def _counts(row: Row) -> tuple[str, str, str]:
    return f"{row['went_on']:,}", f"{row['dropped']:,}", f"{row['open']:,}"


def _legend() -> Text:
    legend = Text("drop-off is that of the settled: ", no_wrap=True)
    for (mark, style), name in ((WENT_ON, "went on"), (DROPPED, "dropped"), (OPEN, "still open")):
        legend.append(mark, style).append(f" {name}  ")
    return legend


def bar(row: Row, most: int, width: int) -> Text:
    """A stage's bar, that of `most` being `width` wide; whoever is there gets at least a mark."""
    text = Text(no_wrap=True)
    for (mark, style), name in ((WENT_ON, "went_on"), (DROPPED, "dropped"), (OPEN, "open")):
        count = row[name]
        text.append(mark * (max(1, round(width * count / most)) if count else 0), style)
    return text


def by_device(stages: list[Row], rows: list[Row]) -> Table:
    """Drop-off of the settled per stage, a column per device."""
    rates = {(row["stage"], row["device"]): row["dropoff_rate"] for row in rows}
    devices = sorted({row["device"] for row in rows})
    table = _table()
    table.add_column("drop-off")
    for device in devices:
        table.add_column(device or "(unknown)", justify="right")
    for stage in stages[:-1]:
        name = stage["stage"]
        table.add_row(name, *(percent(rates.get((name, device))) for device in devices))
    return table


def abandonment(kinds: list[Row]) -> Table:
    """Of the carts and so on that are settled, the share that was not ordered."""
    table = _table()
    table.add_column("abandonment")
    for heading in ("created", "open", "settled", "at deadline", "after recovery"):
        table.add_column(heading, justify="right")
    for row in kinds:
        counts = (f"{row[name]:,}" for name in ("created", "open", "settled"))
        rates = (percent(row[name]) for name in ("rate_at_deadline", "rate_after_recovery"))
        table.add_row(row["kind"], *counts, *rates)
    return table


def sessions(outcomes: list[Row]) -> Table:
    """What became of sessions."""
    table = _table()
    table.add_column("sessions")
    table.add_column(justify="right")
    table.add_column(justify="right")
    total = sum(row["sessions"] for row in outcomes)
    for row in outcomes:
        stage = f" in {row['abandoned_stage']}" if row["abandoned_stage"] else ""
        table.add_row(row["outcome"] + stage, f"{row['sessions']:,}", percent(row["sessions"] / total))
    return table


def balance(counts: Row, rejects: list[Row]) -> Table:
    """What became of every record."""
    table = _table()
    table.add_column("records")
    table.add_column(justify="right")
    table.add_column()
    reasons = ", ".join(f"{row['records']:,} {row['reason']}" for row in rejects)
    notes = {
        "accepted": "events",
        "duplicate": "the same event again",
        "late": "kept in bi.late_events",
        "rejected": f"kept in bi.rejected_events: {reasons}" if reasons else "",
        "balance": "nothing lost, nothing counted twice" if not counts["balance"] else "some are missing",
    }
    for name, count in counts.items():
        if count or name in ("received", "balance"):
            table.add_row(name, f"{count:,}", notes.get(name, ""))
    return table


def percent(rate: float | None) -> str:
    """A rate for people; nothing where there is none."""
    return "" if rate is None else f"{100 * rate:.1f} %"


def _table() -> Table:
    return Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
