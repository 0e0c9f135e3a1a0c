"""Objects and orders in a story: each at its place in time, with what was behind it."""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from rich.console import Console

from pipeline.cli.story.asked import Row, Told, Whose
from pipeline.cli.story.definitions import Definition, load
from pipeline.cli.story.page import Part, show
from pipeline.cli.story.timeline import How, story
from pipeline.settings import Settings
from schemas.orders import USUAL

STORIES = Path(__file__).parent / "explained"
DEFINITIONS = load(["checkout"])
VERSION = DEFINITIONS["checkout"].journey.version


def at(time: str, day: int = 5) -> datetime:
    return datetime.fromisoformat(f"2026-01-{day:02}T{time}+00:00").astimezone(UTC)


def event(time: str, name: str, **more: Any) -> Row:
    row = dict.fromkeys(
        ("user_id", "url", "referrer", "source", "medium", "campaign", "channel", "device", "country",
         "cart_id", "order_id", "currency", "properties"), "",
    )  # fmt: skip
    row |= {"site": "shop", "visitor_id": "anna", "at": at(time), "received_at": None, "event": name}
    row |= {"event_id": time, "products": [], "quantity": 0, "value": Decimal(0), "is_passive": 0}
    return row | {"input": "one.jsonl", "partition": 0, "position": 1} | more


def session(began: str, ended: str, events: int) -> Row:
    row = {"session_id": began, "started_at": at(began), "ended_at": at(ended), "events": events}
    return row | {"device": "", "channel": "", "is_closed": 1, "is_continuation": 0}


def moved(session_id: str, time: str, rank: int, kind: str) -> Row:
    row = {"journey": "checkout", "journey_version": VERSION, "session_id": session_id, "event_id": time}
    stage = DEFINITIONS["checkout"].journey.stages[rank - 1].name
    return row | {"at": at(time), "to_rank": rank, "to_stage": stage, "kind": kind, "skipped": []}


def thing(kind: str, state: str, opened: str, **more: Any) -> Row:
    """A row of bi.abandonments."""
    row = {"site": "shop", "journey": "checkout", "journey_version": VERSION, "object_id": f"{kind} {opened}"}
    row |= {"kind": kind, "state": state, "opened_at": at(opened), "deadline_at": None, "abandoned_at": None}
    row |= {"resolved_at": None, "successor_id": "", "value_at_risk": Decimal(0), "currency": "EUR"}
    return row | {"recovered_value": Decimal(0)} | more


def printed(told: Told, definitions: dict[str, Definition] = DEFINITIONS) -> str:
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
                abandoned_at=at("11:05:00"), order_id="o1", value_at_risk=Decimal("19.99"),
                recovered_value=Decimal("19.99"),
            ),
        ],
        orders=[
            {"order_id": "o1", "visitor_id": "anna", "at": at("12:00:00"), "order_number": 1} | euros,
            {"order_id": "o0", "visitor_id": "bert", "at": at("09:00:00"), "order_number": 1} | euros,
        ],
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


def test_what_never_came_back_and_what_was_no_loss() -> None:
    late = thing(
        "cart", "void", "10:00:00", resolved_at=at("10:30:00"), deadline_at=at("11:00:00"), order_id="o7",
        abandoned_at=at("11:00:00"),
    )  # fmt: skip
    lost = thing(
        "cart", "expired", "10:10:00", resolved_at=at("11:10:00") + timedelta(days=7),
        deadline_at=at("11:10:00"), abandoned_at=at("11:10:00"),
    )  # fmt: skip
    text = only(late, lost, at_1000="add_to_cart", at_1010="add_to_cart")
    assert "  11:00:00  ✗ cart 1 abandoned: nothing for 1h (abandon_after, checkout.yaml:" in text
    void = "✓ cart 1 was not abandoned after all (void) by order o7: it came late, but was placed at 10:30:00"
    assert f"  11:00:00  {void}\n" in text
    assert text.index("cart 1 abandoned") < text.index(void)
    assert "  2026-01-12 11:10:00  · cart 2 expired: no order within 7d\n" in text


def test_what_is_open_has_a_deadline() -> None:
    risk = thing("checkout", "at_risk", "10:00:00", deadline_at=at("11:00:00"), value_at_risk=Decimal(5))
    text = only(risk, at_1000="begin_checkout")
    assert "  10:10:00  ! checkout at risk: nothing for 10m (at_risk_after, checkout.yaml:" in text
    assert text.endswith(
        "  open  checkout: checkout (at risk), deadline 2026-01-05 11:00:00; 5.00 EUR at risk\n"
    )


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
