"""A database that has alerts, in the columns that the view `bi.alerts` promises."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple
from datetime import UTC, datetime
from typing import Any

from clickhouse_connect import get_client

from pipeline.alerts.alert import COLUMNS, Alert
from tests.sinks import clickhouse_server

TYPES = {
    "alert_id": "String", "version": "UInt32", "rule": "String", "journey": "String",
    "journey_version": "UInt16", "rank": "UInt8", "stage": "String", "segment": "String", "state": "String",
    "started_at": "DateTime('UTC')", "detected_at": "DateTime('UTC')",
    "resolved_at": "Nullable(DateTime('UTC'))", "observed": "Float64", "expected": "Float64",
    "low": "Float64", "high": "Float64",
    "entrants": "UInt64", "lost_orders": "Float64", "lost_orders_low": "Float64",
    "lost_orders_high": "Float64", "lost_value": "Float64", "lost_value_low": "Float64",
    "lost_value_high": "Float64", "cause": "String", "mix": "Float64", "mix_dimension": "String",
    "unaffected": "Array(String)", "verdict": "String", "severity": "String", "smallest_drop": "Float64",
    "reason": "String",
}  # fmt: skip
"""The contract between who writes alerts and who tells of them."""


def holding(alerts: Iterable[Alert]) -> str:
    """The DSN of a database that has these alerts."""
    port = clickhouse_server.emptied()
    client = get_client(
        host="127.0.0.1", port=port, password=clickhouse_server.PASSWORD, autogenerate_session_id=False
    )
    columns = ", ".join(f"`{name}` {TYPES[name]}" for name in COLUMNS)
    client.command("CREATE DATABASE bi")
    client.command(f"CREATE TABLE bi.alerts ({columns}) ENGINE = MergeTree ORDER BY alert_id")
    rows = [
        [_stored(name, value) for name, value in zip(COLUMNS, astuple(one), strict=True)] for one in alerts
    ]
    if rows:
        client.insert("alerts", rows, column_names=list(COLUMNS), database="bi")
    client.close()
    return clickhouse_server.dsn(port)


def _stored(name: str, value: Any) -> Any:
    if name.endswith("_at") and value is not None:
        return datetime.fromtimestamp(value, UTC)
    return list(value) if isinstance(value, tuple) else value
