"""Which events are orders, and what events mean to the objects of journeys: decided on columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.core.events import Text
from pipeline.core.predicates import rule_bits
from pipeline.core.rows import DETAIL_END, INTENT_REMOVES, INTENT_WITHDRAWS, PRODUCT_END
from schemas.objects import Objects
from schemas.orders import Orders
from schemas.predicates import Predicate, fields_of

DETAILS: Final = ("order_id", "cart_id", "products")


def asked_for(one: Objects | Orders) -> set[str]:
    """The canonical fields that objects or orders need."""
    return {*DETAILS}.union(*(fields_of(predicate) for predicate in one.predicates))


def _flags(objects: Objects) -> list[tuple[Predicate, int]]:
    """Each condition of these objects, and what it adds to an intent. Of several kinds the highest counts."""
    flags = [(one.when, one.kind) for one in objects.kinds]
    flags += [(one.removes, INTENT_REMOVES) for one in objects.kinds if one.removes]
    return flags + ([(objects.withdrawn, INTENT_WITHDRAWS)] if objects.withdrawn else [])


class Intents:
    """Judges the batches of a deployment; `objects` are those of its journeys that have some, in order."""

    def __init__(self, objects: Sequence[Objects], orders: Orders | None) -> None:
        self._orders = orders.predicates if orders else ()
        self._flags = [_flags(one) for one in objects]

    def of(
        self, batch: pa.RecordBatch, lag_ms: NDArray[np.int64]
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8], Text]:
        """(order, intent, detail) of each event, the last two as `Rows` has them. `lag_ms` is how long
        before it takes effect a late order happened, 0 of events in time.
        """
        n = len(batch)
        order = np.zeros(n, np.uint8)
        if self._orders:
            bits = rule_bits(self._orders, batch)
            for kind in range(len(self._orders), 0, -1):
                order[bits >> np.uint32(kind - 1) & np.uint32(1) == 1] = kind
        intent = np.zeros((n, len(self._flags)), np.uint8)
        for k, flags in enumerate(self._flags):
            bits = rule_bits([predicate for predicate, _ in flags], batch)
            for place, (_, flag) in enumerate(flags):
                holds = bits >> np.uint32(place) & np.uint32(1) == 1
                if flag < INTENT_REMOVES:
                    intent[holds, k] = flag
                else:
                    intent[holds, k] |= np.uint8(flag)
        asked = np.flatnonzero((order > 0) | (intent > 0).any(axis=1))
        return order, intent, _details(batch, asked, order, lag_ms)


def _details(
    batch: pa.RecordBatch, asked: NDArray[np.int64], order: NDArray[np.uint8], lag_ms: NDArray[np.int64]
) -> Text:
    """Order id (of an order without one: the event's), cart id and products of the events `asked`; and
    where they are late, by how many milliseconds.
    """
    offsets = np.zeros(len(batch) + 1, np.int32)
    if not len(asked):
        return Text(offsets, np.empty(0, np.uint8))
    few = batch.select(["event_id", *DETAILS]).take(pa.array(asked))
    own = few.column("order_id")
    no_id = pc.and_(pc.equal(pc.binary_length(own), 0), pa.array(order[asked] > 0))
    order_id = pc.if_else(no_id, few.column("event_id"), own)
    order_id = pc.if_else(pa.array(order[asked] > 0), order_id, "")
    products = pc.fill_null(pc.binary_join(few.column("products"), chr(PRODUCT_END)), "")
    joined = pc.binary_join_element_wise(order_id, few.column("cart_id"), products, chr(DETAIL_END))
    if (late := lag_ms[asked] != 0).any():
        with_lag = pc.binary_join_element_wise(
            joined, pa.array(lag_ms[asked]).cast("string"), chr(DETAIL_END)
        )
        joined = pc.if_else(pa.array(late), with_lag, joined)
    few_text = Text.of(joined)
    offsets[1 + asked] = np.diff(few_text.offsets)
    np.cumsum(offsets, out=offsets)
    first, last = int(few_text.offsets[0]), int(few_text.offsets[-1])
    return Text(offsets, few_text.data[first:last])
