"""What a user sets of the detection, and what follows from the budget of false pages.

One number is stated for the whole deployment: how many pages a week may be false. It is split between three
families of tests (whole steps, segments, silence), and within a family evenly between its tests.

A CUSUM of log likelihood ratios whose every factor has an expectation of at most 1 without a change is an
*e-detector*: started anew at each minute, so the expected time until it first reaches h is at least e^h
minutes (Lorden 1971, "Procedures for reacting to a change in distribution"; Moustakides 1986; for composite
nulls and anything that is an e-process: Shin, Ramdas, Rinaldo 2022, "E-detectors"; each restart alone is
Ville's inequality). So h = ln(tests × minutes of a week / pages a week) keeps a family within its share.

That bound takes each minute for a fresh chance. A CUSUM that moves little in a minute has far fewer: with I,
the information of a minute (the Kullback-Leibler distance of the alternative times entrants, divided by φ),
the expected time is about e^h / I minutes where I is below 1 (Siegmund 1985, "Sequential analysis", II.6).
So minutes are counted by their information: min(1, I) each. It is what lets small segments and small drops
be seen at all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

WEEK_MINUTES: Final = 7 * 24 * 60
THRESHOLD_LEAST: Final = 5.0
"""No test is content with less: odds of 150 to 1."""
DROPS: Final = (0.10, 0.25, 0.50, 0.90)
"""The alternatives that are tested side by side: drops relative to the least rate that is still normal."""


@dataclass(frozen=True)
class Settings:
    """Everything has a default that fits; `false_pages_per_week` is what a user should think about."""

    false_pages_per_week: float = 1.0
    share_whole: float = 0.4  # of the budget: whole steps
    share_segments: float = 0.4
    share_silence: float = 0.2

    horizon_minutes_max: int = 60  # no step waits longer for its goers than this
    horizon_goers: int = 500  # who went on within an hour before a step's horizon is fixed

    history_minutes: int = 24 * 60  # no calls before this much has been learnt
    margin: float = 0.03  # rates down to (1 - margin) of the expected one are normal, or more where
    margin_deviations: float = 2.0  # so many standard deviations of what is expected are more
    margin_first_week: float = 0.05  # more of it until each hour of a week has been seen
    margin_max: float = 0.30
    weekly_decay: float = 0.85  # what a week-old count still weighs
    level_deviation: float = 0.1  # how far days are from usual, as a standard deviation of the rate
    segment_deviation: float = 0.05  # and a segment's days from those of its step
    level_half_life_minutes: int = 12 * 60  # in which half of that is gone
    level_least: float = 0.7
    level_most: float = 1.4

    silent_normal: float = 0.5  # arrivals down to this share of the expected ones are normal
    silent_share: float = 0.1  # arrivals down to this share are silence
    silent_after_minutes: int = WEEK_MINUTES  # none is called before: the first Sunday may well be quiet
    silent_habit: int = 3  # so often in a row at the same hour of day, or of week, is no incident any more
    silent_dimensions: tuple[str, ...] = ()  # whose segments are watched for silence besides whole steps

    together_minutes: int = 45  # drops of one journey that begin within this time are one episode
    resolve_evidence: float = 4.6  # log odds for "as usual again" against "still down"
    resolve_minutes: int = 10  # and for at least so long
    cool_down_minutes: int = 30  # falling again within this time is the same episode
    accept_minutes: int = 72 * 60  # what has lasted this long is what is normal now

    warning_value_e4_per_hour: int = 100 * 10_000
    critical_value_e4_per_hour: int = 1_000 * 10_000
    scopes_max: int = 25_000  # of these at most 5,000 pairs, by gather.PAIRS_ALL_MAX

    def threshold(self, tests: int, share: float) -> float:
        """h: what each of so many tests must reach, for their family to stay within `share` of the budget."""
        pages = self.false_pages_per_week * share
        if pages <= 0:
            return math.inf
        return max(THRESHOLD_LEAST, math.log(max(1, tests) * WEEK_MINUTES / pages))

    def limits(self, tests: int, share: float, information: NDArray[np.float64]) -> NDArray[np.float64]:
        """The same for tests that learn so little, on average, from a minute."""
        h = self.threshold(tests, share)
        least = max(math.exp(THRESHOLD_LEAST - h), 1e-12)
        found: NDArray[np.float64] = h + np.log(np.clip(information, least, 1.0))
        return found
