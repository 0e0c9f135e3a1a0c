"""One source partition in offset order: received → rejected, filtered, duplicate, late or accepted.

Everything that depends on the order within a partition is decided here, record by record, so that it
cannot depend on batching: the watermark, lateness, duplicates and the minute a record is counted in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit
from numpy.typing import NDArray

from pipeline.core.admit.unknown import UnknownNames, unknown_rows
from pipeline.core.decode.columns import NO_TIME
from pipeline.core.decode.decoder import Decoded
from pipeline.core.hashing import combine, hash_texts
from pipeline.core.limits import Hits
from pipeline.core.predicates import rule_bits
from pipeline.core.raw import borrowed
from pipeline.core.seen import FLOOR, MINUTE_MS, TURNED, USED, KeepsIds, Seen, insert
from pipeline.core.strings import string_buffers
from schemas.mappings import Filter
from schemas.orders import Orders
from schemas.rejects import PAYLOAD_BYTES_MAX
from schemas.tables import AT, CONSERVATION, CONSERVATION_COUNTS, SET_ASIDE

RECEIVED, ACCEPTED, DUPLICATE, LATE, REJECTED, FILTERED = range(6)
"""Columns of schemas.tables.CONSERVATION_COUNTS; in `status` what became of a record."""

REJECTS_SHARE_MAX: Final = 0.5
REJECTS_RECORDS_MIN: Final = 10_000
"""Above this share of at least so many records the mapping is wrong, not the data: stop and say so."""

POSITION_DIGITS: Final = 12
"""Of an event id that is made from a position: padded with zeros to so many."""

NO_WATERMARK: Final = NO_TIME


class TooManyRejects(Exception):  # noqa: N818  a verdict on the input
    """More of a partition's records were rejected than bad data explains."""


@dataclass(frozen=True)
class Partition:
    """A source partition's name in rows: topic or file, and number."""

    source: str
    number: int
    lane: int  # whose time its visitors follow: its own index, or 0 where all share one


@dataclass(frozen=True)
class Admission:
    """Settings of the step."""

    allowed_lateness_ms: int
    dedup_window_ms: int
    dedup_ids_max: int
    filters: tuple[Filter, ...]
    names_asked_for: frozenset[str] | None = None  # event names in the rules of the running journeys
    orders: Orders | None = None  # those that come late are corrections


@dataclass(frozen=True)
class Admitted:
    """What came through, and what is to be written about the rest."""

    batch: pa.RecordBatch  # accepted events, and after them the orders that came late
    accepted: int
    lag_ms: NDArray[np.int64]  # from when a late order happened until it takes effect; 0 of accepted events
    key: NDArray[np.uint64]  # of their visitors
    id_hash: NDArray[np.uint64]  # of (site, visitor, event_id); 0 where the producer gave none
    position: NDArray[np.int64]
    watermark: int
    counts: NDArray[np.int64]  # [6] of this block, for progress
    rows: dict[str, pa.RecordBatch]  # late_events, rejected_events, conservation


