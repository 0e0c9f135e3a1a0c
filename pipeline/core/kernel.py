"""The way of one visitor's events through sessions and stages: the law of `track`, compiled.

The events that a call may apply are grouped by visitor and put in total order; timers take their place
in that order. Every rule here is a sentence of the project's semantics; tests/oracle.py says the same
in slow and obvious Python, and property tests hold the two equal.
"""

from __future__ import annotations

import numpy as np
from numba import int64, njit, uint8, uint16, uint32, uint64

from pipeline.core.layout import (
    ABANDONED,
    ADVANCE,
    ADVANCED,
    AMOUNTS_USED,
    CAMPAIGN,
    CHANNEL,
    CONVERTED,
    CURRENCY,
    DEVICE,
    ENTER,
    ENTERED,
    FIRED_MAX,
    HEAP_USED,
    NO_DEADLINE,
    OUT_COPIES,
    OUT_COUNTS,
    OUT_SESSIONS,
    OUT_TRANSITIONS,
    PATH_STEPS_MAX,
    RECOVERED,
    REENTER,
    REGRESS,
    SEQUENCE_MAX,
    SESSION_CLOSED,
    SESSION_CONTINUATION,
    SESSION_HAS_USER,
    SESSION_STALE,
    SITE,
    SKIP,
    TEXT_UNIT,
    VISIT_CONVERTED,
    VISIT_FIRED,
    VISIT_PATH_CUT,
)
from pipeline.core.lend import lend_out, lend_rows, lend_rules, lend_slots
from pipeline.core.raw import borrowed
from pipeline.core.seen import insert
from pipeline.core.slots import (
    context_of,
    due_slot,
    find,
    free_slot,
    id_of,
    keep_text,
    merge_context,
    next_due,
    own_context,
    set_due,
    take_slot,
    text_end,
    text_length,
    where,
)

inlined = njit(nogil=True, forceinline=True)
"""Their arguments are dozens of arrays: to pass those for every event would cost more than the work. Each is
called in one place only: every call is compiled anew.
"""

DAY_MS = 86_400_000
MINUTE_MS = 60_000
EXPIRE_ROWS = 2_048
"""Sessions without events that one call speaks of at most: bounds its output, not the result. So many texts
of a record's greatest size (1 MB) still fit the 32-bit offsets of an Arrow column.
"""


@inlined
def _person(heap, session):  # type: ignore[no-untyped-def]
    """Where the text lies that names the person: the user's, else the visitor's."""
    return text_end(heap, session.visitor) if session.flags & SESSION_HAS_USER else int64(session.visitor)


@inlined
def _emit(slots, out, slot):  # type: ignore[no-untyped-def]
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
    told.user = where(slots.heap, _person(slots.heap, session)) if session.flags & SESSION_HAS_USER else 0
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


@njit(cache=True, nogil=True)
def _count(contexts, counts, sizes, journey, rank, what, at, context, currency, value_e4):  # type: ignore[no-untyped-def]
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
def _tell(slots, out, journey, rank, what, at, context):  # type: ignore[no-untyped-def]
    """One more of `what` in this stage, without money."""
    _count(
        slots.contexts, out.counts, out.sizes,
        int64(journey), int64(rank), int64(what), int64(at), int64(context), int64(0), int64(0),
    )  # fmt: skip


@inlined
def _pass(slots, rules, out, slot, who, when):  # type: ignore[no-untyped-def]
    """What happens at `when` without an event: the timer of journey `who` fires; or (-1) the session ends,
    because its gap has passed or an event splits it, and its stays end with it.
    """
    session = slots.sessions[slot]
    for j in range(slots.visits.shape[1]):
        visit = slots.visits[slot, j]
        rank = visit.ranks & 15
        is_left = 0 < rank < rules.conversion[j] and not visit.flags & VISIT_FIRED
        if j == who or (who < 0 and is_left):
            _tell(slots, out, j, rank, ABANDONED, when, visit.context)
    if who < 0:
        session.flags |= uint16(SESSION_CLOSED)
    else:
        slots.visits[slot, who].flags |= uint8(VISIT_FIRED)
        session.fired += uint16(1)


@inlined
def _open(slots, rows, row, slot, flags, lane):  # type: ignore[no-untyped-def]
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
def _splits(slots, limits, rows, row, slot):  # type: ignore[no-untyped-def]
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
def _attend(slots, rows, row, slot, scratch):  # type: ignore[no-untyped-def]
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


