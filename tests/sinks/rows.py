"""Rows for the tests: each function gives plain dicts with every column filled, to be overridden."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from schemas.tables import DIMS, TABLES

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


START = at("2024-05-01T10:00:00.250")


def batch(table: str, rows: list[dict[str, Any]]) -> pa.RecordBatch:
    """The rows as one batch with the pinned schema."""
    schema = TABLES[table]
    columns = [_array([row[field.name] for row in rows], field.type) for field in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _array(values: list[Any], type_: pa.DataType) -> pa.Array:
    if pa.types.is_dictionary(type_):
        return pa.array(values, pa.string()).dictionary_encode()
    if pa.types.is_list(type_) and pa.types.is_dictionary(type_.value_type):
        return pa.array(values, pa.list_(pa.field("item", pa.string(), nullable=False))).cast(type_)
    return pa.array(values, type_)


def dims(prefix: str = "", **known: str) -> dict[str, str]:
    return {prefix + dim: known.get(dim, "") for dim in DIMS}


def journey(**columns: Any) -> dict[str, Any]:
    """One entry of a session's journeys: still open in its first stage."""
    entry = {
        "journey": "shop", "journey_version": 1, "entry_stage": "view", "furthest_stage": "view",
        "furthest_rank": 1, "outcome": "open", "abandoned_stage": "", "path": "view", "value_e4": 0,
        "currency": "EUR", "visit_stage": "view", "visit_rank": 1, "visit_entered_at": START,
        "visit_left_at": EPOCH, "visit_deadline_at": EPOCH, "visit_left_by": "open", "visit_settled": False,
    } | {f"visit_{dim}": "" for dim in DIMS}  # fmt: skip
    return entry | columns


def session(number: int = 1, journeys: list[dict[str, Any]] | None = None, **columns: Any) -> dict[str, Any]:
    entries = [journey()] if journeys is None else journeys
    row = {
        "site": "shop", "visitor_id": f"v{number}", "person_id": f"v{number}",
        "session_id": number.to_bytes(16, "big"), "started_at": START, "ended_at": START,
        "time": columns.get("started_at", START).replace(microsecond=0), "events": 1,
        "entry_url": "/", "exit_url": "/", "orders": 0, "value_e4": 0, "currency": "EUR",
        "is_bot": False, "is_continuation": False, "is_closed": False, "partition": 0, "version": 1,
    } | dims()  # fmt: skip
    row |= {f"journeys.{name}": [entry[name] for entry in entries] for name in journey()}
    return row | columns


def transition(number: int = 1, sequence: int = 1, **columns: Any) -> dict[str, Any]:
    row = {
        "site": "shop", "journey": "shop", "journey_version": 1, "visitor_id": f"v{number}",
        "person_id": f"v{number}", "session_id": number.to_bytes(16, "big"), "sequence": sequence,
        "at": START, "time": columns.get("at", START).replace(microsecond=0), "from_stage": "",
        "from_rank": 0, "to_stage": "view", "to_rank": 1, "kind": "enter", "skipped": "",
        "event_id": f"e{number}-{sequence}", "value_e4": 0, "currency": "EUR",
        "from_entered_at": EPOCH, "from_deadline_at": EPOCH,
    } | dims() | dims("from_")  # fmt: skip
    return row | columns


def minute(**columns: Any) -> dict[str, Any]:
    row = {
        "site": "shop", "journey": "shop", "journey_version": 1, "time": START.replace(microsecond=0),
        "stage": "view", "rank": 1, "device": "phone", "channel": "direct", "currency": "EUR", "shard": 0,
        "entered": 0, "advanced": 0, "abandoned": 0, "recovered": 0, "voided": 0, "converted": 0,
        "value_e4": 0,
    }  # fmt: skip
    return row | columns


def conserved(**columns: Any) -> dict[str, Any]:
    row = {
        "source": "clicks", "partition": 0, "time": START.replace(microsecond=0), "received": 0,
        "accepted": 0, "duplicate": 0, "late": 0, "rejected": 0, "filtered": 0,
    }  # fmt: skip
    return row | columns


def set_aside(position: int = 1, **columns: Any) -> dict[str, Any]:
    row = {
        "reason": "not_json", "source": "clicks", "partition": 0, "position": position,
        "event_at": None, "received_at": START, "payload": b"{",
        "headers": "",
    }  # fmt: skip
    return row | columns


def event(position: int = 1, **columns: Any) -> dict[str, Any]:
    row = {
        "site": "shop", "visitor_id": "v1", "event_at": START, "received_at": None, "event": "add_to_cart",
        "event_id": f"e{position}", "user_id": "", "url": "/p/1", "referrer": "", "cart_id": "c1",
        "order_id": "", "products": ["p1", "p2"], "quantity": 2, "value_e4": 199_900, "currency": "EUR",
        "passive": False, "properties": '{"colour":"red"}', "flags": 0, "input": "clicks", "partition": 0,
        "position": position,
    } | dims()  # fmt: skip
    return row | columns


def fresh(**columns: Any) -> dict[str, Any]:
    row = {"site": "shop", "source": "clicks", "partition": 0, "watermark": START, "updated_at": START}
    return row | columns


