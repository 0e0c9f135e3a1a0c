"""When shoppers come, day by day: a rate per minute and cell that is itself random.

Days and weeks have smooth shapes that differ by country and device. On them lie a slow trend, weather that
lasts for hours, bursts, campaigns that bring another mix and another mind to buy, and bots.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.lab.market import (
    CELLS,
    CHANNEL_OF,
    CHANNELS,
    COUNTRIES,
    COUNTRY_OF,
    DAY,
    DEVICE_OF,
    DEVICES,
    STEPS,
    Settings,
)
from pipeline.lab.shapes import Floats, at_times, bumps, rise_and_fade, wander

DEVICE_SHARES: Final = (0.36, 0.57, 0.07)
CHANNEL_SHARES: Final = (0.07, 0.22, 0.09, 0.26, 0.21, 0.15)
COUNTRY_SHARES: Final = (0.38, 0.18, 0.17, 0.13, 0.09, 0.05)
HOURS_BEHIND: Final = (0.0, 0.0, 1.0, 0.0, 0.0, 6.0)
"""Of a country's day, against central Europe."""
FLOOR: Final = 0.02
"""What is left of a peak in the dead of night."""
DAYS: Final = (
    ((10.5, 2.6, 0.85), (14.8, 2.4, 0.9), (20.3, 1.9, 0.45)),
    ((8.0, 1.4, 0.35), (12.6, 1.8, 0.5), (20.8, 2.2, 1.0)),
    ((10.0, 2.5, 0.3), (20.4, 1.8, 1.0)),
)
"""By device: bumps of a day at hour, of width, of height."""
WEEKENDS: Final = ((0.62, 0.7), (1.08, 1.15), (1.2, 1.3))
"""Saturday and Sunday against a working day, by device."""
HOLIDAY: Final = ((11.5, 2.2, 0.5), (16.5, 2.6, 0.55), (21.5, 1.6, 0.4))
"""The shape of a day when nobody works: late, flat, the same on every device."""
UTC_AHEAD: Final = 1.0
"""Central Europe's clock against UTC, in winter."""

CAMPAIGNS_A_WEEK: Final = 2.0
BURSTS_A_DAY: Final = 3.0
BOT_RUNS_A_WEEK: Final = 1.5
BOTS_ALWAYS: Final = 0.01
"""Bots that come day and night, against people at the peak."""
AFTER_MINUTES: Final = 60
"""So long something is still told of when it is over."""
NO_SHIFT: Final = np.zeros(STEPS)


@dataclass(frozen=True)
class Stream:
    """Arrivals of one kind: rate per minute (1,440, cells), and what is added to the logit of each step."""

    rate: Floats
    shift: Floats
    human: bool = True


@dataclass(frozen=True)
class _Campaign:
    begin: float
    ramp: float
    fade: float
    strength: Floats  # by cell, against what comes anyway
    shift: Floats
    name: str


@dataclass(frozen=True)
class _Burst:
    begin: float
    fade: float
    strength: Floats


@dataclass(frozen=True)
class _BotRun:
    begin: float
    minutes: float
    share: float
    cell: int


