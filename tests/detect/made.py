"""Small worlds for the detector: minutes made of binomials, and what a test wants to be wrong in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.core.detect import HORIZONS_MINUTES, Detector, Episode, Minute, Scope

DAY = 24 * 60
WEEK = 7 * DAY
MONDAY = 2_600 * WEEK + 4 * DAY
"""A Monday at midnight, in unix minutes."""
VALUE_E4 = 500_000
PACE = (0.35, 0.6, 0.85, 0.95, 0.98, 0.99, 1.0)
"""Of those who go on within an hour: by each horizon. The shortest that has 80 % of them is 5 minutes."""
HORIZON = 5
DEVICES = (("mobile", 0.6), ("desktop", 0.4))
CHANNELS = (("search", 0.5), ("email", 0.2), ("direct", 0.3))
CELLS = [(device, channel) for device, _ in DEVICES for channel, _ in CHANNELS]
SHARES = np.array([d * c for _, d in DEVICES for _, c in CHANNELS])


@dataclass(frozen=True)
class Trouble:
    """From minute `first` to `last` (relative to the world's begin) something is multiplied by `factor`.

    `what` is `rate` (who goes on), `arrivals` (who comes) or `told` (whose entry is told of; the others turn
    up as skipped if they go on). An empty device or channel is all of them.
    """

    what: str
    first: int
    last: int
    factor: float
    rank: int = 1
    device: str = ""
    channel: str = ""

    def cells(self) -> list[int]:
        return [
            i
            for i, (device, channel) in enumerate(CELLS)
            if self.device in ("", device) and self.channel in ("", channel)
        ]


@dataclass
class World:
    """A journey of steps that do not feed each other, each with its own entrants. Quiet at night."""

    days: float
    troubles: tuple[Trouble, ...] = ()
    seed: int = 1
    per_minute: float = 20.0
    conversion: float = 0.3
    ranks: int = 1
    night: float = 0.15  # of the busiest hour; 0: nobody comes from midnight to six
    opens: float = 0.0  # hour of the day; nobody comes before it
    closes: float = 24.0
    closed: tuple[int, ...] = ()  # days of the week, 0 is Monday
    minutes: list[Minute] = field(init=False)

    def __post_init__(self) -> None:
        length = int(self.days * DAY)
        draw = np.random.default_rng(self.seed)
        steps = [self._step(rank, length, draw) for rank in range(1, self.ranks + 1)]
        scopes = [scope for found, _ in steps for scope in found]
        table = np.concatenate([counts for _, counts in steps], axis=1)
        self.minutes = [_minute(MONDAY + i, scopes, table[i]) for i in range(length)]

    def season(self, length: int) -> NDArray[np.float64]:
        hour = np.arange(length) % DAY / 60
        wave = 0.5 - 0.5 * np.cos(2 * np.pi * (hour - 4) / 24)
        weekend = np.where(np.arange(length) // DAY % 7 >= 5, 0.8, 1.0)
        day = np.arange(length) // DAY % 7
        shut = np.isin(day, self.closed) | (hour < self.opens) | (hour >= self.closes)
        quiet = np.where(shut | ((hour < 6) & (self.night == 0)), 0.0, 1.0)
        season: NDArray[np.float64] = (self.night + (1 - self.night) * wave) * weekend * quiet
        return season

    def factor(self, what: str, rank: int, length: int) -> NDArray[np.float64]:
        factors = np.ones((length, len(CELLS)))
        for trouble in self.troubles:
            if trouble.what == what and trouble.rank == rank:
                factors[trouble.first : trouble.last, trouble.cells()] *= trouble.factor
        return factors

    def _step(
        self, rank: int, length: int, draw: np.random.Generator
    ) -> tuple[list[Scope], NDArray[np.int64]]:
        """The scopes of a step, and per minute and scope 17 counts: see `_minute`."""
        expected = self.per_minute * self.season(length)[:, None] * SHARES
        came = draw.poisson(expected * self.factor("arrivals", rank, length))
        told = draw.binomial(came, np.minimum(self.factor("told", rank, length), 1.0))
        rate = np.minimum(self.conversion * self.factor("rate", rank, length), 1.0)
        skipped, goers = draw.binomial(came - told, rate), draw.binomial(told, rate)
        cells = np.zeros((length, len(CELLS), 17), np.int64)
        cells[:, :, 0], cells[:, :, 1], cells[:, :, 2] = told, skipped, told * VALUE_E4
        left, done = goers, 0.0
        for h, minutes in enumerate(HORIZONS_MINUTES):
            now = draw.binomial(left, (PACE[h] - done) / (1 - done))
            left, done = left - now, PACE[h]
            settled = cells[minutes:, :, 3 + h], cells[minutes:, :, 10 + h]
            settled[0][:], settled[1][:] = told[:-minutes], (goers - left)[:-minutes]
        step = Scope("purchase", 1, rank, f"step{rank}")
        scopes = list(_segments(step))
        return scopes, np.stack([cells[:, _cells_of(scope)].sum(axis=1) for scope in scopes], axis=1)


def _segments(step: Scope) -> Iterator[Scope]:
    yield step
    for dimension, values in (("device", DEVICES), ("channel", CHANNELS)):
        for value, _ in values:
            yield step._replace(segment=((dimension, value),))
    for device, channel in CELLS:
        yield step._replace(segment=(("channel", channel), ("device", device)))


def _cells_of(scope: Scope) -> list[int]:
    wanted = dict(scope.segment)
    return [
        i
        for i, (device, channel) in enumerate(CELLS)
        if wanted.get("device", device) == device and wanted.get("channel", channel) == channel
    ]


def _minute(at: int, scopes: list[Scope], lines: NDArray[np.int64]) -> Minute:
    """Lines are entered, skipped, value, 7 × settled, 7 × went on; those without anything are left out."""
    kept = np.flatnonzero(lines.any(axis=1))
    lines = lines[kept]
    named = [scopes[i] for i in kept.tolist()]
    return Minute(at, named, lines[:, 0], lines[:, 3:10], lines[:, 10:], lines[:, 1], lines[:, 2])


def run(detector: Detector, minutes: Iterable[Minute]) -> list[Episode]:
    """Every change of every episode."""
    return [episode for minute in minutes for episode in detector.apply(minute)]


def opened(changes: Iterable[Episode]) -> list[Episode]:
    """Each episode as it was first told of."""
    return [episode for episode in changes if episode.changes == 1]
