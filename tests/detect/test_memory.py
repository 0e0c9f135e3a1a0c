"""What the detector keeps is bounded: by its scopes, not by how long it has been told of minutes."""

from __future__ import annotations

import pytest

from pipeline.core.detect import Detector, Settings
from pipeline.core.snapshot import pack
from tests.benchmarks.detect import BEGIN, held, minutes, scopes, told

KB = 1_000


def test_five_steps_of_five_hundred_segments_are_held_in_ten_megabytes() -> None:
    named = scopes(5, 500)
    now, peak = held(130, named, 2.0)  # beyond the hours' ring of cohorts is nothing new
    assert len(named) == 2_505
    assert 2 * KB * KB < now < 10 * KB * KB
    assert peak < 30 * KB * KB


def test_a_snapshot_of_them_is_under_four_megabytes() -> None:
    detector, _, _ = told(130, scopes(5, 500), 2.0)
    dumped = detector.dump()
    assert len(dumped["scopes"]) == 2_505
    assert 0.2 * KB * KB < len(pack("detect", dumped)) < 4 * KB * KB


def test_it_does_not_grow_with_time() -> None:
    named = scopes(2, 80)
    day, days = (held(hours * 60, named, 2.0)[0] for hours in (26, 80))
    assert days < 1.1 * day


def test_it_grows_with_scopes() -> None:
    one, twice = (held(70, scopes(2, segments), 2.0)[0] for segments in (160, 320))
    assert 1.7 < twice / one < 2.3


@pytest.mark.parametrize("most", [10, 50])
def test_scopes_beyond_the_limit_take_nothing_and_are_counted(most: int) -> None:
    detector = Detector(Settings(scopes_max=most))
    for minute in minutes(BEGIN, 30, scopes(2, 100), 2.0):
        detector.apply(minute)
    assert len(detector.dump()["rows"]) == most
    assert detector.refused > 0
