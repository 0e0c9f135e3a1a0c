"""Objects of a journey: what is read, what is refused where, and a definition wrong in seven ways."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.journeys import load_journeys
from schemas.objects import (
    BROWSE,
    CART,
    CHECKOUT,
    PAYMENT,
    RECOVERY_WINDOW_MS,
    SITES_MAX,
    Object,
    Objects,
    Timing,
)
from schemas.predicates import Compare
from tests.cli.run import mended, pathline
from tests.definitions.test_journeys import refused

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
STAGES = """\
journey: shop
version: 3
conversion: order
stages:
  - {name: view, when: {event: page_view}}
  - {name: cart, when: {event: add_to_cart}}
  - {name: checkout, when: {event: begin_checkout}}
  - {name: order, when: {event: purchase}}
  - {name: review, when: {event: review}}
"""
GOOD = f"""\
{STAGES}\
objects:
  recovery_window: 14d
  withdrawn: {{event: cart_emptied}}
  browse:
    stage: view
    when: {{event: view_item}}
  cart:
    stage: cart
    when: {{event: add_to_cart}}
    removes: {{event: remove_from_cart}}
    abandon_after: 1h
  checkout:
    stage: checkout
    when: {{event: begin_checkout}}
    at_risk_after: 10m
    abandon_after: 1h
  payment:
    stage: checkout
    when: {{event: add_payment_info}}
    abandon_after: 30m
  sites:
    outlet: {{cart: {{abandon_after: 2h}}, checkout: {{at_risk_after: 5m}}}}
    b2b: {{cart: {{abandon_after: 7d, at_risk_after: 1d}}}}
"""


def on(event: str) -> Compare:
    return Compare("event", "eq", event)


def objects_of(text: str, folder: Path) -> Objects | None:
    (folder / "shop.yaml").write_text(text)
    return load_journeys([str(folder / "shop.yaml")])[0].objects


def test_a_definition(tmp_path: Path) -> None:
    assert objects_of(GOOD, tmp_path) == Objects(
        kinds=(
            Object(BROWSE, 1, on("view_item"), None, Timing()),
            Object(CART, 2, on("add_to_cart"), on("remove_from_cart"), Timing(HOUR_MS)),
            Object(CHECKOUT, 3, on("begin_checkout"), None, Timing(HOUR_MS, 10 * MINUTE_MS)),
            Object(PAYMENT, 3, on("add_payment_info"), None, Timing(30 * MINUTE_MS)),
        ),
        withdrawn=on("cart_emptied"),
        recovery_window_ms=14 * 24 * HOUR_MS,
        by_site={
            "outlet": {CART: Timing(2 * HOUR_MS), CHECKOUT: Timing(HOUR_MS, 5 * MINUTE_MS)},
            "b2b": {CART: Timing(7 * 24 * HOUR_MS, 24 * HOUR_MS)},
        },
    )


def test_a_site_has_deadlines_of_its_own_where_it_names_them(tmp_path: Path) -> None:
    objects = objects_of(GOOD, tmp_path)
    assert objects
    assert objects.timing(CART, "outlet") == Timing(2 * HOUR_MS)
    assert objects.timing(CART, "anywhere else") == Timing(HOUR_MS)
    assert objects.timing(PAYMENT, "outlet") == Timing(30 * MINUTE_MS)


def test_what_is_left_out(tmp_path: Path) -> None:
    assert objects_of(STAGES, tmp_path) is None
    cart = "objects: {cart: {stage: cart, when: {event: add_to_cart}, abandon_after: 1h}}\n"
    assert objects_of(STAGES + cart, tmp_path) == Objects(
        (Object(CART, 2, on("add_to_cart"), None, Timing(HOUR_MS)),), None, RECOVERY_WINDOW_MS, {}
    )


CART_TEXT = """\
  cart:
    stage: cart
    when: {event: add_to_cart}
    removes: {event: remove_from_cart}
    abandon_after: 1h
