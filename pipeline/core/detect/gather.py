"""From the cohorts of the shards to minutes of scopes: summed, in the order of time, when all have passed.

Integers only, and which segments are known follows from minutes and names, so it does not matter which shard
came first, nor how the stream was cut.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.core.count.cohorts import COHORT, NOW
from pipeline.core.detect.minutes import HORIZONS_MINUTES, WHOLE, Minute, Scope
from pipeline.core.words import Words
from schemas.journeys import Journey

DIMENSIONS: Final = ("channel", "country", "device", "site")
"""By which steps are cut into segments; one whose value is not known is no segment."""

SEGMENTS_MAX: Final = 500
"""Of one step: those that come first. Each costs memory, and a part of the budget of false alarms."""

WORDS_SLACK: Final = 4096
"""Words are rebuilt when they are four times those that scopes use plus this."""

ENDED: Final = np.iinfo(np.int64).max
"""What a shard has passed at the end of all."""

EMPTY: Final = np.empty(0, COHORT)
_CODE_BITS: Final = 24
_DIMENSION_BITS: Final = 3
_RANK_BITS: Final = 5
_JOURNEY_BITS: Final = 8


Key = tuple[int, int, int, int]
"""Place of the journey, rank, place of the dimension from 1 (0: the whole step), code of its value."""


@dataclass(frozen=True)
class Settled:
    """What one shard's cohorts told, and the last minute that it has passed (ENDED at the end of all)."""

    shard: int
    rows: NDArray[np.void]  # COHORT
    known: list[str]  # the words of its codes
    passed: int

    def __reduce__(self) -> tuple[object, ...]:
        """Sent to another process they take only their own words along."""
        rows = self.rows.copy()
        codes = np.column_stack([rows[name] for name in DIMENSIONS])
        used, local = np.unique(codes, return_inverse=True)
        for k, name in enumerate(DIMENSIONS):
            rows[name] = local.reshape(codes.shape)[:, k]
        return Settled, (self.shard, rows, [self.known[code] for code in used.tolist()], self.passed)


