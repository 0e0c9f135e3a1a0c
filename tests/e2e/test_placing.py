"""Shards are spread evenly over processes: bytewax is asked, not the copy of its rule."""

from __future__ import annotations

import threading
from collections import defaultdict

import bytewax.operators as op
import pytest
from bytewax.dataflow import Dataflow
from bytewax.operators import StatefulBatchLogic
from bytewax.testing import TestingSink, TestingSource, cluster_main

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
