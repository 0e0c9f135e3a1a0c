"""What the database says of one visitor: the questions, with what is asked for bound to them."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from importlib.resources import files
from typing import Any, Final, NamedTuple

from sinks.clickhouse.query import Reader

QUESTIONS: Final = files("sinks.clickhouse") / "sql" / "explain"
EVENTS_MAX: Final = 20_000
"""Of one visitor: whoever has more is a machine."""
AROUND: Final = timedelta(days=2)
"""Sessions begin, and stages end, so near to their events."""

VERSIONED: Final = ("abandonments", "session_stages", "stage_visits", "transitions")
"""Views that show the active version of each journey; others of their names and `_all` show all of them."""

Row = dict[str, Any]


class Whose(NamedTuple):
    """A visitor."""

    site: str
    visitor_id: str


@dataclass(frozen=True)
class Found:
    """A visitor whose events carry the id, and what the id is there: visitor, order, cart or user."""

    whose: Whose
    kinds: tuple[str, ...]
    events: int


@dataclass
class Told:
    """All rows of one visitor."""

    whose: Whose
    events: list[Row]
    sessions: list[Row] = field(default_factory=list)
    outcomes: list[Row] = field(default_factory=list)
    transitions: list[Row] = field(default_factory=list)
    timers: list[Row] = field(default_factory=list)
    objects: list[Row] = field(default_factory=list)
    orders: list[Row] = field(default_factory=list)

    @property
    def journeys(self) -> list[tuple[str, int]]:
        """The journeys that have rows, each with its version."""
        rows = (*self.outcomes, *self.transitions, *self.objects)
        return sorted({(row["journey"], row["journey_version"]) for row in rows})

    def keep(self, chosen: Collection[tuple[str, int]], active: dict[str, int]) -> None:
        """Drops the rows of other versions: those chosen are told where there are some, else the active."""
        there = {named for named in self.journeys if named in chosen}
        for name in ("outcomes", "transitions", "timers", "objects"):
            kept = [row for row in getattr(self, name) if _is_wanted(row, there, active)]
            setattr(self, name, kept)


def _is_wanted(row: Row, there: Collection[tuple[str, int]], active: dict[str, int]) -> bool:
    journey, version = row["journey"], row["journey_version"]
    if any(name == journey for name, _ in there):
        return (journey, version) in there
    return bool(active.get(journey, version) == version)


def ask(reader: Reader, name: str, views: Collection[str] = (), **parameters: object) -> list[Row]:
    """The answer to one of the questions in `sql/explain`, from all versions of what is in `views`."""
    text = (QUESTIONS / f"{name}.sql").read_text("utf-8")
    statement = "\n".join(line for line in text.splitlines() if not line.startswith("--"))
    for view in views:
        statement = re.sub(rf"\bbi\.{view}\b", f"bi.{view}_all", statement)
    rows: list[Row] = reader.query(statement, parameters).to_pylist()
    return rows


def find(reader: Reader, wanted: str) -> list[Found]:
    """The visitors whose events carry the id, those first whose own id it is."""
    found: dict[Whose, list[Row]] = {}
    for row in ask(reader, "find", id=wanted):
        found.setdefault(Whose(row["site"], row["visitor_id"]), []).append(row)
    several = [
        Found(whose, tuple(row["what"] for row in rows), max(row["events"] for row in rows))
        for whose, rows in found.items()
    ]
    return sorted(several, key=lambda one: "visitor" not in one.kinds)


def tell(reader: Reader, whose: Whose, chosen: Collection[tuple[str, int]] = ()) -> Told:
    """Everything about a visitor who has events, by the active versions of journeys or those chosen."""
    who: dict[str, Any] = {"site": whose.site, "visitor": whose.visitor_id}
    told = Told(whose, ask(reader, "events", **who, most=EVENTS_MAX))
    first, last = told.events[0]["at"], told.events[-1]["at"]
    when = {"since": _seconds(first - AROUND), "until": _seconds(last + AROUND)}
    active = {row["journey"]: row["version"] for row in ask(reader, "active")}
    # The views show active versions only: those of all are asked where another one is wanted.
    has_others = any(active.get(name) != version for name, version in chosen)
    views = VERSIONED if has_others else ()
    for name in ("sessions", "outcomes", "transitions", "timers", "objects"):
        setattr(told, name, ask(reader, name, views, **who, **when))
    told.keep(chosen, active)
    ids = {row["order_id"] for row in told.events} - {""}
    told.orders = ask(reader, "orders", **who, ids=sorted(ids))
    return told


def _seconds(at: datetime) -> int:
    return int(at.timestamp())
