"""The oracle: what the final rows must be, in plain Python that is slow and obvious.

It is the specification in code. It knows nothing of batches, state or restarts: it reads each partition
from its first record to its last, sorts what was accepted, and walks every visitor from begin to end.
The pipeline's rows must equal these for every batching, interleaving, number of workers and crash.

A record is a dict of canonical fields (`schemas/events.py`; times in ms, money in 1/10,000; what is
missing is absent, '' or None), or None where it cannot be an event. Rows are dicts with the column names
of `schemas/tables.py`; 0 stands for "no time". A session is named by `partition` (-1 where visitors are not
kept per partition), `site`, `visitor_id` and its `started_at`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Any, Literal

from schemas.events import FIELDS
from schemas.orders import Orders
from schemas.tables import DIMS
from tests.oracle_objects import Life, happenings, mark_repeats, order_kind, write_order
from tests.oracle_walk import MINUTE, Row, Walk, minute

if TYPE_CHECKING:
    from schemas.journeys import Journey

DAY = 24 * 60 * MINUTE
SKEW_MAX = 5 * MINUTE
NO_VALUE: Row = {"passive": False, "value": 0, "quantity": 0, "received_at": None, "products": []}
BLANK: Row = {name: NO_VALUE.get(name, "") for name in FIELDS}


@dataclass(frozen=True)
class Settings:
    """The settings that decide about rows, by their names in the product."""

    gap_ms: int = 30 * MINUTE
    length_max_ms: int = DAY
    allowed_lateness_ms: int = 10_000
    dedup_window_ms: int = 10 * MINUTE
    partitioned_by: Literal["none", "visitor"] = "none"
    split_at_midnight: bool = False
    split_on_campaign: bool = False
    end: Literal["replay", "drained"] = "replay"
    first_position: int = 1  # lines of a file count from 1, offsets of a topic from 0
    position_id: Callable[[int, int], str] = "{}:{}".format  # stands in for a missing event_id
    is_filtered: Callable[[Row], bool] = lambda record: False
    orders: Orders | None = None  # None: no event is an order


@dataclass
class Rows:
    """All that the pipeline has written once it is done, in no particular order."""

    sessions: list[Row] = field(default_factory=list)  # with "journeys": one row for each that was entered
    transitions: list[Row] = field(default_factory=list)
    visits: list[Row] = field(default_factory=list)
    late: list[tuple[int, int]] = field(default_factory=list)  # partition, position
    rejected: list[tuple[int, int]] = field(default_factory=list)
    copies: list[tuple[int, int]] = field(default_factory=list)  # dropped across partitions
    conservation: dict[tuple[int, int], Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    # (site, journey, version, minute, stage, device, channel, currency)
    funnel: dict[tuple[Any, ...], Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    orders: list[Row] = field(default_factory=list)
    order_changes: list[Row] = field(default_factory=list)
    objects: list[Row] = field(default_factory=list)
    participations: list[Row] = field(default_factory=list)
    outcomes: list[Row] = field(default_factory=list)


def final_rows(
    partitions: Sequence[Sequence[Row | None]],
    journeys: Sequence[Journey],
    settings: Settings = Settings(),
) -> Rows:
    """The rows for the records of each partition in its order, once all is done."""
    rows = Rows()
    visitors: dict[tuple[int, str, str], list[Row]] = defaultdict(list)
    watermarks: dict[int, float] = {}
    for partition, records in enumerate(partitions):
        events, watermarks[partition] = read(partition, records, settings, rows)
        home = partition if settings.partitioned_by == "visitor" else -1
        for event in events:
            visitors[home, event["site"], event["visitor_id"]].append(event)
    if settings.orders is not None or any(
        journey.objects for journey in journeys
    ):  # they need the time of all partitions, and so does who waits for them
        watermarks = dict.fromkeys(watermarks, min(watermarks.values(), default=-inf)) | {
            -1: max(watermarks.values(), default=-inf)
        }
    else:
        watermarks[-1] = max(watermarks.values(), default=-inf)
    mark_repeats(event for events in visitors.values() for event in events)
    for (home, _, _), events in visitors.items():
        time = inf if settings.end == "replay" else watermarks[home]
        due = sorted((event for event in events if event["at"] < time), key=total_order)
        for nth, event in enumerate(due):
            event["nth"] = nth
        late = [event for event in due if event["is_late"]]
        in_time = drop_copies((event for event in due if not event["is_late"]), settings, rows)
        walk_visitor(home, in_time, late, time, journeys, settings, rows)
    return rows


# --- from records to accepted events: per partition, in its order --------------------------------------


def read(
    partition: int, records: Sequence[Row | None], settings: Settings, rows: Rows
) -> tuple[list[Row], float]:
    """The accepted events of a partition, the orders that came late, and the last watermark; what became of
    the others is noted. `at` is when an event takes effect: one that is late at the watermark that it met.
    """
    accepted: list[Row] = []
    watermark = -inf
    seen: dict[tuple[str, str, str], int] = {}  # event_at of the first with this id
    for position, record in enumerate(records, settings.first_position):
        counts = rows.conservation[partition, minute(0 if watermark == -inf else watermark)]
        counts["received"] += 1
        if record is None:
            counts["rejected"] += 1
            rows.rejected.append((partition, position))
            continue
        event = as_event(record, partition, position, settings)
        verdict = judge(event, watermark, seen, settings)
        counts[verdict] += 1
        event |= {"at": event["event_at"], "is_late": verdict == "late", "is_repeat": False}
        event["order"] = order_kind(event, settings.orders)
        if verdict == "accepted":
            accepted.append(event)
        elif verdict == "late":
            rows.late.append((partition, position))
            if event["order"]:
                accepted.append(event | {"at": int(watermark)})
        seen_at = min(event["event_at"], event["received_at"] or inf)  # one fast clock makes nobody late
        watermark = max(watermark, seen_at - settings.allowed_lateness_ms)
    return accepted, watermark


def as_event(record: Row, partition: int, position: int, settings: Settings) -> Row:
    """The record with every field; a clock over 5 minutes ahead of its receipt is clamped to it."""
    event = BLANK | {name: value for name, value in record.items() if value is not None}
    event |= {"partition": partition, "position": position, "has_id": event["event_id"] != ""}
    event["event_id"] = event["event_id"] or settings.position_id(partition, position)
    received = event["received_at"]
    if received is not None and event["event_at"] > received + SKEW_MAX:
        event["event_at"] = received
    return event


def judge(event: Row, watermark: float, seen: dict[tuple[str, str, str], int], settings: Settings) -> str:
    """filtered, duplicate, late or accepted: the first that holds, by the watermark before the record."""
    if settings.is_filtered(event):
        return "filtered"
    if event["has_id"]:
        name = (event["site"], event["visitor_id"], event["event_id"])
        if name in seen and watermark <= seen[name] + settings.dedup_window_ms:
            return "duplicate"
        seen[name] = event["event_at"]
    return "late" if event["event_at"] < watermark else "accepted"


def total_order(event: Row) -> tuple[Any, ...]:
    return (event["at"], event["event_id"].encode(), event["partition"], event["position"])


def drop_copies(events: Iterable[Row], settings: Settings, rows: Rows) -> list[Row]:
    """One visitor's events without the copies that came by another partition; the first in order stays."""
    kept: list[Row] = []
    first: dict[str, int] = {}
    for event in events:
        name, at = event["event_id"], event["event_at"]
        if event["has_id"] and name in first and at <= first[name] + settings.dedup_window_ms:
            rows.copies.append((event["partition"], event["position"]))
        else:
            first[name] = at
            kept.append(event)
    return kept


