"""What a plan found, for people: tables in which before and after stand side by side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.cli.plan_alerts import AlertsCompared
from pipeline.cli.plan_alerts_report import report_alerts
from pipeline.cli.plan_compare import Compared, Row, Stages, is_changed
from pipeline.cli.plan_table import plain_table, printable
from pipeline.cli.show import percent

CHANGES_MAX: Final = 12
"""So many ways in which sessions change are shown with examples; the others are counted."""
NOWHERE: Final = "(none)"
"""A session that entered no stage of this version."""

Count = tuple[str, int, int]
"""What, how many before, how many after."""


def report(compared: Compared, alerts: AlertsCompared, console: Console) -> None:
    """Prints what would change, or that nothing would."""
    before, after = compared.pair.labels
    console.print(f"\n{before} → {after}, on {compared.sessions:,} sessions", highlight=False, markup=False)
    if not compared.sessions:
        console.print("Neither sees anybody enter a stage: is the mapping the right one?", highlight=False)
        return
    if compared.same:
        apart = "Apart from alerts nothing" if alerts.differences else "Nothing"
        console.print(f"{apart} would change: both definitions say the same of every one.", highlight=False)
    else:
        _report_sessions(compared, console)
        console.print()
    report_alerts(alerts, compared.pair, console)


def _report_sessions(compared: Compared, console: Console) -> None:
    for table in _tables(compared):
        console.print()
        console.print(table)
    console.print()
    console.print(_sentence(compared), highlight=False)
    if compared.moved:
        console.print()
        console.print(_examples(compared.moved))


def _tables(compared: Compared) -> Iterator[Table]:
    """Only those in which something changes."""
    if not compared.pair.stages.same:
        yield _stages(compared.pair.stages)
    rows, labels, last = compared.rows, compared.pair.labels, compared.pair.new.stages[-1].name
    furthest = [(row["stage"], row["before"], row["after"]) for row in rows["furthest"]]
    outcomes = [(_outcome(row), row["before"], row["after"]) for row in rows["outcomes"]]
    moves = [
        (_transition(row), row["before"], row["after"]) for row in rows["transitions"] if is_changed(row)
    ]
    objects = [(_object(row), row["before"], row["after"]) for row in rows.get("abandonments", ())]
    rates = rows.get("abandonment_rates", [])
    yield from _counts("sessions by furthest stage", labels, [*furthest, _rest(furthest, compared.sessions)])
    yield from _counts("sessions by outcome", labels, [*outcomes, _rest(outcomes, compared.sessions)])
    yield from _counts("transitions that change", labels, moves)
    dropoff = [row for row in rows["dropoff"] if row["stage"] != last]  # from there nobody can go on
    yield from _rates("drop-off of the settled", labels, dropoff, "stage", "rate")
    yield from _counts("objects", labels, objects)
    yield from _rates("abandoned at the deadline", labels, rates, "kind", "deadline")
    yield from _rates("abandoned after recovery", labels, rates, "kind", "recovery")


def _rest(rows: Iterable[Count], sessions: int) -> Count:
    """The sessions that are in no row: they entered no stage of that version."""
    rows = list(rows)
    return NOWHERE, sessions - sum(row[1] for row in rows), sessions - sum(row[2] for row in rows)


def _stages(stages: Stages) -> Table:
    table = _table("stages", "")
    for name in stages.added:
        table.add_row(name, "added")
    for name in stages.removed:
        table.add_row(name, "removed")
    for name, now in stages.renamed.items():
        table.add_row(name, f"renamed to {now}")
    return table


def _counts(heading: str, labels: tuple[str, str], rows: Iterable[tuple[str, int, int]]) -> Iterator[Table]:
    rows = list(rows)
    if any(before != after for _, before, after in rows):
        table = _table(heading, *labels, "change")
        for name, before, after in (row for row in rows if row[1] or row[2]):
            change = f"{after - before:+,}" if after != before else ""
            table.add_row(name, f"{before:,}", f"{after:,}", change)
        yield table


def _rates(
    heading: str, labels: tuple[str, str], rows: Iterable[Row], name: str, rate: str
) -> Iterator[Table]:
    """Where a rate is missing nothing is settled, and there is no change to tell."""
    found = [(row[name], row[f"{rate}_before"], row[f"{rate}_after"]) for row in rows]
    if any(before != after for _, before, after in found):
        table = _table(heading, *labels, "points")
        for what, before, after in found:
            table.add_row(what, percent(before), percent(after), _points(before, after))
        yield table


def _points(before: float | None, after: float | None) -> str:
    if before is None or after is None or before == after:
        return ""
    return f"{100 * (after - before):+.1f}"


def _sentence(compared: Compared) -> str:
    moved = compared.moved
    if not moved:
        return "Every session comes as far as before, and to the same end."
    further = sum(row["sessions"] for row in moved if row["furthest_before"] != row["furthest_after"])
    outcome = sum(row["sessions"] for row in moved if row["outcome_before"] != row["outcome_after"])
    total = sum(row["sessions"] for row in moved)
    what = f"{further:,} their furthest stage, {outcome:,} their outcome"
    return f"{total:,} of {compared.sessions:,} sessions change: {what}."


def _examples(moved: list[Row]) -> Table:
    table = _table("sessions", "furthest stage", "outcome", "for example (visitor, start)", numbers=False)
    for row in moved[:CHANGES_MAX]:
        seen = zip(row["visitors"], row["times"], strict=True)
        table.add_row(
            f"{row['sessions']:,}",
            _change(row["furthest_before"], row["furthest_after"]),
            _change(row["outcome_before"], row["outcome_after"]),
            Text(", ".join(f"{printable(visitor)} {time}" for visitor, time in seen)),
        )
    if len(moved) > CHANGES_MAX:
        rest = moved[CHANGES_MAX:]
        table.add_row(f"{sum(row['sessions'] for row in rest):,}", f"in {len(rest):,} other ways")
    return table


def _change(before: str, after: str) -> str:
    before, after = before or NOWHERE, after or NOWHERE
    return before if before == after else f"{before} → {after}"


def _outcome(row: Row) -> str:
    return f"{row['outcome']} in {row['stage']}" if row["stage"] else str(row["outcome"])


def _transition(row: Row) -> str:
    return f"{row['came_from'] or '(start)'} → {row['went_to']} ({row['kind']})"


def _object(row: Row) -> str:
    return f"{row['kind']} {row['state']}"


def _table(*headings: str, numbers: bool = True) -> Table:
    """A name, and columns of numbers as far as they have a heading."""
    return plain_table(*headings, right=[heading for heading in headings[1:] if heading and numbers])
