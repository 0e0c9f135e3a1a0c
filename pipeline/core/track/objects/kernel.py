"""What happens to the open objects of a shard, in order: events, orders, closes of sessions, deadlines.

tests/oracle_objects.py says the same in slow and obvious Python, and property tests hold the two equal.
"""

from __future__ import annotations

import numpy as np
from numba import int64, njit, uint8

from pipeline.core.raw import borrowed
from pipeline.core.rows import (
    INTENT_KIND,
    INTENT_REMOVES,
    INTENT_WITHDRAWS,
    ORDER_SHIFT,
    lend_rows,
)
from pipeline.core.track.layout import REF_BITS
from pipeline.core.track.objects.layout import (
    ABANDONED,
    COMPLETED,
    FREE,
    HEAP_NEED,
    HEAP_USED,
    LINKS_FREE,
    MANY_PRODUCTS,
    MERGES_MAX,
    TOLD_LINKS,
    TOLD_MOVES,
    TOLD_RECORDS,
    UNTOLD,
    WITHDRAWN,
    lend_kept,
    lend_told,
)
from pipeline.core.track.objects.learn import learn
from pipeline.core.track.objects.life import end, forget, join, open_new, pass_due, supersede, tell
from pipeline.core.track.objects.match import hash_cart, matches, part_end
from pipeline.core.track.objects.moves import MOVES_MOST, came, went_on
from pipeline.core.track.objects.places import find
from schemas.objects import BROWSE, CART
from schemas.orders import PLACED

CLOSES = 9
"""Of what happens at one time within a session the last."""
MARGIN_BYTES = 64


@njit(cache=True, nogil=True)
def turns(intents, fate, intent_of, journey, index, place, code):  # type: ignore[no-untyped-def]
    """Writes the intents that matter to a journey into `index`, in the order in which they happen; returns
    how many.

    Per visitor by time. At one time: what comes from outside a session goes with the first session that has
    an event then; sessions one after the other; within one by the kind, then as the events are ordered.
    """
    intents, fate, intent_of, index = (
        borrowed(intents),
        borrowed(fate),
        borrowed(intent_of),
        borrowed(index),
    )
    used = int64(0)
    start = int64(0)
    n = intents.shape[0]
    while start < n:
        stop, first = start, used
        closes = int64(0)
        key = intents[start].key
        while stop < n and intents[stop].key == key:
            intent = intents[stop]
            what = int64(CLOSES)
            is_outside = False
            if intent.row >= 0:
                meant = intent_of[intent.row, journey] if intent.number > 0 else uint8(0)
                what = _code(int64(meant), fate[intent.row] >> ORDER_SHIFT == PLACED)
                is_outside = intent.number == 0
            if what > 0:
                index[used] = stop
                place[used] = -1 if is_outside else closes
                code[used] = what
                used += 1
            closes += what == CLOSES
            stop += 1
        _settle_places(intents, index, place, first, used)
        _sort(intents, index, place, code, first, used)
        start = stop
    return used


@njit(nogil=True, forceinline=True)
def _code(intent, is_order):  # type: ignore[no-untyped-def]
    """Where an event stands among those of its time."""
    if is_order:
        return 6
    if intent & INTENT_WITHDRAWS:
        return 5
    if intent & INTENT_KIND:
        return intent & INTENT_KIND
    return 2 if intent & INTENT_REMOVES else 0


@njit(nogil=True, forceinline=True)
def _settle_places(intents, index, place, first, stop):  # type: ignore[no-untyped-def]
    for i in range(first, stop):
        if place[i] < 0:
            for k in range(first, stop):
                other = intents[index[k]]
                if other.number > 0 and other.at == intents[index[i]].at:
                    place[i] = place[k]
                    break


@njit(nogil=True, forceinline=True)
def _sort(intents, index, place, code, first, stop):  # type: ignore[no-untyped-def]
    """Insertion: they are nearly in order."""
    for i in range(first + 1, stop):
        one, its_place, its_code = index[i], place[i], code[i]
        k = i
        while k > first and _is_before(
            intents, one, its_place, its_code, index[k - 1], place[k - 1], code[k - 1]
        ):
            index[k], place[k], code[k] = index[k - 1], place[k - 1], code[k - 1]
            k -= 1
        index[k], place[k], code[k] = one, its_place, its_code


@njit(nogil=True, forceinline=True)
def _is_before(intents, a, a_place, a_code, b, b_place, b_code):  # type: ignore[no-untyped-def]
    if intents[a].at != intents[b].at:
        return intents[a].at < intents[b].at
    if a_place != b_place:
        return a_place < b_place
    if a_code != b_code:
        return a_code < b_code
    return intents[a].seq < intents[b].seq


