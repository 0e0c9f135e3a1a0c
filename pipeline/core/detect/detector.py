"""The detector: completed minutes in, changed episodes out. The same minutes make the same episodes.

A minute costs one pass over all scopes in numba; what is usual is looked up once an hour. Times are unix
minutes. An episode's `detected_at` is the minute with whose completion it was called.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.core.detect import arrivals, baseline, cusum, horizon
from pipeline.core.detect.episodes import DROP, SILENCE, Episode, Open
from pipeline.core.detect.incidents import Incidents
from pipeline.core.detect.layout import BUCKET, ENTERED, GROUP, SKIPPED, SLOTS
from pipeline.core.detect.minutes import HORIZONS_MINUTES, Minute, Scope
from pipeline.core.detect.settings import DROPS, Settings
from pipeline.core.detect.state import COUNTS, State

SLEEP_MINUTES: Final = 7 * 24 * 60
"""After so long without a single count nothing is expected any more until something comes."""
SUSPECT: Final = 0.5
"""Of a threshold: a statistic this high keeps its time from being learnt."""
TOTALS_DECAY: Final = 0.5 ** (1 / (7 * 24))
"""Per hour: values and shares of entrants fade by half in a week."""
SEEN_GOERS: Final = 50.0
"""Before a scope is tested."""


class Detector:
    """One deployment's detection. Minutes come in order; one that is left out had nothing but zeros."""

    def __init__(self, settings: Settings | None = None) -> None:
        self._settings = settings or Settings()
        self._begin()

    def _begin(self) -> None:
        self._state = State(self._settings.scopes_max)
        self._incidents = Incidents(self._settings, self._state)
        self._at: int | None = None
        self._idle = 0  # minutes in a row with nothing
        self._awake = 0  # since when there is something
        self._silence = math.inf  # what the tests of arrivals must reach

    @property
    def refused(self) -> int:
        """Scopes that were not taken up, because there were too many."""
        return self._state.refused

    def watched(self, rule: str) -> list[Scope]:
        """The whole steps of which this rule could call something now, of themselves or of a segment."""
        rows = self._state.rows
        on = rows["tested"].astype(bool) & np.isfinite(rows["limit"]).any(axis=1)
        if rule == SILENCE:
            on = rows["heard"].astype(bool) & math.isfinite(self._silence)
        return sorted({self._state.scopes[row].whole for row in np.flatnonzero(on).tolist()})

    def apply(self, minute: Minute) -> list[Episode]:
        """The episodes that this minute, and those left out before it, have changed; in their order."""
        at = int(minute.at)
        if self._at is not None and at <= self._at:
            raise ValueError(f"minute {at} after minute {self._at}: minutes come once and in order")
        changed: list[Episode] = []
        if self._at is not None:
            while self._at + 1 < at and self._idle < SLEEP_MINUTES:
                changed += self._one(self._at + 1, np.zeros((len(self._state.scopes), COUNTS), np.int64))
        if not _something(minute):
            if self._at is None or self._idle >= SLEEP_MINUTES:
                self._at = at if self._at is not None else None
                return changed
            return changed + self._one(at, np.zeros((len(self._state.scopes), COUNTS), np.int64))
        if self._idle >= SLEEP_MINUTES or self._at is None:
            self._wake(at)
        changed += self._one(at, *self._counts(minute))
        return changed

    def _wake(self, at: int) -> None:
        """Begins anew after a long sleep, with what was learnt before it."""
        rows = self._state.rows
        for name in ("cusum", "gathered", "quiet", "ring"):
            rows[name] = 0
        self._awake = at
        for step in range(len(self._state.steps)):
            self._expect(step, at)
        self._expect_arrivals(at)

    def _counts(self, minute: Minute) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Per row: the counts at its step's horizon; per step: settled and went on at each horizon."""
        at = int(minute.at)
        places, new = self._state.places(minute)
        state = self._state
        if new:
            for step in set(state.rows["step"][places[places >= 0]].tolist()):
                self._expect(step, at)
        counts = np.zeros((len(state.scopes), COUNTS), np.int64)
        steps = state.steps
        index = steps["horizon"][state.rows["step"][places]]
        lines = np.arange(len(places))
        kept = places >= 0
        for column, values in enumerate(
            (
                np.where(index >= 0, minute.settled[lines, index], 0),
                np.where(index >= 0, minute.went_on[lines, index], 0),
                minute.entered,
                minute.skipped,
                minute.value_e4,
            )
        ):
            np.add.at(counts[:, column], places[kept], values[kept])
        warm = np.zeros((len(steps), 2, len(HORIZONS_MINUTES)), np.int64)
        whole = np.flatnonzero(kept & (steps["whole"][state.rows["step"][places]] == places))
        np.add.at(warm[:, 0], state.rows["step"][places[whole]], minute.settled[whole])
        np.add.at(warm[:, 1], state.rows["step"][places[whole]], minute.went_on[whole])
        return counts, warm[:, 0], warm[:, 1]

    def _one(
        self,
        at: int,
        counts: NDArray[np.int64],
        settled: NDArray[np.int64] | None = None,
        went_on: NDArray[np.int64] | None = None,
    ) -> list[Episode]:
        self._idle = 0 if counts.any() or (settled is not None and settled.any()) else self._idle + 1
        self._turn(at)
        rows, steps = self._state.rows, self._state.steps
        of = rows["step"]
        back, phi = self._state.horizons()[of], steps["phi"][of]
        rows["gain"] = baseline.gains(steps, rows)
        totals = (rows["entrants"], rows["value_e4"], rows["skippers"], rows["watched"])
        cusum.count(at, back, rows["base"], counts, rows["ring"], totals)
        cusum.drops(
            at, back, rows["tested"], rows["base"], rows["gain"], rows["margin"], phi, counts,
            rows["cusum"], rows["since"], rows["gathered"],
        )  # fmt: skip
        cusum.silences(
            at, rows["heard"], rows["rate"] * rows["flow"], rows["sure"], steps["burst"][of], counts,
            self._settings.silent_normal, self._settings.silent_share,
            rows["quiet"], rows["quiet_since"], rows["quiet_entered"], rows["quiet_expected"],
        )  # fmt: skip
        self._at = at
        if settled is not None and went_on is not None:
            self._warm(at, settled, went_on)
        self._suspect(at, back)
        return self._incidents.apply(at, counts, self._silence)

    def _suspect(self, at: int, back: NDArray[np.int64]) -> None:
        """Marks what must not be learnt: where a drop or silence looks possible, or is called."""
        rows = self._state.rows
        high = cusum.nearness(rows["cusum"], rows["limit"]) >= SUSPECT
        for step in self._incidents.steps_firing(DROP) | self._incidents.steps_firing(SILENCE):
            high[self._state.members[step]] = True
        high &= back >= 0
        rows["dirty"][high] = (at - back)[high]
        quiet = rows["quiet"] >= SUSPECT * self._silence
        for step in self._incidents.steps_firing(SILENCE):
            quiet[self._state.members[step]] = True
        rows["hushed"][quiet] = at

    def _turn(self, at: int) -> None:
        """What happens between two minutes: buckets, groups of them and hours begin."""
        rows = self._state.rows
        for step, back in enumerate(self._state.horizons().tolist()):
            if back >= 0:
                self._turn_cohorts(step, at - back)
        if at % GROUP == 0:
            for step in range(len(self._state.steps)):
                baseline.burst(self._state.steps[step], rows, at)
            if not self._incidents.steps_firing(SILENCE):
                arrivals.follow_flow(rows, at)
            self._expect_arrivals(at)
        if at % baseline.HOUR == 0:
            self._turn_hour(at)
        if at % BUCKET == 0:
            rows["ring"][:, [ENTERED, SKIPPED], at // BUCKET % SLOTS] = 0.0

    def _turn_cohorts(self, step: int, cohort: int) -> None:
        state, rows = self._state, self._state.rows
        record, mine = state.steps[step], state.members[step]
        quiet = step not in self._incidents.steps_firing(DROP)
        if not quiet:
            record["fired"] = cohort
        if cohort % GROUP == 0:
            if quiet and rows["dirty"][record["whole"]] < cohort - GROUP:
                baseline.disperse(record, rows, cohort)
            if quiet:
                baseline.follow_level(self._settings, record, rows, mine, cohort)
        if cohort % baseline.HOUR == 0:
            baseline.stray(self._settings, record, rows, cohort)
            first = cohort - baseline.DELAY
            if first >= self._awake:
                baseline.learn_hour(self._settings, record, rows, mine, first)
            self._expect(step, cohort + HORIZONS_MINUTES[record["horizon"]])
        if cohort % BUCKET == 0:
            place = cohort // BUCKET % SLOTS
            for what in range(3):
                rows["ring"][mine, what, place] = 0.0

    def _turn_hour(self, at: int) -> None:
        rows, steps = self._state.rows, self._state.steps
        for step in range(len(steps)):
            first = at - baseline.DELAY
            if first >= self._awake:
                arrivals.learn(self._settings, steps[step], rows, first)
        for name in ("entrants", "value_e4", "skippers", "watched"):
            rows[name] *= TOTALS_DECAY
        self._choose(at)

    def _expect(self, step: int, at: int) -> None:
        """Looks up what is expected of the cohorts that settle from minute `at`."""
        record = self._state.steps[step]
        if record["horizon"] >= 0:
            cohort = at - HORIZONS_MINUTES[record["horizon"]]
            baseline.expect(self._settings, record, self._state.rows, self._state.members[step], cohort)

    def _expect_arrivals(self, at: int) -> None:
        rows = self._state.rows
        for step, record in enumerate(self._state.steps):
            whole, mine = record["whole"], self._state.members[step]
            rate, rows["sure"][mine] = arrivals.usual(record, at)
            rows["rate"][mine] = rate * rows["entrants"][mine] / max(1.0, float(rows["entrants"][whole]))

    def _choose(self, at: int) -> None:
        """Which scopes are tested from now on, and what each test must reach."""
        settings, rows, steps = self._settings, self._state.rows, self._state.steps
        of = rows["step"]
        whole = steps["whole"][of] == np.arange(len(rows))
        back = self._state.horizons()[of]
        old = (back >= 0) & (
            at - back - np.maximum(steps["known"][of], self._awake) >= settings.history_minutes
        )
        seen = np.where(whole, steps["k"].sum(axis=1)[of], rows["went"].sum(axis=1)) >= SEEN_GOERS
        old &= at - rows["born"] >= settings.history_minutes
        pair = np.array([len(scope.segment) > 1 for scope in self._state.scopes], bool)
        rows["tested"] = old & seen & ~pair  # pairs explain; tests of their own would spend the budget
        watched = np.array([_watched(scope, settings) for scope in self._state.scopes], bool)
        learnt = steps["ax"].sum(axis=1)[of] >= 20
        long_awake = at - self._awake >= settings.history_minutes
        rows["heard"] = watched & learnt & (at - rows["born"] >= settings.silent_after_minutes) & long_awake
        self._silence = settings.threshold(int(rows["heard"].sum()), settings.share_silence)
        self._limit(whole)

    def _limit(self, whole: NDArray[np.bool_]) -> None:
        """What each test must reach, by its family's budget and by what it learns from a minute."""
        settings, rows = self._settings, self._state.rows
        rate = rows["base"] * rows["gain"]
        entrants = rows["entrants"] / np.maximum(rows["watched"], 1.0)
        dispersion = self._state.steps["phi"][rows["step"]]
        known = cusum.information(rate, rows["margin"]) * (entrants / dispersion)[:, None]
        for family, share in ((whole, settings.share_whole), (~whole, settings.share_segments)):
            tests = len(DROPS) * int((rows["tested"].astype(bool) & family).sum())
            rows["limit"][family] = settings.limits(tests, share, known[family])

    def _warm(self, at: int, settled: NDArray[np.int64], went_on: NDArray[np.int64]) -> None:
        """Learns the horizons of steps that have none."""
        for step in np.flatnonzero(self._state.steps["horizon"] < 0).tolist():
            record = self._state.steps[step]
            record["warm"][0] += settled[step]
            record["warm"][1] += went_on[step]
            age = at - int(self._state.rows["born"][record["whole"]])
            index = horizon.settle(self._settings, record["warm"], age)
            if index >= 0:
                record["horizon"], record["known"] = index, at + 1 - HORIZONS_MINUTES[index]
                self._expect(step, at + 1)

    def dump(self) -> dict[str, Any]:
        """State for a snapshot."""
        return {
            **self._state.dump(),
            "open": [episode.dump() for episode in self._incidents.open],
            "at": self._at,
            "idle": self._idle,
            "awake": self._awake,
            "silence": self._silence,
        }

    def load(self, dumped: dict[str, Any]) -> None:
        """Goes on from what `dump` wrote."""
        self._begin()
        self._state.load(dumped)
        self._incidents.open = [Open(**episode) for episode in dumped["open"]]
        self._at, self._idle, self._awake = dumped["at"], dumped["idle"], dumped["awake"]
        self._silence = float(dumped["silence"])


def _something(minute: Minute) -> bool:
    parts = (minute.entered, minute.settled, minute.went_on, minute.skipped, minute.value_e4)
    return any(part.any() for part in parts)


def _watched(scope: Scope, settings: Settings) -> bool:
    """Whether silence is looked for. Whoever comes to a kind of object has come to a stage."""
    segment = scope.segment
    chosen = len(segment) == 1 and segment[0][0] in settings.silent_dimensions
    return not scope.is_kind and (chosen or not segment)
