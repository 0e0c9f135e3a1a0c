"""Accepted events as the kernels take them: a tuple of columns."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.core.raw import borrowed

SITE, DEVICE, CHANNEL, SOURCE, MEDIUM, CAMPAIGN, COUNTRY, CURRENCY = range(8)
"""Columns of the matrix of words of a batch of events; the first seven make a context."""
CONTEXT_WORDS: Final = 7


PASSIVE: Final = 1
LATE: Final = 2
"""An order that came late: `at` is when it takes effect, and its detail says how long before it happened."""
OUTSIDE: Final = PASSIVE | LATE
"""What belongs to no session."""
ORDER_SHIFT: Final = 2
"""Above these bits: schemas.orders.PLACED, ...; 0: no order."""
INTENT_KIND: Final = 7
INTENT_REMOVES: Final = 8
INTENT_WITHDRAWS: Final = 16
"""What an event means to the objects of a journey: the highest kind whose condition holds, and more."""
DETAIL_END: Final = 0x1E
PRODUCT_END: Final = 0x1F
"""Between the parts of a detail, and between products: separators of ASCII, which no id has."""


class Rows(NamedTuple):
    """Accepted events of one shard, column by column: n rows, J journeys."""

    at: NDArray[np.int64]
    key: NDArray[np.uint64]
    id_hash: NDArray[np.uint64]  # of (site, visitor, event_id)
    value_e4: NDArray[np.int64]
    partition: NDArray[np.int32]
    position: NDArray[np.int64]
    fate: NDArray[np.uint8]  # PASSIVE | LATE | what kind of order << ORDER_SHIFT
    words: NDArray[np.int32]  # [n, 8]
    match: NDArray[np.uint8]  # [n, J] highest stage whose rule holds, 0 for none
    bits: NDArray[np.uint32]  # [n, those of J that look back] a bit per rule that holds
    back: NDArray[np.uint16]  # [n, J] bit `rank` where a regress rule to that stage holds
    intent: NDArray[np.uint8]  # [n, those of J with objects] a kind of object | INTENT_*
    event_id_offsets: NDArray[np.int32]
    event_id: NDArray[np.uint8]
    visitor_offsets: NDArray[np.int32]
    visitor: NDArray[np.uint8]
    user_offsets: NDArray[np.int32]
    user: NDArray[np.uint8]
    url_offsets: NDArray[np.int32]
    url: NDArray[np.uint8]
    detail_offsets: NDArray[np.int32]
    detail: NDArray[np.uint8]  # of orders and intents: order id, cart id, products; where late: ms


@njit(nogil=True, forceinline=True)
def lend_rows(x):  # type: ignore[no-untyped-def]
    return Rows(
        borrowed(x.at),
        borrowed(x.key),
        borrowed(x.id_hash),
        borrowed(x.value_e4),
        borrowed(x.partition),
        borrowed(x.position),
        borrowed(x.fate),
        borrowed(x.words),
        borrowed(x.match),
        borrowed(x.bits),
        borrowed(x.back),
        borrowed(x.intent),
        borrowed(x.event_id_offsets),
        borrowed(x.event_id),
        borrowed(x.visitor_offsets),
        borrowed(x.visitor),
        borrowed(x.user_offsets),
        borrowed(x.user),
        borrowed(x.url_offsets),
        borrowed(x.url),
        borrowed(x.detail_offsets),
        borrowed(x.detail),
    )
