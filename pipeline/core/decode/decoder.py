"""Bytes to typed batches: the fast path over whole blocks, the exact decoder for what is odd in them.

A decoder is made once for a mapping and the fields that the running journeys and views need, and those that
are to be kept beside; nothing else is read out of a record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from pipeline.core.decode.columns import NO_TIME, Column, column_of, constant_of, paths_of
from pipeline.core.decode.dictionaries import distinct, word_array
from pipeline.core.decode.exact import (
    CLOCK_SKEW_MS,
    EARLIEST_MS,
    Event,
    ExactDecoder,
    TimeBounds,
    tidy_currency,
)
from pipeline.core.decode.lines import Lines
from pipeline.core.decode.messages import Messages
from pipeline.core.decode.parse import Rejected
from pipeline.core.decode.paths import trie
from pipeline.core.decode.spans import Spans, preferred
from pipeline.core.raw import borrowed
from pipeline.core.strings import string_buffers
from schemas import events as ev
from schemas.mappings import Mapping
from schemas.rejects import PAYLOAD_BYTES_MAX, RejectReason

__all__ = ["CLOCK_SKEW_MS", "EARLIEST_MS", "Decoded", "Decoder", "Records", "Reject", "TimeBounds"]


@dataclass(frozen=True)
class Reject:
    """A record that cannot be an event: which row of the block, why, its first bytes."""

    row: int
    reason: RejectReason
    payload: bytes


@dataclass(frozen=True)
class Decoded:
    """What a block of records became: `rows[i]` is the row within the block of event i of `batch`."""

    records: int
    batch: pa.RecordBatch  # schemas.events.schema(needed)
    rows: NDArray[np.int64]
    rejects: list[Reject]
    payload: Callable[[int], bytes]  # the record's bytes by its row in the block
    headers: Callable[[int], str] = lambda _: ""  # what came with the record, as text


class Records(Protocol):
    """Some records that a decoder can look into: all of them as spans, or one of them exactly."""

    expected: int
    """About how many they are."""
    received_ms: NDArray[np.int64] | None
    """When each was received, for those that do not say it themselves (NO_TIME: unknown); None: of none."""

    def spans(self) -> Iterator[Spans]:
        """The fields at the decoder's `paths`, some rows at a time. All lie in one buffer; the arrays of a
        chunk may be used again for the next.
        """

    def exact(self, row: int) -> dict[str, Any]:
        """The record as `parse_json` would give it. Raises Rejected."""

    def payload(self, row: int) -> bytes: ...


class Decoder:
    """Makes event batches of `needed` fields by a mapping, and of `kept` ones: for those no record is
    rejected, so that what is accepted does not depend on what is kept.
    """

    def __init__(
        self, mapping: Mapping, needed: Iterable[str], bounds: TimeBounds, kept: Iterable[str] = ()
    ) -> None:
        needed = tuple(needed)
        self.mapping = mapping
        self.schema = ev.schema((*needed, *kept))
        self.needed = tuple(name for name in self.schema.names if name != ev.FLAGS)
        self.bounds = bounds
        found = ((name, constant_of(name, mapping)) for name in self.needed)
        self._constants: dict[str, Column] = {name: column for name, column in found if column is not None}
        varying = [name for name in self.needed if name not in self._constants]
        self.paths = tuple(dict.fromkeys(path for name in varying for path in paths_of(name, mapping)))
        number = {path: k for k, path in enumerate(self.paths)}
        self._fields = {
            name: np.array([number[path] for path in paths_of(name, mapping)]) for name in varying
        }
        self._trie = trie(self.paths)
        only_kept = frozenset(self.needed) - {*ev.ALWAYS, *needed}
        self._exact = ExactDecoder(mapping, self.needed, bounds, only_kept)

    def lines(self, block: NDArray[np.uint8], begin: int, rows_max: int) -> tuple[Decoded, int]:
        """Decodes at most `rows_max` JSON lines of `block` (which ends in a newline) from `begin`;
        returns them and the bytes they take. Blank lines are no records.
        """
        lines = Lines(self._trie, block, begin, rows_max)
        decoded = self.records(lines)
        return decoded, lines.stop - begin

    def messages(self, values: Sequence[bytes | None], received_ms: NDArray[np.int64] | None) -> Decoded:
        """Decodes the messages of a broker, each a record; `received_ms` [len(values)] is when they came to
        it (NO_TIME: unknown), and counts for those that do not say when they were received.
        """
        return self.records(Messages(self._trie, values, received_ms))

    def records(self, records: Records) -> Decoded:
        """Decodes records of any form. Whatever is odd in them is left to the exact decoder."""
        columns = self._columns(records.expected)
        odds = []
        rows = 0
        for spans in records.spans():
            for name, fields in self._fields.items():
                columns[name].add(spans if len(fields) < 2 else preferred(spans, fields), rows)
            rows += spans.rows
            odds.append(spans.odd)
        odd = np.concatenate(odds)
        batch = self._batch(columns, odd, records.received_ms)
        if not odd.any():
            return Decoded(rows, batch, np.arange(rows), [], records.payload)
        return self._mended(batch, records, odd)

    def _columns(self, expected: int) -> dict[str, Column]:
        fresh: dict[str, Column] = {}
        for name, fields in self._fields.items():
            field = int(fields[0]) if len(fields) == 1 else 0
            fresh[name] = column_of(name, self.mapping, field, expected)
        return {**self._constants, **fresh}

    def _batch(
        self, columns: dict[str, Column], odd: NDArray[np.bool_], received_ms: NDArray[np.int64] | None
    ) -> pa.RecordBatch:
        """All rows, with what only whole rows can tell: suspects are marked as odd, clocks pulled back."""
        rows = len(odd)
        flags = np.zeros(rows, np.uint8)
        visitor_id = columns["visitor_id"].array(rows)
        event_at, received_at = columns["event_at"].values(rows), columns["received_at"].values(rows)
        bounds = self.bounds
        made: dict[str, pa.Array] = {"visitor_id": visitor_id}
        if received_ms is not None:
            received_at = np.where(received_at == NO_TIME, received_ms, received_at)
            made["received_at"] = _times(received_at, self.schema.field("received_at").type)
        visitors, _ = string_buffers(visitor_id)
        _judge(visitors, event_at, received_at, bounds.earliest_ms, bounds.as_of_ms, odd, flags)
        if "currency" in columns:
            made |= self._money(columns, flags)
        if self.mapping.passive_events:
            made["passive"] = self._passive(columns, rows)
        made[ev.FLAGS] = pa.array(flags)
        arrays = [made[name] if name in made else columns[name].array(rows) for name in self.schema.names]
        return pa.record_batch(arrays, schema=self.schema)

    def _money(self, columns: dict[str, Column], flags: NDArray[np.uint8]) -> dict[str, pa.Array]:
        """Currencies in capitals; beside an odd one no value can be trusted."""
        codes, known = columns["currency"].values(len(flags))
        tidy = [tidy_currency(word) for word in known]
        made = {"currency": word_array(*distinct(codes, [word or "" for word in tidy]))}
        strange = np.array([word is None for word in tidy])
        if strange.any():
            rows = strange[codes]
            flags[rows] |= ev.FLAG_BAD_VALUE
            if "value" in columns:
                made["value"] = pa.array(np.where(rows, 0, columns["value"].values(len(flags))))
        return made

    def _passive(self, columns: dict[str, Column], rows: int) -> pa.Array:
        codes, known = columns["event"].values(rows)
        by_name = np.array([word in self.mapping.passive_events for word in known])
        return pa.array(columns["passive"].values(rows) | by_name[codes])

    def _mended(self, batch: pa.RecordBatch, records: Records, odd: NDArray[np.bool_]) -> Decoded:
        """The rows of `batch` with the odd ones decoded exactly, or rejected."""
        events: list[Event] = []
        rejects: list[Reject] = []
        take = np.arange(len(odd))
        for row in np.flatnonzero(odd).tolist():
            try:
                events.append(self._exact.decode(records.exact(row), _time_of(records, row)))
                take[row] = len(odd) + len(events) - 1
            except Rejected as rejected:
                rejects.append(Reject(row, rejected.reason, records.payload(row)[:PAYLOAD_BYTES_MAX]))
                take[row] = -1
        rows = np.flatnonzero(take >= 0)
        if events:
            both = pa.Table.from_batches([batch, event_batch(events, self.schema)]).unify_dictionaries()
            batch = both.combine_chunks().to_batches()[0]
        return Decoded(len(odd), batch.take(pa.array(take[rows])), rows, rejects, records.payload)


@njit(cache=True, nogil=True)
def _judge(visitor_offsets, event_at, received_at, earliest, as_of, odd, flags):  # type: ignore[no-untyped-def]
    """Marks as odd the rows that may have to be rejected; pulls back clocks that run over 5 minutes ahead
    of the server's.
    """
    event_at, received_at = borrowed(event_at), borrowed(received_at)
    odd, flags = borrowed(odd), borrowed(flags)
    for r in range(odd.shape[0]):
        at = event_at[r]
        clock = received_at[r] if received_at[r] != NO_TIME else at
        if visitor_offsets[r] == visitor_offsets[r + 1] or min(at, clock) < earliest or clock > as_of:
            odd[r] = True
        elif at - clock > CLOCK_SKEW_MS:
            event_at[r] = clock
            flags[r] |= ev.FLAG_CLOCK_SKEW


def _times(ms: NDArray[np.int64], kind: pa.DataType) -> pa.Array:
    return pa.array(ms, pa.int64(), mask=ms == NO_TIME).cast(kind)


def _time_of(records: Records, row: int) -> int | None:
    """When a record was received, as its source knows it."""
    if records.received_ms is None or records.received_ms[row] == NO_TIME:
        return None
    return int(records.received_ms[row])


def event_batch(events: Sequence[Event], schema: pa.Schema) -> pa.RecordBatch:
    """Exactly decoded events as a batch."""
    arrays = []
    for field in schema:
        if field.name == ev.FLAGS:
            arrays.append(pa.array([event.flags for event in events], pa.uint8()))
            continue
        values = [event.values[field.name] for event in events]
        if pa.types.is_dictionary(field.type):
            arrays.append(pa.array(values, pa.string()).dictionary_encode().cast(field.type))
        else:
            arrays.append(pa.array(values, field.type))
    return pa.record_batch(arrays, schema=schema)
