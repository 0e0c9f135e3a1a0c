"""Small moves on the state of a shard: find a session, keep a text, name a context, know what is due."""

from __future__ import annotations

from numba import int64, njit, uint8, uint32, uint64

from pipeline.core.hashing import combine
from pipeline.core.raw import borrowed, copy_bytes
from pipeline.core.rows import CONTEXT_WORDS
from pipeline.core.track.index import file, look_up, unfile
from pipeline.core.track.layout import (
    CONTEXTS_USED,
    FREE,
    FREE_HEAD,
    HEAP_USED,
    NO_DUE,
    REF_BITS,
    TEXT_UNIT,
)
from pipeline.core.track.lend import lend_slots


@njit(nogil=True, forceinline=True)
def find(slots, key):  # type: ignore[no-untyped-def]
    """The slot of the open session with this key, or -1."""
    return look_up(slots.key_index, slots.sessions, key)


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
            file(index, sessions, slot)


@njit(nogil=True, forceinline=True)
def take_slot(slots, key):  # type: ignore[no-untyped-def]
    """A free slot, now filed under `key`, which is not there."""
    slot = slots.sizes[FREE_HEAD]
    slots.sizes[FREE_HEAD] = slots.sessions[slot].context
    slots.sizes[FREE] -= 1
    slots.sessions[slot].key = key
    file(slots.key_index, slots.sessions, slot)
    return slot


@njit(nogil=True, forceinline=True)
def free_slot(slots, slot):  # type: ignore[no-untyped-def]
    """Takes a session out of the index and frees its slot."""
    unfile(slots.key_index, slots.sessions, slot)
    slots.due[slot] = NO_DUE
    slots.untold[slot >> 6] &= ~(uint64(1) << uint64(slot & 63))
    slots.dirty[slot >> 6] |= uint64(1) << uint64(slot & 63)
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
