"""Open sessions as they are kept outside: a frame holds some of them with all that they refer to.

A frame stands by itself: its own texts, contexts, amounts and words, so that nothing which is moved or
numbered anew in the shard meanwhile touches what was written before. One frame of all is a dump. Where a
dump would be too much for every epoch, frames are written of what changed: of such a session the texts that
were told before are left out (`TOLD`). From time to time each slot is told whole again (a sweep): what was
written before that is needed no more.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import int64, njit, uint16, uint32, uint64
from numpy.typing import NDArray

from pipeline.core.raw import borrowed, copy_bytes
from pipeline.core.rows import CONTEXT_WORDS
from pipeline.core.track.heap import end_of
from pipeline.core.track.layout import (
    AMOUNT,
    AMOUNTS_USED,
    CONTEXTS_USED,
    HEAP_USED,
    SESSION,
    SESSION_HAS_USER,
    SESSION_STALE,
    TEXT_UNIT,
    VISIT,
    Slots,
)
from pipeline.core.track.lend import lend_slots
from pipeline.core.track.slots import context_of, text_end
from pipeline.core.words import Words, own_codes

TOLD: Final = 0xFFFFFFFF
"""In place of a text: it is the one that an earlier frame had for this session."""
CONTEXTS, AMOUNTS, TEXT = range(3)
"""Of `sizes`: contexts and amounts in a frame, and units of its text; the first unit is of none."""


def frame_of(
    slots: Slots, words: Words, places: NDArray[np.int64], mark: int, sweep: tuple[int, int]
) -> dict[str, Any]:
    """The sessions in the slots `places`; texts that lie before the unit `mark` of the heap are left out,
    but for slots in `sweep` (first, stop).
    """
    n = len(places)
    first, stop = sweep
    contexts = min(int(slots.sizes[CONTEXTS_USED]), n * (1 + slots.visits.shape[1]))
    sizes = np.array([0, 0, 1])
    heap = np.zeros(TEXT_UNIT * (1 + int(_units(slots, places, mark, first, stop))), np.uint8)
    sessions, notes = np.empty(n, SESSION), slots.notes[places]
    visits = np.empty((n, slots.visits.shape[1]), VISIT)
    frame = {
        "sessions": sessions,
        "visits": visits,
        "notes": notes,
        "untold": np.zeros(n, np.uint8),
        "heap": heap,
        "contexts": np.zeros((contexts, CONTEXT_WORDS), np.int32),
        "amounts": np.zeros(n * slots.visits.shape[1], AMOUNT),
    }
    own = np.zeros(int(slots.sizes[CONTEXTS_USED]), np.int32)
    _fill(
        slots, places, mark, first, stop, sessions, visits, frame["untold"], heap, frame["contexts"],
        frame["amounts"], own, sizes,
    )  # fmt: skip
    frame["contexts"] = frame["contexts"][: sizes[CONTEXTS]]
    frame["amounts"] = frame["amounts"][: sizes[AMOUNTS]]
    return frame | _named(frame["contexts"], frame["amounts"], words)


def _named(contexts: NDArray[np.int32], amounts: NDArray[np.void], words: Words) -> dict[str, Any]:
    """The words in use, and the codes as numbers of these."""
    codes, known = own_codes(np.concatenate([contexts.ravel(), amounts["currency"]]), words.known)
    amounts["currency"] = codes[contexts.size :]
    return {"contexts": codes[: contexts.size].reshape(contexts.shape), "words": known}


@njit(nogil=True, forceinline=True)
def _is_new(heap, session, mark):  # type: ignore[no-untyped-def]
    """Whether the text of the visitor, or of the user after it, lies at `mark` or behind."""
    is_new = session.visitor >= mark
    if not is_new and session.flags & SESSION_HAS_USER:
        is_new = end_of(heap, session) > mark
    return is_new


@njit(cache=True, nogil=True)
def _units(slots, places, mark, first, stop):  # type: ignore[no-untyped-def]
    """How much text a frame takes."""
    slots, places = lend_slots(slots), borrowed(places)
    units = int64(0)
    for k in range(places.shape[0]):
        session = slots.sessions[places[k]]
        since = int64(0) if first <= places[k] < stop else int64(mark)
        if _is_new(slots.heap, session, since):
            units += end_of(slots.heap, session) - session.visitor
        entry, last = session.entry_url, session.exit_url
        if entry != 0 and entry >= since:
            units += text_end(slots.heap, entry) - entry
        if last != entry and last >= since:
            units += text_end(slots.heap, last) - last
    return units


@njit(nogil=True, forceinline=True)
def _tell(source, ref, end, heap, sizes):  # type: ignore[no-untyped-def]
    """Copies text into the frame; where it lies there."""
    to = sizes[TEXT]
    sizes[TEXT] = to + end - int64(ref)
    copy_bytes(heap, to * TEXT_UNIT, source, int64(ref) * TEXT_UNIT, (end - int64(ref)) * TEXT_UNIT)
    return uint32(to)


@njit(nogil=True, forceinline=True)
def _context(slots, known, own, contexts, sizes):  # type: ignore[no-untyped-def]
    """The frame's number of a context."""
    if own[known] == 0:
        to = sizes[CONTEXTS]
        sizes[CONTEXTS] = to + 1
        own[known] = to + 1
        for w in range(CONTEXT_WORDS):
            contexts[to, w] = slots.contexts[known, w]
    return own[known] - 1


