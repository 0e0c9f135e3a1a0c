"""How a shard keeps the open objects of one journey: a packed record each, found by the visitor's key.

Text (visitor, person, cart id, products) lies in one piece of the heap per object. What is emitted refers
to it: it is good until the next call.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.core.raw import borrowed

CARTS_MAX: Final = 4
"""Cart ids that a chain remembers: guest and account, before and after a merge."""
PRODUCTS_MAX: Final = 16
"""Products that it remembers; with more of them it is matched as if it knew none."""
MERGES_MAX: Final = 16
"""Carts with another id that a chain takes in: beyond that only a robot goes on."""
VALUE_MAX: Final = 10**18
"""In 1/10,000 of the currency unit; sums stop there."""
MOVE_VALUE_MAX: Final = 10**13
"""And what one object adds to the value of a cohort: a million of them are still a sum."""

OPEN, AT_RISK, COMPLETED, WITHDRAWN, SUPERSEDED, ABANDONED, FORGOTTEN = range(7)
STATES: Final = ("open", "at_risk", "completed", "withdrawn", "superseded", "abandoned", "forgotten")

OBJECT: Final = np.dtype(
    [
        ("key", np.uint64),  # of the visitor; 0 where the place is free
        ("h1", np.uint64),  # object_id
        ("h2", np.uint64),
        ("chain_h1", np.uint64),
        ("chain_h2", np.uint64),
        ("session_h1", np.uint64),
        ("session_h2", np.uint64),
        ("next_h1", np.uint64),  # the object that superseded it
        ("next_h2", np.uint64),
        ("opened_at", np.int64),
        ("chain_at", np.int64),  # when the first of the chain was opened
        ("active_at", np.int64),
        ("deadline_at", np.int64),  # 0: none
        ("abandoned_at", np.int64),  # 0: not
        ("resolved_at", np.int64),  # 0: open
        ("value_e4", np.int64),
        ("text", np.int64),  # where in the heap its text begins: visitor, person, cart id, products
        ("visitor_n", np.uint32),
        ("person_n", np.uint32),
        ("cart_n", np.uint32),
        ("products_n", np.uint32),
        ("number", np.uint32),
        ("changes", np.uint32),  # its version
        ("row", np.int32),  # of the order that completed it, in the batch of this call; -1: none
        ("prev", np.int32),  # the one that it superseded, or -1; of a free place: the next free one
        ("links", np.int32),  # sessions that took part in the chain, or -1
        ("kind", np.uint8),
        ("state", np.uint8),
        ("final", np.uint8),  # state of the chain's end
        ("flags", np.uint8),
        ("carts", np.uint8),  # how many are known
        ("products", np.uint8),
        ("merges", np.uint8),
        ("pad", np.uint8),
    ]
)
UNTOLD: Final = 1  # changed since a row told of it
MANY_PRODUCTS: Final = 2  # more than are remembered
HAS_CURRENCY: Final = 4

LINK: Final = np.dtype(
    [
        ("h1", np.uint64),  # session_id
        ("h2", np.uint64),
        ("started_at", np.int64),
        ("next", np.int32),
        ("pad", np.int32),
    ]
)
"""A session that takes part in a chain."""
LINK_OUT: Final = np.dtype(
    [
        ("h1", np.uint64),
        ("h2", np.uint64),
        ("chain_h1", np.uint64),
        ("chain_h2", np.uint64),
        ("started_at", np.int64),
        ("site", np.int32),
        ("kind", np.uint8),  # of the chain's last object
        ("state", np.uint8),
        ("pad", np.uint16),
    ]
)

MOVE: Final = np.dtype(
    [
        ("came_at", np.int64),  # when the visitor came to the kind
        ("at", np.int64),  # when this took effect
        ("value_e4", np.int64),  # at stake, of who came
        ("site", np.int32),
        ("device", np.int32),
        ("channel", np.int32),
        ("country", np.int32),
        ("kind", np.uint8),
        ("what", np.uint8),
        ("pad", np.uint16),
        ("pad2", np.uint32),
    ]
)
"""What a chain tells the cohorts of its kinds: see `moves.py`."""


class Kept(NamedTuple):
    """The open objects of one journey in one shard, with room for more (`objects.py` makes it)."""

    records: NDArray[np.void]  # OBJECT[capacity]
    words: NDArray[np.int32]  # [capacity, 8] as the columns of Rows.words
    carts: NDArray[np.uint64]  # [capacity, CARTS_MAX] hashes, oldest first
    products: NDArray[np.uint32]  # [capacity, PRODUCTS_MAX] hashes, in the order of the text
    due: NDArray[np.int64]  # [capacity] when time alone next changes it
    key_index: NDArray[np.int32]  # open addressing: key -> 1 + place
    heap: NDArray[np.uint8]
    links: NDArray[np.void]  # LINK[]
    sizes: NDArray[np.int64]
    dirty: NDArray[np.uint64]  # a bit per place: it has changed since `changes` was asked for


FREE, FREE_HEAD, HEAP_USED, LINKS_FREE, LINKS_HEAD, HEAP_NEED, FORGOTTEN_COUNT = range(7)
"""Of `Kept.sizes`; `HEAP_NEED` is what a call that stopped for lack of room would have put into the heap."""
NEVER: Final = np.iinfo(np.int64).max


class Told(NamedTuple):
    """What one call emits; `sizes` counts the rows used: objects, links, counts, moves."""

    records: NDArray[np.void]  # OBJECT
    words: NDArray[np.int32]
    carts: NDArray[np.uint64]
    products: NDArray[np.uint32]
    links: NDArray[np.void]  # LINK_OUT
    counts: NDArray[np.void]  # COUNT_OUT
    moves: NDArray[np.void]  # MOVE
    sizes: NDArray[np.int64]


TOLD_RECORDS, TOLD_LINKS, TOLD_COUNTS, TOLD_MOVES = range(4)


class Terms(NamedTuple):
    """What the definition says: K = 5 kinds (0 is none), S sites with deadlines of their own and one for
    all.
    """

    rank: NDArray[np.uint8]  # [K] the stage that a kind stands for
    abandon_ms: NDArray[np.int64]  # [S, K]; 0: never
    risk_ms: NDArray[np.int64]  # [S, K]
    site_row: NDArray[np.int16]  # [words] which of the S a site has
    journey: int


class Claimed(NamedTuple):
    """The orders of a call: what they were about."""

    cart: NDArray[np.uint64]  # [n] hash of the cart id, 0: not known
    products: NDArray[np.uint32]  # [n, PRODUCTS_MAX]
    known: NDArray[np.uint8]  # [n] how many of them; 0: none, or more than are remembered
    lag_ms: NDArray[np.int64]  # [n] how long before it takes effect it happened: 0 in time


NOTHING_CLAIMED: Final = Claimed(
    np.empty(0, np.uint64),
    np.empty((0, PRODUCTS_MAX), np.uint32),
    np.empty(0, np.uint8),
    np.empty(0, np.int64),
)


@njit(nogil=True, forceinline=True)
def lend_kept(x):  # type: ignore[no-untyped-def]
    return Kept(
        borrowed(x.records), borrowed(x.words), borrowed(x.carts), borrowed(x.products), borrowed(x.due),
        borrowed(x.key_index), borrowed(x.heap), borrowed(x.links), borrowed(x.sizes),
        borrowed(x.dirty),
    )  # fmt: skip


@njit(nogil=True, forceinline=True)
def lend_told(x):  # type: ignore[no-untyped-def]
    return Told(
        borrowed(x.records), borrowed(x.words), borrowed(x.carts), borrowed(x.products), borrowed(x.links),
        borrowed(x.counts), borrowed(x.moves), borrowed(x.sizes),
    )  # fmt: skip
