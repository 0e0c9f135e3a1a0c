"""Sinks as bytewax knows them: an epoch is over only when its rows are acknowledged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from pipeline.runtime.shards import Fact
from pipeline.runtime.steps import step, wrote
from sinks.base import Deployment, Sink
from sinks.batching import Batcher


@dataclass(frozen=True)
class Output(FixedPartitionedSink[Fact, None]):
    """`parts` writers of one place: one where only one process may open it, else one per worker."""

    open_sink: Callable[[int], Sink]
    deployment: Deployment
    parts: int

    def list_parts(self) -> list[str]:
        return [f"{part:03d}" for part in range(self.parts)]

    def part_fn(self, item_key: str) -> int:
        return int(item_key)

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> OutputPartition:
        sink = self.open_sink(int(for_part))
        sink.open(self.deployment)
        return OutputPartition(sink)


class OutputPartition(StatefulSinkPartition[Fact, None]):
    """One writer. `snapshot` waits for every acknowledgement: only then may the epoch be resumed after."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._batcher = Batcher(sink)

    def write_batch(self, values: list[Fact]) -> None:
        with step("sink"):
            for fact in values:
                self._batcher.add(fact.table, fact.rows)

    def snapshot(self) -> None:
        with step("sink"):
            self._batcher.flush()

    def close(self) -> None:
        self._batcher.flush()
        for table, counters in self._batcher.counters().items():
            wrote(table, counters.rows)
        self._batcher.close()
        self._sink.close()