@inlined
def _move(slots, rules, out, rows, row, slot, j, to_rank, kind, ids, scratch):  # type: ignore[no-untyped-def]
    """A transition of journey j to `to_rank`: the row, the counters, and the stay that begins."""
    session = slots.sessions[slot]
    visit = slots.visits[slot, j]
    if visit.sequence >= SEQUENCE_MAX:
        return
    current, furthest = int64(visit.ranks & 15), int64(visit.ranks >> 4)
    at = rows.at[row]
    context = own_context(slots, rows.words[row], session.context, scratch)
    visit.sequence += uint16(1)
    skipped = 0
    if kind == ADVANCE:
        for rank in range(furthest + 1, to_rank):
            skipped |= 1 << rank
        skipped &= ~int64(rules.optional[j])
        kind = SKIP if skipped else ADVANCE

    transition = out.transitions[out.sizes[OUT_TRANSITIONS]]
    out.sizes[OUT_TRANSITIONS] += 1
    site = slots.contexts[session.context, SITE]
    h1, h2 = id_of(
        slots.heap, int64(session.visitor) * TEXT_UNIT + 4, text_length(slots.heap, session.visitor),
        session.started_at, session.lane,
        ids.site_bytes, ids.site_offsets[site], ids.site_offsets[site + 1], ids.scratch,
    )  # fmt: skip
    transition.session_h1 = h1
    transition.session_h2 = h2
    transition.person = where(slots.heap, _person(slots.heap, session))
    transition.row = row
    transition.context = context
    transition.sequence = visit.sequence
    transition.skipped = skipped
    transition.journey = j
    transition.kind = kind
    transition.from_rank = current
    transition.to_rank = to_rank
    transition.from_context = visit.context
    transition.from_entered_at = 0
    transition.from_deadline_at = 0
    if current:
        transition.from_entered_at = session.started_at + int64(visit.entered_ms)
        if visit.deadline_ms != NO_DEADLINE:
            transition.from_deadline_at = session.started_at + int64(visit.deadline_ms)
        if kind != REGRESS:
            _tell(slots, out, j, current, ADVANCED, at, visit.context)
            if visit.flags & VISIT_FIRED:
                _tell(slots, out, j, current, RECOVERED, at, visit.context)
    _tell(slots, out, j, to_rank, ENTERED, at, context)
    if to_rank == rules.conversion[j] and not visit.flags & VISIT_CONVERTED:
        visit.flags |= uint8(VISIT_CONVERTED)
        visit.amount = slots.sizes[AMOUNTS_USED]
        slots.sizes[AMOUNTS_USED] += 1
        amount = slots.amounts[visit.amount]
        amount.value_e4 = rows.value_e4[row]
        amount.currency = rows.words[row, CURRENCY]
        _count(
            slots.contexts, out.counts, out.sizes,
            int64(j), int64(to_rank), int64(CONVERTED), at, context, int64(amount.currency), amount.value_e4,
        )  # fmt: skip

    steps = visit.sequence - 1
    if steps < PATH_STEPS_MAX:
        visit.path |= uint64(to_rank) << uint64(4 * steps)
    else:
        visit.flags |= uint8(VISIT_PATH_CUT)
    visit.ranks = uint8(to_rank | max(furthest, to_rank) << 4)
    visit.context = context
    visit.entered_ms = uint32(at - session.started_at)
    visit.flags &= uint8(~VISIT_FIRED & 255)
    _wind(rules, session, visit, j, to_rank, at)


@inlined
def _wind(rules, session, visit, j, rank, at):  # type: ignore[no-untyped-def]
    """Winds the timer of the current stage, if it has one, from `at`."""
    after_ms = rules.abandon_after_ms[j, rank]
    runs = after_ms > 0 and session.fired < FIRED_MAX
    visit.deadline_ms = uint32(at - session.started_at + after_ms) if runs else NO_DEADLINE


@inlined
def _highest_below(bits, rank):  # type: ignore[no-untyped-def]
    """The highest rank below `rank` whose bit is set, or 0."""
    for r in range(rank - 1, 0, -1):
        if (bits >> r) & 1:
            return r
    return 0