class Admit(KeepsIds):
    """One partition's state: watermark, ids seen, and the counts of the watermark's minute."""

    def __init__(self, partition: Partition, settings: Admission) -> None:
        self.partition = partition
        self.settings = settings
        self.seen = Seen(settings.dedup_window_ms, settings.dedup_ids_max)
        self._forgotten = Hits("dedup_ids", partition.number)
        self.watermark = NO_WATERMARK
        self.counts = np.zeros(6, np.int64)
        self.totals = np.zeros(6, np.int64)
        asked = settings.names_asked_for
        self.unknown = UnknownNames(asked) if asked is not None else None

    def apply(self, decoded: Decoded, position: NDArray[np.int64]) -> Admitted:
        """Judges the records of a block; `position` is that of each record, rejects included.

        Raises TooManyRejects.
        """
        batch = decoded.batch
        key, id_hash = identify(batch, self.partition.lane)
        at = _ms(batch, "event_at")
        clock = np.minimum(at, np.where((received := _ms(batch, "received_at")) == NO_TIME, at, received))
        status = np.full(decoded.records, REJECTED, np.uint8)
        status[decoded.rows] = np.where(self._filtered(batch), FILTERED, ACCEPTED)
        event = np.zeros(decoded.records, np.int64)
        event[decoded.rows] = np.arange(len(batch))
        before = self.totals.copy()
        met = np.zeros(len(batch), np.int64)
        conservation = self._run(status, event, at, clock, id_hash, met)
        self._brake()
        verdict = status[decoded.rows]
        self._note(id_hash, at, verdict)
        accepted = np.flatnonzero(verdict == ACCEPTED)
        late = np.flatnonzero(verdict == LATE)
        whole = len(accepted) == len(batch)
        taken = np.concatenate([accepted, self._orders(batch, late)])
        kept = batch if whole else batch.take(taken)
        return Admitted(
            batch=self._with_ids(kept, position[decoded.rows][taken]),
            accepted=len(accepted),
            lag_ms=np.where(verdict[taken] == LATE, met[taken] - at[taken], 0),
            key=key if whole else key[taken],
            id_hash=id_hash if whole else id_hash[taken],
            position=position[decoded.rows][taken],
            watermark=int(self.watermark),
            counts=self.totals - before,
            rows={
                "conservation": conservation,
                **self._unknown(kept.slice(0, len(accepted))),
                **self._late(decoded, late, position, at),
                **self._rejected(decoded, position),
                **self._limits(),
            },
        )

    def _limits(self) -> dict[str, pa.RecordBatch]:
        rows = self._forgotten.rows(self.seen.evicted)
        return {"limits": rows} if rows is not None else {}

    def _filtered(self, batch: pa.RecordBatch) -> NDArray[np.bool_]:
        if not self.settings.filters:
            return np.zeros(len(batch), np.bool_)
        return np.asarray(rule_bits([rule.predicate for rule in self.settings.filters], batch) != 0)

    def _orders(self, batch: pa.RecordBatch, late: NDArray[np.int64]) -> NDArray[np.int64]:
        """Which of the late events are orders, refunds or cancellations."""
        if self.settings.orders is None or not len(late):
            return late[:0]
        bits = rule_bits(self.settings.orders.predicates, batch.take(late))
        return np.asarray(late[bits != 0])

    def _run(self, status: Any, event: Any, at: Any, clock: Any, id_hash: Any, met: Any) -> pa.RecordBatch:
        """The records in offset order; stops wherever too many ids are alive at the turn of a minute."""
        self.seen.reserve(len(at))
        minutes: list[NDArray[np.int64]] = []
        counts: list[NDArray[np.int64]] = []
        state = np.array([self.watermark, 0], np.int64)
        done = 0
        while done < len(status):
            room = min(len(status) - done, 4096) + 1
            out_minutes = np.empty(room, np.int64)
            out_counts = np.empty((room, 6), np.int64)
            done, used = _admit(
                status, event, at, clock, id_hash, met, done, state, self.counts, self.totals,
                out_minutes, out_counts, self.seen.entries, self.seen.sizes,
                self.seen.window_ms, self.seen.ids_max, self.settings.allowed_lateness_ms,
            )  # fmt: skip
            minutes.append(out_minutes[:used])
            counts.append(out_counts[:used])
            self.watermark = int(state[0])
            if self.seen.sizes[USED] > self.seen.ids_max:
                self.seen.turn(_minute(self.watermark))
                self.seen.reserve(len(at))
        return self._conservation(minutes, counts)

    def _conservation(self, minutes: list[Any], counts: list[Any]) -> pa.RecordBatch:
        """Finished minutes, and the running one as it stands."""
        minutes.append(np.array([_minute(self.watermark)]))
        counts.append(self.counts[None, :].copy())
        minute, count = np.concatenate(minutes), np.concatenate(counts)
        n = len(minute)
        columns = {
            "source": _same(self.partition.source, n),
            "partition": pa.array(np.full(n, self.partition.number, np.int32)),
            "time": pa.array(minute // 1000).view(CONSERVATION.field("time").type),
            **{name: pa.array(count[:, k].astype(np.uint64)) for k, name in enumerate(CONSERVATION_COUNTS)},
        }
        return pa.record_batch([columns[name] for name in CONSERVATION.names], schema=CONSERVATION)

    def _brake(self) -> None:
        received, rejected = int(self.totals[RECEIVED]), int(self.totals[REJECTED])
        if received >= REJECTS_RECORDS_MIN and rejected > REJECTS_SHARE_MAX * received:
            raise TooManyRejects(
                f"{rejected:,} of {received:,} records of {self.partition.source}/{self.partition.number} "
                f"were rejected: the mapping does not fit this input"
            )

    def _with_ids(self, batch: pa.RecordBatch, position: NDArray[np.int64]) -> pa.RecordBatch:
        """Events without an id get one from their position; as text, too, in the order of positions: at one
        and the same time events follow their ids.
        """
        ids = batch.column("event_id")
        missing = pc.equal(pc.binary_length(ids), 0)
        if not pc.any(missing).as_py():
            return batch
        prefix = f"{self.partition.source}:{self.partition.number}:"
        number = pc.utf8_lpad(pa.array(position).cast(pa.string()), POSITION_DIGITS, "0")
        made = pc.binary_join_element_wise(prefix, number, "")
        index = batch.schema.get_field_index("event_id")
        return batch.set_column(index, batch.schema.field(index), pc.if_else(missing, made, ids))

    def _unknown(self, kept: pa.RecordBatch) -> dict[str, pa.RecordBatch]:
        changed = self.unknown.apply(kept.column("event")) if self.unknown is not None else {}
        if not changed:
            return {}
        return {"unknown_events": unknown_rows(changed, self.partition.source, self.partition.number)}

    def _late(self, decoded: Decoded, late: Any, position: Any, at: Any) -> dict[str, pa.RecordBatch]:
        if not len(late):
            return {}
        rows = decoded.rows[late]
        received = decoded.batch.column("received_at").take(pa.array(late))
        return {
            "late_events": self._set_aside(
                ["late"] * len(late), position[rows], pa.array(at[late]).view(AT), received,
                [decoded.payload(row)[:PAYLOAD_BYTES_MAX] for row in rows.tolist()],
                [decoded.headers(row) for row in rows.tolist()],
            )
        }  # fmt: skip

    def _rejected(self, decoded: Decoded, position: Any) -> dict[str, pa.RecordBatch]:
        rejects = decoded.rejects
        if not rejects:
            return {}
        nothing = pa.nulls(len(rejects), AT)
        return {
            "rejected_events": self._set_aside(
                [reject.reason.value for reject in rejects], position[[reject.row for reject in rejects]],
                nothing, nothing, [reject.payload for reject in rejects],
                [decoded.headers(reject.row) for reject in rejects],
            )
        }  # fmt: skip

    def _set_aside(
        self,
        reasons: Sequence[str],
        position: Any,
        event_at: pa.Array,
        received_at: pa.Array,
        payload: list[bytes],
        headers: list[str],
    ) -> pa.RecordBatch:
        n = len(reasons)
        columns = {
            "reason": pa.array(reasons, pa.string()).dictionary_encode(),
            "source": _same(self.partition.source, n),
            "partition": pa.array(np.full(n, self.partition.number, np.int32)),
            "position": pa.array(position, pa.int64()),
            "event_at": event_at,
            "received_at": received_at,
            "payload": pa.array(payload, pa.binary()),
            "headers": pa.array(headers, pa.string()),
        }
        return pa.record_batch([columns[name] for name in SET_ASIDE.names], schema=SET_ASIDE)

    def lift(self, watermark: int) -> None:
        """Time passes without a record: a drained run ended at `watermark`, and this one goes on there."""
        if watermark > self.watermark:
            if _minute(watermark) != _minute(self.watermark):
                self.counts[:] = 0  # its row was written with the last block
            self.watermark = watermark

    # --- snapshots: the ids may be many ---

    def _note(self, id_hash: NDArray[np.uint64], at: NDArray[np.int64], verdict: NDArray[np.uint8]) -> None:
        """Which ids are seen now that were not."""
        fresh = np.flatnonzero(((verdict == ACCEPTED) | (verdict == LATE)) & (id_hash != 0))
        self.seen.note(id_hash[fresh], at[fresh])

    def rest(self) -> dict[str, Any]:
        """All of the state but what `changes` tells of."""
        return {
            "watermark": self.watermark,
            "counts": self.counts,
            "totals": self.totals,
            "sizes": self.seen.sizes,
            "unknown": dict(self.unknown.counts) if self.unknown is not None else {},
        }

    def load(self, dumped: dict[str, Any]) -> None:
        """Goes on from what `dump` wrote, or `rest` and `changes`."""
        rest = dumped["rest"]
        self.watermark = rest["watermark"]
        self.counts = np.array(rest["counts"])
        self.totals = np.array(rest["totals"])
        if self.unknown is not None:
            self.unknown.counts = dict(rest["unknown"])
        self.seen = Seen.loaded(self.seen.window_ms, self.seen.ids_max, rest["sizes"], dumped["frames"])


def identify(batch: pa.RecordBatch, lane: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Per event: the key of its visitor (lane, site, visitor_id) and the hash of its id (0: none)."""
    site = batch.column("site")
    sites = hash_texts(*reversed(string_buffers(site.dictionary)))
    visitors = hash_texts(*reversed(string_buffers(batch.column("visitor_id"))))
    offsets, data = string_buffers(batch.column("event_id"))
    ids = hash_texts(data, offsets)
    key = np.empty(len(batch), np.uint64)
    id_hash = np.empty(len(batch), np.uint64)
    _keys(sites, site.indices.to_numpy(), visitors, ids, offsets, np.uint64(lane), key, id_hash)
    return key, id_hash


@njit(cache=True, nogil=True)
def _keys(sites, site, visitors, ids, id_offsets, lane, key, id_hash):  # type: ignore[no-untyped-def]
    zero = np.uint64(0)
    one = np.uint64(1)
    for r in range(key.shape[0]):
        k = combine(combine(lane + one, sites[site[r]]), visitors[r])
        key[r] = k if k != zero else one  # 0 marks a free slot
        h = combine(combine(sites[site[r]], visitors[r]), ids[r])
        id_hash[r] = zero if id_offsets[r + 1] == id_offsets[r] else (h if h != zero else one)


@njit(cache=True, nogil=True)
def _admit(  # type: ignore[no-untyped-def]
    status, event, at, clock, id_hash, met, first, state, counts, totals, out_minutes, out_counts,
    entries, sizes, window_ms, ids_max, lateness_ms,
):  # fmt: skip
    """Judges records from `first`; returns (next record, finished minutes written). `met` gets the watermark
    that a late event met.
    """
    entries, sizes = borrowed(entries), borrowed(sizes)
    used = 0
    watermark = state[0]
    for r in range(first, status.shape[0]):
        what = status[r]
        e = event[r]
        if what in (ACCEPTED, FILTERED):
            if (
                what == ACCEPTED
                and id_hash[e] != 0
                and insert(entries, sizes, id_hash[e], at[e], watermark, window_ms)
            ):
                what = DUPLICATE
            elif what == ACCEPTED and at[e] < watermark:
                what = LATE
                met[e] = watermark
            status[r] = what
        counts[RECEIVED] += 1
        counts[what] += 1
        totals[RECEIVED] += 1
        totals[what] += 1
        if what != REJECTED and clock[e] - lateness_ms > watermark:
            minute = watermark // MINUTE_MS
            if watermark == NO_WATERMARK:
                minute = 0
            watermark = clock[e] - lateness_ms
            state[0] = watermark
            if watermark // MINUTE_MS != minute:
                out_minutes[used] = minute * MINUTE_MS
                out_counts[used] = counts
                used += 1
                counts[:] = 0
                minute = watermark // MINUTE_MS * MINUTE_MS
                sizes[FLOOR] = max(sizes[FLOOR], minute - window_ms)
                if sizes[USED] > ids_max:
                    return r + 1, used  # the caller turns the minute
                sizes[TURNED] = minute
                if used >= out_minutes.shape[0]:
                    return r + 1, used
    return status.shape[0], used


def _minute(watermark: int) -> int:
    return 0 if watermark == NO_WATERMARK else int(watermark) // MINUTE_MS * MINUTE_MS


def _same(word: str, n: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int32)), pa.array([word]))


def _ms(batch: pa.RecordBatch, name: str) -> NDArray[np.int64]:
    column = batch.column(name).cast(pa.int64())
    if column.null_count:
        column = pc.fill_null(column, NO_TIME)
    return column.to_numpy()  # type: ignore[no-any-return]
