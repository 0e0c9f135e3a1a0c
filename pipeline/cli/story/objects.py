"""Carts, checkouts and payments in the story: beneath the events that moved them, or on their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from pipeline.cli.story.asked import Row
from pipeline.cli.story.definitions import Definition
from pipeline.cli.story.life import Happening, Life, time, titles, worth
from pipeline.cli.story.lines import Effect, Line, by_time
from pipeline.cli.story.rules import canonical
from pipeline.cli.story.words import condition, moment
from schemas.predicates import matches

OPEN: Final = ("open", "at_risk")


def explain(lines: list[Line], rows: Sequence[Row], definition: Definition | None, name: str) -> None:
    """Adds what happened to the objects of one journey; `name` begins each effect."""
    life = Life(rows, definition)
    for happening in [happening for row in rows for happening in life.of(row)]:
        line = _event_of(lines, happening) if happening.has_event else None
        effect = Effect(f"{name}{happening.text}{_why(line, happening)}", happening.style)
        if line is None:
            lines.append(by_time(effect, happening.at))
        else:
            line.effects.append(effect)


def _event_of(lines: Sequence[Line], happening: Happening) -> Line | None:
    """The event that did it, of that second. None where it is not there, such as an order that came late."""
    second = happening.at.replace(microsecond=0)
    there = [line for line in lines if line.has_session and line.at.replace(microsecond=0) == second]
    if happening.order_id:
        there = [line for line in there if line.event and happening.order_id in _ids(line.event)]
    for line in there:
        if _why(line, happening):
            return line
    return there[-1] if there else None


def _ids(event: Row) -> tuple[str, str]:
    """What an order may be called by: the id of its event, where it has none."""
    return event["order_id"], event["event_id"]


def _why(line: Line | None, happening: Happening) -> str:
    """The condition that the event meets; nothing where it does not, as the definition is now."""
    if line is None or line.event is None or happening.means is None:
        return ""
    event = canonical(line.event)
    if not matches(happening.means, event):
        return ""
    return f" because {condition(happening.means, event)} ({happening.place})"


def still_open(rows: Sequence[Row]) -> Iterator[str]:
    """The objects whose end is not known yet, each with its deadline."""
    names = titles(rows)
    for row in rows:
        if row["state"] in OPEN:
            deadline = time(row["deadline_at"])
            until = f"deadline {moment(deadline)}" if deadline else "until its session ends"
            state = " (at risk)" if row["state"] == "at_risk" else ""
            yield f"{names[row['object_id']]}{state}, {until}{worth(row)}"
