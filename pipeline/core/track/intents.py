"""Events that mean something to orders and objects, handed on in the order in which they are applied.

The kernel notes only what is gone later (where the session stands); what can be worked out from that, such as
the session's id, is worked out for all of them at once: few events mean anything, and the kernel stays small.
"""

from __future__ import annotations

from numba import njit, uint16

from pipeline.core.raw import inlined
from pipeline.core.rows import ORDER_SHIFT, OUTSIDE, SITE, lend_rows
from pipeline.core.track.identity import id_of
from pipeline.core.track.layout import OUT_INTENTS, SESSION_HAS_USER, SESSION_MEANT, TEXT_UNIT
from pipeline.core.track.lend import lend_slots
from pipeline.core.track.slots import own_context, text_end, text_length, where


@njit(nogil=True, forceinline=True)
def is_outside(rows, row):  # type: ignore[no-untyped-def]
    """What belongs to no session: a passive event (a server's report), or an order that came late."""
    return rows.fate[row] & OUTSIDE != 0


@njit(nogil=True, forceinline=True)
def is_meant(rows, row):  # type: ignore[no-untyped-def]
    """Whether orders or objects ask for the event."""
    meant = rows.fate[row] >> ORDER_SHIFT != 0
    for j in range(rows.intent.shape[1]):
        meant |= rows.intent[row, j] > 0
    return meant


@inlined
def intend_outside(out, rows, row, seq):  # type: ignore[no-untyped-def]
    """Hands on an order that belongs to no session."""
    intent = out.intents[out.sizes[OUT_INTENTS]]
    out.sizes[OUT_INTENTS] += 1
    intent.key = rows.key[row]
    intent.at = rows.at[row]
    intent.row = row
    intent.seq = seq
    intent.number = 0


@inlined
def intend(slots, out, rows, row, slot, seq, number):  # type: ignore[no-untyped-def]
    """Hands on an event of a session, the `number`th of it."""
    session, intent = slots.sessions[slot], out.intents[out.sizes[OUT_INTENTS]]
    out.sizes[OUT_INTENTS] += 1
    session.flags |= uint16(SESSION_MEANT)
    intent.key = rows.key[row]
    intent.at = rows.at[row]
    intent.row = row
    intent.seq = seq
    intent.number = number
    intent.started_at = session.started_at
    intent.visitor = session.visitor
    intent.context = session.context
    intent.lane = session.lane
    intent.flags = session.flags


@inlined
def intend_close(slots, out, slot, when):  # type: ignore[no-untyped-def]
    """Tells objects that the session is over."""
    intent = out.intents[out.sizes[OUT_INTENTS]]
    out.sizes[OUT_INTENTS] += 1
    intent.key = slots.sessions[slot].key
    intent.at = when
    intent.row = -1
    intent.number = 0
    intent.seq = 0


@njit(cache=True, nogil=True)
def work_out(slots, intents, rows, ids):  # type: ignore[no-untyped-def]
    """Fills what follows from what was noted: session id, person and dimensions. In the same call as the
    kernel, because texts move between calls.
    """
    slots, rows = lend_slots(slots), lend_rows(rows)
    for k in range(intents.shape[0]):
        intent = intents[k]
        if intent.number == 0:
            intent.h1 = 0
            intent.h2 = 0
            intent.started_at = 0
            intent.person = 0
            intent.context = 0
            continue
        site = slots.contexts[intent.context, SITE]
        intent.h1, intent.h2 = id_of(
            slots.heap, int(intent.visitor) * TEXT_UNIT + 4, text_length(slots.heap, intent.visitor),
            intent.started_at, intent.lane,
            ids.site_bytes, ids.site_offsets[site], ids.site_offsets[site + 1], ids.scratch,
        )  # fmt: skip
        has_user = intent.flags & SESSION_HAS_USER
        person = text_end(slots.heap, intent.visitor) if has_user else int(intent.visitor)
        intent.person = where(slots.heap, person)
        intent.context = own_context(slots, rows.words[intent.row], intent.context, ids.words)
