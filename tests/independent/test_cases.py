"""Tiny streams whose answers a person worked out from the semantics: does the SQL say what people mean?"""

from __future__ import annotations

import pytest

from tests.independent.answer import Answer, answer
from tests.independent.told import moment, partitions, shown

CASES = {
    "one thing after the other": (
        """
        10:00 view_item products=p
        10:01 add_to_cart products=p value=10
        10:03 begin_checkout
        10:05 add_payment_info value=12
        10:09 purchase order=o value=12 products=p
        """,
        """
        browse 10:00 completed completed done=10:01 risk=0
        cart 10:01 superseded completed done=10:03 risk=10
        checkout 10:03 superseded completed done=10:05 risk=10
        payment 10:05 completed completed done=10:09 risk=12
        """,
        "10:00 converted",
    ),
    "an order exactly at the deadline counts": (
        "10:00 add_to_cart value=10\n 11:00 purchase order=o",
        "cart 10:00 completed completed left=- done=11:00",
        "10:00 converted, 11:00 converted",
    ),
    "a moment later it recovers what was abandoned at the deadline": (
        "10:00 add_to_cart value=10\n 11:00:00.001 purchase order=o value=9",
        "cart 10:00 recovered recovered left=11:00 risk=10 won=9",
        "10:00 abandoned cart, 11:00 converted",
    ),
    "activity moves the deadline, looking at products and pages does not": (
        """
        10:00 add_to_cart value=10
        10:20 add_to_cart value=5
        10:40 view_item
        11:00 page_view
        """,
        "cart 10:00 expired expired left=11:20 done=7d11:20 risk=15",
        "10:00 abandoned cart",
    ),
    "a payment waits half an hour only, and its chain is lost with it": (
        "10:00 begin_checkout value=20\n 10:01 payment_failed\n 10:20 add_to_cart value=3",
        """
        checkout 10:00 superseded expired left=- done=10:01 risk=20
        payment 10:01 expired expired left=10:50 done=7d10:50 risk=20
        """,
        "10:00 abandoned payment",
    ),
    "a session takes its browse along when it ends, and not sooner": (
        "10:00 view_item\n 10:30 page_view\n 11:00:00.001 view_item",
        """
        browse 10:00 expired expired left=11:00 done=7d11:00
        browse 11:00 expired expired left=11:30
        """,
        "10:00 browsed, 11:00 bounced",
    ),
    "a cart is taken up in a later session: both sessions are part of what became of it": (
        """
        10:00 add_to_cart
        10:29 page_view
        10:59:30 view_item
        10:59:50 begin_checkout
        11:10 purchase order=o
        """,
        "cart 10:00 superseded completed\n checkout 10:59:50 completed completed done=11:10",
        "10:00 converted, 10:59:30 converted",
    ),
    "removed products take their value out, down to nothing": (
        """
        10:00 add_to_cart value=10 products=p
        10:01 add_to_cart value=20 products=q
        10:02 remove_from_cart value=10 products=p
        10:03 purchase order=o products=p
        10:04 remove_from_cart value=99 products=q
        """,
        "cart 10:00 expired expired left=11:04 risk=0",
        "10:00 converted",
    ),
    "value in another currency is left out": (
        "10:00 add_to_cart\n 10:01 add_to_cart value=5 currency=GBP\n 10:02 add_to_cart value=7",
        "cart 10:00 expired expired risk=5",
        "10:00 abandoned cart",
    ),
    "an emptied cart is given up on purpose, which nobody recovers": (
        "10:00 add_to_cart\n 10:05 cart_emptied\n 10:06 cart_emptied\n 10:20 purchase order=o",
        "cart 10:00 withdrawn withdrawn left=- done=10:05",
        "10:00 converted",
    ),
    "withdrawn alone is browsing": (
        "10:00 begin_checkout\n 10:05 cart_emptied",
        "checkout 10:00 withdrawn withdrawn",
        "10:00 browsed",
    ),
    "another cart id merges: the chain has both, with what was in the first": (
        """
        10:00 add_to_cart cart=c1 value=10
        10:01 add_to_cart cart=c2 value=5
        10:02 add_to_cart cart=c1 value=1
        10:03 purchase order=o cart=c1
        """,
        "cart 10:00 superseded completed risk=10\n cart 10:01 completed completed risk=16",
        "10:00 converted",
    ),
    "cart ids decide before products, products before nothing": (
        """
        10:00 add_to_cart cart=c1 products=p
        10:01 purchase order=o1 cart=c2 products=q
        10:02 purchase order=o2 products=q
        10:03 purchase order=o3 cart=c2 products=q,p
        """,
        "cart 10:00 completed completed done=10:03",
        "10:00 converted",
    ),
    "an order that says nothing is that of what is open": (
        "10:00 add_to_cart cart=c1 products=p\n 10:01 purchase order=o",
        "cart 10:00 completed completed",
        "10:00 converted",
    ),
    "the thank-you page again is no order": (
        """
        10:00 add_to_cart
        10:01 purchase order=o
        14:00 add_to_cart
        14:01 purchase order=o
        """,
        "cart 10:00 completed completed\n cart 14:00 expired expired left=15:00",
        "10:00 converted, 14:00 abandoned cart",
    ),
    "a server's order completes, though it is in no session; the browser's is a repeat": (
        """
        10:00 add_to_cart value=10
        10:01 purchase order=o passive=true p=1 value=10
        10:01:02 purchase order=o value=10
        """,
        "cart 10:00 completed completed done=10:01",
        "10:00 converted",
    ),
    "a late order voids what had been given up by then": (
        """
        10:00 add_to_cart cart=c value=10
        12:00 page_view v=b
        10:30 purchase order=o cart=c
        """,
        "cart 10:00 void void left=11:00 done=10:30 won=0",
        "10:00 converted",
    ),
    "a late order that came in time completes": (
        "10:00 add_to_cart\n 10:50 page_view v=b\n 10:30 purchase order=o",
        "cart 10:00 completed completed done=10:30",
        "10:00 converted",
    ),
    "a late order from after the deadline recovers; a void beats it later": (
        """
        10:00 add_to_cart cart=c
        13:00 page_view v=b
        11:30 purchase order=o cart=c value=5
        14:00 page_view v=b
        10:30 purchase order=p cart=c
        """,
        "cart 10:00 void void done=10:30 won=0",
        "10:00 converted",
    ),
    "a late order says nothing about what was opened after it": (
        "10:00 add_to_cart\n 10:10 page_view v=b\n 09:50 purchase order=o",
        "cart 10:00 expired expired left=11:00",
        "10:00 abandoned cart",
    ),
    "on the seventh day it is recovered, a moment later it is lost": (
        """
        10:00 add_to_cart cart=c
        12:00 add_to_cart cart=d
        7d 11:00 purchase order=o cart=c value=5
        7d 13:00:00.001 purchase order=p cart=d value=6
        """,
        "cart 10:00 recovered recovered done=7d11:00 won=5\n cart 12:00 expired expired done=7d13:00 won=0",
        "10:00 abandoned cart, 12:00 abandoned cart, 7d11:00 converted, 7d13:00 converted",
    ),
    "one order recovers two carts; its value goes to the one abandoned last": (
        "10:00 add_to_cart value=1\n 12:00 begin_checkout value=2\n 1d 10:00 purchase order=o value=3",
        "cart 10:00 recovered recovered won=0\n checkout 12:00 recovered recovered won=3",
        "10:00 abandoned cart, 12:00 abandoned checkout, 1d10:00 converted",
    ),
    "more than 16 products are as good as none": (
        f"""
        10:00 add_to_cart products={",".join(f"p{n}" for n in range(17))}
        10:01 purchase order=o products=q
        """,
        "cart 10:00 completed completed",
        "10:00 converted",
    ),
    "an order of more than 16 products says nothing about products": (
        f"""
        10:00 add_to_cart products=q
        10:01 purchase order=o products={",".join(f"p{n}" for n in range(17))}
        """,
        "cart 10:00 completed completed",
        "10:00 converted",
    ),
    "what is removed during a checkout leaves what the checkout said": (
        "10:00 add_to_cart value=9\n 10:01 begin_checkout value=9\n 10:02 remove_from_cart value=4",
        "cart 10:00 superseded expired risk=9\n checkout 10:01 expired expired left=11:02 risk=9",
        "10:00 abandoned checkout",
    ),
    "a value that does not count gives no currency": (
        """
        10:00 begin_checkout
        10:01 add_to_cart value=5 currency=GBP
        10:02 begin_checkout value=7
        """,
        "checkout 10:00 expired expired left=11:02 risk=7",
        "10:00 abandoned checkout",
    ),
    "a late order completes a chain that had begun, with all that followed": (
        """
        10:00 add_to_cart cart=c
        10:10 begin_checkout
        10:20 page_view v=b
        10:05 purchase order=o cart=c
        """,
        "cart 10:00 superseded completed\n checkout 10:10 completed completed done=10:05",
        "10:00 converted",
    ),
    "duplicates count once, in their partition and across, and late events that are no orders not at all": (
        """
        10:00 add_to_cart id=1 value=10
        10:00 add_to_cart id=1 value=10
        10:00 add_to_cart id=1 value=10 p=1
        10:01 page_view
        10:00:49 add_to_cart value=10
        10:00:50 add_to_cart value=1
        """,
        "cart 10:00 expired expired left=11:00:50 risk=11",
        "10:00 abandoned cart",
    ),
    "at one time the lesser kind comes first": (
        "10:00 purchase order=o id=1\n 10:00 begin_checkout id=2\n 10:00 add_to_cart id=3",
        "cart 10:00 superseded completed\n checkout 10:00 completed completed",
        "10:00 converted",
    ),
    "a fast clock is not believed": (
        "10:00 page_view\n 11:00 add_to_cart received_at=2026-01-05T10:01:00Z\n 10:02 purchase order=o",
        "cart 10:01 completed completed",
        "10:00 converted",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_case_is_answered_as_a_person_would(name: str) -> None:
    story, objects, sessions = CASES[name]
    found = answer(partitions(story))
    wanted = [line.strip() for line in objects.splitlines() if line.strip()]
    mine = [row for row in found.objects if row["visitor_id"] == "a"]
    assert len(mine) == len(wanted), mine
    assert [shown(row, line) for row, line in zip(mine, wanted, strict=True)] == wanted
    assert outcomes(found) == sessions


def outcomes(found: Answer) -> str:
    """The sessions of visitor a, in words."""
    rows = [row for row in found.sessions if row["visitor_id"] == "a"]
    words = [(moment(row["started_at"]), row["outcome"], row["abandoned_stage"]) for row in rows]
    return ", ".join(" ".join(filter(None, told)) for told in words)


def test_orders_add_up_per_currency_and_so_does_what_was_taken_back() -> None:
    found = answer(partitions("""
        10:00 purchase order=o1 value=19.99
        10:01 purchase order=o2 value=0.01
        10:02 purchase order=o3 value=5 currency=GBP
        10:03 purchase order=o3 value=5 currency=GBP
        10:04 purchase id=x value=7 currency=GBP
        10:05 refund order=o1 value=9.99 id=r
        10:05 refund order=o1 value=9.99 id=r p=1
        10:06 order_cancelled order=o3
        10:07 refund order=unknown value=1
    """))  # fmt: skip
    orders = [(row["currency"], row["orders"], row["value"]) for row in found.orders]
    assert orders == [("EUR", 2, "200000"), ("GBP", 2, "120000")]
    changes = [(row["kind"], row["changes"], row["taken_back"]) for row in found.changes]
    assert changes == [("cancelled", 1, "50000"), ("refunded", 1, "99900")]


def test_rates_count_every_object_at_its_own_kind_with_the_end_of_its_chain() -> None:
    found = answer(partitions("""
        10:00 add_to_cart v=a cart=a
        10:01 begin_checkout v=a cart=a
        10:02 purchase v=a cart=a order=o1
        10:00 add_to_cart v=b p=1
        10:00:01 add_to_cart v=c p=1
        15:00 purchase v=c order=o2 p=1
        15:00 add_to_cart v=d p=1
        15:01 cart_emptied v=d p=1
    """))  # fmt: skip
    (cart, checkout) = found.rates
    assert (cart["kind"], checkout["kind"]) == ("cart", "checkout")
    counts = ("created", "settled", "completed", "abandoned", "recovered")
    assert [cart[name] for name in counts] == [4, 4, 1, 2, 1]
    assert (cart["rate_at_deadline"], cart["rate_after_recovery"]) == (0.75, 0.5)
    assert [checkout[name] for name in counts] == [1, 1, 1, 0, 0]
