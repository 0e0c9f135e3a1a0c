"""Source partitions as bytewax knows them: read, decode and admit, with one state and one position.

The three steps share a snapshot because what a partition has seen (watermark, ids) is true only at the
position it has been read to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeGuard

import numpy as np
import pyarrow as pa
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from pipeline.core.admit.admit import (
    ACCEPTED,
    DUPLICATE,
    FILTERED,
    LATE,
    NO_WATERMARK,
    RECEIVED,
    REJECTED,
    Admit,
    Admitted,
)
from pipeline.runtime import meters, underway
from pipeline.runtime.board import Board
from pipeline.runtime.cuts import Cut, Cuts
from pipeline.runtime.incidents import lost_records
from pipeline.runtime.kept import Kept, Promised
from pipeline.runtime.lulls import Lull, Lulls
from pipeline.runtime.output import epoch_ends
from pipeline.runtime.steps import snapshot, step
from pipeline.runtime.stop import stopping
from pipeline.sources.blocks import NOTHING_YET, LiveReader, Reader
from pipeline.sources.files import BadInput
from schemas.tables import FRESHNESS

AHEAD_WAIT = timedelta(milliseconds=1)
"""How long a partition that is ahead of the others in event time waits before it looks again: short beside
the time that a block takes."""


NOTHING_WAIT: Final = timedelta(milliseconds=5)
"""How long a live partition without records waits before it looks again."""

NO_RECORDS: Final = np.zeros(0, np.int64)

LULL_STEP_MS: Final = 2_000
"""Time passes for a silent partition in steps of so much: each is written down durably."""


class GrownAfterEnd(Exception):  # noqa: N818  the word that users read
    """A file has more to say after a replay has closed everything at its end."""

    def __init__(self, name: str) -> None:
        super().__init__(f"--input: {name} has grown since a run read it to its end and closed everything")
        self.hint = "files that still grow are read with --until-drained; to begin anew: `pathline reset`"


@dataclass(frozen=True)
class Arrived:
    """A block that was admitted; `finished` says that it was the partition's last."""

    partition: int
    admitted: Admitted | None
    watermark: int
    finished: bool
    found: dict[str, pa.RecordBatch] = field(default_factory=dict)
    """Rows about the partition itself."""


@dataclass(frozen=True)
class Origin:
    """Where the records of a partition come from: its name and number in rows. `file` is none where they come
    from a broker, which may have more at any time.
    """

    source: str
    number: int
    file: Path | None

    @property
    def shown(self) -> str:
        return str(self.file) if self.file else f"{self.source}/{self.number}"


@dataclass(frozen=True)
class Idle:
    """What becomes of time where a live partition is silent for `after_ms`."""

    after_ms: int
    lateness_ms: int
    journals: Path  # a folder


@dataclass(frozen=True)
class Intake(FixedPartitionedSource[Arrived, bytes]):
    """All partitions of a run. `open_reader` and `open_admit` make a partition's parts by its number."""

    origins: tuple[Origin, ...]
    open_reader: Callable[[int], Reader | LiveReader]
    open_admit: Callable[[int], Admit]
    board: Board
    look_ahead_ms: int
    rows_max: int
    epoch_bytes_max: int  # of decoded records: only the end of an epoch waits for what comes after
    idle: Idle
    ordered: bool  # records are handed out by event time, not as they lie in the file
    closes: bool  # at the end all time passes; else the files may grow, and a later run goes on
    cuts: Cuts | None  # None where each partition keeps to its own time: nothing is cut
    segments: Path | None = None  # where large states are logged

    def list_parts(self) -> list[str]:
        return [f"{number:05d}" for number in range(len(self.origins))]

    def build_part(self, step_id: str, for_part: str, resume_state: bytes | None) -> IntakePartition:
        with step("open"):
            return IntakePartition(self, int(for_part), resume_state)


