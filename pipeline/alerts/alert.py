"""A row of `bi.alerts`: one version of one episode, as the flow wrote it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

FIRING: Final = "firing"
RESOLVED: Final = "resolved"
CRITICAL: Final = "critical"
_AND: Final = re.compile(r"\s*[,&]\s*")


@dataclass(frozen=True)
class Alert:
    """Times are unix seconds, money is in currency units.

    `observed`, `expected`, `low` and `high` are shares of going on by the rule drop, entrants a minute by the
    rule silence.
    """

    alert_id: str
    version: int
    rule: str
    journey: str
    journey_version: int
    rank: int
    stage: str
    segment: str
    state: str
    started_at: float
    detected_at: float
    resolved_at: float | None
    observed: float
    expected: float
    low: float
    high: float
    entrants: int
    lost_orders: float
    lost_orders_low: float
    lost_orders_high: float
    lost_value: float
    lost_value_low: float
    lost_value_high: float
    cause: str
    mix: float
    mix_dimension: str
    unaffected: tuple[str, ...]
    verdict: str
    severity: str
    smallest_drop: float
    reason: str

    @property
    def is_firing(self) -> bool:
        return self.state == FIRING

    @property
    def step(self) -> tuple[str, str, int, int]:
        """What an alert of a segment has in common with that of the whole step."""
        return self.rule, self.journey, self.journey_version, self.rank

    @property
    def parts(self) -> frozenset[str]:
        """Of the segment: `device=mobile, country=de` has two, everybody none."""
        return frozenset(_AND.split(self.segment)) if self.segment else frozenset()

    def matches(self, journey: str | None, stage: str | None, segment: str | None) -> bool:
        """Whether it is one of these; None is any. A segment is met by whatever is narrower, too."""
        return (
            (journey is None or journey == self.journey)
            and (stage is None or stage == self.stage)
            and (segment is None or set(_AND.split(segment)) <= self.parts)
        )


COLUMNS: Final = tuple(Alert.__dataclass_fields__)


def from_row(row: Mapping[str, Any]) -> Alert:
    """The alert in a row of the view, whose times are datetimes."""
    values = {name: row[name] for name in COLUMNS}
    for name in ("started_at", "detected_at", "resolved_at"):
        values[name] = _seconds(values[name])
    values["unaffected"] = tuple(values["unaffected"] or ())
    return Alert(**values)


def _seconds(moment: datetime | None) -> float | None:
    if moment is None:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def parent_of(alert: Alert, firing: Mapping[tuple[str, str, int, int], list[Alert]]) -> Alert | None:
    """The widest alert that fires for the same step and rule, and includes this one; None where none does."""
    wider = [one for one in firing.get(alert.step, ()) if one.parts < alert.parts]
    return min(wider, key=lambda one: (len(one.parts), one.alert_id), default=None)
