"""What is called, how soon, and what is not: whole stories of some days."""

from __future__ import annotations

import pytest

from pipeline.core.detect import Detector, Episode, Scope, Settings
from tests.detect.made import DAY, HORIZON, MONDAY, WEEK, Trouble, World, opened, run

NOON = 9 * DAY + 12 * 60
"""Of the second Wednesday."""
NIGHT = 9 * DAY + 2 * 60
STEP = Scope("purchase", 1, 1, "step1")


def story(*troubles: Trouble, days: float = 9.8, **world: float) -> list[Episode]:
    return run(Detector(), World(days, troubles, **world).minutes)  # type: ignore[arg-type]


def started(episode: Episode) -> int:
    """The day of the world on which it began."""
    return (episode.started_at - MONDAY) // DAY


def minutes_to_detect(episode: Episode, first: int) -> int:
    """Counted from the end of the horizon of the first who were lost."""
    return episode.detected_at - (MONDAY + first) - HORIZON


def test_a_normal_fortnight_calls_nobody() -> None:
    assert story(days=14) == []


def test_half_of_them_lost_at_noon_is_called_within_minutes_with_since_when_and_how_much() -> None:
    changes = story(Trouble("rate", NOON, NOON + 120, 0.5), per_minute=60)
    (episode,) = opened(changes)
    assert (episode.rule, episode.scope, episode.cause, episode.verdict) == ("drop", STEP, None, "shop")
    assert 0 <= minutes_to_detect(episode, NOON) <= 15
    assert abs(episode.started_at - (MONDAY + NOON)) <= 5
    assert episode.observed < episode.low < episode.expected < episode.high
    assert abs(episode.expected - 0.3 * 0.85) < 0.03
    assert episode.lost_low <= episode.lost <= episode.lost_high
    assert 0 < episode.lost_value_low_e4 <= episode.lost_value_e4 <= episode.lost_value_high_e4
    assert episode.smallest <= 0.5


def test_a_quarter_of_them_lost_is_called_later() -> None:
    half = opened(story(Trouble("rate", NOON, NOON + 120, 0.5), per_minute=60))
    quarter = opened(story(Trouble("rate", NOON, NOON + 120, 0.75), per_minute=60))
    assert half[0].detected_at < quarter[0].detected_at <= MONDAY + NOON + HORIZON + 60


def test_when_it_is_over_the_episode_ends_and_its_loss_is_about_what_was_lost() -> None:
    world = World(9.8, (Trouble("rate", NOON, NOON + 60, 0.2),), per_minute=60)
    changes = run(Detector(), world.minutes)
    assert {episode.id for episode in changes} == {changes[0].id}
    assert [episode.changes for episode in changes] == list(range(1, len(changes) + 1))
    end = changes[-1]
    assert (end.state, changes[-2].state) == ("resolved", "firing")
    assert end.resolved_at is not None
    assert MONDAY + NOON + 60 < end.resolved_at < MONDAY + NOON + 60 + HORIZON + 30
    entrants = 60 * 60 * float(world.season(NOON + 30)[-1])
    assert end.lost_low < entrants * 0.3 * 0.85 * 0.8 < end.lost_high


def test_an_outage_at_night_is_seen_by_those_who_come_and_do_not_go_on() -> None:
    (episode,) = opened(story(Trouble("rate", NIGHT, NIGHT + 180, 0.0), per_minute=20))
    assert episode.rule == "drop"
    assert minutes_to_detect(episode, NIGHT) <= 75
    assert episode.observed == 0 < episode.entrants


def test_arrivals_that_stop_are_silence_and_never_nought_percent() -> None:
    changes = story(Trouble("arrivals", NOON, NOON + 90, 0.0))
    (episode,) = opened(changes)
    assert (episode.rule, episode.entrants, episode.observed) == ("silence", 0, 0)
    assert episode.expected > 5
    assert 0 < episode.detected_at - (MONDAY + NOON) <= 10
    assert changes[-1].state == "resolved"


def test_silence_at_night_is_called_within_75_minutes() -> None:
    (episode,) = opened(story(Trouble("arrivals", NIGHT, NIGHT + 180, 0.0), per_minute=8))
    assert episode.rule == "silence"
    assert episode.detected_at - (MONDAY + NIGHT) <= 75


def test_an_empty_night_is_no_alarm() -> None:
    assert story(days=14, night=0.0) == []


@pytest.mark.parametrize("closes", [22.5, 22.7])
def test_a_shop_that_closes_calls_nobody(closes: float) -> None:
    assert story(days=9, opens=8.3, closes=closes, per_minute=60, ranks=2) == []


def test_a_day_on_which_it_is_closed_calls_nobody() -> None:
    assert story(days=15, opens=8, closes=20, closed=(6,), per_minute=60) == []


