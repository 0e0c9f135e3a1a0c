"""Tells a story to a rehearsal, line by line, and looks where the story says what must be there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from pipeline.cli.story_rows import found
from pipeline.rehearse import Rehearsal
from pipeline.settings import Settings
from schemas.events import PROPERTY_PREFIX
from schemas.journeys import Journey
from schemas.mappings import Mapping, load_mapping
from schemas.story_cells import event_column
from schemas.story_steps import Expect, Record, Story, TheEnd, TimePasses


@dataclass(frozen=True)
class Look:
    """What a story expects at one place, and what is there."""

    expect: Expect
    found: tuple[tuple[str, ...], ...]

    @property
    def is_right(self) -> bool:
        return self.found == self.expect.rows


def tell(story: Story, journey: Journey, mapping: Mapping) -> list[Look]:
    """Everything that the story expects, with what came of it."""
    rehearsal = Rehearsal([journey], mapping, Settings(**story.settings), story.partitions)
    return list(_looks(story, rehearsal))


def canonical(mapping: Mapping) -> Mapping:
    """A mapping for stories: they tell canonical events, so only what the mapping says of such is kept."""
    own = load_mapping("canonical")
    return replace(
        mapping,
        fields=own.fields,
        event_at=own.event_at,
        received_at=own.received_at,
        properties=own.properties,
    )


def _looks(story: Story, rehearsal: Rehearsal) -> Iterator[Look]:
    is_over = False
    for step in story.steps:
        match step:
            case Record():
                rehearsal.read(step.partition, [line(step)])
            case TimePasses():
                rehearsal.pass_time(step.to_ms)
            case TheEnd():
                is_over = True
                rehearsal.finish()
            case Expect():
                if not is_over:
                    rehearsal.pass_time(step.to_ms)
                yield Look(step, tuple(found(rehearsal, step.table, step.columns)))


def line(record: Record) -> bytes:
    """The record as JSON."""
    fields: dict[str, Any] = {"event_at": _iso(record.at_ms)}
    properties: dict[str, str] = {}
    for name, value in record.fields.items():
        kind = event_column(name)
        if name.startswith(PROPERTY_PREFIX):
            properties[name.removeprefix(PROPERTY_PREFIX)] = value
        elif kind == "time":
            fields[name] = _iso(value)
        else:
            fields[name] = value / 10_000 if kind == "money" else value
    return json.dumps(fields | ({"properties": properties} if properties else {})).encode()


def _iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
