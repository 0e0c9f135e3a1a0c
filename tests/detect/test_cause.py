"""The smallest scope that explains a drop; rate or mix; what is not affected."""

from __future__ import annotations

import numpy as np

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
