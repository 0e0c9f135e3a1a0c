"""Bytes to typed batches: the fast path over whole blocks, the exact decoder for what is odd in them.

A decoder is made once for a mapping and the fields that the running journeys and views need; nothing
else is read out of a record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.core import columns as col
from pipeline.core.exact import (
    Event,
    Rejected,
    decode,
    local_to_utc,
    parse_json,
    tidy_currency,
)
from pipeline.core.scan import MISSING, NULL, STRING, Plan, plan, scan
from schemas import events as ev
from schemas.mappings import Mapping, TimeFormat
from schemas.rejects import PAYLOAD_BYTES_MAX, RECORD_BYTES_MAX, RejectReason

CLOCK_SKEW_MS: Final = 300_000
"""An event_at so far ahead of received_at is a wrong clock; less may be the network's doing."""
EARLIEST_MS: Final = 946_684_800_000
"""2000-01-01: an earlier event is a broken clock or a cut number."""

_FORMS: Final = {"iso": col.TIME_ISO, "epoch_s": col.TIME_S, "epoch_ms": col.TIME_MS, "epoch_us": col.TIME_US}

Spans = tuple[NDArray[np.uint8], NDArray[np.int32], NDArray[np.int32], NDArray[np.uint8]]
"""One field of all rows: the bytes they lie in, and pos, length, kind per row."""


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


@dataclass(frozen=True)
class TimeBounds:
    """Times that can be: nothing before `earliest_ms`, nothing after `as_of_ms` by the only clock at hand."""

    as_of_ms: int
    earliest_ms: int = EARLIEST_MS


class Records(Protocol):
    """Some records that a decoder can look into: their fields as spans, or one of them exactly."""

    rows: int
    odd: NDArray[np.bool_]

    def spans(self, path: tuple[str, ...]) -> Spans: ...
    def exact(self, row: int) -> dict[str, Any]: ...
    def payload(self, row: int) -> bytes: ...


