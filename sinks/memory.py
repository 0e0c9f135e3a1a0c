"""A sink for tests: keeps everything in memory and shows what a reader would see."""

from __future__ import annotations

from collections import defaultdict

import pyarrow as pa

from schemas.tables import TABLES
from sinks.base import Deployment, SinkRefused
from sinks.check import conform
from sinks.merge import join, merge


class MemorySink:
    """Every block as it was written (`blocks`), and the final rows (`rows`)."""

    def __init__(self) -> None:
        self.blocks: defaultdict[str, list[pa.RecordBatch]] = defaultdict(list)
        self.deployment: Deployment | None = None

    def open(self, deployment: Deployment) -> None:
        """Belongs to the first deployment that opens it."""
        if self.deployment not in (None, deployment):
            raise SinkRefused(
                f"These rows belong to {self.deployment}, not to {deployment}", "take another MemorySink"
            )
        self.deployment = deployment

    def write(self, table: str, batch: pa.RecordBatch) -> None:
        """Keep the block as it is."""
        self.blocks[table].append(conform(table, batch))

    def rows(self, table: str) -> pa.Table:
        """The final rows of `table`, one per key."""
        blocks = self.blocks[table]
        return pa.Table.from_batches([merge(table, join(blocks))] if blocks else [], TABLES[table])

    def close(self) -> None:
        """The rows stay."""
