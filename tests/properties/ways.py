"""Strategies: a world of records and settings, and a way to read it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from hypothesis import strategies as st

from schemas.journeys import Journey
from schemas.mappings import Filter
from tests.harness import Way
from tests.oracle import Settings
from tests.oracle_walk import MINUTE, Row
from tests.strategies import GAP, START, batches, events, journeys, on, settings, worlds

World: TypeAlias = tuple[Settings, tuple[Journey, ...], list[list[Row | None]], Way]

FILTERS = (Filter("consent", on("other")), Filter("staff", on("share", "gift")))


@st.composite
def ways(draw: st.DrawFn, batches: Sequence[tuple[int, int]]) -> Way:
    """Some way to read these batches."""
    return Way(
        batches=batches,
        shards=draw(st.sampled_from([1, 1, 2, 3, 8])),
        apart=draw(st.sampled_from([1, 1, 2, 100])),
        told=draw(st.sampled_from([1, 2, 3, 100])),
        saves=draw(st.sets(st.integers(1, max(1, len(batches))), max_size=8)),
        restarts=draw(st.sets(st.integers(1, max(1, len(batches))), max_size=2)),
        crash=draw(st.one_of(st.none(), st.integers(1, max(1, len(batches))))),
        then=draw(st.integers(1, 40)),
        filters=draw(st.sampled_from([(), (), (), FILTERS])),
    )


@st.composite
def cut_worlds(draw: st.DrawFn, size_max: int = 40) -> World:
    """Settings, journeys, records, and a way to read them."""
    settings, journeys, stream = draw(worlds(size_max))
    return settings, journeys, stream.partitions, draw(ways(stream.batches))


STEPS = (0, 0, 0, 1, 1_000, MINUTE, 2 * MINUTE, *(5 * MINUTE + off for off in (-1, 0, 1)))
LEAPS = (*(10 * MINUTE + off for off in (-1, 0, 1)), 20 * MINUTE, GAP - 1, GAP, GAP + 1, 2 * GAP)


@st.composite
def tangles(draw: st.DrawFn, size_max: int = 60) -> World:
    """Long sessions of a visitor or two: many ties, many moves back and forth, timers at their deadlines."""
    chosen = draw(settings())
    count = draw(st.sampled_from([1, 1, 2]))
    partitions: list[list[Row | None]] = [[] for _ in range(count)]
    at = START - draw(st.sampled_from([0, GAP, 60 * MINUTE]))
    steps = st.sampled_from([*STEPS * 4, *LEAPS])
    disorder = st.sampled_from([0] * 12 + [1, 5_000, chosen.allowed_lateness_ms])
    for _ in range(draw(st.integers(1, size_max))):
        at += draw(steps)
        event = draw(events(at - draw(disorder)))
        event |= {"visitor_id": draw(st.sampled_from("aaaaab")), "site": "shop"}
        partitions[draw(st.integers(0, count - 1))].append(event)
    reading = draw(batches([len(own) for own in partitions]))
    return chosen, draw(journeys()), partitions, draw(ways(reading))
