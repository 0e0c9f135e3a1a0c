"""The oracle's third part: orders, objects, and what becomes of them after they were abandoned.

Per visitor and journey, from what happens in order of time; see schemas/README.md for the rules in words.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Any

from schemas.objects import BROWSE, CART, KINDS, Objects
from schemas.orders import KINDS as ORDER_KINDS
from schemas.orders import PLACED, Orders
from schemas.predicates import matches
from schemas.tables import DIMS

if TYPE_CHECKING:
    from schemas.journeys import Journey
    from tests.oracle import Rows, Session

Row = dict[str, Any]

DAY = 24 * 3_600_000
REPEAT_WINDOW = 365 * DAY
CARTS_MAX = 4
PRODUCTS_MAX = 16
MERGES_MAX = 16
VALUE_MAX = 10**18
REMOVES, WITHDRAWS, ORDERS, CLOSES = 2, 5, 6, 9
"""Beside the kinds 1 to 4: the order of what happens at one and the same time."""


# --- which records are orders, and which of them are repeats ------------------------------------------------


def order_kind(event: Row, orders: Orders | None) -> int:
    """PLACED, REFUNDED, CANCELLED or 0: the first condition that holds."""
    predicates = orders.predicates if orders else ()
    return next((kind for kind, one in enumerate(predicates, start=1) if matches(one, event)), 0)


def order_name(event: Row) -> str:
    return event["order_id"] or event["event_id"]


def mark_repeats(events: Iterable[Row]) -> None:
    """The first record of an order_id is the order; the others within 365 days are repeats."""
    first: dict[tuple[str, str], int] = {}
    placed = [event for event in events if event["order"] == PLACED]
    for event in sorted(placed, key=lambda one: (one["at"], one["partition"], one["position"])):
        name = (event["site"], order_name(event))
        if name in first and event["at"] <= first[name] + REPEAT_WINDOW:
            event["is_repeat"] = True
        else:
            first[name] = event["at"]


def write_order(event: Row, session: Session | None, rows: Rows) -> None:
    """The row of an order, a refund or a cancellation."""
    common = {"site": event["site"], "order_id": order_name(event), "at": event["event_at"]}
    common |= {"value_e4": event["value"], "currency": event["currency"], "is_late": event["is_late"]}
    if event["order"] != PLACED:
        kind = ORDER_KINDS[event["order"] - 1]
        rows.order_changes.append(
            common
            | {"change_id": event["event_id"], "kind": kind}
            | {"partition": event["partition"], "position": event["position"]}
        )
        return
    who = event["user_id"] or event["visitor_id"]
    rows.orders.append(
        common
        | {
            "visitor_id": event["visitor_id"],
            "person_id": session.person_id(event["at"]) if session else who,
            "session": session.started_at if session else None,
            "event_id": event["event_id"],
            "products": [product for product in event["products"] if product],
            "cart_id": event["cart_id"],
        }
        | (session.dims_of(event) if session else {dim: event[dim] for dim in DIMS})
    )


# --- objects ----------------------------------------------------------------------------------------------


@dataclass
class Thing:
    """A visit's browsing, a cart, a checkout or a payment."""

    kind: int
    number: int
    session: Session
    opened_at: int
    active_at: int
    dims: Row
    person_id: str
    products: list[str]
    value: int
    cart_id: str
    currency: str = ""
    state: str = "open"
    deadline_at: int = 0
    abandoned_at: int = 0
    resolved_at: int = 0
    order_id: str = ""
    successor: Thing | None = None
    version: int = 1


@dataclass
class Chain:
    """Objects that followed each other; the last is the one that is open."""

    things: list[Thing]
    carts: list[str] = field(default_factory=list)
    knows_products: bool = True
    currency: str | None = None
    merges: int = 0
    end: str = "open"
    sessions: list[Session] = field(default_factory=list)  # that took part

    @property
    def last(self) -> Thing:
        return self.things[-1]

    def matches(self, event: Row) -> bool:
        """Whether this is what the order was about."""
        products = {product for product in event["products"] if product}
        mine = set(self.last.products) if self.knows_products else set()
        if len(products) > PRODUCTS_MAX:
            products = set()
        if event["cart_id"] in self.carts or mine & products:
            return True
        return not (event["cart_id"] and self.carts) and not (mine and products)


@dataclass(frozen=True)
class Happening:
    """An event, or the close of a session."""

    at: int
    code: int
    session: Session | None
    event: Row | None
    kind: int = 0
    removes: bool = False
    withdraws: bool = False


