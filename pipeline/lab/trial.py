"""A detector tried on minutes: what it told, and what there was to see."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.core.detect.minutes import HORIZONS_MINUTES, Minute, Scope
from pipeline.lab.incidents import Truth
from pipeline.lab.market import DAY, Settings
from pipeline.lab.weeks import Weeks

Counts = NDArray[np.int64]


class Episode(Protocol):
    """What the lab looks at of what a detector tells."""

    @property
    def id(self) -> str | int: ...
    @property
    def rule(self) -> str: ...
    @property
    def scope(self) -> Scope: ...
    @property
    def state(self) -> str: ...
    @property
    def started_at(self) -> int: ...
    @property
    def detected_at(self) -> int: ...
    @property
    def resolved_at(self) -> int | None: ...
    @property
    def cause(self) -> Scope | None: ...
    @property
    def verdict(self) -> str: ...
    @property
    def observed(self) -> float: ...
    @property
    def expected(self) -> float: ...
    @property
    def smallest(self) -> float: ...


class Detects(Protocol):
    """Anything that takes minutes in order and tells of every episode that changed."""

    def apply(self, minute: Minute) -> Sequence[Episode]: ...


@dataclass(frozen=True)
class Page:
    """One episode: as somebody was paged for it, and as it was known in the end."""

    first: Episode
    last: Episode

    @property
    def until(self) -> int | None:
        return self.last.resolved_at if self.last.state == "resolved" else None


class Pages:
    """Episodes by id. An episode pages once, when it is first told."""

    def __init__(self) -> None:
        self._first: dict[str | int, Episode] = {}
        self._last: dict[str | int, Episode] = {}

    def add(self, episodes: Iterable[Episode]) -> None:
        for one in episodes:
            self._first.setdefault(one.id, one)
            self._last[one.id] = one

    def all(self) -> list[Page]:
        """By the minute in which they were told."""
        pages = [Page(first, self._last[name]) for name, first in self._first.items()]
        return sorted(pages, key=lambda page: (page.first.detected_at, page.first.scope, page.first.rule))


class Trace:
    """The whole scopes minute by minute, at the longest horizon: for the picture and the traffic table."""

    def __init__(self) -> None:
        self.first: int | None = None
        self.minutes = 0
        self.sums: dict[Scope, Counts] = {}
        """Of those who went on, by horizon."""
        self._columns: dict[Scope, tuple[array[int], array[int], array[int]]] = {}
        self._scopes: list[Scope] | None = None
        self._rows: list[tuple[int, Scope]] = []

    def add(self, minute: Minute) -> None:
        if self.first is None:
            self.first = minute.at
        if minute.scopes is not self._scopes:
            self._scopes = minute.scopes
            self._rows = [(row, scope) for row, scope in enumerate(minute.scopes) if not scope.segment]
        for row, scope in self._rows:
            columns = self._columns.setdefault(scope, (array("q"), array("q"), array("q")))
            missing = [0] * (self.minutes - len(columns[0]))
            values = (minute.entered[row], minute.settled[row, -1], minute.went_on[row, -1])
            for column, value in zip(columns, values, strict=True):
                column.extend(missing)
                column.append(int(value))
            sums = self.sums.setdefault(scope, np.zeros(len(HORIZONS_MINUTES), np.int64))
            sums += minute.went_on[row]
        self.minutes += 1

    @property
    def scopes(self) -> list[Scope]:
        return sorted(self._columns)

    def entered(self, scope: Scope) -> Counts:
        """Who entered, by minute."""
        return self._column(scope, 0)

    def cohorts(self, scope: Scope) -> tuple[Counts, Counts]:
        """Entrants and who of them went on within the longest horizon, by the minute of their entry."""
        wait = max(HORIZONS_MINUTES)
        return self._column(scope, 1)[wait:], self._column(scope, 2)[wait:]

    def horizon(self, scope: Scope, share: float = 0.8) -> int:
        """The shortest horizon in which this share of those who go on have gone on."""
        sums = self.sums[scope]
        return next(h for h, count in zip(HORIZONS_MINUTES, sums, strict=True) if count >= share * sums[-1])

    def _column(self, scope: Scope, number: int) -> Counts:
        column = np.frombuffer(self._columns[scope][number], np.int64)
        return np.pad(column, (0, self.minutes - len(column)))


@dataclass(frozen=True)
class Trial:
    """All that came of one run of the lab."""

    settings: Settings
    mix: str
    learning_weeks: int
    truths: list[Truth]
    pages: list[Page]
    trace: Trace
    undisturbed: Counts
    """(stages, minutes of entry): who would have gone on, had nothing gone wrong."""
    seconds_detecting: float


def run(
    weeks: Weeks,
    detector: Detects,
    mix: Literal["tuning", "report", "quiet"] | str,
    learning_weeks: int,
    *,
    clock: Callable[[], float],
    tick: Callable[[int], None] = lambda _: None,
    also: Callable[[Minute], None] = lambda _: None,
) -> Trial:
    """Tells the detector all weeks. `clock` times it, `tick` hears of every day, `also` of every minute."""
    pages, trace, undisturbed, seconds = Pages(), Trace(), [], 0.0
    for day in weeks.days():
        minutes = list(day.minutes())
        began = clock()
        for minute in minutes:
            pages.add(detector.apply(minute))
        seconds += clock() - began
        for minute in minutes:
            trace.add(minute)
            also(minute)
        undisturbed.append(day.undisturbed)
        tick(day.number)
    whole = np.concatenate(undisturbed, axis=1)[:, max(HORIZONS_MINUTES) :]
    assert whole.shape[1] == weeks.settings.days * DAY - max(HORIZONS_MINUTES)
    return Trial(weeks.settings, mix, learning_weeks, weeks.truths, pages.all(), trace, whole, seconds)
