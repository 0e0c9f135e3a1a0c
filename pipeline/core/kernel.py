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
    CAMPAIGN,
    CHANNEL,
    CONVERTED,
    CURRENCY,
    DEVICE,
    ENTER,
    ENTERED,
    NEVER,
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
    SITE,
    SKIP,
    VISIT_CONVERTED,
    VISIT_FIRED,
    VISIT_PATH_CUT,
)
from pipeline.core.lend import lend_out, lend_rows, lend_rules, lend_slots
from pipeline.core.seen import insert
from pipeline.core.slots import (
    context_of,
    find,
    keep_text,
    least_due,
    merge_context,
    next_due,
    own_context,
    session_id,
    set_due,
    take_slot,
    unfile,
)

inlined = njit(nogil=True, forceinline=True)
"""Their arguments are dozens of arrays: to pass those for every event would cost more than the work."""

DAY_MS = 86_400_000
MINUTE_MS = 60_000


@inlined
def _emit_session(slots, out, slot):  # type: ignore[no-untyped-def]
    """Puts the session as it stands now into the output, in place of what this call said of it before."""
    session = slots.sessions[slot]
    row = session.emitted - 1
    if row < 0:
        row = out.sizes[OUT_SESSIONS]
        out.sizes[OUT_SESSIONS] = row + 1
        session.emitted = row + 1
        out.slots[row] = slot
    out.sessions[row] = session
    for j in range(slots.visits.shape[1]):
        out.session_visits[row, j] = slots.visits[slot, j]


@inlined
def _count(slots, out, journey, rank, what, at, context, currency, value_e4):  # type: ignore[no-untyped-def]
    count = out.counts[out.sizes[OUT_COUNTS]]
    out.sizes[OUT_COUNTS] += 1
    count.minute = at - at % MINUTE_MS
    count.site = slots.contexts[context, SITE]
    count.device = slots.contexts[context, DEVICE]
    count.channel = slots.contexts[context, CHANNEL]
    count.currency = currency
    count.journey = journey
    count.rank = rank
    count.what = what
    count.value_e4 = value_e4


@inlined
def _fire(slots, out, slot, j, at):  # type: ignore[no-untyped-def]
    """The timer of the current stage of journey j fires at its deadline `at`."""
    visit = slots.visits[slot, j]
    visit.flags |= uint8(VISIT_FIRED)
    _count(slots, out, j, visit.current, ABANDONED, at, visit.context, 0, 0)
    slots.sessions[slot].version += uint32(1)
    _emit_session(slots, out, slot)


@inlined
def _close(slots, rules, out, slot, at):  # type: ignore[no-untyped-def]
    """The session ends at `at` (its gap has passed, or a rule splits it): its stays end with it."""
    session = slots.sessions[slot]
    for j in range(slots.visits.shape[1]):
        visit = slots.visits[slot, j]
        if 0 < visit.current < rules.conversion[j] and not visit.flags & VISIT_FIRED:
            _count(slots, out, j, visit.current, ABANDONED, at, visit.context, 0, 0)
    session.flags |= uint16(SESSION_CLOSED)
    session.version += uint32(1)
    _emit_session(slots, out, slot)
    unfile(slots, slot)
    slots.due[slot] = NEVER


@inlined
def _pass_time(slots, rules, limits, out, slot, now):  # type: ignore[no-untyped-def]
    """Lets fire what was due before `now`; True when that closed the session."""
    while True:
        when, who = next_due(slots, slot, limits.gap_ms)
        if when >= now:
            return False
        if who < 0:
            _close(slots, rules, out, slot, when)
            return True
        _fire(slots, out, slot, who, when)


