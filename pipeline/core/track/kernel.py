"""The way of one visitor's events through sessions and stages: the law of `track`, compiled.

The events that a call may apply are grouped by visitor and put in total order; timers take their place
in that order. Every rule here is a sentence of the project's semantics; tests/oracle.py says the same
in slow and obvious Python, and property tests hold the two equal.
"""

from __future__ import annotations

import numpy as np
from numba import int64, njit, uint16, uint64

from pipeline.core.raw import borrowed, inlined
from pipeline.core.rows import LATE, ORDER_SHIFT, lend_rows
from pipeline.core.seen import insert
from pipeline.core.track.due import due_slot, next_due, set_due
from pipeline.core.track.emit import emit
from pipeline.core.track.intents import intend, intend_close, intend_outside, is_meant, is_outside
from pipeline.core.track.layout import (
    OUT_COPIES,
    OUT_SESSIONS,
    SESSION_MEANT,
    SESSION_STALE,
)
from pipeline.core.track.lend import lend_out, lend_rules, lend_slots
from pipeline.core.track.order import sort_visitor
from pipeline.core.track.sessions import attend, open_session, pass_time, splits
from pipeline.core.track.slots import find, free_slot, take_slot
from pipeline.core.track.stages import step

EXPIRE_ROWS = 2_048
"""Sessions without events that one call speaks of at most: bounds its output, not the result. So many texts
of a record's greatest size (1 MB) still fit the 32-bit offsets of an Arrow column.
"""


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
        outside = i < stop and is_outside(rows, order[i])
        passes = False
        if slot >= 0:
            when, who = next_due(slots, slot, limits.gap_ms)
            passes = when < at
            flags = int64(0)
            if not passes and i < stop and not outside:
                flags = int64(splits(slots, limits, rows, order[i], slot))
                if flags >= 0:
                    when, who, passes = at, int64(-1), True
        changed = passes
        if passes:
            pass_time(slots, rules, out, slot, who, when)
        elif i == stop:
            break
        elif outside:
            intend_outside(out, rows, order[i], i)
            i += 1
            continue
        else:
            if slot < 0:
                changed = True
                slot = take_slot(slots, rows.key[order[i]])
                open_session(slots, rows, order[i], slot, flags, lane)
            tie = i
            while True:
                attend(slots, rows, order[tie], slot, scratch)
                tie += 1
                if tie == stop or rows.at[order[tie]] != at:
                    break
                if splits(slots, limits, rows, order[tie], slot) >= 0:
                    break
            alone = tie == i + 1
            for j in range(slots.visits.shape[1]):
                least = int64(rows.match[order[i], j]) if alone else 0
                for rank in range(least, least + 1 if alone else 16):
                    for k in range(i, tie):
                        if rows.match[order[k], j] == rank:
                            changed |= step(slots, rules, out, rows, order[k], slot, j, ids, scratch)
            for k in range(i, tie):
                if is_meant(rows, order[k]):
                    number = int64(slots.sessions[slot].events) - (tie - 1 - k)
                    intend(slots, out, rows, order[k], slot, k, number)
            i = tie
        if passes and who < 0:
            if slots.sessions[slot].flags & SESSION_MEANT:
                intend_close(slots, out, slot, when)
            emit(slots, out, slot)
            free_slot(slots, slot)
            slot = int64(-1)
            continue
        slots.dirty[slot >> 6] |= uint64(1) << uint64(slot & 63)
        if changed:
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
                sort_visitor(
                    rows.at, rows.event_id, rows.event_id_offsets, rows.partition, rows.position,
                    order, start, stop, spare,
                )  # fmt: skip
            for i in range(start, stop):
                row = order[i]
                if window_ms >= 0 and rows.id_hash[row] != 0 and not rows.fate[row] & LATE:
                    at = rows.at[row]
                    if insert(entries, seen_sizes, rows.id_hash[row], at, at, window_ms):
                        out.sizes[OUT_COPIES] += 1
                        continue
                if not is_outside(rows, row):
                    order[kept] = row
                    kept += 1
                elif rows.fate[row] >> ORDER_SHIFT != 0:
                    k = kept  # before the events of the same time: these are looked at together
                    while k > start and rows.at[order[k - 1]] == rows.at[row]:
                        if is_outside(rows, order[k - 1]):
                            break
                        order[k] = order[k - 1]
                        k -= 1
                    order[k] = row
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

    That they are told is no change of theirs: `untold` says it, and what has only had events is marked.
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
            is_untold = bits >> uint64(slot & 63) & uint64(1)
            if is_stale and not is_untold:
                slots.dirty[at] |= uint64(1) << uint64(slot & 63)
            if is_stale or is_untold:
                emit(slots, out, slot)
    return -1
