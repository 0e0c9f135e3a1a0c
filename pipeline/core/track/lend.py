"""The tuples of arrays that kernels take, with every array borrowed (see `raw.py`)."""

from __future__ import annotations

from numba import njit

from pipeline.core.raw import borrowed
from pipeline.core.track.layout import Out, Rules, Slots


@njit(nogil=True, forceinline=True)
def lend_slots(x):  # type: ignore[no-untyped-def]
    return Slots(
        borrowed(x.sessions),
        borrowed(x.visits),
        borrowed(x.notes),
        borrowed(x.due),
        borrowed(x.due_least),
        borrowed(x.untold),
        borrowed(x.dirty),
        borrowed(x.key_index),
        borrowed(x.heap),
        borrowed(x.contexts),
        borrowed(x.context_index),
        borrowed(x.amounts),
        borrowed(x.sizes),
    )


@njit(nogil=True, forceinline=True)
def lend_rules(x):  # type: ignore[no-untyped-def]
    return Rules(
        borrowed(x.conversion),
        borrowed(x.optional),
        borrowed(x.abandon_after_ms),
        borrowed(x.asked),
        borrowed(x.first),
        borrowed(x.column),
        borrowed(x.mark),
        borrowed(x.has_objects),
    )


@njit(nogil=True, forceinline=True)
def lend_out(x):  # type: ignore[no-untyped-def]
    return Out(
        borrowed(x.sessions),
        borrowed(x.visits),
        borrowed(x.transitions),
        borrowed(x.counts),
        borrowed(x.intents),
        borrowed(x.sizes),
    )