@njit(cache=True, nogil=True)
def apply(kept, told, terms, claimed, intents, index, first, count, order_of, rows, journey, contexts, heap):  # type: ignore[no-untyped-def]
    """Applies index[first:count]; returns how far it came: it stops where there may not be enough room."""
    kept, told, rows = lend_kept(kept), lend_told(told), lend_rows(rows)
    intents, index, order_of, contexts, heap = (
        borrowed(intents), borrowed(index), borrowed(order_of), borrowed(contexts), borrowed(heap),
    )  # fmt: skip
    carts, products, known = borrowed(claimed.cart), borrowed(claimed.products), borrowed(claimed.known)
    lag_ms = borrowed(claimed.lag_ms)
    for i in range(first, count):
        intent = intents[index[i]]
        place = find(kept, intent.key)
        if not _has_room(kept, told, place, intent, rows):
            return i
        while place >= 0 and kept.due[place] < intent.at:
            pass_due(kept, told, terms, place)
            place = find(kept, intent.key)
        if intent.row < 0:
            if place >= 0 and kept.records[place].kind == BROWSE:
                end(kept, told, terms, place, ABANDONED, intent.at)
            continue
        if intent.number > 0:
            meant = int64(rows.intent[intent.row, journey])
            place = _mean(kept, told, terms, place, intent, rows, contexts, heap, meant)
        o = order_of[index[i]]
        if o >= 0 and place >= 0:
            _complete(kept, told, terms, place, intent, lag_ms[o], carts[o], products[o], known[o])
    return count


@njit(nogil=True, forceinline=True)
def _has_room(kept, told, place, intent, rows):  # type: ignore[no-untyped-def]
    """Whether one more intent fits in, whatever it does."""
    text = int64(MARGIN_BYTES)
    if intent.row >= 0:
        row = intent.row
        text += rows.detail_offsets[row + 1] - rows.detail_offsets[row]
        text += rows.visitor_offsets[row + 1] - rows.visitor_offsets[row]
        text += intent.person & ((1 << REF_BITS) - 1)
    ends, links = int64(4), int64(5)
    if place >= 0:
        record = kept.records[place]
        text += int64(record.visitor_n) + record.person_n + record.cart_n + record.products_n
        before = record.prev
        while before >= 0:
            ends += 1
            before = kept.records[before].prev
        link = record.links
        while link >= 0:
            links += 1
            link = kept.links[link].next
    kept.sizes[HEAP_NEED] = text
    return (
        kept.sizes[HEAP_USED] + text <= kept.heap.shape[0]
        and kept.sizes[FREE] > 1
        and kept.sizes[LINKS_FREE] > 1
        and told.sizes[TOLD_RECORDS] + ends <= told.records.shape[0]
        and told.sizes[TOLD_LINKS] + links <= told.links.shape[0]
        and told.sizes[TOLD_MOVES] + MOVES_MOST <= told.moves.shape[0]
    )


@njit(nogil=True, forceinline=True)
def _mean(kept, told, terms, place, intent, rows, contexts, heap, meant):  # type: ignore[no-untyped-def]
    """What an event of a session does; returns the place of what is open then, or -1."""
    kind, removes = meant & INTENT_KIND, meant & INTENT_REMOVES != 0
    current = int64(kept.records[place].kind) if place >= 0 else int64(0)
    if meant & INTENT_WITHDRAWS and current >= CART:
        join(kept, told, place, intent)
        end(kept, told, terms, place, WITHDRAWN, intent.at)
        return int64(-1)
    if kind == 0:
        if removes and current >= CART:
            learn(kept, told, terms, place, intent, rows, heap, int64(0), True)
        return place
    if current >= CART and kind == BROWSE:
        return place
    if place >= 0 and kind > current:
        went_on(kept, told, place, intent.at)
    if current == BROWSE and kind > BROWSE:
        end(kept, told, terms, place, COMPLETED, intent.at)
        place = int64(-1)
    if place < 0:
        place = int64(open_new(kept, intent, rows, contexts, kind))
    elif kind > current or (kind == current >= CART and _is_another_cart(kept, place, rows, intent.row)):
        merges = kept.records[place].merges + uint8(kind == current)
        place = int64(supersede(kept, told, place, intent, contexts, kind))
        kept.records[place].merges = merges
    learn(kept, told, terms, place, intent, rows, heap, kind, False)
    if kind > current:
        came(kept, told, terms, place, current)
    return place


