"""The grammar of `when:`."""

from __future__ import annotations

import pytest

from schemas.conditions import read_condition
from schemas.documents import Document
from schemas.nodes import parse
from schemas.predicates import All, Any_, Compare, Not, Predicate


def read(text: str) -> tuple[Predicate | None, list[str]]:
    """The predicate, and the problems as `line: message (hint)`."""
    document = Document("when.yaml")
    root = parse(text.encode(), document.problem)
    predicate = read_condition(document, root, "when") if root else None
    return predicate, [f"{p.line}: {p.message} ({p.hint})" for p in document.in_order]


EVENT = Compare("event", "eq", "purchase")

WRITTEN: list[tuple[str, Predicate]] = [
    ("event: purchase", EVENT),
    ("event: [a, b]", Compare("event", "in", ("a", "b"))),
    ("country: NO", Compare("country", "eq", "NO")),  # Norway, not false
    ("event: '404'", Compare("event", "eq", "404")),
    ("url: {prefix: /cart}", Compare("url", "prefix", "/cart")),
    ("products: {contains: p1}", Compare("products", "contains", "p1")),
    ("received_at: {exists: true}", Compare("received_at", "exists", True)),
    ("passive: true", Compare("passive", "eq", True)),
    ("quantity: {gte: 2}", Compare("quantity", "gte", 2)),
    ("value: {gte: 19.99}", Compare("value", "gte", 199_900)),
    ("value: 20", Compare("value", "eq", 200_000)),
    ("value: [0.0001, 1e3]", Compare("value", "in", (1, 10_000_000))),
    ("properties.step: 2", Compare("properties.step", "eq", 2.0)),
    ("properties.step: '2'", Compare("properties.step", "eq", "2")),
    ("properties.a.b: {ne: false}", Compare("properties.a.b", "ne", False)),
    ("properties.x: [1, one, true]", Compare("properties.x", "in", (1.0, "one", True))),
    ("quantity: {gt: 1, lt: 5}", All((Compare("quantity", "gt", 1), Compare("quantity", "lt", 5)))),
    ("{event: purchase, passive: false}", All((EVENT, Compare("passive", "eq", False)))),
    ("not: {event: purchase}", Not(EVENT)),
    ("any: [{event: purchase}, {passive: true}]", Any_((EVENT, Compare("passive", "eq", True)))),
    ("{event: purchase, all: [{not: {event: purchase}}]}", All((EVENT, All((Not(EVENT),))))),
    ("{event: &e [a], not: {event: *e}}", All((c := Compare("event", "in", ("a",)), Not(c)))),
]


@pytest.mark.parametrize(("text", "predicate"), WRITTEN)
def test_written(text: str, predicate: Predicate) -> None:
    assert read(text) == (predicate, [])


REFUSED: list[tuple[str, str]] = [
    ("\n- event", "2: when must be a mapping, not a list (such as {event: page_view})"),
    ("{}", "1: when is empty (such as {event: page_view})"),
    ("\nevnet: a", "2: when asks for 'evnet', which is no field of an event (did you mean 'event'?)"),
    (
        "properties.: a",
        "1: when asks for 'properties.', which is no field of an event (did you mean",
    ),
    ("zzz: a", "1: when asks for 'zzz', which is no field of an event (known: event_id, event_at,"),
    ("event: {}", "1: 'event' is compared with nothing (such as {exists: true})"),
    ("event:", "1: event is compared with nothing (a missing field is {exists: false})"),
    ("event: ''", "1: event is compared with nothing (a missing field is {exists: false})"),
    ("event: []", "1: the list for event is empty ()"),
    ("event:\n  - a\n  - 5", "3: what event is compared with must be text, not a number (put it in quotes)"),
    ("event: true", "1: what event is compared with must be text, not true or false (put it in quotes)"),
    ("event:\n  begins: a", "2: 'begins' on event is no operator (known: eq, ne, in,"),
    ("url:\n  prefx: a", "2: 'prefx' on url is no operator (did you mean 'prefix'?)"),
    ("url:\n  prefix: 5", "2: what url is compared with must be text, not a number (put it in quotes)"),
    ("event: {gt: a}", "1: 'gt' does not apply to event, which is of kind word (what does: eq, ne, in,"),
    ("event: {gt: 5}", "1: 'gt' does not apply to event, which is of kind word"),
    ("value: {prefix: a}", "1: 'prefix' does not apply to value, which is of kind money (what does: eq, ne"),
    ("value: dear", "1: value is money: a number is needed, not text (in currency units: 19.99)"),
    ("value: true", "1: value is money: a number is needed, not true or false"),
    ("value: 0.00001", "1: value: 0.00001 has more than 4 decimal places ()"),
    ("value: 1e18", "1: value: 1E+18 is out of range ()"),
    ("quantity: 1.5", "1: quantity is compared with what must be a whole number, not a number"),
    (
        "passive: {gt: true}",
        "1: 'gt' does not apply to passive, which is of kind flag (what does:",
    ),
    ("passive: yes", "1: passive is a flag: what it is compared with must be true or false, not text ()"),
    (
        "event_at: {gt: 2024-01-01}",
        "1: 'gt' does not apply to event_at, which is of kind time (what",
    ),
    (
        "products: p1",
        "1: 'eq' does not apply to products, which is of kind list (what does: contains",
    ),
    ("properties: {contains: a}", "1: 'contains' does not apply to properties, which is of kind json"),
    ("properties.a: {gt: b}", "1: 'gt' on properties.a needs a number, not text (texts have no order here)"),
    ("properties.a: {prefix: 1}", "1: what properties.a is compared with must be text, not a number (put it"),
    ("event: {exists: 1}", "1: 'exists' on event must be true or false, not a number ()"),
    ("all: {event: a}", "1: 'all' of when must be a list, not a mapping ()"),
    ("any: []", "1: 'any' of when is empty ()"),
    ("any:\n  - event: a\n  - 5", "3: a part of 'any' of when must be a mapping, not a number"),
    ("not: [a]", "1: 'not' of when must be a mapping, not a list"),
    ("event: [[a]]", "1: what event is compared with must be text, not a list ()"),
]


@pytest.mark.parametrize(("text", "problem"), REFUSED)
def test_refused(text: str, problem: str) -> None:
    predicate, problems = read(text)
    assert predicate is None
    assert len(problems) == 1
    assert problems[0].startswith(problem)


def test_all_at_once() -> None:
    _, problems = read("evnet: a\nvalue: x\nall:\n  - event: 5\n  - not:\n      quantity: many\n")
    assert [problem.split(":")[0] for problem in problems] == ["1", "2", "4", "6"]
