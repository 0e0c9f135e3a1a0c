"""All rows of what `track` says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from pipeline.core.facts.facts import FactTables
from pipeline.core.facts.objects import ObjectTables, order_changes, orders
from pipeline.core.track.objects.objects import Spoken
from pipeline.core.track.track import Emitted
from pipeline.core.words import Words
from schemas.journeys import Journey


class Tables:
    """Makes rows for the journeys of a deployment."""

    def __init__(self, journeys: Sequence[Journey]) -> None:
        self.facts = FactTables(journeys)
        self.objects = ObjectTables(journeys)

    def rows(self, told: Emitted | Spoken, words: Words) -> Iterator[tuple[str, pa.RecordBatch]]:
        """(table, rows), none of them empty; `words` are those of the shard."""
        if isinstance(told, Spoken):
            if len(told.records):
                yield "objects", self.objects.objects(told, words)
            if len(told.links):
                yield "participations", self.objects.participations(told, words)
            return
        if len(told.sessions):
            yield "sessions", self.facts.sessions(told)
        if len(told.transitions):
            yield "transitions", self.facts.transitions(told)
        if not len(told.intents):
            return
        for table, rows in (("orders", orders(told)), ("order_changes", order_changes(told))):
            if rows is not None:
                yield table, rows
