"""Between a pipeline that makes small batches and a sink that likes large blocks.

Rows gather per table; a full block, or a fair one while it has nothing to do, goes to one background thread,
so that inserting overlaps the pipeline's own work (ClickHouse releases the GIL). The queue is short: when the
sink cannot keep up, `add` waits, and so does everything before it.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from queue import Queue
from typing import Final

import pyarrow as pa

from schemas.tables import TABLES
from sinks.base import Sink
from sinks.check import conform
from sinks.merge import join, merge

ROWS_MAX: Final = 100_000
ROWS_IDLE: Final = 16_384
"""So many rows go to a writer that has nothing to do. Without it all blocks of a short epoch would be written
at its end, while everything before the sink waits.
"""

BYTES_MAX: Final = 64 * 1024 * 1024
QUEUED_MAX: Final = 2

_ORDER: Final = list(TABLES)
_UNMERGED: Final = frozenset({"transitions", "late_events", "rejected_events", "events"})
"""Final when they appear: a block repeats one only in a replay, and then the table drops it."""


@dataclass(frozen=True)
class TableCounters:
    """What was acknowledged for one table since the start."""

    rows: int = 0  # sent, after compaction
    rows_replaced: int = 0  # left out because a later row of the same block replaced them
    blocks: int = 0
    bytes: int = 0  # of the blocks in memory
    seconds: float = 0.0  # in the sink's `write`


@dataclass
class _Gathered:
    since: float  # unix seconds: the oldest of its rows
    batches: list[pa.RecordBatch] = field(default_factory=list)
    rows: int = 0
    bytes: int = 0


class Batcher:
    """Gathers batches into blocks and writes them in the background; see `add`, `flush`, `close`.

    `add` and `flush` belong to one thread. The sink must be open and stays the caller's to close. An
    error of the sink is sticky: every later call raises it, for the blocks after it were not written.
    """

    def __init__(
        self,
        sink: Sink,
        rows_max: int = ROWS_MAX,
        rows_idle: int = ROWS_IDLE,
        bytes_max: int = BYTES_MAX,
        queued_max: int = QUEUED_MAX,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._sink = sink
        self._rows_max = rows_max
        self._rows_idle = rows_idle
        self._bytes_max = bytes_max
        self._clock = clock
        self._gathered: dict[str, _Gathered] = {}
        self._counters: dict[str, TableCounters] = {}
        self._blocks: Queue[tuple[str, _Gathered] | None] = Queue(queued_max)
        self._handed_over: deque[float] = deque()
        self._error: BaseException | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._write_blocks, name="sink-writer", daemon=True)
        self._thread.start()

    def add(self, table: str, batch: pa.RecordBatch) -> None:
        """Take rows of a table. Returns at once, or when the writer has room. A batch that has not the
        pinned schema raises SchemaMismatch here; what its values break is found when its block is looked
        at as a whole, before it is sent: once a block instead of once a batch.
        """
        self._raise_sticky()
        assert not self._closed, "add after close"
        if not batch.num_rows:
            return
        if table not in TABLES or not batch.schema.equals(TABLES[table]):
            batch = conform(table, batch)
        gathered = self._gathered.setdefault(table, _Gathered(time.time()))
        gathered.batches.append(batch)
        gathered.rows += batch.num_rows
        gathered.bytes += batch.nbytes
        if self._is_due(gathered):
            self._hand_over(table)

    def flush(self) -> None:
        """Return when everything added is acknowledged, or raise the writer's error."""
        self._raise_sticky()
        for table in sorted(self._gathered, key=_ORDER.index):
            self._hand_over(table)
        self._blocks.join()
        self._raise_sticky()

    def close(self) -> None:
        """Flush, and end the thread; raises the writer's error, if there is one, after that."""
        if self._closed:
            return
        try:
            self.flush()
        finally:
            self._closed = True
            self._blocks.put(None)
            self._thread.join()

    def counters(self) -> dict[str, TableCounters]:
        """Per table, what was acknowledged so far."""
        return dict(self._counters)

    @property
    def oldest_unacknowledged_at(self) -> float | None:
        """When the oldest row that is not acknowledged was added (unix seconds); None without any. Any thread
        may ask.
        """
        waiting = [*self._handed_over, *(gathered.since for gathered in list(self._gathered.values()))]
        return min(waiting, default=None)

    def _is_due(self, gathered: _Gathered) -> bool:
        if gathered.rows >= self._rows_max or gathered.bytes >= self._bytes_max:
            return True
        return gathered.rows >= self._rows_idle and not self._handed_over

    def _hand_over(self, table: str) -> None:
        if table == "outcomes" and "objects" in self._gathered:
            self._hand_over("objects")  # what takes an abandonment back is told after it
        gathered = self._gathered.pop(table)
        self._handed_over.append(gathered.since)
        self._blocks.put((table, gathered))

    def _raise_sticky(self) -> None:
        if self._error is not None:
            raise self._error

    def _write_blocks(self) -> None:
        while (block := self._blocks.get()) is not None:
            try:
                if self._error is None:  # what follows a failed block is dropped: it will be replayed
                    self._write(block[0], block[1].batches)
                    self._handed_over.popleft()
            except BaseException as error:
                self._error = error
            finally:
                self._blocks.task_done()
        self._blocks.task_done()

    def _write(self, table: str, batches: list[pa.RecordBatch]) -> None:
        whole = conform(table, join(batches))
        block = whole if table in _UNMERGED else merge(table, whole)
        started = self._clock()
        self._sink.write(table, block)
        seconds = self._clock() - started
        so_far = self._counters.get(table, TableCounters())
        self._counters[table] = replace(
            so_far,
            rows=so_far.rows + block.num_rows,
            rows_replaced=so_far.rows_replaced + whole.num_rows - block.num_rows,
            blocks=so_far.blocks + 1,
            bytes=so_far.bytes + block.nbytes,
            seconds=so_far.seconds + seconds,
        )
