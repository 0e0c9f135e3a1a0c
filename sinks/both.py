"""Several sinks as one: what is stored is told as well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack

import pyarrow as pa

from sinks.base import Deployment, Sink
from sinks.registry import Door, refused_rows, serve, settle


class Fanout:
    """Writes each block to all its sinks, in their order: put the one that stores before those that tell, so
    that nothing is told that is not stored. Acknowledged means by all. Where one fails, those before it have
    the block already: it comes again, and every sink can bear that.
    """

    def __init__(self, sinks: Sequence[Sink]) -> None:
        assert sinks, "a fanout without a sink would lose all"
        self._sinks = tuple(sinks)

    def __repr__(self) -> str:
        return f"Fanout({', '.join(map(repr, self._sinks))})"

    def open(self, deployment: Deployment) -> None:
        """Opens all, or none: those that were open are closed where one refuses."""
        with ExitStack() as opened:
            for sink in self._sinks:
                sink.open(deployment)
                opened.callback(sink.close)
            opened.pop_all()

    def write(self, table: str, batch: pa.RecordBatch) -> None:
        """One after the other: a sink gets the block when those before it have acknowledged it."""
        for sink in self._sinks:
            sink.write(table, batch)

    def serve(self, port: int = 0, password: str | None = None) -> Door | None:
        """The first of them that others can read."""
        doors = (serve(sink, port, password) for sink in self._sinks)
        return next((door for door in doors if door is not None), None)

    def settle(self) -> None:
        """Each that computes aggregates does."""
        for sink in self._sinks:
            settle(sink)

    @property
    def refused_rows(self) -> Counter[str]:
        """Rows by table that any of them set aside."""
        return sum((Counter(refused_rows(sink)) for sink in self._sinks), Counter[str]())

    def close(self) -> None:
        """Closes all, the last first, even where one of them fails; then raises that."""
        with ExitStack() as closing:
            for sink in self._sinks:
                closing.callback(sink.close)
