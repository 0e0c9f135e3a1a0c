"""What a state folder tells of its runs: the one that runs or ran last, and the last error of any.

Written by the starter of a run, read by `pathline status` and by whoever serves metrics. A disk that is full
does not stop a run for this: what cannot be written is not known later, no more.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar

NUMBERS: Final = "metrics"
"""The folder of the numbers of a run's processes, in the state folder."""

MESSAGE_MAX: Final = 2_000

Kind = TypeVar("Kind", "Run", "LastError")


@dataclass(frozen=True)
class Run:
    """A run; `how` it ended: finished, drained, stopped or failed. None: it runs, or was killed."""

    pid: int
    processes: int
    started_at: float
    sink: str  # masked
    inputs: int
    listens: str = ""
    ended_at: float | None = None
    how: str | None = None


@dataclass(frozen=True)
class LastError:
    """Of what a run failed, in words that may be shown."""

    at: float
    kind: str
    message: str
    hint: str = ""


@dataclass(frozen=True)
class Record:
    """The record in a state folder."""

    folder: Path

    @property
    def numbers(self) -> Path:
        return self.folder / NUMBERS

    def run(self) -> Run | None:
        return _read(self.folder / "run.json", Run)

    def last_error(self) -> LastError | None:
        return _read(self.folder / "last-error.json", LastError)

    def begin(self, run: Run) -> None:
        _write(self.folder / "run.json", asdict(run))

    def end(self, run: Run, how: str) -> None:
        _write(self.folder / "run.json", asdict(replace(run, ended_at=time.time(), how=how)))

    def fail(self, error: LastError) -> None:
        _write(self.folder / "last-error.json", asdict(replace(error, message=error.message[:MESSAGE_MAX])))

    def is_held(self) -> bool:
        """Whether a process of a run has the folder now. To look does not disturb one that begins."""
        try:
            descriptor = os.open(self.folder / "lock", os.O_RDONLY)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False


def _read(path: Path, kind: type[Kind]) -> Kind | None:
    try:
        return kind(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _write(path: Path, content: dict[str, Any]) -> None:
    draft = path.with_suffix(".part")
    with suppress(OSError):
        draft.write_text(json.dumps(content))
        draft.replace(path)
