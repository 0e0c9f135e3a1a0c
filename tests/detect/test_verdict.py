"""Shop or tracking: who is missing, and who only was not told of."""

from __future__ import annotations

import pytest

from pipeline.core.detect import Detector
from pipeline.core.detect.verdict import SHOP, TRACKING, UNSURE, judge
from tests.detect.made import DAY, Trouble, World, opened, run

NOON = 9 * DAY + 12 * 60


@pytest.mark.parametrize(
    ("missing", "skipped", "usual", "verdict"),
    [
        (100, 95, 2, TRACKING),
        (100, 5, 3, SHOP),
        (100, 45, 2, UNSURE),
        (100, 160, 150, SHOP),  # many always skip
        (3, 3, 4, SHOP),
        (0, 50, 0, UNSURE),
    ],
)
def test_who_turns_up_later_was_there(missing: float, skipped: float, usual: float, verdict: str) -> None:
    assert judge(missing, skipped, usual) == verdict


def test_an_early_step_that_is_silent_while_later_ones_go_on_is_tracking() -> None:
    world = World(9.6, (Trouble("told", NOON, NOON + 60, 0.0),), ranks=2)
    changes = run(Detector(), world.minutes)
    (episode,) = opened(changes)
    assert (episode.rule, episode.scope.rank, episode.verdict) == ("silence", 1, TRACKING)


def test_a_step_that_is_silent_because_nobody_comes_is_the_shop() -> None:
    world = World(9.6, (Trouble("arrivals", NOON, NOON + 60, 0.0),), ranks=2)
    (episode,) = opened(run(Detector(), world.minutes))
    assert (episode.rule, episode.scope.rank, episode.verdict) == ("silence", 1, SHOP)


def test_fewer_who_go_on_because_the_next_step_is_not_told_of_is_tracking() -> None:
    lost = Trouble("rate", NOON, NOON + 60, 0.3), Trouble("told", NOON, NOON + 60, 0.3, rank=2)
    (episode,) = opened(run(Detector(), World(9.6, lost, ranks=2, per_minute=60).minutes))
    assert (episode.rule, episode.scope.rank, episode.verdict) == ("drop", 1, TRACKING)


def test_fewer_who_go_on_is_the_shop() -> None:
    trouble = Trouble("rate", NOON, NOON + 60, 0.3)
    (episode,) = opened(run(Detector(), World(9.6, (trouble,), ranks=2, per_minute=60).minutes))
    assert (episode.rule, episode.verdict) == ("drop", SHOP)
