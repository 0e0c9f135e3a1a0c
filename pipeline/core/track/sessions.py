"""How a session begins, goes on and ends."""

from __future__ import annotations

from numba import int64, uint8, uint16, uint32

from pipeline.core.raw import inlined
from pipeline.core.rows import CAMPAIGN
from pipeline.core.track.emit import count_one
from pipeline.core.track.layout import (
    ABANDONED,
    HEAP_USED,
    NO_DEADLINE,
    SESSION_CLOSED,
    SESSION_CONTINUATION,
    SESSION_HAS_USER,
    TEXT_UNIT,
    VISIT_FIRED,
)
from pipeline.core.track.slots import context_of, keep_text, merge_context, text_end

DAY_MS = 86_400_000


@inlined
def pass_time(slots, rules, out, slot, who, when):  # type: ignore[no-untyped-def]
    """What happens at `when` without an event: the timer of journey `who` fires; or (-1) the session ends,
    because its gap has passed or an event splits it, and its stays end with it.
    """
    session = slots.sessions[slot]
    for j in range(slots.visits.shape[1]):
        visit = slots.visits[slot, j]
        rank = visit.ranks & 15
        is_left = 0 < rank < rules.conversion[j] and not visit.flags & VISIT_FIRED
        if j == who or (who < 0 and is_left and not rules.has_objects[j]):
            count_one(slots, out, j, rank, ABANDONED, when, visit.context)
    if who < 0:
        session.flags |= uint16(SESSION_CLOSED)
    else:
        slots.visits[slot, who].flags |= uint8(VISIT_FIRED)
        session.fired += uint16(1)


@inlined
def open_session(slots, rows, row, slot, flags, lane):  # type: ignore[no-untyped-def]
    session = slots.sessions[slot]
    session.started_at = rows.at[row]
    session.ended_ms = 0
    session.visitor = keep_text(slots, rows.visitor, rows.visitor_offsets[row], rows.visitor_offsets[row + 1])
    session.entry_url = 0
    session.exit_url = 0
    session.events = 0
    session.context = context_of(slots, rows.words[row])
    session.fired = 0
    session.lane = lane
    session.flags = flags
    for note in range(slots.notes.shape[1]):
        slots.notes[slot, note] = 0
    for j in range(slots.visits.shape[1]):
        visit = slots.visits[slot, j]
        visit.path = 0
        visit.amount = 0
        visit.context = 0
        visit.entered_ms = 0
        visit.deadline_ms = NO_DEADLINE
        visit.sequence = 0
        visit.ranks = 0
        visit.flags = 0


@inlined
def splits(slots, limits, rows, row, slot):  # type: ignore[no-untyped-def]
    """Flags of the session that the event must begin although the gap has not passed, or -1."""
    session = slots.sessions[slot]
    at = rows.at[row]
    if at - session.started_at > limits.length_max_ms:
        return SESSION_CONTINUATION
    if limits.split_at_midnight and at // DAY_MS != (session.started_at + int64(session.ended_ms)) // DAY_MS:
        return 0
    if limits.split_on_campaign and at > session.started_at:
        campaign = slots.contexts[session.context, CAMPAIGN]
        if rows.words[row, CAMPAIGN] != 0 and campaign != 0 and rows.words[row, CAMPAIGN] != campaign:
            return 0
    return -1


@inlined
def attend(slots, rows, row, slot, scratch):  # type: ignore[no-untyped-def]
    """Session facts of one event."""
    session = slots.sessions[slot]
    session.ended_ms = uint32(rows.at[row] - session.started_at)
    session.events += uint32(1)
    session.context = merge_context(slots, session.context, rows.words[row], scratch)
    if not session.flags & SESSION_HAS_USER and rows.user_offsets[row + 1] > rows.user_offsets[row]:
        session.flags |= uint16(SESSION_HAS_USER)
        if text_end(slots.heap, session.visitor) * TEXT_UNIT != slots.sizes[HEAP_USED]:
            start, stop = rows.visitor_offsets[row], rows.visitor_offsets[row + 1]
            session.visitor = keep_text(slots, rows.visitor, start, stop)
        keep_text(slots, rows.user, rows.user_offsets[row], rows.user_offsets[row + 1])
    if rows.url_offsets[row + 1] > rows.url_offsets[row]:
        session.exit_url = keep_text(slots, rows.url, rows.url_offsets[row], rows.url_offsets[row + 1])
        if session.entry_url == 0:
            session.entry_url = session.exit_url
