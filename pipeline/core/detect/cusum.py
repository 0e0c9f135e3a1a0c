"""The tests themselves: a bank of CUSUMs per scope for drops, one for silence. One pass over all scopes.

The null of a drop test is composite: the rate is at least p0 = (1 - margin) × expected. Of all those rates p0
itself is the one under which the likelihood ratio against a lower rate is most likely to grow, so its
expectation is at most 1 for each of them. Dividing a log likelihood ratio by the over-dispersion φ >= 1 keeps
that: exactly for binomial counts (Jensen), to second order where the variance is φ times the binomial's.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.core.detect.layout import BUCKET, ENTERED, EXPECTED, SETTLED, SKIPPED, SLOTS, WENT_ON
from pipeline.core.detect.settings import DROPS

_DROPS: Final = DROPS
_TESTS: Final = len(DROPS)
RATE_MOST: Final = 0.995
RATE_LEAST: Final = 1e-6
SEEING_MINUTES: Final = 30
"""The smallest drop that a rule can see is said for this time."""


@njit(cache=True, nogil=True)
def count(at, back, base, counts, ring, totals):  # type: ignore[no-untyped-def]
    """Adds a minute to the rings and totals. `back` is each scope's horizon in minutes, -1 without one."""
    entry = at // BUCKET % SLOTS
    for r in range(back.shape[0]):
        ring[r, ENTERED, entry] += counts[r, 2]
        ring[r, SKIPPED, entry] += counts[r, 3]
        totals[0][r] += counts[r, 2]
        totals[1][r] += counts[r, 4]
        totals[2][r] += counts[r, 3]
        totals[3][r] += 1.0
        if back[r] >= 0 and counts[r, 0] > 0:
            cohort = (at - back[r]) // BUCKET % SLOTS
            ring[r, SETTLED, cohort] += counts[r, 0]
            ring[r, WENT_ON, cohort] += counts[r, 1]
            ring[r, EXPECTED, cohort] += counts[r, 0] * base[r]


@njit(cache=True, nogil=True)
def drops(at, back, tested, base, gain, margin, phi, counts, cusum, since, gathered):  # type: ignore[no-untyped-def]
    """One more minute for the bank of each tested scope."""
    for r in range(back.shape[0]):
        if not tested[r] or back[r] < 0:
            continue
        n, k = counts[r, 0], counts[r, 1]
        rate = min(base[r] * gain[r], RATE_MOST)
        if n == 0 or rate < RATE_LEAST:
            continue
        null = rate * (1.0 - margin[r])
        for j in range(_TESTS):
            other = null * (1.0 - _DROPS[j])
            gone = math.log(other / null)
            stayed = math.log((1.0 - other) / (1.0 - null))
            now = cusum[r, j] + (k * gone + (n - k) * stayed) / phi[r]
            if now <= 0.0:
                cusum[r, j] = 0.0
                gathered[r, j, :] = 0.0
                continue
            if cusum[r, j] == 0.0:
                since[r, j] = at - back[r]
            cusum[r, j] = now
            gathered[r, j, 0] += n
            gathered[r, j, 1] += k
            gathered[r, j, 2] += n * rate


@njit(cache=True, nogil=True)
def silences(at, heard, rate, sure, burst, counts, normal, share, quiet, since, entered, expected):  # type: ignore[no-untyped-def]
    """One more minute for the test of arrivals: at least `normal` of those expected, or `share`; of the rate
    so much is sure.
    """
    gone = math.log(share / normal)
    for r in range(heard.shape[0]):
        if not heard[r] or rate[r] <= 0.0:
            continue
        arrived = counts[r, 2]
        now = quiet[r] + (arrived * gone + (normal - share) * rate[r] * sure[r]) / burst[r]
        if now <= 0.0:
            quiet[r] = 0.0
            entered[r] = 0.0
            expected[r] = 0.0
            continue
        if quiet[r] == 0.0:
            since[r] = at
        quiet[r] = now
        entered[r] += arrived
        expected[r] += rate[r]


def information(rate: NDArray[Any], margin: NDArray[Any]) -> NDArray[np.float64]:
    """By how much one entrant moves each CUSUM of a bank down, on average, at the edge of what is normal.

    The Kullback-Leibler distance from the null to each alternative; a row per scope.
    """
    null = np.clip(rate * (1.0 - margin), RATE_LEAST, RATE_MOST)[:, None]
    others = null * (1.0 - np.array(DROPS))
    found: NDArray[np.float64] = null * np.log(null / others) + (1 - null) * np.log((1 - null) / (1 - others))
    return found


def drift(rate: float, margin: float, drop: float) -> NDArray[np.float64]:
    """What one settled entrant adds to each test of the bank when the rate is down by `drop`."""
    p = rate * (1.0 - drop)
    null = rate * (1.0 - margin)
    others = null * (1.0 - np.array(DROPS))
    found: NDArray[np.float64] = p * np.log(others / null) + (1 - p) * np.log((1 - others) / (1 - null))
    return found


def smallest(entrants: float, rate: float, margin: float, phi: float, limits: NDArray[np.float64]) -> float:
    """The least relative drop that reaches a limit within 30 min of so many entrants; 1 if none does."""
    rate = min(rate, RATE_MOST)
    if rate < RATE_LEAST or entrants <= 0:
        return 1.0
    low, high = 0, 100
    while low < high:  # the drift grows with the drop
        middle = (low + high) // 2
        if (entrants * drift(rate, margin, middle / 100) >= limits * phi).any():
            high = middle
        else:
            low = middle + 1
    return high / 100


def recovery(n: float, k: float, null: float, drop: float, phi: float) -> float:
    """The log likelihood ratio of "as usual" (rate `null`) against "still down by `drop`"."""
    other = null * (1.0 - drop)
    gone = math.log(null / other)
    stayed = math.log((1.0 - null) / (1.0 - other))
    return (k * gone + (n - k) * stayed) / phi


def nearness(cusum: NDArray[Any], limit: NDArray[Any]) -> NDArray[np.float64]:
    """How near the nearest CUSUM of each bank is to its limit: 1 is reached."""
    nearest: NDArray[np.float64] = (cusum / limit).max(axis=1)
    return nearest
