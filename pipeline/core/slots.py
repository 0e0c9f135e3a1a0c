"""Small moves on the state of a shard: find a session, keep a text, name a context, know what is due."""

from __future__ import annotations

from numba import int64, njit, uint8, uint32, uint64

from pipeline.core.hashing import combine, murmur128
from pipeline.core.layout import (
    CONTEXT_WORDS,
    CONTEXTS_USED,
    DUE_BLOCK,
    DUE_MS,
    FREE,
    FREE_HEAD,
    HEAP_USED,
    NO_DEADLINE,
    NO_DUE,
    REF_BITS,
    TEXT_UNIT,
    VISIT_FIRED,
)
from pipeline.core.lend import lend_slots
from pipeline.core.raw import borrowed, copy_bytes


@njit(nogil=True, forceinline=True)
def _home(index, key):  # type: ignore[no-untyped-def]
    """Where a key belongs: the lower half of its bits, scaled (the upper half chose the shard)."""
    return int64(((key & uint64(0xFFFFFFFF)) * uint64(index.shape[0])) >> uint64(32))


@njit(nogil=True, forceinline=True)
def find(slots, key):  # type: ignore[no-untyped-def]
    """The slot of the open session with this key, or -1."""
    at = _home(slots.key_index, key)
    while True:
        slot = int64(slots.key_index[at]) - 1
        if slot < 0 or slots.sessions[slot].key == key:
            return slot
        at += 1
        if at == slots.key_index.shape[0]:
            at = 0


@njit(nogil=True, forceinline=True)
def _file(sessions, index, slot):  # type: ignore[no-untyped-def]
    """Puts a session into the index by its key, which is not there."""
    at = _home(index, sessions[slot].key)
    while index[at] != 0:
        at += 1
        if at == index.shape[0]:
            at = 0
    index[at] = slot + 1


@njit(cache=True, nogil=True)
def absent(slots, key, order):  # type: ignore[no-untyped-def]
    """How many visitors of the rows `order`, which are grouped by key, have no open session."""
    slots, key, order = lend_slots(slots), borrowed(key), borrowed(order)
    count = 0
    for i in range(order.shape[0]):
        if i == 0 or key[order[i]] != key[order[i - 1]]:
            count += find(slots, key[order[i]]) < 0
    return count


@njit(cache=True, nogil=True)
def file_all(sessions, index):  # type: ignore[no-untyped-def]
    """Puts all open sessions into an empty index."""
    for slot in range(sessions.shape[0]):
        if sessions[slot].key != 0:
            _file(sessions, index, slot)


@njit(nogil=True, forceinline=True)
def take_slot(slots, key):  # type: ignore[no-untyped-def]
    """A free slot, now filed under `key`, which is not there."""
    slot = slots.sizes[FREE_HEAD]
    slots.sizes[FREE_HEAD] = slots.sessions[slot].context
    slots.sizes[FREE] -= 1
    slots.sessions[slot].key = key
    _file(slots.sessions, slots.key_index, slot)
    return slot


@njit(nogil=True, forceinline=True)
def free_slot(slots, slot):  # type: ignore[no-untyped-def]
    """Takes a session out of the index (backward shift: no tombstones are left) and frees its slot."""
    size = slots.key_index.shape[0]
    hole = _home(slots.key_index, slots.sessions[slot].key)
    while slots.key_index[hole] != slot + 1:
        hole += 1
        if hole == size:
            hole = 0
    at = hole
    while True:
        at += 1
        if at == size:
            at = 0
        other = slots.key_index[at]
        if other == 0:
            break
        home = _home(slots.key_index, slots.sessions[other - 1].key)
        # Its way from home leads over the hole: then the entry may move there.
        way = at - home if at >= home else at - home + size
        back = at - hole if at >= hole else at - hole + size
        if way >= back:
            slots.key_index[hole] = other
            hole = at
    slots.key_index[hole] = 0
    slots.due[slot] = NO_DUE
    slots.untold[slot >> 6] &= ~(uint64(1) << uint64(slot & 63))
    slots.sessions[slot].key = 0
    slots.sessions[slot].context = slots.sizes[FREE_HEAD]
    slots.sizes[FREE_HEAD] = slot
    slots.sizes[FREE] += 1


@njit(nogil=True, forceinline=True)
def text_length(heap, ref):  # type: ignore[no-untyped-def]
    """Bytes of the text that lies at `ref`."""
    at = int64(ref) * TEXT_UNIT
    return int64(heap[at]) | int64(heap[at + 1]) << 8 | int64(heap[at + 2]) << 16 | int64(heap[at + 3]) << 24


@njit(nogil=True, forceinline=True)
def text_end(heap, ref):  # type: ignore[no-untyped-def]
    """Where the text after the one at `ref` lies."""
    return int64(ref) + (text_length(heap, ref) + 4 + TEXT_UNIT - 1) // TEXT_UNIT


@njit(nogil=True, forceinline=True)
def where(heap, ref):  # type: ignore[no-untyped-def]
    """A text as it is emitted: offset << REF_BITS | length, or 0."""
    return (int64(ref) * TEXT_UNIT + 4) << REF_BITS | text_length(heap, ref) if ref != 0 else int64(0)


@njit(nogil=True, forceinline=True)
def keep_text(slots, data, start, stop):  # type: ignore[no-untyped-def]
    """Where a copy of data[start:stop] lies now; 0 for ''. Takes at most 7 bytes more than the text."""
    n = int64(stop) - start
    if n == 0:
        return uint32(0)
    ref = slots.sizes[HEAP_USED] // TEXT_UNIT
    at = ref * TEXT_UNIT
    for k in range(4):
        slots.heap[at + k] = uint8((n >> (8 * k)) & 255)
    copy_bytes(slots.heap, at + 4, data, start, n)
    slots.sizes[HEAP_USED] = (at + 4 + n + TEXT_UNIT - 1) // TEXT_UNIT * TEXT_UNIT
    return uint32(ref)


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


@njit(nogil=True, forceinline=True)
def id_of(heap, at, n, started_at, lane, site, site_start, site_stop, scratch):  # type: ignore[no-untyped-def]
    """The id of a session of the visitor heap[at:at+n]: see `session_id`."""
    end = 0
    for k in range(site_start, site_stop):
        scratch[end] = site[k]
        end += 1
    scratch[end] = 0
    end += 1
    for k in range(at, at + n):
        scratch[end] = heap[k]
        end += 1
    scratch[end] = 0
    end += 1
    for k in range(8):
        scratch[end + k] = uint8((uint64(started_at) >> uint64(8 * k)) & uint64(255))
    scratch[end + 8] = uint8(lane & 255)
    scratch[end + 9] = uint8(lane >> 8)
    return murmur128(scratch, 0, end + 10)


@njit(cache=True, nogil=True)
def session_id(session, heap, site, site_start, site_stop, scratch):  # type: ignore[no-untyped-def]
    """The two halves of murmurHash3_128 over: site, a zero byte, visitor_id, a zero byte, started_at in
    milliseconds (8 bytes, little endian), lane (2 bytes). `session` is a SESSION_OUT; `scratch` has room
    for site + visitor + 12.
    """
    at, n = session.visitor >> REF_BITS, session.visitor & ((1 << REF_BITS) - 1)
    return id_of(heap, at, n, session.started_at, session.lane, site, site_start, site_stop, scratch)
