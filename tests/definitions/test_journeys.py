"""Journey definitions: what is shipped, what is read, and what is refused where."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.documents import BadDefinition
from schemas.entries import Entry
from schemas.journeys import Journey, Rule, load_journeys, shipped_journeys
from schemas.predicates import Compare, matches

GOOD = """\
journey: shop
version: 3
key: visitor
conversion: order
stages:
  - name: view
    when: {event: page_view}
  - name: cart
    optional: true
    when: {event: add_to_cart}
    abandon_after: 10m
  - name: order
    when: {event: purchase}
regress:
  - to: view
    when: {event: cart_emptied}
"""


def refused(*texts: str, folder: Path) -> list[str]:
    """The problems of these definitions as `line: message (hint)`; files are a0.yaml, a1.yaml, ..."""
    paths = [folder / f"a{k}.yaml" for k in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
    with pytest.raises(BadDefinition) as caught:
        load_journeys([str(path) for path in paths])
    assert {problem.file for problem in caught.value.problems} <= {str(path) for path in paths}
    return [f"{p.line}: {p.message} ({p.hint})".replace(str(folder), "") for p in caught.value.problems]


def test_a_definition(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(GOOD)
    (journey,) = load_journeys([str(tmp_path / "shop.yaml")])
    assert (journey.name, journey.version, journey.key, journey.conversion) == ("shop", 3, "visitor", 3)
    assert [(s.name, s.rank, s.optional, s.abandon_after_ms) for s in journey.stages] == [
        ("view", 1, False, None),
        ("cart", 2, True, 600_000),
        ("order", 3, False, None),
    ]
    assert journey.rules == (
        Rule(0, "enter", 1, Compare("event", "eq", "page_view")),
        Rule(1, "enter", 2, Compare("event", "eq", "add_to_cart")),
        Rule(2, "enter", 3, Compare("event", "eq", "purchase")),
        Rule(3, "regress", 1, Compare("event", "eq", "cart_emptied")),
    )


REPLACED: list[tuple[str, str, str]] = [
    ("journey: shop", "journey: Shop-1", "1: the journey's name 'Shop-1' is not a name (lower-case letters"),
    ("journey: shop", "journey:", "1: the journey's name must be text, not empty ()"),
    ("version: 3", "version: 0", "2: version must be from 1 to 65535, not 0 ()"),
    ("version: 3", "version: '3'", "2: version must be a whole number, not text ()"),
    ("version: 3\n", "", "1: a journey lacks 'version' ()"),
    (
        "key: visitor",
        "key: person",
        "3: person-scoped journeys are not available yet (use key: visitor)",
    ),
    ("key: visitor", "key: session", "3: key 'session' is not known (use key: visitor)"),
    ("key: visitor", "kee: visitor", "3: a journey has no key 'kee' (did you mean 'key'?)"),
    (
        "conversion: order",
        "conversion: odrer",
        "4: conversion: there is no stage 'odrer' (did you mean 'order",
    ),
    (
        "conversion: order",
        "conversion: cart",
        "11: 'cart' is the conversion: whoever reached it cannot",
    ),
    ("name: cart", "name: view", "8: the stage 'view' is here twice (names must differ)"),
    ("name: cart", "name: Cart", "8: the name of stage 2 'Cart' is not a name"),
    ("name: cart\n    optional", "optional", "8: stage 2 lacks 'name' ()"),
    ("optional: true", "optional: 1", "9: optional must be true or false, not a number ()"),
    ("    when: {event: add_to_cart}\n", "", "8: stage 2 lacks 'when' ()"),
    (
        "add_to_cart}",
        "add_to_cart, valeu: 5}",
        "10: 'when' of stage cart asks for 'valeu', which is",
    ),
    (
        "after: 10m",
        "after: 10 min",
        "11: abandon_after must be a duration, not '10 min' (durations look like 500ms, 10s, 30m, 24h, 7d)",
    ),
    ("after: 10m", "after: 600", "11: abandon_after must be a duration, not '600'"),
    ("after: 10m", "after: 25h", "11: abandon_after is too long: 25h (at most 24h)"),
    (
        "abandon_after",
        "abandon_afer",
        "11: stage 2 has no key 'abandon_afer' (did you mean 'abandon_after",
    ),
    ("to: view", "to: veiw", "15: to: there is no stage 'veiw' (did you mean 'view'?)"),
    ("to: view", "to: order", "15: nothing can go back to the last stage (name the stage it goes back to)"),
    ("  - to: view\n    when: {event: cart_emptied}\n", "", "14: regress must be a list, not empty ()"),
    (
        "{event: cart_emptied}",
        "cart_emptied",
        "16: 'when' of a regress rule must be a mapping, not text",
    ),
]


@pytest.mark.parametrize(("old", "new", "problem"), REPLACED)
def test_refused(old: str, new: str, problem: str, tmp_path: Path) -> None:
    assert old in GOOD
    problems = refused(GOOD.replace(old, new, 1), folder=tmp_path)
    assert len(problems) == 1
    assert problems[0].startswith(problem)


LOOKING_BACK = """\
  - name: view
    when:
      - {event: page_view, at_least: 3, per: session, unless: order}
      - {event: search}
  - name: cart
    optional: true
    when: {event: add_to_cart, after: view, not_before: 10s}
