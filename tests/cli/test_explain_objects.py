"""Objects and orders in a story: each at its place in time, with what was behind it."""

from __future__ import annotations

import io
import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from rich.console import Console

from pipeline.cli.story.asked import Row, Told, Whose
from pipeline.cli.story.definitions import Definition, Named, load
from pipeline.cli.story.page import Part, show
from pipeline.cli.story.timeline import How, story
from pipeline.settings import Settings
from schemas.orders import USUAL
from tests.cli.run import pathline

STORIES = Path(__file__).parent / "explained"
DEFINITIONS = load(["checkout"])
((_, VERSION),) = DEFINITIONS
CHECKOUT = DEFINITIONS["checkout", VERSION]


def at(time: str, day: int = 5) -> datetime:
    return datetime.fromisoformat(f"2026-01-{day:02}T{time}+00:00").astimezone(UTC)


def event(time: str, name: str, **more: Any) -> Row:
    row: Row = dict.fromkeys(
        ("user_id", "url", "referrer", "source", "medium", "campaign", "channel", "device", "country",
         "cart_id", "order_id", "currency", "properties"), "",
    )  # fmt: skip
    row |= {"site": "shop", "visitor_id": "anna", "at": at(time), "received_at": None, "event": name}
    row |= {"event_id": time, "products": [], "quantity": 0, "value": Decimal(0), "is_passive": 0}
    return row | {"input": "one.jsonl", "partition": 0, "position": 1} | more


def session(began: str, ended: str, events: int) -> Row:
    row: Row = {"session_id": began, "started_at": at(began), "ended_at": at(ended), "events": events}
    return row | {"device": "", "channel": "", "is_closed": 1, "is_continuation": 0}


def moved(session_id: str, time: str, rank: int, kind: str) -> Row:
    row: Row = {"journey": "checkout", "journey_version": VERSION, "session_id": session_id, "event_id": time}
    stage = CHECKOUT.journey.stages[rank - 1].name
    return row | {"at": at(time), "to_rank": rank, "to_stage": stage, "kind": kind, "skipped": []}


def thing(kind: str, state: str, opened: str, **more: Any) -> Row:
    """A row of bi.abandonments."""
    row: Row = {"site": "shop", "journey": "checkout", "journey_version": VERSION}
    row |= {"object_id": f"{kind} {opened}"}
    row |= {"kind": kind, "state": state, "opened_at": at(opened), "deadline_at": None, "abandoned_at": None}
    row |= {"resolved_at": None, "successor_id": "", "value_at_risk": Decimal(0), "currency": "EUR"}
    row |= {"chain_id": "", "cart_id": "", "products": [], "order_id": "", "is_evicted": 0}
    return row | {"recovered_value": Decimal(0), "recovered_currency": "EUR"} | more


def order(order_id: str, visitor_id: str, time: str, **more: Any) -> Row:
    """A row of bi.orders."""
    row: Row = {"order_id": order_id, "visitor_id": visitor_id, "at": at(time), "event_id": time}
    row |= {"order_number": 1}
    row |= {"value": Decimal("19.99"), "currency": "EUR", "refunded": Decimal(0), "is_late": 0}
    return row | {"is_cancelled": 0, "cart_id": "", "products": []} | more


def printed(told: Told, definitions: dict[Named, Definition] = DEFINITIONS) -> str:
    how = How(definitions, USUAL, Settings())
    console = Console(file=io.StringIO(), width=100)
    show(story(told, how, told.journeys), Part(None, None, 100, "c1"), console)
    assert isinstance(console.file, io.StringIO)
    return re.sub(r"yaml:\d+", "yaml:N", console.file.getvalue())


