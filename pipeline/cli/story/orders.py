"""Orders: which event counted as one, and which only told of it again."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.cli.story.asked import Row
from pipeline.cli.story.lines import FAINT, ON, Effect, Line
from pipeline.cli.story.rules import canonical
from pipeline.cli.story.words import amount, moment
from schemas.orders import Orders
from schemas.predicates import matches


def explain(lines: Sequence[Line], orders: Sequence[Row], which: Orders | None) -> None:
    """Adds to the events that are orders, by the conditions of the mapping, whether they counted."""
    known = {row["order_id"]: row for row in orders}
    for line in lines:
        event = canonical(line.event) if line.event and not line.is_copy else None
        if event is None or which is None or not matches(which.placed, event):
            continue
        order = known.get(event["order_id"] or event["event_id"])
        if order is not None:
            is_own = order["visitor_id"] == event["visitor_id"]
            line.is_repeat = not is_own or order["at"].replace(microsecond=0) != line.at.replace(
                microsecond=0
            )
            line.effects.append(_again(order, line, is_own) if line.is_repeat else _counted(order))


def _counted(order: Row) -> Effect:
    number = f", number {order['order_number']} of this person" if order.get("order_number") else ""
    refunded = "; refunded later" if order.get("refunded") else ""
    value = amount(order["value"], order["currency"])
    return Effect(f"✓ order {order['order_id']}: {value}{number}{refunded}", ON)


def _again(order: Row, line: Line, is_own: bool) -> Effect:
    whose = "" if is_own else f" by visitor {order['visitor_id']}"
    counted = f"it counts at {moment(order['at'], line.at)}{whose}"
    return Effect(f"· the same order again: not counted ({counted})", FAINT)
