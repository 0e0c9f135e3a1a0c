"""Rows of objects, of the sessions that took part in them, and of orders: columns of the kernels as Arrow.

There are few of them beside sessions and transitions: each column is made by itself, in numpy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit, uint8
from numpy.typing import NDArray

from pipeline.core.events import Events
from pipeline.core.raw import borrowed, copy_bytes
from pipeline.core.rows import CURRENCY, DETAIL_END, DEVICE, PRODUCT_END, SITE
from pipeline.core.strings import string_array
from pipeline.core.track.layout import REF_BITS
from pipeline.core.track.objects.layout import OPEN, STATES
from pipeline.core.track.objects.objects import Spoken
from pipeline.core.track.track import Emitted
from schemas.journeys import Journey
from schemas.objects import KINDS
from schemas.orders import KINDS as ORDER_KINDS
from schemas.orders import PLACED
from schemas.tables import AT, DIMS, ID128, OBJECTS, ORDER_CHANGES, ORDERS, PARTICIPATIONS, SECOND


class ObjectTables:
    """Makes rows of `objects` and `participations` for the journeys of a deployment."""

    def __init__(self, journeys: Sequence[Journey]) -> None:
        self._journeys = journeys
        self._stages: list[tuple[list[str], list[int]]] = []  # name and rank of the stage, by kind
        for journey in journeys:
            ranks = {one.kind: one.rank for one in journey.objects.kinds} if journey.objects else {}
            by_kind = [ranks.get(kind, 1) for kind in range(len(KINDS) + 1)]
            self._stages.append(([journey.stages[rank - 1].name for rank in by_kind], by_kind))

    def objects(self, spoken: Spoken, known: Sequence[str]) -> pa.RecordBatch:
        """One row per object as it stands."""
        told = spoken.records
        starts = told["text"].copy()
        texts = {}
        for name in ("visitor", "person", "cart", "products"):
            texts[name] = _texts(spoken.heap, starts, told[f"{name}_n"].astype(np.int64))
            starts += told[f"{name}_n"]
        columns = {
            **self._names(spoken.journey, told["kind"]),
            "site": as_word(spoken.words[:, SITE], known),
            "visitor_id": texts["visitor"],
            "person_id": texts["person"],
            "session_id": ids(told, "session_"),
            "object_id": ids(told, ""),
            "chain_id": ids(told, "chain_"),
            "number": pa.array(told["number"]),
            "kind": as_word(told["kind"], ["", *KINDS]),
            "state": as_word(told["state"], STATES),
            "final_state": as_word(told["final"], STATES),
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
            "currency": as_word(spoken.words[:, CURRENCY], known),
            **_dims(spoken.words, known),
            "version": pa.array(told["changes"]),
        }
        return batch_of(columns, OBJECTS)

    def participations(self, spoken: Spoken, known: Sequence[str]) -> pa.RecordBatch:
        """One row per session and chain that it takes part in."""
        links = spoken.links
        ended = links["state"] != OPEN
        named = self._names(spoken.journey, links["kind"])
        stages = np.where(ended, links["kind"], 0)
        names, ranks = self._stages[spoken.journey]
        columns = {
            **named,
            "site": as_word(links["site"], known),
            "session_id": ids(links, ""),
            "time": seconds(links["started_at"]),
            "chain_id": ids(links, "chain_"),
            "state": as_word(links["state"], STATES),
            "stage": as_word(stages, ["", *names[1:]]),
            "rank": pa.array(np.array([0, *ranks[1:]], np.uint8)[stages]),
            "version": pa.array((1 + ended).astype(np.uint32)),
        }
        return batch_of(columns, PARTICIPATIONS)

    def ranks(self, journey: int) -> NDArray[np.uint8]:
        """The rank of the stage that each kind stands for."""
        return np.array(self._stages[journey][1], np.uint8)

    def _names(self, journey: int, kind: NDArray[np.uint8]) -> dict[str, pa.Array]:
        """Of which journey, and which stage each kind stands for."""
        definition, n = self._journeys[journey], len(kind)
        names, ranks = self._stages[journey]
        return {
            "journey": as_word(np.zeros(n, np.int32), [definition.name]),
            "journey_version": pa.array(np.full(n, definition.version, np.uint16)),
            "stage": as_word(kind, names),
            "rank": pa.array(np.array(ranks, np.uint8)[kind]),
        }


def orders(emitted: Emitted) -> pa.RecordBatch | None:
    """The orders of a call of `track`, repeats not among them."""
    events = emitted.events
    told = emitted.intents[events.order[emitted.intents["row"]] == PLACED]
    if not len(told):
        return None
    row, known = told["row"], events.known
    at = told["at"] - events.lag_ms[row]
    inside = told["number"] > 0
    words = events.words[row].copy()
    words[inside, :CURRENCY] = emitted.state.slots.contexts[told["context"][inside]]
    order_id, cart_id, products = details(events, row)
    columns = {
        "site": as_word(words[:, SITE], known),
        "order_id": order_id,
        "visitor_id": events.visitor.arrow().take(pa.array(row)),
        "person_id": _persons(emitted, told),
        "session_id": ids(told, ""),
        "event_id": events.event_id.arrow().take(pa.array(row)),
        "at": at_ms(at),
        "time": seconds(at),
        "value_e4": pa.array(events.value_e4[row]),
        "currency": as_word(words[:, CURRENCY], known),
        "products": _products(products),
        "cart_id": cart_id,
        "is_late": pa.array(events.lag_ms[row] != 0),
        **_dims(words, known),
    }
    return batch_of(columns, ORDERS)


def order_changes(emitted: Emitted) -> pa.RecordBatch | None:
    """The refunds and cancellations of a call of `track`."""
    events = emitted.events
    told = emitted.intents[events.order[emitted.intents["row"]] > PLACED]
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
        "at": at_ms(told["at"] - events.lag_ms[row]),
        "value_e4": pa.array(events.value_e4[row]),
        "currency": as_word(events.words[row, CURRENCY], events.known),
        "is_late": pa.array(events.lag_ms[row] != 0),
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
    parts = pc.split_pattern(found, chr(DETAIL_END), max_splits=2)
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


def _dims(words: NDArray[np.int32], known: Sequence[str]) -> dict[str, pa.Array]:
    return {name: as_word(words[:, DEVICE + k], known) for k, name in enumerate(DIMS)}


def as_word(codes: NDArray[Any], known: Sequence[str]) -> pa.Array:
    """Codes as a dictionary of only the words that they use."""
    used, local = np.unique(codes, return_inverse=True)
    words = [known[code] for code in used.tolist()]
    once = list(dict.fromkeys(words))  # two stages may have one name for different kinds
    place = np.array([once.index(word) for word in words], np.int32)
    return pa.DictionaryArray.from_arrays(
        pa.array(place[local.reshape(-1)], pa.int32()), pa.array(once, pa.string())
    )


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
