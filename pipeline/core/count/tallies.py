"""Counters of one shard by key, with words of their own: what `count.py` and `cohorts.py` count in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.core.count import tally
from pipeline.core.words import Words

WORDS: Final = ("site", "device", "channel", "currency")
WORDS_SLACK: Final = 1024
"""Words are rebuilt when they are four times the rows plus this: a bound that a small state never meets."""


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


class Tallies:
    """Rows of `columns` counters and one of money; `keys` (tally.KEY) and `totals` say what is counted."""

    def __init__(self, columns: int) -> None:
        self._columns = columns
        self._begin(np.empty(0, tally.KEY), np.empty((0, columns + 1), np.int64), Words())

    def _begin(self, keys: NDArray[np.void], totals: NDArray[np.int64], words: Words) -> None:
        self.words = words
        self.keys, self.totals = keys, totals
        self.used = len(keys)
        self._from: list[str] = []
        self._codes = np.zeros(0, np.int32)
        self._grow(1024)

    def add(self, part: Increments, changed: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Merges the rows of `part`; marks in `changed`, which has a place for each, those it touched."""
        self._translate(part)
        done = 0
        while True:
            done, self.used = tally.merge(
                part.rows, done, self._codes, self.keys, self.totals, self._index, self.used, changed
            )
            if done == len(part.rows):
                return changed
            self._grow(2 * len(self.keys))
            changed = np.concatenate([changed, np.zeros(len(self.keys) - len(changed), np.bool_)])

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
        used, capacity = self.used, max(capacity, len(self.keys))
        keys, totals = np.zeros(capacity, tally.KEY), np.zeros((capacity, self._columns + 1), np.int64)
        keys[:used], totals[:used] = self.keys[:used], self.totals[:used]
        self.keys, self.totals = keys, totals
        self._index = np.zeros(1 << (2 * capacity).bit_length(), np.int32)
        tally.file(self.keys, used, self._index)

    def forget(self, watermark: int) -> None:
        """Drops the rows whose minute has passed, and words when they have become many."""
        self.used, dropped = tally.drop(self.keys, self.totals, self.used, watermark)
        if dropped:
            self._index[:] = 0
            tally.file(self.keys, self.used, self._index)
        if len(self.words.known) > 4 * (self.used + WORDS_SLACK):
            self.load(self.dump())

    def dump(self) -> dict[str, Any]:
        """State for a snapshot: the rows, and the words that they use."""
        keys = self.keys[: self.used].copy()
        used, local = np.unique(
            np.concatenate([[0], *(keys[column] for column in WORDS)]), return_inverse=True
        )
        for column, codes in zip(WORDS, local[1:].reshape(len(WORDS), -1), strict=True):
            keys[column] = codes
        words = [self.words.known[code] for code in used.tolist()]
        return {"keys": keys, "totals": self.totals[: self.used].copy(), "words": words}

    def load(self, dumped: dict[str, Any]) -> None:
        """Goes on from what `dump` wrote."""
        self._begin(dumped["keys"], dumped["totals"], Words(dumped["words"]))
