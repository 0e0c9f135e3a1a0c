"""How long a step waits for those who go on."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.core.detect import Settings
from pipeline.core.detect.horizon import settle

DAY = 24 * 60


def warm(went_on: list[int], settled: int = 10_000) -> np.ndarray:
    return np.array([[settled] * 7, went_on], np.float64)


@pytest.mark.parametrize(
    ("went_on", "index"),
    [
        ([850, 900, 950, 960, 970, 980, 1000], 0),
        ([100, 500, 790, 801, 900, 950, 1000], 3),
        ([0, 0, 0, 0, 0, 100, 1000], 6),
    ],
)
def test_the_shortest_by_which_80_percent_have_gone_on(went_on: list[int], index: int) -> None:
    assert settle(Settings(), warm(went_on), 100) == index


def test_nobody_waits_longer_than_the_bound() -> None:
    slow = warm([0, 0, 0, 0, 0, 100, 1000])
    assert settle(Settings(horizon_minutes_max=20), slow, 100) == 4


def test_few_goers_need_a_week_and_hardly_any_are_not_judged() -> None:
    few, hardly = warm([90, 95, 98, 99, 99, 99, 100]), warm([20] * 7)
    assert settle(Settings(), few, DAY) == -1
    assert settle(Settings(), few, 7 * DAY) == 0
    assert settle(Settings(), hardly, 70 * DAY) == -1
