"""Orders: which event counted as one, which only told of it again, and which took it back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from pipeline.cli.story.asked import Row
from pipeline.cli.story.lines import BACK, FAINT, ON, Effect, Line, by_time
from pipeline.cli.story.rules import canonical
from pipeline.cli.story.words import amount, moment
from schemas.orders import CANCELLED, PLACED, Orders
from schemas.predicates import matches


def explain(lines: list[Line], orders: Sequence[Row], which: Orders | None, visitor_id: str) -> None:
    """Adds to the events that are orders, by the conditions of the mapping, whether they counted."""
    known: dict[str, list[Row]] = defaultdict(list)
    for row in orders:
        known[row["order_id"]].append(row)
    for line in lines:
        event = canonical(line.event) if line.event and not line.is_copy else None
        kind = _kind(event, which) if event else 0
        if event is None or not kind:
            continue
        order = _order_of(event, known)
        if kind != PLACED:
            line.effects.append(_taken_back(event, order, cancels=kind == CANCELLED))
        elif order is not None:
            line.is_repeat = not _is_it(order, event)
            line.effects.append(_again(order, line) if line.is_repeat else _counted(order))
    for order in orders:
        if order["is_late"] and order["visitor_id"] == visitor_id:
            text = f"{_counted(order).text}; its record came late, so it is none of these events"
            lines.append(by_time(Effect(text, ON), order["at"]))


def _kind(event: dict[str, Any], which: Orders | None) -> int:
    """The first of the conditions that holds; 0 for none."""
    asked = which.predicates if which else ()
    return next((kind for kind, one in enumerate(asked, start=PLACED) if matches(one, event)), 0)


def _order_of(event: dict[str, Any], known: dict[str, list[Row]]) -> Row | None:
    """The order that an event tells of. An id counts anew after a year: it is the last one before, then."""
    rows = known.get(event["order_id"] or event["event_id"], [])
    before = [row for row in rows if row["at"] <= event["event_at"]]
    itself = [row for row in rows if _is_it(row, event)]
    return next(iter(itself or before[-1:] or rows), None)


def _is_it(order: Row, event: dict[str, Any]) -> bool:
    """Whether the event is the order itself, not one more that tells of it."""
    is_own = (order["visitor_id"], order["event_id"]) == (event["visitor_id"], event["event_id"])
    return is_own and bool(order["at"] == event["event_at"].replace(microsecond=0))


def _counted(order: Row) -> Effect:
    value = f": {amount(order['value'], order['currency'])}" if order["value"] else ""
    back = "; cancelled later" if order["is_cancelled"] else ""
    if order["refunded"] and not back:
        part = "all" if order["refunded"] == order["value"] else amount(order["refunded"], order["currency"])
        back = f"; {part} of it refunded later"
    return Effect(
        f"✓ order {order['order_id']}{value}, number {order['order_number']} of this person{back}", ON
    )


def _again(order: Row, line: Line) -> Effect:
    assert line.event is not None
    whose = "" if order["visitor_id"] == line.event["visitor_id"] else f" by visitor {order['visitor_id']}"
    counted = f"it counts at {moment(order['at'], line.at)}{whose}"
    return Effect(f"· the same order again: not counted ({counted})", FAINT)


def _taken_back(event: dict[str, Any], order: Row | None, *, cancels: bool) -> Effect:
    """A refund does nothing to carts: what was ordered was not abandoned."""
    named = f"order {event['order_id'] or event['event_id']}"
    if order is None:
        return Effect(f"· takes back {named}, which is not known", FAINT)
    if cancels:
        return Effect(f"✗ {named} cancelled", BACK)
    part = amount(Decimal(event["value"]) / 10_000, event["currency"]) if event["value"] else "all of it"
    return Effect(f"✗ {named} refunded: {part}", BACK)
