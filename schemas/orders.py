"""Which events are orders, and which take them back: the grammar of a mapping's `orders:`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from schemas.conditions import read_condition
from schemas.documents import Document
from schemas.nodes import Node
from schemas.predicates import Compare, Predicate

PLACED, REFUNDED, CANCELLED = range(1, 4)
KINDS: Final = ("placed", "refunded", "cancelled")
OFF: Final = "none"


@dataclass(frozen=True)
class Orders:
    """Conditions on events by their names after mapping. An event is the first of these that it matches."""

    placed: Predicate
    refunded: Predicate
    cancelled: Predicate

    @property
    def predicates(self) -> tuple[Predicate, Predicate, Predicate]:
        """In the order of KINDS."""
        return self.placed, self.refunded, self.cancelled


def _named(*names: str) -> Predicate:
    return Compare("event", "in", names)


USUAL: Final = Orders(
    placed=_named("purchase", "in_app_purchase", "order_completed", "Order Completed", "Completed Order"),
    refunded=_named("refund", "order_refunded", "Order Refunded"),
    cancelled=_named("order_cancelled", "Order Cancelled"),
)
"""The names of GA4, Segment and RudderStack."""


def read_orders(document: Document, node: Node | None) -> Orders | None:
    """The conditions that `orders` writes, the usual where it writes none; None where it says `none`."""
    if node is None:
        return USUAL
    if node.value == OFF:
        return None
    if not isinstance(node.value, dict) or not node.value:
        said = f"'{node.value}'" if isinstance(node.value, str) and node.value else node.kind
        document.problem(
            node.line,
            f"orders must be a mapping or none, not {said if node.value != {} else 'empty'}",
            "leave it out for the usual names; else such as placed: {event: sale}",
        )
        return USUAL
    entries = document.expect_mapping(node, "orders", KINDS) or {}
    usual = dict(zip(KINDS, USUAL.predicates, strict=True))
    read = {name: read_condition(document, item, f"'{name}' of orders") for name, item in entries.items()}
    return Orders(*(read.get(name) or usual[name] for name in KINDS))
