"""Which scopes there are, and the records of each: what grows, and what a snapshot holds."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.core.detect.layout import NEVER, ROW, STEP
from pipeline.core.detect.minutes import HORIZONS_MINUTES, Minute, Scope

COUNTS = 5
"""Columns of a minute's counts: settled and went on at the step's horizon, entered, skipped, value."""


class State:
    """Scopes in the order in which they came; those of one minute in their own order."""

    def __init__(self, scopes_max: int) -> None:
        self._scopes_max = scopes_max
        self.scopes: list[Scope] = []
        self.refused = 0
        self._index: dict[Scope, int] = {}
        self._steps: dict[Scope, int] = {}
        self._row_records, self._step_records = np.zeros(64, ROW), np.zeros(8, STEP)
        self.members: list[NDArray[np.int64]] = []
        self._from: list[Scope] = []
        self._places = np.zeros(0, np.int64)

    @property
    def rows(self) -> NDArray[np.void]:
        return self._row_records[: len(self.scopes)]

    @property
    def steps(self) -> NDArray[np.void]:
        return self._step_records[: len(self._steps)]

    def horizons(self) -> NDArray[np.int64]:
        """Each step's horizon in minutes; -1 while it is being learnt."""
        minutes = np.array([*HORIZONS_MINUTES, -1], np.int64)
        found: NDArray[np.int64] = minutes[self.steps["horizon"]]
        return found

    def places(self, minute: Minute) -> tuple[NDArray[np.int64], bool]:
        """The row of each scope of a minute (-1: refused), and whether any is new.

        A scope without a single count is not taken up: that it is named must make no difference.
        """
        if minute.scopes == self._from and len(self._places) == len(self._from):
            return self._places, False
        found = [self._index.get(scope, -1) for scope in minute.scopes]
        new = [i for i, place in enumerate(found) if place < 0 and _counts(minute, i)]
        for scope in sorted({minute.scopes[i] for i in new}):
            self._add(scope, minute.at)
        for i in new:
            found[i] = self._index.get(minute.scopes[i], -1)
        places = np.array(found, np.int64)
        if len(places) == 0 or places.min() >= 0:
            self._from, self._places = list(minute.scopes), places
        if new:
            self._group()
        return places, bool(new)

    def _add(self, scope: Scope, at: int) -> None:
        if scope in self._index:
            return
        if len(self.scopes) + (scope.whole not in self._index) >= self._scopes_max:
            self.refused += 1
            return
        if scope.segment and scope.whole not in self._index:
            self._add(scope.whole, at)
        row = len(self.scopes)
        if not scope.segment:
            step = len(self._steps)
            self._steps[scope] = step
            self._step_records = _room(self._step_records, step + 1)
            record = self._step_records[step]
            record["whole"], record["horizon"], record["known"] = row, -1, NEVER
            record["fired"] = NEVER
            record["phi"] = record["burst"] = record["wander"] = 1.0
        self._row_records = _room(self._row_records, row + 1)
        record = self._row_records[row]
        record["step"], record["born"] = self._steps[scope.whole], at
        record["limit"] = np.inf
        record["dirty"] = record["hushed"] = NEVER
        record["gain"] = record["ratio"] = record["level"] = record["trend"] = record["flow"] = 1.0
        self.scopes.append(scope)
        self._index[scope] = row

    def _group(self) -> None:
        of = self.rows["step"]
        self.members = [np.flatnonzero(of == step) for step in range(len(self._steps))]

    def dump(self) -> dict[str, Any]:
        scopes = [
            [s.journey, s.version, s.rank, s.stage, [list(part) for part in s.segment]] for s in self.scopes
        ]
        return {
            "scopes": scopes,
            "rows": self.rows.copy(),
            "steps": self.steps.copy(),
            "refused": self.refused,
        }

    def load(self, dumped: dict[str, Any]) -> None:
        self.scopes = [
            Scope(journey, version, rank, stage, tuple((d, v) for d, v in segment))
            for journey, version, rank, stage, segment in dumped["scopes"]
        ]
        self._index = {scope: row for row, scope in enumerate(self.scopes)}
        wholes = [scope for scope in self.scopes if not scope.segment]
        self._steps = {scope: step for step, scope in enumerate(wholes)}
        self._row_records = _room(dumped["rows"].astype(ROW), len(self.scopes))
        self._step_records = _room(dumped["steps"].astype(STEP), len(wholes))
        self.refused = dumped["refused"]
        self._from, self._places = [], np.zeros(0, np.int64)
        self._group()


def _counts(minute: Minute, i: int) -> bool:
    return bool(
        minute.entered[i]
        or minute.skipped[i]
        or minute.value_e4[i]
        or minute.settled[i].any()
        or minute.went_on[i].any()
    )


def _room(records: NDArray[np.void], needed: int) -> NDArray[np.void]:
    """The same records with room for so many, in an array of our own."""
    if needed <= len(records) and records.flags.owndata:
        return records
    larger = np.zeros(max(needed, 2 * len(records), 8), records.dtype)
    larger[: len(records)] = records
    return larger