# --- from events to sessions: per visitor, in total order -----------------------------------------------


@dataclass
class Session:
    """Events in total order. Each fact is that of the first event that has it."""

    home: int
    is_continuation: bool
    events: list[Row] = field(default_factory=list)
    closed_at: float = inf  # cut by the session after it, else ended_at + gap
    is_closed: bool = False

    @property
    def started_at(self) -> int:
        return int(self.events[0]["event_at"])

    @property
    def ended_at(self) -> int:
        return int(self.events[-1]["event_at"])

    @property
    def name(self) -> Row:
        first = self.events[0]
        names = {"partition": self.home, "site": first["site"], "visitor_id": first["visitor_id"]}
        return names | {"started_at": self.started_at}

    def first(self, fact: str, until: float = inf) -> str:
        """What was known at the time `until`, all events of that very time included."""
        known = (event[fact] for event in self.events if event["event_at"] <= until)
        return next((value for value in known if value), "")

    def person_id(self, until: float = inf) -> str:
        return self.first("user_id", until) or self.first("visitor_id")

    def dims_of(self, event: Row) -> Row:
        """The event's own; where it says nothing, what is known of its session at its time."""
        return {dim: event[dim] or self.first(dim, event["event_at"]) for dim in DIMS}


def walk_visitor(
    home: int,
    events: Iterable[Row],
    late: Iterable[Row],
    time: float,
    journeys: Sequence[Journey],
    settings: Settings,
    rows: Rows,
) -> None:
    """All sessions and objects of one visitor; `time` is how far the visitor's time has passed."""
    sessions: list[Session] = []
    outsiders = [event for event in late if event["order"]]
    for event in events:
        if event["passive"]:  # starts nothing, extends nothing, enters no stage
            outsiders += [event] if event["order"] else []
            continue
        split = split_reason(sessions[-1], event, settings) if sessions else "first"
        if split:
            sessions.append(Session(home, is_continuation=split == "length"))
        sessions[-1].events.append(event)
    for session, following in zip(sessions, [*sessions[1:], None], strict=False):
        expires_at = session.ended_at + settings.gap_ms
        next_start = following.started_at if following else inf
        session.closed_at = min(expires_at, next_start)
        session.is_closed = following is not None or expires_at < time
        passed = min(time, next_start if next_start <= expires_at else expires_at + 1)
        walks = [Walk(journey, session, rows) for journey in journeys]
        for walk in walks:
            walk.run(passed)
        write_session(session, walks, rows)
        write_orders(session.events, session, rows)
    write_orders(outsiders, None, rows)
    for journey in journeys:
        if journey.objects:
            Life(journey, rows).run(happenings(sessions, outsiders, journey.objects), time)


