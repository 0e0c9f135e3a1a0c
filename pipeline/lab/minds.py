"""How likely shoppers go on, and how long they take: by step, time and cell.

Evenings and weekends differ by device; every day has its own level, every hour and channel a mood that lasts,
every ten minutes of a cell a stir of their own (over-dispersion); and all of it drifts slowly.
"""

from __future__ import annotations

from typing import Final

import numpy as np

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
from pipeline.lab.shapes import Floats, at_times, bumps, wander
from pipeline.lab.traffic import UTC_AHEAD, holiday

BLOCK: Final = 10
"""Minutes for which a mind stays as it is."""
RATES: Final = (0.60, 0.26, 0.50, 0.68, 0.85)
"""Of the steps, about. The day's level is within ±10 % of it."""
BY_DEVICE: Final = ((0.15, 0.25, 0.2, 0.15, 0.1), (-0.08, -0.15, -0.12, -0.1, -0.05), (0, 0, 0, 0, 0))
EVENING: Final = (0.1, 0.12, 0.15, 0.1, 0.05)
WEEKEND: Final = (-0.05, 0.08, 0.05, 0.0, 0.0)
DAY_LEVEL: Final = 0.10
HOUR_DEVIATION: Final = 0.05
CHANNEL_DEVIATION: Final = 0.06
STIR: Final = 0.12

SECONDS: Final = (22.0, 55.0, 50.0, 80.0, 35.0)
"""Median until the next step."""
SPREAD: Final = (0.9, 1.1, 1.1, 0.8, 0.7)
SLOWER: Final = (1.0, 0.9, 1.05)
"""By device."""
HOURS_MAX: Final = 2
"""Nobody hesitates longer at one step."""
JUMPS: Final = (0.0, 0.04, 0.06, 0.0, 0.0)
"""Share of those going on who leave the next step out: buy now, express payment."""


class Minds:
    """All moods of the weeks. A pure function of the settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        rng = settings.generator(3)
        hours = settings.days * 24 + 2
        self._cell = rng.normal(0, 0.08, (STEPS, len(CELLS)))
        self._channel = rng.normal(0, 0.2, (STEPS, len(CHANNELS)))
        self._country = rng.normal(0, 0.12, (STEPS, len(COUNTRIES)))
        self._days = rng.uniform(-DAY_LEVEL, DAY_LEVEL, (STEPS, settings.days + 2))
        self._hours = wander(rng, STEPS, hours, 4, HOUR_DEVIATION)
        self._moods = wander(rng, STEPS * len(CHANNELS), hours, 5, CHANNEL_DEVIATION)
        self._drift = rng.normal(0, 0.01, STEPS)  # a week
        self._holiday = holiday(settings)

    def logits(self, day: int) -> Floats:
        """Of going on: (steps, blocks of the day, cells)."""
        blocks = (np.arange(DAY // BLOCK) + 0.5) * BLOCK
        times = blocks + day * DAY
        whole = at_times(self._hours, times / 60) + self._level(times / DAY)
        whole += self._drift[:, None] * day / 7
        clock = blocks / 60 + UTC_AHEAD
        whole += np.array(EVENING)[:, None] * (
            bumps(clock, ((20.5, 3, 2),), 0) - bumps(clock, ((4, 2.5, 1.5),), 0)
        )
        if day % 7 >= 5:
            whole += np.array(WEEKEND)[:, None]
        if day == self._holiday:
            whole -= 0.12
        moods = at_times(self._moods, times / 60).reshape(STEPS, len(CHANNELS), -1)
        fixed = self._cell + self._channel[:, CHANNEL_OF] + self._country[:, COUNTRY_OF]
        fixed += np.array(BY_DEVICE).T[:, DEVICE_OF]
        stir = self._settings.generator(4, day).normal(0, STIR, (STEPS, len(blocks), len(CELLS)))
        return np.asarray(whole[:, :, None] + moods[:, CHANNEL_OF].transpose(0, 2, 1) + fixed[:, None] + stir)

    def _level(self, days: Floats) -> Floats:
        """Logits of the rates, times the level of the day; midday is where a day is all its own."""
        rates = np.array(RATES)[:, None] * (1 + at_times(self._days, days + 0.5))
        rates = np.clip(rates, 0.01, 0.96)
        return np.asarray(np.log(rates / (1 - rates)))


def minutes_to_go_on(rng: np.random.Generator, step: int, device: Floats) -> Floats:
    """How long each takes until the next step: lognormal, in minutes."""
    slower = np.array(SLOWER)[device.astype(np.int64)]
    seconds = SECONDS[step] * slower * np.exp(SPREAD[step] * rng.standard_normal(len(device)))
    return np.asarray(np.minimum(seconds / 60, HOURS_MAX * 60.0))


assert len(BY_DEVICE) == len(SLOWER) == len(DEVICES)