class IntakePartition(StatefulSourcePartition[Arrived, bytes]):
    """One partition: reads ahead of the others only so far, and ends with a last word.

    A partition may read on where its last block *began* within `look_ahead_ms` of the one furthest behind. If
    where it ended counted, partitions whose blocks are longer than that would read one at a time.

    The last word is said in every run, also where an earlier one has said it: those who heard it then may
    have forgotten, and a file that has grown since takes it back.
    """

    def __init__(self, intake: Intake, number: int, resume_state: bytes | None) -> None:
        self._intake = intake
        self._number = number
        self._origin = intake.origins[number]
        self._bytes = self._origin.file.stat().st_size if self._origin.file else 0
        self._epoch_bytes = 0
        self._wait: timedelta | None = None
        self._reader = intake.open_reader(number)
        self._admit = intake.open_admit(number)
        self._kept = Kept("intake", intake.segments)
        self._finished = False
        self._closed = False
        self._block_began_ms = self._admit.watermark  # of the last block
        if resume_state is not None:
            state = self._kept.load(resume_state, self._admit)
            self._reader.load(state["reader"])
            self._closed = state["closed"]
            if intake.ordered and state["bytes"] != self._bytes:
                raise BadInput(
                    f"--input: {self._origin.shown} has changed since it was sorted",
                    "begin anew with `pathline reset`",
                )
        self._lulls = Lulls.of(intake.idle.journals, number)
        self._cuts = self._all_cuts()
        self._pass_cuts()
        intake.board.put(number, received_before=self._received)
        self._turn = underway.turn(number, self._received)
        self._greets = not self._received and self._admit.watermark != NO_WATERMARK
        self._tell()

    @property
    def _received(self) -> int:
        return int(self._admit.totals[RECEIVED])

    def _all_cuts(self) -> list[tuple[int, int]]:
        """Where time passes without a record, as written down: (records received by then, watermark)."""
        drained = self._intake.cuts.read() if self._intake.cuts else []
        number = self._number
        both = [(cut.received[number], cut.watermark_ms) for cut in drained if number < len(cut.received)]
        both += [(lull.received, lull.watermark_ms) for lull in self._lulls.read(self._received)]
        return sorted(cut for cut in both if cut[0] >= self._received)

    def next_batch(self) -> Iterable[Arrived]:
        meters.input_moved()
        if stopping():
            raise StopIteration
        self._wait = None if self._turn.comes() else AHEAD_WAIT
        if self._wait:
            return []
        self._kept.settle()
        if self._finished:
            self._turn.leave()
            raise StopIteration
        self._wait = AHEAD_WAIT if self._must_wait() else None
        if self._wait:
            self._turn.skip()
            return []
        if self._greets:  # a partition that is new: the others need not wait for it
            self._greets = False
            return [self._arrived(None)]
        self._block_began_ms = self._admit.watermark
        self._turn.begin(self._received, self._reader)
        with step("read · decode"):
            block = self._reader.read(min(self._rows_max(), self._turn.rows_max))
        if block is None:
            self._turn.ends()
            return [self._last_word()]
        if block is NOTHING_YET:
            self._turn.took(NO_RECORDS)
            self._wait = NOTHING_WAIT
            return self._rest()
        self._turn.took(block.position)
        with step("admit"):
            if self._closed:
                raise GrownAfterEnd(self._origin.shown)
            admitted = self._admit.apply(block.decoded, block.position)
            admitted.rows["freshness"] = self._freshness(admitted)
            self._pass_cuts()
        self._epoch_bytes += block.bytes
        self._tell()
        meters.rejected(admitted.rows.get("rejected_events"))
        return [self._arrived(admitted)]

    def _must_wait(self) -> bool:
        """For partitions that are behind, or for the end of the epoch."""
        behind = self._intake.board.furthest_behind_ms()
        is_ahead = self._block_began_ms > behind + self._intake.look_ahead_ms
        return is_ahead or self._epoch_bytes >= self._intake.epoch_bytes_max

    def _arrived(self, admitted: Admitted | None) -> Arrived:
        found = {}
        if self._is_live(self._reader) and (gaps := self._reader.gaps()):
            source, number = self._origin.source, self._origin.number
            found["incidents"] = lost_records(source, number, gaps)
            meters.lost(source, number, sum(gap.until - gap.first for gap in gaps))
        return Arrived(self._number, admitted, int(self._admit.watermark), finished=False, found=found)

    def _is_live(self, reader: Reader | LiveReader) -> TypeGuard[LiveReader]:
        return self._origin.file is None

    def _rest(self) -> list[Arrived]:
        """A live partition has nothing now. After a while time passes for it all the same: to where nobody
        can have anything earlier to tell.
        """
        idle, reader = self._intake.idle, self._reader
        assert self._is_live(reader)
        self._intake.board.put(self._number, resting=1, lag=reader.lag)
        self._tell_lag()
        at_end_ms = reader.at_end_ms(idle.after_ms / 1000)
        if at_end_ms is None or self._cuts:
            return []
        watermark = at_end_ms - idle.after_ms - idle.lateness_ms
        if watermark < self._admit.watermark + LULL_STEP_MS:
            return []
        with step("lull"):
            self._lulls.add(Lull(self._received, reader.offset, watermark))
            self._admit.lift(watermark)
        self._tell()
        return [self._arrived(None)]

    def next_awake(self) -> datetime | None:
        return datetime.now(UTC) + self._wait if self._wait else None

    @snapshot("intake")
    def snapshot(self) -> Promised:
        epoch_ends()
        self._epoch_bytes = 0
        self._turn.epoch_over()
        if self._is_live(self._reader):
            self._reader.kept()
            self._lulls.snapshot(self._received)
        meters.epoch(str(self._number))
        beside = {"reader": self._reader.dump(), "closed": self._closed, "bytes": self._bytes}
        return self._kept.dump(self._admit, f"intake-{self._number}", beside)

    def close(self) -> None:
        self._reader.close()

    def _rows_max(self) -> int:
        """A block ends at a cut: time moves there."""
        if not self._cuts:
            return self._intake.rows_max
        return min(self._intake.rows_max, self._cuts[0][0] - self._received)

    def _pass_cuts(self) -> None:
        while self._cuts and self._cuts[0][0] == self._received:
            self._admit.lift(self._cuts.pop(0)[1])

    def _last_word(self) -> Arrived:
        self._finished = True
        self._closed = self._closed or self._intake.closes
        self._tell()
        with step("cut"):
            board, cuts = self._intake.board, self._intake.cuts
            if cuts is not None and not self._intake.closes and board.all_finished():
                cuts.add(Cut(board.latest_ms(), board.column("received")))
        return Arrived(self._number, None, int(self._admit.watermark), finished=True)

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
            resting=0,
            lag=self._reader.lag if self._is_live(self._reader) else 0,
        )
        source, watermark = self._admit.partition.source, int(self._admit.watermark)
        meters.partition(source, self._origin.number, totals.tolist(), watermark, idle=self._finished)
        self._tell_lag()

    def _tell_lag(self) -> None:
        """What the broker has for us, and whether that is nothing."""
        if self._is_live(self._reader):
            meters.lag(self._origin.source, self._origin.number, self._reader.lag)

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
