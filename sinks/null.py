"""A sink that keeps nothing and counts: for measuring everything before it."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa

from sinks.base import Deployment
from sinks.check import conform


class NullSink:
    """Checks every batch like the others, counts its rows per table, and forgets it."""

    def __init__(self) -> None:
        self.rows: Counter[str] = Counter()

    def open(self, deployment: Deployment) -> None:
        """Nothing to open: every deployment is welcome."""

    def write(self, table: str, batch: pa.RecordBatch) -> None:
        """Count the rows of a batch that keeps the contract."""
        self.rows[table] += conform(table, batch).num_rows

    def close(self) -> None:
        """Nothing to close; the counts stay."""