@inlined
def _step(slots, rules, out, rows, row, slot, j, ids, scratch):  # type: ignore[no-untyped-def]
    """One event in one journey; True when it made a transition. Explicit evidence to go back is judged
    first; where it leads nowhere the event may still enter a stage.
    """
    visit = slots.visits[slot, j]
    current, furthest = int64(visit.ranks & 15), int64(visit.ranks >> 4)
    rank = int64(rows.match[row, j])
    to_rank = int64(0)
    kind = int64(REGRESS)
    if rows.back[row, j]:
        to_rank = _highest_below(int64(rows.back[row, j]), current)
    if to_rank == 0:
        if rank > current:
            to_rank = rank
            kind = ENTER if current == 0 else ADVANCE if rank > furthest else REENTER
        elif rank > 0 and rank == current and not visit.flags & VISIT_FIRED:
            _wind(rules, slots.sessions[slot], visit, j, rank, rows.at[row])
    if to_rank:
        _move(slots, rules, out, rows, row, slot, j, to_rank, kind, ids, scratch)
    return to_rank > 0


@inlined
def _before(at, event_id, event_id_offsets, partition, position, a, b):  # type: ignore[no-untyped-def]
    """Whether event a comes before event b of the same visitor: (event_at, event_id, partition, position)."""
    if at[a] != at[b]:
        return at[a] < at[b]
    i, i_stop = event_id_offsets[a], event_id_offsets[a + 1]
    k, k_stop = event_id_offsets[b], event_id_offsets[b + 1]
    while i < i_stop and k < k_stop:
        if event_id[i] != event_id[k]:
            return event_id[i] < event_id[k]
        i += 1
        k += 1
    if i_stop - i != k_stop - k:
        return i_stop - i < k_stop - k
    if partition[a] != partition[b]:
        return partition[a] < partition[b]
    return position[a] < position[b]


@njit(cache=True, nogil=True)
def _sort_visitor(at, event_id, event_id_offsets, partition, position, order, start, stop, spare):  # type: ignore[no-untyped-def]
    """Sorts order[start:stop] by `_before`: insertion for the usual few, else merging (stable)."""
    width = 16
    for low in range(start, stop, width):
        for i in range(low + 1, min(low + width, stop)):
            row = order[i]
            k = i
            while k > low and _before(at, event_id, event_id_offsets, partition, position, row, order[k - 1]):
                order[k] = order[k - 1]
                k -= 1
            order[k] = row
    while width < stop - start:
        for low in range(start, stop, 2 * width):
            middle = min(low + width, stop)
            high = min(low + 2 * width, stop)
            i, k = low, middle
            for n in range(low, high):
                is_left = i < middle
                if is_left and k < high:
                    is_left = not _before(
                        at, event_id, event_id_offsets, partition, position, order[k], order[i]
                    )
                if is_left:
                    spare[n] = order[i]
                    i += 1
                else:
                    spare[n] = order[k]
                    k += 1
        for n in range(start, stop):  # a slice would cost two seconds of compilation
            order[n] = spare[n]
        width *= 2


@inlined
def _visitor(slots, rules, limits, out, rows, order, i, stop, slot, lane, now, ids, scratch):  # type: ignore[no-untyped-def]
    """Applies the sorted events order[i:stop] of one visitor, then lets time pass until `now`; `slot` is that
    of their open session, or -1.

    A turn of the loop is what happens next: a timer, an end, or events. Events of one session at one and the
    same time count for the session first; then each journey takes them in order of their highest match.
    """
    flags = int64(0)
    when = int64(0)
    who = int64(-1)
    while True:
        at = rows.at[order[i]] if i < stop else now
        passes = False
        if slot >= 0:
            when, who = next_due(slots, slot, limits.gap_ms)
            passes = when < at
            flags = int64(0)
            if not passes and i < stop:
                flags = int64(_splits(slots, limits, rows, order[i], slot))
                if flags >= 0:
                    when, who, passes = at, int64(-1), True
        changed = passes
        if passes:
            _pass(slots, rules, out, slot, who, when)
        elif i == stop:
            break
        else:
            if slot < 0:
                changed = True
                slot = take_slot(slots, rows.key[order[i]])
                _open(slots, rows, order[i], slot, flags, lane)
            tie = i
            while True:
                _attend(slots, rows, order[tie], slot, scratch)
                tie += 1
                if tie == stop or rows.at[order[tie]] != at:
                    break
                if _splits(slots, limits, rows, order[tie], slot) >= 0:
                    break
            alone = tie == i + 1
            for j in range(slots.visits.shape[1]):
                least = int64(rows.match[order[i], j]) if alone else 0
                for rank in range(least, least + 1 if alone else 16):
                    for k in range(i, tie):
                        if rows.match[order[k], j] == rank:
                            changed |= _step(slots, rules, out, rows, order[k], slot, j, ids, scratch)
            i = tie
        if passes and who < 0:
            _emit(slots, out, slot)
            free_slot(slots, slot)
            slot = int64(-1)
        elif changed:
            slots.untold[slot >> 6] |= uint64(1) << uint64(slot & 63)
        else:
            slots.sessions[slot].flags |= uint16(SESSION_STALE)
    if slot >= 0:
        set_due(slots, slot, when)


