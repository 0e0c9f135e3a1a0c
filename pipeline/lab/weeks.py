"""Simulated weeks as a detector gets them: minute by minute, in order, a day in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.core.detect.minutes import HORIZONS_MINUTES, Minute, Scope
from pipeline.lab.incidents import Incident, Truth, put_into
from pipeline.lab.market import CELLS, DAY, STAGES, START, STEPS, Settings, members, scopes, segments
from pipeline.lab.minds import HOURS_MAX, Minds
from pipeline.lab.shoppers import VALUE_FROM, Shoppers, shoppers
from pipeline.lab.traffic import Traffic

Counts = NDArray[np.int64]
LONGEST: Final = max(HORIZONS_MINUTES)
AHEAD: Final = STEPS * HOURS_MAX * 60 + 1
"""Minutes after its own day in which a shopper may still do something."""


@dataclass
class Cohorts:
    """Counters by the minute in which people entered, or skipped: (stages, minutes, columns)."""

    entered: Counts
    went_on: Counts  # (stages, minutes, columns, horizons)
    skipped: Counts
    value_e4: Counts

    def __iadd__(self, other: Cohorts) -> Cohorts:
        self.entered += other.entered
        self.went_on += other.went_on
        self.skipped += other.skipped
        self.value_e4 += other.value_e4
        return self

    def between(self, begin: int, end: int) -> Cohorts:
        """Those of some minutes."""
        cut = slice(begin, end)
        return Cohorts(
            self.entered[:, cut], self.went_on[:, cut], self.skipped[:, cut], self.value_e4[:, cut]
        )

    def then(self, other: Cohorts) -> Cohorts:
        """These minutes and then those of another."""
        return Cohorts(
            np.concatenate((self.entered, other.entered), axis=1),
            np.concatenate((self.went_on, other.went_on), axis=1),
            np.concatenate((self.skipped, other.skipped), axis=1),
            np.concatenate((self.value_e4, other.value_e4), axis=1),
        )

    @classmethod
    def none(cls, minutes: int, columns: int) -> Cohorts:
        shape = (len(STAGES), minutes, columns)
        return cls(
            np.zeros(shape, np.int64),
            np.zeros((*shape, len(HORIZONS_MINUTES)), np.int64),
            np.zeros(shape, np.int64),
            np.zeros(shape, np.int64),
        )


@dataclass
class Day:
    """A day of minutes, rows by `scopes`; and what would have been counted, had nothing gone wrong."""

    number: int
    scopes: list[Scope]
    entered: Counts  # (minutes, scopes)
    settled: Counts  # (minutes, scopes, horizons)
    went_on: Counts
    skipped: Counts
    value_e4: Counts
    undisturbed: Counts
    """(stages, minutes): who of everybody would have gone on, settled at the longest horizon."""

    def minutes(self) -> Iterator[Minute]:
        first = START + self.number * DAY
        for k in range(DAY):
            yield Minute(
                first + k,
                self.scopes,
                self.entered[k],
                self.settled[k],
                self.went_on[k],
                self.skipped[k],
                self.value_e4[k],
            )


class Weeks:
    """The weeks of these settings with these incidents in them. `truths` fill up as days are told."""

    def __init__(self, settings: Settings, incidents: Sequence[Incident] = ()) -> None:
        self.settings = settings
        self.truths = [Truth(incident) for incident in incidents]
        self._segments = segments(settings.pairs)
        self._sums = np.stack([members(one) for one in self._segments], axis=1).astype(np.float64)
        self.scopes = scopes(self._segments)

    def days(self) -> Iterator[Day]:
        """Every day, in order. Tell them once: truths add up."""
        traffic, minds = Traffic(self.settings), Minds(self.settings)
        columns = len(self._segments)
        past, pending = Cohorts.none(LONGEST, columns), Cohorts.none(AHEAD, columns)
        plain_past, plain_pending = Cohorts.none(LONGEST, 1), Cohorts.none(AHEAD, 1)
        for day in range(self.settings.days):
            people = shoppers(self.settings, traffic, minds, day)
            plain = people.copy()
            near = put_into(people, self.truths, self.settings, day)
            full = self._counted(people, day, self._sums)
            plainly = self._counted(plain, day, self._sums[:, :1]) if near else _column(full, 0)
            today, pending = _carried(pending, full)
            plain_today, plain_pending = _carried(plain_pending, plainly)
            yield self._day(day, past.then(today), plain_past.then(plain_today))
            past, plain_past = today.between(DAY - LONGEST, DAY), plain_today.between(DAY - LONGEST, DAY)

    def minutes(self) -> Iterator[Minute]:
        for day in self.days():
            yield from day.minutes()

    def _day(self, number: int, cohorts: Cohorts, plain: Cohorts) -> Day:
        """Cohorts begin `LONGEST` minutes before the day does."""
        today = cohorts.between(LONGEST, LONGEST + DAY)
        settled = [_rows(cohorts.entered[:, LONGEST - h : LONGEST - h + DAY]) for h in HORIZONS_MINUTES]
        went_on = [
            _rows(cohorts.went_on[:, LONGEST - h : LONGEST - h + DAY, :, k])
            for k, h in enumerate(HORIZONS_MINUTES)
        ]
        return Day(
            number,
            self.scopes,
            _rows(today.entered),
            np.stack(settled, axis=2),
            np.stack(went_on, axis=2),
            _rows(today.skipped),
            _rows(today.value_e4),
            plain.went_on[:, :DAY, 0, -1].copy(),
        )

    def _counted(self, people: Shoppers, day: int, sums: NDArray[np.float64]) -> Cohorts:
        """What events tell of these shoppers, from the beginning of their day."""
        out = Cohorts.none(DAY + AHEAD, sums.shape[1])
        times = np.where(people.seen, people.entered, np.inf) - day * DAY
        later = np.full(people.cell.shape, np.inf)
        for stage in reversed(range(len(STAGES))):
            self._count_stage(out, stage, times[stage], later, people, sums)
            later = np.minimum(later, times[stage])
        return out

    def _count_stage(
        self,
        out: Cohorts,
        stage: int,
        times: NDArray[np.float64],
        later: NDArray[np.float64],
        people: Shoppers,
        sums: NDArray[np.float64],
    ) -> None:
        here = np.flatnonzero(np.isfinite(times))
        minute, cell = times[here].astype(np.int64), people.cell[here]
        # the shortest horizon within which each went on; beyond the last are those who did not
        horizon = np.searchsorted(HORIZONS_MINUTES, later[here] - times[here], side="left")
        kinds = len(HORIZONS_MINUTES) + 1
        by_cell = _table((minute, cell, horizon), (len(CELLS), kinds))
        used = len(by_cell)
        counts = np.einsum("mck,cs->msk", by_cell, sums, optimize=True)
        out.entered[stage, :used] = np.rint(counts.sum(axis=2))
        out.went_on[stage, :used] = np.rint(counts[:, :, :-1].cumsum(axis=2))
        if stage >= VALUE_FROM:
            value = _table((minute, cell), (len(CELLS),), people.value_e4[here]) @ sums
            out.value_e4[stage, : len(value)] = np.rint(value)
        passed = np.flatnonzero(np.isinf(times) & np.isfinite(later))
        skipped = _table((later[passed].astype(np.int64), people.cell[passed]), (len(CELLS),)) @ sums
        out.skipped[stage, : len(skipped)] = np.rint(skipped)


def _table(
    places: tuple[Counts, ...], sizes: tuple[int, ...], weights: Counts | None = None
) -> NDArray[np.float64]:
    """How many (or how much) at each place; the first index is as long as needed."""
    at = places[0]
    for place, size in zip(places[1:], sizes, strict=True):
        at = at * size + place
    length = int(places[0].max(initial=-1)) + 1
    flat = np.bincount(at, weights, minlength=length * int(np.prod(sizes)))
    return flat.reshape(length, *sizes).astype(np.float64)


def _carried(pending: Cohorts, counted: Cohorts) -> tuple[Cohorts, Cohorts]:
    """The minutes of the day, complete now, and what is known of those after it."""
    minutes = counted.entered.shape[1]
    full = pending.then(Cohorts.none(minutes - pending.entered.shape[1], pending.entered.shape[2]))
    full += counted
    return full.between(0, DAY), full.between(DAY, minutes)


def _column(cohorts: Cohorts, column: int) -> Cohorts:
    cut = slice(column, column + 1)
    return Cohorts(
        cohorts.entered[:, :, cut],
        cohorts.went_on[:, :, cut],
        cohorts.skipped[:, :, cut],
        cohorts.value_e4[:, :, cut],
    )


def _rows(counts: Counts) -> Counts:
    """(stages, minutes, segments) as (minutes, scopes), stage by stage."""
    return np.ascontiguousarray(counts.transpose(1, 0, 2).reshape(counts.shape[1], -1))