@inlined
def _open(slots, rows, row, slot, flags, lane):  # type: ignore[no-untyped-def]
    session = slots.sessions[slot]
    session.started_at = rows.at[row]
    session.ended_at = rows.at[row]
    session.visitor = keep_text(slots, rows.visitor, rows.visitor_offsets[row], rows.visitor_offsets[row + 1])
    session.user = 0
    session.entry_url = 0
    session.exit_url = 0
    session.version = 0
    session.events = 0
    session.context = context_of(slots, rows.words[row])
    session.emitted = 0
    session.lane = lane
    session.flags = flags
    for j in range(slots.visits.shape[1]):
        visit = slots.visits[slot, j]
        visit.path = 0
        visit.value_e4 = 0
        visit.currency = 0
        visit.context = 0
        visit.entered_ms = 0
        visit.deadline_ms = NO_DEADLINE
        visit.sequence = 0
        visit.current = 0
        visit.furthest = 0
        visit.entry = 0
        visit.flags = 0


@inlined
def _splits(slots, limits, rows, row, slot):  # type: ignore[no-untyped-def]
    """Flags of the session that the event must begin although the gap has not passed, or -1."""
    session = slots.sessions[slot]
    at = rows.at[row]
    if at - session.started_at > limits.length_max_ms:
        return SESSION_CONTINUATION
    if limits.split_at_midnight and at // DAY_MS != session.ended_at // DAY_MS:
        return 0
    if limits.split_on_campaign and at > session.started_at:
        campaign = slots.contexts[session.context, CAMPAIGN]
        if rows.words[row, CAMPAIGN] != 0 and campaign != 0 and rows.words[row, CAMPAIGN] != campaign:
            return 0
    return -1


@inlined
def _attend(slots, rules, limits, out, rows, row, lane, scratch):  # type: ignore[no-untyped-def]
    """Session facts of one event; returns (slot, whether the event opened the session)."""
    at = rows.at[row]
    key = rows.key[row]
    slot = find(slots, key)
    flags = 0
    if slot >= 0 and _pass_time(slots, rules, limits, out, slot, at):
        slot = -1
    if slot >= 0:
        split = _splits(slots, limits, rows, row, slot)
        if split >= 0:
            _close(slots, rules, out, slot, at)
            slot = -1
            flags = split
    opened = slot < 0
    if opened:
        slot = take_slot(slots, key)
        _open(slots, rows, row, slot, flags, lane)
    session = slots.sessions[slot]
    session.ended_at = at
    session.events += uint32(1)
    session.version += uint32(1)
    if not opened:
        session.context = merge_context(slots, session.context, rows.words[row], scratch)
    if session.user == 0:
        session.user = keep_text(slots, rows.user, rows.user_offsets[row], rows.user_offsets[row + 1])
    if rows.url_offsets[row + 1] > rows.url_offsets[row]:
        session.exit_url = keep_text(slots, rows.url, rows.url_offsets[row], rows.url_offsets[row + 1])
        if session.entry_url == 0:
            session.entry_url = session.exit_url
    return slot, opened


