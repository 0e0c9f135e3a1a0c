"""Scores of episodes made by hand, the intervals, and the report that tells of them."""

from __future__ import annotations

import math
import time
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from pipeline.core.detect.minutes import Scope
from pipeline.lab.incidents import Incident, Truth
from pipeline.lab.intervals import garwood, quantile, wilson
from pipeline.lab.market import CELLS, DAY, JOURNEY, STAGES, START, WEEK, Segment, Settings, members
from pipeline.lab.report import bars, markdown
from pipeline.lab.scenes import of_trial, usual
from pipeline.lab.score import GRACE_MINUTES, Answer, Scores, disjoint, score
from pipeline.lab.trial import Pages, Trace, Trial, run
from pipeline.lab.weeks import Weeks
from tests.detect.lab_fakes import Halved, Silent, Told

BEGIN = START + WEEK + 600
MOBILE: Segment = (("device", "mobile"),)
DESKTOP: Segment = (("device", "desktop"),)
GERMANS: Segment = (("country", "DE"),)


def scope(rank: int, segment: Segment = ()) -> Scope:
    return Scope(JOURNEY, 1, rank, STAGES[rank - 1], segment)


def told(detected_at: int, rank: int = 3, segment: Segment = (), **more: Any) -> Told:
    rule = more.pop("rule", "drop")
    name = f"{rule} {rank} {segment} {detected_at}"
    return Told(name, rule, scope(rank, segment), "firing", detected_at - 5, detected_at, **more)


def incident(begin: int = BEGIN, **more: Any) -> Incident:
    known = {"kind": "drop", "rank": 3, "segment": (), "minutes": 90, "share": 0.5, "when": "peak", **more}
    return Incident(begin=begin, **known)


def truth(what: Incident, each: int = 100) -> Truth:
    """Everybody at risk alike, and the share that the incident says."""
    hit = np.where(members(what.segment), round(each * what.share), 0)
    return Truth(what, np.full(len(CELLS), each), hit)


class Horizons(Trace):
    """A trace that only knows how long a step takes."""

    def horizon(self, scope: Scope, share: float = 0.8) -> int:
        return 10


def scored(incidents: Sequence[Incident], episodes: Sequence[Told], weeks: int = 3) -> Scores:
    pages = Pages()
    pages.add(episodes)
    settings = Settings(weeks=weeks)
    truths = [truth(one) for one in incidents]
    return score(Trial(settings, "report", 1, truths, pages.all(), Horizons(), np.zeros((6, 0), np.int64), 0))


def test_minutes_are_counted_from_the_end_of_the_horizon() -> None:
    scores = scored([incident()], [told(BEGIN + 14)])
    (answer,) = scores.answers
    assert answer.minutes == 4  # the cohort of the first minute has settled 10 minutes later
    assert answer.waited == 15
    assert scores.precision == scores.recall == 1


def test_silence_waits_for_no_horizon() -> None:
    (answer,) = scored([incident(kind="silence", rank=1)], [told(BEGIN + 14, rank=1, rule="silence")]).answers
    assert answer.minutes == 14


def test_a_page_before_the_incident_or_long_after_it_is_false_and_finds_nothing() -> None:
    late = BEGIN + 90 + GRACE_MINUTES
    scores = scored([incident()], [told(BEGIN - 1), told(late)])
    assert scores.recall == 0
    assert [page.first.detected_at for page in scores.false_pages] == [BEGIN - 1, late]
    assert scored([incident()], [told(late - 1)]).recall == 1


@pytest.mark.parametrize(
    ("rank", "rule", "belongs"),
    [(1, "drop", False), (2, "drop", True), (4, "drop", True), (5, "drop", False), (5, "silence", True)],
)
def test_a_page_belongs_at_the_step_the_one_before_and_the_one_after(
    rank: int, rule: str, belongs: bool
) -> None:
    scores = scored([incident()], [told(BEGIN + 20, rank=rank, rule=rule)])
    assert (scores.recall == 1) is belongs
    assert (not scores.false_pages) is belongs


