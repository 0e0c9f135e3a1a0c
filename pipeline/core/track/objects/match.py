"""Whether an order is about an object: by cart id, else by products, else because it is the visitor's."""

from __future__ import annotations

from numba import njit, uint32, uint64

from pipeline.core.hashing import murmur128
from pipeline.core.raw import borrowed
from pipeline.core.rows import DETAIL_END, PRODUCT_END
from pipeline.core.track.objects.layout import PRODUCTS_MAX


@njit(nogil=True, forceinline=True)
def part_end(detail, at, stop):  # type: ignore[no-untyped-def]
    """Where the part of a detail that begins at `at` ends."""
    while at < stop and detail[at] != DETAIL_END:
        at += 1
    return at


@njit(nogil=True, forceinline=True)
def product_end(text, at, stop):  # type: ignore[no-untyped-def]
    while at < stop and text[at] != PRODUCT_END:
        at += 1
    return at


@njit(nogil=True, forceinline=True)
def hash_cart(text, start, stop):  # type: ignore[no-untyped-def]
    """0 for ''."""
    if start == stop:
        return uint64(0)
    h, _ = murmur128(text, start, stop - start)
    return max(h, uint64(1))


@njit(nogil=True, forceinline=True)
def hash_product(text, start, stop):  # type: ignore[no-untyped-def]
    h, _ = murmur128(text, start, stop - start)
    return uint32(h & uint64(0xFFFFFFFF))


@njit(cache=True, nogil=True)
def read_orders(offsets, detail, index, cart, products, known, lag_ms):  # type: ignore[no-untyped-def]
    """Fills the columns of `Claimed` from the details of the events `index`."""
    offsets, detail, index = borrowed(offsets), borrowed(detail), borrowed(index)
    for k in range(index.shape[0]):
        start, stop = offsets[index[k]], offsets[index[k] + 1]
        end = part_end(detail, start, stop)
        at = min(end + 1, stop)
        end = part_end(detail, at, stop)
        cart[k] = hash_cart(detail, at, end)
        at = min(end + 1, stop)
        last = part_end(detail, at, stop)
        for digit in range(last + 1, stop):
            lag_ms[k] = 10 * lag_ms[k] + detail[digit] - 48
        n = 0
        while at < last:
            end = product_end(detail, at, last)
            if end > at:
                product = hash_product(detail, at, end)
                is_new = True
                for p in range(min(n, PRODUCTS_MAX)):
                    is_new &= products[k, p] != product
                if is_new:
                    if n < PRODUCTS_MAX:
                        products[k, n] = product
                    n += 1
            at = end + 1
        known[k] = n if n <= PRODUCTS_MAX else 0


@njit(nogil=True, forceinline=True)
def matches(carts, carts_n, products, products_n, cart, bought, bought_n):  # type: ignore[no-untyped-def]
    """Whether an order (cart, bought) is about a chain with these hashes of cart ids and products."""
    if cart != 0:
        for k in range(carts_n):
            if carts[k] == cart:
                return True
    for k in range(products_n):
        for p in range(bought_n):
            if products[k] == bought[p]:
                return True
    if cart != 0 and carts_n > 0:
        return False
    return products_n == 0 or bought_n == 0
