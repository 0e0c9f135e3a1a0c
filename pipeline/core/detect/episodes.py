"""An episode: what is wrong with one scope, from the change to its end. It is one thread of messages.

It is told of whenever it has changed: opened, worse or better by much, another cause or verdict, resolved.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from pipeline.core.detect.minutes import Scope

DROP: Final = "drop"
SILENCE: Final = "silence"
FIRING: Final = "firing"
RESOLVED: Final = "resolved"
SEVERITIES: Final = ("info", "warning", "critical")


@dataclass(frozen=True)
class Episode:
    """An episode as it stands. Times are unix minutes; values 1/10,000 of the currency unit.

    Of rule `drop` the rates are those of going on: `low` to `high` is where `observed` would lie 19 times in
    20 with these `entrants`. Of rule `silence` they are entrants per minute, and `entrants` those who came.
    """

    id: str
    rule: str  # drop, silence
    scope: Scope
    state: str  # firing, resolved
    started_at: int  # the first minute of entry that is part of it
    detected_at: int
    resolved_at: int | None
    cause: Scope | None  # the smallest scope that explains it; None: everybody
    verdict: str  # shop, tracking, unsure
    observed: float
    expected: float
    low: float
    high: float
    entrants: int
    lost: float  # who did not go on and was expected to, so far
    lost_low: float
    lost_high: float
    order_rate: float  # orders for each of these, the slower ones who are not among them included
    lost_value_e4: int
    lost_value_low_e4: int
    lost_value_high_e4: int
    severity: str  # info, warning, critical
    smallest: float  # the least relative drop that this rule can see here within 30 min
    mix: float = 0.0  # the share of the loss that comes from other people, not from another rate
    mix_dimension: str = ""  # by which they are others
    unaffected: tuple[Scope, ...] = ()  # large segments in which it is not
    reason: str = ""
    changes: int = 1  # how often it has been told of: a version


@dataclass
class Open:
    """What the detector keeps of an episode that is firing, or has been until a moment ago."""

    id: str
    rule: str
    row: int
    step: int
    test: int  # which of DROPS called it
    started_at: int
    detected_at: int
    resolved_at: int = -1
    settled: float = 0.0  # for silence: entered
    went_on: float = 0.0
    expected: float = 0.0
    back: float = 0.0  # CUSUM of the recovery
    back_since: int = -1
    smallest: float = 1.0
    skipped: float = 0.0
    changes: int = 0
    told_lost: float = 0.0
    absorbed: list[int] = field(default_factory=list)  # other steps whose alarms are part of this one
    told: list[str] = field(default_factory=list)  # severity, cause, verdict as last told

    def dump(self) -> dict[str, Any]:
        return asdict(self)


def identify(scope: Scope, rule: str, started_at: int) -> str:
    """The same episode has the same id wherever and whenever it is found: 128 bits as hex."""
    parts = [scope.journey, str(scope.version), str(scope.rank), scope.stage, rule, str(started_at)]
    for dimension, value in scope.segment:
        parts += [dimension, value]
    text = "".join(f"{len(part.encode())}:{part}" for part in parts)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
