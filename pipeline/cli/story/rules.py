"""Which rules of a definition hold for an event: those that look back need the session so far."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any, Final

from pipeline.cli.story.asked import Row
from pipeline.core.decode.exact import scalar_text
from pipeline.core.decode.parse import parse_json
from schemas.events import FIELDS, PROPERTY_PREFIX
from schemas.journeys import Journey, Rule
from schemas.predicates import matches

_COLUMNS: Final = {"event_at": "at", "passive": "is_passive"}
"""Columns of bi.events that have other names than the fields of an event."""


def canonical(row: Row) -> dict[str, Any]:
    """A row of bi.events as the event that conditions are asked of."""
    event = {name: row[_COLUMNS.get(name, name)] for name in FIELDS}
    event |= {"value": int(row["value"] * 10_000), "passive": bool(row["is_passive"])}
    if row["properties"]:
        found = parse_json(row["properties"].encode()).items()
        event |= {f"{PROPERTY_PREFIX}{name}": scalar_text(value) or "" for name, value in found}
    return event


class Walk:
    """The way of one session through a journey, event by event in the journey's order."""

    def __init__(self, journey: Journey) -> None:
        self._journey = journey
        self._counted: Counter[int] = Counter()
        self._entered: dict[int, datetime] = {}
        self.rank = 0
        """Where it stands."""

    def highest(self, event: dict[str, Any]) -> int:
        """The highest stage that the event could enter by itself: events of one time come in that order."""
        rules = (rule for rule in self._journey.rules if rule.kind == "enter")
        return max((rule.rank for rule in rules if matches(rule.predicate, event)), default=0)

    def holding(self, event: dict[str, Any]) -> list[Rule]:
        """The rules that hold for the next event. Asked once per event: it counts it."""
        return [rule for rule in self._journey.rules if self._holds(rule, event)]

    def count(self, rule: Rule) -> int:
        """How many events have met a rule that counts."""
        return self._counted[rule.bit]

    def enter(self, rank: int, at: datetime) -> None:
        """The event made a transition."""
        self._entered.setdefault(rank, at)
        self.rank = rank

    def _holds(self, rule: Rule, event: dict[str, Any]) -> bool:
        if not matches(rule.predicate, event):
            return False
        asked = rule.entry
        if asked is None:
            return True
        since = self._entered.get(asked.after)
        if asked.unless in self._entered or (asked.after and since is None):
            return False
        if since is not None and event["event_at"] - since < timedelta(milliseconds=asked.not_before_ms):
            return False
        self._counted[rule.bit] += 1
        return self._counted[rule.bit] >= asked.at_least
