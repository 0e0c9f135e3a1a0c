"""A run that dies is started again from its last epoch: how often, how soon, and when no more.

- What somebody must mend (a wrong password, a full disk, a damaged file) ends the run at once.
- What passes (a signal, a database that is away) is tried again, each time after a longer wait.
- What fails twice in the same place is looked into: the run goes on in narrow blocks (`underway.py`), ever
  narrower, until one record is left. Then it stops, and says which.

Only restarts without progress count: a run that died once a day for a year has not failed.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pipeline.runtime.board import Board
from pipeline.runtime.deployment import unusable
from pipeline.runtime.processes import POLL_SECONDS, RunFailed
from pipeline.runtime.restarts import FILE, TRACE_CHARACTERS_MAX, Death, write_down
from pipeline.runtime.underway import END, UNKNOWN, Narrow, Spot, Underway

RESTARTS_MAX: Final = 10
"""Restarts without progress before a run gives up, where nobody says otherwise."""

WINDOW_SECONDS: Final = 600.0
"""Restarts that are longer ago do not count: an outage may last, and whoever waits for its end is patient."""

FIRST_WAIT_SECONDS: Final = 0.5
LONGEST_WAIT_SECONDS: Final = 30.0

NARROWER: Final = 64
"""Each narrowing divides by this: from 65,536 records to one in three."""

AFTERWARDS: Final = frozenset({"orders", "track", "facts", "follow", "count", "sink", "snapshot"})
"""Steps that apply an event when time has passed it, which a later record brings about."""

NAMED_MAX: Final = 5
"""Of more records than these that are due at once, none is named."""


class CrashLoop(Exception):  # noqa: N818  the word that users read
    """A run fails on one record, however often it is tried: a message that names it, and the way out."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Patience:
    """How long to wait before the next try, or that there is none."""

    def __init__(
        self,
        restarts_max: int,
        now: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._max = restarts_max
        self._now = now
        self._chance = chance
        self._in_vain: deque[float] = deque()

    def after_death(self, *, progressed: bool) -> float | None:
        """Seconds to wait, between half of a bound that doubles and all of it; None: it is enough."""
        if progressed:
            self._in_vain.clear()
        while self._in_vain and self._in_vain[0] < self._now() - WINDOW_SECONDS:
            self._in_vain.popleft()
        if len(self._in_vain) >= self._max:
            return None
        bound: float = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2 ** len(self._in_vain))
        self._in_vain.append(self._now())
        return bound * (0.5 + 0.5 * self._chance())


