"""Names of events that no running journey asks for, counted: a renamed event shows here first.

Such an event is accepted and belongs to its session; it enters no stage by its name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from schemas.journeys import Journey
from schemas.orders import Orders
from schemas.predicates import All, Any_, Compare, Not, Predicate
from schemas.tables import UNKNOWN_EVENTS

NAMES_MAX: Final = 1_000
"""Names kept per partition: a producer that puts ids into names must not fill the table."""

OTHER: Final = "(other)"


def names_asked_for(journeys: Sequence[Journey], orders: Orders | None = None) -> frozenset[str]:
    """The event names that stand in the conditions of `journeys` and `orders`."""
    asked = [rule.predicate for journey in journeys for rule in journey.rules]
    asked += [one for journey in journeys if journey.objects for one in journey.objects.predicates]
    asked += orders.predicates if orders else ()
    return frozenset(name for predicate in asked for name in _names(predicate))


def _names(predicate: Predicate) -> list[str]:
    if isinstance(predicate, (All, Any_)):
        return [name for part in predicate.parts for name in _names(part)]
    if isinstance(predicate, Not):
        return _names(predicate.part)
    if not isinstance(predicate, Compare) or predicate.field != "event":
        return []
    values = predicate.value if isinstance(predicate.value, tuple) else (predicate.value,)
    return [value for value in values if isinstance(value, str)]


class UnknownNames:
    """One partition's counts, absolute since the beginning."""

    def __init__(self, known: frozenset[str]) -> None:
        self._known = known
        self.counts: dict[str, int] = {}

    def apply(self, event: pa.DictionaryArray) -> dict[str, int]:
        """Counts the names of accepted events; returns the totals of those that changed."""
        words = event.dictionary.to_pylist()
        strange = [code for code, word in enumerate(words) if word not in self._known]
        if not strange:
            return {}
        codes = event.indices.to_numpy()
        found = np.bincount(codes, minlength=len(words))
        strange = [code for code in strange if found[code]]
        if len(self.counts) + len(strange) > NAMES_MAX:
            # Which names are kept must not depend on where a batch ended: those that came first.
            strange.sort(key=lambda code: int(np.argmax(codes == code)))
        changed: dict[str, int] = {}
        for code in strange:
            name = words[code]
            if name not in self.counts and len(self.counts) >= NAMES_MAX:
                name = OTHER
            self.counts[name] = changed[name] = self.counts.get(name, 0) + int(found[code])
        return changed


def unknown_rows(changed: dict[str, int], source: str, number: int) -> pa.RecordBatch:
    """Rows of the table unknown_events."""
    n = len(changed)
    columns: dict[str, Any] = {
        "source": pa.array([source] * n, pa.string()).dictionary_encode(),
        "partition": pa.array([number] * n, pa.int32()),
        "event": pa.array(list(changed), pa.string()).dictionary_encode(),
        "events": pa.array(list(changed.values()), pa.uint64()),
    }
    return pa.record_batch([columns[name] for name in UNKNOWN_EVENTS.names], schema=UNKNOWN_EVENTS)
