"""Curves that time draws: smooth days, and noise that remembers where it was."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
HOURS_A_DAY: Final = 24


def bumps(hours: Floats, peaks: Sequence[tuple[float, float, float]], floor: float) -> Floats:
    """A day that repeats: `floor`, and on it bumps of (hour, width in hours, height)."""
    out = np.full(hours.shape, float(floor))
    for hour, width, height in peaks:
        concentration = (HOURS_A_DAY / (2 * np.pi * width)) ** 2
        turn = np.cos(2 * np.pi * (hours - hour) / HOURS_A_DAY)
        out += height * np.exp(concentration * (turn - 1))
    return out


def wander(rng: np.random.Generator, series: int, steps: int, memory: float, deviation: float) -> Floats:
    """(series, steps) of noise with this standard deviation, forgotten by 63 % within `memory` steps."""
    keep = float(np.exp(-1 / memory))
    out = rng.standard_normal((series, steps))
    fresh = np.sqrt(1 - keep**2)
    for k in range(1, steps):
        out[:, k] = keep * out[:, k - 1] + fresh * out[:, k]
    return out * deviation


def at_times(values: Floats, times: Floats) -> Floats:
    """The series of `values` (series, knots at 0, 1, 2 ...) at these times, straight between the knots."""
    low = np.clip(np.floor(times).astype(np.int64), 0, values.shape[1] - 2)
    part = np.clip(times - low, 0, 1)
    return np.asarray(values[:, low] * (1 - part) + values[:, low + 1] * part)


def rise_and_fade(times: Floats, begin: float, ramp: float, fade: float) -> Floats:
    """0 before `begin`, 1 after `ramp`, then fading by 63 % per `fade`."""
    since = times - begin
    rise = np.clip(since / ramp, 0, 1)
    return np.asarray(rise * np.exp(-np.clip(since - ramp, 0, None) / fade))