@pytest.mark.parametrize(
    ("paged", "belongs"),
    [
        ((), True),
        (MOBILE, True),
        (DESKTOP, False),
        (GERMANS, True),
        (GERMANS + MOBILE, True),
        (GERMANS + DESKTOP, False),
    ],
)
def test_a_page_belongs_where_somebody_is_in_both_segments(paged: Segment, belongs: bool) -> None:
    assert disjoint(paged, MOBILE) is not belongs
    assert (scored([incident(segment=MOBILE)], [told(BEGIN + 20, segment=paged)]).recall == 1) is belongs


def test_more_pages_for_one_incident_are_echoes_not_false() -> None:
    scores = scored([incident()], [told(BEGIN + 30), told(BEGIN + 20), told(BEGIN + 25, rank=4)])
    assert (scores.echoes, scores.echoes_after) == (2, 0)
    assert scores.answers[0].waited == 21
    assert not scores.false_pages
    assert scores.precision == 1
    assert scored([incident()], [told(BEGIN + 30), told(BEGIN + 90, rank=4)]).echoes_after == 1


def test_an_episode_that_changes_pages_once_and_its_last_word_counts() -> None:
    first = told(BEGIN + 20, verdict="unsure")
    last = Told(**{**first.__dict__, "verdict": "tracking", "state": "resolved", "resolved_at": BEGIN + 200})
    scores = scored([incident(kind="tracking")], [first, last])
    assert scores.echoes == 0
    assert scores.verdicts("tracking") == {"tracking": 1}
    assert scores.answers[0].pages[0].until == BEGIN + 200


def test_false_pages_are_told_per_week_of_peace_with_an_exact_interval() -> None:
    scores = scored([incident()], [told(BEGIN + 1_000), told(BEGIN + 5_000, rank=5)])
    weeks = 2 - (90 + GRACE_MINUTES) / WEEK
    rate, low, high = scores.false_a_week
    assert scores.weeks == pytest.approx(weeks)
    assert (rate, low, high) == pytest.approx((2 / weeks, 0.2422 / weeks, 7.2247 / weeks), rel=1e-3)


def test_pages_in_the_weeks_of_learning_are_not_scored_but_told() -> None:
    scores = scored([], [told(START + 5_000)])
    assert not scores.false_pages
    assert scores.pages_while_learning == 1
    assert scores.precision is None


def test_the_right_segment_is_the_cause_named_last_of_drops_large_enough_to_be_seen() -> None:
    def asked(found: Told, **what: Any) -> tuple[int, int]:
        return scored([incident(segment=MOBILE, **what)], [found]).right_segment()

    assert asked(told(BEGIN + 20, cause=scope(3, MOBILE), smallest=0.1)) == (1, 1)
    assert asked(told(BEGIN + 20, cause=scope(3, GERMANS), smallest=0.1)) == (0, 1)
    assert asked(told(BEGIN + 20, segment=MOBILE, smallest=0.1)) == (1, 1)
    assert asked(told(BEGIN + 20, smallest=0.1)) == (0, 1)
    # mobile is a third of everybody here: half of it is a sixth of the step
    assert asked(told(BEGIN + 20, smallest=0.16)) == (0, 1)
    assert asked(told(BEGIN + 20, smallest=0.17)) == (0, 0)
    assert asked(told(BEGIN + 20, segment=MOBILE, smallest=0.5)) == (1, 1)
    assert asked(told(BEGIN + 20, smallest=0.1), kind="tracking") == (0, 0)


def test_a_group_tells_of_what_was_missed_too() -> None:
    incidents = [incident(BEGIN + k * 1_000) for k in range(3)]
    scores = scored(incidents, [told(BEGIN + 12), told(BEGIN + 1_020)])
    ((name, one),) = scores.groups().items()
    assert name == ("drop", 0.5, "peak", True)
    assert (one.found, one.all, one.median, one.p90) == (2, 3, 2, 10)


