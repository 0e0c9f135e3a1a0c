"""The twelve stories that simulated shoppers tell.

They keep clear of chance where it would change their end: no pause but those named here is longer than
three minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from pipeline.simulate.shoppers import HOUR, MINUTE, REMINDER, Sent, Shopper


def _bounce(shopper: Shopper) -> None:
    shopper.use()
    shopper.land()


def _browse(shopper: Shopper) -> None:
    shopper.use()
    shopper.land()
    shopper.look(shopper.random.randrange(1, 5))


def _abandon_cart(shopper: Shopper) -> None:
    _browse(shopper)
    shopper.fill_cart()


def _abandon_checkout(shopper: Shopper) -> None:
    _abandon_cart(shopper)
    shopper.check_out()


def _abandon_payment(shopper: Shopper) -> None:
    _abandon_checkout(shopper)
    shopper.pay()


def _buy(shopper: Shopper) -> None:
    _abandon_payment(shopper)
    shopper.order()


def _hesitate(shopper: Shopper) -> None:
    _abandon_checkout(shopper)
    shopper.pause(12 * MINUTE, 25 * MINUTE)
    shopper.pay()
    shopper.order()


def _one_click(shopper: Shopper) -> None:
    shopper.use()
    shopper.view_product()
    shopper.cart.append(shopper.mind)
    shopper.order()


def _return(shopper: Shopper) -> None:
    _abandon_cart(shopper)
    if shopper.random.random() < 0.5:
        shopper.check_out()
    shopper.pause(20 * HOUR, 28 * HOUR)
    shopper.came_by = REMINDER
    shopper.view_cart()
    shopper.check_out()
    shopper.pay()
    shopper.order()


def _two_devices(shopper: Shopper) -> None:
    shopper.use("mobile")
    shopper.land()
    shopper.log_in()
    shopper.look(2)
    shopper.fill_cart()
    shopper.pause(20 * MINUTE, 3 * HOUR)
    shopper.use("desktop")
    shopper.land()
    shopper.view_cart()
    shopper.check_out()
    shopper.pay()
    shopper.order()


def _late_phone(shopper: Shopper) -> None:
    shopper.use("mobile")
    shopper.land()
    shopper.look(2)
    shopper.fill_cart()
    shopper.online_at = shopper.at + shopper.random.randrange(4 * MINUTE, 20 * MINUTE)
    shopper.check_out()
    shopper.pay()
    shopper.order()


def _bot(shopper: Shopper) -> None:
    shopper.use("bot")
    shopper.came_by = None
    for _ in range(shopper.random.randrange(24, 80)):
        shopper.do("view_item_list", f"c/{shopper.random.randrange(40)}")
        shopper.pause(200, 1_500)


STORIES: Final[Mapping[str, tuple[float, Callable[[Shopper], None]]]] = {
    "bounce": (0.34, _bounce),  # one event
    "browse": (0.30, _browse),  # some products
    "abandon_cart": (0.08, _abandon_cart),  # gone with the cart filled,
    "abandon_checkout": (0.04, _abandon_checkout),  # in the checkout,
    "abandon_payment": (0.02, _abandon_payment),  # or with payment data given
    "buy": (0.08, _buy),  # from landing to order without a long pause
    "hesitate": (0.02, _hesitate),  # pauses 12 to 25 minutes in the checkout, then buys
    "one_click": (0.02, _one_click),  # sees a product and orders it
    "return": (0.02, _return),  # gives up in cart or checkout; buys the same cart 20 to 28 hours later
    "two_devices": (0.02, _two_devices),  # a cart from the phone, ordered on the desktop: one account
    "late_phone": (0.03, _late_phone),  # buys; with the cart filled the network goes for 4 to 20 minutes
    "bot": (0.03, _bot),  # dozens of pages, under two seconds apart
}
"""How often each story is told, if nothing else is asked for, and how it goes."""


def tell(shopper: Shopper) -> list[Sent]:
    """The shopper's whole story; some browsers also say that the page was left, which is nobody's act."""
    _, story = STORIES[shopper.story]
    story(shopper)
    if shopper.random.random() < 0.1:
        shopper.pause()
        shopper.do("page_leave", "", ',"passive":true')
    return shopper.sent
