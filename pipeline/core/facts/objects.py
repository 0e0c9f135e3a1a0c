"""Rows of objects, of the sessions that took part in them, and of orders: columns of the kernels as Arrow.

There are few of them beside sessions and transitions: each column is made by itself, in numpy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit, uint8
from numpy.typing import NDArray

from pipeline.core.events import Events
from pipeline.core.raw import borrowed, copy_bytes
from pipeline.core.rows import CURRENCY, DETAIL_END, PRODUCT_END, SITE
from pipeline.core.strings import string_array
from pipeline.core.track.layout import REF_BITS
from pipeline.core.track.objects.layout import OPEN, STATES
from pipeline.core.track.objects.objects import Spoken
from pipeline.core.track.track import Emitted
from pipeline.core.words import Words
from pipeline.core.words import name as name_of
from schemas.journeys import Journey
from schemas.objects import KINDS
from schemas.orders import KINDS as ORDER_KINDS
from schemas.orders import PLACED
from schemas.tables import AT, DIMS, ID128, OBJECTS, ORDER_CHANGES, ORDERS, PARTICIPATIONS, SECOND, WORD

_KINDS: Final = pa.array(["", *KINDS])
_STATES: Final = pa.array(STATES)


class ObjectTables:
    """Makes rows of `objects` and `participations` for the journeys of a deployment."""

    def __init__(self, journeys: Sequence[Journey]) -> None:
        self._kinds = [_Stages.of(journey) for journey in journeys]

    def objects(self, spoken: Spoken, words: Words) -> pa.RecordBatch:
        """One row per object as it stands."""
        told, named = spoken.records, by_kind(spoken.words, words)
        starts = told["text"].copy()
        texts = {}
        for name in ("visitor", "person", "cart", "products"):
            texts[name] = _texts(spoken.heap, starts, told[f"{name}_n"].astype(np.int64))
            starts += told[f"{name}_n"]
        columns = {
            **self._names(spoken.journey, told["kind"]),
            "site": named["site"],
            "visitor_id": texts["visitor"],
            "person_id": texts["person"],
            "session_id": ids(told, "session_"),
            "object_id": ids(told, ""),
            "chain_id": ids(told, "chain_"),
            "number": pa.array(told["number"]),
            "kind": of_list(told["kind"], _KINDS),
            "state": of_list(told["state"], _STATES),
            "final_state": of_list(told["final"], _STATES),
            **{
                name: at_ms(told[name])
                for name in ("opened_at", "deadline_at", "abandoned_at", "resolved_at")
            },
            "time": seconds(told["opened_at"]),
            "successor_id": ids(told, "next_"),
            "order_id": _order_ids(spoken.events, told["row"]),
            "cart_id": texts["cart"],
            "products": _products(texts["products"]),
            "value_e4": pa.array(told["value_e4"]),
            "currency": named["currency"],
            **{name: named[name] for name in DIMS},
            "version": pa.array(told["changes"]),
        }
        return batch_of(columns, OBJECTS)

    def participations(self, spoken: Spoken, words: Words) -> pa.RecordBatch:
        """One row per session and chain that it takes part in."""
        links = spoken.links
        ended = links["state"] != OPEN
        stages = np.where(ended, links["kind"], 0)
        columns = {
            **self._names(spoken.journey, stages),
            "site": as_word(links["site"], words.known),
            "session_id": ids(links, ""),
            "time": seconds(links["started_at"]),
            "chain_id": ids(links, "chain_"),
            "state": of_list(links["state"], _STATES),
            "version": pa.array((1 + ended).astype(np.uint32)),
        }
        return batch_of(columns, PARTICIPATIONS)

    def ranks(self, journey: int) -> NDArray[np.uint8]:
        """The rank of the stage that each kind stands for."""
        return self._kinds[journey].rank

    def _names(self, journey: int, kind: NDArray[np.uint8]) -> dict[str, pa.Array]:
        """Of which journey, and which stage each kind stands for; kind 0 for none."""
        stages, n = self._kinds[journey], len(kind)
        return {
            "journey": of_list(np.zeros(n, np.int32), stages.journey),
            "journey_version": pa.array(np.full(n, stages.version, np.uint16)),
            "stage": of_list(stages.code[kind], stages.names),
            "rank": pa.array(stages.rank[kind]),
        }


class _Stages(NamedTuple):
    """The stages that the kinds of a journey's objects stand for."""

    journey: pa.Array
    version: int
    names: pa.Array  # each once, the first ''
    code: NDArray[np.int32]  # of names, by kind
    rank: NDArray[np.uint8]  # by kind

    @classmethod
    def of(cls, journey: Journey) -> _Stages:
        rank = np.zeros(len(KINDS) + 1, np.uint8)
        for one in journey.objects.kinds if journey.objects else ():
            rank[one.kind] = one.rank
        by_kind = [journey.stages[r - 1].name if r else "" for r in rank.tolist()]
        names = list(dict.fromkeys(["", *by_kind]))
        code = np.array([names.index(name) for name in by_kind], np.int32)
        return cls(pa.array([journey.name]), journey.version, pa.array(names), code, rank)


