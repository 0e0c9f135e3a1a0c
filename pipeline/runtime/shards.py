"""Shards as bytewax knows them: keyed steps around `Track` and `Count`, with snapshots as bytes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property

import numpy as np
import pyarrow as pa
from bytewax.operators import StatefulBatchLogic
from numpy.typing import NDArray

from pipeline.core.count.count import Count, Increments
from pipeline.core.decode.columns import NO_TIME
from pipeline.core.events import Slice
from pipeline.core.facts.facts import FactTables
from pipeline.core.snapshot import pack, unpack
from pipeline.core.track.track import ALL_TIME, Track
from pipeline.runtime.steps import step

TELL_EVERY = timedelta(seconds=1)
"""How old a row about an open session may be: in a replay a session changes many times a second, and each row
that is left out costs neither the sink nor the database anything.
"""


@dataclass(frozen=True)
class Routed:
    """A shard's part of a block, and how far the block's partition is."""

    shard: int
    partition: int
    watermark: int
    finished: bool
    piece: Slice | None


@dataclass(frozen=True)
class Fact:
    """Rows for a table. To another process they go as Arrow writes them: five times faster than column by
    column, and made once, because bytewax asks for what it sends twice.
    """

    table: str
    rows: pa.RecordBatch

    @cached_property
    def _stream(self) -> bytes:
        stream = pa.BufferOutputStream()
        with pa.ipc.new_stream(stream, self.rows.schema) as writer:
            writer.write_batch(self.rows)
        written: bytes = stream.getvalue().to_pybytes()
        return written

    def __reduce__(self) -> tuple[object, ...]:
        return _arrived, (self.table, self._stream)


def _arrived(table: str, stream: bytes) -> Fact:
    """The fact that another process sent."""
    with pa.ipc.open_stream(stream) as reader:
        return Fact(table, reader.read_next_batch())


@dataclass(frozen=True)
class Counted:
    """What `track` counted, up to a watermark."""

    shard: int
    increments: list[Increments]
    watermark: int


@dataclass(frozen=True)
class Time:
    """How the time of visitors follows from that of the partitions, and in which shards the visitors of one
    may be: in any, or, where each has all records in one partition, in a group of them. A group lives in
    the process that reads its partitions as often as the numbers allow: then no event changes process.
    """

    partitions: int
    shards: int
    per_partition: bool  # else the least of all
    closes: bool  # at the end all time passes (a replay); else it stays where it is (drained)

    @property
    def lanes(self) -> int:
        return self.partitions if self.per_partition else 1

    @cached_property
    def groups(self) -> int:
        """Equal groups of shards, none of them without a partition."""
        most = min(self.partitions, self.shards) if self.per_partition else 1
        return next(groups for groups in range(max(most, 1), 0, -1) if self.shards % groups == 0)

    def shards_of(self, partition: int) -> range:
        """Where the visitors of a partition are."""
        return range(partition % self.groups, self.shards, self.groups)

    def least(self, lanes: NDArray[np.int64], shard: int) -> int:
        """The least watermark of those that the visitors of a shard follow."""
        return int(lanes[shard % self.groups :: self.groups].min())

    def lanes_at(self, watermark: NDArray[np.int64], finished: NDArray[np.bool_]) -> NDArray[np.int64]:
        """The watermark of each lane from those of the partitions."""
        if self.per_partition:
            return np.where(finished & self.closes, ALL_TIME, watermark)
        if finished.all():
            return np.array([ALL_TIME if self.closes else watermark.max()])
        return np.array([watermark[~finished].min()])


class TrackLogic(StatefulBatchLogic[Routed, "Fact | Counted", bytes]):
    """The step `track` of one shard."""

    def __init__(self, track: Track, facts: FactTables, time: Time, resume_state: bytes | None) -> None:
        self._track = track
        self._facts = facts
        self._time = time
        self._watermark = np.full(time.partitions, NO_TIME, np.int64)
        self._finished = np.zeros(time.partitions, np.bool_)
        self._shard = 0
        self._tell_at: datetime | None = None
        if resume_state is not None:
            state = unpack("track", resume_state)
            self._track.load(state["track"])
            self._watermark = np.array(state["watermark"])  # finished or not is said anew in every run

    def on_batch(self, values: list[Routed]) -> tuple[Iterable[Fact | Counted], bool]:
        pieces = []
        for routed in values:
            self._watermark[routed.partition] = routed.watermark
            self._finished[routed.partition] = routed.finished
            self._shard = routed.shard
            if routed.piece is not None:
                pieces.append(routed.piece)
        lanes = self._time.lanes_at(self._watermark, self._finished)
        lanes = np.maximum(lanes, self._track.watermarks)
        out: list[Fact | Counted] = []
        increments: list[Increments] = []
        with step("track"):
            for emitted in self._track.apply(pieces, lanes):
                with step("facts"):
                    if len(emitted.sessions):
                        out.append(Fact("sessions", self._facts.sessions(emitted)))
                    if len(emitted.transitions):
                        out.append(Fact("transitions", self._facts.transitions(emitted)))
                    increments.append(Increments(emitted.counts.copy(), emitted.state.words.known))
        out.append(Counted(self._shard, increments, self._time.least(lanes, self._shard)))
        if self._tell_at is None:
            self._tell_at = datetime.now(UTC) + TELL_EVERY
        return out, StatefulBatchLogic.RETAIN

    def notify_at(self) -> datetime | None:
        return self._tell_at

    def on_notify(self) -> tuple[Iterable[Fact | Counted], bool]:
        self._tell_at = None
        return self._told(stale=False), StatefulBatchLogic.RETAIN

    def on_eof(self) -> tuple[Iterable[Fact | Counted], bool]:
        """A stop, or the end of what there is: sessions that are open are told as they stand."""
        return self._told(stale=True), StatefulBatchLogic.RETAIN

    def _told(self, *, stale: bool) -> list[Fact | Counted]:
        with step("track"):
            emitted = self._track.tell(stale=stale)
            return [Fact("sessions", self._facts.sessions(sessions)) for sessions in emitted]

    def snapshot(self) -> bytes:
        with step("snapshot"):
            return pack(
                "track",
                {"track": self._track.dump(), "watermark": self._watermark},
            )


class CountLogic(StatefulBatchLogic[Counted, Fact, bytes]):
    """The step `count` of one shard."""

    def __init__(self, count: Count, resume_state: bytes | None) -> None:
        self._count = count
        if resume_state is not None:
            self._count.load(unpack("count", resume_state))

    def on_batch(self, values: list[Counted]) -> tuple[Iterable[Fact], bool]:
        self._count.shard = values[0].shard
        with step("count"):
            increments = [increment for counted in values for increment in counted.increments]
            rows = self._count.apply(increments, max(counted.watermark for counted in values))
        return ([Fact("funnel_minute", rows)] if rows is not None else []), StatefulBatchLogic.RETAIN

    def snapshot(self) -> bytes:
        with step("snapshot"):
            return pack("count", self._count.dump())
