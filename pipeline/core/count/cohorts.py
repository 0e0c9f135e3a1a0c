"""Cohorts of one shard: of those who entered a stage in a minute, how many went on within each horizon.

Made of transitions, so each counts once, at the minute of the entry that it ends; and of what objects tell
(`kinds.py`). A cohort of minute m is settled for a horizon of d minutes when the watermark reaches the end of
minute m + d: then it is told, once. Nothing could change it later, for transitions come in the order of time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numba import int64, njit
from numpy.typing import NDArray

from pipeline.core.count.horizons import HORIZONS_MINUTES
from pipeline.core.count.kinds import counted
from pipeline.core.count.tallies import Increments, Tallies
from pipeline.core.raw import borrowed
from pipeline.core.rows import CHANNEL, COUNTRY, DEVICE, SITE
from pipeline.core.seen import MINUTE_MS
from pipeline.core.track.layout import COUNT_OUT, ENTER, REGRESS
from pipeline.core.track.objects.objects import Spoken
from pipeline.core.track.track import Emitted
from schemas.journeys import Journey

ENTERED, SKIPPED, WENT_ON = 0, 1, 2  # as moves of objects are numbered
"""Columns: entries of the minute; passings-by in the minute; then for each horizon those who went on in a
minute that it reaches and the one before does not.
"""
COLUMNS: Final = WENT_ON + len(HORIZONS_MINUTES)
NOW: Final = len(HORIZONS_MINUTES)
"""In COHORT, in the place of a horizon: what came in the minute itself."""

COHORT: Final = np.dtype(
    [
        ("minute", np.int64),  # unix minutes: when this was settled
        ("entered", np.int64),  # in the minute that many minutes before
        ("went_on", np.int64),  # of these, within the horizon
        ("skipped", np.int64),  # with NOW only
        ("value_e4", np.int64),  # with NOW only
        ("site", np.int32),
        ("device", np.int32),
        ("channel", np.int32),
        ("country", np.int32),
        ("journey", np.uint8),
        ("rank", np.uint8),
        ("horizon", np.uint8),  # place in HORIZONS_MINUTES, or NOW
        ("pad", np.uint8),
    ]
)
_HORIZONS: Final = np.array(HORIZONS_MINUTES, np.int64)
_LAST: Final = HORIZONS_MINUTES[-1]


class Moves:
    """What transitions mean to cohorts. `watched` says which of the journeys count: the active versions.
    `kinds` says whether the kinds of their objects do.
    """

    def __init__(self, journeys: Sequence[Journey], watched: Sequence[bool], *, kinds: bool = True) -> None:
        self._kinds = kinds
        self._watched = np.array(watched, np.bool_)
        self._needed = np.zeros((len(journeys), 17), np.bool_)  # stages that are passed by, not left out
        for j, journey in enumerate(journeys):
            for stage in journey.stages:
                self._needed[j, stage.rank] = not stage.optional

    def count(self, emitted: Emitted) -> Increments:
        """What those of one call of `track` add."""
        moved, state, rows = emitted.transitions, emitted.state, emitted.events.rows()
        out = np.empty(_measure(moved), COUNT_OUT)
        contexts, watched = state.slots.contexts, self._watched
        used = _spread(moved, rows.at, rows.value_e4, contexts, watched, self._needed, _HORIZONS, out)
        return Increments(out[:used], state.words.known)

    def of_objects(self, spoken: Spoken, known: list[str]) -> Increments | None:
        """What objects add; `known` are the shard's words."""
        if not (self._kinds and self._watched[spoken.journey] and len(spoken.moves)):
            return None
        return Increments(counted(spoken.moves, spoken.journey), known)


