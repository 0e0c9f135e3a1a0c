"""Limits that were hit, as rows of the table `limits`: absolute counts, told when they change."""

from __future__ import annotations

import pyarrow as pa

from schemas import tables
from schemas.limits import LIMITS


class Hits:
    """How often a limit was hit in one place."""

    def __init__(self, limit: str, place: int) -> None:
        self._limit, self._place, self._told = limit, place, 0

    def rows(self, count: int) -> pa.RecordBatch | None:
        """A row where `count`, since the beginning, is not what was told last."""
        if count == self._told:
            return None
        self._told = count
        words = {
            "limit": self._limit,
            "meaning": LIMITS[self._limit].meaning,
            "remedy": LIMITS[self._limit].remedy,
        }
        columns = {
            **{name: pa.array([word]).dictionary_encode() for name, word in words.items()},
            "place": pa.array([self._place], pa.int32()),
            "hits": pa.array([count], pa.uint64()),
        }
        return pa.record_batch([columns[name] for name in tables.LIMITS.names], schema=tables.LIMITS)
