"""What waits in a shard: nothing before its time, all of it once, and a copy holds what is left."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.core.events import Events, Slice, load_events
from pipeline.core.track.waiting import Due, Recode, Waiting
from pipeline.core.words import Words
from tests.core.made import enriched, told
from tests.strategies import START

Turn = tuple[list[int], int]
"""When the events of a batch happened, and the watermark after it: both in ms from the start."""

TURNS = st.lists(
    st.tuples(st.lists(st.integers(0, 40), max_size=8), st.integers(0, 50)), min_size=1, max_size=12
)


def before(watermark: int) -> Due:
    def is_due(at: NDArray[np.int64], _: NDArray[np.int32]) -> NDArray[np.bool_]:
        due: NDArray[np.bool_] = at < START + watermark
        return due

    return is_due


def arrived(times: list[int], number: int) -> Events:
    return enriched([{"at": at, "event_id": f"{number}-{place}"} for place, at in enumerate(times)])


def recoder() -> Recode:
    words = Words()
    return lambda events: (words.known, words.codes(events.known))


def ids(parts: list[tuple[Events, NDArray[np.int64]]]) -> list[str]:
    return [events.event_id.arrow().to_pylist()[row] for events, index in parts for row in index.tolist()]


def play(waiting: Waiting, turns: list[Turn], after: Callable[[], None] = lambda: None) -> list[list[str]]:
    """The ids that each turn gives out; a watermark never falls."""
    recode, watermark, given_out = recoder(), 0, []
    for number, (times, ahead) in enumerate(turns):
        watermark = max(watermark, ahead)
        events = arrived(times, number) if times else None
        slices = [Slice(events, np.arange(len(events)))] if events is not None else []
        due = waiting.turn(slices, START + watermark, before(watermark), recode)
        given_out.append(sorted(ids(due)))
        after()
    return given_out


def expected(turns: list[Turn]) -> list[list[str]]:
    """The rule: at each turn those whose time is before the watermark and that were not given out before."""
    left: list[tuple[int, str]] = []
    watermark, out = 0, []
    for number, (times, ahead) in enumerate(turns):
        watermark = max(watermark, ahead)
        left += [(at, f"{number}-{place}") for place, at in enumerate(times)]
        out.append(sorted(name for at, name in left if at < watermark))
        left = [(at, name) for at, name in left if at >= watermark]
    return out


@given(TURNS)
def test_each_event_is_given_out_once_when_its_time_has_passed(turns: list[Turn]) -> None:
    waiting = Waiting()
    assert play(waiting, turns) == expected(turns)
    given_out = sum(map(len, expected(turns)))
    assert len(waiting) == sum(len(times) for times, _ in turns) - given_out


@given(TURNS)
def test_what_was_told_bit_by_bit_and_still_waits_is_what_waits(turns: list[Turn]) -> None:
    """A log of changes, read again, is the state: with events that left in the meantime passed over."""
    waiting, log = Waiting(), []
    play(waiting, turns, lambda: log.extend(waiting.dump(whole=False)))
    assert waiting.untold == 0
    again = Waiting()
    again.load(log, before(max(ahead for _, ahead in turns)))
    whole = [row for one in waiting.dump(whole=True) for row in told(load_events(one))]
    assert sorted(map(repr, whole)) == sorted(
        repr(row) for one in again.dump(whole=True) for row in told(load_events(one))
    )


def test_what_is_left_of_a_piece_is_not_copied_until_most_of_it_has_gone() -> None:
    waiting = Waiting()
    assert play(waiting, [([0, 10, 20, 30], 5), ([], 15)]) == [["0-0"], ["0-1"]]
    (piece,) = waiting._pieces
    assert len(piece.events) == 3  # as many as waited after the first turn
    assert ids(waiting.turn([], START + 25, before(25), recoder())) == ["0-2"]
    (piece,) = waiting._pieces
    assert len(piece.events) == len(piece.left) == 1
