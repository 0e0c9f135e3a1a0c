"""What went wrong in a process, kept where it happened.

bytewax wraps an error of a step in one of its own, and where several processes run a flow it loses it
altogether. So a step notes its error on the way out, and whoever started the flow asks here for the cause.
"""

from __future__ import annotations

import json
import traceback
from dataclasses import asdict, dataclass
from typing import Final

WEATHER: Final = frozenset({"SinkUnavailable", "Unreachable"})
"""Errors, by the names of their classes, that pass without anybody mending anything: worth another try."""

_FIRST: list[tuple[BaseException, str]] = []
_SUSPECTS: list[tuple[int, int]] = []

SUSPECTS_MAX: Final = 100


def note(error: BaseException, step: str = "") -> None:
    """Keeps the first error of a run, and the step that had it: the others follow from it."""
    if not _FIRST:
        _FIRST.append((error, step))


def noted() -> BaseException | None:
    """The first error of the run, if a step had one."""
    return _FIRST[0][0] if _FIRST else None


def noted_step() -> str:
    """The step that had the first error, or nothing."""
    return _FIRST[0][1] if _FIRST else ""


def suspect(records: list[tuple[int, int]]) -> None:
    """Names the records that the first error may be about, each by its partition and position."""
    if not _SUSPECTS:
        _SUSPECTS.extend(records[:SUSPECTS_MAX])


def forget() -> None:
    """A new run begins in this process."""
    _FIRST.clear()
    _SUSPECTS.clear()


@dataclass(frozen=True)
class Failure:
    """An error in words that can travel from one process to another."""

    kind: str  # the name of its class
    message: str
    hint: str
    trace: str
    is_cause: bool  # a step of ours had it; else it may be the death of another process as seen from here
    step: str = ""
    suspects: tuple[tuple[int, int], ...] = ()  # partition and position of records that it may be about

    @property
    def is_weather(self) -> bool:
        return self.kind in WEATHER

    @classmethod
    def of(cls, error: BaseException, *, is_cause: bool) -> Failure:
        message = str(getattr(error, "message", error))
        trace = "".join(traceback.format_exception(error))
        hint = str(getattr(error, "hint", ""))
        return cls(type(error).__name__, message, hint, trace, is_cause, noted_step(), tuple(_SUSPECTS))

    def dump(self) -> str:
        """As a line of text."""
        return json.dumps(asdict(self))

    @classmethod
    def load(cls, line: str) -> Failure:
        told = json.loads(line)
        return cls(**{**told, "suspects": tuple((part, at) for part, at in told["suspects"])})