class Cohorts:
    """One shard's cohorts that are not settled for every horizon yet."""

    def __init__(self) -> None:
        self.tallies = Tallies(COLUMNS)
        self.told = -1
        """The last minute that was told of; -1: none."""

    def apply(self, increments: Sequence[Increments], watermark: int) -> NDArray[np.void]:
        """Adds `increments`; returns COHORT rows of the minutes that `watermark` (ms) has passed since the
        last call, with the codes of `tallies.words`: one for each cohort and horizon that settled.
        """
        changed = np.zeros(len(self.tallies.keys), np.bool_)
        for part in increments:
            changed = self.tallies.add(part, changed)
        tallies = self.tallies
        if not tallies.used:
            return np.empty(0, COHORT)
        # at the end of a replay everything is past: as far as there is something to settle
        newest = int(tallies.keys["minute"][: tallies.used].max()) // MINUTE_MS
        last = min(watermark // MINUTE_MS - 1, newest + _LAST)
        if last <= self.told:
            return np.empty(0, COHORT)
        out = np.empty((NOW + 1) * tallies.used, COHORT)
        found = _settled(tallies.keys, tallies.totals, tallies.used, self.told + 1, last, _HORIZONS, out)
        self.told = last
        tallies.forget(watermark - _LAST * MINUTE_MS)
        return out[:found]

    def dump(self) -> dict[str, Any]:
        """State for a snapshot."""
        return {**self.tallies.dump(), "told": self.told}

    def load(self, dumped: dict[str, Any]) -> None:
        """Goes on from what `dump` wrote."""
        self.tallies.load(dumped)
        self.told = int(dumped["told"])


@njit(cache=True, nogil=True)
def _measure(moved):  # type: ignore[no-untyped-def]
    """Rows that `_spread` may make of transitions."""
    moved = borrowed(moved)
    most = 0
    for r in range(moved.shape[0]):
        most += 2 + int64(moved[r].to_rank)
    return most


@njit(cache=True, nogil=True)
def _spread(moved, event_at, value_e4, contexts, watched, needed, horizons, out):  # type: ignore[no-untyped-def]
    """COUNT_OUT rows of transitions, with the country in the place of the currency; returns how many."""
    moved, event_at, value_e4 = borrowed(moved), borrowed(event_at), borrowed(value_e4)
    contexts, watched, needed = borrowed(contexts), borrowed(watched), borrowed(needed)
    horizons, out = borrowed(horizons), borrowed(out)
    used = 0
    for r in range(moved.shape[0]):
        one = moved[r]
        at, j = event_at[one.row], one.journey
        if not watched[j]:
            continue
        row = _row(out, used, contexts, one.context, at, j, one.to_rank, ENTERED)
        row.value_e4 = value_e4[one.row]
        used += 1
        passed = int64(one.skipped)
        if one.kind == ENTER:
            passed = (int64(1) << int64(one.to_rank)) - 2
        for rank in range(1, int64(one.to_rank)):
            if (passed >> rank) & 1 and needed[j, rank]:
                _row(out, used, contexts, one.context, at, j, rank, SKIPPED)
                used += 1
        if one.from_rank == 0 or one.kind == REGRESS:
            continue
        minutes = at // MINUTE_MS - one.from_entered_at // MINUTE_MS
        for h in range(horizons.shape[0]):
            if minutes <= horizons[h]:
                _row(
                    out, used, contexts, one.from_context, one.from_entered_at, j, one.from_rank, WENT_ON + h
                )
                used += 1
                break
    return used


@njit(nogil=True, forceinline=True)
def _row(out, place, contexts, context, at, journey, rank, what):  # type: ignore[no-untyped-def]
    row = out[place]
    row.minute = at - at % MINUTE_MS
    row.site = contexts[context, SITE]
    row.device = contexts[context, DEVICE]
    row.channel = contexts[context, CHANNEL]
    row.currency = contexts[context, COUNTRY]
    row.journey = journey
    row.rank = rank
    row.what = what
    row.value_e4 = 0
    return row


@njit(cache=True, nogil=True)
def _settled(keys, totals, used, first, last, horizons, out):  # type: ignore[no-untyped-def]
    """COHORT rows of what the minutes from `first` to `last` settle; returns how many."""
    keys, totals, horizons, out = borrowed(keys), borrowed(totals), borrowed(horizons), borrowed(out)
    n = 0
    for k in range(used):
        key = keys[k]
        minute = key.minute // MINUTE_MS
        went_on = 0
        for h in range(-1, horizons.shape[0]):
            after = int64(0)
            if h >= 0:
                went_on += totals[k, WENT_ON + h]
                after = horizons[h]
                if totals[k, ENTERED] == 0:
                    break
            if minute + after < first or minute + after > last:
                continue
            row = out[n]
            n += 1
            row.minute = minute + after
            row.entered = totals[k, ENTERED]
            row.went_on = went_on
            row.skipped = totals[k, SKIPPED] if h < 0 else 0
            row.value_e4 = totals[k, COLUMNS] if h < 0 else 0
            row.site = key.site
            row.device = key.device
            row.channel = key.channel
            row.country = key.currency
            row.journey = key.journey
            row.rank = key.rank
            row.horizon = h if h >= 0 else NOW
    return n
