"""`pathline alerts list`: the alerts of a database, and who was told of them when."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from pipeline.alerts import deliveries as log
from pipeline.alerts.alert import Alert
from pipeline.alerts.courier import CannotRead
from pipeline.alerts.deliveries import FILE, Deliveries, Delivery
from pipeline.alerts.reading import DatabaseReader
from pipeline.alerts.words import moment, money, number, place
from pipeline.cli.alerts_snooze import words
from pipeline.cli.ask import WIDE
from pipeline.settings import BadSettings, load_settings
from schemas.documents import DURATION_HINT, parse_duration_ms


def list_(
    since: Annotated[str, typer.Option(help="How far back those that are over are shown, like 24h")] = "7d",
    clickhouse: Annotated[str | None, typer.Option(help="Where alerts are: a DSN")] = None,
    state: Annotated[Path | None, typer.Option(help="State folder, where the log of deliveries is")] = None,
) -> None:
    """List the alerts that fire and those of late, each with who was told of it, when, and what came back."""
    settings = load_settings({"clickhouse": clickhouse, "state": state})
    span_ms = parse_duration_ms(since)
    if span_ms is None:
        raise BadSettings([f"--since: {since!r} is no duration\n  hint: {DURATION_HINT}"])
    reader = DatabaseReader(settings.clickhouse, opens=True)
    try:
        found = reader.read(time.time() - span_ms / 1000, ())
    except CannotRead as error:
        hint = "--clickhouse names the database of a run; `pathline migrate` makes views that are missing"
        raise BadSettings([f"{error}\n  hint: {hint}"]) from None
    finally:
        reader.close()
    console = Console()
    wide = Console(width=None if console.is_terminal else WIDE)
    if not found:
        wide.print("no alerts")
    had = _had(settings.state, found)
    for alert in found:
        wide.print(_head(alert), markup=False, highlight=False, soft_wrap=True)
        wide.print(_table(had.get(alert.alert_id, [])), highlight=False)
    for line in _more(settings.state):
        wide.print(line, markup=False, highlight=False, soft_wrap=True)


def _head(alert: Alert) -> str:
    lasted = f"since {moment(alert.started_at)}"
    if alert.resolved_at is not None:
        lasted += f" until {moment(alert.resolved_at)}"
    lost = f"{number(alert.lost_orders)} orders, {money(alert.lost_value, '')} in value"
    return (
        f"{alert.alert_id} {alert.state} {alert.severity} {alert.rule} at {place(alert)} {lasted}, "
        f"lost {lost}, {alert.verdict}"
    )


def _had(state: Path, alerts: list[Alert]) -> dict[str, list[Delivery]]:
    """By alert what the log says; to look makes no log."""
    if not (state / FILE).exists():
        return {}
    deliveries = Deliveries(state / FILE)
    try:
        out: dict[str, list[Delivery]] = {}
        for (_, alert_id), lines in sorted(deliveries.of_alerts(one.alert_id for one in alerts).items()):
            out.setdefault(alert_id, []).extend(lines)
        return out
    finally:
        deliveries.close()


def _table(lines: list[Delivery]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for line in lines:
        kind = f"{line.kind or line.state} v{line.version}"
        table.add_row("  ", line.route, kind, _how(line), line.reason)
    if not lines:
        table.add_row("  ", "nobody was told")
    return table


def _how(line: Delivery) -> str:
    tried = f", {line.attempts} attempts" if line.attempts > 1 else ""
    if line.outcome == log.DELIVERED and line.delivered_at is not None:
        again = f", {line.repeats} times repeated" if line.repeats else ""
        return f"told {moment(line.delivered_at)}{tried}{again}"
    if line.outcome == log.WAITING and line.next_at is not None:
        return f"waiting{tried}, again {moment(line.next_at)}"
    return f"{line.outcome.replace('_', ' ')}{tried}"


def _more(state: Path) -> list[str]:
    """What is snoozed, and the last sign of life."""
    if not (state / FILE).exists():
        return []
    deliveries = Deliveries(state / FILE)
    try:
        out = [f"snooze {one.number}: {words(one)}" for one in deliveries.snoozes(time.time())]
        beat = deliveries.last_beat()
        return out + ([f"heartbeat {moment(beat[0])}: {beat[1]}: {beat[2]}"] if beat else [])
    finally:
        deliveries.close()