"""


def looking_back() -> str:
    head, rest = GOOD.split("  - name: view\n")
    return head + LOOKING_BACK + "  - name: order\n" + rest.split("  - name: order\n")[1]


def test_rules_that_look_back(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(looking_back())
    (journey,) = load_journeys([str(tmp_path / "shop.yaml")])
    assert [stage.entries for stage in journey.stages] == [
        (
            Entry(Compare("event", "eq", "page_view"), at_least=3, unless=3),
            Entry(Compare("event", "eq", "search")),
        ),
        (Entry(Compare("event", "eq", "add_to_cart"), after=1, not_before_ms=10_000),),
        (Entry(Compare("event", "eq", "purchase")),),
    ]
    assert not journey.is_stateless
    assert [(rule.bit, rule.kind, rule.rank) for rule in journey.rules] == [
        (0, "enter", 1), (1, "enter", 1), (2, "enter", 2), (3, "enter", 3), (4, "regress", 1),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("at_least: 3", "at_least: 0", "8: at_least must be from 1 to 255, not 0 ()"),
        ("at_least: 3, ", "", "8: 'per' says what at_least counts in (add at_least)"),
        ("per: session", "per: sesion", "8: per 'sesion' is not known (did you mean 'session'?)"),
        ("unless: order", "unless: odrer", "8: unless: there is no stage 'odrer' (did you mean 'order'?)"),
        ("after: view, ", "", "12: not_before counts from a stage (name it: after: STAGE)"),
        ("not_before: 10s", "not_before: soon", "12: not_before must be a duration, not 'soon'"),
        ("not_before: 10s", "unless: view", "12: after and unless name the same stage: this can never hold"),
        ("{event: search}", "{unless: order}", "9: 'when' of stage view, rule 2 is empty"),
        ("{event: search}", "search", "9: 'when' of stage view, rule 2 must be a mapping, not text"),
    ],
)
def test_looking_back_refused(old: str, new: str, problem: str, tmp_path: Path) -> None:
    assert old in looking_back()
    problems = refused(looking_back().replace(old, new, 1), folder=tmp_path)
    assert len(problems) == 1
    assert problems[0].startswith(problem)


def test_not_a_mapping(tmp_path: Path) -> None:
    assert refused("- a\n", folder=tmp_path) == ["1: a journey must be a mapping, not a list ()"]
    missing = refused("key: visitor\n", folder=tmp_path)
    assert [p.split("'")[1] for p in missing] == ["journey", "version", "conversion", "stages"]


def test_a_definition_wrong_in_seven_ways_gets_seven_messages(tmp_path: Path) -> None:
    text = """\
journey: Shop
version: 0
conversion: odrer
stages:
  - name: view
    when: {evnet: page_view}
  - name: cart
    when: {value: {gt: a lot}}
    abandon_after: soon
  - name: order
    when: {event: purchase}
regress:
  - to: veiw
    when: {event: cart_emptied}
