"""A database with alerts in it, as a run would leave it: our tables, our views."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from pipeline.alerts.alert import Alert
from sinks.registry import open_sink
from tests.sinks import clickhouse_server
from tests.sinks.places import OURS
from tests.sinks.rows import batch

MONEY = ("lost_value", "lost_value_low", "lost_value_high")


def holding(alerts: Iterable[Alert]) -> str:
    """The DSN of a database that has these alerts."""
    dsn = clickhouse_server.dsn(clickhouse_server.emptied())
    sink = open_sink(dsn)
    sink.open(OURS)
    rows = [_row(alert) for alert in alerts]
    if rows:
        sink.write("alerts", batch("alerts", rows))
    sink.close()
    return dsn


def _row(alert: Alert) -> dict[str, Any]:
    row = asdict(alert)
    row["alert_id"] = bytes.fromhex(alert.alert_id)
    row["scope"] = row.pop("segment")
    row["site"] = ""
    row["time"] = _at(row.pop("started_at"))
    row["detected_at"] = _at(alert.detected_at)
    row["resolved_at"] = _at(alert.resolved_at or 0.0)
    row["unaffected"] = list(alert.unaffected)
    for name in MONEY:
        row[f"{name}_e4"] = round(10_000 * row.pop(name))
    return row


def _at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
