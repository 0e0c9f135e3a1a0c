"""The law: the final rows are a function of the records in their order within each partition.

The core's rows equal the oracle's for every stream, however it is cut, interleaved, sharded, stopped and
started, or thrown back by a crash.
"""

from __future__ import annotations

from hypothesis import given

from tests.differences import assert_same
from tests.harness import expected, run_core
from tests.properties.ways import World, cut_worlds, tangles


@given(cut_worlds())
def test_the_core_says_what_the_oracle_says(world: World) -> None:
    check(world)


@given(tangles())
def test_so_it_does_of_long_sessions_with_many_ties_and_timers(world: World) -> None:
    check(world)


def check(world: World) -> None:
    settings, journeys, partitions, way = world
    assert_same(run_core(partitions, journeys, settings, way), expected(partitions, journeys, settings, way))