"""
    problems = refused(text, folder=tmp_path)
    assert [problem.split(":")[0] for problem in problems] == ["1", "2", "3", "6", "8", "9", "13"]


def stages(count: int) -> str:
    lines = [f"  - {{name: s{k}, when: {{event: e{k}}}}}\n" for k in range(1, count + 1)]
    return "journey: many\nversion: 1\nconversion: s1\nstages:\n" + "".join(lines)


def test_limits(tmp_path: Path) -> None:
    assert refused(stages(16), folder=tmp_path) == [
        "4: 16 stages, and at most 15 are possible (the path of a session is kept as 4 bits a step)"
    ]
    back = "regress:\n" + "  - {to: s1, when: {event: x}}\n" * 18
    assert [problem.split(" (an event")[0] for problem in refused(stages(15) + back, folder=tmp_path)] == [
        "20: 33 rules in all (stages and regress), and at most 32 are possible"
    ]
    many = [GOOD.replace("version: 3", f"version: {k}") for k in range(1, 10)]
    assert refused(*many, folder=tmp_path) == [
        "1: 9 journeys at once, and at most 8 can run (every open session holds a slot for each journey)"
    ]


def test_the_largest_that_fits(tmp_path: Path) -> None:
    path = tmp_path / "many.yaml"
    path.write_text(stages(15) + "regress:\n" + "  - {to: s1, when: {event: x}}\n" * 17)
    (journey,) = load_journeys([str(path)])
    assert [rule.bit for rule in journey.rules] == list(range(32))


def test_the_problems_of_all_files_at_once(tmp_path: Path) -> None:
    problems = refused(
        GOOD.replace("version: 3", "version: x"),
        GOOD,
        GOOD,
        GOOD.replace("to: view", "to: x"),
        folder=tmp_path,
    )
    assert problems == [
        "2: version must be a whole number, not text ()",
        "1: journey shop version 3 is here twice (the first is in /a1.yaml; raise the newer version)",
        "15: to: there is no stage 'x' (known: view, cart, order)",
    ]


def test_a_name_that_is_not_shipped() -> None:
    with pytest.raises(BadDefinition) as caught:
        load_journeys(["chekout"])
    assert str(caught.value) == (
        "chekout:1: no journey of this name comes with Pathline\n"
        "  hint: there are checkout, w1; a file of your own is a path: ./chekout.yaml"
    )


def stage_of(journey: Journey, event: str) -> str:
    ranks = [
        rule.rank
        for rule in journey.rules
        if rule.kind == "enter" and matches(rule.predicate, {"event": event})
    ]
    return journey.stages[max(ranks) - 1].name if ranks else ""


@pytest.mark.parametrize("name", shipped_journeys())
def test_shipped_journeys_load(name: str) -> None:
    (journey,) = load_journeys([name])
    assert journey.name == name
    assert journey.stages[journey.conversion - 1] is journey.stages[-1]


def test_checkout_knows_the_names_of_ga4_and_segment() -> None:
    (journey,) = load_journeys(["checkout"])
    assert [stage.name for stage in journey.stages] == ["view", "cart", "checkout", "payment", "order"]
    # With one click an order skips what lies between, and that is success, not a gap.
    assert [stage.optional for stage in journey.stages] == [False, True, True, True, False]
    walks = {
        "view": ("view_item", "Product Viewed"),
        "cart": ("add_to_cart", "Product Added"),
        "checkout": ("begin_checkout", "Checkout Started"),
        "payment": ("add_payment_info", "Payment Info Entered"),
        "order": ("purchase", "Order Completed"),
        "": ("cart_emptied", "refund"),
    }
    for stage, names in walks.items():
        assert {stage_of(journey, name) for name in names} == {stage}


def test_w1_has_the_stages_of_its_readme() -> None:
    (journey,) = load_journeys(["w1"])
    stages_of = {
        "awareness": ("page_view", "view_item_list", "search"),
        "consideration": ("view_item", "share"),
        "intent": ("add_to_cart", "view_cart"),
        "checkout": ("begin_checkout", "add_payment_info"),
        "purchase": ("purchase",),
    }
    assert [stage.name for stage in journey.stages] == list(stages_of)
    for stage, names in stages_of.items():
        assert {stage_of(journey, name) for name in names} == {stage}
    assert not any(stage.optional or stage.abandon_after_ms for stage in journey.stages)