class Life:
    """The objects of one visitor in one journey."""

    def __init__(self, journey: Journey, rows: Rows) -> None:
        assert journey.objects is not None
        self.journey, self.objects, self.rows = journey, journey.objects, rows
        self.chain: Chain | None = None
        self.chains: list[Chain] = []
        self.orders: list[Row] = []

    def run(self, happenings: Sequence[Happening], time: float) -> None:
        for happening in happenings:
            self.fire_before(happening.at)
            self.apply(happening)
        self.fire_before(time)
        for chain in self.chains:
            self.write(chain)
            if chain.end == "abandoned":
                self.follow(chain, time)

    # --- what happens ---

    def apply(self, now: Happening) -> None:
        if now.code == CLOSES:
            if self.chain and self.chain.last.kind == BROWSE and self.chain.last.session is now.session:
                self.end(self.chain, "abandoned", now.at)
                self.chain_abandoned(now.at)
            return
        assert now.event is not None
        if now.session:
            self.apply_intent(now, now.session, now.event)
        if now.event["order"] == PLACED and not now.event["is_repeat"]:
            self.apply_order(now, now.event)

    def apply_intent(self, now: Happening, session: Session, event: Row) -> None:
        chain = self.chain
        is_cart = chain is not None and chain.last.kind >= CART
        if now.withdraws and chain and is_cart:
            self.join(chain, session)
            self.end(chain, "withdrawn", now.at)
            self.chain = None
            return
        if now.removes and not now.kind and chain and is_cart:
            self.touch(chain, session, event, removes=True)
        if not now.kind:
            return
        if chain is None:
            self.open(now.kind, session, event)
        elif not is_cart and now.kind == BROWSE:
            self.touch(chain, session, event)
        elif not is_cart:
            self.end(chain, "completed", now.at)
            self.open(now.kind, session, event)
        elif now.kind == BROWSE:
            pass
        elif now.kind > chain.last.kind:
            self.supersede(chain, now.kind, session, event)
        elif now.kind == chain.last.kind and self.is_another_cart(chain, event):
            chain.merges += 1
            self.supersede(chain, now.kind, session, event)
        else:
            self.touch(chain, session, event, kind=now.kind)

    def is_another_cart(self, chain: Chain, event: Row) -> bool:
        own = event["cart_id"]
        return bool(own and chain.carts and own not in chain.carts and chain.merges < MERGES_MAX)

    def apply_order(self, now: Happening, event: Row) -> None:
        self.orders.append(event)
        chain = self.chain
        if chain is None or chain.things[0].opened_at > event["event_at"]:
            return
        is_cart = chain.last.kind >= CART
        if is_cart and not chain.matches(event):
            return
        if is_cart and now.session:
            self.join(chain, now.session)
        chain.last.order_id = order_name(event)
        self.end(chain, "completed", event["event_at"])
        self.chain = None

    # --- what it does ---

    def open(self, kind: int, session: Session, event: Row) -> Thing:
        thing = self.thing(kind, session, event)
        self.chain = Chain([thing])
        self.chains.append(self.chain)
        self.learn(self.chain, session, event, kind)
        return thing

    def supersede(self, chain: Chain, kind: int, session: Session, event: Row) -> None:
        old, thing = chain.last, self.thing(kind, session, event)
        old.state, old.resolved_at, old.successor = "superseded", event["at"], thing
        old.version += 1
        thing.products, thing.value, thing.cart_id = list(old.products), old.value, old.cart_id
        thing.currency = old.currency
        chain.things.append(thing)
        self.learn(chain, session, event, kind)

    def thing(self, kind: int, session: Session, event: Row) -> Thing:
        at = event["at"]
        number = 1 + next(k for k, one in enumerate(session.events) if one is event)
        return Thing(kind, number, session, at, at, session.dims_of(event), "", [], 0, "")

    def touch(
        self, chain: Chain, session: Session, event: Row, *, kind: int = 0, removes: bool = False
    ) -> None:
        chain.last.version += 1
        self.learn(chain, session, event, kind or (BROWSE if chain.last.kind == BROWSE else 0), removes)

    def learn(self, chain: Chain, session: Session, event: Row, kind: int, removes: bool = False) -> None:
        """What the event says of the object that is open; its deadline runs anew."""
        thing = chain.last
        if thing.kind >= CART:
            self.join(chain, session)
        thing.person_id = session.person_id(event["at"])
        thing.active_at, thing.state = event["at"], "open"
        thing.deadline_at = self.deadline(thing)
        if event["cart_id"]:
            thing.cart_id = event["cart_id"]
            if event["cart_id"] not in chain.carts:
                chain.carts = [*chain.carts, event["cart_id"]][-CARTS_MAX:]
        self.learn_products(chain, event, removes)
        self.learn_value(chain, event, kind, removes)

    def learn_products(self, chain: Chain, event: Row, removes: bool) -> None:
        products = chain.last.products
        for product in event["products"]:
            if removes and product in products:
                products.remove(product)
            elif product and not removes and product not in products:
                if len(products) < PRODUCTS_MAX:
                    products.append(product)
                else:
                    chain.knows_products = False

    def learn_value(self, chain: Chain, event: Row, kind: int, removes: bool) -> None:
        thing, value = chain.last, event["value"]
        if value <= 0:
            return
        if chain.currency is None and not removes and kind == thing.kind:
            chain.currency = thing.currency = event["currency"]
        if event["currency"] != chain.currency:
            return
        if removes and thing.kind == CART:
            thing.value = max(0, thing.value - value)
        elif kind == thing.kind:
            thing.value = min(VALUE_MAX, thing.value + value) if kind == CART else min(VALUE_MAX, value)

    def join(self, chain: Chain, session: Session) -> None:
        if session not in chain.sessions:
            chain.sessions.append(session)

    def end(self, chain: Chain, state: str, at: int) -> None:
        """The chain's end: its superseded objects learn of it too."""
        chain.end = state
        for thing in chain.things:
            thing.version += 1
        chain.last.state, chain.last.resolved_at = state, at

    # --- time ---

    def deadline(self, thing: Thing) -> int:
        timing = self.objects.timing(thing.kind, thing.session.events[0]["site"])
        return thing.active_at + timing.abandon_after_ms if timing.abandon_after_ms else 0

    def fire_before(self, time: float) -> None:
        chain = self.chain
        if chain is None or chain.last.kind == BROWSE:
            return
        thing = chain.last
        timing = self.objects.timing(thing.kind, thing.session.events[0]["site"])
        risk = timing.at_risk_after_ms
        if risk and thing.state == "open" and thing.active_at + risk < time:
            thing.state = "at_risk"
            thing.version += 1
        if thing.deadline_at < time:
            self.end(chain, "abandoned", thing.deadline_at)
            self.chain_abandoned(thing.deadline_at)

    def chain_abandoned(self, at: int) -> None:
        assert self.chain is not None
        self.chain.last.abandoned_at = at
        self.count(at, self.chain, "abandoned")
        self.chain = None

    # --- after it was abandoned ---

    def follow(self, chain: Chain, time: float) -> None:
        """Void, recovered or expired, by the orders that came while it was remembered."""
        abandoned_at = chain.last.abandoned_at
        ends_at = abandoned_at + self.objects.recovery_window_ms
        found: Row = {}
        version = 0
        for event in self.orders:
            if not abandoned_at < event["at"] <= ends_at or not chain.matches(event):
                continue
            if event["event_at"] <= abandoned_at:
                if event["event_at"] < chain.things[0].opened_at or found.get("state") == "void":
                    continue
                state, value = "void", 0
            elif not found:
                state, value = "recovered", self.recovered_value(chain, event)
            else:
                continue
            version += 1
            self.count(event["at"], chain, "voided" if state == "void" else "recovered")
            found = {"state": state, "resolved_at": event["event_at"], "order_id": order_name(event)}
            found |= {"recovered_value_e4": value, "currency": event["currency"] if value else ""}
        if not found and ends_at < time:
            version = 1
            found = {"state": "expired", "resolved_at": ends_at, "order_id": ""}
            found |= {"recovered_value_e4": 0, "currency": ""}
        if found:
            row = self.names(chain) | found | {"is_evicted": False, "version": version}
            self.rows.outcomes.append(row | {"abandoned_at": abandoned_at // 1000 * 1000})

    def recovered_value(self, chain: Chain, event: Row) -> int:
        """The order's value goes to the cart (or higher) abandoned last of those that it recovers; where
        there is none, to the browsing.
        """
        recovered = [other for other in self.chains if self.is_recovered_by(other, event)]
        best = max(recovered, key=lambda other: (other.last.kind >= CART, other.last.abandoned_at))
        return int(event["value"]) if best is chain else 0

    def is_recovered_by(self, chain: Chain, event: Row) -> bool:
        if chain.end != "abandoned" or event["event_at"] <= chain.last.abandoned_at:
            return False
        first = not any(self.resolves(earlier, chain) for earlier in self.before(event))
        return first and self.resolves(event, chain)

    def before(self, event: Row) -> list[Row]:
        return self.orders[: self.orders.index(event)]

    def resolves(self, event: Row, chain: Chain) -> bool:
        at = chain.last.abandoned_at
        in_time = at < event["at"] <= at + self.objects.recovery_window_ms
        return in_time and chain.matches(event) and event["event_at"] >= chain.things[0].opened_at

    # --- rows ---

    def names(self, chain: Chain) -> Row:
        first = chain.things[0]
        return {
            "site": first.session.name["site"],
            "journey": self.journey.name,
            "journey_version": self.journey.version,
            "chain": self.name(first),
        }

    def name(self, thing: Thing) -> tuple[Any, ...]:
        named = thing.session.name
        return (named["partition"], named["visitor_id"], named["started_at"], thing.number)

    def rank(self, thing: Thing) -> int:
        return next(one.rank for one in self.objects.kinds if one.kind == thing.kind)

    def stage(self, thing: Thing) -> str:
        return self.journey.stages[self.rank(thing) - 1].name

    def write(self, chain: Chain) -> None:
        for thing in chain.things:
            row = self.names(chain) | {
                "object": self.name(thing),
                "visitor_id": thing.session.name["visitor_id"],
                "person_id": thing.person_id,
                "kind": KINDS[thing.kind - 1],
                "stage": self.stage(thing),
                "rank": self.rank(thing),
                "state": thing.state,
                "final_state": chain.end,
                "opened_at": thing.opened_at,
                "deadline_at": thing.deadline_at,
                "abandoned_at": thing.abandoned_at,
                "resolved_at": thing.resolved_at,
                "successor": self.name(thing.successor) if thing.successor else None,
                "order_id": thing.order_id,
                "cart_id": thing.cart_id,
                "products": thing.products,
                "value_e4": thing.value,
                "currency": thing.currency,
                "version": thing.version,
            }
            self.rows.objects.append(row | thing.dims)
        for session in chain.sessions:
            ended = chain.end != "open"
            row = self.names(chain) | {
                "session": session.started_at,
                "state": chain.end,
                "stage": self.stage(chain.last) if ended else "",
                "rank": self.rank(chain.last) if ended else 0,
                "version": 1 + ended,
            }
            self.rows.participations.append(row)

    def count(self, at: int, chain: Chain, what: str) -> None:
        thing = chain.last
        names = (thing.session.name["site"], self.journey.name, self.journey.version)
        dims = (thing.dims["device"], thing.dims["channel"])
        key = (*names, at // 60_000 * 60_000, self.stage(thing), *dims, "")
        self.rows.funnel[key][what] += 1


def outcome(rows: Rows, session: Row, entry: Row) -> tuple[str, str]:
    """How a session ended in a journey, and the stage that was abandoned: by its own and by its objects."""
    void = {row["chain"] for row in rows.outcomes if row["state"] == "void"}
    chains = [
        row
        for row in rows.participations
        if (row["site"], row["journey"], row["chain"][1], row["session"])
        == (session["site"], entry["journey"], session["visitor_id"], session["started_at"])
    ]
    if entry["outcome"] == "converted" or any(
        row["state"] == "completed" or row["chain"] in void for row in chains
    ):
        return "converted", ""
    if entry["outcome"] == "open" or any(row["state"] == "open" for row in chains):
        return "open", ""
    lost = max(
        (row for row in chains if row["state"] == "abandoned"), key=lambda row: row["rank"], default=None
    )
    return ("abandoned", lost["stage"]) if lost else (entry["outcome"], entry["abandoned_stage"])


# --- in which order ---------------------------------------------------------------------------------------


def happenings(sessions: Sequence[Session], outsiders: Sequence[Row], objects: Objects) -> list[Happening]:
    """What happens to one visitor, in order. `outsiders` are orders outside any session: passive or late."""
    sorted_: list[tuple[tuple[int, int, int, int], Happening]] = []
    first_at: dict[int, int] = {}  # the first session with an event at this time that means something
    for number, session in enumerate(sessions):
        for event in session.events:
            now = of_event(event, session, objects)
            if now.code:
                first_at.setdefault(event["at"], number)
            sorted_.append(((event["at"], number, now.code, event["nth"]), now))
        if session.is_closed and session.closed_at < inf:
            at = int(session.closed_at)
            sorted_.append(((at, number, CLOSES, 0), Happening(at, CLOSES, session, None)))
    for event in outsiders:
        place = (event["at"], first_at.get(event["at"], -1), ORDERS, event["nth"] - 10**9)
        sorted_.append((place, Happening(event["at"], ORDERS, None, event)))
    return [happening for _, happening in sorted(sorted_, key=lambda one: one[0])]


def of_event(event: Row, session: Session, objects: Objects) -> Happening:
    kinds = (one.kind for one in objects.kinds if matches(one.when, event))
    kind = max(kinds, default=0)
    removes = any(one.removes and matches(one.removes, event) for one in objects.kinds)
    withdraws = bool(objects.withdrawn and matches(objects.withdrawn, event))
    if event["order"] == PLACED and not event["is_repeat"]:
        code = ORDERS
    else:
        code = WITHDRAWS if withdraws else kind or (REMOVES if removes else 0)
    return Happening(event["at"], code, session, event, kind, bool(removes), withdraws)
