"""Hypothesis strategies: small streams that crowd the boundaries of the semantics.

Times are picked so that ties, gaps and deadlines hit their bounds to the millisecond far more often than
chance would have it, and lateness and duplicates hit theirs by the watermark that the record will meet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from schemas.entries import Entry
from schemas.journeys import Journey, Regress, Stage
from schemas.objects import BROWSE, CART, CHECKOUT, PAYMENT, Object, Objects, Timing
from schemas.orders import Orders
from schemas.predicates import All, Compare, Predicate
from tests.oracle import Settings
from tests.oracle_walk import MINUTE, Row

START = 1_767_311_940_000  # 2026-01-01 23:59: midnight is near
GAP = 30 * MINUTE
EVENTS = ("view", "cart", "gift", "pay", "order", "share", "emptied", "undo", "buy_now", "other")


@dataclass(frozen=True)
class Stream:
    """Records of each partition in its order (None: cannot be an event), and where batches end.

    `batches` is an interleaving that keeps each partition's order: (partition, number of records).
    """

    partitions: list[list[Row | None]]
    batches: list[tuple[int, int]]


def on(*events: str) -> Predicate:
    return Compare("event", "in", events)


ORDERS = Orders(placed=on("order", "buy_now"), refunded=on("undo"), cancelled=on("other"))


def settings() -> st.SearchStrategy[Settings]:
    """Settings as the oracle takes them, mostly the defaults."""
    return st.builds(
        Settings,
        gap_ms=st.sampled_from([GAP, GAP, 5 * MINUTE]),
        length_max_ms=st.sampled_from([24 * 60 * MINUTE, 40 * MINUTE]),
        allowed_lateness_ms=st.sampled_from([10_000, 10_000, 0, 20 * MINUTE]),
        dedup_window_ms=st.sampled_from([10 * MINUTE, MINUTE]),
        partitioned_by=st.sampled_from(["none", "visitor"]),
        split_at_midnight=st.booleans(),
        split_on_campaign=st.booleans(),
        end=st.sampled_from(["replay", "drained"]),
        orders=st.sampled_from([None, ORDERS, ORDERS]),
    )


RULES: tuple[Predicate, ...] = (
    on("view", "emptied"),
    on("cart", "buy_now"),
    on("gift", "other"),
    on("pay", "cart"),
    on("order", "buy_now"),
    on("share"),
    Compare("value", "gt", 500_000),
    All((on("view", "pay"), Compare("url", "exists", True))),
    Compare("device", "ne", "mobile"),
)


@st.composite
def entries(draw: st.DrawFn, stages: int, rule: Predicate) -> tuple[Entry, ...]:
    """The rule with something asked beside it, and sometimes another one."""
    stage = st.sampled_from([0, 0, *range(1, stages + 1)])
    made = []
    for predicate in (rule, *draw(st.lists(st.sampled_from(RULES), max_size=1))):
        after, unless = draw(stage), draw(stage)
        not_before_ms = draw(st.sampled_from([0, 0, 1_000, 5 * MINUTE])) if after else 0
        at_least = draw(st.sampled_from([1, 1, 2, 3]))
        made.append(Entry(predicate, at_least, after, not_before_ms, unless if unless != after else 0))
    return tuple(made)


@st.composite
def objects(draw: st.DrawFn, stages: int) -> Objects:
    """Some kinds with overlapping conditions, deadlines and windows short and long."""
    rank = st.integers(1, stages)
    conditions = {
        BROWSE: [on("view"), on("view", "gift")],
        CART: [on("cart"), on("cart", "gift")],
        CHECKOUT: [on("share"), on("share", "cart")],
        PAYMENT: [on("pay"), on("pay", "view")],
    }
    kinds = draw(st.lists(st.sampled_from([*conditions]), min_size=1, unique=True))
    made = []
    for kind in sorted(kinds):
        abandon_ms = draw(st.sampled_from([5 * MINUTE, 10 * MINUTE, GAP, 60 * MINUTE]))
        timing = Timing(abandon_ms, draw(st.sampled_from([None, abandon_ms // 2, abandon_ms - 1])))
        removes = draw(st.sampled_from([None, on("gift")])) if kind == CART else None
        when = draw(st.sampled_from(conditions[kind]))
        made.append(Object(kind, draw(rank), when, removes, Timing() if kind == BROWSE else timing))
    withdrawn = draw(st.sampled_from([None, on("emptied"), on("emptied", "undo")]))
    window_ms = draw(st.sampled_from([10 * MINUTE, GAP, 7 * 24 * 60 * MINUTE]))
    own = {one.kind: Timing(2 * MINUTE) for one in made if one.kind > BROWSE}
    return Objects(tuple(made), withdrawn, window_ms, draw(st.sampled_from([{}, {"other": own}])))


@st.composite
def journeys(draw: st.DrawFn) -> tuple[Journey, ...]:
    """One to three journeys whose rules overlap, with timers short, long, and as long as the gap."""
    made = []
    for number in range(draw(st.integers(1, 3))):
        rules = draw(st.lists(st.sampled_from(RULES), min_size=1, max_size=6, unique_by=repr))
        conversion = draw(st.sampled_from([len(rules), max(1, len(rules) - 1), 1]))
        timers = st.sampled_from([None, None, 5 * MINUTE, 10 * MINUTE, GAP, 60 * MINUTE])
        looks_back = draw(st.booleans())
        own = draw(st.one_of(st.none(), objects(len(rules))))
        stages = tuple(
            Stage(
                f"s{rank}",
                rank,
                draw(st.booleans()),
                draw(entries(len(rules), rule)) if looks_back else (Entry(rule),),
                draw(timers) if rank < conversion and own is None else None,
            )
            for rank, rule in enumerate(rules, start=1)
        )
        evidence = st.sampled_from([on("emptied", "undo"), on("undo"), on("view")])
        back = st.builds(Regress, st.integers(1, max(1, len(rules) - 1)), evidence)
        regress = tuple(draw(st.lists(back, max_size=2))) if len(rules) > 1 else ()
        made.append(Journey(f"j{number}", 1 + number, "visitor", stages, conversion, regress, own))
    return tuple(made)


def distances(settings: Settings) -> st.SearchStrategy[int]:
    """From one event to the next: mostly ties and steps, else the bounds of gap, length, timers, windows."""
    forgotten = settings.dedup_window_ms + settings.allowed_lateness_ms  # the watermark is then at the window
    bounds = (settings.gap_ms, 20 * MINUTE, 5 * MINUTE, 10 * MINUTE, settings.dedup_window_ms, forgotten)
    steps = [0, 0, 0, 0, 1, 1_000, 1_000, MINUTE, MINUTE, 2 * MINUTE]
    return st.sampled_from(steps * 6 + [bound + off for bound in bounds for off in (-1, 0, 1)])


WORDS: dict[str, st.SearchStrategy[Any]] = {
    "device": st.sampled_from(["mobile", "desktop", ""]),
    "channel": st.sampled_from(["direct", "social"]),
    "source": st.sampled_from(["google", "é"]),
    "medium": st.just("cpc"),
    "campaign": st.sampled_from(["spring", "autumn"]),
    "country": st.sampled_from(["NL", "DE"]),
    "user_id": st.sampled_from(["u1", "u2"]),
    "url": st.sampled_from(["/a", "/b", "/ü"]),
    "currency": st.sampled_from(["EUR", "USD"]),
    "value": st.sampled_from([0, 1, 500_000, 500_001, 10**12]),
    "passive": st.just(True),
    "cart_id": st.sampled_from(["c1", "c1", "c2", "ç", "c4", "c5", "c6"]),
    "order_id": st.sampled_from(["o1", "o2", "ö"]),
    "products": st.sampled_from(
        [["p1"], ["p2"], ["p1", "p3"], ["", "p4", "p4"], [f"q{n}" for n in range(17)], []]
    ),
}


@st.composite
def events(draw: st.DrawFn, at: int) -> Row:
    """An event at a time: it says little, and what it says is often missing."""
    event: Row = {
        "event_at": at,
        "event": draw(st.sampled_from(EVENTS)),
        "visitor_id": draw(st.sampled_from(["a"] * 5 + ["b", "visitor-ç"])),
        "site": draw(st.sampled_from(["shop"] * 7 + ["other"])),
    }
    for name in draw(st.lists(st.sampled_from(list(WORDS)), max_size=5, unique=True)):
        event[name] = draw(WORDS[name])
    if draw(st.integers(0, 2)) == 0:  # what objects and orders are matched by
        event |= {name: draw(WORDS[name]) for name in ("cart_id", "products", "value")}
    identity = draw(st.sampled_from(["none", "few", "few", "own", "own"]))
    if identity == "few":  # often the same one: ties are broken by it, and it makes duplicates
        event["event_id"] = draw(st.sampled_from(["e", "e1", "z", "é"]))
    elif identity == "own":
        event["event_id"] = draw(st.uuids(version=4)).hex
    ahead = draw(st.sampled_from([None, 0, 0, 700, -1_000, -5 * MINUTE, -5 * MINUTE - 1]))
    if ahead is not None:
        event["received_at"] = at + ahead
    return event


@st.composite
def records(draw: st.DrawFn, settings: Settings, at: int, newest: int) -> Row | None:
    """The next record: mostly an event at `at`, else a bad one or one near the lateness boundary."""
    kind = draw(st.sampled_from(["event"] * 14 + ["bad", "boundary"]))
    if kind == "bad":
        return None
    if kind == "boundary":
        at = newest - settings.allowed_lateness_ms + draw(st.sampled_from([-1, 0, 1]))
    return draw(events(at))


@st.composite
def streams(draw: st.DrawFn, settings: Settings, size_max: int = 40) -> Stream:
    """A stream over one to three partitions: disorder, repeated records, copies in other partitions."""
    count = draw(st.integers(1, 3))
    partitions: list[list[Row | None]] = [[] for _ in range(count)]
    newest = [START] * count
    sent: list[Row] = []
    at = START
    for _ in range(draw(st.integers(0, size_max))):
        home = draw(st.integers(0, count - 1))
        if sent and draw(st.integers(0, 9)) == 0:
            record: Row | None = draw(st.sampled_from(sent[-6:]))  # a retry, here or by another way
        else:
            at += draw(distances(settings))
            disorder = draw(st.sampled_from([0] * 8 + [1, 9_999, 10_000, 10_001, 15 * MINUTE]))
            record = draw(records(settings, at - disorder, newest[home]))
        if record is not None:
            sent.append(record)
            seen_at = min(record["event_at"], record.get("received_at", record["event_at"]))
            newest[home] = max(newest[home], seen_at)
        partitions[home].append(dict(record) if record else None)
    return Stream(partitions, draw(batches([len(own) for own in partitions])))


@st.composite
def batches(draw: st.DrawFn, sizes: list[int]) -> list[tuple[int, int]]:
    """An order in which partitions of these sizes are read, and how much at a time."""
    left = dict(enumerate(sizes))
    order = []
    while any(left.values()):
        partition = draw(st.sampled_from([number for number, size in left.items() if size]))
        taken = draw(st.integers(1, left[partition]))
        left[partition] -= taken
        order.append((partition, taken))
    return order


@st.composite
def cuts(draw: st.DrawFn, size: int) -> list[int]:
    """Where a sequence of `size` is cut: increasing positions between 0 and `size`."""
    return sorted(draw(st.lists(st.integers(0, size), max_size=6, unique=True)))


@st.composite
def worlds(draw: st.DrawFn, size_max: int = 40) -> tuple[Settings, tuple[Journey, ...], Stream]:
    """Settings, journeys and a stream that crowds the boundaries of just these."""
    chosen = draw(settings())
    return chosen, draw(journeys()), draw(streams(chosen, size_max))
