"""Thresholds come from the one number that a user states."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pipeline.core.detect import Settings
from pipeline.core.detect.cusum import drift, drops, information, recovery, smallest
from pipeline.core.detect.figures import band
from pipeline.core.detect.settings import DROPS, WEEK_MINUTES


def test_each_test_gets_its_part_of_the_budget() -> None:
    settings = Settings(false_pages_per_week=2.0)
    h = settings.threshold(50, 0.4)
    assert 50 * WEEK_MINUTES / math.exp(h) == pytest.approx(0.8)  # pages a week of all fifty


def test_the_families_share_the_whole_budget() -> None:
    settings = Settings()
    assert settings.share_whole + settings.share_segments + settings.share_silence == pytest.approx(1.0)


def test_no_budget_is_no_pages() -> None:
    assert Settings(false_pages_per_week=0.0).threshold(1, 0.5) == math.inf


def alarms(
    phi: float, true_rate: float, limits: float | np.ndarray, minutes: int, tests: int, a_minute: float = 20
) -> int:
    """How often banks on `true_rate`, told that 0.3 is usual, reach their limits; each then begins anew."""
    draw = np.random.default_rng(5)
    cusum, gathered = np.zeros((tests, len(DROPS))), np.zeros((tests, len(DROPS), 3))
    since, ones = np.zeros((tests, len(DROPS)), np.int32), np.ones(tests)
    found = 0
    for at in range(minutes):
        counts = np.zeros((tests, 5), np.int64)
        counts[:, 0] = draw.poisson(a_minute, tests)
        rate = true_rate if phi == 1.0 else draw.beta(*_beta(true_rate, phi, 20), tests)
        counts[:, 1] = draw.binomial(counts[:, 0], rate)
        drops(
            at, np.zeros(tests, np.int64), np.ones(tests, np.uint8), 0.3 * ones, ones, 0.03 * ones,
            phi * ones, counts, cusum, since, gathered,
        )  # fmt: skip
        over = cusum >= limits
        found += int(over.sum())
        cusum[over] = 0.0
    return found


def _beta(rate: float, phi: float, n: int) -> tuple[float, float]:
    scale = (n - 1) / (phi - 1.0) - 1.0
    return rate * scale, (1.0 - rate) * scale


@pytest.mark.parametrize("phi", [1.0, 1.8])
def test_false_alarms_stay_within_the_bound_also_at_the_edge_of_what_is_normal(phi: float) -> None:
    threshold, minutes, tests = 5.0, 2_000, 40
    bound = len(DROPS) * minutes * tests / math.exp(threshold)
    assert 0 < alarms(phi, 0.3 * 0.97, threshold, minutes, tests) <= bound
    assert alarms(phi, 0.3, threshold, minutes, tests) <= bound / 2


@pytest.mark.parametrize("a_minute", [0.1, 1.0, 20.0])
def test_tests_that_learn_little_from_a_minute_have_lower_limits_and_still_keep_their_share(
    a_minute: float,
) -> None:
    known = a_minute * information(np.array([0.3]), np.array([0.03]))[0]
    minutes, tests = 4_000, 60
    settings = Settings(false_pages_per_week=4.0)
    limits = settings.limits(len(DROPS), 1.0, known)
    settled = settings.threshold(len(DROPS), 1.0)
    assert (limits <= settled).all()
    assert limits[0] <= limits[-1]
    bound = 4.0 * minutes / WEEK_MINUTES * tests
    assert alarms(1.0, 0.3 * 0.97, limits, minutes, tests, a_minute) <= bound


def test_a_drop_is_found_in_about_the_time_that_its_drift_says() -> None:
    minutes = math.ceil(8.0 / (20 * drift(0.3, 0.03, 0.5).max()))
    assert alarms(1.0, 0.15, 8.0, 2 * minutes, 40) >= 35
    assert alarms(1.0, 0.15, 8.0, max(1, minutes // 4), 40) <= 4


def test_the_smallest_drop_that_can_be_seen_shrinks_with_volume() -> None:
    seen = [smallest(n, 0.3, 0.03, 1.0, np.full(4, 12.0)) for n in (5, 50, 500, 5_000, 50_000)]
    assert seen == sorted(seen, reverse=True)
    assert seen[0] == 1.0
    assert seen[-1] < 0.15
    assert smallest(500, 0.3, 0.03, 2.0, np.full(4, 12.0)) > seen[2]


def test_recovery_counts_for_the_usual_rate_and_against_the_drop() -> None:
    assert recovery(100, 30, 0.3, 0.5, 1.0) > 0 > recovery(100, 15, 0.3, 0.5, 1.0)


def test_a_band_holds_95_percent_and_widens_with_dispersion() -> None:
    draw = np.random.default_rng(3)
    for n in (7, 60, 900, 9_000):
        low, high = band(n, 0.3, 1.0)
        inside = (draw.binomial(n, 0.3, 4_000) / n >= low) & (draw.binomial(n, 0.3, 4_000) / n <= high)
        assert 0.93 <= inside.mean() <= 1.0
        wide = band(n, 0.3, 2.0)
        assert wide[0] <= low < 0.3 < high <= wide[1]
    assert band(0, 0.3, 1.0) == (0.0, 1.0)
