"""Episodes depend on the minutes alone: not on their scopes' order, on snapshots, or on how they are told."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.detect import Detector, Episode, Minute, Scope, Settings
from pipeline.core.snapshot import pack, unpack
from tests.detect.made import DAY, MONDAY, Trouble, World, run

QUICK = Settings(
    history_minutes=300,
    horizon_goers=100,
    margin=0.0,
    margin_first_week=0.0,
    silent_after_minutes=300,
)
TROUBLES = (
    Trouble("rate", DAY + 300, DAY + 360, 0.1, device="mobile"),
    Trouble("arrivals", DAY + 600, DAY + 660, 0.0),
    Trouble("rate", DAY + 800, DAY + 860, 0.0, rank=2),
)


@cache
def minutes() -> list[Minute]:
    return World(2, TROUBLES, ranks=2, per_minute=60).minutes


@cache
def expected() -> list[Episode]:
    changes = run(Detector(QUICK), minutes())
    assert {(change.rule, change.scope.rank) for change in changes} >= {
        ("drop", 1),
        ("silence", 1),
        ("drop", 2),
    }
    assert any(change.state == "resolved" for change in changes)
    return changes


def shuffled(minute: Minute, draw: np.random.Generator) -> Minute:
    return rearranged(minute, draw.permutation(len(minute.scopes)))


def rearranged(minute: Minute, order: np.ndarray) -> Minute:
    return Minute(
        minute.at,
        [minute.scopes[i] for i in order.tolist()],
        minute.entered[order],
        minute.settled[order],
        minute.went_on[order],
        minute.skipped[order],
        minute.value_e4[order],
    )


def in_two_parts(minute: Minute, draw: np.random.Generator) -> Minute:
    """The same counts with every scope named twice, once with a part of them."""
    both = rearranged(minute, np.tile(np.arange(len(minute.scopes)), 2))
    half = len(minute.scopes)
    for column in (both.entered, both.settled, both.went_on, both.skipped, both.value_e4):
        part = draw.integers(0, column[:half] + 1)
        column[:half] = part
        column[half:] -= part
    return both


def with_zeros(minute: Minute) -> Minute:
    scopes = [*minute.scopes, Scope("purchase", 1, 7, "never"), Scope("aaa", 1, 1, "first", (("d", "x"),))]
    more = len(scopes) - len(minute.scopes)
    return Minute(
        minute.at,
        scopes,
        *(
            np.concatenate([column, np.zeros((more, *column.shape[1:]), np.int64)])
            for column in (minute.entered, minute.settled, minute.went_on, minute.skipped, minute.value_e4)
        ),
    )


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_order_of_scopes_makes_no_difference(seed: int) -> None:
    draw = np.random.default_rng(seed)
    assert run(Detector(QUICK), (shuffled(minute, draw) for minute in minutes())) == expected()


@settings(max_examples=8, deadline=None)
@given(cuts=st.lists(st.integers(0, 2 * DAY - 1), min_size=1, max_size=6))
def test_a_snapshot_anywhere_makes_no_difference(cuts: list[int]) -> None:
    changes: list[Episode] = []
    detector = Detector(QUICK)
    for i, minute in enumerate(minutes()):
        if i in cuts:
            data = pack("detect", detector.dump())
            detector = Detector(QUICK)
            detector.load(unpack("detect", data))
            assert pack("detect", detector.dump()) == data
        changes += detector.apply(minute)
    assert changes == expected()


@pytest.mark.parametrize("first", [DAY + 300, DAY + 330, DAY + 370, DAY + 600, DAY + 620, DAY + 800])
def test_a_snapshot_at_each_minute_of_trouble_makes_no_difference(first: int) -> None:
    detector, changes = Detector(QUICK), []
    for i, minute in enumerate(minutes()):
        if first <= i < first + 25:
            dumped = detector.dump()
            detector = Detector(QUICK)
            detector.load(unpack("detect", pack("detect", dumped)))
        changes += detector.apply(minute)
    assert changes == expected()


@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_counts_that_come_in_parts_add_up(seed: int) -> None:
    draw = np.random.default_rng(seed)
    assert run(Detector(QUICK), (in_two_parts(minute, draw) for minute in minutes())) == expected()


def test_scopes_with_nothing_but_zeros_make_no_difference() -> None:
    assert run(Detector(QUICK), map(with_zeros, minutes())) == expected()


def test_an_empty_minute_told_of_or_left_out_is_the_same() -> None:
    empty = np.zeros(0, np.int64)
    none = Minute(0, [], empty, np.zeros((0, 7), np.int64), np.zeros((0, 7), np.int64), empty, empty)
    gap = range(DAY + 900, DAY + 1000)
    told = [replace(none, at=m.at) if i in gap else m for i, m in enumerate(minutes())]
    left_out = [m for i, m in enumerate(minutes()) if i not in gap]
    first = run(Detector(QUICK), told)
    assert first == run(Detector(QUICK), left_out)
    assert first != expected()  # it is silence


def test_minutes_come_once_and_in_order() -> None:
    detector = Detector(QUICK)
    run(detector, minutes()[:2])
    with pytest.raises(ValueError, match="in order"):
        detector.apply(minutes()[1])


def test_too_many_scopes_are_refused_and_counted() -> None:
    detector = Detector(replace(QUICK, scopes_max=5))
    run(detector, minutes()[:1200])
    assert len(detector.dump()["scopes"]) == 5
    assert detector.refused > 0
    assert MONDAY % 10_080 == 4 * DAY  # the world begins on a Monday
