"""The life of one cart, checkout or payment, and the rule or deadline behind each turn of it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from pipeline.cli.story.activity import Acts
from pipeline.cli.story.asked import Row
from pipeline.cli.story.definitions import Definition
from pipeline.cli.story.lines import BACK, FAINT, LOST, ON
from pipeline.cli.story.words import amount, duration, moment
from schemas.objects import KINDS, Object, Objects
from schemas.predicates import Predicate

BROWSE: Final = KINDS[0]
UNKNOWN: Final = "with no cart or product to tell them apart"


class Happening(NamedTuple):
    """One thing in the life of an object. What has an event behind it is told beneath that event: the one of
    the order, or the first for which a condition in `means` holds. Where that is worth a word, `place` is
    where it stands.
    """

    at: datetime
    text: str
    style: str
    has_event: bool = True
    means: Sequence[Predicate] = ()
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

    def __init__(
        self, rows: Sequence[Row], orders: Sequence[Row], definition: Definition | None, acts: Acts
    ) -> None:
        self._titles = titles(rows)
        self._kinds = {row["object_id"]: row["kind"] for row in rows}
        self._orders = {row["order_id"]: row for row in orders}
        self._definition = definition
        self._objects: Objects | None = definition.journey.objects if definition else None
        self._acts = acts
        self._carts: dict[str, set[str]] = defaultdict(set)
        for row in rows:
            self._carts[row["chain_id"]].add(row["cart_id"])

    def of(self, row: Row) -> Iterator[Happening]:
        """What happened to one of them."""
        place = self._at(f"{row['kind']}.when")
        means = self._when(row["kind"])
        yield Happening(row["opened_at"], f"+ {self.title(row)} opened", ON, means=means, place=place)
        yield from self._at_risk(row)
        if time(row["abandoned_at"]):
            yield self._abandoned(row)
        if time(row["resolved_at"]) and row["state"] != "abandoned":
            yield self._ended(row)

    def _at_risk(self, row: Row) -> Iterator[Happening]:
        """Nobody writes down when: it is so long before the deadline as the definition says."""
        deadline, kind = time(row["deadline_at"]), self.kind(row)
        if kind is None or self._objects is None or deadline is None:
            return
        timing = self._objects.timing(kind.kind, row["site"])
        if timing.at_risk_after_ms is None or timing.abandon_after_ms is None:
            return
        at = deadline - timedelta(milliseconds=timing.abandon_after_ms - timing.at_risk_after_ms)
        until = ended(row)
        if row["state"] == "at_risk" or (until is not None and until > at):
            place = self._at(f"{row['kind']}.at_risk_after")
            silence = duration(timing.at_risk_after_ms)
            text = f"! {self.title(row)} at risk: nothing for {silence} (at_risk_after, {place})"
            yield Happening(at, text, BACK, has_event=False)

    def _abandoned(self, row: Row) -> Happening:
        kind, after_ms = self.kind(row), self.abandon_after_ms(row)
        why = "its deadline passed"
        if row["kind"] == BROWSE:
            why = "its session ended, with neither cart nor order"
        elif kind and after_ms is not None:
            last = self._acts.last(kind.kind, row["opened_at"], row["deadline_at"], after_ms)
            event = last.line.event if last else None
            since = (
                f" since {event['event']} at {moment(last.second, row['abandoned_at'])}"
                if last and event
                else ""
            )
            place = self._at(f"{row['kind']}.abandon_after")
            why = f"nothing for {duration(after_ms)}{since} (abandon_after, {place})"
        text = f"✗ {self.title(row)} abandoned: {why}{worth(row)}"
        return Happening(row["abandoned_at"], text, LOST, has_event=False)

    def _ended(self, row: Row) -> Happening:
        at, titled = row["resolved_at"], self.title(row)
        match row["state"]:
            case "completed":
                return self._completed(row)
            case "withdrawn":
                means = [self._objects.withdrawn] if self._objects and self._objects.withdrawn else []
                text = f"✗ {titled} withdrawn: given up on purpose"
                return Happening(at, text, BACK, means=means, place=self._at("withdrawn"))
            case "superseded":
                after = row["successor_id"]
                text = f"· {titled} superseded by {self._titles.get(after, 'another')}"
                return Happening(at, text, FAINT, means=self._when(self._kinds.get(after, "")))
            case "recovered":
                return self._recovered(row)
            case "void":
                return self._void(row)
            case "open":
                text = f"· {titled} forgotten while it was open: too many were (bi.limits)"
                return Happening(at, text, FAINT, has_event=False)
            case "expired" if row["is_evicted"]:
                text = f"· {titled} expired early: too many were waiting for an order"
                return Happening(at, text, FAINT, has_event=False)
            case "expired":
                text = f"· {titled} expired: no order {self._window()}"
                return Happening(at, text, FAINT, has_event=False)
            case other:
                return Happening(at, f"· {titled} {other}", FAINT)

    def _completed(self, row: Row) -> Happening:
        """By an order; or browsing by whatever opened something higher."""
        by, text = row["order_id"], f"✓ {self.title(row)} completed"
        if by:
            return Happening(row["resolved_at"], f"{text} by order {by}{self._alike(row)}", ON, order_id=by)
        higher = [predicate for kind in KINDS[1:] for predicate in self._when(kind)]
        return Happening(row["resolved_at"], text, ON, means=higher)

    def _recovered(self, row: Row) -> Happening:
        by, at = row["order_id"], row["resolved_at"]
        order = self._orders.get(by)
        back = ""
        if row["recovered_value"]:
            back = f": {amount(row['recovered_value'], row['recovered_currency'])}"
        elif order and order["value"]:
            back = ": its value counts for another that it recovered"
        after = duration(int((at - row["abandoned_at"]).total_seconds()) * 1000)
        why = f"{after} after it was abandoned, {self._window()}{self._alike(row, or_else=UNKNOWN)}"
        return Happening(at, f"✓ {self.title(row)} recovered by order {by}{back}, {why}", ON, order_id=by)

    def _void(self, row: Row) -> Happening:
        """Told after it was abandoned: nobody knew before."""
        at = row["resolved_at"]
        told = max(at, time(row["abandoned_at"]) or at)
        order = f"order {row['order_id']}{self._alike(row, ',', UNKNOWN)}"
        late = f"{order} came late, but was placed at {moment(at, told)}, by its deadline"
        text = f"✓ {self.title(row)} was not abandoned after all (void): {late}"
        return Happening(told, text, ON, has_event=False)

    def _alike(self, row: Row, after: str = "", or_else: str = "") -> str:
        """By what an order was found to be about it, as far as the rows still tell; `after` ends it."""
        order = self._orders.get(row["order_id"])
        if order is None or row["kind"] == BROWSE:
            return ""
        if order["cart_id"] and order["cart_id"] in self._carts[row["chain_id"]]:
            return f", of the same cart {order['cart_id']}{after}"
        common = [product for product in order["products"] if product in row["products"]]
        if common:
            return f", with the same product {common[0]}{after}"
        return f", {or_else}{after}" if or_else else ""

    def _window(self) -> str:
        """The recovery window, in words."""
        if self._objects is None:
            return "in time"
        place = self._at("recovery_window")
        return f"within {duration(self._objects.recovery_window_ms)} (recovery_window, {place})"

    def title(self, row: Row) -> str:
        """What it is called."""
        return self._titles[row["object_id"]]

    def kind(self, row: Row) -> Object | None:
        """Its kind, as the definition is now."""
        return self._kind(row["kind"])

    def abandon_after_ms(self, row: Row) -> int | None:
        """How long it may go without activity."""
        kind = self.kind(row)
        return (
            self._objects.timing(kind.kind, row["site"]).abandon_after_ms if self._objects and kind else None
        )

    def _kind(self, name: str) -> Object | None:
        kinds = self._objects.kinds if self._objects else ()
        return next((kind for kind in kinds if KINDS[kind.kind - 1] == name), None)

    def _when(self, name: str) -> list[Predicate]:
        kind = self._kind(name)
        return [kind.when] if kind else []

    def _at(self, part: str) -> str:
        return self._definition.at(f"objects.{part}") if self._definition else ""


def worth(row: Row) -> str:
    """The value at risk, where there is one."""
    value = row["value_at_risk"]
    return f"; {amount(value, row['currency'])} at risk" if value else ""


def ended(row: Row) -> datetime | None:
    """When nothing could happen to it any more; none while it is open."""
    return time(row["abandoned_at"]) or time(row["resolved_at"])


def time(at: datetime | None) -> datetime | None:
    """A time of a row; the epoch stands for none."""
    return None if at is None or at.timestamp() == 0 else at
