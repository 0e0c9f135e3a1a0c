"""When time alone changes a session: filed per slot in whole seconds, and per block of slots their least."""

from __future__ import annotations

from numba import int64, njit, uint32

from pipeline.core.track.layout import DUE_BLOCK, DUE_MS, NO_DEADLINE, NO_DUE, VISIT_FIRED


@njit(nogil=True, forceinline=True)
def next_due(slots, slot, gap_ms):  # type: ignore[no-untyped-def]
    """(when, journey): the next time that changes the session without an event; journey -1 is its close.

    At one and the same time a stage's timer comes before the close.
    """
    session = slots.sessions[slot]
    when = session.started_at + int64(session.ended_ms) + gap_ms
    who = int64(-1)
    for j in range(slots.visits.shape[1]):
        visit = slots.visits[slot, j]
        deadline = visit.deadline_ms
        if deadline != NO_DEADLINE and not visit.flags & VISIT_FIRED:
            at = session.started_at + int64(deadline)
            if at < when or (at == when and who < 0):
                when = at
                who = j
    return when, who


@njit(nogil=True, forceinline=True)
def set_due(slots, slot, when):  # type: ignore[no-untyped-def]
    """Files when a session is due; the least of a block is a lower bound, mended when it is passed."""
    second = uint32(min(max(when // DUE_MS, 0), int64(NO_DUE) - 1))
    slots.due[slot] = second
    block = slot // DUE_BLOCK
    slots.due_least[block] = min(slots.due_least[block], second)


@njit(cache=True, nogil=True)
def least_due(due, due_least, block):  # type: ignore[no-untyped-def]
    """The exact least of a block, filed as its bound."""
    least = NO_DUE
    for slot in range(block * DUE_BLOCK, min((block + 1) * DUE_BLOCK, due.shape[0])):
        least = min(least, due[slot])
    due_least[block] = least
    return least


@njit(cache=True, nogil=True)
def due_slot(due, due_least, sessions, first, watermarks, latest):  # type: ignore[no-untyped-def]
    """The next slot from `first` that may be due before its lane's watermark, or -1.

    `latest` is the greatest of the watermarks. Leaves exact bounds for the blocks that it leaves behind.
    """
    slot = first
    if first > 0 and first % DUE_BLOCK == 0:
        least_due(due, due_least, first // DUE_BLOCK - 1)
    while slot < due.shape[0]:
        block = slot // DUE_BLOCK
        if slot % DUE_BLOCK == 0:
            is_quiet = int64(due_least[block]) * DUE_MS >= latest
            if is_quiet or int64(least_due(due, due_least, block)) * DUE_MS >= latest:
                slot += DUE_BLOCK
                continue
        if due[slot] != NO_DUE and int64(due[slot]) * DUE_MS < watermarks[sessions[slot].lane]:
            return slot
        slot += 1
        if slot % DUE_BLOCK == 0 or slot == due.shape[0]:
            least_due(due, due_least, block)
    return -1