"""
DURATIONS = "durations look like 500ms, 10s, 30m, 24h, 7d"

REPLACED: list[tuple[str, str, str]] = [
    # kinds
    (CART_TEXT, "  crat: {}\n", "16: objects has no key 'crat' (did you mean 'cart'?)"),
    (CART_TEXT, "  cart: add_to_cart\n", "16: the object cart must be a mapping, not text ()"),
    ("withdrawn: {event: cart_emptied}", "withdrawn: now", "12: 'withdrawn' must be a mapping, not text ("),
    (
        "withdrawn: {event: cart_emptied}",
        "withdrawn: {event: x, unless: cart}",
        "12: 'withdrawn' looks back: 'unless' (conditions of objects see one event: leave it out)",
    ),
    (
        "when: {event: view_item}",
        "when: {event: view_item, at_least: 3}",
        "15: 'when' of the object browse looks back: 'at_least' (conditions of objects see one event: leave",
    ),
    # what every object needs
    ("    stage: cart\n", "", "16: the object cart lacks 'stage' ()"),
    ("    when: {event: add_to_cart}\n", "", "16: the object cart lacks 'when' ()"),
    ("    abandon_after: 30m\n", "", "26: the object payment lacks 'abandon_after' ()"),
    ("event: add_to_cart}\n    rem", "evnt: x}\n    rem", "18: 'when' of the object cart asks for 'evnt', w"),
    (
        "{event: remove_from_cart}",
        "remove_from_cart",
        "19: 'removes' of the object cart must be a mapping, not text (such as {event: page_view})",
    ),
    (
        "    at_risk_after: 10m",
        "    removes: {event: x}\n    at_risk_after: 10m",
        "24: the object checkout has no key 'removes' (known: stage, when, abandon_after, at_risk_after)",
    ),
    (
        "when: {event: view_item}",
        "when: {event: view_item}\n    abandon_after: 1h",
        "16: the object browse has no abandon_after (browsing ends with its session)",
    ),
    # stages
    ("stage: cart", "stage: crat", "17: the stage of cart: there is no stage 'crat' (did you mean 'cart'?)"),
    ("stage: cart", "stage:", "17: the stage of cart must be text, not empty ()"),
    (
        "stage: cart",
        "stage: order",
        "17: the stage of cart: 'order' is the conversion (an object stands for what comes before it)",
    ),
    (
        "  payment:\n    stage: checkout",
        "  payment:\n    stage: review",
        "27: the stage of payment: 'review' comes after the conversion (an object stands for what comes",
    ),
    (
        "  payment:\n    stage: checkout",
        "  payment:\n    stage: view",
        "27: the stage of payment comes before that of checkout (in this order: browse, cart, checkout, pa",
    ),
    # deadlines
    ("14d", "61d", "11: recovery_window is too long: 61d (at most 60d)"),
    ("14d", "14", f"11: recovery_window must be a duration, not '14' ({DURATIONS})"),
    ("abandon_after: 30m", "abandon_after: 8d", "29: abandon_after is too long: 8d (at most 7d)"),
    (
        "abandon_after: 30m",
        "abandon_after: 30 min",
        f"29: abandon_after must be a duration, not '30 min' ({DURATIONS})",
    ),
    ("abandon_after: 30m", "abandon_after: 0m", "29: abandon_after must be a duration, not '0m'"),
    (
        "at_risk_after: 10m",
        "at_risk_after: 1h",
        "25: at_risk_after is not before abandon_after (what is abandoned is not at risk)",
    ),
    # sites
    ("at_risk_after: 5m", "at_risk_after: 3h", "31: at_risk_after is not before abandon_after (what is ab"),
    ("after: 2h", "after: soon", f"31: abandon_after must be a duration, not 'soon' ({DURATIONS})"),
    ("after: 7d", "after: 9d", "32: abandon_after is too long: 9d (at most 7d)"),
    ("outlet: {cart", "outlet: {crat", "31: the site outlet has no key 'crat' (did you mean 'cart'?)"),
    ("outlet: {cart", "outlet: {browse", "31: the site outlet has no key 'browse' (known: cart, checkout, p"),
    ("{cart: {abandon_after: 2h}, ", "{cart: 2h, ", "31: cart of outlet must be a mapping, not text ()"),
    ("{cart: {abandon_after: 2h}, ", "{cart: {}, ", "31: cart of outlet changes nothing (leave it out)"),
    ("{abandon_after: 2h}", "{when: x}", "31: cart of outlet has no key 'when' (known: abandon_after, at_ri"),
    ("b2b: {cart: {abandon_after: 7d, at_risk_after: 1d}}", "b2b: {}", "32: the site b2b changes nothing (l"),
    ("b2b: {cart: {abandon_after: 7d, at_risk_after: 1d}}", "b2b: 7d", "32: the site b2b must be a mapping,"),
    # beside stages
    (
        "{name: cart, when: {event: add_to_cart}}",
        "{name: cart, when: {event: add_to_cart}, abandon_after: 1h}",
        "6: 'cart' has a timer, and the journey has objects: one visit would be abandoned twice (put abandon",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "problem"), REPLACED)
def test_refused(old: str, new: str, problem: str, tmp_path: Path) -> None:
    assert old in GOOD
    text = GOOD.replace(old, new, 1)
    text = text.split("  sites:")[0] if "  cart:" not in text or "  cart: add" in text else text
    problems = refused(text, folder=tmp_path)
    assert len(problems) == 1, problems
    assert problems[0].startswith(problem)


BROWSING = "browse: {stage: view, when: {event: view_item}}"


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("cart", "objects must be a mapping, not text (KIND: {stage: .., when: ..})"),
        ("", "objects must be a mapping, not empty (KIND: {stage: .., when: ..})"),
        ("{}", "objects has no object (one of browse, cart, checkout, payment)"),
        ("{recovery_window: 7d}", "objects has no object (one of browse, cart, checkout, payment)"),
        (
            f"{{{BROWSING}, withdrawn: {{event: x}}}}",
            "nothing here can be withdrawn (a cart, checkout or payment can: browsing ends with its session)",
        ),
        (f"{{{BROWSING}, sites: [a]}}", "sites must be a mapping, not a list (SITE: {cart: {...}})"),
        (
            f"{{{BROWSING}, sites: {{a: {{}}}}}}",
            "no object has a deadline that a site could change (leave sites out)",
        ),
    ],
)
def test_objects_refused(written: str, problem: str, tmp_path: Path) -> None:
    assert refused(f"{STAGES}objects: {written}\n", folder=tmp_path) == [f"10: {problem}"]


def test_sites_have_a_limit(tmp_path: Path) -> None:
    def sites(count: int) -> str:
        lines = (f"    s{k}: {{cart: {{abandon_after: {1 + k % 60}m}}}}\n" for k in range(count))
        return GOOD.split("    outlet:")[0] + "".join(lines)

    objects = objects_of(sites(SITES_MAX), tmp_path)
    assert objects
    assert len(objects.by_site) == SITES_MAX
    assert refused(sites(SITES_MAX + 1), folder=tmp_path) == [
        "30: 256 sites, and at most 255 are possible (name those that differ from most)"
    ]


WRONG_IN_SEVEN_WAYS = """\
journey: shop
version: 1
conversion: order
stages:
  - {name: view, when: {event: page_view}}
  - {name: cart, when: {event: add_to_cart, after: veiw}}
  - {name: checkout, when: {event: begin_checkout}, abandon_after: 30m}
  - {name: order, when: {event: purchase}}
