"""Which week is drawn, and what is in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.core.detect.minutes import Scope
from pipeline.lab.market import WEEK, Segment
from pipeline.lab.picture import BUCKET, Panel, Span, svg
from pipeline.lab.score import Scores
from pipeline.lab.trial import Page, Trace, Trial

WEEKS_MIN: Final = 3
"""Fewer say nothing of what is usual."""


def of_trial(trial: Trial, scores: Scores) -> str:
    """The measured week with the most incidents and false pages; expected is what would have been."""
    trace = trial.trace
    assert trace.first is not None
    marks = [one.truth.incident.begin for one in scores.answers]
    marks += [page.first.detected_at for page in scores.false_pages]
    begin = _busiest(trace.first, trial.learning_weeks, trial.settings.weeks, marks)
    false_ids = {page.first.id for page in scores.false_pages}
    panels = []
    for scope in trace.scopes[:-1]:
        expected = trial.undisturbed[scope.rank - 1].astype(np.float64)
        incidents = [
            Span(one.begin, one.end, f"{one.kind} {one.share:.0%} of {words(one.segment)}")
            for one in (answer.truth.incident for answer in scores.answers)
            if one.rank == scope.rank or one.kind == "silence"
        ]
        panels.append(_panel(trace, scope, begin, expected, incidents, trial.pages, false_ids))
    return svg(f"Alert lab, seed {trial.settings.seed}, mix {trial.mix}: a week", begin, panels)


def of_history(trace: Trace, pages: Sequence[Page]) -> str:
    """The week with the most pages; expected is what is usual at that time of a week, where weeks tell."""
    assert trace.first is not None
    weeks = max(1, -(-trace.minutes // WEEK))
    begin = _busiest(trace.first, 0, weeks, [page.first.detected_at for page in pages])
    panels = [
        _panel(trace, scope, begin, usual(trace.cohorts(scope)[1]), (), pages, set())
        for scope in trace.scopes
    ]
    return svg("What would have fired: a week", begin, panels)


def usual(counts: NDArray[np.int64]) -> NDArray[np.float64] | None:
    """For every minute the median over the weeks at that quarter of an hour, as a rate a minute."""
    weeks = len(counts) // WEEK
    if weeks < WEEKS_MIN:
        return None
    table = counts[: weeks * WEEK].reshape(weeks, WEEK // BUCKET, BUCKET).sum(axis=2)
    week = np.repeat(np.median(table, axis=0) / BUCKET, BUCKET)
    return np.asarray(np.resize(week, len(counts)))


def _busiest(first: int, after: int, weeks: int, marks: Sequence[int]) -> int:
    """Where the week begins that holds the most marks; of equals the first."""
    begins = [first + week * WEEK for week in range(after, max(weeks, after + 1))]
    return max(begins, key=lambda begin: (sum(begin <= mark < begin + WEEK for mark in marks), -begin))


def _panel(
    trace: Trace,
    scope: Scope,
    begin: int,
    expected: NDArray[np.float64] | None,
    incidents: Sequence[Span],
    pages: Sequence[Page],
    false_ids: set[str | int],
) -> Panel:
    assert trace.first is not None
    skip = begin - trace.first
    cut = slice(skip, skip + WEEK)
    end = trace.first + trace.minutes
    episodes = [
        Span(page.first.detected_at, page.until or end, told(page), page.first.id in false_ids)
        for page in pages
        if page.first.scope.whole == scope
    ]
    near = [span for span in episodes if span.begin < begin + WEEK and span.end > begin]
    kept = [span for span in incidents if span.begin < begin + WEEK and span.end > begin]
    title = f"{scope.rank} {scope.stage}"
    return Panel(title, trace.cohorts(scope)[1][cut], None if expected is None else expected[cut], kept, near)


def told(page: Page) -> str:
    """A page in a few words."""
    last = page.last
    cause = (
        f", because of {words(last.cause.segment)}" if last.cause is not None and last.cause.segment else ""
    )
    return (
        f"{page.first.rule} in {words(page.first.scope.segment)}{cause}: {last.verdict}, "
        f"{last.observed:,.4g} where {last.expected:,.4g} were expected"
    )


def words(segment: Segment) -> str:
    """A segment as people say it."""
    return " and ".join(f"{name} {value}" for name, value in segment) or "everybody"
