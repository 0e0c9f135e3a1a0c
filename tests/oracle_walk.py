"""The oracle's second half: the way of one session through one journey (the first half: tests/oracle.py)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from schemas.predicates import matches
from schemas.tables import DIMS

if TYPE_CHECKING:
    from schemas.journeys import Journey, Stage
    from tests.oracle import Rows, Session

Row = dict[str, Any]

MINUTE = 60_000
PATH_MAX = 16


def minute(at: float) -> int:
    """The start of the minute."""
    return int(at) // MINUTE * MINUTE


@dataclass
class Visit:
    """A stay in a stage. `deadline_at` moves with activity until the timer fires; 0 is no timer."""

    stage: str
    rank: int
    entered_at: int
    deadline_at: int
    dims: Row
    person_id: str
    left_at: int = 0
    left_by: str = "open"
    settled: bool = False
    has_fired: bool = False

    def end(self, at: int, by: str) -> None:
        self.left_at, self.left_by, self.settled = at, by, True

    def row(self) -> Row:
        columns = asdict(self)
        del columns["dims"], columns["person_id"], columns["has_fired"]
        return columns | self.dims


class Walk:
    """The visits of one session to the stages of one journey; the last is where it stands."""

    def __init__(self, journey: Journey, session: Session, rows: Rows) -> None:
        self.journey, self.session, self.rows = journey, session, rows
        self.names = {"journey": journey.name, "journey_version": journey.version}
        self.visits: list[Visit] = []
        self.entries = [(stage.rank, entry) for stage in journey.stages for entry in stage.entries]
        self.counted: Counter[int] = Counter()
        self.furthest = 0
        self.fired = 0
        self.won: Row | None = None  # the event that reached the conversion stage first

    def run(self, time: float) -> None:
        """Apply the events in this journey's order, that of the session but lower stages first at one time.

        Timers whose deadline lies before `time` fire, each in its place.
        """
        ranked = [(self.highest_match(event), event) for event in self.session.events]
        ranked.sort(key=lambda one: (one[1]["event_at"], one[0]))  # stable
        for _, event in ranked:
            self.fire_before(event["event_at"])
            self.apply(event, self.rank_of(event))
        self.fire_before(time)
        if self.session.is_closed:
            self.close()
        for visit in self.visits:
            names = self.session.name | self.names | {"person_id": visit.person_id}
            self.rows.visits.append(names | visit.row())

    def highest_match(self, event: Row) -> int:
        """By the event alone: what orders events of one and the same time. A repeated order is none."""
        if event["is_repeat"]:
            return 0
        return max((rank for rank, entry in self.entries if matches(entry.predicate, event)), default=0)

    def rank_of(self, event: Row) -> int:
        """The highest stage that the event may enter here and now. Asked once per event: it counts it."""
        if event["is_repeat"]:
            return 0
        ranks = [rank for number, (rank, _) in enumerate(self.entries) if self.holds(number, event)]
        return max(ranks, default=0)

    def holds(self, number: int, event: Row) -> bool:
        """Whether an entry's predicate and preconditions do, and enough such events have come."""
        _, entry = self.entries[number]
        entered = {visit.rank: visit.entered_at for visit in reversed(self.visits)}
        if not matches(entry.predicate, event) or entry.unless in entered:
            return False
        if entry.after and entry.after not in entered:
            return False
        if entry.after and event["event_at"] - entered[entry.after] < entry.not_before_ms:
            return False
        self.counted[number] += 1
        return self.counted[number] >= entry.at_least

    def stage(self, rank: int) -> Stage:
        return self.journey.stages[rank - 1]

    def fire_before(self, time: float) -> None:
        """The timer of the stay, if it has one that has not fired: once."""
        visit = self.visits[-1] if self.visits else None
        if visit and visit.deadline_at and not visit.has_fired and visit.deadline_at < time:
            visit.has_fired = True
            visit.end(visit.deadline_at, "abandoned")
            self.fired += 1
            self.count(visit.deadline_at, visit, abandoned=1)

    def apply(self, event: Row, rank: int) -> None:
        """At most one transition: back by explicit evidence, else into the highest stage that matches."""
        here = self.visits[-1].rank if self.visits else 0
        rules = [rule for rule in self.journey.regress if rule.to_rank < here and not event["is_repeat"]]
        back = max((rule.to_rank for rule in rules if matches(rule.predicate, event)), default=0)
        if back:
            self.move(event, back, "regress", [])
        elif rank > self.furthest:
            between = [stage for stage in self.journey.stages if self.furthest < stage.rank < rank]
            passed = [stage.name for stage in between if self.visits and not stage.optional]
            kind = "enter" if not self.visits else "skip" if passed else "advance"
            self.move(event, rank, kind, passed)
        elif rank > here:
            self.move(event, rank, "reenter", [])
        elif rank == here and self.visits and not self.visits[-1].has_fired:
            self.visits[-1].deadline_at = self.deadline(event, rank)

    def deadline(self, event: Row, rank: int) -> int:
        stage = self.stage(rank)
        if stage.abandon_after_ms is None or rank >= self.journey.conversion:
            return 0  # nobody abandons what is reached
        return int(event["event_at"]) + stage.abandon_after_ms

    def move(self, event: Row, to_rank: int, kind: str, passed: Sequence[str]) -> None:
        """Leave the stay, if there is one, and begin the next."""
        at, name, dims = event["event_at"], self.stage(to_rank).name, self.session.dims_of(event)
        person_id = self.session.person_id(until=at)
        visit = Visit(name, to_rank, at, self.deadline(event, to_rank), dims, person_id)
        if to_rank >= self.journey.conversion:
            visit.end(at, "converted")
        left = self.visits[-1] if self.visits else None
        if left and kind == "regress":
            left.end(at, "regressed")
        elif left:
            left.end(at, "advanced")
            self.count(at, left, advanced=1, recovered=int(left.has_fired))
        self.write_transition(event, left, visit, kind, passed)
        self.visits.append(visit)
        self.furthest = max(self.furthest, to_rank)
        self.count(at, visit, entered=1)
        if to_rank == self.journey.conversion and not self.won:
            self.won = event
            self.count(at, visit, event["currency"], converted=1, value_e4=event["value"])

    def write_transition(
        self, event: Row, left: Visit | None, visit: Visit, kind: str, passed: Sequence[str]
    ) -> None:
        row = {
            "person_id": visit.person_id,
            "sequence": len(self.visits) + 1,
            "at": event["event_at"],
            "from_stage": left.stage if left else "",
            "from_rank": left.rank if left else 0,
            "to_stage": visit.stage,
            "to_rank": visit.rank,
            "kind": kind,
            "skipped": ">".join(passed),
            "event_id": event["event_id"],
            "value_e4": event["value"],
            "currency": event["currency"],
            "from_entered_at": left.entered_at if left else 0,
            "from_deadline_at": left.deadline_at if left else 0,
        }
        from_dims = {"from_" + dim: left.dims[dim] if left else "" for dim in DIMS}
        self.rows.transitions.append(self.session.name | self.names | row | visit.dims | from_dims)

    def close(self) -> None:
        """The session is over: a stay short of the conversion was given up. A fired one has been counted."""
        if self.visits and self.visits[-1].left_by == "open":
            self.visits[-1].end(self.session.ended_at, "abandoned")
            if not self.journey.objects:  # else those are counted
                self.count(self.session.closed_at, self.visits[-1], abandoned=1)

    def count(self, at: float, visit: Visit, currency: str = "", **adds: int) -> None:
        names = (self.session.name["site"], self.journey.name, self.journey.version)
        key = (*names, minute(at), visit.stage, visit.dims["device"], visit.dims["channel"], currency)
        self.rows.funnel[key].update(adds)

    def outcome(self) -> str:
        if self.won:
            return "converted"
        if not self.session.is_closed:
            return "open"
        if not self.journey.objects and (self.visits[-1].has_fired or self.furthest > 1):
            return "abandoned"  # where there are objects their end says so, in a table of its own
        return "bounced" if len(self.session.events) == 1 else "browsed"

    def summary(self) -> Row:
        """What the session's row says about this journey."""
        outcome, visit = self.outcome(), self.visits[-1]
        columns = {
            "entry_stage": self.visits[0].stage,
            "furthest_stage": self.stage(self.furthest).name,
            "furthest_rank": self.furthest,
            "outcome": outcome,
            "abandoned_stage": visit.stage if outcome == "abandoned" else "",
            "path": ">".join(step.stage for step in self.visits[:PATH_MAX]),
            "value_e4": self.won["value"] if self.won else 0,
            "currency": self.won["currency"] if self.won else "",
        }
        return self.names | columns | {"visit_" + name: value for name, value in visit.row().items()}
