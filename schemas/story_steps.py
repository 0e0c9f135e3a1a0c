"""What a story is made of, once it has been read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias


@dataclass(frozen=True)
class Record:
    """A record arrives. `fields` are those of the canonical event that it has, but for the time."""

    line: int
    partition: int
    at_ms: int
    fields: dict[str, Any]
    comes_late: bool = False


@dataclass(frozen=True)
class TimePasses:
    """No record lies before this time any more."""

    line: int
    to_ms: int


@dataclass(frozen=True)
class TheEnd:
    """All time passes."""

    line: int


@dataclass(frozen=True)
class Expect:
    """What must be there: these rows, told by these columns. A cell is as `show_cell` would write it."""

    line: int
    table: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    to_ms: int = 0
    """Time has passed so far when one looks: what is told above has been taken in."""


Step: TypeAlias = Record | TimePasses | TheEnd | Expect


@dataclass(frozen=True)
class Story:
    """`settings` are those of a run that differ from the usual, by their names there."""

    title: str
    line: int
    settings: dict[str, int | bool]
    steps: tuple[Step, ...]

    @property
    def partitions(self) -> int:
        return 1 + max((step.partition for step in self.steps if isinstance(step, Record)), default=0)


@dataclass(frozen=True)
class Stories:
    """All stories of a file."""

    file: str
    stories: tuple[Story, ...]