def test_from_browsing_to_an_order_that_came_too_late() -> None:
    """A cart becomes a checkout, that is at risk and abandoned; an order brings it back, and comes twice."""
    euros = {"value": Decimal("19.99"), "currency": "EUR"}
    told = Told(
        Whose("shop", "anna"),
        [
            event("10:00:00", "view_item", products=["p1"]),
            event("10:01:00", "add_to_cart", cart_id="c1", **euros),
            event("10:05:00", "begin_checkout", cart_id="c1"),
            event("12:00:00", "purchase", order_id="o1", cart_id="c1", **euros),
            event("12:01:00", "purchase", order_id="o1", **euros),
            event("12:02:00", "purchase", order_id="o0", **euros),
        ],
        sessions=[session("10:00:00", "10:05:00", 3), session("12:00:00", "12:02:00", 3)],
        transitions=[
            moved("10:00:00", "10:00:00", 1, "enter"),
            moved("10:00:00", "10:01:00", 2, "advance"),
            moved("10:00:00", "10:05:00", 3, "advance"),
            moved("12:00:00", "12:00:00", 5, "enter"),
        ],
        objects=[
            thing("browse", "completed", "10:00:00", resolved_at=at("10:01:00")),
            thing(
                "cart", "superseded", "10:01:00", resolved_at=at("10:05:00"), deadline_at=at("11:01:00"),
                successor_id="checkout 10:05:00", value_at_risk=Decimal("19.99"),
            ),
            thing(
                "checkout", "recovered", "10:05:00", resolved_at=at("12:00:00"), deadline_at=at("11:05:00"),
                abandoned_at=at("11:05:00"), order_id="o1", cart_id="c1", value_at_risk=Decimal("19.99"),
                recovered_value=Decimal("19.99"),
            ),
        ],
        orders=[order("o1", "anna", "12:00:00", cart_id="c1"), order("o0", "bert", "09:00:00")],
    )  # fmt: skip
    assert printed(told) == (STORIES / "objects.txt").read_text()


def only(*objects: Row, **events: str) -> str:
    """The story of objects, with events at their times (`at_1000="add_to_cart"`)."""
    rows = [event(f"{name[3:5]}:{name[5:7]}:00", word) for name, word in events.items()]
    ended = rows[-1]["at"].strftime("%H:%M:%S")
    told = Told(Whose("shop", "anna"), rows, sessions=[session("10:00:00", ended, len(rows))])
    told.objects = list(objects)
    return printed(told)


def test_what_was_given_up_on_purpose() -> None:
    cart = thing("cart", "withdrawn", "10:00:00", resolved_at=at("10:02:00"), deadline_at=at("11:00:00"))
    text = only(cart, at_1000="add_to_cart", at_1002="cart_emptied")
    assert "✗ cart withdrawn: given up on purpose because event is cart_emptied (checkout.yaml:N)\n" in text


def test_what_was_forgotten_while_it_was_open() -> None:
    cart = thing(
        "cart", "open", "10:00:00", resolved_at=at("10:02:00"), deadline_at=at("11:00:00"), is_evicted=1
    )
    text = only(cart, at_1000="add_to_cart", at_1001="view_item")
    assert "· cart forgotten while it was open: too many were (bi.limits)\n" in text
    assert "deadline 11:00:00" not in text.splitlines()[-1]


def test_what_never_came_back_and_what_was_no_loss() -> None:
    void_one = thing(
        "cart", "void", "10:00:00", resolved_at=at("10:30:00"), deadline_at=at("11:00:00"), order_id="o7",
        abandoned_at=at("11:00:00"),
    )  # fmt: skip
    lost = thing(
        "cart", "expired", "10:10:00", resolved_at=at("11:10:00") + timedelta(days=7),
        deadline_at=at("11:10:00"), abandoned_at=at("11:10:00"),
    )  # fmt: skip
    text = only(void_one, lost, at_1000="add_to_cart", at_1010="add_to_cart")
    since = "nothing for 1h since add_to_cart at 10:00:00 (abandon_after, checkout.yaml:"
    assert f"  11:00:00  ✗ cart 1 abandoned: {since}" in text
    late = "order o7 came late, but was placed at 10:30:00, by its deadline"
    void = f"✓ cart 1 was not abandoned after all (void): {late}"
    assert f"  11:00:00  {void}\n" in text
    assert text.index("cart 1 abandoned") < text.index(void)
    assert (
        "  2026-01-12 11:10:00  · cart 2 expired: no order within 7d (recovery_window, checkout.yaml:N)\n"
        in text
    )


def test_what_is_open_has_a_deadline() -> None:
    risk = thing("checkout", "at_risk", "10:00:00", deadline_at=at("11:00:00"), value_at_risk=Decimal(5))
    text = only(risk, at_1000="begin_checkout")
    assert "  10:10:00  ! checkout at risk: nothing for 10m (at_risk_after, checkout.yaml:" in text
    assert text.endswith(
        "  open  checkout: checkout (at risk), deadline 2026-01-05 11:00:00; 5.00 EUR at risk\n"
    )


def test_what_puts_a_deadline_off_says_so() -> None:
    cart = thing("cart", "abandoned", "10:00:00", deadline_at=at("11:10:00"), abandoned_at=at("11:10:00"))
    text = only(cart, at_1000="add_to_cart", at_1005="view_item", at_1010="add_to_cart")
    assert text.count("goes on") == 1
    assert "· cart goes on: deadline 11:10:00\n" in text
    assert "nothing for 1h since add_to_cart at 10:10:00 (" in text
    until = "open  checkout: cart (abandoned), an order until 2026-01-12 11:10:00 brings it back\n"
    assert text.endswith(until)


