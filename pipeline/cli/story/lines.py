"""What a story is made of: lines in order of time, each with what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

from pipeline.cli.story.asked import Row

ON, BACK, LOST, FAINT = "green", "yellow", "red", "dim"
"""Forward, at risk or back, given up, and what changes nothing: the colours of `pathline show`."""


class Effect(NamedTuple):
    """Something that came of an event, or of time."""

    text: str
    style: str = ""


EVENT: Final = 0
TIMER: Final = 1
"""At one and the same time events come before timers."""


@dataclass
class Line:
    """An event with its effects, or something that time alone did (no event, one effect)."""

    at: datetime
    order: int = EVENT
    session: int = 0
    """From 1; 0 for none."""
    event: Row | None = None
    effects: list[Effect] = field(default_factory=list)
    is_copy: bool = False
    is_repeat: bool = False
    """Of an order that has been counted: it enters no stage."""

    @property
    def second(self) -> datetime:
        """When, as precisely as the views tell it."""
        return self.at.replace(microsecond=0)

    @property
    def has_session(self) -> bool:
        """Whether it is an event that a session counts."""
        return self.event is not None and self.session > 0


def by_time(effect: Effect, at: datetime) -> Line:
    """Something that happened without an event."""
    return Line(at, TIMER, effects=[effect])
