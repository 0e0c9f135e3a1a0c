"""The `orders:` of a mapping: which events are orders or take them back, and what is refused where."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.mappings import load_mapping, shipped_mappings
from schemas.orders import USUAL, Orders
from schemas.predicates import All, Compare, matches
from tests.definitions.test_mappings import LEAST, refused


def orders_of(written: str, folder: Path) -> Orders | None:
    (folder / "theirs.yaml").write_text(LEAST + written)
    return load_mapping(str(folder / "theirs.yaml")).orders


def test_what_is_left_out_is_as_usual(tmp_path: Path) -> None:
    sold = Compare("event", "eq", "sale")
    assert orders_of("", tmp_path) == USUAL
    assert orders_of("orders: {placed: {event: sale}}\n", tmp_path) == Orders(
        sold, USUAL.refunded, USUAL.cancelled
    )


def test_all_kinds(tmp_path: Path) -> None:
    written = """\
orders:
  placed: {event: sale, value: {gt: 0}}
  refunded: {event: sale, value: {lt: 0}}
  cancelled: {event: storno}
"""
    assert orders_of(written, tmp_path) == Orders(
        All((Compare("event", "eq", "sale"), Compare("value", "gt", 0))),
        All((Compare("event", "eq", "sale"), Compare("value", "lt", 0))),
        Compare("event", "eq", "storno"),
    )


def test_none_switches_it_off(tmp_path: Path) -> None:
    assert orders_of("orders: none\n", tmp_path) is None


@pytest.mark.parametrize("name", shipped_mappings())
def test_shipped_mappings_know_orders_but_for_the_workload(name: str) -> None:
    assert (load_mapping(name).orders is None) == (name == "w1")


def test_the_usual_names() -> None:
    names = {
        "placed": ("purchase", "in_app_purchase", "order_completed", "Order Completed", "Completed Order"),
        "refunded": ("refund", "order_refunded", "Order Refunded"),
        "cancelled": ("order_cancelled", "Order Cancelled"),
        "": ("add_to_cart", "Purchase", "order"),
    }
    for kind, events in names.items():
        for event in events:
            held = [
                name
                for name, one in zip(("placed", "refunded", "cancelled"), USUAL.predicates, strict=True)
                if matches(one, {"event": event})
            ]
            assert held == ([kind] if kind else []), event


INSTEAD = "leave it out for the usual names; else such as placed: {event: sale}"


@pytest.mark.parametrize(
    ("written", "problems"),
    [
        ("orders: yes", [f"6: orders must be a mapping or none, not 'yes' ({INSTEAD})"]),
        ("orders: None", [f"6: orders must be a mapping or none, not 'None' ({INSTEAD})"]),
        ("orders: false", [f"6: orders must be a mapping or none, not true or false ({INSTEAD})"]),
        ("orders:", [f"6: orders must be a mapping or none, not empty ({INSTEAD})"]),
        ("orders: {}", [f"6: orders must be a mapping or none, not empty ({INSTEAD})"]),
        ("orders: [purchase]", [f"6: orders must be a mapping or none, not a list ({INSTEAD})"]),
        ("orders: {plced: {event: x}}", ["6: orders has no key 'plced' (did you mean 'placed'?)"]),
        (
            "orders: {placed: purchase}",
            ["6: 'placed' of orders must be a mapping, not text (such as {event: page_view})"],
        ),
        ("orders: {refunded: {}}", ["6: 'refunded' of orders is empty (such as {event: page_view})"]),
        (
            "orders:\n  placed: {evnt: sale}\n  cancelled: {value: {gt: a lot}}",
            [
                (
                    "7: 'placed' of orders asks for 'evnt', which is no field of an event "
                    "(did you mean 'event'?)"
                ),
                "8: value is money: a number is needed, not text (in currency units: 19.99)",
            ],
        ),
    ],
)
def test_refused(written: str, problems: list[str], tmp_path: Path) -> None:
    assert refused(f"{LEAST}{written}\n", tmp_path) == problems
