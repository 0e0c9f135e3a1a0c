"""What an event says of the object that is open: its deadline, value, cart, products and person."""

from __future__ import annotations

from numba import int64, njit, uint8, uint32

from pipeline.core.raw import copy_bytes
from pipeline.core.rows import CURRENCY, PRODUCT_END, SITE
from pipeline.core.track.layout import REF_BITS
from pipeline.core.track.objects.layout import (
    CARTS_MAX,
    HAS_CURRENCY,
    HEAP_USED,
    MANY_PRODUCTS,
    OPEN,
    PRODUCTS_MAX,
    UNTOLD,
    VALUE_MAX,
)
from pipeline.core.track.objects.life import join, set_due
from pipeline.core.track.objects.match import hash_cart, hash_product, part_end, product_end
from pipeline.core.track.objects.places import mark
from schemas.objects import CART


@njit(cache=True, nogil=True)
def learn(kept, told, terms, place, intent, rows, heap, kind, removes):  # type: ignore[no-untyped-def]
    """What an event says of the object that is open: its deadline runs anew. `kind` is what the event would
    open, 0 where it only counts as activity.
    """
    mark(kept, place)
    record = kept.records[place]
    if record.kind >= CART:
        join(kept, told, place, intent)
    record.changes += uint32(1)
    record.active_at = intent.at
    record.state = OPEN
    record.flags |= uint8(UNTOLD)
    after_ms = terms.abandon_ms[terms.site_row[kept.words[place, SITE]], record.kind]
    record.deadline_at = intent.at + after_ms if after_ms > 0 else 0
    set_due(kept, terms, place)
    _learn_text(kept, place, intent, rows, heap, removes)
    _learn_value(kept, place, rows, intent.row, kind, removes)


@njit(nogil=True, forceinline=True)
def _learn_value(kept, place, rows, row, kind, removes):  # type: ignore[no-untyped-def]
    record = kept.records[place]
    value, currency = rows.value_e4[row], rows.words[row, CURRENCY]
    if value <= 0:
        return
    if not record.flags & HAS_CURRENCY and not removes and kind == record.kind:
        record.flags |= uint8(HAS_CURRENCY)
        kept.words[place, CURRENCY] = currency
    if not record.flags & HAS_CURRENCY or kept.words[place, CURRENCY] != currency:
        return
    if removes and record.kind == CART:
        record.value_e4 = max(int64(0), record.value_e4 - value)
    elif kind == record.kind:
        value = min(int64(VALUE_MAX), value)
        record.value_e4 = min(int64(VALUE_MAX), record.value_e4 + value) if kind == CART else value


@njit(nogil=True, forceinline=True)
def _append(heap, at, data, start, n):  # type: ignore[no-untyped-def]
    copy_bytes(heap, at, data, int64(start), int64(n))
    return at + n


@njit(nogil=True, forceinline=True)
def _learn_text(kept, place, intent, rows, heap, removes):  # type: ignore[no-untyped-def]
    """Writes the object's text anew, at the end of the heap: with the person, cart and products of the
    event.
    """
    record, row = kept.records[place], intent.row
    first = kept.sizes[HEAP_USED]
    old = record.text
    if record.visitor_n == 0:
        start = rows.visitor_offsets[row]
        record.visitor_n = rows.visitor_offsets[row + 1] - start
        at = _append(kept.heap, first, rows.visitor, start, record.visitor_n)
        old = 0
    else:
        at = _append(kept.heap, first, kept.heap, old, record.visitor_n)
        old += record.visitor_n + record.person_n
    person_n = intent.person & ((1 << REF_BITS) - 1)
    at = _append(kept.heap, at, heap, intent.person >> REF_BITS, person_n)
    record.person_n = person_n
    start, stop = int64(rows.detail_offsets[row]), int64(rows.detail_offsets[row + 1])
    cart = min(part_end(rows.detail, start, stop) + 1, stop)
    cart_end = part_end(rows.detail, cart, stop)
    old_products = old + record.cart_n
    if cart_end > cart:
        at = _append(kept.heap, at, rows.detail, cart, cart_end - cart)
        record.cart_n = cart_end - cart
        _learn_cart(kept, place, hash_cart(rows.detail, cart, cart_end))
    else:
        at = _append(kept.heap, at, kept.heap, old, record.cart_n)
    products = min(cart_end + 1, stop)
    stop = part_end(rows.detail, products, stop)
    end_at = _learn_products(kept, place, old_products, rows.detail, products, stop, at, removes)
    record.products_n = end_at - at
    record.text = first
    kept.sizes[HEAP_USED] = end_at


@njit(nogil=True, forceinline=True)
def _learn_cart(kept, place, cart):  # type: ignore[no-untyped-def]
    record = kept.records[place]
    for k in range(record.carts):
        if kept.carts[place, k] == cart:
            return
    if record.carts == CARTS_MAX:
        for k in range(CARTS_MAX - 1):
            kept.carts[place, k] = kept.carts[place, k + 1]
        record.carts -= uint8(1)
    kept.carts[place, record.carts] = cart
    record.carts += uint8(1)


@njit(nogil=True, forceinline=True)
def _learn_products(kept, place, old, detail, start, stop, at, removes):  # type: ignore[no-untyped-def]
    """Writes the products from `at` on: the old ones, and those of the event or without them."""
    record, heap = kept.records[place], kept.heap
    gone = _gone(kept, place, detail, start, stop) if removes else int64(0)
    first, n = at, 0
    old_end = old + record.products_n
    for k in range(record.products):
        piece_end = product_end(heap, old, old_end)
        if not (gone >> k) & 1:
            at = _separate(heap, at, first)
            at = _append(heap, at, heap, old, piece_end - old)
            kept.products[place, n] = kept.products[place, k]
            n += 1
        old = piece_end + 1
    while start < stop and not removes:
        piece_end = product_end(detail, start, stop)
        if piece_end > start:
            product = hash_product(detail, start, piece_end)
            is_new = True
            for k in range(n):
                is_new &= kept.products[place, k] != product
            if is_new and n == PRODUCTS_MAX:
                record.flags |= uint8(MANY_PRODUCTS)
            elif is_new:
                at = _separate(heap, at, first)
                at = _append(heap, at, detail, start, piece_end - start)
                kept.products[place, n] = product
                n += 1
        start = piece_end + 1
    record.products = n
    return at


@njit(nogil=True, forceinline=True)
def _separate(heap, at, first):  # type: ignore[no-untyped-def]
    if at > first:
        heap[at] = PRODUCT_END
        return at + 1
    return at


@njit(nogil=True, forceinline=True)
def _gone(kept, place, detail, start, stop):  # type: ignore[no-untyped-def]
    """A bit for each product of the object that the event takes out."""
    gone = int64(0)
    while start < stop:
        piece_end = product_end(detail, start, stop)
        if piece_end > start:
            product = hash_product(detail, start, piece_end)
            for k in range(kept.records[place].products):
                if kept.products[place, k] == product:
                    gone |= int64(1) << k
        start = piece_end + 1
    return gone