def test_an_hour_in_which_nobody_comes_any_more_is_called_for_three_nights_and_then_usual() -> None:
    evening = [Trouble("arrivals", day * DAY + 21 * 60, (day + 1) * DAY, 0.0) for day in range(8, 16)]
    changes = story(*evening, days=16, per_minute=60)
    assert [started(episode) for episode in opened(changes)] == [8, 9, 10]


def test_an_outage_at_the_same_hour_of_the_week_is_called_three_times_and_then_usual() -> None:
    outages = [Trouble("arrivals", NOON + week * WEEK, NOON + week * WEEK + 60, 0.0) for week in range(4)]
    changes = story(*outages, days=31, per_minute=60)
    assert [started(episode) for episode in opened(changes)] == [9, 16, 23]


def test_half_the_visitors_are_no_silence() -> None:
    assert story(Trouble("arrivals", NOON, NOON + 300, 0.5)) == []


def test_a_new_deployment_says_nothing_on_day_one() -> None:
    assert story(Trouble("rate", 600, 1300, 0.0), Trouble("arrivals", 1300, 1400, 0.0), days=1) == []


def test_days_that_are_not_there_say_nothing_and_the_same_is_found_after_them() -> None:
    world = World(30.5, (Trouble("rate", 30 * DAY + 600, 30 * DAY + 720, 0.3),), per_minute=60)
    minutes = [minute for minute in world.minutes if not 10 * DAY <= minute.at - MONDAY < 28 * DAY]
    changes = run(Detector(), minutes)
    silence, *others = opened(changes)  # when they stop, and nothing else until they are back
    assert (silence.rule, silence.started_at) == ("silence", MONDAY + 10 * DAY)
    assert [episode.rule for episode in others] == ["drop"]


def test_the_first_step_that_falls_silent_is_the_episode_not_those_behind_it() -> None:
    troubles = [Trouble("arrivals", NOON, NOON + 60, 0.0, rank=rank) for rank in (1, 2, 3)]
    (episode,) = opened(story(*troubles, ranks=3))
    assert episode.scope.rank == 1


def test_fewer_who_come_because_fewer_go_on_before_are_part_of_that_episode() -> None:
    troubles = Trouble("rate", NOON, NOON + 90, 0.0), Trouble("arrivals", NOON + 1, NOON + 91, 0.0, rank=2)
    (episode,) = opened(story(*troubles, ranks=2, per_minute=40))
    assert (episode.rule, episode.scope.rank) == ("drop", 1)


def test_what_falls_again_at_once_is_the_same_episode() -> None:
    again = Trouble("rate", NOON, NOON + 30, 0.1), Trouble("rate", NOON + 55, NOON + 100, 0.1)
    changes = story(*again, per_minute=60)
    assert [episode.state for episode in changes if episode.state == "resolved"] == ["resolved"] * 2
    assert len({episode.id for episode in changes}) == 1


def test_what_lasts_for_days_becomes_what_is_normal() -> None:
    changes = story(Trouble("rate", NOON, 18 * DAY, 0.4), days=18, per_minute=40)
    assert len(opened(changes)) == 1
    assert changes[-1].state == "resolved"
    assert changes[-1].resolved_at == changes[0].detected_at + 72 * 60


def test_a_crowd_that_does_not_go_on_takes_no_order_away_and_calls_nobody() -> None:
    crowd = Trouble("arrivals", NOON, NOON + 120, 6.0, channel="direct")
    idle = Trouble("rate", NOON, NOON + 120, 0.2, channel="direct")
    assert story(crowd, idle, per_minute=40) == []
    assert opened(story(idle, per_minute=40)) != []


def test_robots_that_come_to_half_a_segment_again_call_nobody() -> None:
    """As many go on as ever, and it is those who came in addition that do not."""
    robots = Trouble("arrivals", NOON, NOON + 120, 1.6, device="desktop", channel="search")
    idle = Trouble("rate", NOON, NOON + 120, 1 / 1.6, device="desktop", channel="search")
    assert story(robots, idle, per_minute=80) == []
    assert opened(story(idle, per_minute=80)) != []


def test_before_arrivals_are_known_nobody_takes_a_drop_for_a_crowd() -> None:
    early = Settings(history_minutes=300, horizon_goers=100)
    lost = Trouble("rate", 12 * 60, 14 * 60, 0.1, device="mobile")
    changes = run(Detector(early), World(0.7, (lost,), per_minute=60).minutes)
    assert [str(episode.cause.segment) for episode in opened(changes) if episode.cause] == [
        str((("device", "mobile"),))
    ]


def test_more_visitors_everywhere_and_fewer_who_go_on_are_called() -> None:
    crowd, slow = Trouble("arrivals", NOON, NOON + 60, 3.0), Trouble("rate", NOON, NOON + 60, 0.4)
    (episode,) = opened(story(crowd, slow))
    assert (episode.rule, episode.cause) == ("drop", None)
