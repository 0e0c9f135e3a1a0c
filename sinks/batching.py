"""Between a pipeline that makes small batches and a sink that likes large blocks.

Rows gather per table. One background thread takes them as blocks: a table that has a fair number, as soon as
it has nothing else to do, or every table in a flush, or when it is told that a flush is near (`hasten`). So
inserting overlaps the pipeline's own work, snapshots too (ClickHouse releases the GIL). A table whose block
is full takes no more until the thread has it: when the sink cannot keep up, `add` waits, and so does
everything before it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

import pyarrow as pa

from schemas.tables import TABLES
from sinks.base import Sink
from sinks.check import conform
from sinks.merge import join, merge

ROWS_MAX: Final = 100_000
BYTES_MAX: Final = 64 * 1024 * 1024
"""A table that has gathered so much waits to be written: more would only cost memory."""

ROWS_FAIR: Final = 16_384
"""So many make a block worth its insert. With less, many parts would have to be merged; with more, the blocks
of a short epoch would all be written at its end, while everything before the sink waits.
"""

_OPEN: Final = ("participations", "objects", "sessions")
"""Most of their rows tell how something stands that is still open, and are told again: others go first."""

_ORDER: Final = [*(table for table in TABLES if table not in _OPEN), *_OPEN]
_BEFORE: Final = {"outcomes": "objects"}
"""What takes an abandonment back is written after it: told first, it would take back nothing."""

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
        bytes_max: int = BYTES_MAX,
        rows_fair: int = ROWS_FAIR,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._sink = sink
        self._rows_max = rows_max
        self._bytes_max = bytes_max
        self._rows_fair = min(rows_fair, rows_max)
        self._clock = clock
        self._counters: dict[str, TableCounters] = {}
        self._changed = threading.Condition()  # guards what follows
        self._gathered: dict[str, _Gathered] = {}
        self._in_hand: list[tuple[str, _Gathered]] = []
        self._everything = False  # is to be written, however little
        self._hastened: set[str] = set()  # so are these, once
        self._error: BaseException | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._write_blocks, name="sink-writer", daemon=True)
        self._thread.start()

    def add(self, table: str, batch: pa.RecordBatch) -> None:
        """Take rows of a table. Returns at once, or when there is room. A batch that has not the pinned
        schema raises SchemaMismatch here; what its values break is found when its block is looked at as a
        whole, before it is sent: once a block instead of once a batch.
        """
        self._raise_sticky()
        assert not self._closed, "add after close"
        if not batch.num_rows:
            return
        if table not in TABLES or not batch.schema.equals(TABLES[table]):
            batch = conform(table, batch)
        with self._changed:
            self._changed.wait_for(lambda: self._error is not None or not self._is_full(table))
            self._raise_sticky()
            gathered = self._gathered.setdefault(table, _Gathered(time.time()))
            gathered.batches.append(batch)
            gathered.rows += batch.num_rows
            gathered.bytes += batch.nbytes
            self._changed.notify_all()

    def hasten(self) -> None:
        """A flush is near: a table that has gathered an eighth of a fair block is written. Returns at once.
        Less goes with the flush: two parts where one would do cost room and merges.
        """
        with self._changed:
            least = self._rows_fair // 8
            self._hastened.update(name for name, one in self._gathered.items() if one.rows >= least)
            self._changed.notify_all()

    def flush(self) -> None:
        """Return when everything added is acknowledged, or raise the writer's error."""
        with self._changed:
            self._everything = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._error is not None or not (self._gathered or self._in_hand))
            self._everything = False
        self._raise_sticky()

    def close(self) -> None:
        """Flush, and end the thread; raises the writer's error, if there is one, after that."""
        if self._closed:
            return
        try:
            self.flush()
        finally:
            with self._changed:
                self._closed = True
                self._changed.notify_all()
            self._thread.join()

    def counters(self) -> dict[str, TableCounters]:
        """Per table, what was acknowledged so far."""
        return dict(self._counters)

    @property
    def oldest_unacknowledged_at(self) -> float | None:
        """When the oldest row that is not acknowledged was added (unix seconds); None without any. Any thread
        may ask.
        """
        with self._changed:
            waiting = [*self._gathered.values(), *(gathered for _, gathered in self._in_hand)]
            return min((gathered.since for gathered in waiting), default=None)

    def _is_full(self, table: str) -> bool:
        gathered = self._gathered.get(table)
        return gathered is not None and (gathered.rows >= self._rows_max or gathered.bytes >= self._bytes_max)

    def _raise_sticky(self) -> None:
        if self._error is not None:
            raise self._error

    def _write_blocks(self) -> None:
        while self._take():
            try:
                for table, gathered in self._in_hand:
                    self._write(table, gathered.batches)
            except BaseException as error:
                self._error = error  # what was added after it is not written: it will be replayed
            with self._changed:
                self._in_hand = []
                self._changed.notify_all()

    def _take(self) -> bool:
        """Waits for blocks and has them in hand; False when there will be none."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._error is not None or self._due())
            table = None if self._error is not None else self._due()
            if table is None:
                return False
            tables = [one for one in (_BEFORE.get(table), table) if one in self._gathered]
            self._in_hand = [(one, self._gathered.pop(one)) for one in tables if one is not None]
            self._hastened.difference_update(tables)
            self._changed.notify_all()
            return True

    def _due(self) -> str | None:
        """The table to be written next: where an epoch ends in their order, else the one with most rows."""
        last = self._gathered.keys() if self._everything else self._gathered.keys() & self._hastened
        if last:
            return min(last, key=_ORDER.index)
        fair = [table for table, gathered in self._gathered.items() if self._is_fair(gathered)]
        return max(fair, key=lambda table: self._gathered[table].rows, default=None)

    def _is_fair(self, gathered: _Gathered) -> bool:
        return gathered.rows >= self._rows_fair or gathered.bytes >= self._bytes_max

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
