"""Who is told of what, and when: pure decisions, so that each is a line in a table of tests.

Three answers: send it, wait (and look again), or skip this version for good. Every answer but the first has
its reason, which the log keeps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from pipeline.alerts.alert import CRITICAL, FIRING, RESOLVED, Alert, parent_of
from pipeline.alerts.deliveries import Snooze
from pipeline.alerts.notice import UPDATE, Told
from pipeline.alerts.words import minutes, moment
from schemas.alert_routes import SEVERITIES, QuietHours, Route
from schemas.alerts import Alerts

Firing = Mapping[tuple[str, str, int, int], list[Alert]]
"""Alerts that fire, by rule and step."""


@dataclass(frozen=True)
class Send:
    """As this kind of notice; `unwell` is what the message says that the pipeline lacks."""

    kind: str
    unwell: str = ""


@dataclass(frozen=True)
class Wait:
    """`is_held`: because the pipeline is unwell, and not because nobody wants to hear of it now."""

    reason: str
    is_held: bool = False


@dataclass(frozen=True)
class Skip:
    reason: str


Decision = Send | Wait | Skip


@dataclass(frozen=True)
class Seen:
    """When an alert was first seen, and since when it waits to be told."""

    first_at: float
    waiting_since: float


@dataclass(frozen=True)
class Situation:
    """What else counts at time `now`: what the pipeline lacks ('' nothing), snoozes, and what fires."""

    now: float
    unwell: str
    snoozes: Sequence[Snooze]
    firing: Firing


def decide(
    alert: Alert, route: Route, told: Sequence[Told], seen: Seen, rules: Alerts, situation: Situation
) -> Decision:
    """About the latest version of an alert; `told` is what the route had of earlier ones."""
    if not alert.is_firing:
        # whoever was called must hear that it is over, at any hour; nobody else needs to
        may_have_it = bool(told) and told[-1].state == FIRING
        return (
            Send(RESOLVED, situation.unwell) if may_have_it else Skip("it was over before it was told here")
        )
    last = next((one for one in reversed(told) if one.is_sure), None)
    if last is not None and last.state != FIRING:
        last = None
    if last is None:
        if reason := unwanted(alert, route, rules):
            return Skip(reason)
        if seen.first_at - alert.detected_at > rules.give_up_ms / 1000:
            return Skip(f"it is of the past: noticed {moment(alert.detected_at)}")
    if reason := _held_back(alert, route, rules, situation):
        return Wait(reason)
    if last is not None:
        return _update(alert, last, rules, situation)
    if situation.unwell and situation.now - seen.waiting_since < rules.hold_ms / 1000:
        until = minutes(rules.hold_ms / 1000)
        return Wait(f"held for up to {until}: pipeline unwell: {situation.unwell}", is_held=True)
    return Send(FIRING, situation.unwell)


def unwanted(alert: Alert, route: Route, rules: Alerts) -> str:
    """Why this route is not for this alert; '' where it is."""
    if alert.rule not in rules.rules:
        return f"the rule {alert.rule} is off"
    if any(alert.matches(one.journey, one.stage, one.segment) for one in rules.ignore):
        return "it is to be ignored"
    if SEVERITIES.index(alert.severity) < SEVERITIES.index(route.least):
        return f"{alert.severity}, and this route is from {route.least} on"
    if alert.verdict not in route.verdicts:
        return f"verdict {alert.verdict}, and this route is for {', '.join(route.verdicts)}"
    return ""


def _held_back(alert: Alert, route: Route, rules: Alerts, situation: Situation) -> str:
    """Why nothing new is said just now; '' where it may be."""
    snooze = next((one for one in situation.snoozes if one.covers(alert)), None)
    if snooze is not None:
        return f"snoozed until {moment(snooze.until)} (snooze {snooze.number})"
    parent = parent_of(alert, situation.firing)
    if parent is not None and not unwanted(parent, route, rules):
        return f"{parent.segment or 'the whole step'} fires: alert {parent.alert_id}"
    until = quiet_until(situation.now, route.quiet)
    if until is not None and alert.severity != CRITICAL:
        return f"quiet hours until {moment(until)}"
    return ""


def _update(alert: Alert, last: Told, rules: Alerts, situation: Situation) -> Decision:
    """What changes what one would do is told at once, other figures now and then."""
    same = (alert.severity, alert.verdict, alert.cause) == (last.severity, last.verdict, last.cause)
    due_at = last.at + rules.update_every_ms / 1000
    if same and situation.now < due_at:
        return Wait(f"only figures are new: not before {moment(due_at)}")
    return Send(UPDATE, situation.unwell)


def quiet_until(now: float, quiet: QuietHours | None) -> float | None:
    """When the quiet hours end that `now` lies in; None where it lies in none."""
    if quiet is None:
        return None
    local = datetime.fromtimestamp(now, ZoneInfo(quiet.timezone))
    minute = local.hour * 60 + local.minute
    overnight = quiet.since_minute > quiet.until_minute
    if overnight:
        is_quiet = minute >= quiet.since_minute or minute < quiet.until_minute
    else:
        is_quiet = quiet.since_minute <= minute < quiet.until_minute
    if not is_quiet:
        return None
    day = local.date() + timedelta(days=int(overnight and minute >= quiet.since_minute))
    hour, rest = divmod(quiet.until_minute, 60)
    return datetime(day.year, day.month, day.day, hour, rest, tzinfo=local.tzinfo).timestamp()


def by_step(alerts: Sequence[Alert]) -> dict[tuple[str, str, int, int], list[Alert]]:
    """Those that fire, as `Situation.firing` has them."""
    out: dict[tuple[str, str, int, int], list[Alert]] = {}
    for alert in alerts:
        if alert.is_firing:
            out.setdefault(alert.step, []).append(alert)
    return out
