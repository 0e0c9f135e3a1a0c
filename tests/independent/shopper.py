"""A shopper of the simulated weeks: wanders through visits, and what they do reaches one or two servers.

Unlike the demo's shoppers they have no story with a known end: every step is drawn, so that things meet which
nobody thought of. Half of all pauses that matter lie exactly at, or a millisecond beside, a gap or deadline.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import lru_cache
from itertools import count
from random import Random
from typing import Any, Final, NamedTuple

SECOND: Final = 1_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
EDGES: Final = (30 * MINUTE, 60 * MINUTE)

NEXT_VISIT: Final = (  # weight, from, to: after the last event of the visit before
    (4, 31 * MINUTE, 59 * MINUTE),  # a new session while the cart is still open
    (4, 61 * MINUTE, 20 * HOUR),
    (4, 20 * HOUR, 6 * DAY),
    (2, 6 * DAY, 8 * DAY + 2 * HOUR),  # about the time at which a recovery is one no more
    (1, 8 * DAY, 10 * DAY),
)
STEPS: Final = {  # how often each is done: with an empty cart, and with a full one
    "look": (30, 12),
    "add": (12, 12),
    "remove": (0, 5),
    "empty": (0.3, 2),
    "see_cart": (1, 6),
    "check_out": (0.7, 14),
    "pay": (0.3, 9),
    "fail": (0, 3),
    "order": (0.8, 9),
    "log_in": (1, 5),
    "wait": (3, 5),
    "edge": (1, 3),
    "leave": (14, 12),
}


class Sent(NamedTuple):
    """A line, and when it reaches which partition."""

    partition: int
    arrival: int
    line: bytes


class Shopper:
    """Someone at the time `at`; all that they do is in `sent`, in no order."""

    def __init__(self, seed: int, number: int, at: int) -> None:
        self.random = Random(f"{seed}/{number}")
        self.number, self.at = number, at
        self.last_at = at  # of the last event
        self.sent: list[Sent] = []
        self.ids = count()
        self.site = "outlet" if number % 10 == 7 else "shop"
        self.partition = number % 2
        self.currency = self.random.choice(("EUR", "EUR", "GBP"))
        self.knows_carts = self.chance(0.6)
        self.tells_products = self.chance(0.85)
        self.tells_value = self.chance(0.95)
        self.is_reported_twice = self.chance(0.35)  # by the browser and by the shop's server
        self.cart: list[int] = []
        self.carts = self.orders = 1
        self.cart_id = self.new_cart_id()

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def live(self) -> list[Sent]:
        """All visits, from the first to the last."""
        for _ in range(self.random.choice((1, 1, 1, 2, 2, 3, 5))):
            self.visit()
            weights = [weight for weight, *_ in NEXT_VISIT]
            ((_, low, high),) = self.random.choices(NEXT_VISIT, weights)
            self.at += self.random.randrange(low, high)
        if self.number % 1_000 == 13:
            self.stay_for_more_than_a_day()
        if self.number % 500 == 29:
            self.change_carts()
        return self.sent

    def visit(self) -> None:
        if self.chance(0.9):
            self.do("page_view")
        while True:
            weights = [both[bool(self.cart)] for both in STEPS.values()]
            (step,) = self.random.choices(list(STEPS), weights)
            if step == "leave":
                return
            if not self.chance(0.03):  # else at the very same moment
                self.at += min(2_000 + int(self.random.expovariate(1 / 20_000)), 3 * MINUTE)
            getattr(self, step)()

    def stay_for_more_than_a_day(self) -> None:
        for _ in range(60):
            self.do(self.random.choice(("view_item", "view_item", "page_view", "add_to_cart")))
            self.at += self.random.randrange(20 * MINUTE, 30 * MINUTE)

    def change_carts(self) -> None:
        """More ids and merges than anybody keeps, and back to the first of them."""
        for number in (*range(2, 25), 2, 3):
            self.at += self.random.randrange(MINUTE)
            facts = {"cart_id": f"c{self.number}-{number}", "value": 1.25, "currency": self.currency}
            self.do("add_to_cart", products=[number], **facts)
        self.do("purchase", order_id=f"o{self.number}-many", cart_id=f"c{self.number}-2")

    # --- what there is to do ---

    def look(self) -> None:
        self.do("view_item", products=[self.random.randrange(1, 200)])

    def add(self) -> None:
        products = [self.random.randrange(1, 400) for _ in range(20 if self.chance(0.01) else 1)]
        if self.cart and self.chance(0.05):  # one more of the same
            products = [self.random.choice(self.cart)]
        self.cart += products
        self.do("add_to_cart", products=products, **self.cart_facts(products))

    def remove(self) -> None:
        gone = self.cart.pop(self.random.randrange(len(self.cart)))
        self.do("remove_from_cart", products=[gone], **self.cart_facts([gone]))

    def empty(self) -> None:
        self.cart = []
        self.do("cart_emptied", **self.cart_facts([]))

    def see_cart(self) -> None:
        self.do("view_cart", products=self.cart, **self.cart_facts(self.cart))

    def check_out(self) -> None:
        event = self.random.choice(("begin_checkout", "begin_checkout", "add_shipping_info"))
        self.do(event, products=self.cart, **self.cart_facts(self.cart))

    def pay(self) -> None:
        self.do("add_payment_info", products=self.cart, **self.cart_facts(self.cart))

    def fail(self) -> None:
        self.do("payment_failed")

    def wait(self) -> None:
        self.at += self.random.randrange(4 * MINUTE, 75 * MINUTE)

    def edge(self) -> None:
        """Exactly as long as a gap or a deadline after the last event, or a moment less or more."""
        self.at = max(self.last_at, self.at - 3 * MINUTE) + self.random.choice(EDGES)
        self.at += self.random.choice((-1, 0, 0, 1))
        self.random.choice((self.see_cart, self.add, self.check_out, self.order))()

    def log_in(self) -> None:
        """A cart that the account had is found: another id for this one, now and then one seen before."""
        self.do("login", user_id=f"u{self.number}")
        if self.chance(0.6):
            self.cart_id = self.new_cart_id()
        elif self.chance(0.3):
            self.cart_id = f"c{self.number}-{self.random.randint(2, self.carts)}"

    def order(self) -> None:
        """An order, told in one of the ways in which orders are told."""
        facts: dict[str, Any] = {"products": self.cart or [1], **self.cart_facts(self.cart or [1])}
        if not self.chance(0.06):
            facts["order_id"] = f"o{self.number}-{self.orders}"
        delay = self.random.randrange(MINUTE, 6 * HOUR) if self.chance(0.08) else None
        is_reported = self.is_reported_twice and "order_id" in facts
        if is_reported:
            self.report(facts)
        if not is_reported or self.chance(0.9):
            self.do("purchase", delay, **facts)
        if self.chance(0.15):
            self.reload(facts)
        if self.chance(0.1) and "order_id" in facts:
            self.take_back(facts)
        self.orders += 1
        self.cart = []
        self.cart_id = self.new_cart_id()

    def report(self, facts: dict[str, Any]) -> None:
        """The server says so as well, in the other partition, a little sooner or later; now and then for a
        visitor of its own.
        """
        shift = self.random.randrange(-1_500, 3_000)
        if self.chance(0.03):
            facts = facts | {"visitor_id": f"server-{self.number}"}
        self.put("purchase", self.at + shift, None, 1 - self.partition, passive=True, **facts)

    def reload(self, facts: dict[str, Any]) -> None:
        """The thank-you page again: at once, or hours later."""
        if self.chance(0.5):
            self.at += self.random.randrange(2 * SECOND, MINUTE)
            self.do("purchase", **facts)
        else:
            at = self.at + self.random.randrange(HOUR, 9 * HOUR)
            self.put("purchase", at, None, self.partition, **facts)

    def take_back(self, facts: dict[str, Any]) -> None:
        at = self.at + self.random.randrange(HOUR, 5 * DAY)
        told: dict[str, Any] = {"order_id": facts["order_id"], "currency": self.currency}
        if self.chance(0.5):
            told["value"] = round(self.random.randrange(1, 500) / 100, 2)
        event = self.random.choice(("refund", "order_cancelled"))
        self.put(event, at, None, 1 - self.partition, passive=True, **told)

    # --- how it is told ---

    def new_cart_id(self) -> str:
        self.carts += 1
        return f"c{self.number}-{self.carts}"

    def cart_facts(self, products: list[int]) -> dict[str, Any]:
        facts: dict[str, Any] = {"cart_id": self.cart_id} if self.knows_carts else {}
        if self.tells_value and products:
            cents = sum(99 + product * 7_919 % 20_000 for product in products)
            facts["value"] = round(cents / 100, 2)
            facts["currency"] = "USD" if self.chance(0.02) else self.currency
        return facts

    def do(self, event: str, delay: int | None = None, **facts: Any) -> None:
        """One event now; 1 in 100 comes late."""
        self.last_at = self.at
        if delay is None and self.chance(0.01):
            delay = self.random.randrange(MINUTE, 40 * MINUTE)
        self.put(event, self.at, delay, self.partition, **facts)

    def put(self, event: str, at: int, delay: int | None, partition: int, **facts: Any) -> None:
        """A record on its way, mostly faster than the lateness that is allowed; sometimes it comes twice."""
        delay = min(30 + int(self.random.expovariate(1 / 1_500)), 9_000) if delay is None else delay
        ahead = HOUR if self.chance(0.001) else 0  # a clock that is fast
        products = [f"sku-{product}" for product in facts.pop("products", [])]
        record = {"event_id": f"{self.number}-{next(self.ids)}", "event": event, "site": self.site}
        record |= {"event_at": iso(at + ahead), "received_at": iso(at + delay)}
        record |= {"visitor_id": f"v{self.number}", **facts}
        if products and self.tells_products:
            record["products"] = products
        line = json.dumps(record).encode()
        self.sent.append(Sent(partition, at + delay, line))
        if self.chance(0.01):
            again = self.random.choice((self.random.randrange(8_000), self.random.randrange(30 * MINUTE)))
            to = partition if self.chance(0.7) else 1 - partition
            self.sent.append(Sent(to, at + delay + again, line))


def iso(at: int) -> str:
    second, ms = divmod(at, SECOND)
    return f"{_second(second)}.{ms:03}Z"


@lru_cache(maxsize=4_096)
def _second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