def test_bars_say_no_when_most_were_missed_and_nothing_when_nothing_was_tried() -> None:
    incidents = [incident(BEGIN + k * 1_000) for k in range(3)]

    def met(episodes: Sequence[Told], name: str) -> bool | None:
        return next(bar.met for bar in bars(scored(incidents, episodes), 1.0) if bar.name.startswith(name))

    assert met([told(BEGIN + 12)], "50% drop, peak") is False  # quick, but one of three
    assert met([told(BEGIN + 12), told(BEGIN + 1_012)], "50% drop, peak") is True
    assert met([told(BEGIN + 12), told(BEGIN + 1_026)], "50% drop, peak") is True
    assert met([told(BEGIN + 16), told(BEGIN + 1_026)], "50% drop, peak") is False
    assert met([], "25% drop, peak") is None
    assert met([], "false pages") is True
    assert met([told(BEGIN + 500 + k) for k in range(3)], "false pages") is False


@pytest.mark.parametrize(
    ("events", "low", "high"),
    [(0, 0, 3.6889), (1, 0.02532, 5.5716), (5, 1.6235, 11.6683), (100, 81.364, 121.627)],
)
def test_garwood_bounds_are_those_of_the_tables(events: int, low: float, high: float) -> None:
    assert garwood(events, 1) == pytest.approx((low, high), rel=1e-3)
    assert garwood(events, 4) == pytest.approx((low / 4, high / 4), rel=1e-3)


def test_small_shares_and_quantiles() -> None:
    assert garwood(0, 0) == (0, math.inf)
    assert wilson(9, 10) == pytest.approx((0.5958, 0.9821), abs=1e-3)
    assert wilson(0, 0) == (0, 1)
    assert quantile([], 0.5) is None
    assert [quantile([3, 1, 2, 10], share) for share in (0.5, 0.75, 0.9)] == [2, 3, 10]


def test_what_is_usual_is_the_median_of_the_weeks_and_nothing_of_too_few() -> None:
    week = np.arange(WEEK) // 15 % 7
    weeks = np.concatenate([week, week, week])
    weeks[WEEK + 100 : WEEK + 400] = 0
    found = usual(weeks)
    assert found is not None
    assert (found == np.concatenate([week] * 3)).all()
    assert usual(weeks[: 2 * WEEK]) is None


@pytest.fixture(scope="module")
def trial() -> Trial:
    """Two weeks with one large drop in the second."""
    settings = Settings(weeks=2, seed=3, entrants_peak=400, pairs=())
    what = Incident("drop", 1, (), START + 8 * DAY + 840, 90, 1.0, "peak")
    return run(Weeks(settings, [what]), Halved(), "report", 1, clock=time.monotonic)


def test_a_plain_detector_finds_a_total_drop_and_the_report_says_so(trial: Trial) -> None:
    scores = score(trial)
    (answer,) = scores.answers
    assert isinstance(answer, Answer)
    assert answer.minutes is not None
    assert 0 <= answer.minutes <= 20
    assert answer.pages[0].first.scope == scope(1)
    assert answer.pages[0].until is not None
    text = markdown(trial, scores, 1.0, "week.svg")
    assert "1 incidents" in text
    assert "| drop 100%, peak, everybody | 1 of 1 |" in text
    assert "![a week: expected, seen, incidents and episodes](week.svg)" in text
    assert "## Missed" not in text


def test_who_says_nothing_finds_nothing(trial: Trial) -> None:
    quiet = run(
        Weeks(trial.settings, [trial.truths[0].incident]), Silent(), "report", 1, clock=time.monotonic
    )
    scores = score(quiet)
    assert (scores.recall, scores.precision) == (0, None)
    assert "## Missed" in markdown(quiet, scores, 1.0)


def test_the_picture_shows_the_week_of_the_incident_step_by_step(trial: Trial) -> None:
    picture = of_trial(trial, score(trial))
    assert picture == of_trial(trial, score(trial))
    root = ET.fromstring(picture)
    titles = [one.text or "" for one in root.iter("{http://www.w3.org/2000/svg}title")]
    assert "drop 100% of everybody" in titles
    assert any(one.startswith("drop in everybody: shop") for one in titles)
    lines = list(root.iter("{http://www.w3.org/2000/svg}polyline"))
    assert len(lines) == 2 * (len(STAGES) - 1)
    assert "Mon 12 Jan" in picture
