"""Abandoned chains of one journey, oldest first, until their recovery window has passed: kernels behind
`follow.py`.

They come in the order of `abandoned_at`, so the oldest is always the next to expire: a ring needs no
timers. Each knows the one before it in its bucket of visitors; a link that leads behind the oldest leads
nowhere.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numba import int64, njit, uint8, uint64
from numpy.typing import NDArray

from pipeline.core.raw import borrowed
from pipeline.core.seen import MINUTE_MS
from pipeline.core.track.layout import COUNT_OUT, RECOVERED, VOIDED
from pipeline.core.track.objects.layout import CARTS_MAX, PRODUCTS_MAX
from pipeline.core.track.objects.match import matches
from schemas.objects import BROWSE

WAITING, IS_RECOVERED, IS_EXPIRED, IS_VOID = range(4)
STATES: Final = ("", "recovered", "expired", "void")

CHAIN: Final = np.dtype(
    [
        ("key", np.uint64),  # of the visitor
        ("h1", np.uint64),  # chain_id
        ("h2", np.uint64),
        ("chain_at", np.int64),  # when its first object was opened
        ("abandoned_at", np.int64),
        ("before", np.int64),  # number of the one before it in its bucket
        ("site", np.int32),
        ("device", np.int32),
        ("channel", np.int32),
        ("rank", np.uint8),
        ("carts", np.uint8),
        ("products", np.uint8),  # 0: none, or more than are remembered
        ("state", np.uint8),
        ("version", np.uint32),
        ("kind", np.uint8),  # of its last object
        ("pad", np.uint8),
        ("pad2", np.uint16),
    ]
)
"""An abandoned chain, as it is remembered: with its hashes some 170 bytes."""
BOUGHT: Final = np.dtype(
    [
        ("key", np.uint64),
        ("at", np.int64),  # when it takes effect
        ("happened_at", np.int64),
        ("value_e4", np.int64),
        ("currency", np.int32),
        ("pad", np.int32),
    ]
)
"""An order."""
OUTCOME: Final = np.dtype(
    [
        ("h1", np.uint64),
        ("h2", np.uint64),
        ("abandoned_at", np.int64),
        ("resolved_at", np.int64),
        ("value_e4", np.int64),
        ("order", np.int64),  # number in this call, -1: none
        ("site", np.int32),
        ("currency", np.int32),
        ("version", np.uint32),
        ("state", np.uint8),
        ("is_evicted", np.uint8),
        ("pad", np.uint16),
    ]
)


class Ring(NamedTuple):
    """Chains by number modulo the capacity, a power of two."""

    chains: NDArray[np.void]  # CHAIN
    carts: NDArray[np.uint64]
    products: NDArray[np.uint32]
    buckets: NDArray[np.int64]  # by the visitor's key: the number of the newest
    sizes: NDArray[np.int64]  # OLDEST, NEXT, EVICTED
    dirty: NDArray[np.bool_]  # by place: it is another than when a snapshot told of it


OLDEST, NEXT, EVICTED = range(3)


class Found(NamedTuple):
    """What a call finds out; `sizes` counts the rows used."""

    outcomes: NDArray[np.void]  # OUTCOME
    counts: NDArray[np.void]  # COUNT_OUT
    sizes: NDArray[np.int64]


def empty(capacity: int) -> Ring:
    return Ring(
        np.zeros(capacity, CHAIN),
        np.zeros((capacity, CARTS_MAX), np.uint64),
        np.zeros((capacity, PRODUCTS_MAX), np.uint32),
        np.full(capacity, -1, np.int64),
        np.zeros(3, np.int64),
        np.zeros(capacity, np.bool_),
    )


def room(outcomes: int) -> Found:
    return Found(np.empty(outcomes, OUTCOME), np.empty(outcomes, COUNT_OUT), np.zeros(2, np.int64))


@njit(nogil=True, forceinline=True)
def _lend(ring):  # type: ignore[no-untyped-def]
    return Ring(
        borrowed(ring.chains), borrowed(ring.carts), borrowed(ring.products), borrowed(ring.buckets),
        borrowed(ring.sizes), borrowed(ring.dirty),
    )  # fmt: skip


@njit(nogil=True, forceinline=True)
def _bucket(ring, key):  # type: ignore[no-untyped-def]
    return int64(key & uint64(ring.buckets.shape[0] - 1))


@njit(cache=True, nogil=True)
def file_all(ring):  # type: ignore[no-untyped-def]
    """Links all chains in their buckets, which are empty."""
    for number in range(ring.sizes[OLDEST], ring.sizes[NEXT]):
        chain = ring.chains[number & (ring.chains.shape[0] - 1)]
        bucket = _bucket(ring, chain.key)
        chain.before = ring.buckets[bucket]
        ring.buckets[bucket] = number


@njit(nogil=True, forceinline=True)
def _tell(found, chain, state, at, order):  # type: ignore[no-untyped-def]
    chain.state = state
    chain.version += 1
    out = found.outcomes[found.sizes[0]]
    found.sizes[0] += 1
    out.h1 = chain.h1
    out.h2 = chain.h2
    out.abandoned_at = chain.abandoned_at
    out.resolved_at = at
    out.order = order
    out.site = chain.site
    out.version = chain.version
    out.state = state
    out.value_e4 = 0
    out.currency = 0
    out.is_evicted = 0
    return out


@njit(nogil=True, forceinline=True)
def _count(found, chain, journey, what, at):  # type: ignore[no-untyped-def]
    count = found.counts[found.sizes[1]]
    found.sizes[1] += 1
    count.minute = at - at % MINUTE_MS
    count.site = chain.site
    count.device = chain.device
    count.channel = chain.channel
    count.journey = journey
    count.rank = chain.rank
    count.what = what
    count.currency = 0
    count.value_e4 = 0


@njit(nogil=True, forceinline=True)
def _expire(ring, found, window_ms, number, is_early):  # type: ignore[no-untyped-def]
    """The oldest is forgotten; where nothing came of it a row says so."""
    chain = ring.chains[number & (ring.chains.shape[0] - 1)]
    if chain.state == WAITING:
        out = _tell(found, chain, uint8(IS_EXPIRED), chain.abandoned_at + window_ms, int64(-1))
        out.is_evicted = is_early
    ring.sizes[OLDEST] = number + 1


@njit(nogil=True, forceinline=True)
def _is_about(ring, place, bought, window_ms, cart, products, known):  # type: ignore[no-untyped-def]
    """Whether an order comes in time for a chain, and is about it."""
    chain = ring.chains[place]
    if chain.key != bought.key or chain.state == IS_VOID:
        return False
    if not chain.abandoned_at < bought.at <= chain.abandoned_at + window_ms:
        return False
    return matches(
        ring.carts[place],
        int64(chain.carts),
        ring.products[place],
        int64(chain.products),
        cart,
        products,
        known,
    )


@njit(nogil=True, forceinline=True)
def _worth(chain, bought):  # type: ignore[no-untyped-def]
    """Who gets an order's value: 2 a cart or higher, 1 browsing, 0 nobody, because it is not recovered by
    it.
    """
    if chain.state != WAITING or bought.happened_at <= chain.abandoned_at:
        return 0
    return 1 if chain.kind == BROWSE else 2


@njit(nogil=True, forceinline=True)
def _buy(ring, found, window_ms, journey, bought, order, cart, products, known):  # type: ignore[no-untyped-def]
    """An order: what it is about was not abandoned, or is recovered. The newest cart (or higher) that it
    recovers gets its value, or where there is none the newest browsing.
    """
    mask = ring.chains.shape[0] - 1
    first = ring.buckets[_bucket(ring, bought.key)]
    best, most = int64(-1), 0
    number = first
    while number >= ring.sizes[OLDEST]:
        worth = _worth(ring.chains[number & mask], bought)
        if worth > most and _is_about(ring, number & mask, bought, window_ms, cart, products, known):
            best, most = number, worth
        number = ring.chains[number & mask].before
    number = first
    while number >= ring.sizes[OLDEST]:
        chain = ring.chains[number & mask]
        if _is_about(ring, number & mask, bought, window_ms, cart, products, known):
            ring.dirty[number & mask] = True
            if _worth(chain, bought):
                out = _tell(found, chain, uint8(IS_RECOVERED), bought.happened_at, order)
                if number == best and bought.value_e4 != 0:
                    out.value_e4 = bought.value_e4
                    out.currency = bought.currency
                _count(found, chain, journey, RECOVERED, bought.at)
            elif chain.chain_at <= bought.happened_at <= chain.abandoned_at:
                _tell(found, chain, uint8(IS_VOID), bought.happened_at, order)
                _count(found, chain, journey, VOIDED, bought.at)
        number = chain.before


@njit(cache=True, nogil=True)
def apply(ring, found, chains, carts, products, buys, bought, known, window_ms, journey, kept_max, watermark):  # type: ignore[no-untyped-def]
    """Applies abandoned chains (by time) and orders (`buys` by time, `bought` and `known` what they were
    about), at one time orders first; then forgets what lies too long before `watermark`. There is room for
    all of them.
    """
    ring = _lend(ring)
    buys, bought_carts, bought_products, known = (
        borrowed(buys), borrowed(bought[0]), borrowed(bought[1]), borrowed(known),
    )  # fmt: skip
    mask = ring.chains.shape[0] - 1
    order = int64(0)
    for k in range(chains.shape[0] + 1):
        until = chains[k].abandoned_at if k < chains.shape[0] else np.iinfo(np.int64).max
        while order < buys.shape[0] and buys[order].at <= until:
            _buy(
                ring, found, window_ms, journey, buys[order], order, bought_carts[order],
                bought_products[order], int64(known[order]),
            )  # fmt: skip
            order += 1
        if k == chains.shape[0]:
            break
        oldest = ring.sizes[OLDEST]
        if ring.sizes[NEXT] - oldest == kept_max:
            is_early = ring.chains[oldest & mask].abandoned_at + window_ms >= until
            ring.sizes[EVICTED] += is_early and ring.chains[oldest & mask].state == WAITING
            _expire(ring, found, window_ms, oldest, is_early)
        number = ring.sizes[NEXT]
        ring.sizes[NEXT] = number + 1
        place = number & mask
        ring.dirty[place] = True
        ring.chains[place] = chains[k]
        chain = ring.chains[place]
        for c in range(carts.shape[1]):
            ring.carts[place, c] = carts[k, c]
        for p in range(products.shape[1]):
            ring.products[place, p] = products[k, p]
        bucket = _bucket(ring, chain.key)
        chain.before = ring.buckets[bucket]
        ring.buckets[bucket] = number
    while ring.sizes[OLDEST] < ring.sizes[NEXT]:
        oldest = ring.sizes[OLDEST]
        if ring.chains[oldest & mask].abandoned_at + window_ms >= watermark:
            break
        _expire(ring, found, window_ms, oldest, False)
