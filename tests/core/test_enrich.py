"""Channels by the table of their rules; and an event's row does not depend on the batch it came in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.enrich.channels import RULES, channel, site_name
from pipeline.core.rows import CHANNEL
from tests.core.made import ROWS, Row, enriched, told

SHOP = "https://shop.example/p/1"


@pytest.mark.parametrize(
    ("source", "medium", "host", "expected"),
    [
        ("", "", "", ""),
        ("newsletter", "", "", "email"),
        ("spring", "email", "www.google.com", "email"),
        ("", "", "mail.google.com", "email"),
        ("affiliate", "cpc", "", "affiliate"),
        ("partner", "affiliate", "facebook.com", "affiliate"),
        ("google", "cpc", "www.google.com", "paid_search"),
        ("bing", "ppc", "", "paid_search"),
        ("", "paid_search", "", "paid_search"),
        ("paid_search", "", "", "paid_search"),
        ("facebook", "cpc", "", "paid_other"),
        ("instagram", "paid_social", "", "paid_other"),
        ("paid_ads", "", "", "paid_other"),
        ("Facebook", "", "", "social"),
        ("post", "social", "", "social"),
        ("", "", "l.facebook.com", "social"),
        ("", "", "t.co", "social"),
        ("", "", "old.reddit.com", "social"),
        ("google", "", "", "organic_search"),
        ("", "organic", "", "organic_search"),
        ("", "", "google.co.uk", "organic_search"),
        ("", "", "www.google.com.br", "organic_search"),
        ("", "", "search.yahoo.com", "organic_search"),
        ("direct", "", "", "direct"),
        ("(direct)", "(none)", "", "direct"),
        ("direct", "", "blog.example", "direct"),
        ("", "", "blog.example", "referral"),
        ("", "referral", "", "referral"),
        ("", "", "notgoogle.example", "referral"),
        ("", "", "google.evil.example", "referral"),
        ("partner", "", "blog.example", "referral"),
        ("partner", "", "", "other"),
        ("", "qr-code", "", "other"),
    ],
)
def test_the_first_rule_that_fits_names_the_channel(
    source: str, medium: str, host: str, expected: str
) -> None:
    assert channel(source, medium, host) == expected


def test_where_a_page_does_not_name_its_host_a_foreign_one_cannot_be_told() -> None:
    assert channel("", "", "blog.example", own_host_known=False) == ""
    assert channel("", "", "www.google.com", own_host_known=False) == "organic_search"
    assert channel("partner", "", "blog.example", own_host_known=False) == "other"


@given(st.text(), st.text(), st.text())
def test_channels_are_a_closed_list(source: str, medium: str, host: str) -> None:
    assert channel(source, medium, host) in {"", *(name for name, _ in RULES)}


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("google.com", "google"),
        ("a.b.bbc.co.uk", "bbc"),
        ("co.uk", "co"),
        ("localhost", "localhost"),
        ("", ""),
    ],
)
def test_a_host_belongs_to_a_site(host: str, name: str) -> None:
    assert site_name(host) == name


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"channel": "ads", "source": "google"}, "ads"),
        ({"url": SHOP, "referrer": "https://shop.example/"}, ""),
        ({"url": SHOP, "referrer": "http://WWW.Shop.Example:8080/x"}, ""),
        ({"url": "https://www.shop.example", "referrer": "https://checkout.www.shop.example/"}, ""),
        ({"url": "https://checkout.shop.example/", "referrer": "https://www.shop.example?q#f"}, ""),
        ({"url": SHOP, "referrer": "https://workshop.example/"}, "referral"),
        ({"url": SHOP, "referrer": "https://www.google.nl/search"}, "organic_search"),
        ({"url": SHOP, "referrer": "https://example"}, ""),
        ({"url": SHOP, "referrer": "not a page"}, ""),
        ({"url": "/p/1", "referrer": "https://shop.example/"}, ""),
        ({"referrer": "https://www.bing.com"}, "organic_search"),
        (
            {"url": SHOP, "referrer": "https://blog.example/", "source": "google", "medium": "cpc"},
            "paid_search",
        ),
    ],
)
def test_a_referrer_speaks_where_it_is_another_site(row: Row, expected: str) -> None:
    events = enriched([{"visitor_id": "z", "referrer": "https://elsewhere.example"}, row])
    assert events.known[events.words[1, CHANNEL]] == expected


@given(st.lists(ROWS, min_size=1), st.data())
def test_events_do_not_depend_on_the_batch(rows: list[Row], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(rows)))
    numbered = [{**row, "event_id": f"e{number}"} for number, row in enumerate(rows)]
    parts = [part for part in (numbered[:cut], numbered[cut:]) if part]
    apart = [event for part in parts for event in told(enriched(part))]
    whole = told(enriched(numbered))
    position = 5  # counted from the start of each part by `enriched`
    assert [event[:position] + event[position + 1 :] for event in whole] == [
        event[:position] + event[position + 1 :] for event in apart
    ]
