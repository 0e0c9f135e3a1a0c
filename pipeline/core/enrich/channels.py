"""By which channel a visitor came, where the producer does not say: the first rule of a table that fits.

The channels are a closed list, because counters are kept per channel: what no rule knows is `other`, and its
source is still a dimension of the session.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

EMAIL: Final = frozenset({"email", "e-mail", "mail", "newsletter"})
AFFILIATE: Final = frozenset({"affiliate", "affiliates"})
PAID: Final = frozenset(
    {"cpc", "ppc", "cpm", "cpv", "paid", "paid_search", "paidsearch", "paid_social", "display"}
)
SEARCH: Final = frozenset({"google", "bing", "duckduckgo", "yahoo", "ecosia", "baidu", "yandex", "qwant"})
SOCIAL: Final = frozenset(
    {"facebook", "instagram", "tiktok", "pinterest", "reddit", "linkedin", "youtube", "x", "twitter"}
)
SHORTENERS: Final = {"t.co": "x", "lnkd.in": "linkedin", "youtu.be": "youtube", "fb.me": "facebook"}
"""Hosts that stand for a site without its name."""

SECOND_LEVEL: Final = frozenset({"co", "com", "org", "net", "ac", "gov", "edu", "ne", "or"})
"""Labels before a country code that are not a site's name: google.co.uk is google."""


class Origin(NamedTuple):
    """What an event says of where its visitor came from, in lower case."""

    source: str
    medium: str
    host: str  # of the referring page; '' for none, or one of the same site
    name: str  # of the site that the host belongs to
    own_host_known: bool


def _paid(o: Origin) -> bool:
    return o.medium in PAID or o.source.startswith("paid")


RULES: Final[tuple[tuple[str, Callable[[Origin], bool]], ...]] = (
    ("email", lambda o: o.medium in EMAIL or o.source in EMAIL or o.host.startswith(("mail.", "webmail."))),
    ("affiliate", lambda o: bool(AFFILIATE & {o.source, o.medium})),
    ("paid_search", lambda o: _paid(o) and (o.source in SEARCH or "search" in o.medium + o.source)),
    ("paid_other", _paid),
    ("social", lambda o: o.source in SOCIAL or "social" in (o.source, o.medium) or o.name in SOCIAL),
    (
        "organic_search",
        lambda o: "organic" in (o.source, o.medium) or o.source in SEARCH or o.name in SEARCH,
    ),
    ("direct", lambda o: o.source in ("direct", "(direct)") or o.medium in ("none", "(none)")),
    # Where the page does not name its own host, any host may be that of the same site.
    ("referral", lambda o: o.medium == "referral" or (o.host != "" and o.own_host_known)),
    ("other", lambda o: o.source != "" or o.medium != ""),
)
"""In this order: what was said on purpose (a tagged link) comes before what a referrer shows."""


def channel(source: str, medium: str, referring_host: str, own_host_known: bool = True) -> str:
    """The channel of an event whose producer names none; '' where nothing is said.

    `referring_host` is '' for a page of the same site; `own_host_known` says whether the event's own
    address has a host, so that one could tell.
    """
    host = referring_host.lower()
    origin = Origin(source.lower(), medium.lower(), host, site_name(host), own_host_known)
    return next((name for name, fits in RULES if fits(origin)), "")


def site_name(host: str) -> str:
    """The name of the site that a host belongs to: google for www.google.co.uk."""
    if host in SHORTENERS:
        return SHORTENERS[host]
    labels = host.split(".")
    if len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in SECOND_LEVEL:
        return labels[-3]
    return labels[-2] if len(labels) > 1 else host
