"""Who is told of what, and when: a line for each case."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from pipeline.alerts.alert import Alert
from pipeline.alerts.deliveries import Snooze
from pipeline.alerts.notice import Told
from pipeline.alerts.policy import Decision, Seen, Send, Situation, Skip, Wait, by_step, decide, quiet_until
from schemas.alert_routes import QuietHours, Route
from schemas.alerts import Alerts, Ignored
from tests.alerts.made import ALERT, HOUR, MINUTE, T0, alert, over, route

RULES = Alerts("test", hold_ms=900_000, update_every_ms=600_000, give_up_ms=24 * 3_600_000)
FIRED = Told(1, "firing", "critical", "shop", "", "", T0, is_sure=True)
ENDED = Told(2, "resolved", "critical", "shop", "", "", T0 + MINUTE, is_sure=True)
TRIED = replace(FIRED, is_sure=False)
NIGHT = QuietHours(22 * 60, 7 * 60, "UTC")
MOBILE = alert(alert_id="0b" * 16, segment="device=mobile")


def decided(
    one: Alert = ALERT,
    to: Route | None = None,
    told: tuple[Told, ...] = (),
    rules: Alerts = RULES,
    now: float = T0,
    unwell: str = "",
    snoozes: tuple[Snooze, ...] = (),
    beside: tuple[Alert, ...] = (),
    seen: Seen | None = None,
) -> Decision:
    situation = Situation(now, unwell, snoozes, by_step([one, *beside]))
    return decide(one, to or route(), told, seen or Seen(now, now), rules, situation)


def snooze(until: float = T0 + HOUR, **what: str | None) -> tuple[Snooze, ...]:
    named = {"alert_id": None, "journey": None, "stage": None, "segment": None} | what
    return (Snooze(3, until=until, note="", **named),)


NEW, NEWS, OVER = Send("firing"), Send("update"), Send("resolved")


@pytest.mark.parametrize(
    ("severity", "least", "passes"),
    [
        ("info", "info", True), ("info", "warning", False), ("warning", "warning", True),
        ("warning", "critical", False), ("critical", "critical", True), ("critical", "info", True),
    ],
)  # fmt: skip
def test_from_which_severity_on(severity: str, least: str, passes: bool) -> None:
    found = decided(alert(severity=severity), route(least=least))
    assert found == (NEW if passes else Skip(f"{severity}, and this route is from {least} on"))


def test_verdicts_rules_and_what_is_ignored() -> None:
    assert decided(to=route(verdicts=("tracking",))) == Skip("verdict shop, and this route is for tracking")
    assert decided(rules=Alerts("x", rules=("silence",))) == Skip("the rule drop is off")
    for ignored, passes in [
        (Ignored("checkout", None, None), False),
        (Ignored("checkout", "payment", None), False),
        (Ignored("checkout", "cart", None), True),
        (Ignored(None, None, "device=mobile"), True),
    ]:
        expected = NEW if passes else Skip("it is to be ignored")
        assert decided(rules=Alerts("x", ignore=(ignored,))) == expected, ignored
    pair = alert(segment="country=de, device=mobile")
    assert decided(pair, rules=Alerts("x", ignore=(Ignored(None, None, "device=mobile"),))) == Skip(
        "it is to be ignored"
    )


def test_the_end_goes_to_whoever_had_the_beginning_whatever_holds_news_back() -> None:
    resolved = over(ALERT, T0 + HOUR)
    held = {"unwell": "lag", "snoozes": snooze(stage="payment"), "now": T0 + 13 * HOUR}
    quiet = route(quiet=NIGHT, least="critical", verdicts=("tracking",))
    assert decided(resolved, quiet, (FIRED,), **held) == Send("resolved", "lag")
    assert decided(resolved) == Skip("it was over before it was told here")
    assert decided(resolved, told=(FIRED, ENDED)) == Skip("it was over before it was told here")


def test_who_only_may_have_had_it_is_told_as_if_not_but_hears_the_end() -> None:
    figures = alert(version=2, lost_orders=900.0)
    assert decided(figures, told=(TRIED,)) == NEW
    assert decided(figures, told=(TRIED,), unwell="lag") == Wait(
        "held for up to 15 min: pipeline unwell: lag", is_held=True
    )
    assert decided(over(ALERT, T0), told=(TRIED,)) == OVER
    assert decided(figures, told=(FIRED, ENDED, replace(TRIED, version=3))) == NEW


def test_it_falls_again_in_the_same_episode() -> None:
    assert decided(alert(version=3), told=(FIRED, ENDED)) == NEW


def test_of_the_past() -> None:
    long_ago = alert(detected_at=T0 - 25 * HOUR)
    assert isinstance(decided(long_ago), Skip)
    known_then = Seen(T0 - 25 * HOUR, T0)
    assert decided(long_ago, seen=known_then) == NEW, (
        "it was known in time, and only now this route's concern"
    )
    assert decided(alert(detected_at=T0 - 25 * HOUR, severity="info"), told=(FIRED,)) == NEWS


def test_only_critical_alerts_pass_in_quiet_hours() -> None:
    night = T0 + 13 * HOUR  # 23:00
    quiet = route(quiet=NIGHT)
    assert decided(to=quiet, now=night) == NEW
    assert decided(alert(severity="warning"), quiet, now=night) == Wait(
        "quiet hours until 2026-11-26 07:00 UTC"
    )
    assert decided(alert(severity="warning"), quiet, now=T0) == NEW


@pytest.mark.parametrize(
    ("what", "held"),
    [
        ({"alert_id": ALERT.alert_id}, True), ({"alert_id": "ff" * 16}, False),
        ({"journey": "checkout"}, True), ({"journey": "checkout", "stage": "cart"}, False),
        ({"stage": "payment"}, True), ({"segment": "device=mobile"}, False),
    ],
)  # fmt: skip
def test_snoozes(what: dict[str, str], held: bool) -> None:
    expected = Wait("snoozed until 2026-11-25 11:00 UTC (snooze 3)") if held else NEW
    assert decided(snoozes=snooze(**what)) == expected
    later = alert(version=2, severity="critical")
    assert isinstance(decided(later, told=(FIRED,), now=T0 + HOUR, snoozes=snooze(**what)), Wait) == held


def test_a_segment_is_not_told_while_its_step_is() -> None:
    whole = f"the whole step fires: alert {ALERT.alert_id}"
    assert decided(MOBILE, beside=(ALERT,)) == Wait(whole)
    assert decided(MOBILE, beside=(alert(rule="silence"),)) == NEW, "another rule"
    assert decided(MOBILE, beside=(alert(rank=3, stage="cart"),)) == NEW, "another step"
    assert decided(MOBILE, beside=(over(ALERT, T0),)) == NEW, "that is over"
    assert decided(MOBILE, route(verdicts=("shop",)), beside=(alert(verdict="tracking"),)) == NEW, (
        "the step is not told here"
    )
    assert decided(ALERT, beside=(MOBILE,)) == NEW, "the parent itself"
    pair = alert(alert_id="0c" * 16, segment="country=de, device=mobile")
    assert decided(pair, beside=(MOBILE,)) == Wait(f"device=mobile fires: alert {MOBILE.alert_id}")


def test_while_the_pipeline_is_unwell_new_alerts_wait_but_not_for_ever() -> None:
    held = Wait("held for up to 15 min: pipeline unwell: lag", is_held=True)
    assert decided(unwell="lag") == held
    assert decided(unwell="lag", now=T0 + 14 * MINUTE, seen=Seen(T0, T0)) == held
    assert decided(unwell="lag", now=T0 + 15 * MINUTE, seen=Seen(T0, T0)) == Send("firing", "lag")
    worse = alert(version=2, verdict="unsure")
    assert decided(worse, told=(FIRED,), unwell="lag") == Send("update", "lag"), "who knows hears the rest"


def test_updates() -> None:
    figures = alert(version=2, lost_orders=900.0)
    early, late = T0 + 9 * MINUTE, T0 + 10 * MINUTE
    assert decided(figures, told=(FIRED,), now=early) == Wait(
        "only figures are new: not before 2026-11-25 10:10 UTC"
    )
    assert decided(figures, told=(FIRED,), now=late) == NEWS
    for change in ({"severity": "warning"}, {"verdict": "tracking"}, {"cause": "device=mobile"}):
        assert decided(alert(version=2, **change), told=(FIRED,), now=T0 + 5) == NEWS, change
    assert decided(alert(version=2, severity="info"), route(least="critical"), (FIRED,), now=T0 + 5) == NEWS


@pytest.mark.parametrize(
    ("clock", "quiet", "until"),
    [
        ("2026-11-25T21:59", NIGHT, None),
        ("2026-11-25T22:00", NIGHT, "2026-11-26T07:00"),
        ("2026-11-26T06:59", NIGHT, "2026-11-26T07:00"),
        ("2026-11-26T07:00", NIGHT, None),
        ("2026-11-26T12:30", QuietHours(12 * 60, 13 * 60, "UTC"), "2026-11-26T13:00"),
        ("2026-11-26T13:00", QuietHours(12 * 60, 13 * 60, "UTC"), None),
        # the night on which clocks in Berlin go forward: 7:00 there is 5:00 UTC, not 6:00
        ("2026-03-28T22:30", QuietHours(22 * 60, 7 * 60, "Europe/Berlin"), "2026-03-29T05:00"),
    ],
)
def test_quiet_hours(clock: str, quiet: QuietHours, until: str | None) -> None:
    def seconds(text: str) -> float:
        return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()

    assert quiet_until(seconds(clock), quiet) == (seconds(until) if until else None)
