"""Too many ids alive: what is forgotten early follows from the records alone, never from batches."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tests.differences import assert_same
from tests.harness import Core, Way, drive, rows_of, run_core
from tests.oracle import Settings
from tests.properties.ways import World, cut_worlds
from tests.stories import SHOP, records

JOURNEYS = (SHOP,)
COPIES = """
    10:00:00 view id=1
    10:00:01 view id=2
    10:00:02 view id=3
    10:00:03 view id=4
    10:00:04 view id=1
    10:00:05 view id=5
"""
"""More ids in one minute than the two that may be alive, and one of them again."""


@given(cut_worlds(), st.integers(0, 6))
def test_with_few_ids_any_way_of_reading_gives_the_same_rows(world: World, ids_max: int) -> None:
    settings, journeys, partitions, way = world
    at_once = Way(shards=way.shards, filters=way.filters, ids_max=ids_max)
    core = drive(partitions, journeys, settings, replace(way, ids_max=ids_max))
    whole = drive(partitions, journeys, settings, at_once)
    assert_same(rows_of(core), rows_of(whole))
    assert evicted(core) == evicted(whole)


def evicted(core: Core) -> list[int]:
    """Ids forgotten early, per partition and per shard."""
    sets = [admit.seen for admit in core.admits] + [track.seen for track in core.tracks]
    return [seen.evicted for seen in sets if seen]


def test_a_partition_forgets_at_the_turn_of_a_minute_not_at_the_end_of_a_batch() -> None:
    settings = Settings(partitioned_by="visitor")
    one_by_one = [(0, 1)] * 6
    for batches in (None, one_by_one):
        rows = run_core(records(COPIES), JOURNEYS, settings, Way(batches=batches, ids_max=2))
        assert rows.sessions[0]["events"] == 5


def test_a_shard_forgets_at_the_turn_of_a_minute_not_at_the_end_of_a_batch() -> None:
    """Copies by another partition, while time stands in the minute that holds too many ids."""
    story = records(COPIES.replace("10:00:04 view id=1", "10:00:04 view id=1 p=1"))
    settings = Settings(allowed_lateness_ms=0)
    for batches in (None, [(1, 1), *[(0, 1)] * 5]):
        core = drive(story, JOURNEYS, settings, Way(batches=batches, ids_max=2))
        assert [track.copies for track in core.tracks] == [1]