@njit(cache=True, nogil=True)
def advance(slots, rules, limits, out, rows, order, lanes, entries, seen_sizes, window_ms, ids, until):  # type: ignore[no-untyped-def]
    """Applies the events `order` (rows grouped by visitor), and lets time pass `until` the watermark of each
    lane for all sessions. Returns whether it came through: it stops when the output is full, to be called
    again without events.

    `lanes[row]` is the partition whose time the visitor follows. With `window_ms` >= 0 copies of an event
    from different partitions are dropped, the first in the visitor's order stays.
    """
    slots, rules, out, rows = lend_slots(slots), lend_rules(rules), lend_out(out), lend_rows(rows)
    order, lanes, until = borrowed(order), borrowed(lanes), borrowed(until)
    scratch = np.empty(8, np.int32)
    spare = np.empty(order.shape[0], order.dtype)
    latest = until[0]
    for lane in range(1, until.shape[0]):
        latest = max(latest, until[lane])
    full = int64(-1)
    n = order.shape[0]
    start = int64(0)
    due = int64(0)
    while True:
        stop, kept = start, start
        if start < n:
            key = rows.key[order[start]]
            while stop < n and rows.key[order[stop]] == key:
                stop += 1
            if stop > start + 1:
                _sort_visitor(
                    rows.at, rows.event_id, rows.event_id_offsets, rows.partition, rows.position,
                    order, start, stop, spare,
                )  # fmt: skip
            for i in range(start, stop):
                row = order[i]
                if window_ms >= 0 and rows.id_hash[row] != 0:
                    at = rows.at[row]
                    if insert(entries, seen_sizes, rows.id_hash[row], at, at, window_ms):
                        out.sizes[OUT_COPIES] += 1
                        continue
                if not rows.passive[row]:
                    order[kept] = row
                    kept += 1
            if kept == start:
                start = stop
                continue
            lane = int64(lanes[order[start]])
            slot = int64(find(slots, key))
        else:
            slot = due_slot(slots.due, slots.due_least, slots.sessions, due, until, latest)
            if slot < 0:
                return True
            if full < 0:
                full = out.sizes[OUT_SESSIONS] + EXPIRE_ROWS
            if out.sizes[OUT_SESSIONS] == full:
                return False
            due = slot + 1
            lane = int64(slots.sessions[slot].lane)
        _visitor(slots, rules, limits, out, rows, order, start, kept, slot, lane, until[lane], ids, scratch)
        start = stop


@njit(cache=True, nogil=True)
def tell(slots, out, word, stale):  # type: ignore[no-untyped-def]
    """Puts the open sessions that have changed since a row told of them into the output, with `stale` also
    those that have only had events, from `word` of `untold` on, until it is full; returns the word to go on
    with, or -1.
    """
    slots, out = lend_slots(slots), lend_out(out)
    for at in range(word, slots.untold.shape[0]):
        bits = slots.untold[at]
        if bits == 0 and not stale:
            continue
        if out.sizes[OUT_SESSIONS] + 64 > out.sessions.shape[0]:
            return at
        slots.untold[at] = 0
        for slot in range(64 * at, 64 * at + 64):
            session = slots.sessions[slot]
            is_stale = stale and session.key != 0 and session.flags & SESSION_STALE
            if is_stale or bits >> uint64(slot & 63) & uint64(1):
                _emit(slots, out, slot)
    return -1
