"""What is usual: of those who enter a step at this hour of the week, how many go on.

- A step's rate is shrunk from hour of week to hour of day to the level of the step, with priors that weigh as
  much as one more such hour. Counts of past weeks fade by `weekly_decay`.
- A segment's rate is its step's times a ratio (observed against expected by the step's rate) that is shrunk
  from hour of day to its level to 1: a small segment has its step's baseline, a large one its own.
- The *level* follows what days and trends do to all hours alike. It looks at cohorts that are at least LAG
  minutes old and fades by half in `level_half_life_minutes`, so that half an hour of a sudden drop is not in
  it.
- An hour is learnt two to three hours later, and only if no drop looked possible meanwhile: incidents are
  left out. What an hour differs by through its level is divided out, so that levels are not learnt as hours.

How many enter: `arrivals.py`. Hours are hours of UTC: where clocks are put forward the baseline is an hour
off until it has faded.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.core.detect.cusum import RATE_MOST
from pipeline.core.detect.layout import (
    BUCKET,
    ENTERED,
    EXPECTED,
    GROUP,
    HOURS,
    LAG,
    SETTLED,
    SLOTS,
    WENT_ON,
)  # fmt: skip
from pipeline.core.detect.settings import Settings

HOUR: Final = 60
DELAY: Final = SLOTS * BUCKET
"""Minutes from the begin of an hour to the moment when it is learnt."""
PRIOR_SETTLED: Final = 50.0  # a step's priors weigh at least so many entrants
PRIOR_RATIO: Final = 20.0  # goers: a segment's level
PRIOR_HOUR: Final = 50.0
"""Goers: a segment's hours. No more for a large segment: where robots come every night its nights are not its
days, and a prior that grows with it would call that a drop each time.
"""

TREND: Final = 0.5 ** (GROUP / (12 * 60))
WINSOR: Final = 9.0  # one group of 15 minutes counts for at most this chi²
WINSORISED: Final = 0.99  # what is left of the expectation of chi² with one degree of freedom
DISPERSION_DECAY: Final = 0.5 ** (GROUP / (3 * 24 * 60))  # half in three days
DISPERSION_PRIOR: Final = 20.0
DISPERSION_MOST: Final = 20.0
WANDER_DECAY: Final = 0.5 ** (1 / 14)  # half in two weeks
WANDER_PRIOR: Final = 500.0  # goers that weigh as much as the belief that levels leave what they should
WANDER_DAYS: Final = 8.0  # days of an hour that weigh as much as all hours together
WANDER_LEAST: Final = 0.05
WANDER_MOST: Final = 10.0
STRAY_MOST: Final = 0.25  # one hour counts as straying by at most this

Row = NDArray[np.void]


def hour_of_week(minute: int) -> int:
    """0 to 167; weeks begin with the day of the epoch, a Thursday."""
    return minute // HOUR % HOURS


def slots(first: int, last: int) -> NDArray[np.int64]:
    """The ring's places of the buckets from minute `first` up to and without minute `last`."""
    return np.arange(first // BUCKET, last // BUCKET) % SLOTS


def shrunk_rate(step: np.void, week_hour: int) -> float:
    """The rate of going on at this hour of week, before any level."""
    n, k, x = (step[name].astype(np.float64) for name in ("n", "k", "x"))
    same = np.arange(week_hour % 24, HOURS, 24)
    whole = (k.sum() + 1.0) / (n.sum() + 2.0)
    prior = max(PRIOR_SETTLED, n.sum() / max(1.0, x.sum()))
    day = (k[same].sum() + prior * whole) / (n[same].sum() + prior)
    prior = max(PRIOR_SETTLED, n[same].sum() / max(1.0, x[same].sum()))
    return float((k[week_hour] + prior * day) / (n[week_hour] + prior))


def learn_hour(settings: Settings, step: np.void, rows: Row, mine: NDArray[np.int64], first: int) -> None:
    """Takes the hour of cohorts that began at `first` into what is usual, where nothing was wrong."""
    whole = step["whole"]
    if first < step["known"] or rows["dirty"][whole] >= first:
        return
    sums = rows["ring"][mine][:, :3, slots(first, first + HOUR)].sum(axis=2, dtype=np.float64)
    at = np.flatnonzero(mine == whole)[0]
    hour, decay = hour_of_week(first), settings.weekly_decay
    for name, more in (
        ("n", sums[at, SETTLED] * rows["trend"][whole]),
        ("k", sums[at, WENT_ON]),
        ("x", 1.0),
    ):
        step[name][hour] = step[name][hour] * decay + more
    clean = rows["dirty"][mine] < first
    sums[:, EXPECTED] *= rows["level"][whole]
    kept = mine[clean]
    day = decay ** (1 / 7)
    for name, what in (("went", WENT_ON), ("expected", EXPECTED)):
        rows[name][kept, hour % 24] = rows[name][kept, hour % 24] * day + sums[clean, what]


def follow_level(settings: Settings, step: np.void, rows: Row, mine: NDArray[np.int64], cohort: int) -> None:
    """Moves the levels on by one group of cohorts, those from LAG + GROUP to LAG minutes ago.

    A Kalman filter on the ratio to what is usual, which forgets towards 1: at night, when an hour has a dozen
    goers, it hardly moves; by day it follows within two groups. One group moves it by three of its standard
    deviations at most.
    """
    places = slots(cohort - LAG - GROUP, cohort - LAG)
    sums = rows["ring"][mine][:, :3, places].sum(axis=2, dtype=np.float64)
    whole = step["whole"]
    of_step = np.where(mine == whole, 1.0, rows["level"][whole])
    expected = np.maximum(sums[:, EXPECTED] * rows["ratio"][mine] * of_step, 1e-9)
    usual = np.minimum(expected / np.maximum(sums[:, SETTLED], 1.0), RATE_MOST)
    deviation = np.where(mine == whole, settings.level_deviation, settings.segment_deviation)
    keep = 0.5 ** (GROUP / settings.level_half_life_minutes)
    level = 1.0 + keep * (rows["level"][mine] - 1.0)
    doubt = keep**2 * rows["doubt"][mine] + (1.0 - keep**2) * deviation**2
    noise = step["phi"] * (1.0 - usual) * level / expected
    spread = np.sqrt(doubt + noise)
    surprise = np.clip(sums[:, WENT_ON] / expected - level, -3.0 * spread, 3.0 * spread)
    gain = doubt / (doubt + noise)
    rows["level"][mine] = np.clip(level + gain * surprise, settings.level_least, settings.level_most)
    rows["doubt"][mine] = (1.0 - gain) * doubt
    rows["trend"][mine] += (1.0 - TREND) * (rows["level"][mine] - rows["trend"][mine])


def disperse(step: np.void, rows: Row, cohort: int) -> None:
    """Fits φ with the group of cohorts that has just ended: Pearson's chi², winsorised, fading."""
    whole = rows[step["whole"]]
    n, k, e = whole["ring"][:3, slots(cohort - GROUP, cohort)].sum(axis=1, dtype=np.float64)
    rate = min(e / n * whole["level"], RATE_MOST) if n else 0.0
    if n * rate < 5.0:
        return
    chi = min((k - n * rate) ** 2 / (n * rate * (1.0 - rate)), WINSOR) / WINSORISED
    _fit(step, "phi", chi)


def burst(step: np.void, rows: Row, at: int) -> None:
    """Fits the over-dispersion of arrivals by how two neighbouring groups differ: levels do not matter."""
    ring = rows["ring"][step["whole"], ENTERED]
    before = float(ring[slots(at - 2 * GROUP, at - GROUP)].sum())
    after = float(ring[slots(at - GROUP, at)].sum())
    if before + after >= 5.0:
        _fit(step, "burst", min((before - after) ** 2 / (before + after), WINSOR) / WINSORISED)


def _fit(step: np.void, name: str, chi: float) -> None:
    top = step[f"{name}_sum"] * DISPERSION_DECAY + chi
    weight = step[f"{name}_weight"] * DISPERSION_DECAY + 1.0
    step[f"{name}_sum"], step[f"{name}_weight"] = top, weight
    fitted = (top + DISPERSION_PRIOR) / (weight + DISPERSION_PRIOR)
    step[name] = min(max(fitted, 1.0), DISPERSION_MOST)


def stray(settings: Settings, step: np.void, rows: Row, cohort: int) -> None:
    """How far the hour of cohorts that has just ended lay from its expected rate, beyond chance.

    It counts two hours later, unless an episode has fired since it began: not if something only looked
    possible, for then the hours that stray most would be the ones that are left out.
    """
    found = step["pending"][0].copy()
    step["pending"][0] = step["pending"][1]
    step["pending"][1] = _straying(settings, step, rows, cohort)
    first = cohort - 3 * HOUR
    if found[1] > 0.0 and step["fired"] < first:
        hour = first // HOUR % 24
        for name, more in (("strayed", found[0]), ("straying", found[1]), ("strays", 1.0)):
            step[name][hour] = step[name][hour] * WANDER_DECAY + more


def _straying(settings: Settings, step: np.void, rows: Row, cohort: int) -> tuple[float, float]:
    """(variance found, variance believed) of the hour that has just ended, times its expected goers."""
    whole = rows[step["whole"]]
    n, k, e = whole["ring"][:3, slots(cohort - HOUR, cohort)].sum(axis=1, dtype=np.float64)
    e *= whole["level"]
    if n == 0 or e < 5.0:
        return 0.0, 0.0
    off = min(max(k / e - 1.0, -STRAY_MOST), STRAY_MOST)
    beyond = off**2 - step["phi"] * (1.0 - min(e / n, 1.0)) / e
    return e * beyond, e * ahead(settings, float(whole["doubt"]), settings.level_deviation)


def wander(settings: Settings, step: np.void, hour: int) -> float:
    """How much more, or less, this hour of day strays than levels should leave: a multiple of the variance.

    Where days differ from one another and change at midnight it is the small hours that stray, before the
    level has followed; at noon the rate is known well. So each hour has its own, shrunk to that of all.
    """
    prior = WANDER_PRIOR * ahead(settings, 0.0, settings.level_deviation)
    every = (step["strayed"].sum() + prior) / (step["straying"].sum() + prior)
    days = float(step["strays"][hour])
    weight = WANDER_DAYS * (step["straying"][hour] / days if days else prior)
    scale = (step["strayed"][hour] + weight * max(every, 0.0)) / (step["straying"][hour] + weight)
    return float(np.clip(scale, WANDER_LEAST, WANDER_MOST))


def ahead(settings: Settings, doubt: Any, deviation: Any) -> Any:
    """The variance of a level at the time of the cohorts that are tested: LAG and half an hour further on."""
    moved = 1.0 - 0.25 ** ((LAG + 30) / settings.level_half_life_minutes)
    return doubt + moved * (deviation**2 - doubt)


def expect(settings: Settings, step: np.void, rows: Row, mine: NDArray[np.int64], cohort: int) -> None:
    """What is expected of the cohorts of the hour of `cohort`, of the step and of its segments."""
    whole = step["whole"]
    rate = shrunk_rate(step, hour_of_week(cohort)) if step["x"].any() else warm_rate(step)
    went = rows["went"][mine].astype(np.float64)
    expected = rows["expected"][mine].astype(np.float64)
    hour = cohort // HOUR % 24
    all_k, all_e = went.sum(axis=1), expected.sum(axis=1)
    ratio = (all_k + PRIOR_RATIO) / (all_e + PRIOR_RATIO)
    hourly = (went[:, hour] + PRIOR_HOUR * ratio) / (expected[:, hour] + PRIOR_HOUR)
    rows["ratio"][mine] = np.where(mine == whole, 1.0, hourly)
    rows["base"][mine] = rate
    step["wander"] = wander(settings, step, hour)
    own = (mine != whole) * step["phi"] * (1.0 - rate) / (all_k + PRIOR_RATIO)
    variance = ahead(settings, rows["doubt"][whole], settings.level_deviation)
    variance += (mine != whole) * ahead(settings, rows["doubt"][mine], settings.segment_deviation)
    variance = step["wander"] * variance + own
    margin = np.maximum(settings.margin, settings.margin_deviations * np.sqrt(variance))
    if cohort - step["known"] < HOURS * HOUR:
        margin = margin + settings.margin_first_week
    rows["margin"][mine] = np.minimum(margin, settings.margin_max)


def warm_rate(step: np.void) -> float:
    """The rate of the warm-up: all that is known before an hour has been learnt."""
    settled, went_on = step["warm"][:, step["horizon"]]
    return float((went_on + 1.0) / (settled + 2.0))


def gains(steps: Row, rows: Row) -> NDArray[np.float64]:
    """What a scope's expected rate is, as a multiple of its base: a segment has its step's level as well."""
    whole = steps["whole"][rows["step"]]
    of_step = np.where(whole == np.arange(len(rows)), 1.0, rows["level"][whole])
    gain: NDArray[np.float64] = rows["ratio"] * rows["level"] * of_step
    return gain
