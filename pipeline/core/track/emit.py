"""What a shard says while it applies events: sessions as they stand, and counters of the minute."""

from __future__ import annotations

from numba import int64, njit, uint16, uint64

from pipeline.core.raw import inlined
from pipeline.core.rows import CHANNEL, DEVICE, SITE
from pipeline.core.seen import MINUTE_MS
from pipeline.core.track.identity import id_of
from pipeline.core.track.layout import (
    OUT_COUNTS,
    OUT_SESSIONS,
    SESSION_CLOSED,
    SESSION_HAS_USER,
    SESSION_STALE,
    TEXT_UNIT,
)
from pipeline.core.track.slots import text_end, text_length, where


@inlined
def person_of(heap, session):  # type: ignore[no-untyped-def]
    """Where the text lies that names the person: the user's, else the visitor's."""
    return text_end(heap, session.visitor) if session.flags & SESSION_HAS_USER else int64(session.visitor)


@inlined
def emit(slots, out, slot):  # type: ignore[no-untyped-def]
    """Puts the session as it stands now into the output."""
    session = slots.sessions[slot]
    session.flags &= uint16(~SESSION_STALE & 0xFFFF)
    closed = session.flags & SESSION_CLOSED
    row = out.sizes[OUT_SESSIONS]
    out.sizes[OUT_SESSIONS] = row + 1
    told = out.sessions[row]
    told.started_at = session.started_at
    told.ended_at = session.started_at + int64(session.ended_ms)
    told.visitor = where(slots.heap, session.visitor)
    told.user = where(slots.heap, person_of(slots.heap, session)) if session.flags & SESSION_HAS_USER else 0
    told.entry_url = where(slots.heap, session.entry_url)
    told.exit_url = where(slots.heap, session.exit_url)
    told.version = session.events + session.fired + (1 if closed else 0)
    told.events = session.events
    told.context = session.context
    told.lane = session.lane
    told.flags = session.flags
    for j in range(slots.visits.shape[1]):
        visit, stands = slots.visits[slot, j], out.visits[row, j]
        stands.path = visit.path
        amount = slots.amounts[visit.amount]
        stands.value_e4 = amount.value_e4
        stands.currency = amount.currency
        stands.context = visit.context
        stands.entered_ms = visit.entered_ms
        stands.deadline_ms = visit.deadline_ms
        stands.current = visit.ranks & 15
        stands.furthest = visit.ranks >> 4
        stands.entry = visit.path & uint64(15)
        stands.flags = visit.flags


@njit(nogil=True, forceinline=True)
def session_id_of(slots, session, ids):  # type: ignore[no-untyped-def]
    """The two halves of the id of an open session."""
    site = slots.contexts[session.context, SITE]
    return id_of(
        slots.heap, int64(session.visitor) * TEXT_UNIT + 4, text_length(slots.heap, session.visitor),
        session.started_at, session.lane,
        ids.site_bytes, ids.site_offsets[site], ids.site_offsets[site + 1], ids.scratch,
    )  # fmt: skip


@njit(cache=True, nogil=True)
def count(contexts, counts, sizes, journey, rank, what, at, context, currency, value_e4):  # type: ignore[no-untyped-def]
    count = counts[sizes[OUT_COUNTS]]
    sizes[OUT_COUNTS] += 1
    count.minute = at - at % MINUTE_MS
    count.site = contexts[context, SITE]
    count.device = contexts[context, DEVICE]
    count.channel = contexts[context, CHANNEL]
    count.currency = currency
    count.journey = journey
    count.rank = rank
    count.what = what
    count.value_e4 = value_e4


@inlined
def count_one(slots, out, journey, rank, what, at, context):  # type: ignore[no-untyped-def]
    """One more of `what` in this stage, without money."""
    count(
        slots.contexts, out.counts, out.sizes,
        int64(journey), int64(rank), int64(what), int64(at), int64(context), int64(0), int64(0),
    )  # fmt: skip
