"""The tuples of arrays that kernels take, with every array borrowed (see `raw.py`)."""

from __future__ import annotations

from numba import njit

from pipeline.core.layout import Out, Rows, Rules, Slots
from pipeline.core.raw import borrowed


@njit(nogil=True, forceinline=True)
def lend_slots(x):  # type: ignore[no-untyped-def]
    return Slots(
        borrowed(x.sessions),
        borrowed(x.visits),
        borrowed(x.due),
        borrowed(x.due_least),
        borrowed(x.untold),
        borrowed(x.key_index),
        borrowed(x.heap),
        borrowed(x.contexts),
        borrowed(x.context_index),
        borrowed(x.amounts),
        borrowed(x.sizes),
    )


@njit(nogil=True, forceinline=True)
def lend_rules(x):  # type: ignore[no-untyped-def]
    return Rules(borrowed(x.conversion), borrowed(x.optional), borrowed(x.abandon_after_ms))


@njit(nogil=True, forceinline=True)
def lend_rows(x):  # type: ignore[no-untyped-def]
    return Rows(
        borrowed(x.at),
        borrowed(x.key),
        borrowed(x.id_hash),
        borrowed(x.value_e4),
        borrowed(x.partition),
        borrowed(x.position),
        borrowed(x.passive),
        borrowed(x.words),
        borrowed(x.match),
        borrowed(x.back),
        borrowed(x.event_id_offsets),
        borrowed(x.event_id),
        borrowed(x.visitor_offsets),
        borrowed(x.visitor),
        borrowed(x.user_offsets),
        borrowed(x.user),
        borrowed(x.url_offsets),
        borrowed(x.url),
    )


@njit(nogil=True, forceinline=True)
def lend_out(x):  # type: ignore[no-untyped-def]
    return Out(
        borrowed(x.sessions),
        borrowed(x.visits),
        borrowed(x.transitions),
        borrowed(x.counts),
        borrowed(x.sizes),
    )
