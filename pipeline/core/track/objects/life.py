"""The life of an object: opened, active, superseded, ended. Rules as in schemas/README.md, *Objects*."""

from __future__ import annotations

from numba import int64, njit, uint8, uint32, uint64

from pipeline.core.hashing import combine
from pipeline.core.raw import copy_bytes
from pipeline.core.rows import CHANNEL, CONTEXT_WORDS, CURRENCY, DEVICE, PRODUCT_END, SITE
from pipeline.core.seen import MINUTE_MS
from pipeline.core.track.layout import ABANDONED as COUNT_ABANDONED
from pipeline.core.track.layout import REF_BITS
from pipeline.core.track.objects.layout import (
    ABANDONED,
    AT_RISK,
    CARTS_MAX,
    HAS_CURRENCY,
    HEAP_USED,
    MANY_PRODUCTS,
    NEVER,
    OPEN,
    PRODUCTS_MAX,
    SUPERSEDED,
    TOLD_COUNTS,
    TOLD_LINKS,
    TOLD_RECORDS,
    UNTOLD,
    VALUE_MAX,
)
from pipeline.core.track.objects.match import hash_cart, hash_product, part_end, product_end
from pipeline.core.track.objects.places import (
    file,
    give_back,
    give_back_link,
    refile,
    take,
    take_link,
    unfile,
)
from schemas.objects import CART


@njit(cache=True, nogil=True)
def open_new(kept, intent, rows, contexts, kind):  # type: ignore[no-untyped-def]
    """A new chain of one object; returns its place. `learn` must follow."""
    place = take(kept)
    record = kept.records[place]
    record.key = intent.key
    record.text = 0
    record.visitor_n = 0
    record.person_n = 0
    record.cart_n = 0
    record.products_n = 0
    record.value_e4 = 0
    record.prev = -1
    record.links = -1
    record.flags = 0
    record.carts = 0
    record.products = 0
    record.merges = 0
    kept.words[place, CURRENCY] = 0
    _begin(kept, place, intent, contexts, kind)
    record.chain_h1 = record.h1
    record.chain_h2 = record.h2
    record.chain_at = intent.at
    file(kept.records, kept.key_index, place)
    return place


@njit(cache=True, nogil=True)
def _begin(kept, place, intent, contexts, kind):  # type: ignore[no-untyped-def]
    """What every object has from the event that opens it."""
    record = kept.records[place]
    record.h1 = combine(intent.h1, uint64(intent.number))
    record.h2 = combine(intent.h2, uint64(intent.number))
    record.session_h1 = intent.h1
    record.session_h2 = intent.h2
    record.next_h1 = 0
    record.next_h2 = 0
    record.opened_at = intent.at
    record.abandoned_at = 0
    record.resolved_at = 0
    record.number = intent.number
    record.changes = 0
    record.row = -1
    record.kind = kind
    record.final = OPEN
    for k in range(CONTEXT_WORDS):
        kept.words[place, k] = contexts[intent.context, k]


@njit(cache=True, nogil=True)
def supersede(kept, told, place, intent, contexts, kind):  # type: ignore[no-untyped-def]
    """A new object takes the chain over; returns its place. `learn` must follow."""
    other = take(kept)
    kept.records[other] = kept.records[place]
    old, new = kept.records[place], kept.records[other]
    for k in range(CARTS_MAX):
        kept.carts[other, k] = kept.carts[place, k]
    for k in range(PRODUCTS_MAX):
        kept.products[other, k] = kept.products[place, k]
    kept.words[other, CURRENCY] = kept.words[place, CURRENCY]
    refile(kept, place, other)
    _begin(kept, other, intent, contexts, kind)
    new.prev = place
    old.state = SUPERSEDED
    old.resolved_at = intent.at
    old.next_h1 = new.h1
    old.next_h2 = new.h2
    old.links = -1
    old.changes += uint32(1)
    kept.due[place] = NEVER
    tell(kept, told, place)
    return other


@njit(cache=True, nogil=True)
def tell(kept, told, place):  # type: ignore[no-untyped-def]
    """Puts the object as it stands into the output."""
    record = kept.records[place]
    record.flags &= uint8(~UNTOLD & 0xFF)
    row = told.sizes[TOLD_RECORDS]
    told.sizes[TOLD_RECORDS] = row + 1
    told.records[row] = record
    for k in range(8):
        told.words[row, k] = kept.words[place, k]
    for k in range(CARTS_MAX):
        told.carts[row, k] = kept.carts[place, k]
    for k in range(PRODUCTS_MAX):
        told.products[row, k] = kept.products[place, k]