def write_orders(events: Iterable[Row], session: Session | None, rows: Rows) -> None:
    for event in events:
        if event["order"] and not event["is_repeat"]:
            write_order(event, session, rows)


def split_reason(session: Session, event: Row, settings: Settings) -> str:
    """Why the event starts a new session, '' where it does not. A gap exactly as long as allowed does not.

    A new campaign at the very start does not either: two sessions of a visitor cannot start at one time.
    """
    at, campaign = event["event_at"], session.first("campaign")
    if at - session.ended_at > settings.gap_ms:
        return "gap"
    if at - session.started_at > settings.length_max_ms:
        return "length"
    if settings.split_at_midnight and at // DAY != session.ended_at // DAY:
        return "midnight"
    is_other = event["campaign"] and campaign and event["campaign"] != campaign
    return "campaign" if settings.split_on_campaign and is_other and at > session.started_at else ""


def write_session(session: Session, walks: Sequence[Walk], rows: Rows) -> None:
    facts = {
        "person_id": session.person_id(),
        "ended_at": session.ended_at,
        "events": len(session.events),
        "entry_url": session.first("url"),
        "exit_url": next((event["url"] for event in reversed(session.events) if event["url"]), ""),
        "is_continuation": session.is_continuation,
        "is_closed": session.is_closed,
        "version": len(session.events) + sum(walk.fired for walk in walks) + session.is_closed,
        "journeys": [walk.summary() for walk in walks if walk.visits],
    }
    dims = {dim: session.first(dim) for dim in DIMS}
    rows.sessions.append(session.name | dims | facts)
