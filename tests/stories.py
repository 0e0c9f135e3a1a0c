"""Stories told by hand, and tables that say what must come of them.

A story has a line per record: the time of day (`1d` before it: a day later), the event's name, then
NAME=VALUE for other fields; the visitor is `a`, the partition (`p=`) 0, and there is an event_id only where
`id=` gives one. A line `bad` is a record that cannot be an event. Expected rows are tables with the columns
that the test is about; `-` stands for '', 0 and no time.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from schemas.entries import Entry
from schemas.journeys import Journey, Regress, Stage
from schemas.predicates import Compare, Predicate
from tests.oracle import Rows, Settings, final_rows
from tests.oracle_walk import MINUTE, Row

MIDNIGHT = 1_767_225_600_000  # 2026-01-01
DAY = 24 * 60 * MINUTE
INTEGERS = ("value", "quantity")


def on(*events: str) -> Predicate:
    return Compare("event", "in", events)


SHOP = Journey(
    name="shop",
    version=1,
    key="visitor",
    stages=(
        Stage("view", 1, False, (Entry(on("view", "emptied")),), None),
        Stage("cart", 2, False, (Entry(on("cart", "buy_now")),), 10 * MINUTE),
        Stage("gift", 3, True, (Entry(on("gift")),), None),
        Stage("pay", 4, False, (Entry(on("pay")),), 40 * MINUTE),
        Stage("order", 5, False, (Entry(on("order", "buy_now")),), None),
        Stage("share", 6, False, (Entry(on("share")),), None),
    ),
    conversion=5,
    regress=(Regress(1, on("emptied", "undo")), Regress(2, on("undo"))),
)


def ms(text: str) -> int:
    days, _, clock = text.rpartition("d")
    hours, minutes, seconds = clock.split(":")
    in_day = (int(hours) * 60 + int(minutes)) * MINUTE + round(float(seconds) * 1000)
    return MIDNIGHT + int(days or 0) * DAY + in_day


def clock(at: float) -> str:
    days, rest = divmod(int(at) - MIDNIGHT, DAY)
    text = f"{rest // 3_600_000:02}:{rest // MINUTE % 60:02}:{rest // 1000 % 60:02}"
    return (f"{days}d" if days else "") + text + (f".{rest % 1000:03}" if rest % 1000 else "")


def record(line: str) -> tuple[int, Row | None]:
    at, *words = line.split()
    if at == "bad":
        return int(words[0].removeprefix("p=")) if words else 0, None
    event: Row = {"event_at": ms(at), "event": words[0], "visitor_id": "a"}
    for name, value in (word.split("=", 1) for word in words[1:]):
        event[name] = int(value) if name in INTEGERS else value
    for short, name in (("id", "event_id"), ("visitor", "visitor_id"), ("user", "user_id")):
        if short in event:
            event[name] = event.pop(short)
    if "received" in event:
        event["received_at"] = ms(event.pop("received"))
    return int(event.pop("p", 0)), event


def records(story: str) -> list[list[Row | None]]:
    """The records of each partition."""
    partitions: dict[int, list[Row | None]] = {0: []}
    for line in story.strip().splitlines():
        number, event = record(line)
        partitions.setdefault(number, []).append(event)
    return [partitions[number] for number in sorted(partitions)]


def tell(story: str, journeys: tuple[Journey, ...] = (SHOP,), **settings: Any) -> Rows:
    """What the oracle makes of a story."""
    return final_rows(records(story), journeys, Settings(**settings))


def cell(name: str, value: Any) -> str:
    if value in ("", 0) and value is not False:
        return "-"
    if name == "at" or name.endswith("_at") or name == "minute":
        return clock(value)
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def check(rows: Iterable[Row], expected: str) -> None:
    """The columns in the first line of `expected` are those of the rows, in their order."""
    names, *lines = (line.split() for line in expected.strip().splitlines())
    found = [[cell(name, row[name]) for name in names] for row in rows]
    assert found == lines, "\n".join("  ".join(line) for line in [names, *found])


def stays(rows: Rows) -> list[Row]:
    """What sessions say of the journey, session facts beside it."""
    return [session | entry for session in rows.sessions for entry in session["journeys"]]


def funnel(rows: Rows) -> list[Row]:
    names = ("site", "journey", "version", "minute", "stage", "device", "channel", "currency")
    counted = sorted((key, counts) for key, counts in rows.funnel.items())
    columns = ("entered", "advanced", "abandoned", "recovered", "converted", "value_e4")
    return [
        dict(zip(names, key, strict=True)) | {name: counts[name] for name in columns}
        for key, counts in counted
    ]


def fates(rows: Rows) -> list[Row]:
    """Conservation, a row per partition and minute."""
    columns = ("received", "accepted", "duplicate", "late", "rejected", "filtered")
    for counts in rows.conservation.values():
        assert counts["received"] == sum(counts[name] for name in columns[1:])
    return [
        {"p": str(partition), "minute": minute} | {name: counts[name] for name in columns}
        for (partition, minute), counts in sorted(rows.conservation.items())
    ]
