"""The cells of stories: which columns their tables may have, and how a value is written in one.

A column has a kind. `read_cell` and `show_cell` are each other's inverse, but for what may be written in
several ways: `10:00` is `10:00:00`, and `20.00` is `20`.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Final, Literal

from schemas.events import FIELDS, PROPERTY_PREFIX
from schemas.tables import DIMS, FUNNEL_COUNTS

Kind = Literal["text", "time", "money", "number", "flag", "list", "path"]

MIDNIGHT_MS: Final = 1_767_571_200_000
"""The first day of every story: a Monday, 2026-01-05."""
DAY_MS: Final = 86_400_000
NOTHING: Final = "-"

SHORT: Final = {"visitor": "visitor_id", "user": "user_id", "person": "person_id"}
"""What columns may also be called."""

_OF_FIELD: Final[dict[str, Kind]] = {
    "word": "text",
    "text": "text",
    "time": "time",
    "money": "money",
    "number": "number",
    "flag": "flag",
    "list": "list",
}
_WHO: Final[dict[str, Kind]] = {"visitor_id": "text", "person_id": "text", "session": "number"}
_DIMS: Final[dict[str, Kind]] = dict.fromkeys(("site", *DIMS), "text")
_MONEY: Final[dict[str, Kind]] = {"value": "money", "currency": "text"}

EVENT_COLUMNS: Final[dict[str, Kind]] = {
    "partition": "number",
    **{
        name: _OF_FIELD[field.kind]
        for name, field in FIELDS.items()
        if name != "event_at" and field.kind in _OF_FIELD
    },
}
"""Beside `at`, which every table of events begins with, and `properties.NAME`."""

EXPECTED_COLUMNS: Final[dict[str, dict[str, Kind]]] = {
    "transitions": {
        "at": "time",
        **_WHO,
        "sequence": "number",
        "from_stage": "text",
        "to_stage": "text",
        "kind": "text",
        "skipped": "path",
        "event_id": "text",
        **_MONEY,
        **_DIMS,
    },
    "sessions": {
        **_WHO,
        "started_at": "time",
        "ended_at": "time",
        "events": "number",
        "orders": "number",
        "entry_url": "text",
        "exit_url": "text",
        "is_continuation": "flag",
        "is_closed": "flag",
        "outcome": "text",
        "abandoned_stage": "text",
        "entry_stage": "text",
        "furthest_stage": "text",
        "path": "path",
        **_MONEY,
        **_DIMS,
    },
    "abandonments": {
        **_WHO,
        "chain": "number",
        "number": "number",
        "kind": "text",
        "stage": "text",
        "state": "text",
        "final_state": "text",
        "opened_at": "time",
        "deadline_at": "time",
        "abandoned_at": "time",
        "resolved_at": "time",
        "successor": "text",
        "order_id": "text",
        "cart_id": "text",
        "products": "list",
        "value_at_risk": "money",
        "recovered_value": "money",
        "currency": "text",
        **_DIMS,
    },
    "orders": {
        "order_id": "text",
        "at": "time",
        **_WHO,
        "event_id": "text",
        **_MONEY,
        "products": "list",
        "cart_id": "text",
        "is_late": "flag",
        "refunded": "money",
        "is_cancelled": "flag",
        **_DIMS,
    },
    "funnel": {
        "time": "time",
        "stage": "text",
        "site": "text",
        "device": "text",
        "channel": "text",
        "currency": "text",
        **dict.fromkeys(FUNNEL_COUNTS, "number"),
        "value": "money",
    },
    "records": dict.fromkeys(("received", "accepted", "duplicate", "late", "rejected", "filtered"), "number"),
}
"""What can be expected, and of what kind each column is."""

HINTS: Final[dict[Kind, str]] = {
    "text": "",
    "time": "times look like 10:00, 10:00:05 or 2d 10:00, which is two days later",
    "money": "money looks like 19.99, with at most 4 decimal places",
    "number": "a whole number",
    "flag": "yes or no",
    "list": "separated by commas: sku-1, sku-2",
    "path": "stages joined by >: view>cart",
}

_TIME: Final = re.compile(r"(?:(\d{1,3})d )?([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d)(?:\.(\d{1,3}))?)?")
_MONEY_TEXT: Final = re.compile(r"-?\d{1,12}(?:\.\d{1,4})?")
_FLAGS: Final = {NOTHING: False, "no": False, "yes": True}


def event_column(name: str) -> Kind | None:
    """The kind of a column of events by its full name; None where there is no such field."""
    if name.startswith(PROPERTY_PREFIX) and len(name) > len(PROPERTY_PREFIX):
        return "text"
    return EVENT_COLUMNS.get(name)


def read_cell(kind: Kind, text: str) -> Any:
    """The value: times in ms, money in 1/10,000. None where the text is none of this kind."""
    if kind == "flag":
        return _FLAGS.get(text)
    if kind in ("text", "path"):
        return "" if text == NOTHING else text if kind == "text" else re.sub(r"\s*>\s*", ">", text)
    if kind == "list":
        return [] if text == NOTHING else [item for item in map(str.strip, text.split(",")) if item]
    if text == NOTHING:
        return 0
    if kind == "time":
        return parse_time(text)
    if kind == "money":
        return int(Decimal(text) * 10_000) if _MONEY_TEXT.fullmatch(text) else None
    return int(text) if re.fullmatch(r"-?\d{1,15}", text) else None


def show_cell(kind: Kind, value: Any) -> str:
    """A value as it is written."""
    if kind == "flag":
        return "yes" if value else "no"
    if not value:
        return NOTHING
    if kind == "time":
        return show_time(value)
    if kind == "money":
        return _show_money(value)
    return ", ".join(value) if kind == "list" else str(value)


def parse_time(text: str) -> int | None:
    """Milliseconds of a time of day, `2d ` before it for two days later; None where it is no time."""
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    days, hours, minutes, seconds, rest = match.groups("0")
    in_day = ((int(hours) * 60 + int(minutes)) * 60 + int(seconds)) * 1000 + int(rest.ljust(3, "0"))
    return MIDNIGHT_MS + int(days) * DAY_MS + in_day


def show_time(at_ms: int) -> str:
    """The time of day, and the days before it where it is not the first."""
    days, ms = divmod(at_ms - MIDNIGHT_MS, DAY_MS)
    text = f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02}"
    return (f"{days}d " if days else "") + text + (f".{ms % 1000:03}" if ms % 1000 else "")


def _show_money(value_e4: int) -> str:
    whole, rest = divmod(abs(value_e4), 10_000)
    decimals = f"{rest:04}"
    short = decimals[:2] if decimals.endswith("00") else decimals
    return ("-" if value_e4 < 0 else "") + str(whole) + (f".{short}" if rest else "")
