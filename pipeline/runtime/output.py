"""Sinks as bytewax knows them: an epoch is over only when its rows are acknowledged."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import stamina
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from pipeline.runtime import failure, meters
from pipeline.runtime.items import Fact
from pipeline.runtime.placing import shard_of
from pipeline.runtime.steps import step, wrote
from sinks.base import Deployment, Sink, SinkUnavailable
from sinks.batching import Batcher
from sinks.registry import Door, refused_rows, serve, settle

WAIT_SECONDS_MAX: Final = 15.0
"""Between two attempts to open a place that is away."""

_WRITERS: Final[list[Batcher]] = []


def epoch_ends() -> None:
    """The epoch is ending: what this process has gathered is written while snapshots are taken, so that
    little is left to wait for when all of them are.
    """
    for batcher in _WRITERS:
        batcher.hasten()


@dataclass(frozen=True)
class Output(FixedPartitionedSink[Fact, None]):
    """`parts` writers of one place: one where only one process may open it, else one per worker.

    A place that is away is waited for as long as a block would wait, `retry_seconds`: a run that starts anew
    in an outage must not give up sooner than one that goes on.
    """

    open_sink: Callable[[int], Sink]
    deployment: Deployment
    parts: int
    retry_seconds: float
    serve_port: int = 0
    serve_password: str | None = None

    def list_parts(self) -> list[str]:
        return [f"{part:03d}" for part in range(self.parts)]

    def part_fn(self, item_key: str) -> int:
        return shard_of(item_key) if item_key[:1].isdigit() else 0  # or of a step that is one for all

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> OutputPartition:
        _keep_thread_state()
        with step("open"):
            sink = self._opened(int(for_part))
        return OutputPartition(sink, serve(sink, self.serve_port, self.serve_password))

    def _opened(self, part: int) -> Sink:
        for attempt in stamina.retry_context(
            on=SinkUnavailable, attempts=None, timeout=self.retry_seconds, wait_max=WAIT_SECONDS_MAX
        ):
            with attempt:
                sink = self.open_sink(part)
                sink.open(self.deployment)
        return sink


def _keep_thread_state() -> None:
    """Keeps Python's record of this thread for as long as the thread lives.

    In a run of several processes the thread belongs to bytewax, which has Python make a record of it for each
    call and throw it away after. The embedded engine remembers the one that it met first, and crashes when
    it comes back to it.
    """
    ctypes.pythonapi.PyGILState_Ensure()


class OutputPartition(StatefulSinkPartition[Fact, None]):
    """One writer. `snapshot` waits for every acknowledgement: only then may the epoch be resumed after."""

    def __init__(self, sink: Sink, door: Door | None) -> None:
        self._sink = sink
        self._batcher = Batcher(sink)
        _WRITERS.append(self._batcher)
        self._door = door
        if door is not None:
            meters.serving(is_open=door.problem is None)

    def write_batch(self, values: list[Fact]) -> None:
        meters.handed_over(self._batcher)
        with step("sink"):
            for fact in values:
                self._batcher.add(fact.table, fact.rows)
                if fact.table == "limits":
                    meters.limits(fact.rows)

    def snapshot(self) -> None:
        with step("sink"):
            self._batcher.flush()
        meters.acknowledged(self._batcher)
        meters.refused(refused_rows(self._sink), id(self))

    def close(self) -> None:
        """Also called while bytewax falls, and an error then would make it abort without a word."""
        with suppress(ValueError):  # closed before
            _WRITERS.remove(self._batcher)
        if self._door is not None:
            self._door.close()
        with suppress(Exception) if failure.noted() else step("sink"):
            self._batcher.flush()
            meters.acknowledged(self._batcher)
            for table, counters in self._batcher.counters().items():
                wrote(table, counters.rows)
            self._batcher.close()
            settle(self._sink)
            self._sink.close()