objects:
  recovery_window: 90d
  cart:
    stage: crat
    when: {event: add_to_cart}
    abandon_after: 1 hour
  checkout:
    stage: order
    when: {event: begin_checkout}
    abandon_after: 1h
  sites:
    outlet: {checkout: {at_risk_after: 2h}}
"""
SEVEN = [
    "6: after: there is no stage 'veiw' (did you mean 'view'?)",
    (
        "7: 'checkout' has a timer, and the journey has objects: one visit would be abandoned twice "
        "(put abandon_after to the object that stands for the stage)"
    ),
    "10: recovery_window is too long: 90d (at most 60d)",
    "12: the stage of cart: there is no stage 'crat' (did you mean 'cart'?)",
    f"14: abandon_after must be a duration, not '1 hour' ({DURATIONS})",
    "16: the stage of checkout: 'order' is the conversion (an object stands for what comes before it)",
    "20: at_risk_after is not before abandon_after (what is abandoned is not at risk)",
]


def test_a_definition_wrong_in_seven_ways_gets_seven_messages(tmp_path: Path) -> None:
    assert refused(WRONG_IN_SEVEN_WAYS, folder=tmp_path) == SEVEN


def test_and_check_says_all_seven_with_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(WRONG_IN_SEVEN_WAYS)
    lines = mended(pathline("check", "--journey", "./shop.yaml", cwd=tmp_path))
    told = [f"./shop.yaml:{problem.split(' (')[0]}" for problem in SEVEN]
    hints = [f"  hint: {problem.split(' (')[1][:-1]}" for problem in SEVEN]
    assert lines == [line for pair in zip(told, hints, strict=True) for line in pair]
