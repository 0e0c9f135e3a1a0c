"""What went wrong in a process, kept where it happened.

bytewax wraps an error of a step in one of its own, and where several processes run a flow it loses it
altogether. So a step notes its error on the way out, and whoever started the flow asks here for the cause.
"""

from __future__ import annotations

import json
import traceback
from dataclasses import asdict, dataclass

_FIRST: list[BaseException] = []


def note(error: BaseException) -> None:
    """Keeps the first error of a run: the others follow from it."""
    if not _FIRST:
        _FIRST.append(error)


def noted() -> BaseException | None:
    """The first error of the run, if a step had one."""
    return _FIRST[0] if _FIRST else None


def forget() -> None:
    """A new run begins in this process."""
    _FIRST.clear()


@dataclass(frozen=True)
class Failure:
    """An error in words that can travel from one process to another."""

    kind: str  # the name of its class
    message: str
    hint: str
    trace: str
    is_cause: bool  # a step of ours had it; else it may be the death of another process as seen from here

    @classmethod
    def of(cls, error: BaseException, *, is_cause: bool) -> Failure:
        message = str(getattr(error, "message", error))
        trace = "".join(traceback.format_exception(error))
        return cls(type(error).__name__, message, str(getattr(error, "hint", "")), trace, is_cause)

    def dump(self) -> str:
        """As a line of text."""
        return json.dumps(asdict(self))

    @classmethod
    def load(cls, line: str) -> Failure:
        return cls(**json.loads(line))
