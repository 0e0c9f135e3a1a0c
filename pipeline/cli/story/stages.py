"""What events did in a journey: transitions with the rule behind each, and the timers of stages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from pipeline.cli.story.asked import Row
from pipeline.cli.story.definitions import Definition
from pipeline.cli.story.lines import BACK, FAINT, LOST, ON, Effect, Line, by_time
from pipeline.cli.story.rules import Walk, canonical
from pipeline.cli.story.words import condition, duration, entry, moment
from schemas.journeys import Rule


def explain(
    lines: Sequence[Line], transitions: Sequence[Row], definition: Definition | None, name: str
) -> None:
    """Adds to the events of one session what they did in one journey; `name` begins each effect."""
    caused = {row["event_id"]: row for row in transitions}
    if definition is None:
        for line in lines:
            row = caused.get(line.event["event_id"]) if line.event else None
            if row:
                line.effects.append(Effect(f"{name}{_moved(row)}", _style(row)))
        return
    walk = Walk(definition.journey)
    events = [(canonical(line.event), line) for line in lines if line.event and not line.is_repeat]
    for event, line in sorted(events, key=lambda one: (one[0]["event_at"], walk.highest(one[0]))):
        holding = walk.holding(event)
        row = caused.get(event["event_id"])
        if row is None:
            stayed = _stayed(walk, holding, definition)
            line.effects += [Effect(f"{name}{stayed}", FAINT)] if stayed else []
            continue
        why = _why(row, event, walk, holding, definition)
        line.effects.append(Effect(f"{name}{_moved(row)}{why}", _style(row)))
        walk.enter(row["to_rank"], row["at"])


def _moved(row: Row) -> str:
    passed = f", past {', '.join(row['skipped'])}" if row["skipped"] else ""
    return f"→ {row['to_stage']} ({row['kind']}{passed})"


def _style(row: Row) -> str:
    return BACK if row["kind"] == "regress" else ON


def _why(row: Row, event: dict[str, Any], walk: Walk, holding: list[Rule], definition: Definition) -> str:
    """The first rule that let the event do it."""
    kind = "regress" if row["kind"] == "regress" else "enter"
    rules = [rule for rule in holding if rule.kind == kind and rule.rank == row["to_rank"]]
    if not rules:
        return f", by no rule of {definition.file} as it is now"
    rule = rules[0]
    text = condition(rule.predicate, event)
    if rule.entry:
        text = entry(rule.entry, definition.journey, event, walk.count(rule))
    stage = definition.journey.stages[rule.rank - 1]
    return f" because {text} ({definition.at(f'rule {rule.bit}')}){_until(row, stage.abandon_after_ms)}"


def _until(row: Row, after_ms: int | None) -> str:
    if after_ms is None:
        return ""
    return f"; deadline {moment(row['at'] + timedelta(milliseconds=after_ms), row['at'])}"


def _stayed(walk: Walk, holding: list[Rule], definition: Definition) -> str:
    """Why an event made no transition; nothing where it enters no stage at all."""
    journey = definition.journey
    ranks = [rule.rank for rule in holding if rule.kind == "enter"]
    if not ranks:
        return ""
    stage = journey.stages[max(ranks) - 1]
    if stage.rank < walk.rank:
        return f"{stage.name}, which lies behind: stays in {journey.stages[walk.rank - 1].name}"
    if stage.rank > walk.rank:
        return f"{stage.name} by {definition.file} as it is now, but there is no transition"
    again = f"{stage.name} again"
    return again + ("" if stage.abandon_after_ms is None else ": its deadline counts from now")


def timers(rows: Sequence[Row], definition: Definition | None, name: str) -> Iterator[Line]:
    """The deadlines of stages that passed before the visitor went on."""
    for row in rows:
        deadline, left = row["deadline_at"], row["left_at"]
        gave_up = row["left_by"] == "abandoned" and left == deadline
        if not gave_up and (left is None or left <= deadline or row["left_by"] == "abandoned"):
            continue
        went = "back" if row["left_by"] == "regressed" else "on"
        came = "" if gave_up else f"; went {went} at {moment(left, deadline)}"
        why = _timer(row["stage"], definition)
        text = f"{name}✗ {row['stage']}: its deadline passed{why}: abandoned{came}"
        yield by_time(Effect(text, LOST), deadline)


def _timer(stage: str, definition: Definition | None) -> str:
    if definition is None:
        return ""
    known = [one.abandon_after_ms for one in definition.journey.stages if one.name == stage]
    after = f"abandon_after {duration(known[0])}, " if known and known[0] else ""
    return f" ({after}{definition.at(f'{stage}.abandon_after')})"
