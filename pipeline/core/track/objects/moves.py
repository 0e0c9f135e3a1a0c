"""What objects tell the cohorts of their kind: who has come to it, who went on from it, who passed it by.

A visitor comes to a kind when a chain has its first object of that kind: a cart with another id that takes
the chain over is no other cart. They go on when the chain goes over to a higher kind or an order completes
it; and it is in the minute in which they came that this counts.
"""

from __future__ import annotations

from typing import Final

from numba import int64, njit

from pipeline.core.rows import CHANNEL, COUNTRY, DEVICE, SITE
from pipeline.core.track.objects.layout import MOVE_VALUE_MAX, TOLD_MOVES
from schemas.objects import CART

CAME, PASSED, WENT_ON = 0, 1, 2
MOVES_MOST: Final = 8
"""More than one event makes: it ends browsing, opens a payment past cart and checkout, completes it."""


@njit(cache=True, nogil=True)
def came(kept, told, terms, place, before):  # type: ignore[no-untyped-def]
    """The object at `place` is the first of its kind in its chain, after one of kind `before` (0: none)."""
    record = kept.records[place]
    at = record.opened_at
    for kind in range(max(int64(before) + 1, CART), int64(record.kind)):
        if terms.rank[kind] > 0:
            _tell(kept, told, place, kind, PASSED, at, at)
    row = _tell(kept, told, place, record.kind, CAME, at, at)
    row.value_e4 = min(record.value_e4, MOVE_VALUE_MAX)


@njit(cache=True, nogil=True)
def went_on(kept, told, place, at):  # type: ignore[no-untyped-def]
    """At `at` the chain of the object at `place` goes over to a higher kind, or is completed."""
    kind = kept.records[place].kind
    before = kept.records[place].prev
    while before >= 0 and kept.records[before].kind == kind:
        place = int64(before)
        before = kept.records[place].prev
    _tell(kept, told, place, kind, WENT_ON, kept.records[place].opened_at, at)


@njit(nogil=True, forceinline=True)
def _tell(kept, told, place, kind, what, came_at, at):  # type: ignore[no-untyped-def]
    row = told.moves[told.sizes[TOLD_MOVES]]
    told.sizes[TOLD_MOVES] += 1
    row.came_at = came_at
    row.at = at
    row.value_e4 = 0
    row.site = kept.words[place, SITE]
    row.device = kept.words[place, DEVICE]
    row.channel = kept.words[place, CHANNEL]
    row.country = kept.words[place, COUNTRY]
    row.kind = kind
    row.what = what
    return row