def orders(emitted: Emitted) -> pa.RecordBatch | None:
    """The orders of a call of `track`, repeats not among them."""
    events = emitted.events
    placed = events.order[emitted.intents["row"]] == PLACED
    told, lag_ms = emitted.intents[placed], emitted.claimed.lag_ms[placed]
    if not len(told):
        return None
    row = told["row"]
    at = told["at"] - lag_ms
    inside = told["number"] > 0
    words = events.words[row].copy()
    words[inside, :CURRENCY] = emitted.state.slots.contexts[told["context"][inside]]
    order_id, cart_id, products = details(events, row)
    named = by_kind(words, emitted.state.words)
    columns = {
        "site": named["site"],
        "order_id": order_id,
        "visitor_id": events.visitor.arrow().take(pa.array(row)),
        "person_id": _persons(emitted, told),
        "session_id": ids(told, ""),
        "event_id": events.event_id.arrow().take(pa.array(row)),
        "at": at_ms(at),
        "time": seconds(at),
        "value_e4": pa.array(events.value_e4[row]),
        "currency": named["currency"],
        "products": _products(products),
        "cart_id": cart_id,
        "is_late": pa.array(lag_ms != 0),
        **{name: named[name] for name in DIMS},
    }
    return batch_of(columns, ORDERS)


def order_changes(emitted: Emitted) -> pa.RecordBatch | None:
    """The refunds and cancellations of a call of `track`."""
    events = emitted.events
    order = events.order[emitted.intents["row"]]
    told, lag_ms = emitted.intents[order > PLACED], emitted.claimed.lag_ms[order > PLACED]
    if not len(told):
        return None
    row = told["row"]
    columns = {
        "site": as_word(events.words[row, SITE], events.known),
        "order_id": details(events, row)[0],
        "change_id": events.event_id.arrow().take(pa.array(row)),
        "partition": pa.array(events.partition[row]),
        "position": pa.array(events.position[row]),
        "kind": as_word(events.order[row], ["", *ORDER_KINDS]),
        "at": at_ms(told["at"] - lag_ms),
        "value_e4": pa.array(events.value_e4[row]),
        "currency": as_word(events.words[row, CURRENCY], events.known),
        "is_late": pa.array(lag_ms != 0),
    }
    return batch_of(columns, ORDER_CHANGES)


def _persons(emitted: Emitted, told: NDArray[np.void]) -> pa.Array:
    """Known to the session, else by the event."""
    refs = told["person"]
    in_session = _texts(emitted.state.slots.heap, refs >> REF_BITS, refs & ((1 << REF_BITS) - 1))
    events, row = emitted.events, pa.array(told["row"])
    user, visitor = events.user.arrow().take(row), events.visitor.arrow().take(row)
    own = pc.if_else(pc.equal(pc.binary_length(user), 0), visitor, user)
    return pc.if_else(pa.array(told["number"] > 0), in_session, own)


def details(events: Events, row: NDArray[np.int32]) -> list[pa.Array]:
    """Order id, cart id and products of these events."""
    found = events.detail.arrow().take(pa.array(row))
    parts = pc.split_pattern(found, chr(DETAIL_END), max_splits=3)
    return [pc.list_element(parts, k) for k in range(3)]


