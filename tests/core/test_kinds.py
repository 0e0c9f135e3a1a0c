"""Kinds of objects as steps: what a visitor does is told by hand, and what it adds is counted on fingers."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.count.cohorts import NOW, Moves
from pipeline.core.count.horizons import HORIZONS_MINUTES
from pipeline.core.count.kinds import RANKS, counted, step_of
from pipeline.core.track.layout import COUNT_OUT
from pipeline.core.track.objects.layout import MOVE
from pipeline.core.track.objects.moves import CAME, PASSED, WENT_ON
from schemas.objects import BROWSE, CART, CHECKOUT, KINDS, PAYMENT, Object, Objects, Timing
from schemas.orders import Orders
from tests.harness import PLAIN, Way, drive
from tests.oracle import Settings
from tests.properties.test_cohorts import CohortCore, told_by
from tests.stories import SHOP, on, records

MINUTE = 60_000
WAIT = Timing(30 * MINUTE)
OBJECTS = Objects(
    (
        Object(BROWSE, 1, on("view"), None, Timing()),
        Object(CART, 2, on("cart"), None, WAIT),
        Object(CHECKOUT, 4, on("checkout"), None, WAIT),
        Object(PAYMENT, 4, on("pay", "pay_failed"), None, WAIT),
    ),
    on("emptied"),
    60 * MINUTE,
    {},
)
JOURNEY = replace(SHOP, objects=OBJECTS)
SETTINGS = Settings(orders=Orders(on("order"), on("refund"), on("cancel")))
BEGIN = 1_767_225_600_000 // MINUTE + 10 * 60
"""Minute of 10:00, when all stories begin."""


def steps(story: str, way: Way = PLAIN) -> dict[str, Any]:
    """By kind and minute after 10:00: who came, the first horizon by which they went on, who passed it by."""
    core = drive(records(story), [JOURNEY], SETTINGS, way, CohortCore)
    assert isinstance(core, CohortCore)
    found: Counter[str] = Counter()
    for (what, at, _, _, rank, *_, horizon), count in told_by(core).items():
        if rank < RANKS:
            continue
        after = 0 if horizon == NOW else HORIZONS_MINUTES[horizon]
        name = f"{KINDS[rank - RANKS - 1]} {at - after - BEGIN}"
        if what == "went_on":
            found[f"{name} within {after}"] += count
        elif horizon == NOW:
            found[f"{name} {what}"] += count
    return dict(found)


def within(name: str, first: int) -> dict[str, int]:
    """Went on within this horizon, so within all longer ones."""
    return {f"{name} within {after}": 1 for after in HORIZONS_MINUTES if after >= first}


def test_each_kind_goes_on_from_the_minute_in_which_it_was_come_to() -> None:
    story = """
    10:00:10 view
    10:01:00 cart value=500000 id=c
    10:01:00 cart value=500000 id=c
    10:01:30 cart value=300000
    10:03:00 checkout
    10:12:59 pay value=900000
    10:13:01 order order_id=1
    """
    assert steps(story) == {
        "browse 0 entered": 1,
        **within("browse 0", 1),
        "cart 1 entered": 1,
        "cart 1 value": 500_000,
        **within("cart 1", 2),
        "checkout 3 entered": 1,
        "checkout 3 value": 800_000,
        **within("checkout 3", 10),
        "payment 12 entered": 1,
        "payment 12 value": 900_000,
        **within("payment 12", 1),
    }


def test_who_fails_to_pay_has_not_gone_on_until_they_order() -> None:
    failed = """
    10:00:00 pay
    10:00:30 pay_failed
    10:02:00 pay
    10:02:30 pay_failed
    """
    came = {"payment 0 entered": 1, "cart 0 skipped": 1, "checkout 0 skipped": 1}
    assert steps(failed) == came
    assert steps(failed + "10:15:00 order order_id=1") == came | within("payment 0", 20)
    assert steps(failed + "10:32:31 order order_id=1") == came  # abandoned at 10:32:30


def test_a_cart_with_another_id_is_no_other_cart_and_an_emptied_one_has_not_gone_on() -> None:
    merged = "10:00:00 cart cart_id=x\n10:04:00 cart cart_id=y\n"
    came = {"cart 0 entered": 1}
    assert steps(merged) == came
    assert steps(merged + "10:05:00 order order_id=1 cart_id=x") == came | within("cart 0", 5)
    again = steps(merged + "10:05:00 emptied\n10:06:00 cart")
    assert again == came | {"cart 6 entered": 1}


def test_a_late_or_repeated_order_counts_once_and_from_when_it_takes_effect() -> None:
    story = """
    10:00:00 pay
    10:08:00 share visitor=b
    10:03:00 order order_id=1
    10:09:00 order order_id=1
    """
    came = {"payment 0 entered": 1, "cart 0 skipped": 1, "checkout 0 skipped": 1}
    assert steps(story) == came | within("payment 0", 10)


def test_so_it_is_however_it_is_read() -> None:
    story = """
    10:00:00 cart cart_id=x device=mobile
    10:00:30 cart cart_id=y device=desktop
    10:04:00 checkout device=desktop
    10:07:00 pay
    10:20:00 order order_id=1
    """
    whole = steps(story)
    for cut in range(1, 6):
        batches = [(0, 1)] * 5
        assert steps(story, Way(batches=batches, shards=3, restarts={cut}, crash=5, then=1)) == whole
    assert whole["cart 0 within 5"] == whole["payment 7 within 20"] == 1


@st.composite
def moves(draw: st.DrawFn) -> tuple[int, ...]:
    came = draw(st.integers(0, 5 * MINUTE))
    what = draw(st.sampled_from([CAME, PASSED, WENT_ON]))
    at = came + (draw(st.integers(0, 70 * MINUTE)) if what == WENT_ON else 0)
    words = draw(st.tuples(*[st.integers(0, 3)] * 4))
    return (came, at, draw(st.integers(0, 10**13)), *words, draw(st.integers(1, 4)), what, 0, 0)


@given(st.lists(moves(), max_size=20))
def test_moves_are_counted_one_by_one(told: list[tuple[int, ...]]) -> None:
    wanted = []
    for came, at, value, site, device, channel, country, kind, what, *_ in told:
        minutes = at // MINUTE - came // MINUTE
        first = next((h for h, after in enumerate(HORIZONS_MINUTES) if minutes <= after), None)
        if what == WENT_ON and first is None:
            continue
        column = what + (first or 0) if what == WENT_ON else what
        minute = came // MINUTE * MINUTE
        wanted.append((minute, value, site, device, channel, country, 7, 16 + kind, column, 0))
    assert counted(np.array(told, MOVE), 7).tolist() == np.array(wanted, COUNT_OUT).tolist()


def test_a_step_says_of_which_kind_it_is_and_for_which_stage() -> None:
    assert step_of(JOURNEY, 4) == (4, "pay")
    assert step_of(JOURNEY, RANKS + CHECKOUT) == (3 * 16 + 4, "checkout (abandonment)")
    assert step_of(JOURNEY, RANKS + PAYMENT) == (4 * 16 + 4, "payment (abandonment)")


@pytest.mark.parametrize(
    ("watched", "kinds", "told", "is_counted"),
    [(True, True, 1, True), (False, True, 1, False), (True, False, 1, False), (True, True, 0, False)],
)
def test_only_watched_journeys_count_and_only_if_kinds_are_asked_for(
    watched: bool, kinds: bool, told: int, is_counted: bool
) -> None:
    spoken: Any = SimpleNamespace(journey=0, moves=np.ones(told, MOVE))
    found = Moves([JOURNEY], [watched], kinds=kinds).of_objects(spoken, ["", "word"])
    assert (found is not None) == is_counted