class Decoder:
    """Makes event batches of `needed` fields by a mapping."""

    def __init__(self, mapping: Mapping, needed: Iterable[str], bounds: TimeBounds) -> None:
        self.mapping = mapping
        self.schema = ev.schema(needed)
        self.needed = tuple(name for name in self.schema.names if name != ev.FLAGS)
        self.bounds = bounds
        self.paths = tuple(dict.fromkeys(path for name in self.needed for path in self._paths(name)))
        self.plan: Plan = plan(self.paths)

    def lines(self, block: NDArray[np.uint8], begin: int, rows_max: int) -> tuple[Decoded, int]:
        """Decodes at most `rows_max` JSON lines of `block` (which ends in a newline) from `begin`;
        returns them and the bytes they take.
        """
        spans = scan(self.plan, block, begin, rows_max, RECORD_BYTES_MAX)
        return self.records(_Lines(self.paths, block, spans)), spans.consumed

    def records(self, records: Records) -> Decoded:
        """Decodes records of any form. Whatever is odd in them is left to the exact decoder."""
        odd = records.odd
        made = {name: self._column(name, records, odd) for name in self.needed}
        flags = np.zeros(records.rows, np.uint8)
        self._suspect(made, odd)
        self._currency(made, flags)
        self._passive(made)
        batch = pa.record_batch(
            [_arrow(made[name], self.schema.field(name).type) for name in self.needed] + [pa.array(flags)],
            schema=self.schema,
        )
        rows = np.arange(records.rows)
        rejects: list[Reject] = []
        if odd.any():
            batch, rows, rejects = self._mend(batch, records, odd)
        return Decoded(records.rows, self._clamp(batch), rows, rejects, records.payload)

    def _paths(self, name: str) -> Sequence[tuple[str, ...]]:
        """Where a field's value can lie; none for what only the exact decoder can tell."""
        if name.startswith(ev.PROPERTY_PREFIX):
            key = name.removeprefix(ev.PROPERTY_PREFIX)
            return [(key,) if self.mapping.properties == "rest" else (*self.mapping.properties, key)]
        rule = self.mapping.fields.get(name)
        return rule.paths if rule and rule.const is None else ()

    def _column(self, name: str, records: Records, odd: NDArray[np.bool_]) -> Any:
        """One field of all rows, marking as odd what it does not understand."""
        rule = self.mapping.fields.get(name)
        kind = "text" if name.startswith(ev.PROPERTY_PREFIX) else ev.FIELDS[name].kind
        if name == "properties" or (kind == "list" and rule is not None):
            odd[:] = True  # a structure: never on the hot path of the shipped journeys
            return _constant(kind, None, records.rows)
        if rule is not None and rule.const is not None:
            return _constant(kind, rule.const, records.rows)
        paths = self._paths(name)
        if not paths:
            return _constant(kind, None, records.rows)
        spans = _first(records, paths)
        if rule is not None and (rule.values is not None or rule.default is not None) and kind != "word":
            odd |= True
            return _constant(kind, None, records.rows)
        if name.startswith(ev.PROPERTY_PREFIX):
            return col.text(*spans, _not_scalar(spans, odd))
        if kind == "word":
            return self._words(name, spans, odd)
        if kind == "text":
            return col.text(*spans, odd)
        if kind == "time":
            form = self.mapping.event_at if name == "event_at" else self.mapping.received_at
            return _times(form, spans, odd)
        out = np.empty(records.rows, np.bool_ if kind == "flag" else np.int64)
        if kind == "flag":
            col.flags(spans[3], odd, out)
        elif kind == "money":
            col.money(*spans, odd, out)
        else:
            col.numbers(*spans, odd, out)
        return out

    def _words(self, name: str, spans: Spans, odd: NDArray[np.bool_]) -> tuple[NDArray[np.int32], list[str]]:
        codes, known = col.words(*spans, odd)
        rule = self.mapping.fields.get(name)
        if rule is not None and rule.values is not None:
            known = ["", *(str(rule.values.get(word, word)) for word in known[1:])]
        if rule is not None and rule.default is not None:
            known[0] = str(rule.default)
        return codes, known

    def _suspect(self, made: dict[str, Any], odd: NDArray[np.bool_]) -> None:
        """Marks as odd the rows that may have to be rejected."""
        offsets, _ = col.string_buffers(made["visitor_id"])
        event_at, received_at = made["event_at"], made["received_at"]
        missing = received_at == col.NO_TIME
        odd |= np.diff(offsets) == 0
        odd |= event_at < self.bounds.earliest_ms
        odd |= ~missing & (received_at < self.bounds.earliest_ms)
        odd |= np.where(missing, event_at, received_at) > self.bounds.as_of_ms

    def _currency(self, made: dict[str, Any], flags: NDArray[np.uint8]) -> None:
        if "currency" not in made:
            return
        codes, known = made["currency"]
        tidy = [tidy_currency(word) for word in known]
        strange = np.array([word is None for word in tidy])
        made["currency"] = codes, [word or "" for word in tidy]
        if strange.any():
            rows = strange[codes]
            flags[rows] |= ev.FLAG_BAD_VALUE
            if "value" in made:
                made["value"][rows] = 0

    def _passive(self, made: dict[str, Any]) -> None:
        if self.mapping.passive_events:
            codes, known = made["event"]
            made["passive"] |= np.array([word in self.mapping.passive_events for word in known])[codes]

    def _mend(
        self, batch: pa.RecordBatch, records: Records, odd: NDArray[np.bool_]
    ) -> tuple[pa.RecordBatch, NDArray[np.int64], list[Reject]]:
        """The batch with its odd rows decoded exactly, or rejected."""
        events: list[Event] = []
        exact_rows: list[int] = []
        rejects: list[Reject] = []
        for row in np.flatnonzero(odd).tolist():
            try:
                event = decode(records.exact(row), self.mapping, self.needed)
                self._require(event)
            except Rejected as rejected:
                rejects.append(Reject(row, rejected.reason, records.payload(row)[:PAYLOAD_BYTES_MAX]))
                continue
            events.append(event)
            exact_rows.append(row)
        good = np.flatnonzero(~odd)
        rows = np.concatenate([good, np.array(exact_rows, np.int64)])
        order = np.argsort(rows)
        both = pa.Table.from_batches([batch.take(good), event_batch(events, self.schema)])
        whole = both.unify_dictionaries().take(order).combine_chunks()
        merged = whole.to_batches()[0] if len(whole) else batch.slice(0, 0)
        return merged, rows[order], rejects

    def _require(self, event: Event) -> None:
        """What every event must have. Raises Rejected."""
        at, received_at = event.values["event_at"], event.values["received_at"]
        if not event.values["visitor_id"]:
            raise Rejected(RejectReason.NO_VISITOR)
        if at is None:
            raise Rejected(RejectReason.NO_TIME)
        clock = at if received_at is None else received_at
        early = min(at, clock) < self.bounds.earliest_ms
        if early or clock > self.bounds.as_of_ms:
            raise Rejected(RejectReason.ABSURD_TIME)

    def _clamp(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Pulls back clocks that run over 5 minutes ahead of the server's."""
        received = batch.column("received_at")
        if received.null_count == len(batch):
            return batch
        at = batch.column("event_at").cast(pa.int64())
        ahead = pc.fill_null(pc.greater(pc.subtract(at, received.cast(pa.int64())), CLOCK_SKEW_MS), False)
        if not pc.any(ahead).as_py():
            return batch
        skew = pc.cast(pc.if_else(ahead, ev.FLAG_CLOCK_SKEW, 0), pa.uint8())
        flags = pc.bit_wise_or(batch.column(ev.FLAGS), skew)
        clamped = pc.if_else(ahead, received, batch.column("event_at"))
        batch = batch.set_column(
            batch.schema.get_field_index("event_at"), self.schema.field("event_at"), clamped
        )
        return batch.set_column(batch.schema.get_field_index(ev.FLAGS), self.schema.field(ev.FLAGS), flags)


class _Lines:
    """JSON lines as records."""

    def __init__(self, paths: tuple[tuple[str, ...], ...], block: NDArray[np.uint8], spans: Any) -> None:
        self._number = {path: k for k, path in enumerate(paths)}
        self._block = block
        self._spans = spans
        self.rows = spans.rows
        self.odd = spans.odd

    def spans(self, path: tuple[str, ...]) -> Spans:
        k = self._number[path]
        return self._block, self._spans.pos[k], self._spans.length[k], self._spans.kind[k]

    def exact(self, row: int) -> dict[str, Any]:
        return parse_json(self.payload(row))

    def payload(self, row: int) -> bytes:
        return self._block[self._spans.start[row] : self._spans.end[row]].tobytes()


def _first(records: Records, paths: Sequence[tuple[str, ...]]) -> Spans:
    """The spans of the first path that is present in each row ('' and null are not)."""
    buf, pos, length, kind = records.spans(paths[0])
    for path in paths[1:]:
        other, pos2, length2, kind2 = records.spans(path)
        assert other is buf, "alternatives lie in one buffer"
        absent = (kind == MISSING) | (kind == NULL) | ((kind == STRING) & (length == 0))
        pos, length, kind = (
            np.where(absent, pos2, pos),
            np.where(absent, length2, length),
            np.where(absent, kind2, kind),
        )
    return buf, pos, length, kind


def _not_scalar(spans: Spans, odd: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Of a property anything but a text or a plain whole number is left to the exact decoder."""
    kind = spans[3]
    odd |= (kind != STRING) & (kind != MISSING) & (kind != NULL)
    return odd


def _times(form: TimeFormat, spans: Spans, odd: NDArray[np.bool_]) -> NDArray[np.int64]:
    rows = len(spans[1])
    if form.kind == "strptime":
        odd |= True
        return np.full(rows, col.NO_TIME)
    out = np.empty(rows, np.int64)
    zoned = np.empty(rows, np.bool_)
    col.times(*spans, odd, _FORMS[form.kind], col.MONTH_DAYS, out, zoned)
    local = ~zoned & ~odd
    if form.zone != "UTC" and local.any():
        out[local] = local_to_utc(out[local], form.zone)
    return out


def _constant(kind: str, value: Any, rows: int) -> Any:
    """A column of one value (None: what stands for missing)."""
    if kind == "word":
        return np.zeros(rows, np.int32), ["" if value is None else str(value)]
    if kind == "time":
        return np.full(rows, col.NO_TIME)
    if kind in ("text", "json"):
        text = pa.scalar("" if value is None else str(value))
        return pa.repeat(text, rows)
    if kind == "list":
        return pa.array([[] if value is None else list(value)] * rows, pa.list_(pa.string()))
    if kind == "flag":
        return np.full(rows, bool(value))
    return np.full(rows, 0 if value is None else int(value), np.int64)


def _arrow(made: Any, type_: pa.DataType) -> pa.Array:
    if isinstance(made, pa.Array):
        return made
    if isinstance(made, tuple):
        return col.word_array(*made)
    if pa.types.is_timestamp(type_):
        missing = made == col.NO_TIME
        return pa.array(made, pa.int64(), mask=missing if missing.any() else None).view(type_)
    return pa.array(made, type_)


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
