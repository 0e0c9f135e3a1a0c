"""The life of an object: opened, active, superseded, ended. Rules as in schemas/README.md, *Objects*."""

from __future__ import annotations

from numba import njit, uint8, uint32, uint64

from pipeline.core.hashing import combine
from pipeline.core.rows import CHANNEL, CONTEXT_WORDS, CURRENCY, DEVICE, SITE
from pipeline.core.seen import MINUTE_MS
from pipeline.core.track.index import file, unfile
from pipeline.core.track.layout import ABANDONED as COUNT_ABANDONED
from pipeline.core.track.objects.layout import (
    ABANDONED,
    AT_RISK,
    CARTS_MAX,
    FORGOTTEN,
    FORGOTTEN_COUNT,
    NEVER,
    OPEN,
    PRODUCTS_MAX,
    SUPERSEDED,
    TOLD_COUNTS,
    TOLD_LINKS,
    TOLD_RECORDS,
    UNTOLD,
)
from pipeline.core.track.objects.places import (
    give_back,
    give_back_link,
    mark,
    refile,
    take,
    take_link,
)


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
    file(kept.key_index, kept.records, place)
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
    mark(kept, place)
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
    mark(kept, place)
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
    unfile(kept.key_index, kept.records, place)
    link = record.links
    record.final = state
    while link >= 0:
        _tell_link(kept, told, place, link)
        following = kept.links[link].next
        give_back_link(kept, link)
        link = following
    _tell_chain(kept, told, place, state)


@njit(cache=True, nogil=True)
def forget(kept, told, place, at):  # type: ignore[no-untyped-def]
    """The chain is forgotten while it is open: its sessions never learn how it ended."""
    kept.sizes[FORGOTTEN_COUNT] += 1
    kept.records[place].state = FORGOTTEN
    kept.records[place].resolved_at = at
    unfile(kept.key_index, kept.records, place)
    link = kept.records[place].links
    while link >= 0:
        following = kept.links[link].next
        give_back_link(kept, link)
        link = following
    _tell_chain(kept, told, place, FORGOTTEN)


@njit(nogil=True, forceinline=True)
def _tell_chain(kept, told, place, final):  # type: ignore[no-untyped-def]
    """All objects of an ended chain learn of it, and are gone."""
    while place >= 0:
        record = kept.records[place]
        record.final = final
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
        mark(kept, place)
        record.state = AT_RISK
        record.changes += uint32(1)
        record.flags |= uint8(UNTOLD)
        set_due(kept, terms, place)
    else:
        end(kept, told, terms, place, ABANDONED, record.deadline_at)
