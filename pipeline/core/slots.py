"""Small moves on the state of a shard: find a session, keep a text, name a context, know what is due."""

from __future__ import annotations

from numba import int64, njit, uint8, uint64

from pipeline.core.hashing import combine, murmur128
from pipeline.core.layout import (
    CONTEXT_WORDS,
    CONTEXTS_USED,
    DUE_BLOCK,
    FREE_TOP,
    HEAP_USED,
    NEVER,
    NO_DEADLINE,
    REF_BITS,
    VISIT_FIRED,
)
from pipeline.core.raw import copy_bytes


@njit(nogil=True, forceinline=True)
def find(slots, key):  # type: ignore[no-untyped-def]
    """The slot of the open session with this key, or -1."""
    mask = uint64(slots.index.shape[0] - 1)
    at = int64(key & mask)
    while True:
        slot = slots.index[at] - 1
        if slot < 0 or slots.sessions[slot].key == key:
            return slot
        at = int64((uint64(at) + uint64(1)) & mask)


@njit(nogil=True, forceinline=True)
def take_slot(slots, key):  # type: ignore[no-untyped-def]
    """A free slot, now filed under `key`."""
    slots.sizes[FREE_TOP] -= 1
    slot = slots.free[slots.sizes[FREE_TOP]]
    mask = uint64(slots.index.shape[0] - 1)
    at = int64(key & mask)
    while slots.index[at] != 0:
        at = int64((uint64(at) + uint64(1)) & mask)
    slots.index[at] = slot + 1
    slots.sessions[slot].key = key
    return slot


@njit(nogil=True, forceinline=True)
def unfile(slots, slot):  # type: ignore[no-untyped-def]
    """Takes a session's key out of the index (backward shift, so that no tombstones are left).

    The slot itself is freed after the call, when its last row has been written.
    """
    mask = uint64(slots.index.shape[0] - 1)
    at = uint64(slots.sessions[slot].key & mask)
    while slots.index[int64(at)] != slot + 1:
        at = (at + uint64(1)) & mask
    hole = at
    while True:
        at = (at + uint64(1)) & mask
        other = slots.index[int64(at)]
        if other == 0:
            break
        home = slots.sessions[other - 1].key & mask
        # Whether `home` lies cyclically outside (hole, at]: then the entry may move into the hole.
        if ((at - home) & mask) >= ((at - hole) & mask):
            slots.index[int64(hole)] = other
            hole = at
    slots.index[int64(hole)] = 0


@njit(nogil=True, forceinline=True)
def keep_text(slots, data, start, stop):  # type: ignore[no-untyped-def]
    """A reference to a copy of data[start:stop] in the heap; 0 for ''."""
    n = stop - start
    if n == 0:
        return int64(0)
    at = slots.sizes[HEAP_USED]
    copy_bytes(slots.heap, at, data, start, n)
    slots.sizes[HEAP_USED] = at + n
    return int64((at << REF_BITS) | n)


@njit(cache=True, nogil=True)
def context_hash(words):  # type: ignore[no-untyped-def]
    h = uint64(1)
    for k in range(CONTEXT_WORDS):
        h = combine(h, uint64(words[k] + 1))
    return h


@njit(cache=True, nogil=True)
def _context_of(contexts, context_index, sizes, words):  # type: ignore[no-untyped-def]
    """The number of the context with these words (int32[>=7]); a new one when it is new."""
    mask = uint64(context_index.shape[0] - 1)
    at = int64(context_hash(words) & mask)
    while True:
        known = context_index[at] - 1
        if known < 0:
            break
        same = True
        for k in range(CONTEXT_WORDS):
            if contexts[known, k] != words[k]:
                same = False
                break
        if same:
            return known
        at = int64((uint64(at) + uint64(1)) & mask)
    new = sizes[CONTEXTS_USED]
    sizes[CONTEXTS_USED] = new + 1
    for k in range(CONTEXT_WORDS):
        contexts[new, k] = words[k]
    context_index[at] = new + 1
    return new


@njit(nogil=True, forceinline=True)
def context_of(slots, words):  # type: ignore[no-untyped-def]
    """The number of the context with these words (int32[>=7]); a new one when it is new."""
    return _context_of(slots.contexts, slots.context_index, slots.sizes, words)


@njit(nogil=True, forceinline=True)
def merge_context(slots, first, then, scratch):  # type: ignore[no-untyped-def]
    """Context `first` with its gaps filled from the words `then`; `first` itself when it has none."""
    gaps = False
    for k in range(CONTEXT_WORDS):
        scratch[k] = slots.contexts[first, k]
        if scratch[k] == 0 and then[k] != 0:
            scratch[k] = then[k]
            gaps = True
    return context_of(slots, scratch) if gaps else int64(first)


@njit(nogil=True, forceinline=True)
def own_context(slots, own, session, scratch):  # type: ignore[no-untyped-def]
    """The words `own` of an event with their gaps filled from context `session`."""
    same = True
    for k in range(CONTEXT_WORDS):
        scratch[k] = own[k] if own[k] != 0 else slots.contexts[session, k]
        same &= scratch[k] == slots.contexts[session, k]
    return int64(session) if same else context_of(slots, scratch)


@njit(nogil=True, forceinline=True)
def next_due(slots, slot, gap_ms):  # type: ignore[no-untyped-def]
    """(when, journey): the next time that changes the session without an event; journey -1 is its close.

    At one and the same time a stage's timer comes before the close.
    """
    session = slots.sessions[slot]
    when = session.ended_at + gap_ms
    who = -1
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
    slots.due[slot] = when
    block = slot // DUE_BLOCK
    slots.due_least[block] = min(slots.due_least[block], when)


@njit(cache=True, nogil=True)
def least_due(slots, block):  # type: ignore[no-untyped-def]
    """The exact least of a block, filed as its bound."""
    least = NEVER
    for slot in range(block * DUE_BLOCK, min((block + 1) * DUE_BLOCK, slots.due.shape[0])):
        least = min(least, slots.due[slot])
    slots.due_least[block] = least
    return least


@njit(cache=True, nogil=True)
def session_id(session, heap, site, site_start, site_stop, scratch):  # type: ignore[no-untyped-def]
    """The two halves of murmurHash3_128 over: site, a zero byte, visitor_id, a zero byte, started_at in
    milliseconds (8 bytes, little endian), lane (2 bytes). `scratch` has room for site + visitor + 12.
    """
    n = 0
    for k in range(site_start, site_stop):
        scratch[n] = site[k]
        n += 1
    scratch[n] = 0
    n += 1
    at = session.visitor >> REF_BITS
    for k in range(at, at + (session.visitor & ((1 << REF_BITS) - 1))):
        scratch[n] = heap[k]
        n += 1
    scratch[n] = 0
    n += 1
    started = uint64(session.started_at)
    for k in range(8):
        scratch[n + k] = uint8((started >> uint64(8 * k)) & uint64(255))
    scratch[n + 8] = uint8(session.lane & 255)
    scratch[n + 9] = uint8(session.lane >> 8)
    return murmur128(scratch, 0, n + 10)