@njit(cache=True, nogil=True)
def join(kept, told, place, intent):  # type: ignore[no-untyped-def]
    """The session of the intent takes part in the chain."""
    record = kept.records[place]
    link = record.links
    while link >= 0:
        if kept.links[link].h1 == intent.h1 and kept.links[link].h2 == intent.h2:
            return
        link = kept.links[link].next
    link = take_link(kept)
    kept.links[link].h1 = intent.h1
    kept.links[link].h2 = intent.h2
    kept.links[link].started_at = intent.started_at
    kept.links[link].next = record.links
    record.links = link
    _tell_link(kept, told, place, link)


@njit(nogil=True, forceinline=True)
def _tell_link(kept, told, place, link):  # type: ignore[no-untyped-def]
    record, out = kept.records[place], told.links[told.sizes[TOLD_LINKS]]
    told.sizes[TOLD_LINKS] += 1
    out.h1 = kept.links[link].h1
    out.h2 = kept.links[link].h2
    out.chain_h1 = record.chain_h1
    out.chain_h2 = record.chain_h2
    out.started_at = kept.links[link].started_at
    out.site = kept.words[place, SITE]
    out.kind = record.kind
    out.state = record.final


@njit(cache=True, nogil=True)
def end(kept, told, terms, place, state, at):  # type: ignore[no-untyped-def]
    """The chain's end: all its objects and sessions learn of it, and are gone."""
    record = kept.records[place]
    record.state = state
    record.resolved_at = at
    if state == ABANDONED:
        record.abandoned_at = at
        _count_abandoned(kept, told, terms, place, at)
    unfile(kept, place)
    link = record.links
    record.final = state
    while link >= 0:
        _tell_link(kept, told, place, link)
        following = kept.links[link].next
        give_back_link(kept, link)
        link = following
    while place >= 0:
        record = kept.records[place]
        record.final = state
        record.changes += uint32(1)
        tell(kept, told, place)
        before = record.prev
        give_back(kept, place)
        place = before


@njit(nogil=True, forceinline=True)
def _count_abandoned(kept, told, terms, place, at):  # type: ignore[no-untyped-def]
    count = told.counts[told.sizes[TOLD_COUNTS]]
    told.sizes[TOLD_COUNTS] += 1
    count.minute = at - at % MINUTE_MS
    count.value_e4 = 0
    count.site = kept.words[place, SITE]
    count.device = kept.words[place, DEVICE]
    count.channel = kept.words[place, CHANNEL]
    count.currency = 0
    count.journey = terms.journey
    count.rank = terms.rank[kept.records[place].kind]
    count.what = COUNT_ABANDONED


@njit(nogil=True, forceinline=True)
def set_due(kept, terms, place):  # type: ignore[no-untyped-def]
    """When time alone next changes it."""
    record = kept.records[place]
    site = terms.site_row[kept.words[place, SITE]]
    risk_ms = terms.risk_ms[site, record.kind]
    if record.deadline_at == 0:
        kept.due[place] = NEVER
    elif record.state == OPEN and risk_ms > 0:
        kept.due[place] = min(record.active_at + risk_ms, record.deadline_at)
    else:
        kept.due[place] = record.deadline_at


@njit(cache=True, nogil=True)
def pass_due(kept, told, terms, place):  # type: ignore[no-untyped-def]
    """The object's time has come: it is at risk, or abandoned."""
    record = kept.records[place]
    site = terms.site_row[kept.words[place, SITE]]
    risk_ms = terms.risk_ms[site, record.kind]
    if record.state == OPEN and risk_ms > 0 and record.active_at + risk_ms < record.deadline_at:
        record.state = AT_RISK
        record.changes += uint32(1)
        record.flags |= uint8(UNTOLD)
        set_due(kept, terms, place)
    else:
        end(kept, told, terms, place, ABANDONED, record.deadline_at)


@njit(cache=True, nogil=True)
def learn(kept, told, terms, place, intent, rows, heap, kind, removes):  # type: ignore[no-untyped-def]
    """What an event says of the object that is open: its deadline runs anew. `kind` is what the event would
    open, 0 where it only counts as activity.
    """
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
