"""What the database says of one visitor: the questions, with what is asked for bound to them."""

from __future__ import annotations

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


def ask(reader: Reader, name: str, **parameters: object) -> list[Row]:
    """The answer to one of the questions in `sql/explain`."""
    text = (QUESTIONS / f"{name}.sql").read_text("utf-8")
    statement = "\n".join(line for line in text.splitlines() if not line.startswith("--"))
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


def tell(reader: Reader, whose: Whose) -> Told:
    """Everything about a visitor who has events."""
    who: dict[str, Any] = {"site": whose.site, "visitor": whose.visitor_id}
    told = Told(whose, ask(reader, "events", **who, most=EVENTS_MAX))
    first, last = told.events[0]["at"], told.events[-1]["at"]
    when = {"since": _seconds(first - AROUND), "until": _seconds(last + AROUND)}
    for name in ("sessions", "outcomes", "transitions", "timers"):
        setattr(told, name, ask(reader, name, **who, **when))
    views = {row["name"] for row in ask(reader, "views")}
    if "abandonments" in views:
        told.objects = ask(reader, "objects", **who)
    if "orders" in views:
        ids = {row["order_id"] for row in told.events} - {""}
        told.orders = ask(reader, "orders", **who, ids=sorted(ids))
    return told


def _seconds(at: datetime) -> int:
    return int(at.timestamp())