NO_ID = bytes(16)


def thing(number: int = 1, **columns: Any) -> dict[str, Any]:
    """A cart that is open."""
    own = number.to_bytes(16, "big")
    row = {
        "site": "shop", "journey": "shop", "journey_version": 1, "visitor_id": f"v{number}",
        "person_id": f"v{number}", "session_id": own, "object_id": own, "chain_id": own, "number": 2,
        "kind": "cart", "stage": "view", "rank": 1, "state": "open", "final_state": "open", "opened_at":
        START, "time": columns.get("opened_at", START).replace(microsecond=0), "deadline_at": EPOCH,
        "abandoned_at": EPOCH, "resolved_at": EPOCH, "successor_id": NO_ID, "order_id": "", "cart_id": "c1",
        "products": ["p1", "p2"], "value_e4": 199_900, "currency": "EUR", "version": 1,
    } | dims()  # fmt: skip
    return row | columns


def took_part(number: int = 1, **columns: Any) -> dict[str, Any]:
    own = number.to_bytes(16, "big")
    row = {
        "site": "shop", "journey": "shop", "journey_version": 1, "session_id": own,
        "time": START.replace(microsecond=0), "chain_id": own, "state": "open", "stage": "", "rank": 0,
        "version": 1,
    }  # fmt: skip
    return row | columns


def became(number: int = 1, **columns: Any) -> dict[str, Any]:
    row = {
        "site": "shop", "journey": "shop", "journey_version": 1, "chain_id": number.to_bytes(16, "big"),
        "time": START.replace(microsecond=0), "state": "expired", "resolved_at": START, "order_id": "",
        "recovered_value_e4": 0, "currency": "", "is_evicted": False, "version": 1,
    }  # fmt: skip
    return row | columns


def order(number: int = 1, **columns: Any) -> dict[str, Any]:
    row = {
        "site": "shop", "order_id": f"o{number}", "visitor_id": "v1", "person_id": "v1", "session_id": NO_ID,
        "event_id": f"e{number}", "at": START, "time": columns.get("at", START).replace(microsecond=0),
        "value_e4": 100_000, "currency": "EUR", "products": ["p1"], "cart_id": "", "is_late": False,
    } | dims()  # fmt: skip
    return row | columns


def order_change(number: int = 1, **columns: Any) -> dict[str, Any]:
    row = {
        "site": "shop", "order_id": f"o{number}", "change_id": f"r{number}", "partition": 0, "position":
        number, "kind": "refunded", "at": START, "value_e4": 10_000, "currency": "EUR", "is_late": False,
    }  # fmt: skip
    return row | columns


def alert(version: int = 1, **columns: Any) -> dict[str, Any]:
    """A drop of mobile visitors, as it was told the first time."""
    row: dict[str, Any] = {
        "alert_id": bytes(range(16)),
        "version": version,
        "journey": "shop",
        "journey_version": 1,
        "rule": "drop",
        "rank": 2,
        "stage": "cart",
        "scope": "",
        "site": "",
        "state": "firing",
        "time": at("2024-05-01T10:00:00"),
        "detected_at": at("2024-05-01T10:04:00"),
        "resolved_at": at("1970-01-01T00:00:00"),
        "observed": 0.25,
        "expected": 0.5,
        "low": 0.4,
        "high": 0.6,
        "entrants": 100,
        "lost_orders": 12.5,
        "lost_orders_low": 10.0,
        "lost_orders_high": 15.0,
        "lost_value_e4": 6_250_000,
        "lost_value_low_e4": 5_000_000,
        "lost_value_high_e4": 7_500_000,
        "cause": "device=mobile",
        "mix": 0.0,
        "mix_dimension": "",
        "unaffected": ["device=desktop"],
        "verdict": "shop",
        "severity": "critical",
        "smallest_drop": 0.1,
        "reason": "25.0% go on instead of 50.0%",
    }
    return row | columns


SAMPLES: dict[str, dict[str, Any]] = {
    "sessions": session(),
    "transitions": transition(),
    "funnel_minute": minute(entered=1),
    "conservation": conserved(received=1, accepted=1),
    "late_events": set_aside(reason="late"),
    "rejected_events": set_aside(),
    "freshness": fresh(),
    "unknown_events": {"source": "clicks", "partition": 0, "event": "scroll", "events": 3},
    "active_versions": {"journey": "shop", "version": 2},
    "stages": {
        "journey": "shop",
        "journey_version": 1,
        "rank": 1,
        "stage": "view",
        "is_optional": False,
        "is_conversion": False,
        "has_objects": False,
    },
    "events": event(),
    "objects": thing(),
    "participations": took_part(),
    "outcomes": became(),
    "orders": order(),
    "order_changes": order_change(),
    "limits": {"limit": "orders", "place": 0, "hits": 3, "meaning": "m", "remedy": "r"},
    "incidents": {
        "kind": "lost_records",
        "source": "clicks",
        "partition": 0,
        "first": 7,
        "until": 9,
        "found_at": at("2024-05-01T10:00:00.123"),
        "meaning": "m",
        "remedy": "r",
    },
    "alerts": alert(),
}
