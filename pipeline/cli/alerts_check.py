"""`pathline alerts check`: whether a definition of alerts is in order, and who would be told of what."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import fields
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from pipeline.alerts.http import UrllibHttp
from pipeline.alerts.opening import open_transport
from pipeline.alerts.secrets import SecretMissing, Secrets
from pipeline.cli.ask import WIDE
from pipeline.settings import BadSettings, load_settings
from schemas.alert_routes import VERDICTS, QuietHours, Route
from schemas.alert_targets import Kafka, Target
from schemas.alerts import Alerts, load_alerts
from schemas.secret_refs import SecretRef
from sinks.base import SinkRefused, mask_dsn


def check(
    file: Annotated[
        str | None, typer.Argument(help="Name or file of a definition of alerts (default: the setting)")
    ] = None,
) -> None:
    """Check a definition of alerts and its secrets, and show who would be told of what. Nothing is sent."""
    definition = load_alerts(load_settings({"alerts": file}).alerts)
    problems = [*missing(definition, Secrets(os.environ))]
    if problems:
        raise BadSettings(problems)
    console = Console()
    console = Console(width=None if console.is_terminal else WIDE)
    console.print(_summary(definition), highlight=False, soft_wrap=True)
    if definition.routes:
        console.print(_table(definition), highlight=False)
    else:
        console.print("no routes: nobody is told; alerts are in bi.alerts all the same", highlight=False)


def missing(definition: Alerts, secrets: Secrets) -> Iterator[str]:
    """What would keep routes from working, by what can be seen from here."""
    places = [(f"route {route.name}", ref) for route in definition.routes for ref in refs(route.target)]
    if definition.heartbeat is not None and isinstance(definition.heartbeat.url, SecretRef):
        places.append(("heartbeat", definition.heartbeat.url))
    for what, ref in places:
        try:
            secrets.reveal(ref)
        except SecretMissing as error:
            yield f"{what}: {error.message}\n  hint: {error.hint}"
    for route in definition.routes:
        try:
            open_transport(route, UrllibHttp(), secrets).close()
        except SinkRefused as error:
            yield f"route {route.name}: {error.message}\n  hint: {error.hint}"


def refs(target: Target) -> list[SecretRef]:
    """The places of a target's secrets."""
    values = [getattr(target, field.name) for field in fields(target)]
    values += [item for value in values if isinstance(value, dict) for item in value.values()]
    return [value for value in values if isinstance(value, SecretRef)]


def where(target: Target) -> str:
    """Where a route leads, as it may be shown."""
    if isinstance(target, Kafka):
        return mask_dsn(target.dsn)
    for name in ("webhook", "channel", "to", "routing_key", "url"):
        value = getattr(target, name, None)
        if value:
            return ", ".join(value) if isinstance(value, tuple) else str(value)
    return ""


def _summary(definition: Alerts) -> str:
    ignored = f", {len(definition.ignore)} ignored" if definition.ignore else ""
    warning, critical = (
        f"{value_e4 / 10_000:,.0f}"
        for value_e4 in (definition.warning_value_e4_per_hour, definition.critical_value_e4_per_hour)
    )
    pages = f"{definition.false_pages_per_week:g} false pages a week"
    lost = f"{definition.currency or 'in value'} lost an hour"
    lines = [
        f"alerts {definition.name}: {', '.join(definition.rules)}{ignored}; at most {pages}",
        f"warning from {warning} and critical from {critical} {lost}",
    ]
    heartbeat = definition.heartbeat
    if heartbeat is not None:
        to = f"route {heartbeat.route}" if heartbeat.route else str(heartbeat.url)
        lines.append(f"heartbeat every {heartbeat.every_ms / 1000:g} s to {to}")
    else:
        lines.append("no heartbeat: nobody notices when alerts stop working")
    return "\n".join(lines)


def _table(definition: Alerts) -> Table:
    table = Table("route", "type", "to", "from", "verdicts", "quiet hours", box=None, pad_edge=False)
    for route in definition.routes:
        table.add_row(
            route.name, route.type, where(route.target), route.least, _verdicts(route), _quiet(route.quiet)
        )
    return table


def _verdicts(route: Route) -> str:
    return "all" if set(route.verdicts) == set(VERDICTS) else ", ".join(route.verdicts)


def _quiet(quiet: QuietHours | None) -> str:
    if quiet is None:
        return "none"
    since, until = (f"{m // 60:02}:{m % 60:02}" for m in (quiet.since_minute, quiet.until_minute))
    return f"{since} to {until} {quiet.timezone}, but critical"
