"""The lab's weeks: the same for the same seed, consistent in every sum, and changed by incidents alone."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from itertools import islice, pairwise

import numpy as np
import pytest

from pipeline.core.detect.minutes import HORIZONS_MINUTES, Minute
from pipeline.lab.incidents import MIXES, Incident, draw
from pipeline.lab.market import DAY, DIMENSIONS, STAGES, START, WEEK, Segment, Settings, segments
from pipeline.lab.traffic import Traffic
from pipeline.lab.weeks import Day, Weeks

SMALL = Settings(weeks=2, seed=5, entrants_peak=400)
SEGMENTS = segments(SMALL.pairs)
MOBILE: Segment = (("device", "mobile"),)


def days(count: int, incidents: Sequence[Incident] = (), settings: Settings = SMALL) -> list[Day]:
    return list(islice(Weeks(settings, incidents).days(), count))


def digest(told: list[Day]) -> str:
    out = hashlib.sha256()
    for day in told:
        for counts in (day.entered, day.settled, day.went_on, day.skipped, day.value_e4):
            out.update(counts.tobytes())
    return out.hexdigest()


def table(day: Day, name: str) -> np.ndarray:
    """(minutes, stages, segments[, horizons])."""
    counts = getattr(day, name)
    return counts.reshape(DAY, len(STAGES), len(SEGMENTS), *counts.shape[2:])


@pytest.fixture(scope="module")
def two_days() -> list[Day]:
    return days(2)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_or_salt_others(two_days: list[Day]) -> None:
    assert digest(days(2)) == digest(two_days)
    others = [
        Settings(weeks=2, seed=6, entrants_peak=400),
        Settings(weeks=2, seed=5, salt=1, entrants_peak=400),
    ]
    assert len({digest(two_days), *(digest(days(2, settings=one)) for one in others)}) == 3


@pytest.mark.parametrize("name", ["entered", "settled", "went_on", "skipped", "value_e4"])
@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_everybody_is_the_sum_of_the_values_of_any_dimension(
    two_days: list[Day], name: str, dimension: str
) -> None:
    parts = [k for k, one in enumerate(SEGMENTS) if len(one) == 1 and one[0][0] == dimension]
    assert len(parts) == len(DIMENSIONS[dimension])
    counts = table(two_days[1], name)
    assert counts[:, :, 0].sum() > 0
    assert (counts[:, :, parts].sum(axis=2) == counts[:, :, 0]).all()


def test_a_value_is_the_sum_of_its_pairs(two_days: list[Day]) -> None:
    for one, other in SMALL.pairs:
        whole = SEGMENTS.index(((one, DIMENSIONS[one][0]),))
        parts = [
            k
            for k, name in enumerate(SEGMENTS)
            if len(name) == 2 and name[0] == SEGMENTS[whole][0] and name[1][0] == other
        ]
        counts = table(two_days[1], "went_on")
        assert (counts[:, :, parts].sum(axis=2) == counts[:, :, whole]).all()


def test_nobody_goes_on_who_did_not_enter_and_a_longer_horizon_sees_no_fewer(two_days: list[Day]) -> None:
    entered = np.concatenate([day.entered for day in two_days])
    settled = np.concatenate([day.settled for day in two_days])
    went_on = np.concatenate([day.went_on for day in two_days])
    assert (went_on <= settled).all()
    assert (went_on >= 0).all()
    for k, h in enumerate(HORIZONS_MINUTES):
        assert (settled[h:, :, k] == entered[:-h]).all()  # also over midnight
        assert not settled[:h, :, k].any()
    for k, (h, longer) in enumerate(pairwise(HORIZONS_MINUTES)):
        cohort, cohort_later = went_on[h:, :, k], went_on[longer:, :, k + 1]
        assert (cohort[: len(cohort_later)] <= cohort_later).all()


def test_people_enter_a_later_stage_only_from_an_earlier_one_or_from_outside(two_days: list[Day]) -> None:
    counts = np.concatenate([table(day, "entered")[:, :, 0] for day in two_days]).sum(axis=0)
    went_on = np.concatenate([table(day, "went_on")[:, :, 0, -1] for day in two_days]).sum(axis=0)
    order = STAGES.index("order")
    # the last step's goers are the orders, but for those under way and those slower than an hour
    assert went_on[order - 1] == pytest.approx(counts[order], rel=0.02)
    assert not went_on[order]
    assert list(counts) == sorted(counts, reverse=True)


def test_the_volume_is_as_set_and_nights_are_quiet() -> None:
    hours = np.stack([table(day, "entered")[:, 0, 0].reshape(24, 60).sum(axis=1) / 12 for day in days(5)])
    busiest = hours.max(axis=1)
    assert 0.6 * SMALL.entrants_peak < np.median(busiest) < 1.4 * SMALL.entrants_peak
    assert (hours[:, 2] < 0.3 * busiest).all()


def test_minutes_come_in_order_without_a_gap() -> None:
    minutes: list[Minute] = [minute for day in days(2) for minute in day.minutes()]
    assert [minute.at for minute in minutes] == list(range(START, START + 2 * DAY))
    assert len(minutes[0].scopes) == len(set(minutes[0].scopes)) == len(STAGES) * len(SEGMENTS)


def incident(kind: str, rank: int, segment: Segment, share: float = 1.0) -> Incident:
    begin = START + DAY + 13 * 60
    return Incident(kind, rank, segment, begin, 90, share, "peak")  # type: ignore[arg-type]


def differences(one: list[Day], other: list[Day], name: str) -> np.ndarray:
    """By minute, stage and segment."""
    changed = [table(a, name) - table(b, name) for a, b in zip(one, other, strict=True)]
    return np.concatenate(changed)


def test_a_drop_is_seen_at_its_step_in_its_segment_and_after_and_nowhere_else(two_days: list[Day]) -> None:
    what = incident("drop", 3, MOBILE)
    changed = days(2, [what])
    went_on = differences(changed, two_days, "went_on")[..., -1]
    others = [
        k for k, one in enumerate(SEGMENTS) if ("device", "desktop") in one or ("device", "tablet") in one
    ]
    assert not went_on[:, :, others].any()
    assert not went_on[:, :2].any()  # who comes to the step does so as ever
    assert not differences(changed, two_days, "entered")[:, :3].any()
    touched = np.flatnonzero(went_on[:, 2, SEGMENTS.index(MOBILE)])
    begin = what.begin - START
    assert begin - 120 <= touched.min() - 60 <= begin < touched.max() - 60 < begin + what.minutes
    assert (went_on[:, 2] <= 0).all()
    assert (differences(changed, two_days, "entered")[:, 3:] <= 0).all()
    gone = table(changed[1], "went_on")[begin - DAY + 60 : begin - DAY + 80, 2, SEGMENTS.index(MOBILE), -1]
    assert not gone.any()  # all of them while it lasts


def test_half_a_drop_is_half_of_those_who_would_have_gone_on(two_days: list[Day]) -> None:
    weeks = Weeks(SMALL, [incident("drop", 1, (), 0.5)])
    changed = list(islice(weeks.days(), 2))
    truth = weeks.truths[0]
    lost = -differences(changed, two_days, "went_on")[:, 0, 0, -1].sum()
    assert truth.hit.sum() == pytest.approx(lost, rel=0.02)  # some would have taken over an hour
    assert truth.share_in(()) == pytest.approx(0.5, abs=0.05)
    assert truth.hit.sum() > 500


def test_what_would_have_been_is_kept_beside_what_was(two_days: list[Day]) -> None:
    changed = days(2, [incident("drop", 1, (), 0.5)])
    for day, plain in zip(changed, two_days, strict=True):
        assert (day.undisturbed == table(plain, "went_on")[:, :, 0, -1].T).all()


def test_a_tracking_fault_hides_a_step_while_later_ones_go_on(two_days: list[Day]) -> None:
    what = incident("tracking", 3, ())
    changed = days(2, [what])
    entered = differences(changed, two_days, "entered")[:, :, 0]
    begin = what.begin - START
    assert set(np.flatnonzero(entered[:, 2])) <= set(range(begin, begin + what.minutes))
    assert not entered[:, [0, 1, 3, 4, 5]].any()
    cut = slice(begin - DAY, begin - DAY + what.minutes)
    assert not table(changed[1], "entered")[cut, 2, 0].any()
    skipped = differences(changed, two_days, "skipped")[:, :, 0]
    assert skipped[:, 2].sum() > 20
    # who came straight to that step is first heard of at the next: that hour moves, for the steps before
    assert not skipped[:, 3:].any()


def test_silence_is_of_every_stage_and_only_while_it_lasts(two_days: list[Day]) -> None:
    what = incident("silence", 1, MOBILE)
    changed = days(2, [what])
    entered = differences(changed, two_days, "entered")
    begin = what.begin - START
    place = SEGMENTS.index(MOBILE)
    cut = slice(begin - DAY, begin - DAY + what.minutes)
    assert not table(changed[1], "entered")[cut, :, place].any()
    assert table(changed[1], "entered")[cut, :, 0].any()
    touched = np.flatnonzero(entered.any(axis=(1, 2)))
    assert set(touched) <= set(range(begin, begin + what.minutes))
    assert entered[:, :, place].sum() == entered[:, :, 0].sum() < 0


def test_incidents_leave_the_weeks_of_learning_and_each_other_alone() -> None:
    settings = Settings(weeks=6, seed=2, salt=MIXES["report"].salt)
    drawn = draw(settings, MIXES["report"], 2)
    assert drawn == draw(settings, MIXES["report"], 2)
    assert 0.9 * 4 * MIXES["report"].a_week <= len(drawn) <= 4 * MIXES["report"].a_week
    assert drawn[0].begin >= START + 2 * WEEK
    assert all(one.end + 60 < other.begin for one, other in pairwise(drawn))
    assert {one.kind for one in drawn} == {"drop", "tracking", "silence"}
    assert {one.share for one in drawn if one.kind == "drop"} == {0.25, 0.5, 1.0}
    of_drops = Counter((one.share, one.when, not one.segment) for one in drawn if one.kind == "drop")
    assert len(of_drops) == 3 * 2 * 2
    assert max(of_drops.values()) - min(of_drops.values()) <= 2  # dealt in turn, but where there was no room
    assert not draw(settings, MIXES["quiet"], 2)


def test_the_mix_for_tuning_shares_no_week_with_the_mix_that_is_reported() -> None:
    assert len({mix.salt for mix in MIXES.values()}) == len(MIXES)
    assert MIXES["tuning"].shares != MIXES["report"].shares


def test_settings_that_make_no_sense_are_refused() -> None:
    for wrong in ({"weeks": 0}, {"entrants_peak": 0}, {"seed": -1}, {"pairs": (("device", "channel"),)}):
        with pytest.raises(ValueError):
            Settings(**wrong)  # type: ignore[arg-type]


def test_what_goes_on_beside_incidents_can_be_asked_for() -> None:
    settings = Settings(weeks=4, seed=5)
    traffic = Traffic(settings)
    assert "holiday" in traffic.about(traffic.holiday * DAY + 60)
    told = {name.split()[0] for minute in range(0, 4 * WEEK, 30) for name in traffic.about(minute)}
    assert told == {"bots", "campaign", "burst", "holiday"}
    quiet = next(minute for minute in range(0, 4 * WEEK, 30) if not traffic.about(minute))
    assert quiet // DAY != traffic.holiday
