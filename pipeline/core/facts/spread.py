"""Records of the state spread into columns, each kind of row in one pass: the kernels behind `facts.py`.

Words and sequences of stages are numbered as they are met (`words.py`, `sequences.py`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import int64, njit, uint8, uint64
from numpy.typing import NDArray

from pipeline.core.facts.sequences import number
from pipeline.core.raw import borrowed, copy_bytes
from pipeline.core.rows import CURRENCY, DEVICE, SITE
from pipeline.core.track.identity import session_id
from pipeline.core.track.layout import (
    NO_DEADLINE,
    REF_BITS,
    SESSION_CLOSED,
    SESSION_CONTINUATION,
    VISIT_CONVERTED,
    VISIT_FIRED,
)
from pipeline.core.words import name

OPEN, CONVERTED, ABANDONED, BOUNCED, BROWSED = range(5)
OUTCOMES = ("open", "converted", "abandoned", "bounced", "browsed")
LEFT_BY = ("open", "converted", "abandoned")

REF_LENGTH = (1 << REF_BITS) - 1


class Stages(NamedTuple):
    """The journeys as rows show them."""

    stage: NDArray[np.int32]  # [J, 16] code of a stage's name
    journey: NDArray[np.int32]  # [J] code of a journey's name
    version: NDArray[np.uint16]  # [J]
    conversion: NDArray[np.uint8]  # [J] rank
    has_objects: NDArray[np.bool_]  # [J] then their end says what was abandoned


@njit(nogil=True, forceinline=True)
def _copy_ref(text, at, heap, ref):  # type: ignore[no-untyped-def]
    """Copies what `ref` names to `at`; returns the end."""
    n = ref & REF_LENGTH
    copy_bytes(text, at, heap, ref >> REF_BITS, n)
    return at + n


@njit(cache=True, nogil=True)
def measure_sessions(sessions, visits):  # type: ignore[no-untyped-def]
    """(journeys entered, bytes of visitor, user, entry and exit url, longest visitor) of all rows; the
    bytes of a user are those of the visitor where no user is known.
    """
    entered, visitor, person, entry, last, longest = 0, 0, 0, 0, 0, 0
    for r in range(sessions.shape[0]):
        session = sessions[r]
        n = session.visitor & REF_LENGTH
        visitor += n
        longest = max(longest, n)
        person += session.user & REF_LENGTH if session.user != 0 else n
        entry += session.entry_url & REF_LENGTH
        last += session.exit_url & REF_LENGTH
        for j in range(visits.shape[1]):
            entered += visits[r, j].current > 0
    return entered, visitor, person, entry, last, longest


S_STARTED, S_ENDED, S_TIME = range(3)
S_EVENTS, S_VERSION, S_SITE, S_LANE, S_DIMS = range(5)  # and the five dimensions after the first
S_CLOSED, S_CONTINUATION = range(2)
S_VISITOR, S_PERSON, S_ENTRY, S_EXIT, S_LISTS = range(5)


@njit(cache=True, nogil=True)
def spread_sessions(sessions, contexts, heap, site_bytes, site_offsets, scratch, known, out):  # type: ignore[no-untyped-def]
    """Columns of `sessions`, without their lists."""
    contexts, heap, scratch = borrowed(contexts), borrowed(heap), borrowed(scratch)
    site_bytes, site_offsets = borrowed(site_bytes), borrowed(site_offsets)
    numbers, named, count = borrowed(known.number), borrowed(known.word), borrowed(known.used)
    i64, i32, bits, ids = borrowed(out.i64), borrowed(out.i32), borrowed(out.bits), borrowed(out.id128)
    offsets, starts, text = borrowed(out.text), borrowed(out.starts), borrowed(out.data)
    visitor, person, entry, last = starts[0], starts[1], starts[2], starts[3]
    n = sessions.shape[0]
    for r in range(n):
        session = sessions[r]
        i64[S_STARTED, r] = session.started_at
        i64[S_ENDED, r] = session.ended_at
        i64[S_TIME, r] = session.started_at // 1000
        i32[S_EVENTS, r] = session.events
        i32[S_VERSION, r] = session.version
        i32[S_LANE, r] = session.lane
        if session.flags & SESSION_CLOSED:
            bits[S_CLOSED, r >> 3] |= uint8(1 << (r & 7))
        if session.flags & SESSION_CONTINUATION:
            bits[S_CONTINUATION, r >> 3] |= uint8(1 << (r & 7))
        context = session.context
        site = contexts[context, SITE]
        i32[S_SITE, r] = name(numbers, named, count, SITE, site)
        for k in range(6):
            i32[S_DIMS + k, r] = name(numbers, named, count, DEVICE + k, contexts[context, DEVICE + k])
        h1, h2 = session_id(session, heap, site_bytes, site_offsets[site], site_offsets[site + 1], scratch)
        ids[0, r, 0] = h1
        ids[0, r, 1] = h2
        offsets[S_VISITOR, r] = visitor - starts[0]
        offsets[S_PERSON, r] = person - starts[1]
        offsets[S_ENTRY, r] = entry - starts[2]
        offsets[S_EXIT, r] = last - starts[3]
        visitor = _copy_ref(text, visitor, heap, session.visitor)
        person = _copy_ref(text, person, heap, session.user if session.user != 0 else session.visitor)
        entry = _copy_ref(text, entry, heap, session.entry_url)
        last = _copy_ref(text, last, heap, session.exit_url)
    offsets[S_VISITOR, n] = visitor - starts[0]
    offsets[S_PERSON, n] = person - starts[1]
    offsets[S_ENTRY, n] = entry - starts[2]
    offsets[S_EXIT, n] = last - starts[3]


V_ENTERED, V_LEFT, V_DEADLINE, V_VALUE = range(4)
V_JOURNEY, V_ENTRY, V_FURTHEST, V_OUTCOME, V_ABANDONED, V_PATH, V_CURRENCY, V_STAGE, V_LEFT_BY, V_DIMS = (
    range(10)
)
V_FURTHEST_RANK, V_RANK = range(2)


@njit(nogil=True, forceinline=True)
def _outcome(session, visit, has_objects):  # type: ignore[no-untyped-def]
    """How a journey of a session stands by itself: open until the session is closed. Where there are
    objects a table of their own says whether they were abandoned.
    """
    if visit.flags & VISIT_CONVERTED:
        return CONVERTED
    if not session.flags & SESSION_CLOSED:
        return OPEN
    if not has_objects and (visit.flags & VISIT_FIRED or visit.furthest > 1):
        return ABANDONED
    return BOUNCED if session.events == 1 else BROWSED


@njit(nogil=True, forceinline=True)
def _left(session, visit, conversion, entered_at, deadline_at):  # type: ignore[no-untyped-def]
    """(how, when) the current stay ended: at once in the conversion, at its deadline, or with the session."""
    if visit.current >= conversion:
        return CONVERTED, entered_at
    if visit.flags & VISIT_FIRED:
        return ABANDONED, deadline_at
    if session.flags & SESSION_CLOSED:
        return ABANDONED, session.ended_at
    return OPEN, int64(0)


@njit(cache=True, nogil=True)
def spread_visits(sessions, visits, contexts, rules, known, paths, lists, out):  # type: ignore[no-untyped-def]
    """Columns of the entries in `sessions.journeys.*`: the journeys entered, session by session."""
    contexts, lists = borrowed(contexts), borrowed(lists)
    numbers, named, count = borrowed(known.number), borrowed(known.word), borrowed(known.used)
    index, steps = borrowed(paths.places), borrowed(paths.bits)
    walked, walks = borrowed(paths.journey), borrowed(paths.used)
    stage, journey, version = borrowed(rules.stage), borrowed(rules.journey), borrowed(rules.version)
    conversion, has_objects = borrowed(rules.conversion), borrowed(rules.has_objects)
    i64, i32, u16 = borrowed(out.i64), borrowed(out.i32), borrowed(out.u16)
    u8, bits = borrowed(out.u8), borrowed(out.bits)
    v = 0
    for r in range(sessions.shape[0]):
        lists[r] = v
        session = sessions[r]
        for j in range(visits.shape[1]):
            visit = visits[r, j]
            if visit.current == 0:
                continue
            entered_at = session.started_at + int64(visit.entered_ms)
            deadline_at = int64(0)
            if visit.deadline_ms != NO_DEADLINE:
                deadline_at = session.started_at + int64(visit.deadline_ms)
            outcome = _outcome(session, visit, has_objects[j])
            left_by, left_at = _left(session, visit, conversion[j], entered_at, deadline_at)
            i64[V_ENTERED, v] = entered_at
            i64[V_LEFT, v] = left_at
            i64[V_DEADLINE, v] = deadline_at
            i64[V_VALUE, v] = visit.value_e4
            i32[V_JOURNEY, v] = journey[j]
            i32[V_ENTRY, v] = stage[j, visit.entry]
            i32[V_FURTHEST, v] = stage[j, visit.furthest]
            i32[V_OUTCOME, v] = outcome
            i32[V_ABANDONED, v] = stage[j, visit.current] if outcome == ABANDONED else 0
            i32[V_PATH, v] = number(index, steps, walked, walks, visit.path, j)
            i32[V_CURRENCY, v] = name(numbers, named, count, CURRENCY, visit.currency)
            i32[V_STAGE, v] = stage[j, visit.current]
            i32[V_LEFT_BY, v] = left_by
            for k in range(6):
                word = contexts[visit.context, DEVICE + k]
                i32[V_DIMS + k, v] = name(numbers, named, count, DEVICE + k, word)
            u16[0, v] = version[j]
            u8[V_FURTHEST_RANK, v] = visit.furthest
            u8[V_RANK, v] = visit.current
            if left_by != OPEN:
                bits[0, v >> 3] |= uint8(1 << (v & 7))
            v += 1
    lists[sessions.shape[0]] = v


@njit(cache=True, nogil=True)
def measure_transitions(transitions, visitor_offsets, event_id_offsets):  # type: ignore[no-untyped-def]
    """Bytes of (visitor, person, event id) of all rows."""
    visitor, person, event_id = 0, 0, 0
    for r in range(transitions.shape[0]):
        row = transitions[r].row
        visitor += visitor_offsets[row + 1] - visitor_offsets[row]
        person += transitions[r].person & REF_LENGTH
        event_id += event_id_offsets[row + 1] - event_id_offsets[row]
    return visitor, person, event_id


T_AT, T_TIME, T_VALUE, T_FROM_ENTERED, T_FROM_DEADLINE = range(5)
T_SITE, T_CURRENCY, T_JOURNEY, T_FROM, T_TO, T_KIND, T_SKIPPED, T_DIMS = range(8)
T_FROM_DIMS = T_DIMS + 6
T_SEQUENCE, T_VERSION = range(2)
T_FROM_RANK, T_TO_RANK = range(2)
T_VISITOR, T_PERSON, T_EVENT_ID = range(3)


@njit(cache=True, nogil=True)
def spread_transitions(transitions, rows, contexts, heap, rules, known, skips, out):  # type: ignore[no-untyped-def]
    """Columns of `transitions`; `rows` are the events that caused them."""
    contexts, heap = borrowed(contexts), borrowed(heap)
    numbers, named, count = borrowed(known.number), borrowed(known.word), borrowed(known.used)
    index, masks = borrowed(skips.places), borrowed(skips.bits)
    skipper, sets = borrowed(skips.journey), borrowed(skips.used)
    stage, journey, version = borrowed(rules.stage), borrowed(rules.journey), borrowed(rules.version)
    event_at, value_e4, words = borrowed(rows.at), borrowed(rows.value_e4), borrowed(rows.words)
    visitors, visitor_offsets = borrowed(rows.visitor), borrowed(rows.visitor_offsets)
    event_ids, event_id_offsets = borrowed(rows.event_id), borrowed(rows.event_id_offsets)
    i64, i32, u16 = borrowed(out.i64), borrowed(out.i32), borrowed(out.u16)
    u8, ids = borrowed(out.u8), borrowed(out.id128)
    offsets, starts, text = borrowed(out.text), borrowed(out.starts), borrowed(out.data)
    visitor, person, event_id = starts[0], starts[1], starts[2]
    n = transitions.shape[0]
    for r in range(n):
        moved = transitions[r]
        row = moved.row
        j = moved.journey
        i64[T_AT, r] = event_at[row]
        i64[T_TIME, r] = event_at[row] // 1000
        i64[T_VALUE, r] = value_e4[row]
        i64[T_FROM_ENTERED, r] = moved.from_entered_at
        i64[T_FROM_DEADLINE, r] = moved.from_deadline_at
        i32[T_SITE, r] = name(numbers, named, count, SITE, words[row, SITE])
        i32[T_CURRENCY, r] = name(numbers, named, count, CURRENCY, words[row, CURRENCY])
        i32[T_JOURNEY, r] = journey[j]
        i32[T_FROM, r] = stage[j, moved.from_rank]
        i32[T_TO, r] = stage[j, moved.to_rank]
        i32[T_KIND, r] = moved.kind
        i32[T_SKIPPED, r] = number(index, masks, skipper, sets, uint64(moved.skipped), j)
        for k in range(6):
            word = contexts[moved.context, DEVICE + k]
            i32[T_DIMS + k, r] = name(numbers, named, count, DEVICE + k, word)
            word = contexts[moved.from_context, DEVICE + k] if moved.from_rank else 0
            i32[T_FROM_DIMS + k, r] = name(numbers, named, count, DEVICE + k, word)
        u16[T_SEQUENCE, r] = moved.sequence
        u16[T_VERSION, r] = version[j]
        u8[T_FROM_RANK, r] = moved.from_rank
        u8[T_TO_RANK, r] = moved.to_rank
        ids[0, r, 0] = moved.session_h1
        ids[0, r, 1] = moved.session_h2
        offsets[T_VISITOR, r] = visitor - starts[0]
        offsets[T_PERSON, r] = person - starts[1]
        offsets[T_EVENT_ID, r] = event_id - starts[2]
        at = int64(visitor_offsets[row])
        size = visitor_offsets[row + 1] - at
        copy_bytes(text, visitor, visitors, at, size)
        visitor += size
        person = _copy_ref(text, person, heap, moved.person)
        at = int64(event_id_offsets[row])
        size = event_id_offsets[row + 1] - at
        copy_bytes(text, event_id, event_ids, at, size)
        event_id += size
    offsets[T_VISITOR, n] = visitor - starts[0]
    offsets[T_PERSON, n] = person - starts[1]
    offsets[T_EVENT_ID, n] = event_id - starts[2]
