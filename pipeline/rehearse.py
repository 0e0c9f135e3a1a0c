"""The whole way of an event in one process and in memory: what stories are tried with.

The steps are those of `flow.py`, in its order and under its names, without an engine and without a place for
state: whoever holds a rehearsal says which records come and how far time passes.

    decode · admit → enrich → route → orders → track · facts → follow → count
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa

from pipeline.core.admit.admit import NO_WATERMARK, Admission, Admit, Partition
from pipeline.core.count.count import Count
from pipeline.core.count.tallies import Increments
from pipeline.core.decode.decoder import Decoded, Decoder, TimeBounds
from pipeline.core.enrich.enrich import Enrich, needed_fields
from pipeline.core.events import Slice
from pipeline.core.facts.tables import Tables
from pipeline.core.follow.follow import Abandoned, Bought, Follow, abandoned_of, bought_of
from pipeline.core.orders.orders import Orders, claims
from pipeline.core.route import route
from pipeline.core.seen import Seen
from pipeline.core.track.layout import Limits
from pipeline.core.track.objects.objects import Objects, Spoken
from pipeline.core.track.rules import compile_rules
from pipeline.core.track.track import ALL_TIME, Emitted, Track
from pipeline.settings import Settings
from schemas.journeys import Journey
from schemas.mappings import Mapping
from schemas.predicates import fields_of
from sinks.memory import MemorySink

SOURCE: Final = "rehearsal"
AS_OF_MS: Final = 4_102_444_800_000
"""The year 2100: whatever is rehearsed lies before it."""
SHARD: Final = 0
"""One shard is enough: the rows are the same for any number."""
IDS_MAX: Final = 100_000


class Rehearsal:
    """A pipeline of its own. Time is the least of all partitions, as with files; none of them ends before
    `finish`.
    """

    def __init__(
        self, journeys: Sequence[Journey], mapping: Mapping, settings: Settings, partitions: int = 1
    ) -> None:
        filtered = {name for rule in mapping.filters for name in fields_of(rule.predicate)}
        needed = (*needed_fields(journeys, mapping.orders), *sorted(filtered))
        self.decoder = Decoder(mapping, needed, TimeBounds(AS_OF_MS))
        self.admits = [_admit(mapping, settings, number) for number in range(partitions)]
        self.positions = [1] * partitions
        self.enrich = Enrich(journeys, mapping.orders)
        self.waiting: list[Slice] = []
        self.orders = Orders() if mapping.orders is not None else None
        self.claimed: list[Any] = []
        self.track = _track(journeys, settings, partitions)
        self.tables = Tables(journeys)
        self.follow = Follow(journeys)
        self.count = Count(journeys, SHARD)
        self.sink = MemorySink()
        self.time_ms = NO_WATERMARK

    def read(self, partition: int, lines: Sequence[bytes]) -> None:
        """The next records of a partition; then time is as far as these have brought it."""
        for decoded in self._decode(lines):
            self._take_in(partition, decoded)
        self._advance(self._watermark())

    def pass_time(self, to_ms: int) -> None:
        """Time passes without a record, in every partition; it never goes back."""
        for admit in self.admits:
            admit.lift(to_ms)
        self._advance(self._watermark())

    def finish(self) -> None:
        """All time passes, as at the end of a replay."""
        self._advance(ALL_TIME)

    def rows(self, table: str) -> pa.Table:
        """The rows of a table as they stand, open sessions among them."""
        return self.sink.rows(table)

    def _watermark(self) -> int:
        return max(self.time_ms, min(admit.watermark for admit in self.admits))

    def _decode(self, lines: Sequence[bytes]) -> Iterator[Decoded]:
        block = np.frombuffer(b"".join(line + b"\n" for line in lines), np.uint8)
        at = 0
        while at < len(block):
            decoded, taken = self.decoder.lines(block, at, len(lines))
            at += taken
            yield decoded

    def _take_in(self, partition: int, decoded: Decoded) -> None:
        """Records up to the door of the shard."""
        position = np.arange(decoded.records) + self.positions[partition]
        self.positions[partition] += decoded.records
        admitted = self.admits[partition].apply(decoded, position)
        for table, rows in admitted.rows.items():
            self.sink.write(table, rows)
        events = self.enrich.apply(admitted, partition)
        self.claimed.append(claims(events, [SHARD]))
        self.waiting += route(events, 1)

    def _advance(self, to_ms: int) -> None:
        """The shard takes what waits at its door, and time passes."""
        self.time_ms = to_ms
        repeats = self._repeats(to_ms)
        told = self.track.apply(self.waiting, np.array([to_ms], np.int64), repeats)
        self.waiting = []
        said = _Said()
        for one in told:
            self._write(one, said)
        self._count(said, to_ms)
        for one in self.track.tell(stale=True):
            self._write(one, _Said())

    def _repeats(self, to_ms: int) -> list[Any]:
        """The records of orders that only repeat one."""
        claimed, self.claimed = self.claimed, []
        if self.orders is None:
            return []
        decided = self.orders.apply(claimed, to_ms)
        return [decided.repeats[SHARD]] if SHARD in decided.repeats else []

    def _write(self, one: Emitted | Spoken, said: _Said) -> None:
        """Writes what track says, as it holds only until the next is asked for; keeps what others need."""
        known = self.track.state.words.known
        said.counts.append(Increments(one.counts.copy(), known))
        for table, rows in self.tables.rows(one, self.track.state.words):
            self.sink.write(table, rows)
        if isinstance(one, Spoken):
            abandoned = abandoned_of(one, self.tables.objects.ranks(one.journey), known)
            said.abandoned += [abandoned] if abandoned else []
        else:
            bought = bought_of(one)
            said.bought += [bought] if bought else []

    def _count(self, said: _Said, to_ms: int) -> None:
        """What became of abandoned chains, and the counters of all."""
        outcomes, more = self.follow.apply(said.abandoned, said.bought, to_ms)
        for rows in outcomes:
            self.sink.write("outcomes", rows)
        counted = self.count.apply([*said.counts, *more], to_ms)
        if counted is not None:
            self.sink.write("funnel_minute", counted)


@dataclass
class _Said:
    """What track said, for the steps after it."""

    counts: list[Increments] = field(default_factory=list)
    abandoned: list[Abandoned] = field(default_factory=list)
    bought: list[Bought] = field(default_factory=list)


def _admit(mapping: Mapping, settings: Settings, number: int) -> Admit:
    admission = Admission(
        settings.allowed_lateness_ms,
        settings.dedup_window_ms,
        IDS_MAX,
        mapping.filters,
        orders=mapping.orders,
    )
    return Admit(Partition(SOURCE, number, 0), admission)


def _track(journeys: Sequence[Journey], settings: Settings, partitions: int) -> Track:
    limits = Limits(
        settings.session_gap_ms,
        settings.session_length_max_ms,
        settings.split_at_midnight,
        settings.split_on_campaign,
    )
    seen = Seen(settings.dedup_window_ms, IDS_MAX) if partitions > 1 else None
    with_objects = [(j, journey) for j, journey in enumerate(journeys) if journey.objects]
    objects = [Objects(journey, j, column) for column, (j, journey) in enumerate(with_objects)]
    return Track(compile_rules(journeys), limits, 1, seen, objects)
