"""From the cohorts of the shards to minutes of scopes: summed, in the order of time, when all have passed.

Integers only, and which segments are known follows from minutes, counts and names, so it does not matter
which shard came first, nor how the stream was cut.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.core.count.cohorts import COHORT, NOW
from pipeline.core.count.kinds import step_of
from pipeline.core.detect.minutes import HORIZONS_MINUTES, Minute, Scope
from pipeline.core.detect.sums import (
    DAY,
    DIMENSIONS,
    JOURNEYS_MAX,
    KEY_COLUMNS,
    KINDS,
    PAIRS_FROM,
    RANK_MAX,
    Key,
    halves,
    summed,
)
from pipeline.core.words import Words
from schemas.journeys import Journey

SEGMENTS_MAX: Final = 500
"""Of one step: those that come first. Each costs memory, and a part of the budget of false alarms."""

PAIRS_MAX: Final = 200
"""Pairs of values of two dimensions, of one step: those that come first, the larger of a minute before the
smaller. No test looks at them, so they cost memory alone; they explain what was found in something larger, so
the small ones that come late could say little. They are beside the segments, never in the place of one.
"""

PAIRS_ALL_MAX: Final = 5_000
"""Of all steps together: the detector has room for so many beside twenty thousand others."""

WORDS_SLACK: Final = 4096
"""Words are rebuilt when they are four times those that scopes use plus this."""

ENDED: Final = np.iinfo(np.int64).max
"""What a shard has passed at the end of all."""

EMPTY: Final = np.empty(0, COHORT)


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


def by_journey(journeys: int, settled: Settled) -> list[tuple[str, Settled]]:
    """The same for a detector of each journey, by key: time passes for all of them."""
    rows = settled.rows
    return [(f"detect-{j}", replace(settled, rows=rows[rows["journey"] == j])) for j in range(journeys)]


class Gather:
    """Collects what `shards` shards tell until all have passed a minute."""

    def __init__(
        self,
        journeys: Sequence[Journey],
        shards: int,
        segments_max: int = SEGMENTS_MAX,
        pairs_max: int = PAIRS_MAX,
        pairs_all_max: int = PAIRS_ALL_MAX,
    ) -> None:
        assert len(journeys) <= JOURNEYS_MAX
        assert all(len(journey.stages) <= RANK_MAX for journey in journeys)
        self._journeys = journeys
        self._segments_max, self._pairs_max, self._pairs_all_max = segments_max, pairs_max, pairs_all_max
        self._begin(EMPTY, Words(), np.full(shards, -1, np.int64), -1)
        self.left_out = 0
        """How often a segment or a pair beyond its limit was left out of a minute."""

    def _begin(self, rows: NDArray[np.void], words: Words, passed: NDArray[np.int64], told: int) -> None:
        self._rows, self._words, self._passed = rows, words, passed
        self.told = told
        """The last minute that was handed on; -1: none."""
        self._scopes: dict[Key, Scope] = {}
        self._segments: Counter[tuple[int, int]] = Counter()  # by journey and rank: how many
        self._values: Counter[tuple[int, int, int]] = Counter()  # the same of one kind
        self._pairs: Counter[tuple[int, int]] = Counter()
        self._pairs_all = 0
        self._codes: list[set[int]] = [set() for _ in KINDS]  # of values, by their kind

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
        rows = rows[np.argsort(rows["minute"], kind="stable")]
        days = np.arange(first, until + 1 + DAY, DAY)
        cuts = np.searchsorted(rows["minute"], days).tolist()
        for day, begin, end in zip(days[:-1].tolist(), cuts, cuts[1:], strict=False):
            yield from self._day(rows[begin:end], day, min(day + DAY - 1, until))

    def _day(self, rows: NDArray[np.void], first: int, until: int) -> Iterator[Minute]:
        minutes, keys, sums = summed(rows, first, self._kinds(rows))
        ends = np.searchsorted(minutes, np.arange(first, until + 1), side="right")
        begin = 0
        for minute, end in zip(range(first, until + 1), ends.tolist(), strict=True):
            yield self._minute(minute, keys[begin:end], sums[begin:end])
            begin = end

    def _kinds(self, rows: NDArray[np.void]) -> list[int]:
        """Those that may come of these rows: no pairs with a dimension that has but one value."""
        varied: set[str] = set()
        for kind in range(1, PAIRS_FROM):
            used = np.unique(rows[KINDS[kind][0]])
            if len(self._codes[kind].union(used[used > 0][:2].tolist())) > 1:
                varied.update(KINDS[kind])
        return [kind for kind, names in enumerate(KINDS) if kind < PAIRS_FROM or varied.issuperset(names)]

    def _minute(self, at: int, keys: NDArray[np.int64], sums: NDArray[np.int64]) -> Minute:
        h = len(HORIZONS_MINUTES)
        found = self._scopes_of([*map(tuple, keys.tolist())], sums[:, h].tolist())
        kept = [place for place, scope in enumerate(found) if scope is not None]
        own = sums[kept]
        return Minute(
            at=at,
            scopes=[scope for scope in found if scope is not None],
            settled=own[:, :h],
            went_on=own[:, h + 1 : 2 * h + 1],
            entered=own[:, h],
            skipped=own[:, 2 * h + 2],
            value_e4=own[:, 2 * h + 3],
        )

    def _scopes_of(self, keys: list[Key], entered: list[int]) -> list[Scope | None]:
        """The scope of each key; None for what is left out. New segments come in by their names, and pairs
        after them: the larger before the smaller, then by their names.
        """
        fresh = {key: count for key, count in zip(keys, entered, strict=True) if key not in self._scopes}
        singles = {key: self._scope(*key) for key in fresh if key[2] < PAIRS_FROM}
        for key in sorted(singles, key=lambda one: singles[one]):
            if key[2] and self._segments[key[:2]] >= self._segments_max:
                self.left_out += 1
                continue
            self._take(key, singles[key])
        self._take_pairs({key: count for key, count in fresh.items() if key[2] >= PAIRS_FROM})
        return [self._scopes.get(key) for key in keys]

    def _take_pairs(self, fresh: dict[Key, int]) -> None:
        """Takes those of these pairs, with how many entered, that say more and have room."""
        telling = [key for key in fresh if self._says_more(key)]
        pairs = {key: self._scope(*key) for key in telling if self._has_room(key)}
        self.left_out += len(telling) - len(pairs)
        for key in sorted(pairs, key=lambda one: (-fresh[one], pairs[one])):
            if self._has_room(key):
                self._take(key, pairs[key])
            else:
                self.left_out += 1

    def _says_more(self, pair: Key) -> bool:
        """Whether a pair can say what neither of its halves does: both are known, and neither is the only
        value that its step has of its dimension.
        """
        one, other = halves(pair)
        values, scopes = self._values, self._scopes
        return values[one[:3]] > 1 and values[other[:3]] > 1 and one in scopes and other in scopes

    def _has_room(self, pair: Key) -> bool:
        return self._pairs[pair[:2]] < self._pairs_max and self._pairs_all < self._pairs_all_max

    def _take(self, key: Key, scope: Scope) -> None:
        self._scopes[key] = scope
        if key[2] >= PAIRS_FROM:
            self._pairs[key[:2]] += 1
            self._pairs_all += 1
        elif key[2]:
            self._segments[key[:2]] += 1
            self._values[key[:3]] += 1
            self._codes[key[2]].add(key[3])

    def _prune(self) -> None:
        """Forgets words that neither a scope nor a row that waits needs."""
        if len(self._words.known) > 4 * (len(self._scopes) + len(self._rows)) + WORDS_SLACK:
            self.load(self.dump())

    def _scope(self, journey: int, rank: int, kind: int, *codes: int) -> Scope:
        one = self._journeys[journey]
        segment = tuple(zip(KINDS[kind], (self._words.known[code] for code in codes), strict=False))
        return Scope(one.name, one.version, *step_of(one, rank), segment)

    def dump(self) -> dict[str, Any]:
        """State for a snapshot: what waits, which segments are known, and the words of both."""
        rows, keys = self._rows.copy(), np.array([*self._scopes], np.int64).reshape(-1, KEY_COLUMNS)
        codes = [keys[:, 3], keys[:, 4], *(rows[name].astype(np.int64) for name in DIMENSIONS)]
        used, local = np.unique(np.concatenate([[0], *codes]), return_inverse=True)
        own = np.split(local[1:], np.cumsum([len(one) for one in codes])[:-1])
        keys[:, 3], keys[:, 4] = own[:2]
        for name, column in zip(DIMENSIONS, own[2:], strict=True):
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
        for key in map(tuple, dumped["scopes"].tolist()):
            self._take(key, self._scope(*key))
