"""Carts, checkouts and payments in the story: beneath the events that moved them, or on their own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from pipeline.cli.story.activity import Acts
from pipeline.cli.story.asked import Row
from pipeline.cli.story.definitions import Definition
from pipeline.cli.story.life import BROWSE, Happening, Life, ended, time, titles, worth
from pipeline.cli.story.lines import FAINT, Effect, Line, by_time
from pipeline.cli.story.rules import canonical
from pipeline.cli.story.words import condition, moment
from schemas.predicates import matches

OPEN: Final = ("open", "at_risk")


def explain(
    lines: list[Line], rows: Sequence[Row], orders: Sequence[Row], definition: Definition | None, name: str
) -> None:
    """Adds what happened to the objects of one journey; `name` begins each effect."""
    acts = Acts(lines, definition)
    life = Life(rows, orders, definition, acts)
    events: dict[datetime, list[Line]] = defaultdict(list)
    for line in lines:
        if line.event and not line.is_copy:
            events[line.second].append(line)
    for row in rows:
        openers = []
        for happening in life.of(row):
            found = _event_of(events, happening) if happening.has_event else None
            effect = Effect(f"{name}{happening.text}{_why(found, happening)}", happening.style)
            if found is None:
                lines.append(by_time(effect, happening.at))
            else:
                found.effects.append(effect)
                openers.append(found)
        _keep_open(row, life, acts, openers, name)


def _event_of(events: dict[datetime, list[Line]], happening: Happening) -> Line | None:
    """The event that did it, of that second. None where it is not there, such as an order that came late."""
    there = events.get(happening.at.replace(microsecond=0), [])
    if happening.order_id:
        return next((line for line in there if not line.is_repeat and happening.order_id in _ids(line)), None)
    there = [line for line in there if line.has_session]
    return next((line for line in there if _means(line, happening)), there[-1] if there else None)


def _ids(line: Line) -> tuple[str, str]:
    """What an order may be called by: the id of its event, where it has none."""
    return (line.event["order_id"], line.event["event_id"]) if line.event else ("", "")


def _means(line: Line, happening: Happening) -> bool:
    """Whether the event meets the condition, as the definition is now."""
    asked = canonical(line.event) if line.event else {}
    return any(matches(predicate, asked) for predicate in happening.means)


def _why(line: Line | None, happening: Happening) -> str:
    """The condition that the event meets; nothing where it does not."""
    if line is None or line.event is None or not happening.place or not _means(line, happening):
        return ""
    return f" because {condition(happening.means[0], canonical(line.event))} ({happening.place})"


def _keep_open(row: Row, life: Life, acts: Acts, told: Sequence[Line], name: str) -> None:
    """Adds to the events that put its deadline off what it is now. `told` opened or ended it: they say so."""
    kind = life.kind(row)
    after_ms = life.abandon_after_ms(row)
    if kind is None or after_ms is None or row["kind"] == BROWSE:
        return
    for act in acts.on(kind.kind, row["opened_at"], ended(row)):
        if act.line not in told:
            until = moment(act.second + timedelta(milliseconds=after_ms), act.second)
            act.line.effects.append(Effect(f"{name}· {life.title(row)} goes on: deadline {until}", FAINT))


def still_open(rows: Sequence[Row], definition: Definition | None) -> Iterator[str]:
    """The objects whose end is not known yet, each with its deadline or what may bring it back."""
    names = titles(rows)
    objects = definition.journey.objects if definition else None
    for row in rows:
        abandoned = time(row["abandoned_at"])
        if row["state"] in OPEN and not row["is_evicted"]:
            deadline = time(row["deadline_at"])
            until = f"deadline {moment(deadline)}" if deadline else "until its session ends"
            state = " (at risk)" if row["state"] == "at_risk" else ""
            yield f"{names[row['object_id']]}{state}, {until}{worth(row)}"
        elif row["state"] == "abandoned" and abandoned and objects and row["kind"] != BROWSE:
            until = moment(abandoned + timedelta(milliseconds=objects.recovery_window_ms))
            yield f"{names[row['object_id']]} (abandoned), an order until {until} brings it back"