class Traffic:
    """All that is known of the arrivals before the first shopper comes. A pure function of the settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        rng = settings.generator(1)
        self._share = _shares(rng)
        hours = settings.days * 24 + 2
        self._weather = wander(rng, 1, hours, 6, 0.08)
        self._cells = wander(rng, len(CELLS), hours, 3, 0.10)
        self._days = rng.uniform(-0.08, 0.08, (1, settings.days + 2))
        self._trend = rng.uniform(-0.02, 0.03)  # a week
        self.holiday = holiday(settings)
        self._campaigns = _campaigns(rng, settings)
        self._bursts = _bursts(rng, settings)
        self._bots = _bots(rng, settings)
        self._scale = settings.entrants_peak / 5 / self._season(2).sum(axis=1).max()

    def people(self, day: int) -> Floats:
        """Rate per minute of those who come by themselves, bursts included."""
        times = _minutes(day)
        noise = at_times(self._weather, times / 60) + at_times(self._days, times / DAY)
        noise = noise + at_times(self._cells, times / 60)
        level = self._season(day) * self._scale * (1 + self._trend) ** (day / 7)
        level = (
            level
            * np.exp(noise.T)
            * self._settings.generator(2, day).gamma(60, 1 / 60, (DAY // 5, 1)).repeat(5, 0)
        )
        for burst in self._bursts:
            if -DAY < burst.begin - day * DAY < DAY:
                level = level * (
                    1 + rise_and_fade(times, burst.begin, 2, burst.fade)[:, None] * burst.strength
                )
        return np.asarray(level)

    def streams(self, day: int) -> list[Stream]:
        """Everything that comes on a day."""
        people = self.people(day)
        times = _minutes(day)
        out = [Stream(people, NO_SHIFT)]
        for one in self._campaigns:
            shape = rise_and_fade(times, one.begin, one.ramp, one.fade)
            if shape.max() > 0.01:
                out.append(Stream(people * shape[:, None] * one.strength, one.shift))
        return [*out, Stream(self._robots(day, people), NO_SHIFT, human=False)]

    def about(self, minute: int) -> list[str]:
        """What goes on that is no incident, at a minute of the weeks or in the hour before it."""
        bots = [
            f"bots in {' '.join(CELLS[one.cell])}, {one.share:.0%} of all who come"
            for one in self._bots
            if one.begin <= minute < one.begin + one.minutes + AFTER_MINUTES
        ]
        campaigns = [
            f"campaign of {one.name}"
            for one in self._campaigns
            if one.begin <= minute < one.begin + one.ramp + 2 * one.fade
        ]
        bursts = [
            f"burst of {one.strength.max():.0%}"
            for one in self._bursts
            if one.begin <= minute < one.begin + AFTER_MINUTES
        ]
        return [*bots, *campaigns, *bursts, *(["holiday"] if minute // DAY == self.holiday else [])]

    def _robots(self, day: int, people: Floats) -> Floats:
        rate = np.zeros_like(people)
        always = _where(channel="direct", device="desktop")
        rate[:, always] = BOTS_ALWAYS * self._settings.entrants_peak / 5 / always.sum()
        times = _minutes(day)
        for run in self._bots:
            inside = (times >= run.begin) & (times < run.begin + run.minutes)
            rate[inside, run.cell] += run.share * people[inside].sum(axis=1)
        return rate

    def _season(self, day: int) -> Floats:
        """The smooth shape of a day, (1,440, cells); its scale means nothing."""
        clock = np.arange(DAY) / 60 + UTC_AHEAD
        weekday = day % 7
        out = np.empty((DAY, len(CELLS)))
        for cell in range(len(CELLS)):
            device = DEVICE_OF[cell]
            local = clock - HOURS_BEHIND[COUNTRY_OF[cell]]
            shape = bumps(local, HOLIDAY if day == self.holiday else DAYS[device], FLOOR)
            if weekday >= 5:
                shape = shape * WEEKENDS[device][weekday - 5]
            out[:, cell] = shape * self._share[cell]
        return out


def holiday(settings: Settings) -> int:
    """The day nobody works: a Thursday beyond the middle."""
    return 7 * int(settings.weeks * 0.6) + 3


def _minutes(day: int) -> Floats:
    return np.arange(day * DAY, (day + 1) * DAY, dtype=np.float64)


def _shares(rng: np.random.Generator) -> Floats:
    plain = (
        np.array(CHANNEL_SHARES)[CHANNEL_OF]
        * np.array(COUNTRY_SHARES)[COUNTRY_OF]
        * np.array(DEVICE_SHARES)[DEVICE_OF]
    )
    mixed = plain * np.exp(rng.normal(0, 0.3, len(CELLS)))
    return np.asarray(mixed / mixed.sum())


def _where(channel: str = "", country: str = "", device: str = "") -> NDArray[np.bool_]:
    """Which cells are of these values, as booleans."""
    inside = np.ones(len(CELLS), np.bool_)
    if channel:
        inside &= CHANNELS.index(channel) == CHANNEL_OF
    if country:
        inside &= COUNTRIES.index(country) == COUNTRY_OF
    if device:
        inside &= DEVICES.index(device) == DEVICE_OF
    return inside


def _campaigns(rng: np.random.Generator, settings: Settings) -> list[_Campaign]:
    """They start within minutes in the daytime and fade over days; e-mail is sharper, and buys more."""
    out = []
    for _ in range(rng.poisson(CAMPAIGNS_A_WEEK * settings.weeks)):
        day, hour = rng.integers(settings.days), rng.uniform(6, 19)
        channel = str(rng.choice(("affiliate", "email", "paid_search", "paid_social")))
        country = str(rng.choice(("", "", *COUNTRIES)))
        strength = np.where(_where(channel=channel, country=country), 0.2 + rng.gamma(2, 0.35), 0.0)
        by_mail = channel == "email"
        shift = rng.normal((0.1 if by_mail else -0.2, 0.05 if by_mail else -0.15, 0, 0, 0), 0.12)
        ramp = rng.uniform(10, 60)
        fade = rng.gamma(3, 40) if by_mail else rng.gamma(3, 600)
        out.append(
            _Campaign(day * DAY + hour * 60, ramp, fade, strength, shift, f"{channel} {country}".strip())
        )
    return out


def _bursts(rng: np.random.Generator, settings: Settings) -> list[_Burst]:
    """A spot on television, a message that many open: gamma distributed, gone within the hour."""
    out = []
    for _ in range(rng.poisson(BURSTS_A_DAY * settings.days)):
        begin = rng.integers(settings.days) * DAY + rng.normal(15, 4) * 60
        channel = str(rng.choice(("", "direct", "organic", "email", "paid_social")))
        device = str(rng.choice(("", "mobile", "desktop")))
        strength = np.where(_where(channel=channel, device=device), rng.gamma(1.5, 0.35), 0.0)
        out.append(_Burst(begin, rng.uniform(5, 25), strength))
    return out


def _bots(rng: np.random.Generator, settings: Settings) -> list[_BotRun]:
    out = []
    for _ in range(rng.poisson(BOT_RUNS_A_WEEK * settings.weeks)):
        channel = str(rng.choice(("direct", "organic")))
        cells = np.flatnonzero(_where(channel=channel, device="desktop"))
        begin = rng.uniform(0, settings.days * DAY)
        out.append(_BotRun(begin, rng.uniform(20, 120), rng.gamma(2, 0.08), int(rng.choice(cells))))
    return out