def test_two_things_of_one_second_are_told_beneath_their_own_events() -> None:
    ended = {"resolved_at": at("10:00:00")}
    paid = [
        thing("checkout", "superseded", "10:00:00", successor_id="payment 10:00:00", **ended),
        thing("payment", "completed", "10:00:00", order_id="o1", **ended),
    ]
    names = ("begin_checkout", "add_payment_info", "purchase")
    rows = [event("10:00:00", name, event_id=name) for name in names]
    rows[-1]["order_id"] = "o1"
    told = Told(Whose("shop", "anna"), rows, sessions=[session("10:00:00", "10:00:00", 3)], objects=paid)
    said = re.sub(r" because .*", "", printed(told))
    lines = r"^  10:00:00  (\w+)|(. \w+ (?:opened|superseded|completed).*)$"
    assert re.findall(lines, said, re.MULTILINE) == [
        ("begin_checkout", ""), ("", "+ checkout opened"), ("add_payment_info", ""),
        ("", "· checkout superseded by payment"), ("", "+ payment opened"),
        ("purchase", ""), ("", "✓ payment completed by order o1"),
    ]  # fmt: skip


def test_objects_of_a_definition_that_is_not_known_are_told_without_reasons() -> None:
    cart = thing("cart", "abandoned", "10:00:00", deadline_at=at("11:00:00"), abandoned_at=at("11:00:00"))
    told = Told(Whose("shop", "anna"), [event("10:00:00", "add_to_cart")], objects=[cart])
    text = printed(told, {})
    assert "+ cart opened\n" in text
    assert "11:00:00  ✗ cart abandoned: its deadline passed\n" in text


def test_no_text_of_an_event_commands_the_terminal() -> None:
    rows = [event("10:00:00", "\x1b[2Jboo\n", url="/\x07é")]
    text = printed(Told(Whose("shop", "anna"), rows), {})
    assert "?[2Jboo?" in text
    assert "/?é" in text
    assert "\x1b" not in text


def test_every_part_of_the_shipped_definitions_has_its_line() -> None:
    for definition in load(["checkout", "w1"]).values():
        for rule in definition.journey.rules:
            assert f"rule {rule.bit}" in definition.lines
        objects = definition.journey.objects
        parts = ["objects.cart.when", "objects.cart.abandon_after", "objects.withdrawn"] if objects else []
        assert set(parts) <= set(definition.lines)


def record(time: str, event: str, visitor: str = "anna", **more: object) -> str:
    row: Row = {"event_at": f"2026-01-{time}Z", "event": event, "visitor_id": visitor, "site": "shop"}
    return json.dumps(row | {"event_id": f"{visitor} {time} {event}", "currency": "EUR"} | more)


RECORDS = [
    record("05T10:00:00", "view_item", products=["p1"]),
    record("05T10:01:00", "add_to_cart", products=["p1"], cart_id="c1", value=10),
    record("05T10:20:00", "add_to_cart", products=["p2"], cart_id="c1", value=5),
    record("05T14:00:00", "view_item", "bert"),
    record("05T10:50:00", "purchase", order_id="o1", cart_id="c1", value=15),  # late: placed in time
    record("06T10:00:00", "add_to_cart", products=["p3"], cart_id="c2", value=20),
    record("06T10:02:00", "begin_checkout", cart_id="c2", value=20),
    record("06T10:12:00", "add_shipping_info", cart_id="c2"),
    record("08T09:00:00", "purchase", order_id="o2", cart_id="c2", value=20),
    record("08T09:05:00", "purchase", order_id="o2", cart_id="c2", value=20, event_id="again"),
    record("08T09:10:00", "add_to_cart", products=["p4"], cart_id="c3", value=7),
    record("08T09:11:00", "cart_emptied"),
    record("09T10:00:00", "refund", order_id="o2", value=20),
    record("09T11:00:00", "add_to_cart", products=["p4"], cart_id="c4", value=7),
]
"""A cart that a late order makes void, one that becomes a checkout and comes back, one emptied, one lost."""


def test_what_the_views_say(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_text("\n".join(RECORDS) + "\n")
    done = pathline("explain", "anna", "--input", "events.jsonl", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.sub(r"yaml:\d+", "yaml:N", done.stdout) == (STORIES / "views.txt").read_text()
