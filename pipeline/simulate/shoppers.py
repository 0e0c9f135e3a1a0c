"""A simulated shopper: who it is, what it can do, and how that reaches the server.

Event names are those of GA4. Time comes in as a number, and goes on by what the shopper does alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from random import Random
from typing import Final, NamedTuple

MINUTE: Final = 60_000
HOUR: Final = 60 * MINUTE
DELAY_MAX_MS: Final = 4_900
REPEAT_AFTER_MAX_MS: Final = 4_000
"""The slowest way to the server where the network is up, and the latest retry after it: together below 9 s,
and so below the usual allowed lateness of 10 s."""
PAUSE_MAX_MS: Final = 3 * MINUTE
"""Nobody hesitates longer between two steps, unless the story says so: no timer fires by chance."""

_COUNTRIES: Final = (("DE", "EUR"), ("NL", "EUR"), ("FR", "EUR"), ("GB", "GBP"), ("US", "USD"))
_SOURCES: Final = (  # source, medium, campaign, referrer
    ("", "", "", ""),
    ("", "", "", "https://www.google.com/"),
    ("google", "cpc", "brand", "https://www.google.com/"),
    ("google", "cpc", "shopping", "https://www.google.com/"),
    ("facebook", "paid_social", "retargeting", "https://www.facebook.com/"),
    ("", "", "", "https://www.instagram.com/"),
    ("newsletter", "email", "weekly", ""),
    ("partner", "affiliate", "deals", "https://deals.example/"),
    ("", "", "", "https://chatgpt.com/"),
)
REMINDER: Final = ("newsletter", "email", "cart_reminder", "")
_DEVICES: Final = ("mobile", "mobile", "mobile", "desktop", "desktop", "tablet")
_AGENTS: Final = {
    "mobile": "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148",
    "desktop": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/138.0.0.0 Safari/537.36",
    "tablet": "Mozilla/5.0 (iPad; CPU OS 18_5 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148",
    "bot": "Mozilla/5.0 (compatible; ExampleBot/2.1; +https://bot.example/about)",
}
_LINE: Final = '{"event_id":"%s%08x%04x","event_at":"%s","received_at":"%s","event":"%s","url":"https://%s.example/%s"%s%s}'


class Sent(NamedTuple):
    """A record and when it reaches the server."""

    at: int
    line: bytes


class Shopper:
    """Someone at the time `at`, on one device at a time; what they do goes into `sent`, in no order."""

    def __init__(self, seed: int, site: str, number: int, at: int, shares: Mapping[str, float]) -> None:
        self.random = Random(f"{seed}/{number}")  # noqa: S311 - to be repeated, not to be kept secret
        (self.story,) = self.random.choices(list(shares), list(shares.values()))
        self.site, self.number, self.at = site, number, at
        self.sent: list[Sent] = []
        self.run = f"{seed & 0xFFFF:04x}"
        self.devices = 0
        self.online_at = 0
        self.country, self.currency = self.random.choice(_COUNTRIES)
        self.user = f',"user_id":"u{self.run}{number:08x}"'
        self.is_known = self.random.random() < 0.3  # logged in since an earlier visit
        self.mind = 0  # the product seen last
        self.cart: list[int] = []
        self.came_by: tuple[str, str, str, str] | None = None  # until the landing has told it

    def use(self, device: str = "") -> None:
        """From here on a device not used before (any one by default): a visitor id of its own."""
        self.devices += 1
        device = device or self.random.choice(_DEVICES)
        self.came_by = self.random.choice(_SOURCES)
        visitor = {
            "visitor_id": f"v{self.run}{self.number:08x}{self.devices}",
            "site": self.site,
            "device": "desktop" if device == "bot" else device,
            "country": self.country,
            "properties": {"story": self.story, "user_agent": _AGENTS[device]},
        }
        self.visitor = "," + json.dumps(visitor, separators=(",", ":"))[1:-1]

    def do(self, event: str, path: str, detail: str = "") -> None:
        """One event now; it arrives as soon as the network lets it."""
        delay = min(40 + int(self.random.expovariate(1 / 700)), DELAY_MAX_MS)
        arrival = max(self.at + delay, self.online_at + len(self.sent))
        if self.came_by:
            detail += _landing(*self.came_by)
            self.came_by = None
        if self.is_known:
            detail += self.user
        line = _LINE % (
            self.run,
            self.number,
            len(self.sent),
            _iso(self.at),
            _iso(arrival),
            event,
            self.site,
            path,
            detail,
            self.visitor,
        )
        self.sent.append(Sent(arrival, line.encode()))

    def pause(self, low_ms: int = 2_000, high_ms: int = 0) -> None:
        """Think for a while: mostly some 25 s, or anything between two bounds."""
        if high_ms:
            self.at += self.random.randrange(low_ms, high_ms)
        else:
            self.at += min(low_ms + int(self.random.expovariate(1 / 25_000)), PAUSE_MAX_MS)

    def land(self) -> None:
        self.do("page_view", "")

    def look(self, products: int) -> None:
        """See lists and products; the last one stays in mind."""
        for _ in range(products):
            self.pause()
            if self.random.random() < 0.2:
                self.do("search", f"search?q=word{self.random.randrange(500)}")
            else:
                self.do("view_item_list", f"c/{self.random.randrange(40)}")
            self.pause()
            self.view_product()

    def view_product(self) -> None:
        self.mind = self.random.randrange(1, 5_000)
        self.do("view_item", f"p/{self.mind}", _goods([self.mind], self.currency))

    def fill_cart(self) -> None:
        for _ in range(1 + (self.random.random() < 0.3)):
            self.pause()
            self.cart.append(self.mind)
            self.do("add_to_cart", f"p/{self.mind}", _goods([self.mind], self.currency) + self.cart_id)
        self.view_cart()

    def view_cart(self) -> None:
        self.pause()
        self.do("view_cart", "cart", self.cart_detail)

    def check_out(self) -> None:
        for event in ("begin_checkout", "add_shipping_info"):
            self.pause()
            self.do(event, "checkout", self.cart_detail)

    def pay(self) -> None:
        self.pause()
        self.do("add_payment_info", "checkout/payment", self.cart_detail)

    def order(self) -> None:
        self.pause()
        detail = f'{self.cart_detail},"order_id":"o{self.run}{self.number:08x}"'
        self.do("purchase", "checkout/thanks", detail)

    def log_in(self) -> None:
        self.pause()
        self.is_known = True
        self.do("login", "account")

    @property
    def cart_id(self) -> str:
        return f',"cart_id":"c{self.run}{self.number:08x}"'

    @property
    def cart_detail(self) -> str:
        return _goods(self.cart, self.currency) + self.cart_id


def _goods(products: list[int], currency: str) -> str:
    cents = sum(499 + product * 7_919 % 20_000 for product in products)
    ids = ",".join(f'"sku-{product:05}"' for product in products)
    value = f"{cents // 100}.{cents % 100:02}"
    return f',"products":[{ids}],"quantity":{len(products)},"value":{value},"currency":"{currency}"'


@lru_cache(maxsize=len(_SOURCES) + 1)
def _landing(source: str, medium: str, campaign: str, referrer: str) -> str:
    told = {"source": source, "medium": medium, "campaign": campaign, "referrer": referrer}
    return "".join(f',"{name}":"{value}"' for name, value in told.items() if value)


def _iso(at: int) -> str:
    minute, rest = divmod(at, MINUTE)
    return f"{_minute_text(minute)}:{rest // 1000:02}.{rest % 1000:03}Z"


@lru_cache(maxsize=4_096)
def _minute_text(minute: int) -> str:
    return datetime.fromtimestamp(minute * 60, UTC).strftime("%Y-%m-%dT%H:%M")
