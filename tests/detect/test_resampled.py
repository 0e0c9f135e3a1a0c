"""Resampled traffic is made of real visits, at real hours, as many as were asked for, the same each time."""

from __future__ import annotations

import numpy as np
import pytest

from tests.detect.resampled import START, Resampled, otto_hours
from tests.detect.visits import DATA, DAY, FILE, MISSING, STAGES, STEPS, WEEK, Visits, minutes, read

pytestmark = pytest.mark.skipif(not FILE.exists(), reason=MISSING)


@pytest.fixture(scope="module")
def real() -> Visits:
    return read()


def story(visits: Visits) -> set[tuple[object, ...]]:
    """What each visit is: whose, on what, and after how many seconds it came to each stage."""
    after = np.where(np.isfinite(visits.entered), np.round((visits.entered - visits.begin) * 60), -1)
    columns = (visits.visitor, visits.device, visits.channel, *after.astype(np.int64))
    return set(zip(*(column.tolist() for column in columns), strict=True))


def test_every_visit_is_a_real_one(real: Visits) -> None:
    assert len(real) == 3_605
    for clock in ("shop", "otto"):
        assert story(Resampled(real, 1, clock).day(3)) <= story(real)


def test_a_day_depends_on_its_seed_and_number_alone(real: Visits) -> None:
    one, other = Resampled(real, 1, "otto"), Resampled(real, 2, "otto")
    one.day(4)
    day, again = one.day(5), Resampled(real, 1, "otto").day(5)
    assert np.array_equal(day.begin, again.begin)
    assert np.array_equal(day.entered, again.entered)
    assert not np.array_equal(day.begin[:100], other.day(5).begin[:100])
    assert not np.array_equal(day.begin[:100] + DAY, one.day(6).begin[:100])


def test_as_many_come_as_were_asked_for(real: Visits) -> None:
    traffic = Resampled(real, 1, "shop", entrants_peak=300.0)
    hours = np.zeros(24)
    for number in range(28):
        begin = traffic.day(number).begin - START - number * DAY
        hours += np.bincount((begin // 60).astype(np.int64), minlength=24)
    assert 270 < hours.max() / 28 / 12 < 330
    assert hours[:8].sum() == 0
    assert hours[23] == 0


def test_the_clock_of_otto_has_its_hours(real: Visits) -> None:
    traffic, hours = Resampled(real, 1, "otto"), np.zeros(24)
    assert (DATA / "otto").is_dir()
    for number in range(28):
        hours += np.bincount((traffic.day(number).begin % DAY // 60).astype(np.int64), minlength=24)
    assert np.abs(hours / hours.sum() - otto_hours()).max() < 0.02
    assert hours.min() > 0


def test_fewer_days_on_top_of_each_other_are_less_even(real: Visits) -> None:
    few, many = (Resampled(real, 1, "shop", pile=pile).unevenness() for pile in (4, 64))
    assert few > 1.5 * many
    assert many > 0.05  # still far from what chance alone leaves of thousands


def test_a_crowd_of_its_own_has_rates_of_its_own(real: Visits) -> None:
    def spread(crowds: bool) -> float:
        traffic = Resampled(real, 1, "shop", crowds=crowds)
        days = [traffic.day(number).entered for number in range(10)]
        rates = [np.isfinite(one[4]).sum() / np.isfinite(one[3]).sum() for one in days]
        return float(np.std(rates))

    assert spread(True) > 2 * spread(False)


def test_everything_may_come_later(real: Visits) -> None:
    day, late = (Resampled(real, 1, "shop", late_minutes=minutes).day(2) for minutes in (0, 30))
    assert np.allclose(late.begin, day.begin + 30)


def test_those_who_are_dropped_go_no_further_and_nobody_else_changes(real: Visits) -> None:
    begin, end = START + WEEK + 12 * 60, START + WEEK + 14 * 60
    visits = Resampled(real, 1, "shop").between(begin - 120, end + 120)
    mobile = (("device", "mobile"),)
    hit = visits.dropped(2, begin, end, 0.5, mobile, np.random.default_rng(1))
    changed = (visits.entered != hit.entered).any(axis=0)
    later = visits.entered[2:].min(axis=0)
    at_risk = visits.inside(mobile) & np.isfinite(visits.entered[1]) & (later >= begin) & (later < end)
    assert not (changed & ~at_risk).any()
    assert 0.4 < changed.sum() / at_risk.sum() < 0.6
    assert np.isinf(hit.entered[2:, changed]).all()
    assert np.array_equal(hit.entered[:2], visits.entered[:2])


def test_minutes_count_every_visit_once(real: Visits) -> None:
    begin = START + 2 * DAY
    visits = Resampled(real, 1, "shop").between(begin, begin + DAY)
    told = list(minutes(visits, begin, begin + 2 * DAY))
    wholes = [row for row, scope in enumerate(told[0].scopes) if not scope.segment]
    entered = np.sum([minute.entered[wholes] for minute in told], axis=0)
    went_on = np.sum([minute.went_on[wholes, -1] for minute in told], axis=0)
    assert entered.tolist() == np.isfinite(visits.entered).sum(axis=1).tolist()
    for step in range(STEPS):
        after = np.floor(visits.entered[step + 1 :].min(axis=0)) - np.floor(
            np.where(np.isfinite(visits.entered[step]), visits.entered[step], -np.inf)
        )
        assert went_on[step] == (after <= 60).sum(), STAGES[step]
    for name, count in (("device", 3), ("channel", 5)):
        parts = [
            row for row, scope in enumerate(told[0].scopes) if scope.segment and scope.segment[0][0] == name
        ]
        assert len(parts) == count * len(STAGES)
        assert sum(minute.entered[parts].sum() for minute in told) == entered.sum()