class Gather:
    """Collects what `shards` shards tell until all have passed a minute."""

    def __init__(self, journeys: Sequence[Journey], shards: int, segments_max: int = SEGMENTS_MAX) -> None:
        self._journeys = journeys
        self._segments_max = segments_max
        self._begin(EMPTY, Words(), np.full(shards, -1, np.int64), -1)
        self._scopes: dict[Key, Scope] = {}
        self._segments: dict[tuple[int, int], int] = {}  # by journey and rank: how many
        self.left_out = 0
        """How often a segment beyond the limit was left out of a minute."""

    def _begin(self, rows: NDArray[np.void], words: Words, passed: NDArray[np.int64], told: int) -> None:
        self._rows, self._words, self._passed = rows, words, passed
        self.told = told
        """The last minute that was handed on; -1: none."""

    def apply(self, parts: Sequence[Settled]) -> list[Minute]:
        """Takes what shards tell; returns the minutes that all have passed now, with those in which nothing
        was: silence is news. Before the first cohort there is nothing to be silent, and at the end of all the
        last minute is that in which somebody came last.
        """
        for part in parts:
            self._passed[part.shard] = part.passed
        self._rows = np.concatenate([self._rows, *(self._translated(part) for part in parts)])
        until = int(self._passed.min())
        if until == ENDED:  # what is behind the last record is not known: it is no silence
            seen = self._rows["minute"][self._rows["horizon"] == NOW]
            until = int(seen.max()) if len(seen) else self.told
        due = self._rows["minute"] <= until
        if until <= self.told or (self.told < 0 and not due.any()):
            return []
        rows, self._rows = self._rows[due], self._rows[~due]
        first = self.told + 1 if self.told >= 0 else int(rows["minute"].min())
        self.told = until
        minutes = [*self._minutes(rows, first, until)]
        self._prune()
        return minutes

    def _translated(self, part: Settled) -> NDArray[np.void]:
        rows = part.rows.copy()
        for name in DIMENSIONS:
            used, inverse = np.unique(rows[name], return_inverse=True)
            rows[name] = self._words.codes([part.known[code] for code in used.tolist()])[inverse]
        return rows

    def _minutes(self, rows: NDArray[np.void], first: int, until: int) -> Iterator[Minute]:
        keys, sums = _summed(rows, first)
        minutes = (keys >> (_CODE_BITS + _DIMENSION_BITS + _RANK_BITS + _JOURNEY_BITS)) + first
        ends = np.searchsorted(minutes, np.arange(first, until + 1), side="right")
        begin = 0
        for minute, end in zip(range(first, until + 1), ends.tolist(), strict=True):
            yield self._minute(minute, keys[begin:end], sums[begin:end])
            begin = end

    def _minute(self, at: int, keys: NDArray[np.int64], sums: NDArray[np.int64]) -> Minute:
        found = self._scopes_of([_parted(key) for key in keys.tolist()])
        kept = [place for place, scope in enumerate(found) if scope is not None]
        own = sums[kept]
        h = len(HORIZONS_MINUTES)
        return Minute(
            at=at,
            scopes=[scope for scope in found if scope is not None],
            settled=own[:, :h],
            went_on=own[:, h + 1 : 2 * h + 1],
            entered=own[:, h],
            skipped=own[:, 2 * h + 2],
            value_e4=own[:, 2 * h + 3],
        )

    def _scopes_of(self, keys: list[Key]) -> list[Scope | None]:
        """The scope of each key; None for a segment beyond the limit. New ones come in by their names."""
        fresh = {key: self._scope(*key) for key in keys if key not in self._scopes}
        for key in sorted(fresh, key=lambda one: fresh[one]):
            count = self._segments.get(key[:2], 0)
            if key[2] and count >= self._segments_max:
                self.left_out += 1
                continue
            self._segments[key[:2]] = count + (key[2] > 0)
            self._scopes[key] = fresh[key]
        return [self._scopes.get(key) for key in keys]

    def _prune(self) -> None:
        """Forgets words that neither a scope nor a row that waits needs."""
        if len(self._words.known) > 4 * (len(self._scopes) + len(self._rows)) + WORDS_SLACK:
            self.load(self.dump())

    def _scope(self, journey: int, rank: int, dimension: int, code: int) -> Scope:
        one = self._journeys[journey]
        segment = ((DIMENSIONS[dimension - 1], self._words.known[code]),) if dimension else WHOLE
        return Scope(one.name, one.version, rank, one.stages[rank - 1].name, segment)

    def dump(self) -> dict[str, Any]:
        """State for a snapshot: what waits, which segments are known, and the words of both."""
        rows, keys = self._rows.copy(), np.array([*self._scopes], np.int64).reshape(-1, 4)
        codes = [keys[:, 3], *(rows[name].astype(np.int64) for name in DIMENSIONS)]
        used, local = np.unique(np.concatenate([[0], *codes]), return_inverse=True)
        own = np.split(local[1:], np.cumsum([len(one) for one in codes])[:-1])
        keys[:, 3] = own[0]
        for name, column in zip(DIMENSIONS, own[1:], strict=True):
            rows[name] = column
        return {
            "rows": rows,
            "scopes": keys,
            "words": [self._words.known[code] for code in used.tolist()],
            "passed": self._passed.copy(),
            "told": self.told,
            "left_out": self.left_out,
        }

    def load(self, dumped: dict[str, Any]) -> None:
        """Goes on from what `dump` wrote."""
        self._begin(dumped["rows"], Words(dumped["words"]), dumped["passed"], int(dumped["told"]))
        self.left_out = int(dumped["left_out"])
        self._scopes, self._segments = {}, {}
        for journey, rank, dimension, code in dumped["scopes"].tolist():
            self._scopes[journey, rank, dimension, code] = self._scope(journey, rank, dimension, code)
            count = self._segments.get((journey, rank), 0)
            self._segments[journey, rank] = count + (dimension > 0)


def _summed(rows: NDArray[np.void], first: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Keys, ascending, of minute, journey, rank, dimension and its value, and their sums: who settled and who
    went on by horizon (with NOW as the last of each), who skipped, and value.
    """
    step = (rows["minute"] - first) << _JOURNEY_BITS | rows["journey"].astype(np.int64)
    step = step << _RANK_BITS | rows["rank"].astype(np.int64)
    keys, places = [], []
    for dimension in range(len(DIMENSIONS) + 1):
        code = (
            rows[DIMENSIONS[dimension - 1]].astype(np.int64) if dimension else np.zeros(len(rows), np.int64)
        )
        place = np.flatnonzero(code) if dimension else np.arange(len(rows))
        keys.append((step[place] << _DIMENSION_BITS | dimension) << _CODE_BITS | code[place])
        places.append(place)
    found, inverse = np.unique(np.concatenate(keys), return_inverse=True)
    whole = rows[np.concatenate(places)]
    horizons = NOW + 1
    sums = np.zeros((len(found), 2 * horizons + 2), np.int64)
    np.add.at(sums, (inverse, whole["horizon"]), whole["entered"])
    np.add.at(sums, (inverse, horizons + whole["horizon"]), whole["went_on"])
    np.add.at(sums[:, 2 * horizons], inverse, whole["skipped"])
    np.add.at(sums[:, 2 * horizons + 1], inverse, whole["value_e4"])
    return found, sums


def _parted(key: int) -> Key:
    """Journey, rank, dimension and code of a key."""
    code, key = key & (1 << _CODE_BITS) - 1, key >> _CODE_BITS
    dimension, key = key & (1 << _DIMENSION_BITS) - 1, key >> _DIMENSION_BITS
    rank, key = key & (1 << _RANK_BITS) - 1, key >> _RANK_BITS
    return key & (1 << _JOURNEY_BITS) - 1, rank, dimension, code
