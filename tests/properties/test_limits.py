"""What only a robot reaches: numbers stop there, and nothing wraps around."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.core.events import Events, Slice
from pipeline.core.track.layout import FIRED_MAX, SEQUENCE_MAX, VISIT_FIRED, Limits
from pipeline.core.track.rules import compile_rules
from pipeline.core.track.track import ALL_TIME, Track
from schemas.entries import Entry
from schemas.journeys import Journey, Regress, Stage
from tests.properties.test_state import events
from tests.stories import MIDNIGHT
from tests.strategies import on

DAY = 86_400_000
THERE_AND_BACK = Journey(
    "there and back",
    1,
    "visitor",
    (
        Stage("a", 1, False, (Entry(on("a")),), 1),
        Stage("b", 2, False, (Entry(on("b")),), 1),
        Stage("c", 3, False, (Entry(on("c")),), None),
    ),
    3,
    (Regress(1, on("a")),),
)


def robot(count: int) -> Events:
    """Every 3 ms the other stage: each stay's timer has fired by then."""
    made = events(MIDNIGHT + 3 * np.arange(count), np.zeros(count, np.int64))
    is_back = np.arange(count) % 2 == 0
    made.match[:, 0] = np.where(is_back, 1, 2)
    made.back[:, 0] = np.where(is_back, 1 << 1, 0)
    return made


def test_a_robot_meets_the_caps_of_transitions_and_of_timers() -> None:
    count = SEQUENCE_MAX + 10
    shard = Track(compile_rules([THERE_AND_BACK]), Limits(30 * 60_000, DAY, False, False), 1, None)
    sequence: list[NDArray[np.uint16]] = []
    last = None
    batch = robot(count)
    for piece, until in ((Slice(batch, np.arange(count)), int(batch.at[-1]) + 1), (None, ALL_TIME)):
        for emitted in shard.apply([piece] if piece else [], np.array([until])):
            sequence.append(emitted.transitions["sequence"].copy())
            if len(emitted.sessions):
                last, visit = emitted.sessions[-1].copy(), emitted.visits[-1, 0].copy()
    assert np.array_equal(np.concatenate(sequence), np.arange(1, SEQUENCE_MAX + 1))
    assert last is not None
    assert last["events"] == count
    assert last["version"] == count + FIRED_MAX + 1  # and closed
    assert not visit["flags"] & VISIT_FIRED
