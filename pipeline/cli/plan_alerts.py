"""Two definitions of a journey over the same records: which alerts would have differed.

The flow has detected under each as if it ran alone, with the budget of false pages for itself; what it called
are rows of `bi.alerts`. Here the episodes of both are matched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pipeline.alerts.alert import Alert, from_row
from pipeline.alerts.words import minutes, number, scope
from pipeline.cli.plan_compare import Pair, read_sql
from pipeline.core.detect import Detector, Episode, Minute, Scope
from pipeline.core.detect import Settings as Detection
from schemas.alerts import RULES, Alerts
from schemas.journeys import Journey
from sinks.clickhouse.query import Reader

HOUR_MINUTES: Final = 60
MINUTE: Final = 60.0
"""In seconds, as are the times of alerts."""
TOGETHER_SECONDS: Final = Detection().together_minutes * MINUTE
"""Drops that begin so close to each other are one episode to the detector, at whatever stage."""
NOTABLE_SECONDS: Final = 10 * MINUTE
"""Begins and calls that are further apart differ notably."""
NOTABLE_SHARE: Final = 0.25
"""Of the larger loss, and at least one order: losses that are further apart differ notably."""


Since = dict[tuple[str, Scope], int]
"""The first unix minute in which a rule could have called something of a whole step."""
Watched = dict[tuple[str, str], int]
"""The same of one definition, by rule and stage; what is not in it was never watched."""


class Rehearsed:
    """Makes the detectors of a plan, and notes from when each stage of each version is watched."""

    def __init__(self) -> None:
        self.since: Since = {}

    def __call__(self, settings: Detection) -> Detector:
        return _Noting(settings, self.since)

    def of(self, journey: Journey) -> Watched:
        """What was watched under a definition."""
        mine = (journey.name, journey.version)
        return {
            (rule, one.stage): at
            for (rule, one), at in self.since.items()
            if (one.journey, one.version) == mine
        }


class _Noting(Detector):
    def __init__(self, settings: Detection, since: Since) -> None:
        super().__init__(settings)
        self._since = since

    def apply(self, minute: Minute) -> list[Episode]:
        changed = super().apply(minute)
        if minute.at % HOUR_MINUTES == 0:  # when an hour begins it is chosen what is tested
            for rule in RULES:
                for one in self.watched(rule):
                    self._since.setdefault((rule, one), minute.at)
        return changed


@dataclass(frozen=True)
class Difference:
    """An episode that is another under the new definition, or that only one of the two calls."""

    old: Alert | None
    new: Alert | None
    changes: tuple[str, ...] = ()

    @property
    def known(self) -> Alert:
        """As the new definition tells it, where it does."""
        found = self.new or self.old
        assert found is not None
        return found

    @property
    def cost(self) -> tuple[float, float]:
        """Value and orders lost, the more of both definitions."""
        sides = [one for one in (self.old, self.new) if one is not None]
        return max(one.lost_value for one in sides), max(one.lost_orders for one in sides)


@dataclass(frozen=True)
class AlertsCompared:
    """Which alerts differ, the most costly first, and what could have been called at all."""

    differences: tuple[Difference, ...]
    same: int
    ignored: tuple[int, int]
    """Alerts under each that nobody would have been told of, because the definition of alerts says so."""
    watched: tuple[Watched, Watched]
    seconds: int
    """How long the records are."""
    history_minutes: int
    """So much must be learnt of a stage before anything is called."""

    @property
    def is_watched(self) -> bool:
        """Whether anything could have been called under either."""
        return any(self.watched)


def compare_alerts(reader: Reader, pair: Pair, rehearsed: Rehearsed, rules: Alerts) -> AlertsCompared:
    """Asks a database in which both have run."""
    parameters = pair.parameters
    found = [from_row(row) for row in reader.query(read_sql("alerts"), parameters).to_pylist()]
    (span,) = reader.query(read_sql("span"), parameters).to_pylist()
    told = [one for one in found if not _is_ignored(one, rules)]
    old, new = (_of(told, journey) for journey in pair.journeys)
    differences, same = differing(old, new, pair.stages.renamed)
    before, after = (_of(found, journey) for journey in pair.journeys)
    return AlertsCompared(
        differences,
        same,
        (len(before) - len(old), len(after) - len(new)),
        (rehearsed.of(pair.old), rehearsed.of(pair.new)),
        span["seconds"],
        rules.history_ms // 60_000,
    )


def differing(
    old: Sequence[Alert], new: Sequence[Alert], renamed: dict[str, str]
) -> tuple[tuple[Difference, ...], int]:
    """What differs, and how many are the same in both."""
    pairs = _matched(old, new, renamed)
    both = [Difference(one, other, tuple(_changes(one, other, renamed))) for one, other in pairs]
    matched = {one.alert_id for pair in pairs for one in pair}
    out = [one for one in both if one.changes]
    out += [Difference(one, None) for one in old if one.alert_id not in matched]
    out += [Difference(None, one) for one in new if one.alert_id not in matched]
    out.sort(key=lambda one: (*(-lost for lost in one.cost), one.known.started_at, one.known.alert_id))
    return tuple(out), len(both) - len([one for one in both if one.changes])


@dataclass
class _Left:
    """Episodes that have not been matched yet."""

    old: list[Alert]
    new: list[Alert]
    pairs: list[tuple[Alert, Alert]] = field(default_factory=list)

    def match(self, fits: Callable[[Alert, Alert], bool]) -> None:
        """Takes out those that fit, first those that begin closest together."""
        found = [(one, other) for one in self.old for other in self.new if fits(one, other)]
        found.sort(key=lambda two: (_apart(*two), two[0].started_at, two[0].alert_id, two[1].alert_id))
        for one, other in found:
            if one in self.old and other in self.new:
                self.old.remove(one)
                self.new.remove(other)
                self.pairs.append((one, other))


def _matched(
    old: Sequence[Alert], new: Sequence[Alert], renamed: dict[str, str]
) -> list[tuple[Alert, Alert]]:
    """What is one trouble in both: of one stage and rule at one time, or else what begins together."""

    def alike(one: Alert, other: Alert) -> bool:
        same = one.rule == other.rule and renamed.get(one.stage, one.stage) == other.stage
        return same and (_apart(one, other) <= TOGETHER_SECONDS or _overlap(one, other))

    left = _Left([*old], [*new])
    left.match(alike)
    left.match(lambda one, other: _apart(one, other) <= TOGETHER_SECONDS)
    return left.pairs


def _apart(one: Alert, other: Alert) -> float:
    return abs(one.started_at - other.started_at)


def _overlap(one: Alert, other: Alert) -> bool:
    ends = [alert.resolved_at or float("inf") for alert in (one, other)]
    return one.started_at < ends[1] and other.started_at < ends[0]


def _changes(old: Alert, new: Alert, renamed: dict[str, str]) -> Iterator[str]:
    """What is notably other, in words."""
    words = {
        "stage": (renamed.get(old.stage, old.stage), new.stage),
        "rule": (old.rule, new.rule),
        "found in": (scope(old.segment), scope(new.segment)),
        "cause": (scope(old.cause), scope(new.cause)),
        "severity": (old.severity, new.severity),
        "verdict": (old.verdict, new.verdict),
    }
    yield from (f"{what} {was} → {is_}" for what, (was, is_) in words.items() if was != is_)
    yield from _shifted("begins", new.started_at - old.started_at)
    yield from _shifted("called", new.detected_at - old.detected_at)
    further = abs(new.lost_orders - old.lost_orders)
    if further >= max(1.0, NOTABLE_SHARE * max(new.lost_orders, old.lost_orders)):
        yield f"lost orders {number(old.lost_orders)} → {number(new.lost_orders)}"


def _shifted(what: str, seconds: float) -> Iterator[str]:
    if abs(seconds) > NOTABLE_SECONDS:
        yield f"{what} {minutes(abs(seconds))} {'later' if seconds > 0 else 'earlier'}"


def _is_ignored(alert: Alert, rules: Alerts) -> bool:
    return any(alert.matches(one.journey, one.stage, one.segment) for one in rules.ignore)


def _of(alerts: Sequence[Alert], journey: Journey) -> list[Alert]:
    mine: tuple[Any, ...] = (journey.name, journey.version)
    return [one for one in alerts if (one.journey, one.journey_version) == mine]