@njit(nogil=True, forceinline=True)
def _is_another_cart(kept, place, rows, row):  # type: ignore[no-untyped-def]
    """Whether the event has a cart id that none of the chain had, and the chain had one."""
    record = kept.records[place]
    if record.carts == 0 or record.merges >= MERGES_MAX:
        return False
    start, stop = int64(rows.detail_offsets[row]), int64(rows.detail_offsets[row + 1])
    start = min(part_end(rows.detail, start, stop) + 1, stop)
    cart = hash_cart(rows.detail, start, part_end(rows.detail, start, stop))
    for k in range(record.carts):
        if kept.carts[place, k] == cart:
            return False
    return cart != 0


@njit(nogil=True, forceinline=True)
def _complete(kept, told, terms, place, intent, lag_ms, cart, bought, bought_n):  # type: ignore[no-untyped-def]
    """An order: it completes what is open, where it is about that."""
    record = kept.records[place]
    happened = intent.at - lag_ms
    if record.chain_at > happened:
        return
    if record.kind >= CART:
        known = int64(0) if record.flags & MANY_PRODUCTS else int64(record.products)
        if not matches(
            kept.carts[place], int64(record.carts), kept.products[place], known, cart, bought, int64(bought_n)
        ):
            return
        if intent.number > 0:
            join(kept, told, place, intent)
    went_on(kept, told, place, intent.at)
    record.row = intent.row
    end(kept, told, terms, place, COMPLETED, happened)


@njit(cache=True, nogil=True)
def pass_time(kept, told, terms, first, until):  # type: ignore[no-untyped-def]
    """Lets time pass from place `first`; returns the place to go on with, or -1."""
    kept, told = lend_kept(kept), lend_told(told)
    for place in range(first, kept.due.shape[0]):
        while kept.due[place] < until:
            if told.sizes[TOLD_RECORDS] + MERGES_MAX + 8 > told.records.shape[0]:
                return place
            links, link = 0, kept.records[place].links
            while link >= 0:
                links += 1
                link = kept.links[link].next
            if told.sizes[TOLD_LINKS] + links > told.links.shape[0]:
                return place
            pass_due(kept, told, terms, place)
    return -1


@njit(cache=True, nogil=True)
def tell_open(kept, told, first):  # type: ignore[no-untyped-def]
    """Tells of the objects that changed since a row did; returns the place to go on with, or -1."""
    kept, told = lend_kept(kept), lend_told(told)
    for place in range(first, kept.records.shape[0]):
        if kept.records[place].key != 0 and kept.records[place].flags & UNTOLD:
            if told.sizes[TOLD_RECORDS] == told.records.shape[0]:
                return place
            tell(kept, told, place)
    return -1


@njit(cache=True, nogil=True)
def forget_all(kept, told, places, first, at):  # type: ignore[no-untyped-def]
    """Forgets the chains that are open at `places`, from the `first` of them; returns which to go on with,
    or -1.
    """
    kept, told, places = lend_kept(kept), lend_told(told), borrowed(places)
    for k in range(first, places.shape[0]):
        if told.sizes[TOLD_RECORDS] + MERGES_MAX + 8 > told.records.shape[0]:
            return k
        forget(kept, told, places[k], at)
    return -1


@njit(cache=True, nogil=True)
def browsing(kept, keys):  # type: ignore[no-untyped-def]
    """Where the open browsing of these visitors lies: int64, of those who have any."""
    kept, keys = lend_kept(kept), borrowed(keys)
    found, n = np.empty(keys.shape[0], np.int64), 0
    for k in range(keys.shape[0]):
        place = find(kept, keys[k])
        if place >= 0 and kept.records[place].kind == BROWSE:
            found[n] = place
            n += 1
    return found[:n]


@njit(cache=True, nogil=True)
def compact(heap, records, fresh):  # type: ignore[no-untyped-def]
    """Copies the texts of all objects into `fresh`; returns the bytes used. With no room in `fresh` it only
    counts.
    """
    heap, records, fresh = borrowed(heap), borrowed(records), borrowed(fresh)
    used = int64(0)
    for place in range(records.shape[0]):
        record = records[place]
        if record.key == 0:
            continue
        n = int64(record.visitor_n) + record.person_n + record.cart_n + record.products_n
        if fresh.shape[0] > 0:
            for k in range(n):
                fresh[used + k] = heap[record.text + k]
            record.text = used
        used += n
    return used
