"""What travels between the steps, and how the time of shards follows from that of partitions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.core.count.tallies import Increments
from pipeline.core.events import Slice
from pipeline.core.follow.follow import Abandoned, Bought
from pipeline.core.track.track import ALL_TIME


@dataclass(frozen=True)
class Routed:
    """A shard's part of a block, and how far the block's partition is."""

    shard: int
    partition: int
    watermark: int
    finished: bool
    piece: Slice | None


@dataclass(frozen=True)
class Claims:
    """What a block says of orders, and how far its partition is."""

    partition: int
    watermark: int
    finished: bool
    claims: NDArray[np.void]  # CLAIM


@dataclass(frozen=True)
class Verdict:
    """All orders before `watermark` are decided; `repeats` are those of this shard that only repeat one."""

    shard: int
    watermark: int
    repeats: NDArray[np.void] | None


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
class Tracked:
    """What `track` hands on to `follow` and `count`: all that happened in a shard up to a watermark."""

    shard: int
    increments: list[Increments]
    cohorts: list[Increments]
    abandoned: list[Abandoned]
    bought: list[Bought]
    watermark: int


@dataclass(frozen=True)
class Counted:
    """What `track` and `follow` counted, up to a watermark."""

    shard: int
    increments: list[Increments]
    cohorts: list[Increments]
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
    partitions_first: int = 0  # when the deployment began (0: all): later ones join the groups

    @property
    def lanes(self) -> int:
        return self.partitions if self.per_partition else 1

    @cached_property
    def groups(self) -> int:
        """Equal groups of shards, none of them without a partition."""
        most = min(self.partitions_first or self.partitions, self.shards) if self.per_partition else 1
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