@inlined
def _move(slots, rules, out, rows, row, slot, j, to_rank, kind, ids, scratch):  # type: ignore[no-untyped-def]
    """A transition of journey j to `to_rank`: the row, the counters, and the stay that begins."""
    session = slots.sessions[slot]
    visit = slots.visits[slot, j]
    if visit.sequence >= SEQUENCE_MAX:
        return
    at = rows.at[row]
    context = own_context(slots, rows.words[row], session.context, scratch)
    visit.sequence += uint16(1)
    skipped = 0
    if kind == ADVANCE:
        for rank in range(visit.furthest + 1, to_rank):
            skipped |= 1 << rank
        skipped &= ~int64(rules.optional[j])
        kind = SKIP if skipped else ADVANCE

    transition = out.transitions[out.sizes[OUT_TRANSITIONS]]
    out.sizes[OUT_TRANSITIONS] += 1
    site = slots.contexts[session.context, SITE]
    h1, h2 = session_id(
        session, slots.heap, ids.site_bytes, ids.site_offsets[site], ids.site_offsets[site + 1], ids.scratch
    )
    transition.session_h1 = h1
    transition.session_h2 = h2
    transition.person = session.user if session.user != 0 else session.visitor
    transition.row = row
    transition.context = context
    transition.sequence = visit.sequence
    transition.skipped = skipped
    transition.journey = j
    transition.kind = kind
    transition.from_rank = visit.current
    transition.to_rank = to_rank
    transition.from_context = visit.context
    transition.from_entered_at = 0
    transition.from_deadline_at = 0
    if visit.current:
        transition.from_entered_at = session.started_at + int64(visit.entered_ms)
        if visit.deadline_ms != NO_DEADLINE:
            transition.from_deadline_at = session.started_at + int64(visit.deadline_ms)
        if kind != REGRESS:
            _count(slots, out, j, visit.current, ADVANCED, at, visit.context, 0, 0)
            if visit.flags & VISIT_FIRED:
                _count(slots, out, j, visit.current, RECOVERED, at, visit.context, 0, 0)
    _count(slots, out, j, to_rank, ENTERED, at, context, 0, 0)
    if to_rank == rules.conversion[j] and not visit.flags & VISIT_CONVERTED:
        visit.flags |= uint8(VISIT_CONVERTED)
        visit.value_e4 = rows.value_e4[row]
        visit.currency = rows.words[row, CURRENCY]
        _count(slots, out, j, to_rank, CONVERTED, at, context, visit.currency, visit.value_e4)

    steps = visit.sequence - 1
    if steps < PATH_STEPS_MAX:
        visit.path |= uint64(to_rank) << uint64(4 * steps)
    else:
        visit.flags |= uint8(VISIT_PATH_CUT)
    if visit.current == 0:
        visit.entry = to_rank
    visit.current = to_rank
    visit.furthest = max(visit.furthest, to_rank)
    visit.context = context
    visit.entered_ms = uint32(at - session.started_at)
    visit.flags &= uint8(~VISIT_FIRED & 255)
    _wind(rules, session, visit, j, at)


@inlined
def _wind(rules, session, visit, j, at):  # type: ignore[no-untyped-def]
    """Winds the timer of the current stage, if it has one, from `at`."""
    after_ms = rules.abandon_after_ms[j, visit.current]
    visit.deadline_ms = uint32(at - session.started_at + after_ms) if after_ms else NO_DEADLINE


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
    rank = int64(rows.match[row, j])
    to_rank = 0
    kind = REGRESS
    if rows.back[row, j]:
        to_rank = _highest_below(rows.back[row, j], visit.current)
    if to_rank == 0:
        if rank > visit.current:
            to_rank = rank
            kind = ENTER if visit.current == 0 else ADVANCE if rank > visit.furthest else REENTER
        elif rank > 0 and rank == visit.current and not visit.flags & VISIT_FIRED:
            _wind(rules, slots.sessions[slot], visit, j, rows.at[row])
    if to_rank:
        _move(slots, rules, out, rows, row, slot, j, to_rank, kind, ids, scratch)
    return to_rank > 0


@inlined
def _before(rows, a, b):  # type: ignore[no-untyped-def]
    """Whether event a comes before event b of the same visitor: (event_at, event_id, partition, position)."""
    if rows.at[a] != rows.at[b]:
        return rows.at[a] < rows.at[b]
    i, i_stop = rows.event_id_offsets[a], rows.event_id_offsets[a + 1]
    k, k_stop = rows.event_id_offsets[b], rows.event_id_offsets[b + 1]
    while i < i_stop and k < k_stop:
        if rows.event_id[i] != rows.event_id[k]:
            return rows.event_id[i] < rows.event_id[k]
        i += 1
        k += 1
    if i_stop - i != k_stop - k:
        return i_stop - i < k_stop - k
    if rows.partition[a] != rows.partition[b]:
        return rows.partition[a] < rows.partition[b]
    return rows.position[a] < rows.position[b]


