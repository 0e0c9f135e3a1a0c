"""Weeks of traffic made of real visits, scaled up: no rate, no distribution and no detector in it.

- A day is a pile of real days of the same weekday on top of each other, drawn with replacement. Each real
  moment at which somebody came is a clump of arrivals within its hour: so hours and days are as uneven as
  those days were together. Only the growth of half a year is divided out.
- Who comes are real visitors. A visitor comes with all their visits at once, each with the timing, device
  and channel that it had: what one person does is alike. With `crowds` each day has a crowd of its own, a
  bootstrap of the visitors: then the rates of a day differ as much as one such crowd differs from another.
- The clock is the shop's, on which nobody comes between ten at night and eight; or that of the sessions in
  `../shared/data/otto`, which have a night: then moments are moved, in their order, to have its hours.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final, Literal

import numpy as np

from tests.detect.visits import DATA, DAY, WEEK, Counts, Floats, Visits

OTTO: Final = DATA / "otto" / "train.jsonl"
START: Final = 2_600 * WEEK + 4 * DAY
"""A Monday at midnight, in unix minutes."""
PILE: Final = 32
JITTER: Final = 30.0
TREND_DAYS: Final = 29
VISITS_MIN: Final = 15.0
"""A day, by the days around it: thinner months are left out of the piles."""
GAP_MS: Final = 30 * 60_000
SMOOTH: Final = np.array([1, 2, 3, 2, 1]) / 9
"""Over hours: of OTTO's visits there are some 140."""

Clock = Literal["shop", "otto"]


def otto_visits(path: Path = OTTO) -> list[int]:
    """When visits of the file begin, in ms: after a gap of half an hour another one does."""
    found = []
    for line in path.read_text().splitlines():
        times = sorted(event["ts"] for event in json.loads(line)["events"])
        before = [-GAP_MS - 1, *times[:-1]]
        found += [at for at, last in zip(times, before, strict=True) if at - last > GAP_MS]
    return found