class Search:
    """Looks for the record on which a run fails: with each death in one place the blocks get narrower."""

    def __init__(self, rows_max: int) -> None:
        self._rows_max = rows_max
        self.narrow: Narrow | None = None

    def after_death(self, underway: Underway, *, progressed: bool) -> Spot | None:
        """The records of which it dies, once they are known; `narrow` says how to go on until then."""
        narrow = self.narrow
        if narrow is not None and underway.is_past(narrow):
            self.narrow = None  # it got past the place: what it died of now is another matter
            return None
        if narrow is None:
            if not progressed:
                self.narrow = self._narrower(self._rows_max, underway)
            return None
        spot = underway.alone
        if spot is None:
            return None  # it died between two blocks
        if narrow.rows == 1 or spot.is_one_record:
            return spot.of_one()
        self.narrow = self._narrower(narrow.rows, underway)
        return None

    def _narrower(self, rows: int, underway: Underway) -> Narrow:
        return Narrow(max(1, rows // NARROWER), underway.ends(rows))


@dataclass
class Supervisor:
    """Keeps a run alive. `is_final` says of an error, by the name of its class, that no restart will help;
    `tell` shows a line to whoever watches; `sources` name the partitions, like clicks:0.
    """

    folder: Path
    board: Board
    sources: Sequence[str]
    rows_max: int
    restarts_max: int
    is_final: Callable[[str], bool]
    tell: Callable[[str], None]
    narrows: bool = True
    """Whether all processes are ours, so that they can be told to take turns."""
    is_first: bool = True
    """Whether the board is ours to begin anew: of several machines that of process 0 does."""
    _search: Search = field(init=False)
    _patience: Patience = field(init=False)
    _farthest: int = field(init=False, default=-1)

    def __post_init__(self) -> None:
        self._search = Search(self.rows_max)
        self._patience = Patience(self.restarts_max)

    def run(self, start: Callable[[Narrow | None], bool], watch: Callable[[], bool]) -> bool:
        """Calls `start` until it returns, and returns what it does. `watch` is called while nothing runs, and
        says whether a stop was asked for. Raises CrashLoop, or the last RunFailed.
        """
        before: list[int] | None = None
        try:
            while True:
                underway = self._underway()
                try:
                    return start(self._search.narrow)
                except RunFailed as died:
                    before = before or self._received_before()
                    wait = self._wait_after(died, underway)
                    if not _waited(wait, watch):
                        raise
                if self.is_first:
                    self.board.clear()
        finally:
            for number, value in enumerate(before or ()):
                self.board.put(number, received_before=value)  # of this run, not of its last part

    def _underway(self) -> Underway:
        try:
            return Underway.create(self.folder, len(self.sources))
        except OSError as error:
            raise unusable(self.folder, error) from None

    def _received_before(self) -> list[int] | None:
        return self.board.column("received_before") if self.board.total().received else None

    def _wait_after(self, died: RunFailed, underway: Underway) -> float:
        """Seconds to wait before the next try. Raises what ends the run."""
        said, narrow = died.failure, self._search.narrow
        received = self.board.total().received
        progressed = received > self._farthest
        self._farthest = max(self._farthest, received)
        wait = found = None
        if said is None or not self.is_final(said.kind):
            wait = self._patience.after_death(progressed=progressed)
            if self.narrows and not (said is not None and said.is_weather):
                found = self._search.after_death(underway, progressed=progressed)
        if found is not None:
            wait = None
        self._write_down(died, received, wait, narrow.rows if narrow else None)
        if found is not None:
            raise self._crash_loop(died, found) from None
        if wait is None:
            raise died
        self._tell(died, wait)
        return wait

    def _write_down(self, died: RunFailed, received: int, wait: float | None, rows_max: int | None) -> None:
        said = died.failure
        death = Death(
            at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            process=died.process,
            how=died.how,
            kind=said.kind if said else "",
            message=said.message if said else "",
            step=said.step if said else "",
            trace=(said.trace if said and said.is_cause else died.output)[-TRACE_CHARACTERS_MAX:],
            received=received,
            restart_after_seconds=wait and round(wait, 3),
            rows_max=rows_max,
        )
        with suppress(OSError):  # a full disk must not be what a run dies of twice
            write_down(self.folder, death)

    def _tell(self, died: RunFailed, wait: float) -> None:
        said, narrow = died.failure, self._search.narrow
        cause = f" ({said.kind}: {_first_line(said.message)})" if said and said.is_cause else ""
        how = f", {narrow.rows:,} record{'s' * (narrow.rows > 1)} at a time" if narrow else ""
        self.tell(
            f"worker process {died.process} {died.how}{cause}: "
            f"all start again from the last snapshot in {wait:.1f} s{how}"
        )

    def _crash_loop(self, died: RunFailed, spot: Spot) -> CrashLoop:
        said = died.failure
        what = f"{said.kind}: {_first_line(said.message)}" if said and said.is_cause else f"it {died.how}"
        step = said.step if said else ""
        where = f", in the step {step}" if step else ""
        source = self.sources[spot.partition]
        trace = f"{self.folder / FILE} has the traceback"
        if spot.first == END:
            return CrashLoop(
                f"the run fails each time when {source} comes to its end{where}: {what}",
                f"no record can be set aside for that; {trace}",
            )
        if not spot.is_one_record:
            records = f"the records {spot.first} to {spot.last}"
            if spot.first == UNKNOWN:
                records = f"record number {spot.received + 1:,}"
            return CrashLoop(
                f"the run fails each time on {records} of {source}{where}: {what}",
                f"this kind of input cannot be taken apart further; {trace}",
            )
        record = f"{source}:{spot.first}"
        due = [f"{self.sources[part]}:{at}" for part, at in said.suspects] if said else []
        if 0 < len(due) <= NAMED_MAX:
            record = due[0] if len(due) == 1 else f"{', '.join(due)} (one of them)"
        flags = " ".join(f"--quarantine {name}" for name in due if len(due) <= NAMED_MAX)
        flags = flags or f"--quarantine {source}:{spot.first}"
        hint = f"the same command with {flags} sets it aside (bi.rejected_events); {trace}"
        if step in AFTERWARDS and not 0 < len(due) <= NAMED_MAX:
            hint += (
                f". The step {step} applies an event when time has passed it: if this record is in order, "
                f"it is one shortly before it"
            )
        return CrashLoop(f"the run fails each time on the record {record}{where}: {what}", hint)


def _first_line(message: str) -> str:
    return message.strip().split("\n", 1)[0]


def _waited(seconds: float, watch: Callable[[], bool]) -> bool:
    """Whether the time has passed without anybody asking for a stop."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if watch():
            return False
        time.sleep(POLL_SECONDS)
    return not watch()