@njit(cache=True, nogil=True)
def _sort_visitor(rows, order, start, stop, spare):  # type: ignore[no-untyped-def]
    """Sorts order[start:stop] by `_before`: insertion for the usual few, else merging (stable)."""
    width = 16
    for low in range(start, stop, width):
        for i in range(low + 1, min(low + width, stop)):
            row = order[i]
            k = i
            while k > low and _before(rows, row, order[k - 1]):
                order[k] = order[k - 1]
                k -= 1
            order[k] = row
    while width < stop - start:
        for low in range(start, stop, 2 * width):
            middle = min(low + width, stop)
            high = min(low + 2 * width, stop)
            i, k = low, middle
            for n in range(low, high):
                if i < middle and (k >= high or not _before(rows, order[k], order[i])):
                    spare[n] = order[i]
                    i += 1
                else:
                    spare[n] = order[k]
                    k += 1
        order[start:stop] = spare[start:stop]
        width *= 2


@inlined
def _visitor(slots, rules, limits, out, rows, order, start, stop, lane, ids, scratch):  # type: ignore[no-untyped-def]
    """Applies the sorted events order[start:stop] of one visitor.

    Events of one session at one and the same time count for the session first; then each journey takes
    them in order of their highest match.
    """
    slot = int64(-1)
    i = start
    while i < stop:
        at = rows.at[order[i]]
        tie = i
        opened = False
        while tie < stop and (
            tie == i or (rows.at[order[tie]] == at and _splits(slots, limits, rows, order[tie], slot) < 0)
        ):
            slot, begun = _attend(slots, rules, limits, out, rows, order[tie], lane, scratch)
            opened |= begun
            tie += 1
        moved = opened
        for j in range(slots.visits.shape[1]):
            alone = tie == i + 1
            least = int64(rows.match[order[i], j]) if alone else 0
            for rank in range(least, least + 1 if alone else 16):
                for k in range(i, tie):
                    if rows.match[order[k], j] == rank:
                        moved |= _step(slots, rules, out, rows, order[k], slot, j, ids, scratch)
        if moved:
            _emit_session(slots, out, slot)
        i = tie
    when, _ = next_due(slots, slot, limits.gap_ms)
    set_due(slots, slot, when)


@njit(cache=True, nogil=True)
def apply(slots, rules, limits, out, rows, order, lanes, entries, seen_sizes, window_ms, ids):  # type: ignore[no-untyped-def]
    """Applies the events `order` (rows grouped by visitor) and files what is due.

    `lanes[row]` is the partition whose time the visitor follows. With `window_ms` >= 0 copies of an
    event from different partitions are dropped, the first in the visitor's order stays.
    """
    slots, rules, out, rows = lend_slots(slots), lend_rules(rules), lend_out(out), lend_rows(rows)
    scratch = np.empty(8, np.int32)
    spare = np.empty(order.shape[0], order.dtype)
    n = order.shape[0]
    start = 0
    while start < n:
        key = rows.key[order[start]]
        stop = start + 1
        while stop < n and rows.key[order[stop]] == key:
            stop += 1
        _sort_visitor(rows, order, start, stop, spare)
        kept = start
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
        if kept > start:
            _visitor(slots, rules, limits, out, rows, order, start, kept, lanes[order[start]], ids, scratch)
        start = stop


@njit(cache=True, nogil=True)
def expire(slots, rules, limits, out, watermarks, latest):  # type: ignore[no-untyped-def]
    """Lets time pass for sessions without events; `latest` is the greatest of `watermarks` (per lane).

    Stops when the output is full; returns whether it came through.
    """
    slots, rules, out = lend_slots(slots), lend_rules(rules), lend_out(out)
    for block in range(slots.due_least.shape[0]):
        if slots.due_least[block] >= latest:
            continue
        if least_due(slots, block) >= latest:
            continue
        for slot in range(block * 256, min((block + 1) * 256, slots.due.shape[0])):
            now = watermarks[slots.sessions[slot].lane] if slots.due[slot] != NEVER else NEVER
            if slots.due[slot] >= now:
                continue
            if out.sizes[OUT_SESSIONS] + 2 > out.sessions.shape[0]:
                return False
            if out.sizes[OUT_COUNTS] + 2 * slots.visits.shape[1] > out.counts.shape[0]:
                return False
            if not _pass_time(slots, rules, limits, out, slot, now):
                when, _ = next_due(slots, slot, limits.gap_ms)
                set_due(slots, slot, when)
        least_due(slots, block)
    return True
