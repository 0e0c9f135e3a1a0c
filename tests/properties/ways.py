"""Strategies: a world of records and settings, and a way to read it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from hypothesis import strategies as st

from schemas.journeys import Journey
from schemas.mappings import Filter
from tests.harness import Way
from tests.oracle import Settings
from tests.oracle_walk import Row
from tests.strategies import on, worlds

World: TypeAlias = tuple[Settings, tuple[Journey, ...], list[list[Row | None]], Way]

FILTERS = (Filter("consent", on("other")), Filter("staff", on("share", "gift")))


@st.composite
def ways(draw: st.DrawFn, batches: Sequence[tuple[int, int]]) -> Way:
    """Some way to read these batches."""
    return Way(
        batches=batches,
        shards=draw(st.sampled_from([1, 1, 2, 3, 8])),
        apart=draw(st.sampled_from([1, 1, 2, 100])),
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
