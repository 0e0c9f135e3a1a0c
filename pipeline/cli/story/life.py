"""The life of one cart, checkout or payment, and the rule or deadline behind each turn of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, NamedTuple

from pipeline.cli.story.asked import Row
from pipeline.cli.story.definitions import Definition
from pipeline.cli.story.lines import BACK, FAINT, LOST, ON
from pipeline.cli.story.words import amount, duration, moment
from schemas.objects import KINDS, Object, Objects
from schemas.predicates import Predicate

BROWSE: Final = KINDS[0]


class Happening(NamedTuple):
    """One thing in the life of an object. What has an event behind it is told beneath that event: the one of
    the order, or best one for which `means` holds, the condition that stands at `place`.
    """

    at: datetime
    text: str
    style: str
    has_event: bool = True
    means: Predicate | None = None
    place: str = ""
    order_id: str = ""


def titles(rows: Sequence[Row]) -> dict[str, str]:
    """What each object is called: `cart`, or `cart 2` where there are several."""
    total, count = Counter(row["kind"] for row in rows), Counter[str]()
    names = {}
    for row in rows:
        count[row["kind"]] += 1
        several = total[row["kind"]] > 1
        names[row["object_id"]] = f"{row['kind']} {count[row['kind']]}" if several else row["kind"]
    return names


class Life:
    """Tells what happened to the objects of a journey."""

    def __init__(self, rows: Sequence[Row], definition: Definition | None) -> None:
        self._titles = titles(rows)
        self._definition = definition
        self._objects: Objects | None = definition.journey.objects if definition else None

    def of(self, row: Row) -> Iterator[Happening]:
        """What happened to one of them."""
        kind = self._kind(row)
        text = f"+ {self._title(row)} opened"
        yield Happening(
            row["opened_at"],
            text,
            ON,
            means=kind.when if kind else None,
            place=self._at(f"{row['kind']}.when"),
        )
        yield from self._at_risk(row, kind)
        if time(row["abandoned_at"]):
            yield self._abandoned(row, kind)
        if time(row["resolved_at"]) and row["state"] != "abandoned":
            yield self._ended(row)

    def _at_risk(self, row: Row, kind: Object | None) -> Iterator[Happening]:
        """Nobody writes down when: it is so long before the deadline as the definition says."""
        deadline = time(row["deadline_at"])
        if kind is None or self._objects is None or deadline is None:
            return
        timing = self._objects.timing(kind.kind, row["site"])
        if timing.at_risk_after_ms is None or timing.abandon_after_ms is None:
            return
        at = deadline - timedelta(milliseconds=timing.abandon_after_ms - timing.at_risk_after_ms)
        ended = time(row["abandoned_at"]) or time(row["resolved_at"])
        if row["state"] == "at_risk" or (ended is not None and ended > at):
            place = self._at(f"{row['kind']}.at_risk_after")
            silence = duration(timing.at_risk_after_ms)
            text = f"! {self._title(row)} at risk: nothing for {silence} (at_risk_after, {place})"
            yield Happening(at, text, BACK, has_event=False)

    def _abandoned(self, row: Row, kind: Object | None) -> Happening:
        why = "its session ended" if row["kind"] == BROWSE else "its deadline passed"
        if kind is not None and self._objects is not None and row["kind"] != BROWSE:
            after_ms = self._objects.timing(kind.kind, row["site"]).abandon_after_ms or 0
            place = self._at(f"{row['kind']}.abandon_after")
            why = f"nothing for {duration(after_ms)} (abandon_after, {place})"
        text = f"✗ {self._title(row)} abandoned: {why}{worth(row)}"
        return Happening(row["abandoned_at"], text, LOST, has_event=False)

    def _ended(self, row: Row) -> Happening:
        at, titled = row["resolved_at"], self._title(row)
        by: str = row.get("order_id") or ""
        order = f" by order {by}" if by else ""
        match row["state"]:
            case "completed":
                return Happening(at, f"✓ {titled} completed{order}", ON, order_id=by)
            case "withdrawn":
                means = self._objects.withdrawn if self._objects else None
                text = f"✗ {titled} withdrawn: given up on purpose"
                return Happening(at, text, BACK, means=means, place=self._at("withdrawn"))
            case "superseded":
                successor = self._titles.get(row["successor_id"], "another")
                return Happening(at, f"· {titled} superseded by {successor}", FAINT)
            case "recovered":
                back = amount(row["recovered_value"] or Decimal(0), row["currency"])
                return Happening(at, f"✓ {titled} recovered{order}: {back}", ON, order_id=by)
            case "void":
                told = max(
                    at, time(row["abandoned_at"]) or at
                )  # nobody knew before, so it is told after that
                late = f"it came late, but was placed at {moment(at, told)}"
                text = f"✓ {titled} was not abandoned after all (void){order}: {late}"
                return Happening(told, text, ON, has_event=False)
            case "expired":
                window = f" within {duration(self._objects.recovery_window_ms)}" if self._objects else ""
                text = f"· {titled} expired: no order{window}"
                return Happening(at, text, FAINT, has_event=False)
            case other:
                return Happening(at, f"· {titled} {other}", FAINT)

    def _title(self, row: Row) -> str:
        return self._titles[row["object_id"]]

    def _kind(self, row: Row) -> Object | None:
        kinds = self._objects.kinds if self._objects else ()
        return next((kind for kind in kinds if KINDS[kind.kind - 1] == row["kind"]), None)

    def _at(self, part: str) -> str:
        return self._definition.at(f"objects.{part}") if self._definition else ""


def worth(row: Row) -> str:
    """The value at risk, where there is one."""
    value = row["value_at_risk"]
    return f"; {amount(value, row['currency'])} at risk" if value else ""


def time(at: datetime | None) -> datetime | None:
    """A time of a row; the epoch stands for none."""
    return None if at is None or at.timestamp() == 0 else at
