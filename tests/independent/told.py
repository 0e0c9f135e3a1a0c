"""Streams and answers as a person writes them: a line per record, a line per object.

A record is the time of day (`3d` before it: three days later), the event's name and NAME=VALUE for fields.
It is the visitor `a` in partition 0 (`v=`, `p=` for others), has an id of its own (`id=`), and arrives when
it happens; value is in EUR. An object is kind, time of opening, state and final state, then what else is to
be checked: `left=` (abandoned_at), `done=` (resolved_at), `risk=` (value at risk), `won=` (recovered value).
"""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.independent.answer import Row

FIRST_DAY = datetime(2026, 1, 5, tzinfo=UTC)
FIELDS = {"v": "visitor_id", "id": "event_id", "cart": "cart_id", "order": "order_id"}


def partitions(story: str) -> list[list[bytes]]:
    """The lines of each partition."""
    found: dict[int, list[bytes]] = defaultdict(list)
    for number, line in enumerate(filter(None, map(str.strip, story.splitlines()))):
        partition, record = _record(line, number)
        found[partition].append(json.dumps(record).encode())
    return [found[partition] for partition in range(max(found) + 1)]


def _record(line: str, number: int) -> tuple[int, Row]:
    at, words = _when(line.split())
    given = dict(word.split("=", 1) for word in words[1:])
    partition = int(given.pop("p", "0"))
    record: Row = {"event_id": f"e{number:03}", "visitor_id": "a", "site": "shop", "event": words[0]}
    record |= {"event_at": _iso(at), "received_at": _iso(at)}
    for name, text in given.items():
        record[FIELDS.get(name, name)] = _value(name, text)
    if "value" in record:
        record.setdefault("currency", "EUR")
    return partition, record


def _value(name: str, text: str) -> Any:
    if name == "products":
        return text.split(",")
    if name in ("value", "passive"):
        return json.loads(text)
    return text


def _when(words: list[str]) -> tuple[datetime, list[str]]:
    """The time that the first words say, and the other words."""
    days = int(words[0][:-1]) if words[0].endswith("d") else 0
    words = words[1:] if words[0].endswith("d") else words
    return FIRST_DAY + timedelta(days=days) + _clock(words[0]), words[1:]


def _clock(text: str) -> timedelta:
    hours, minutes, seconds = (*text.split(":"), "0")[:3]
    return timedelta(hours=int(hours), minutes=int(minutes), seconds=float(seconds))


def _iso(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment(ms: int) -> str:
    """A time as it is written in stories: `-` for none, the day only where it is not the first."""
    if not ms:
        return "-"
    since = timedelta(milliseconds=ms) - timedelta(seconds=FIRST_DAY.timestamp())
    minutes, seconds = divmod(since.seconds, 60)
    text = f"{minutes // 60:02}:{minutes % 60:02}" + (f":{seconds:02}" if seconds else "")
    return (f"{since.days}d" if since.days else "") + text


def shown(row: Row, like: str) -> str:
    """An object, with the details that the expected line has."""
    details = {
        "left": moment(row["abandoned_at"]),
        "done": moment(row["resolved_at"]),
        "risk": f"{row['value_at_risk'] / 10_000:g}",
        "won": f"{row['recovered_value'] / 10_000:g}",
    }
    names = [word.split("=")[0] for word in like.split()[4:]]
    words = [row["kind"], moment(row["opened_at"]), row["state"], row["final_state"]]
    return " ".join([*words, *(f"{name}={details[name]}" for name in names)])
