"""Rows of the table `incidents`: what happened to a source that no record tells of."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pyarrow as pa

from pipeline.sources.blocks import Gap
from schemas.incidents import INCIDENTS, LOST_RECORDS, PARTITION_ADDED
from schemas.tables import INCIDENTS as SCHEMA


def lost_records(source: str, partition: int, gaps: Sequence[Gap]) -> pa.RecordBatch:
    """Records that a broker deleted before they were read."""
    return _rows(LOST_RECORDS, source, partition, gaps)


def partition_added(source: str, partition: int, first: int) -> pa.RecordBatch:
    """A partition that the topic did not have when the deployment began."""
    return _rows(PARTITION_ADDED, source, partition, [Gap(first, first)])


def _rows(kind: str, source: str, partition: int, ranges: Sequence[Gap]) -> pa.RecordBatch:
    n, now = len(ranges), datetime.now(UTC)
    words = {"kind": kind, "source": source, **INCIDENTS[kind]._asdict()}
    columns = {
        **{name: pa.array([word] * n, pa.string()).dictionary_encode() for name, word in words.items()},
        "partition": pa.array([partition] * n, pa.int32()),
        "first": pa.array([gap.first for gap in ranges], pa.int64()),
        "until": pa.array([gap.until for gap in ranges], pa.int64()),
        "found_at": pa.array([now] * n, SCHEMA.field("found_at").type),
    }
    return pa.record_batch([columns[name] for name in SCHEMA.names], schema=SCHEMA)
