"""Minute counters of one shard: absolute values that only grow, per stage, device, channel, currency.

A row is written whenever it changed and leaves the state when the watermark has passed its minute:
nothing can change it then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from pipeline.core.count import tally
from pipeline.core.count.tally import VALUE
from pipeline.core.facts.frames import Plan
from pipeline.core.raw import borrowed
from pipeline.core.rows import CHANNEL, CURRENCY, DEVICE, SITE
from pipeline.core.words import Words, name
from schemas.journeys import Journey
from schemas.tables import FUNNEL_COUNTS, FUNNEL_MINUTE

WORDS: Final = ("site", "device", "channel", "currency")
WORDS_SLACK: Final = 1024
"""Words are rebuilt when they are four times the rows plus this: a bound that a small state never meets."""

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


@dataclass(frozen=True)
class Increments:
    """What one call of `track` counted: COUNT_OUT rows, with their words (a list that only grows)."""

    rows: NDArray[np.void]
    known: list[str]

    def __reduce__(self) -> tuple[object, ...]:
        """Sent to another process they take only their own words along."""
        codes = np.column_stack([self.rows[column] for column in WORDS])
        used, local = np.unique(codes, return_inverse=True)
        rows = self.rows.copy()
        for k, column in enumerate(WORDS):
            rows[column] = local.reshape(codes.shape)[:, k]
        return Increments, (rows, [self.known[code] for code in used.tolist()])


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
        self._begin(np.empty(0, tally.KEY), np.empty((0, VALUE + 1), np.int64), Words())

    def _begin(self, keys: NDArray[np.void], totals: NDArray[np.int64], words: Words) -> None:
        self.words = words
        self._keys, self._totals = keys, totals
        self._used = len(keys)
        self._from: list[str] = []
        self._codes = np.zeros(0, np.int32)
        self._grow(1024)

    @property
    def rows(self) -> int:
        """Counters of minutes that can still change."""
        return self._used

    def apply(self, increments: Sequence[Increments], watermark: int) -> pa.RecordBatch | None:
        """Adds `increments`; returns the rows they changed. `watermark` is the least of all lanes."""
        changed = np.zeros(len(self._keys), np.bool_)
        for part in increments:
            changed = self._add(part, changed)
        touched = np.flatnonzero(changed)
        batch = self._batch(touched) if len(touched) else None
        self._forget(watermark)
        return batch

    def _add(self, part: Increments, changed: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Merges the rows of `part`; marks in `changed` what they touched."""
        self._translate(part)
        done = 0
        while True:
            done, self._used = tally.merge(
                part.rows, done, self._codes, self._keys, self._totals, self._index, self._used, changed
            )
            if done == len(part.rows):
                return changed
            self._grow(2 * len(self._keys))
            changed = np.concatenate([changed, np.zeros(len(self._keys) - len(changed), np.bool_)])

    def _translate(self, part: Increments) -> None:
        """Finds the code of every word that `part` uses; kept while the parts come with the same list."""
        if part.known is not self._from:
            self._from = part.known
            self._codes = np.zeros(0, np.int32)
        if len(self._codes) < len(part.known):
            more = len(part.known) + len(part.known) // 4 - len(self._codes)
            self._codes = np.concatenate([self._codes, np.full(more, -1, np.int32)])
        new = np.empty(4 * len(part.rows), np.int32)
        new = new[: tally.unknown(part.rows, self._codes, new)]
        if len(new):
            self._codes[new] = self.words.codes([part.known[code] for code in new.tolist()])

    def _grow(self, capacity: int) -> None:
        used, capacity = self._used, max(capacity, len(self._keys))
        keys, totals = np.zeros(capacity, tally.KEY), np.zeros((capacity, VALUE + 1), np.int64)
        keys[:used], totals[:used] = self._keys[:used], self._totals[:used]
        self._keys, self._totals = keys, totals
        self._index = np.zeros(1 << (2 * capacity).bit_length(), np.int32)
        tally.file(self._keys, used, self._index)

    def _forget(self, watermark: int) -> None:
        """Drops the rows whose minute has passed, and words when they have become many."""
        self._used, dropped = tally.drop(self._keys, self._totals, self._used, watermark)
        if dropped:
            self._index[:] = 0
            tally.file(self._keys, self._used, self._index)
        if len(self.words.known) > 4 * (self._used + WORDS_SLACK):
            self.load(self.dump())

    def _batch(self, touched: NDArray[np.int64]) -> pa.RecordBatch:
        """The rows `touched` as they stand."""
        n = len(touched)
        out = _PLAN.room(n)
        journey = self._keys["journey"][touched]
        out.i32[4] = self._journey[journey]
        out.i32[5] = self._stage[16 * journey.astype(np.int64) + self._keys["rank"][touched]]
        out.u16[0] = self._version[journey]
        out.u16[1] = self.shard
        _spread(touched, self._keys, self._totals, self.words.naming.open(), out)
        words = {**self.words.naming.arrays(), "journey": self._names, "stage": self._stages}
        return pa.record_batch(_PLAN.arrays(out, n, words), schema=FUNNEL_MINUTE)

    def dump(self) -> dict[str, Any]:
        """State for a snapshot: the rows, and the words that they use."""
        keys = self._keys[: self._used].copy()
        used, local = np.unique(
            np.concatenate([[0], *(keys[column] for column in WORDS)]), return_inverse=True
        )
        for column, codes in zip(WORDS, local[1:].reshape(len(WORDS), -1), strict=True):
            keys[column] = codes
        words = [self.words.known[code] for code in used.tolist()]
        return {"keys": keys, "totals": self._totals[: self._used].copy(), "words": words}

    def load(self, dumped: dict[str, Any]) -> None:
        """Goes on from what `dump` wrote."""
        self._begin(dumped["keys"], dumped["totals"], Words(dumped["words"]))


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
