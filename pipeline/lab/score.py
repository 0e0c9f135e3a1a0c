"""How good was it? Pages held against what was done to the counters.

A page belongs to an incident when all three hold:
- it was told while the incident lasted or within `GRACE_MINUTES` after it;
- its step is that of the incident, the one before (which loses those who were going there) or the one after
  (which nobody reaches); a silence is of all steps, and a silence rule may speak for any later one;
- its segment and that of the incident have somebody in common.
The first such page finds the incident; more of them are echoes, not false. A page of no incident is false.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from pipeline.core.detect.minutes import HORIZONS_MINUTES
from pipeline.lab.incidents import Incident, Truth
from pipeline.lab.intervals import garwood, quantile
from pipeline.lab.market import START, WEEK, Segment
from pipeline.lab.trial import Page, Trial

GRACE_MINUTES: Final = max(HORIZONS_MINUTES) + 15
"""The last cohort of an incident settles an hour after it; some minutes more to make up one's mind."""


class Group(NamedTuple):
    """Incidents that are told of together."""

    kind: str
    share: float
    when: str
    whole: bool


@dataclass(frozen=True)
class Answer:
    """An incident and the pages that belong to it, the first one first."""

    truth: Truth
    pages: list[Page]
    horizon: int
    """Of the first page's rule: 0 minutes for silence, which waits for nobody."""

    @property
    def group(self) -> Group:
        incident = self.truth.incident
        return Group(incident.kind, incident.share, incident.when, not incident.segment)

    @property
    def waited(self) -> float | None:
        """Minutes from the beginning to the end of the minute in which it was told; None if never."""
        return self.pages[0].first.detected_at + 1 - self.truth.incident.begin if self.pages else None

    @property
    def minutes(self) -> float | None:
        """Counted from the end of the horizon: when the first minute that was hit can be known of."""
        waited = self.waited
        return None if waited is None else waited - 1 - self.horizon

    @property
    def is_detectable(self) -> bool:
        """Whether it was above the smallest drop that the paging rule says it can see, in the paged scope."""
        if not self.pages:
            return False
        first = self.pages[0].first
        return self.truth.share_in(first.scope.segment) >= first.smallest

    @property
    def named(self) -> Segment | None:
        """The segment that was named in the end: the cause, else what was paged for."""
        if not self.pages:
            return None
        last = self.pages[0].last
        return last.cause.segment if last.cause is not None else last.scope.segment


@dataclass(frozen=True)
class Summary:
    """Of one group of incidents."""

    found: int
    all: int
    median: float | None
    p90: float | None
    median_waited: float | None


@dataclass(frozen=True)
class Scores:
    """What is told of a trial."""

    answers: list[Answer]
    false_pages: list[Page]
    pages_while_learning: int
    echoes: int
    echoes_after: int
    """Echoes told when the incident was over: nobody needs those."""
    weeks: float
    """Measured, without the time that belongs to incidents."""

    @property
    def false_a_week(self) -> tuple[float, float, float]:
        """The rate with its 95 % bounds."""
        seen = len(self.false_pages)
        low, high = garwood(seen, self.weeks)
        return (seen / self.weeks if self.weeks else 0.0), low, high

    @property
    def found(self) -> list[Answer]:
        return [one for one in self.answers if one.pages]

    @property
    def precision(self) -> float | None:
        """Share of the pages that belong to an incident; echoes are no credit and no blame."""
        told = len(self.found) + len(self.false_pages)
        return len(self.found) / told if told else None

    @property
    def recall(self) -> float | None:
        return len(self.found) / len(self.answers) if self.answers else None

    def groups(self) -> dict[Group, Summary]:
        """Every group that there was."""
        names = sorted({one.group for one in self.answers})
        return {name: self.summary(lambda one, name=name: one.group == name) for name in names}  # type: ignore[misc]

    def summary(self, belongs: Callable[[Answer], bool]) -> Summary:
        """Of the incidents that belong."""
        chosen = [one for one in self.answers if belongs(one)]
        minutes = [one.minutes for one in chosen if one.minutes is not None]
        waited = [one.waited for one in chosen if one.waited is not None]
        return Summary(
            len(minutes), len(chosen), quantile(minutes, 0.5), quantile(minutes, 0.9), quantile(waited, 0.5)
        )

    def right_segment(self) -> tuple[int, int]:
        """How many name exactly the segment that was hit; of drops found, above the detectable size."""
        asked = [one for one in self.found if one.truth.incident.kind == "drop" and one.is_detectable]
        return sum(one.named == one.truth.incident.segment for one in asked), len(asked)

    def verdicts(self, kind: str) -> dict[str, int]:
        """What the incidents of a kind that were found were called in the end."""
        out: dict[str, int] = {}
        for one in self.found:
            if one.truth.incident.kind == kind:
                verdict = one.pages[0].last.verdict
                out[verdict] = out.get(verdict, 0) + 1
        return out


def score(trial: Trial) -> Scores:
    """Matches pages with incidents; weeks of learning are neither blamed nor counted."""
    begin = START + trial.learning_weeks * WEEK
    measured = [page for page in trial.pages if page.first.detected_at >= begin]
    owned: dict[int, list[Page]] = {number: [] for number in range(len(trial.truths))}
    false_pages = []
    for page in measured:
        owner = _owner(page, trial.truths)
        if owner is None:
            false_pages.append(page)
        else:
            owned[owner].append(page)
    answers = [
        Answer(truth, owned[number], _horizon(trial, owned[number]))
        for number, truth in enumerate(trial.truths)
    ]
    busy = sum(truth.incident.minutes + GRACE_MINUTES for truth in trial.truths)
    minutes = (trial.settings.weeks - trial.learning_weeks) * WEEK - busy
    echoes = [page.first.detected_at >= one.truth.incident.end for one in answers for page in one.pages[1:]]
    learning = len(trial.pages) - len(measured)
    return Scores(answers, false_pages, learning, len(echoes), sum(echoes), minutes / WEEK)


def _owner(page: Page, truths: Sequence[Truth]) -> int | None:
    """The incident that a page belongs to: of several the latest."""
    fitting = [number for number, truth in enumerate(truths) if belongs(page, truth.incident)]
    return max(fitting, key=lambda number: truths[number].incident.begin, default=None)


def belongs(page: Page, incident: Incident) -> bool:
    """By time, step and segment, as the head of this module says."""
    first = page.first
    in_time = incident.begin <= first.detected_at < incident.end + GRACE_MINUTES
    return in_time and _same_step(page, incident) and not disjoint(first.scope.segment, incident.segment)


def _same_step(page: Page, incident: Incident) -> bool:
    rank = page.first.scope.rank
    if incident.kind == "silence" or (page.first.rule == "silence" and rank > incident.rank):
        return True
    return abs(rank - incident.rank) <= 1


def disjoint(one: Segment, other: Segment) -> bool:
    """Whether nobody can be in both: they name different values of a dimension."""
    values = dict(other)
    return any(name in values and values[name] != value for name, value in one)


def _horizon(trial: Trial, pages: Sequence[Page]) -> int:
    if not pages or pages[0].first.rule == "silence":
        return 0
    return trial.trace.horizon(pages[0].first.scope.whole)
