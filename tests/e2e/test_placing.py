"""Shards are spread evenly over processes: bytewax is asked, not the copy of its rule."""

from __future__ import annotations

import threading
from collections import defaultdict

import bytewax.operators as op
import numpy as np
import pytest
from bytewax.dataflow import Dataflow
from bytewax.operators import StatefulBatchLogic
from bytewax.testing import TestingSink, TestingSource, cluster_main

from pipeline.runtime.items import Time
from pipeline.runtime.placing import shard_key, shard_of


@pytest.mark.parametrize("workers", [1, 2, 3, 4])
def test_shards_are_dealt_out_in_turn(workers: int) -> None:
    shards = range(24)
    dealt: defaultdict[int, list[int]] = defaultdict(list)

    class Notes(StatefulBatchLogic[int, int, None]):
        def on_batch(self, values: list[int]) -> tuple[list[int], bool]:
            dealt[threading.get_ident()] += values
            return [], StatefulBatchLogic.RETAIN

        def snapshot(self) -> None:
            return None

    flow = Dataflow("placing")
    keyed = op.input("shards", flow, TestingSource([(shard_key(shard), shard) for shard in shards]))
    op.output("out", op.stateful_batch("notes", keyed, lambda state: Notes()), TestingSink([]))
    cluster_main(flow, [], 0, worker_count_per_proc=workers)

    hands = sorted(sorted(hand) for hand in dealt.values())
    assert hands == [list(range(first, 24, workers)) for first in range(workers)]


def test_a_key_tells_its_shard() -> None:
    assert [shard_of(shard_key(shard)) for shard in range(100)] == list(range(100))
    assert shard_of("3") == 3


@pytest.mark.parametrize(
    ("partitions", "shards", "groups"), [(1, 8, 1), (2, 8, 2), (3, 8, 2), (5, 6, 3), (9, 4, 4)]
)
def test_partitions_with_visitors_of_their_own_share_the_shards(
    partitions: int, shards: int, groups: int
) -> None:
    time = Time(partitions, shards, per_partition=True, closes=True)
    assert time.groups == groups
    own = [set(time.shards_of(partition)) for partition in range(partitions)]
    assert set.union(*own) == set(range(shards)), "no shard is idle"
    watermarks = np.arange(100, 100 + partitions)
    for shard in range(shards):
        followed = [watermarks[partition] for partition in range(partitions) if shard in own[partition]]
        assert time.least(watermarks, shard) == min(followed)


def test_where_visitors_may_be_anywhere_so_may_their_shards() -> None:
    time = Time(3, 8, per_partition=False, closes=True)
    assert [set(time.shards_of(partition)) for partition in range(3)] == [set(range(8))] * 3
    assert time.least(np.array([7]), shard=5) == 7
