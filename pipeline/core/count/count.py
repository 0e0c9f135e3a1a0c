"""Minute counters of one shard: absolute values that only grow, per stage, device, channel, currency.

A row is written whenever it changed and leaves the state when the watermark has passed its minute:
nothing can change it then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from pipeline.core.count.tallies import Increments, Tallies
from pipeline.core.facts.frames import Plan
from pipeline.core.raw import borrowed
from pipeline.core.rows import CHANNEL, CURRENCY, DEVICE, SITE
from pipeline.core.words import name
from schemas.journeys import Journey
from schemas.tables import FUNNEL_COUNTS, FUNNEL_MINUTE

VALUE: Final = len(FUNNEL_COUNTS)
_I32: Final = ("site", "device", "channel", "currency", "journey", "stage")
_I64: Final = (*FUNNEL_COUNTS, "value_e4", "time")
_PLAN: Final = Plan(
    {field.name: field.type for field in FUNNEL_MINUTE},
    {
        **{column: row for row, column in enumerate(_I32)},
        **{column: row for row, column in enumerate(_I64)},
        "journey_version": 0,
        "shard": 1,
        "rank": 0,
    },
    {},
)


class Count:
    """One shard's counters of minutes that can still change."""

    def __init__(self, journeys: Sequence[Journey], shard: int) -> None:
        self.shard = shard
        stages = np.full((len(journeys), 16), "", object)
        for j, journey in enumerate(journeys):
            for stage in journey.stages:
                stages[j, stage.rank] = stage.name
        self._stages, self._stage = _coded(stages.ravel().tolist())
        self._names, self._journey = _coded([journey.name for journey in journeys])
        self._version = np.array([journey.version for journey in journeys], np.uint16)
        self.tallies = Tallies(len(FUNNEL_COUNTS))

    @property
    def rows(self) -> int:
        """Counters of minutes that can still change."""
        return self.tallies.used

    def apply(self, increments: Sequence[Increments], watermark: int) -> pa.RecordBatch | None:
        """Adds `increments`; returns the rows they changed. `watermark` is the least of all lanes."""
        changed = np.zeros(len(self.tallies.keys), np.bool_)
        for part in increments:
            changed = self.tallies.add(part, changed)
        touched = np.flatnonzero(changed)
        batch = self._batch(touched) if len(touched) else None
        self.tallies.forget(watermark)
        return batch

    def _batch(self, touched: NDArray[np.int64]) -> pa.RecordBatch:
        """The rows `touched` as they stand."""
        n, tallies = len(touched), self.tallies
        out = _PLAN.room(n)
        journey = tallies.keys["journey"][touched]
        out.i32[4] = self._journey[journey]
        out.i32[5] = self._stage[16 * journey.astype(np.int64) + tallies.keys["rank"][touched]]
        out.u16[0] = self._version[journey]
        out.u16[1] = self.shard
        _spread(touched, tallies.keys, tallies.totals, tallies.words.naming.open(), out)
        words = {**tallies.words.naming.arrays(), "journey": self._names, "stage": self._stages}
        return pa.record_batch(_PLAN.arrays(out, n, words), schema=FUNNEL_MINUTE)

    def dump(self) -> dict[str, Any]:
        """State for a snapshot."""
        return self.tallies.dump()

    def load(self, dumped: dict[str, Any]) -> None:
        """Goes on from what `dump` wrote."""
        self.tallies.load(dumped)


def _coded(names: list[str]) -> tuple[pa.Array, NDArray[np.int32]]:
    """`names` as a dictionary that holds each once, and the code of each."""
    once = list(dict.fromkeys(names))
    return pa.array(once, pa.string()), np.array([once.index(name) for name in names], np.int32)


@njit(cache=True, nogil=True)
def _spread(touched, keys, totals, known, out):  # type: ignore[no-untyped-def]
    """The columns of the rows `touched` that are not the journeys' own."""
    keys, totals, i64, i32, u8 = (
        borrowed(keys),
        borrowed(totals),
        borrowed(out.i64),
        borrowed(out.i32),
        borrowed(out.u8),
    )
    number, word, count = borrowed(known.number), borrowed(known.word), borrowed(known.used)
    for r in range(touched.shape[0]):
        k = touched[r]
        key = keys[k]
        i32[0, r] = name(number, word, count, SITE, key.site)
        i32[1, r] = name(number, word, count, DEVICE, key.device)
        i32[2, r] = name(number, word, count, CHANNEL, key.channel)
        i32[3, r] = name(number, word, count, CURRENCY, key.currency)
        for what in range(VALUE + 1):
            i64[what, r] = totals[k, what]
        i64[VALUE + 1, r] = key.minute // 1000
        u8[0, r] = key.rank
