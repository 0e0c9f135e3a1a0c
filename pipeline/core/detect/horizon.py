"""How long to wait for those who go on: the shortest horizon by which most of them have gone on."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.core.detect.minutes import HORIZONS_MINUTES
from pipeline.core.detect.settings import Settings

MOST: Final = 0.8
"""Of those who go on within an hour."""
LEAST_GOERS: Final = 50
"""With fewer a step is not judged."""
WEEK: Final = 7 * 24 * 60


def settle(settings: Settings, warm: NDArray[np.float64], age_minutes: int) -> int:
    """The index of the horizon, or -1: not known yet. `warm` is settled and went on per horizon.

    Fixed once: what was learnt with one horizon says nothing of another. A step with few goers gets what a
    week has shown.
    """
    settled, went_on = warm
    if went_on[-1] < settings.horizon_goers and (age_minutes < WEEK or went_on[-1] < LEAST_GOERS):
        return -1
    shares = went_on / np.maximum(settled, 1.0)
    for index in range(len(HORIZONS_MINUTES)):
        last = index + 1 == len(HORIZONS_MINUTES)
        longer_is_allowed = not last and HORIZONS_MINUTES[index + 1] <= settings.horizon_minutes_max
        if shares[index] >= MOST * shares[-1] or not longer_is_allowed:
            return index
    raise AssertionError("the last horizon holds all")
