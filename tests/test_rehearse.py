"""A rehearsal is the pipeline: the rows of the harness, however the records come."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain

import numpy as np
import pytest

from pipeline.core.track.track import ALL_TIME
from pipeline.rehearse import Rehearsal
from pipeline.settings import Settings
from pipeline.simulate import Settings as Shoppers
from pipeline.simulate import simulate
from schemas.journeys import load_journeys
from schemas.mappings import load_mapping
from sinks.memory import MemorySink
from tests.harness import DEFAULTS, PLAIN, Core

TABLES = (
    "sessions",
    "transitions",
    "objects",
    "participations",
    "outcomes",
    "orders",
    "order_changes",
    "funnel_minute",
)
START_MS = 1_767_571_200_000
CHECKOUT, CANONICAL = load_journeys(["checkout"]), load_mapping("canonical")
LINES = [
    line.rstrip(b"\n")
    for line in chain.from_iterable(
        simulate(
            Shoppers(seed=3, visitors=150, start_ms=START_MS, duration_ms=4 * 3_600_000, chunk_ms=60_000)
        )
    )
]


def rows(sink: MemorySink) -> dict[str, list[str]]:
    return {table: sorted(map(repr, sink.rows(table).to_pylist())) for table in TABLES}


@pytest.fixture(scope="module")
def harness() -> dict[str, list[str]]:
    core = Core([LINES], CHECKOUT, replace(DEFAULTS, orders=CANONICAL.orders), PLAIN)
    core.read(0, len(LINES))
    core.advance(np.full(1, ALL_TIME))
    core.tell(stale=True)
    return rows(core.sink)


@pytest.mark.parametrize("size", [7, 10_000])
def test_its_rows_are_those_of_the_harness(harness: dict[str, list[str]], size: int) -> None:
    rehearsal = Rehearsal(CHECKOUT, CANONICAL, Settings())
    for at in range(0, len(LINES), size):
        rehearsal.read(0, LINES[at : at + size])
    rehearsal.finish()
    found = rows(rehearsal.sink)
    for table in TABLES:
        assert found[table] == harness[table], table
    assert all(found[table] for table in ("sessions", "transitions", "objects", "orders", "outcomes"))


def test_time_that_passes_never_goes_back() -> None:
    rehearsal = Rehearsal(CHECKOUT, CANONICAL, Settings(), partitions=2)
    rehearsal.read(1, LINES[:1])
    assert not len(rehearsal.rows("sessions"))  # the other partition may yet tell of anything before it
    rehearsal.pass_time(START_MS + 4 * 3_600_000)
    rehearsal.pass_time(START_MS)
    assert len(rehearsal.rows("sessions")) == 1
    rehearsal.finish()
    rehearsal.pass_time(START_MS)
    assert rehearsal.rows("sessions").column("is_closed").to_pylist() == [True]