@njit(cache=True, nogil=True)
def _fill(slots, places, mark, first, stop, sessions, visits, untold, heap, contexts, amounts, own, sizes):  # type: ignore[no-untyped-def]
    """Copies records into a frame, and makes them refer to what lies in it."""
    slots, places, heap = lend_slots(slots), borrowed(places), borrowed(heap)
    sessions, visits, contexts, own = (
        borrowed(sessions), borrowed(visits), borrowed(contexts), borrowed(own),
    )  # fmt: skip
    for k in range(places.shape[0]):
        slot = places[k]
        since = int64(0) if first <= slot < stop else int64(mark)
        sessions[k] = slots.sessions[slot]
        session = sessions[k]
        untold[k] = slots.untold[slot >> 6] >> uint64(slot & 63) & uint64(1)
        entry, last = session.entry_url, session.exit_url
        if _is_new(slots.heap, session, since):
            session.visitor = _tell(slots.heap, session.visitor, end_of(slots.heap, session), heap, sizes)
        else:
            session.visitor = TOLD
        if entry != 0:
            is_new = entry >= since
            told = (
                _tell(slots.heap, entry, text_end(slots.heap, entry), heap, sizes) if is_new else uint32(TOLD)
            )
            session.entry_url = told
            session.exit_url = told
        if last != entry:
            session.exit_url = TOLD
            if last >= since:
                session.exit_url = _tell(slots.heap, last, text_end(slots.heap, last), heap, sizes)
        session.context = _context(slots, session.context, own, contexts, sizes)
        for j in range(visits.shape[1]):
            visits[k, j] = slots.visits[slot, j]
            visit = visits[k, j]
            is_in = visit.ranks & 15 != 0
            visit.context = _context(slots, visit.context, own, contexts, sizes) if is_in else 0
            if visit.amount > 0:
                amounts[sizes[AMOUNTS]] = slots.amounts[visit.amount]
                sizes[AMOUNTS] += 1
                visit.amount = sizes[AMOUNTS]  # from 1 on


@njit(cache=True, nogil=True)
def absorb(slots, places, sessions, visits, notes, untold, heap, contexts, amounts, own):  # type: ignore[no-untyped-def]
    """Puts the sessions of a frame into the slots `places`, which have room for them and what they refer to;
    `own` is scratch. The index and the free slots are left as they are.

    A session whose texts are `TOLD` but are not known here is left out: the sweep brings it whole.
    """
    slots, sessions, visits, contexts = (
        lend_slots(slots),
        borrowed(sessions),
        borrowed(visits),
        borrowed(contexts),
    )
    for c in range(contexts.shape[0]):
        own[c] = context_of(slots, contexts[c])
    base = slots.sizes[HEAP_USED] // TEXT_UNIT - 1  # the frame's first unit is of no text
    copy_bytes(slots.heap, (base + 1) * TEXT_UNIT, heap, TEXT_UNIT, heap.shape[0] - TEXT_UNIT)
    slots.sizes[HEAP_USED] += heap.shape[0] - TEXT_UNIT
    for a in range(amounts.shape[0]):
        slots.amounts[slots.sizes[AMOUNTS_USED] + a] = amounts[a]
    for k in range(places.shape[0]):
        slot, told = places[k], sessions[k]
        session = slots.sessions[slot]
        visitor, entry, last = session.visitor, session.entry_url, session.exit_url
        refers = told.visitor == TOLD or told.entry_url == TOLD or told.exit_url == TOLD
        if refers and session.key != told.key:
            session.key = 0
            continue
        slots.sessions[slot] = told
        session.visitor = _known(told.visitor, visitor, base)
        session.entry_url = _known(told.entry_url, entry, base)
        session.exit_url = _known(told.exit_url, last, base)
        session.context = own[told.context]
        bit = uint64(1) << uint64(slot & 63)
        slots.untold[slot >> 6] = slots.untold[slot >> 6] & ~bit | (bit if untold[k] else uint64(0))
        for j in range(visits.shape[1]):
            slots.visits[slot, j] = visits[k, j]
            visit = slots.visits[slot, j]
            if visit.ranks & 15 != 0:
                visit.context = own[visit.context]
            if visit.amount > 0:
                visit.amount += slots.sizes[AMOUNTS_USED] - 1
        for note in range(notes.shape[1]):
            slots.notes[slot, note] = notes[k, note]
    slots.sizes[AMOUNTS_USED] += amounts.shape[0]


@njit(nogil=True, forceinline=True)
def _known(told, before, base):  # type: ignore[no-untyped-def]
    """Where a text of a frame lies in the shard."""
    if told == TOLD:
        return uint32(before)
    return uint32(base + int64(told)) if told != 0 else uint32(0)


@njit(cache=True, nogil=True)
def settle_untold(sessions, untold, told):  # type: ignore[no-untyped-def]
    """The bits of `untold` become those of `told`. A session that has been told since it was written has told
    of all its events.
    """
    for slot in range(sessions.shape[0]):
        bit = uint64(1) << uint64(slot & 63)
        if untold[slot >> 6] & bit and not told[slot >> 6] & bit:
            sessions[slot].flags &= uint16(~SESSION_STALE & 0xFFFF)
    untold[:] = told
