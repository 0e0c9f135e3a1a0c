"""No buyer is called an abandoner: within the recovery window, and as long as it is remembered, no order
stands beside an abandonment of the same object that is neither recovered nor void.

The rule is looked for in the rows themselves, without the oracle: shoppers who order in time, late, a day
later or not at all, whose orders are reported twice, by a server, by another device, out of order, read in
any way, thrown back by a crash, by a pipeline that may keep only a few of them open.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.track.caps import Caps
from schemas.journeys import Journey, load_journeys
from schemas.orders import USUAL
from tests.harness import CAPS, Way, run_core
from tests.oracle import Rows, Settings, read
from tests.oracle_walk import MINUTE, Row
from tests.properties.ways import ways
from tests.strategies import START, batches

(CHECKOUT,) = load_journeys(["checkout"])
HOUR, DAY = 60 * MINUTE, 24 * 60 * MINUTE
STEPS = ("view_item", "add_to_cart", "begin_checkout", "add_payment_info")
PAUSES = (0, 1, 30_000, MINUTE, 9 * MINUTE, 31 * MINUTE, 59 * MINUTE, HOUR, HOUR + 1, 2 * HOUR, DAY, 6 * DAY)
LATER = (*PAUSES, 7 * DAY - 1, 7 * DAY, 7 * DAY + HOUR, 8 * DAY)
LATENESS = (0, 0, 0, 5_000, 11_000, 10 * MINUTE, 2 * HOUR, 3 * DAY)


@st.composite
def intents(draw: st.DrawFn, visitor: str, number: int, at: int) -> tuple[list[tuple[int, Row]], int]:
    """Someone who gets so far, and orders or not: records with the time at which each arrives."""
    cart = draw(st.sampled_from(["", f"c{number}", f"c{number}"]))
    products = draw(st.sampled_from([[], [f"p{number}"], [f"p{number}", "p0"]]))
    common = {"visitor_id": visitor, "site": "shop", "cart_id": cart, "products": products, "value": 100_000}
    sent: list[tuple[int, Row]] = []
    for step in STEPS[: draw(st.integers(1, len(STEPS)))]:
        sent.append((at, common | {"event": step, "event_at": at, "event_id": f"{visitor}{number}{step}"}))
        at += draw(st.sampled_from(PAUSES[:5]))
    if draw(st.booleans()):
        at += draw(st.sampled_from(LATER))
        order = common | {
            "event": "purchase",
            "event_at": at,
            "order_id": draw(st.sampled_from(["", f"o{number}"])),
        }
        order["event_id"] = f"{visitor}{number}order"
        sent.append((at + draw(st.sampled_from(LATENESS)), order))
        for copy in range(draw(st.integers(0, 2))):  # the page again, the server, another device
            other = draw(
                st.sampled_from([{}, {"passive": True}, {"visitor_id": "z"}, {"event_id": order["event_id"]}])
            )
            after = draw(st.sampled_from([0, 1_000, 20 * MINUTE, 2 * DAY]))
            again = order | {"event_id": f"{order['event_id']}{copy}", "event_at": at + after} | other
            sent.append((at + after + draw(st.sampled_from(LATENESS)), again))
    return sent, at + draw(st.sampled_from(PAUSES))


@st.composite
def shops(draw: st.DrawFn) -> tuple[list[list[Row | None]], Way]:
    """What reaches the partitions of a shop, and a way to read it."""
    sent: list[tuple[int, Row]] = []
    for visitor in draw(st.lists(st.sampled_from("abc"), min_size=1, max_size=2, unique=True)):
        at = START
        for number in range(draw(st.integers(1, 4))):
            records, at = draw(intents(visitor, number, at))
            sent += records
    partitions: list[list[Row | None]] = [[] for _ in range(draw(st.integers(1, 2)))]
    for _, record in sorted(sent, key=lambda one: one[0]):
        partitions[draw(st.integers(0, len(partitions) - 1))].append(record)
    way = draw(ways(draw(batches([len(own) for own in partitions]))))
    few = Caps(draw(st.integers(1, 2)), draw(st.integers(1, 2)))
    return partitions, replace(way, caps=draw(st.sampled_from([CAPS, few])))


@given(shops(), st.sampled_from(["replay", "drained"]))
def test_no_order_stands_beside_an_abandonment_of_the_same_object(
    shop: tuple[list[list[Row | None]], Way], end: str
) -> None:
    partitions, way = shop
    settings = Settings(end=end, orders=USUAL)  # type: ignore[arg-type]
    rows = run_core(partitions, (CHECKOUT,), settings, way)
    effective = {
        (event["visitor_id"], event["event_id"], event["event_at"]): event["at"]
        for number, own in enumerate(partitions)
        for event in read(number, own, settings, Rows())[0]
    }
    wrong = [
        (thing, order) for thing in lost(rows) for order in rows.orders if is_of(thing, order, effective)
    ]
    assert not wrong, "\n".join(f"{thing}\n  was ordered: {order}" for thing, order in wrong)


def lost(rows: Rows) -> Iterator[Row]:
    """Abandoned objects of which nothing is said, or that they expired."""
    became = {row["chain"]: row["state"] for row in rows.outcomes}
    for thing in rows.objects:
        if thing["state"] == "abandoned" and became.get(thing["chain"]) in (None, "expired"):
            yield thing


def is_of(thing: Row, order: Row, effective: dict[tuple[str, str, int], int]) -> bool:
    """Whether the order, at a time when all was known of the object, was about it, and came while it is
    remembered.
    """
    journey: Journey = CHECKOUT
    assert journey.objects is not None
    remembered = thing["abandoned_at"] + journey.objects.recovery_window_ms
    after_ms = {"browse": 0, "cart": HOUR, "checkout": HOUR, "payment": 30 * MINUTE}[thing["kind"]]
    known_at = thing["abandoned_at"] - after_ms if after_ms else thing["abandoned_at"] + 1
    same_cart = thing["cart_id"] and thing["cart_id"] == order["cart_id"]
    same_product = {*thing["products"]} & {*order["products"]}
    at = effective[order["visitor_id"], order["event_id"], order["at"]]
    return bool(
        thing["visitor_id"] == order["visitor_id"]
        and known_at <= order["at"]
        and at <= remembered
        and (same_cart or same_product)
    )
