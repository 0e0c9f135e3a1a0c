"""What the steps of the flow tell the metrics, each in one line of theirs: per batch or per epoch."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import stamina.instrumentation
from stamina.instrumentation import RetryDetails

from pipeline.runtime import metrics, steps
from pipeline.runtime.record import Record
from sinks.batching import Batcher

RESULTS: Final = ("accepted", "duplicate", "late", "rejected", "filtered")
"""In the order of a partition's totals, after `received`."""

_CODE: Final = re.compile(r"\b[Cc]ode:? (\d+)\b")

_watermarks: dict[str, int] = {}
_epochs: dict[str, int] = {}
_began: list[float] = []  # the open epoch
_handed_over: set[int] = set()


def begin(state: Path, process: int | str) -> None:
    """A run begins in this process: its numbers go to the state folder. Retries are counted from now on;
    stamina would print them, with what was tried.
    """
    for kept in (_watermarks, _epochs, _began, _handed_over):
        kept.clear()
    metrics.begin(Record(state).numbers, str(process), os.getpid())
    stamina.instrumentation.set_on_retry_hooks([_retried])


def input_moved() -> None:
    """The input loop was asked for more."""
    now = time.time()
    if not _began:
        _began.append(now)
    metrics.put(metrics.INPUT_AGE, now, metrics.own_process())
    metrics.put(metrics.MOVED_AGE, now, metrics.own_process())


def partition(source: str, number: int, totals: Sequence[int], watermark_ms: int, *, idle: bool) -> None:
    """How far a source partition is: `totals` since the deployment began (received, and RESULTS), and whether
    it is at its end. To be told once before the first record of a run, and after each block.
    """
    who = (source, str(number))
    received, *results = (int(total) for total in totals)
    metrics.grown(metrics.RECEIVED, received, *who, since=None)
    for result, total in zip(RESULTS, results, strict=True):
        metrics.grown(metrics.ADMITTED, total, *who, result, since=None)
    metrics.put(metrics.IDLE, idle, *who)
    if watermark_ms > 0:
        metrics.put(metrics.WATERMARK_LAG, 0.0 if idle else watermark_ms / 1000, *who)
        if _watermarks.get(who[1]) != watermark_ms:
            _watermarks[who[1]] = watermark_ms
            metrics.put(metrics.WATERMARK_AGE, time.time(), *who)


def lost(source: str, number: int, records: int) -> None:
    """Records that a broker had deleted before they were read."""
    metrics.add(metrics.LOST, records, source, str(number))


def logged(name: str, size: int) -> None:
    """Bytes of a state that went into its log instead of the snapshot."""
    metrics.add(metrics.SNAPSHOT_BYTES, size, name)


def lag(source: str, number: int, records: int) -> None:
    """What a broker has of a partition that was not read yet."""
    metrics.put(metrics.CONSUMER_LAG, records, source, str(number))


def rejected(rows: pa.RecordBatch | None) -> None:
    """Rows of `rejected_events`, where a block had some."""
    if rows is not None and rows.num_rows:
        for found in pc.value_counts(rows.column("reason")).to_pylist():
            metrics.add(metrics.REJECTED, found["counts"], str(found["values"]))


def epoch(part: str) -> None:
    """A snapshot of a part of the input is taken: the first of its process in an epoch ends the one before.

    The engine tells nobody of its epochs. It takes a snapshot of every part of the input in each, whether
    anything came or not; of the output only where rows came.
    """
    before = max(_epochs.values(), default=0)
    _epochs[part] = _epochs.get(part, 0) + 1
    if _epochs[part] <= before:
        return
    now = time.time()
    metrics.add(metrics.EPOCHS, 1)
    metrics.put(metrics.EPOCH_AGE, now)
    metrics.put(metrics.EPOCH_SECONDS, now - _began[-1] if _began else 0.0)
    _began[:] = [now]
    for name, seconds in steps.seconds().items():
        metrics.grown(metrics.STEP_SECONDS, seconds, name)


def kept_open(shard: int, sessions: int, objects: int, held: int) -> None:
    """What `track` holds in one of its shards."""
    for metric, count in (
        (metrics.OPEN_SESSIONS, sessions),
        (metrics.OPEN_OBJECTS, objects),
        (metrics.EVENTS_HELD, held),
    ):
        metrics.grown(metric, count, part=shard)


def put_off() -> None:
    """Not all that is open could be told of."""
    metrics.add(metrics.PUT_OFF, 1)


def handed_over(batcher: Batcher) -> None:
    """Rows are on their way to the sink."""
    if not _handed_over:
        metrics.put(metrics.UNACKNOWLEDGED_AGE, time.time())
    _handed_over.add(id(batcher))


def limits(rows: pa.RecordBatch) -> None:
    """Rows of the table `limits`: absolute counts, by limit and place."""
    for row in rows.select(["limit", "place", "hits"]).to_pylist():
        metrics.grown(metrics.FORGOTTEN, row["hits"], row["limit"], part=row["place"])


def acknowledged(batcher: Batcher) -> None:
    """All that was handed over has been acknowledged."""
    _handed_over.discard(id(batcher))
    if not _handed_over:
        metrics.put(metrics.UNACKNOWLEDGED_AGE, 0.0)
    for table, counters in batcher.counters().items():
        for metric, total in (
            (metrics.SINK_BATCHES, counters.blocks),
            (metrics.SINK_ROWS, counters.rows),
            (metrics.SINK_BYTES, counters.bytes),
            (metrics.SINK_SECONDS, counters.seconds),
        ):
            metrics.grown(metric, total, table, part=id(batcher))


def refused(rows: Mapping[str, int], part: int) -> None:
    """Rows by table that the database refused so far, of one writer."""
    for table, total in rows.items():
        metrics.grown(metrics.SINK_REFUSED_ROWS, total, table, part=part)


def serving(*, is_open: bool) -> None:
    """Whether others can read the embedded database."""
    metrics.put(metrics.SERVING, float(is_open))


def _retried(details: RetryDetails) -> None:
    """The error says its `kind`, or its words hold ClickHouse's code; else the connection failed."""
    found = _CODE.search(str(details.caused_by))
    kind = getattr(details.caused_by, "kind", None) or (found[1] if found else "transport")
    metrics.add(metrics.SINK_RETRIES, 1, str(kind))
    metrics.put(metrics.MOVED_AGE, time.time(), metrics.own_process())
