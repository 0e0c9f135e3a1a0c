"""Would it have been found? The same detector goes on twice from one moment: as it was, and with a drop.

A base run takes all minutes as they are, and keeps the detector's state at chosen moments. From each of
them the detector goes on with minutes in which some visits end early. What it calls then and not in the base
run is because of the drop. Pages belong to a drop by the rule of the lab (`pipeline/lab/score.py`).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from pipeline.core.detect import HORIZONS_MINUTES, Detector, Episode, Minute, Settings
from pipeline.core.detect.cusum import smallest
from pipeline.lab.incidents import Incident
from pipeline.lab.score import GRACE_MINUTES, belongs
from pipeline.lab.trial import Page, Pages
from tests.detect.visits import LASTS, LONGEST, Counted, Visits

State = dict[str, Any]
SEEING_MINUTES: Final = 30
"""The detector says for this time what it can see."""


@dataclass
class Base:
    """Minutes as they are: every episode, and the state before the first minute of each moment."""

    settings: Settings | None = None
    pages: Pages = field(default_factory=Pages)
    states: dict[int, State] = field(default_factory=dict)

    def run(self, minutes: Iterable[Minute], moments: Collection[int]) -> Base:
        detector, moments = Detector(self.settings), set(moments)
        for minute in minutes:
            if minute.at in moments:
                self.states[minute.at] = detector.dump()
            self.pages.add(detector.apply(minute))
        return self

    def is_calm(self, begin: int, end: int) -> bool:
        """Whether nothing was firing or called then: what is called in a fork is its own."""
        return not any(
            page.first.detected_at < end and (page.until is None or page.until >= begin)
            for page in self.pages.all()
        )


@dataclass(frozen=True)
class Answer:
    """What became of a drop in a fork."""

    drop: Incident
    page: Page | None
    horizon: int
    """Minutes, of the step whose page it is; 0 of a silence."""
    smallest: float
    """What the detector said, before the drop, that it could see at this step and hour within 30 minutes."""
    tested: bool
    """Whether it tested the whole step at all then."""

    @property
    def waited(self) -> int | None:
        """Minutes from the beginning to the end of the minute in which it was called."""
        return None if self.page is None else self.page.first.detected_at + 1 - self.drop.begin

    @property
    def minutes(self) -> int | None:
        """Counted from the end of the horizon, when the first cohort that was hit can be known of."""
        return None if self.waited is None else self.waited - 1 - self.horizon


def fork(
    base: Base, drop: Incident, visits: Visits, rng: np.random.Generator, *, to_the_end: bool = True
) -> Answer:
    """Goes on from the state of `drop.begin` until a while after its end, or only until its page."""
    state, until = base.states[drop.begin], drop.end + GRACE_MINUTES
    near = visits.between(drop.begin - LONGEST - LASTS, until)
    if drop.kind == "silence":
        hit = near.some((near.begin < drop.begin) | (near.begin >= drop.end))
    else:
        hit = near.dropped(drop.rank, drop.begin, drop.end, drop.share, drop.segment, rng)
    detector = Detector(base.settings)
    detector.load(copy.deepcopy(state))
    sees, tested = can_see(state, drop.rank), is_tested(state, drop.rank)
    known = {one["id"] for one in state["open"]}
    for minute in _minutes(hit, drop.begin, until):
        for told in detector.apply(minute):
            page = Page(told, told)
            if told.id not in known and belongs(page, drop):
                last = _in_the_end(detector, told, hit, minute.at + 1, until) if to_the_end else told
                return Answer(drop, Page(told, last), horizon(state, told), sees, tested)
    return Answer(drop, None, 0, sees, tested)


def _minutes(visits: Visits, begin: int, end: int, days: int = 1_440) -> Iterable[Minute]:
    for first in range(begin, end, days):
        last = min(first + days, end)
        near = visits.between(first - LONGEST - LASTS, last)
        yield from Counted(near, first - LONGEST, last).minutes(first, last)


def _in_the_end(detector: Detector, first: Episode, visits: Visits, begin: int, end: int) -> Episode:
    """How an episode is told of at last: causes and verdicts are looked at again while it lasts."""
    last = first
    for minute in _minutes(visits, begin, end):
        for told in detector.apply(minute):
            last = told if told.id == first.id else last
    return last


def horizon(state: State, told: Episode) -> int:
    """Minutes that the rule of an episode waits for people."""
    return horizons(state)[told.scope.rank] if told.rule == "drop" else 0


def horizons(state: State) -> dict[int, int]:
    """By rank of the step; steps that are still learnt are left out."""
    found = {}
    for step in state["steps"]:
        if step["horizon"] >= 0:
            found[int(scope_of(state, step["whole"])[2])] = HORIZONS_MINUTES[step["horizon"]]
    return found


def scope_of(state: State, row: int) -> list[Any]:
    """Journey, version, rank, stage, segment."""
    scope: list[Any] = state["scopes"][row]
    return scope


def _step(state: State, rank: int) -> Any:
    return next(step for step in state["steps"] if scope_of(state, step["whole"])[2] == rank)


def is_tested(state: State, rank: int) -> bool:
    """Whether the whole step is tested for drops."""
    return bool(state["rows"][_step(state, rank)["whole"]]["tested"])


def can_see(state: State, rank: int, entrants: float | None = None) -> float:
    """The least relative drop of a whole step that would be seen with so many entrants; 1: none.

    By default those that the detector expects within half an hour at the time of the state.
    """
    step = _step(state, rank)
    row = state["rows"][step["whole"]]
    rate = float(row["base"] * row["gain"])
    came = float(row["rate"]) * SEEING_MINUTES if entrants is None else entrants
    return smallest(came, rate, float(row["margin"]), float(step["phi"]), row["limit"])


def quantile(values: Sequence[int], all_of: int, share: float) -> float:
    """Of all, those never found counted as infinite; NaN of none."""
    padded = sorted(values) + [np.inf] * (all_of - len(values))
    return float(padded[max(0, math.ceil(share * len(padded)) - 1)]) if padded else math.nan
