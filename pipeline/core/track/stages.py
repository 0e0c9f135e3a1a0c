"""The way of a session through the stages of one journey."""

from __future__ import annotations

from numba import int64, uint8, uint16, uint32, uint64

from pipeline.core.raw import inlined
from pipeline.core.rows import CURRENCY
from pipeline.core.track.emit import count, count_one, person_of, session_id_of
from pipeline.core.track.layout import (
    ADVANCE,
    ADVANCED,
    AMOUNTS_USED,
    CONVERTED,
    ENTER,
    ENTERED,
    FIRED_MAX,
    NO_DEADLINE,
    OUT_TRANSITIONS,
    PATH_STEPS_MAX,
    RECOVERED,
    REENTER,
    REGRESS,
    SEQUENCE_MAX,
    SKIP,
    VISIT_CONVERTED,
    VISIT_FIRED,
    VISIT_PATH_CUT,
)
from pipeline.core.track.slots import own_context, where


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
    h1, h2 = session_id_of(slots, session, ids)
    transition.session_h1 = h1
    transition.session_h2 = h2
    transition.person = where(slots.heap, person_of(slots.heap, session))
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
            count_one(slots, out, j, current, ADVANCED, at, visit.context)
            if visit.flags & VISIT_FIRED:
                count_one(slots, out, j, current, RECOVERED, at, visit.context)
    count_one(slots, out, j, to_rank, ENTERED, at, context)
    if to_rank == rules.conversion[j] and not visit.flags & VISIT_CONVERTED:
        _convert(slots, out, rows, row, visit, j, to_rank, context)
    mark = rules.mark[j, to_rank]
    if mark >= 0 and slots.notes[slot, mark] == 0:
        slots.notes[slot, mark] = uint32(1 + at - session.started_at)
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
def _convert(slots, out, rows, row, visit, j, rank, context):  # type: ignore[no-untyped-def]
    """The goal is reached for the first time, by the event `row`: it says what that is worth."""
    visit.flags |= uint8(VISIT_CONVERTED)
    visit.amount = slots.sizes[AMOUNTS_USED]
    slots.sizes[AMOUNTS_USED] += 1
    amount = slots.amounts[visit.amount]
    amount.value_e4 = rows.value_e4[row]
    amount.currency = rows.words[row, CURRENCY]
    count(
        slots.contexts, out.counts, out.sizes,
        int64(j), int64(rank), int64(CONVERTED), rows.at[row], context,
        int64(amount.currency), amount.value_e4,
    )  # fmt: skip


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
def _highest_held(slots, rules, slot, j, bits, now_ms):  # type: ignore[no-untyped-def]
    """The highest stage that journey j, which looks back, lets an event enter; counts the event where a rule
    counts.
    """
    rank = int64(0)
    for r in range(rules.first[j], rules.first[j + 1]):
        asked = rules.asked[r]
        holds = bits & asked.bit != 0
        if holds and asked.after >= 0:
            since = slots.notes[slot, asked.after]
            holds = since > 0 and now_ms >= int64(since) - 1 + int64(asked.not_before_ms)
        if holds and asked.unless >= 0:
            holds = slots.notes[slot, asked.unless] == 0
        if holds and asked.count >= 0:
            seen = min(slots.notes[slot, asked.count] + uint32(1), uint32(asked.at_least))
            slots.notes[slot, asked.count] = seen
            holds = seen >= asked.at_least
        if holds:
            rank = max(rank, int64(asked.rank))
    return rank


@inlined
def step(slots, rules, out, rows, row, slot, j, ids, scratch):  # type: ignore[no-untyped-def]
    """One event in one journey; True when it made a transition. Explicit evidence to go back is judged
    first; where it leads nowhere the event may still enter a stage.
    """
    visit = slots.visits[slot, j]
    current, furthest = int64(visit.ranks & 15), int64(visit.ranks >> 4)
    rank = int64(rows.match[row, j])
    if rules.column[j] >= 0:
        now_ms = rows.at[row] - slots.sessions[slot].started_at
        rank = _highest_held(slots, rules, slot, j, rows.bits[row, rules.column[j]], now_ms)
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
