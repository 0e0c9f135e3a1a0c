"""What should be told, said again in slow and obvious Python: row by row, without a line of the sink's."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from schemas.tables import DIMS
from tests.kafka.topics import Found

EPOCH_YEAR = 1970


class Said(NamedTuple):
    """One message as a consumer sees it, but for its id and place."""

    schema: str
    key: str
    body: dict[str, Any]


def expected(table: str, row: dict[str, Any]) -> Said | None:
    """The message of a row, if it has one."""
    return {
        "transitions": _transition,
        "objects": _abandonment,
        "outcomes": _retraction,
        "rejected_events": _reject,
    }.get(table, lambda _: None)(row)


def _iso(time: datetime | None) -> str | None:
    if time is None:
        return None
    return time.strftime("%Y-%m-%dT%H:%M:%S.") + f"{time.microsecond // 1000:03}Z"


def _money(value_e4: int) -> str:
    return str((Decimal(value_e4) / 10_000).quantize(Decimal("0.0001")))


def _same(row: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: row[name] for name in names}


def _transition(row: dict[str, Any]) -> Said:
    stayed = (row["at"] - row["from_entered_at"]).total_seconds() if row["from_stage"] else 0.0
    same = _same(
        row, "site", "journey", "journey_version", "visitor_id", "person_id", "sequence", "from_stage",
        "from_rank", "to_stage", "to_rank", "kind", "event_id", "currency", *DIMS,
    )  # fmt: skip
    body = same | {
        "type": "transition",
        "session_id": row["session_id"].hex(),
        "at": _iso(row["at"]),
        "skipped": [stage for stage in row["skipped"].split(">") if stage],
        "seconds_in_stage": stayed,
        "value": _money(row["value_e4"]),
    }
    return Said("pathline.transition/1", f"{row['site']}:{row['visitor_id']}", body)


def _abandonment(row: dict[str, Any]) -> Said | None:
    if row["state"] != "abandoned":
        return None
    same = _same(
        row, "site", "journey", "journey_version", "visitor_id", "person_id", "kind", "stage", "rank",
        "cart_id", "products", "currency", "version", *DIMS,
    )  # fmt: skip
    body = same | {
        "type": "abandonment",
        **{name: row[name].hex() for name in ("session_id", "object_id", "chain_id")},
        "opened_at": _iso(row["opened_at"]),
        "deadline_at": None if row["deadline_at"].year == EPOCH_YEAR else _iso(row["deadline_at"]),
        "abandoned_at": _iso(row["abandoned_at"]),
        "value_at_risk": _money(row["value_e4"]),
    }
    return Said("pathline.abandonment/1", f"{row['site']}:{row['chain_id'].hex()}", body)


def _retraction(row: dict[str, Any]) -> Said | None:
    if row["state"] == "expired":
        return None
    body = _same(row, "site", "journey", "journey_version", "order_id", "version") | {
        "type": "retraction",
        "chain_id": row["chain_id"].hex(),
        "reason": row["state"],
        "resolved_at": _iso(row["resolved_at"]),
        "recovered_value": _money(row["recovered_value_e4"]),
        "recovered_currency": row["currency"],
    }
    return Said("pathline.retraction/1", f"{row['site']}:{row['chain_id'].hex()}", body)


def _reject(row: dict[str, Any]) -> Said:
    try:
        payload, encoding = row["payload"].decode(), "utf-8"
    except UnicodeDecodeError:
        payload, encoding = base64.b64encode(row["payload"]).decode(), "base64"
    body = _same(row, "reason", "source", "partition", "position", "headers") | {
        "type": "reject",
        "event_at": _iso(row["event_at"]),
        "received_at": _iso(row["received_at"]),
        "payload": payload,
        "payload_encoding": encoding,
    }
    return Said("pathline.reject/1", f"{row['source']}:{row['partition']}", body)


def ids(found: Iterable[Found]) -> list[str]:
    """The message ids, in the order of the messages."""
    return [one.headers["message_id"].decode() for one in found]