def otto_hours(path: Path = OTTO) -> Floats:
    """The share of visits that begin in each hour of the day (UTC), smoothed."""
    hours = np.bincount([at // 3_600_000 % 24 for at in otto_visits(path)], minlength=24)
    wide = len(SMOOTH) // 2
    padded = np.concatenate((hours[-wide:], hours, hours[:wide]))
    smooth: Floats = np.convolve(padded, SMOOTH, "valid") / hours.sum()
    return smooth


@dataclass
class Resampled:
    """Weeks of visits; a day of them depends on nothing but the seed and its number."""

    real: Visits
    seed: int
    clock: Clock = "shop"
    pile: int = PILE
    crowds: bool = False
    late_minutes: int = 0
    """By which everything comes later: opening hours then begin and end within an hour."""
    entrants_peak: float = 300.0
    """Visits in five minutes of the busiest hour, on average over days."""
    hours: Floats | None = None
    """Of the clock `otto`; read from its file where they are not given."""
    _by_visitor: list[Counts] = field(init=False)
    _piles: list[Counts] = field(init=False)

    def __post_init__(self) -> None:
        order = np.argsort(self.real.visitor, kind="stable")
        cuts = np.flatnonzero(np.diff(self.real.visitor[order])) + 1
        self._by_visitor = np.split(order, cuts)
        day = (self.real.begin // DAY).astype(np.int64)
        counts = np.bincount(day - day.min()).astype(np.float64)
        ones = np.ones(TREND_DAYS)
        self._usual = np.convolve(counts, ones, "same") / np.convolve(np.ones_like(counts), ones, "same")
        self._first, self._day = int(day.min()), day
        dense = np.flatnonzero(self._usual >= VISITS_MIN) + self._first
        self._piles = [dense[(dense - START // DAY) % 7 == weekday] for weekday in range(7)]

    @cached_property
    def shares(self) -> Floats:
        """Of the visits of a mean day: by hour of the clock."""
        if self.clock == "otto":
            return otto_hours() if self.hours is None else self.hours
        return self._own

    @cached_property
    def _own(self) -> Floats:
        hours = np.bincount((self.real.begin % DAY // 60).astype(np.int64), minlength=24)
        shares: Floats = hours / hours.sum()
        return shares

    @cached_property
    def visits_a_day(self) -> float:
        return self.entrants_peak * 12 / float(self.shares.max())

    def day(self, number: int) -> Visits:
        """All visits that begin around one day, by when they begin."""
        rng = np.random.default_rng((self.seed, number, 2_024))
        moments, weights = self._moments(rng, number % 7)
        people = len(self._by_visitor)
        who = rng.integers(people, size=people) if self.crowds else np.arange(people)
        wanted = weights * self.visits_a_day / (len(self.real) / people)
        families = np.floor(wanted + rng.random(len(wanted))).astype(np.int64)
        drawn = who[rng.integers(people, size=families.sum())]
        sizes = np.array([len(own) for own in self._by_visitor])[drawn]
        visits = np.concatenate([self._by_visitor[one] for one in drawn.tolist()])
        moment = np.repeat(np.repeat(moments, families), sizes)
        times = self._on_the_clock(_around(moment, rng))
        return self._moved(visits, START + number * DAY + times + self.late_minutes)

    def _moments(self, rng: np.random.Generator, weekday: int) -> tuple[Floats, Floats]:
        """When real people came on the days of a pile, in minutes of the day; their share of a mean day."""
        days = rng.choice(self._piles[weekday], self.pile)
        places = np.concatenate([np.flatnonzero(self._day == day) for day in days.tolist()])
        return self.real.begin[places] % DAY, 1.0 / self.pile / self._usual[self._day[places] - self._first]

    def _on_the_clock(self, times: Floats) -> Floats:
        if self.clock == "shop":
            return times
        edges = np.arange(25) * 60.0
        ranks = np.interp(times, edges, np.concatenate(([0.0], np.cumsum(self._own))))
        moved: Floats = np.interp(ranks, np.concatenate(([0.0], np.cumsum(self.shares))), edges)
        return moved

    def _moved(self, visits: Counts, begin: Floats) -> Visits:
        order = np.argsort(begin, kind="stable")
        found = self.real.some(visits[order])
        shift = begin[order] - found.begin
        return Visits(found.visitor, begin[order], found.entered + shift, found.device, found.channel)

    @cached_property
    def days_dispersion(self) -> float:
        """Variance over mean of the real visits a day, with the trend taken out: 1 is chance."""
        counts = np.bincount(self._day - self._first)
        return float(
            ((counts - self._usual) ** 2 / self._usual).sum() / len(counts) * TREND_DAYS / (TREND_DAYS - 1)
        )

    def unevenness(self, days: int = 14) -> float:
        """How far, as a share of its mean, an hour of these many days lies from the same hour of others."""
        begin = [self.day(number).begin % DAY // 60 for number in range(days)]
        table = np.array([np.bincount(hours.astype(np.int64), minlength=24) for hours in begin])[
            :, self.shares > 0.01
        ]
        return float((table.std(axis=0) / table.mean(axis=0)).mean())

    def between(self, begin: int, end: int) -> Visits:
        """All visits that begin from minute `begin` up to `end`."""
        first, last = (begin - START) // DAY - 1, (end - START) // DAY + 1
        days = [self.day(number) for number in range(max(first, 0), last + 1)]
        return together(days).between(begin, end)


def _around(moments: Floats, rng: np.random.Generator) -> Floats:
    """Up to half an hour before or after, but within the same hour: what would leave it is mirrored."""
    hour = np.floor(moments / 60) * 60
    within = np.abs(moments - hour + rng.triangular(-JITTER, 0, JITTER, len(moments)))
    found: Floats = hour + np.minimum(within, 120.0 - within - 1e-6)
    return found


def together(parts: list[Visits]) -> Visits:
    """The visits of all parts."""
    return Visits(
        np.concatenate([part.visitor for part in parts]),
        np.concatenate([part.begin for part in parts]),
        np.concatenate([part.entered for part in parts], axis=1),
        np.concatenate([part.device for part in parts]),
        np.concatenate([part.channel for part in parts]),
    )
