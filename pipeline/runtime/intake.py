"""Source partitions as bytewax knows them: read, decode and admit, with one state and one position.

The three steps share a snapshot because what a partition has seen (watermark, ids) is true only at the
position it has been read to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from pipeline.core.admit import ACCEPTED, DUPLICATE, FILTERED, LATE, RECEIVED, REJECTED, Admit, Admitted
from pipeline.core.snapshot import pack, unpack
from pipeline.runtime.board import Board
from pipeline.runtime.steps import step
from pipeline.runtime.stop import stopping
from pipeline.sources.blocks import Reader
from schemas.tables import FRESHNESS

AHEAD_WAIT = timedelta(milliseconds=5)
"""How long a partition that is ahead of the others in event time waits before it looks again."""


@dataclass(frozen=True)
class Arrived:
    """A block that was admitted; `finished` says that it was the partition's last."""

    partition: int
    admitted: Admitted | None
    watermark: int
    finished: bool


@dataclass(frozen=True)
class Intake(FixedPartitionedSource[Arrived, bytes]):
    """All partitions of a run. `open_reader` and `open_admit` make a partition's parts by its number."""

    names: tuple[str, ...]
    open_reader: Callable[[int], Reader]
    open_admit: Callable[[int], Admit]
    board: Board
    look_ahead_ms: int
    rows_max: int
    drained_ms: int | None  # where the run before ended, when it drained its input and this one goes on

    def list_parts(self) -> list[str]:
        return [f"{number:05d}" for number in range(len(self.names))]

    def build_part(self, step_id: str, for_part: str, resume_state: bytes | None) -> IntakePartition:
        return IntakePartition(self, int(for_part), resume_state)


class IntakePartition(StatefulSourcePartition[Arrived, bytes]):
    """One partition: reads ahead of the others only so far, and ends with a last word."""

    def __init__(self, intake: Intake, number: int, resume_state: bytes | None) -> None:
        self._intake = intake
        self._number = number
        self._reader = intake.open_reader(number)
        self._admit = intake.open_admit(number)
        self._finished = False
        self._waiting = False
        if resume_state is not None:
            state = unpack("intake", resume_state)
            self._reader.load(state["reader"])
            self._admit.load(state["admit"])
            self._finished = state["finished"]
            if self._finished and intake.drained_ms is not None:
                self._finished = False
                self._admit.lift(intake.drained_ms)
        self._tell()

    def next_batch(self) -> Iterable[Arrived]:
        if self._finished or stopping():
            raise StopIteration
        behind = self._intake.board.furthest_behind_ms()
        self._waiting = self._admit.watermark > behind + self._intake.look_ahead_ms
        if self._waiting:
            return []
        with step("read · decode"):
            block = self._reader.read(self._intake.rows_max)
        if block is None:
            self._finished = True
            self._tell()
            return [Arrived(self._number, None, int(self._admit.watermark), finished=True)]
        with step("admit"):
            admitted = self._admit.apply(block.decoded, block.position)
            admitted.rows["freshness"] = self._freshness(admitted)
        self._tell()
        return [Arrived(self._number, admitted, admitted.watermark, finished=False)]

    def next_awake(self) -> datetime | None:
        return datetime.now(UTC) + AHEAD_WAIT if self._waiting else None

    def snapshot(self) -> bytes:
        with step("snapshot"):
            return pack(
                "intake",
                {"reader": self._reader.dump(), "admit": self._admit.dump(), "finished": self._finished},
            )

    def close(self) -> None:
        self._reader.close()

    def _tell(self) -> None:
        totals = self._admit.totals
        self._intake.board.put(
            self._number,
            received=int(totals[RECEIVED]),
            accepted=int(totals[ACCEPTED]),
            duplicate=int(totals[DUPLICATE]),
            late=int(totals[LATE]),
            rejected=int(totals[REJECTED]),
            filtered=int(totals[FILTERED]),
            watermark_ms=int(self._admit.watermark),
            bytes_read=self._reader.bytes_read,
            finished=int(self._finished),
        )

    def _freshness(self, admitted: Admitted) -> pa.RecordBatch:
        """One row per site of the block: outside the law, it tells the wall clock."""
        site = admitted.batch.column("site")
        seen = np.unique(site.indices.to_numpy())
        sites = site.dictionary.take(pa.array(seen))
        n = len(sites) if admitted.watermark > 0 else 0
        now = int(datetime.now(UTC).timestamp() * 1000)
        columns: dict[str, Any] = {
            "site": sites.slice(0, n).dictionary_encode(),
            "source": pa.array([self._admit.partition.source] * n, pa.string()).dictionary_encode(),
            "partition": pa.array([self._admit.partition.number] * n, pa.int32()),
            "watermark": pa.array([admitted.watermark] * n, pa.int64()).cast(
                FRESHNESS.field("watermark").type
            ),
            "updated_at": pa.array([now] * n, pa.int64()).cast(FRESHNESS.field("updated_at").type),
        }
        return pa.record_batch([columns[name] for name in FRESHNESS.names], schema=FRESHNESS)
