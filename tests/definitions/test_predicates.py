"""One meaning, two renderings: `matches` on an event and `mask` on a batch say the same."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.predicates import mask, rule_bits
from schemas.conditions import OPS_OF
from schemas.events import schema
from schemas.predicates import All, Any_, Compare, Not, Predicate, fields_of, matches
from tests.definitions.strategies import Event, batch_of, comparisons, events, predicates

PURCHASE = Compare("event", "eq", "purchase")
MISSING: tuple[Event, ...] = ({}, {"source": None}, {"source": ""})

CASES: list[tuple[Predicate, Event, bool]] = [
    (PURCHASE, {"event": "purchase"}, True),
    (PURCHASE, {"event": "Purchase"}, False),
    (Compare("event", "in", ("a", "b")), {"event": "b"}, True),
    (Compare("event", "ne", "a"), {"event": "b"}, True),
    (Compare("url", "prefix", "/cart"), {"url": "/cart/1"}, True),
    (Compare("url", "suffix", "/1"), {"url": "/cart/1"}, True),
    (Compare("url", "contains", ".*"), {"url": "/cart/1"}, False),  # never a pattern
    (Compare("url", "contains", ""), {"url": ""}, False),
    (Compare("url", "prefix", ""), {"url": "/cart/1"}, True),
    (Compare("url", "eq", ""), {"url": ""}, False),  # what is missing equals nothing, not even that
    (Compare("url", "ne", ""), {"url": ""}, True),
    (Compare("url", "in", ("", "a")), {"url": ""}, False),
    (Compare("products", "contains", "p1"), {"products": ["p2", "p1"]}, True),
    (Compare("products", "contains", "p"), {"products": ["p2", "p1"]}, False),  # an id, not a piece of one
    (Compare("products", "exists", True), {"products": []}, False),
    (Compare("value", "gte", 199_900), {"value": 199_900}, True),  # 19.99
    (Compare("value", "lt", 199_900), {"value": 0}, True),
    (Compare("quantity", "in", (1, 2)), {"quantity": 3}, False),
    (Compare("passive", "eq", False), {"passive": False}, True),
    (Compare("properties.step", "gt", 2.0), {"properties.step": "10"}, True),  # a number, not text
    (Compare("properties.step", "eq", 10.0), {"properties.step": "1e1"}, True),
    (Compare("properties.step", "in", ("one", 2.0, 3.0, True)), {"properties.step": "3"}, True),
    (Compare("properties.step", "in", ("one", 2.0, 3.0, True)), {"properties.step": "true"}, True),
    (Compare("properties.step", "eq", 1.0), {"properties.step": "one"}, False),
    (Compare("properties.step", "lt", 1.0), {"properties.step": "nan"}, False),
    (Compare("properties.step", "ne", 1.0), {"properties.step": "one"}, True),
    (Compare("properties.step", "eq", 1.0), {"properties.step": "1\n"}, False),
    (Compare("properties.new", "eq", ""), {"properties.new": ""}, False),
    (Compare("properties.new", "eq", True), {"properties.new": "true"}, True),
    (Compare("properties.new", "eq", True), {"properties.new": "True"}, False),
    (Compare("properties.new", "eq", "true"), {"properties.new": "true"}, True),
    (Not(PURCHASE), {"event": ""}, True),
    (All(()), {}, True),
    (Any_(()), {}, False),
    (All((PURCHASE, Not(PURCHASE))), {"event": "purchase"}, False),
    (Any_((PURCHASE, Not(PURCHASE))), {}, True),
]


@pytest.mark.parametrize(("predicate", "event", "holds"), CASES)
def test_meaning(predicate: Predicate, event: Event, holds: bool) -> None:
    assert matches(predicate, event) is holds
    assert mask(predicate, batch_of([event], {"url", *fields_of(predicate)})).tolist() == [holds]


@pytest.mark.parametrize("event", MISSING)
@pytest.mark.parametrize(
    ("op", "value", "holds"),
    [
        ("eq", "x", False),
        ("in", ("x", "y"), False),
        ("prefix", "x", False),
        ("suffix", "x", False),
        ("contains", "x", False),
        ("ne", "x", True),  # it differs from whatever it is compared with
        ("exists", True, False),
        ("exists", False, True),
    ],
)
def test_a_missing_field(op: str, value: object, holds: bool, event: Event) -> None:
    compare = Compare("source", op, value)  # type: ignore[arg-type]
    assert matches(compare, event) is holds
    assert matches(Not(compare), event) is not holds
    assert mask(compare, batch_of([event])).tolist() == [holds]


@pytest.mark.parametrize("kind", OPS_OF)
@settings(max_examples=60, deadline=None)
@given(data=st.data(), rows=st.lists(events, min_size=2, max_size=6), start=st.integers(0, 1))
def test_every_kind_of_field(kind: str, data: st.DataObject, rows: list[Event], start: int) -> None:
    compare = data.draw(comparisons([kind], rows))
    batch = batch_of(rows, [compare.field]).slice(start)  # a slice shares its parent's buffers and offsets
    assert mask(compare, batch).tolist() == [matches(compare, row) for row in rows[start:]]


@settings(max_examples=200, deadline=None)
@given(predicates, st.lists(events, max_size=6), st.integers(0, 2))
def test_a_batch_says_what_its_events_say(predicate: Predicate, rows: list[Event], start: int) -> None:
    batch = batch_of(rows).slice(start)
    assert mask(predicate, batch).tolist() == [matches(predicate, row) for row in rows[start:]]


@settings(max_examples=60, deadline=None)
@given(st.lists(predicates, max_size=32), st.lists(events, max_size=6))
def test_a_bit_per_rule(rules: list[Predicate], rows: list[Event]) -> None:
    bits = rule_bits(rules, batch_of(rows))
    assert bits.dtype == np.uint32
    assert bits.tolist() == [sum(matches(rule, row) << k for k, rule in enumerate(rules)) for row in rows]


def test_few_rows_of_many_are_looked_at_closely() -> None:
    rows = [{"event": "search" if k % 50 == 0 else "page_view", "url": f"/{k}"} for k in range(1_000)]
    predicate = All((Compare("url", "suffix", "00"), Compare("event", "eq", "search")))
    assert np.flatnonzero(mask(predicate, batch_of(rows))).tolist() == [*range(100, 1_000, 100)]


def test_a_mask_is_the_callers_own() -> None:
    batch = batch_of([{"event": "a", "passive": True}])
    for predicate in (Compare("event", "eq", "a"), Compare("passive", "eq", True)):
        mask(predicate, batch)[:] = False
        assert mask(predicate, batch).tolist() == [True]


def test_the_batches_of_the_pipeline_are_understood() -> None:
    needed = ["url", "value", "quantity", "products", "properties", "properties.step"]
    empty = pa.RecordBatch.from_pylist([], schema(needed))
    for name in empty.schema.names[:-1]:
        assert mask(Compare(name, "exists", True), empty).tolist() == []


def test_a_column_that_is_not_there_is_a_programming_error() -> None:
    with pytest.raises(KeyError):
        mask(PURCHASE, batch_of([{}], names=["url"]))


def test_33_rules_are_one_too_many() -> None:
    with pytest.raises(AssertionError, match="32 bits"):
        rule_bits([PURCHASE] * 33, batch_of([{}]))


def test_fields() -> None:
    tree = All((PURCHASE, Not(Any_((Compare("value", "gt", 1), Compare("properties.a", "exists", True))))))
    assert fields_of(tree) == {"event", "value", "properties.a"}
