"""The smallest scope that explains a drop; rate or mix; what is not affected."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.core.detect import Detector, Scope
from pipeline.core.detect.cause import Explanation, explain
from tests.detect.made import DAY, Trouble, World, opened, run

STEP = Scope("purchase", 1, 1, "cart")
NOON = 9 * DAY + 12 * 60


def segment(**parts: str) -> Scope:
    return STEP._replace(segment=tuple(sorted(parts.items())))


def explained(lines: dict[Scope, tuple[int, int, float]]) -> Explanation:
    n, k, e = np.array(list(lines.values()), np.float64).T
    return explain(list(lines), n, k, e, 1.0)


def test_the_segment_that_holds_the_deficit_is_the_cause_and_the_others_are_not_affected() -> None:
    found = explained(
        {
            STEP: (1000, 210, 300.0),
            segment(device="mobile"): (600, 92, 180.0),
            segment(device="desktop"): (400, 118, 120.0),
            segment(channel="search"): (500, 104, 150.0),
            segment(channel="direct"): (500, 106, 150.0),
        }
    )
    assert found.cause == segment(device="mobile")
    assert found.unaffected == (segment(device="desktop"),)


def test_a_pair_is_the_cause_where_it_explains_more_than_what_it_is_part_of() -> None:
    found = explained(
        {
            STEP: (1000, 240, 300.0),
            segment(device="mobile"): (500, 91, 150.0),
            segment(device="desktop"): (500, 149, 150.0),
            segment(channel="email", device="mobile"): (220, 5, 66.0),
            segment(channel="direct", device="mobile"): (280, 86, 84.0),
        }
    )
    assert found.cause == segment(channel="email", device="mobile")


def test_what_is_everywhere_is_everybody() -> None:
    found = explained(
        {
            STEP: (1000, 200, 300.0),
            segment(device="mobile"): (600, 119, 180.0),
            segment(device="desktop"): (400, 81, 120.0),
        }
    )
    assert found == Explanation()


def test_a_segment_that_is_nearly_everybody_says_nothing() -> None:
    lines = {STEP: (1000, 200, 300.0), segment(device="mobile"): (950, 186, 286.0)}
    assert explained(lines).cause is None


def test_two_segments_that_both_fell_are_not_blamed_on_one() -> None:
    found = explained(
        {
            STEP: (1000, 200, 300.0),
            segment(channel="search"): (300, 40, 90.0),
            segment(channel="email"): (300, 40, 90.0),
            segment(channel="direct"): (400, 120, 120.0),
        }
    )
    assert found.cause is None
    assert found.unaffected == (segment(channel="direct"),)


def test_other_people_at_their_own_rate_are_mix() -> None:
    found = explained(
        {
            STEP: (1000, 200, 300.0),
            segment(channel="search"): (400, 160, 160.0),
            segment(channel="display"): (600, 42, 40.0),
        }
    )
    assert (found.mix_dimension, found.mix) == ("channel", 1.0)


def test_another_rate_of_the_same_people_is_no_mix() -> None:
    found = explained(
        {
            STEP: (1000, 200, 300.0),
            segment(channel="search"): (500, 135, 200.0),
            segment(channel="display"): (500, 65, 100.0),
        }
    )
    assert found.mix == 0.0


def test_a_pair_with_the_only_value_of_a_dimension_says_no_more_than_its_other_half() -> None:
    """Also where it comes first, and where what is expected of it differs in the last place."""
    for share in (1.0, 0.9999, 1.0001):
        found = explained(
            {
                STEP: (1000, 210, 300.0),
                segment(country="DE", device="mobile"): (600, 92, 180.0 * share),
                segment(country="DE", device="desktop"): (400, 118, 120.0 * share),
                segment(country="DE"): (1000, 210, 300.0),
                segment(device="mobile"): (600, 92, 180.0),
                segment(device="desktop"): (400, 118, 120.0),
            }
        )
        assert found.cause == segment(device="mobile")
        assert found.unaffected == (segment(device="desktop"),)


@pytest.mark.parametrize("others", [(40, 12, 12.0), (100, 1, 1.0)])
def test_a_pair_that_nearly_all_of_one_half_are_in_is_not_named(others: tuple[int, int, float]) -> None:
    """By who came, or by who was to go on; though it shows the drop a little more clearly."""
    n, k, e = others
    found = explained(
        {
            STEP: (2000, 515, 600.0),
            segment(device="mobile"): (600 + n, 95 + k, 180.0 + e),
            segment(country="DE", device="mobile"): (600, 95, 180.0),
            segment(country="DE"): (1300, 305, 390.0),
        }
    )
    assert found.cause == segment(device="mobile")


def test_a_pair_is_named_where_its_half_was_left_out() -> None:
    found = explained(
        {
            STEP: (2000, 515, 600.0),
            segment(country="DE", device="mobile"): (600, 95, 180.0),
        }
    )
    assert found.cause == segment(country="DE", device="mobile")


def test_a_whole_segment_that_fell_is_not_blamed_on_its_largest_pair() -> None:
    found = explained(
        {
            STEP: (2000, 510, 600.0),
            segment(device="mobile"): (600, 90, 180.0),
            segment(country="DE", device="mobile"): (500, 75, 150.0),
            segment(country="NL", device="mobile"): (100, 15, 30.0),
            segment(country="DE"): (1400, 345, 420.0),
        }
    )
    assert found.cause == segment(device="mobile")


def test_pairs_are_no_mix() -> None:
    """Each is counted in both of its dimensions: they would cover everybody twice."""
    found = explained(
        {
            STEP: (1000, 200, 300.0),
            segment(channel="display", device="mobile"): (600, 42, 40.0),
            segment(channel="search", device="desktop"): (400, 160, 160.0),
        }
    )
    assert (found.mix_dimension, found.mix) == ("", 0.0)


def test_the_halves_of_a_pair_that_fell_are_affected_and_what_is_apart_from_it_is_not() -> None:
    """Of mobile and of Germany only a small part fell: most of them go on, but they are not fine. So it is of
    a channel, which has its part of both.
    """
    found = explained(
        {
            STEP: (20_000, 5_500, 6_000.0),
            segment(device="mobile"): (10_000, 2_500, 3_000.0),
            segment(device="desktop"): (10_000, 3_000, 3_000.0),
            segment(country="DE"): (8_000, 1_900, 2_400.0),
            segment(country="NL"): (12_000, 3_600, 3_600.0),
            segment(channel="search"): (15_000, 4_125, 4_500.0),
            segment(channel="email"): (5_000, 1_375, 1_500.0),
            segment(country="DE", device="mobile"): (2_000, 100, 600.0),
            segment(country="NL", device="mobile"): (8_000, 2_400, 2_400.0),
        }
    )
    assert found.cause == segment(country="DE", device="mobile")
    assert found.unaffected == (segment(device="desktop"), segment(country="NL"))


def test_of_another_dimension_nobody_is_told_to_be_fine_who_has_a_part_in_it() -> None:
    found = explained(
        {
            STEP: (20_000, 5_100, 6_000.0),
            segment(device="mobile"): (4_000, 300, 1_200.0),
            segment(device="desktop"): (16_000, 4_800, 4_800.0),
            segment(channel="search"): (10_000, 2_550, 3_000.0),
            segment(channel="app"): (10_000, 3_000, 3_000.0),
        }
    )
    assert found.cause == segment(device="mobile")
    assert found.unaffected == (segment(device="desktop"), segment(channel="app"))


def test_nothing_missing_explains_nothing() -> None:
    assert explained({STEP: (100, 30, 30.0), segment(device="mobile"): (50, 10, 15.0)}) == Explanation()
    assert explained({STEP: (0, 0, 0.0)}) == Explanation()


def test_the_detector_names_the_segment_and_the_pair() -> None:
    mobile = Trouble("rate", NOON, NOON + 90, 0.2, device="mobile")
    pair = Trouble("rate", NOON, NOON + 90, 0.0, device="mobile", channel="search")
    for trouble, cause in (
        (mobile, (("device", "mobile"),)),
        (pair, (("channel", "search"), ("device", "mobile"))),
    ):
        changes = run(Detector(), World(9.6, (trouble,), per_minute=60).minutes)
        assert len(opened(changes)) == 1
        assert changes[-1].cause is not None
        assert changes[-1].cause.segment == cause
