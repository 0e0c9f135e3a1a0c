"""What is usual: how many enter a step in this quarter of an hour of the week.

- Arrivals are learnt by quarter of an hour, for shops do not close on the hour. What looked silent is left
  out, unless it did so `silent_habit` times in a row at the same hour of day or of week: then it is usual.
- The *flow* follows what a holiday or a trend does to all hours alike, downwards only, and fades by half in
  six hours.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.core.detect.baseline import HOUR, Row, hour_of_week, slots
from pipeline.core.detect.layout import ENTERED, GROUP, HOURS, LAG, QUARTERS
from pipeline.core.detect.settings import Settings

FLOW: Final = 0.5 ** (GROUP / (6 * 60))


def usual(step: np.void, minute: int) -> tuple[float, float]:
    """Entrants per minute in this quarter of an hour, and the share of them that is sure.

    Shrunk from the quarter of the week to that of the day, which is believed once it was seen. Sure is what
    the quarter itself, the one before and the one after all had: where a shop closes or opens a few minutes
    later than last week, that is no silence.
    """
    near = [_quarter(step, minute + shift) for shift in (0, -GROUP, GROUP)]
    usual = near[0][0]
    return usual / GROUP, min(least for _, least in near) / usual if usual > 0.0 else 0.0


def _quarter(step: np.void, minute: int) -> tuple[float, float]:
    """Entrants that are usual in this quarter, and the least that is known of it."""
    hour, quarter = hour_of_week(minute), minute // GROUP % QUARTERS
    a, x = step["a"][:, quarter].astype(np.float64), step["ax"].astype(np.float64)
    same = np.arange(hour % 24, HOURS, 24)
    if not x[same].any():
        return 0.0, 0.0
    usual = float((a[hour] + a[same].sum() / x[same].sum()) / (x[hour] + 1.0))
    return usual, min(usual, float(a[hour] / x[hour])) if x[hour] else usual


def learn(settings: Settings, step: np.void, rows: Row, first: int) -> None:
    """Takes the hour that began at `first` into the arrivals that are usual, where no silence was near; what
    looked silent so often in a row that it is a habit is believed at once.
    """
    whole = step["whole"]
    if first < rows["born"][whole]:
        return
    hour, decay = hour_of_week(first), settings.weekly_decay
    buckets = rows["ring"][whole, ENTERED, slots(first, first + HOUR)]
    entered = buckets.reshape(QUARTERS, -1).sum(axis=1)
    if rows["hushed"][whole] < first:
        step["hushed_days"][hour % 24] = step["hushed_weeks"][hour] = 0
        step["a"][hour] = step["a"][hour] * decay + entered
        step["ax"][hour] = step["ax"][hour] * decay + 1.0
        return
    step["hushed_days"][hour % 24] += 1
    step["hushed_weeks"][hour] += 1
    if step["hushed_weeks"][hour] >= settings.silent_habit:
        _believe(step, [hour], entered)
    if step["hushed_days"][hour % 24] >= settings.silent_habit:
        _believe(step, range(hour % 24, HOURS, 24), entered)


def _believe(step: np.void, hours: Iterable[int], entered: NDArray[np.float32]) -> None:
    """From now on no more than `entered` is usual in these hours."""
    for hour in hours:
        step["a"][hour] = np.minimum(step["a"][hour], step["ax"][hour] * entered)


def follow_flow(rows: Row, at: int) -> None:
    """Moves the flow on by one group of minutes; only fewer are followed: a holiday is not silence."""
    entered = rows["ring"][:, ENTERED, slots(at - LAG - GROUP, at - LAG)].sum(axis=1, dtype=np.float64)
    rows["flow_k"] = rows["flow_k"] * FLOW + entered
    rows["flow_e"] = rows["flow_e"] * FLOW + GROUP * rows["rate"]
    rows["flow"] = np.clip((rows["flow_k"] + 10.0) / (rows["flow_e"] + 10.0), 0.3, 1.0)