def _order_ids(events: Events | None, row: NDArray[np.int32]) -> pa.Array:
    """The order ids of the events `row`, '' where that is -1."""
    ids = pa.array(np.full(len(row), ""), pa.string())
    ordered = np.flatnonzero(row >= 0)
    if not len(ordered) or events is None:
        return ids
    return pc.replace_with_mask(ids, pa.array(row >= 0), details(events, row[ordered])[0])


def _products(joined: pa.Array) -> pa.Array:
    """Lists of what a separator joins; none of ''."""
    lists = pc.split_pattern(joined, chr(PRODUCT_END))
    lengths = pc.list_value_length(lists).to_numpy(zero_copy_only=False)
    full = np.asarray(pc.greater(pc.binary_length(lists.values), 0).to_numpy(zero_copy_only=False))
    ends = np.concatenate([[0], np.cumsum(full)])[np.concatenate([[0], np.cumsum(lengths)])]
    made = pa.ListArray.from_arrays(pa.array(ends, pa.int32()), lists.values.filter(pa.array(full)))
    return made.cast(ORDERS.field("products").type)


def by_kind(codes: NDArray[np.int32], words: Words) -> dict[str, pa.Array]:
    """Codes [n, kinds] of a shard's words as columns named by their dictionaries, which are kept between
    batches.
    """
    number, word, used = words.naming.open()
    named = _named(codes, number, word, used)
    return {kind: of_list(named[k], known) for k, (kind, known) in enumerate(words.naming.arrays().items())}


@njit(cache=True, nogil=True)
def _named(codes, number, word, used):  # type: ignore[no-untyped-def]
    codes, number, word, used = borrowed(codes), borrowed(number), borrowed(word), borrowed(used)
    out = np.empty((codes.shape[1], codes.shape[0]), np.int32)
    for r in range(codes.shape[0]):
        for kind in range(codes.shape[1]):
            out[kind, r] = name_of(number, word, used, kind, codes[r, kind])
    return out


def of_list(codes: NDArray[Any], words: pa.Array) -> pa.Array:
    """Codes of `words`, which holds each once."""
    buffer = pa.py_buffer(np.ascontiguousarray(codes, np.int32))
    return pa.DictionaryArray.from_buffers(WORD, len(codes), [None, buffer], words, 0)


def as_word(codes: NDArray[Any], known: Sequence[str]) -> pa.Array:
    """Codes as a dictionary of only the words that they use."""
    occurs = np.zeros(len(known), np.bool_)
    occurs[codes] = True
    used = np.flatnonzero(occurs)
    words = [known[code] for code in used.tolist()]
    once = list(dict.fromkeys(words))  # two stages may have one name for different kinds
    place = np.zeros(len(known), np.int32)
    place[used] = [once.index(word) for word in words]
    return pa.DictionaryArray.from_arrays(pa.array(place[codes], pa.int32()), pa.array(once, pa.string()))


def ids(told: NDArray[np.void], prefix: str) -> pa.Array:
    halves = np.column_stack([told[f"{prefix}h1"], told[f"{prefix}h2"]]).astype("<u8")
    return pa.Array.from_buffers(ID128, len(told), [None, pa.py_buffer(halves.tobytes())])


def at_ms(ms: NDArray[np.int64]) -> pa.Array:
    return pa.array(np.ascontiguousarray(ms)).view(AT)


def seconds(ms: NDArray[np.int64]) -> pa.Array:
    return pa.array(ms // 1000).view(SECOND)


def batch_of(columns: Mapping[str, pa.Array], schema: pa.Schema) -> pa.RecordBatch:
    return pa.record_batch([columns[name] for name in schema.names], schema=schema)


def _texts(heap: NDArray[np.uint8], starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> pa.Array:
    """The texts heap[start:start+length]."""
    offsets = np.zeros(len(starts) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    return string_array(offsets, _gather(heap, np.ascontiguousarray(starts), offsets))


@njit(cache=True, nogil=True)
def _gather(heap, starts, offsets):  # type: ignore[no-untyped-def]
    heap, starts, offsets = borrowed(heap), borrowed(starts), borrowed(offsets)
    out = np.empty(offsets[starts.shape[0]], uint8)
    for k in range(starts.shape[0]):
        copy_bytes(out, offsets[k], heap, starts[k], offsets[k + 1] - offsets[k])
    return out
