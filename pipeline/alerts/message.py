"""An alert in words: the same facts for whoever reads it on a telephone at night, and for a program.

Pure: the same alert at the same time makes the same message.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

from pipeline.alerts.alert import Alert
from pipeline.alerts.words import iso, minutes, moment, money, number, percent, place, scope

SCHEMA: Final = "pathline.alert/1"
UNWELL: Final = "pipeline unwell"

_NAMES: Final = {"drop": "Drop-off", "silence": "Silence"}
_VERDICTS: Final = {
    "shop": "the shop: people are missing, and do not turn up later in the journey either",
    "tracking": "tracking: people turn up later in the journey, so events of this step are missing",
    "unsure": "not clear: some of those who are missing turn up later in the journey",
}
_TO_DO: Final = {
    "shop": "Go through this step yourself as these customers do; then see what was deployed or changed "
    "since {since}: shop, payment provider, prices, stock, third parties.",
    "tracking": "The shop probably works: look at tags, consent, releases and the collector since {since}. "
    "Figures of this step are too low until its events come again.",
    "unsure": "Go through this step yourself first; if it works, see whether its events arrive.",
}


@dataclass(frozen=True)
class Style:
    """What a definition of alerts says about messages."""

    currency: str = ""
    link: str | None = None
    runbook: str | None = None


@dataclass(frozen=True)
class Message:
    """`subject` is the same for all of an episode, `title` says how it stands. `facts` are (label, text)."""

    title: str
    subject: str
    facts: tuple[tuple[str, str], ...]
    link: str | None
    runbook: str | None
    data: Mapping[str, Any] = field(repr=False)

    @property
    def text(self) -> str:
        """Plain text, facts aligned."""
        width = max(len(label) for label, _ in self.facts)
        return "\n".join([self.title, "", *(f"{label:<{width}}  {text}" for label, text in self.facts)])


def compose(alert: Alert, at: float, style: Style, unwell: str = "", is_test: bool = False) -> Message:
    """The message on an alert as it is known at time `at`; `unwell` is what the pipeline lacks meanwhile."""
    until = alert.resolved_at if alert.resolved_at is not None else max(at, alert.detected_at)
    lasted = max(60.0, until - alert.started_at)
    title = ("Test, nothing happened: " if is_test else "") + _title(alert, lasted)
    subject = f"[Pathline] {_NAMES.get(alert.rule, alert.rule)} at {place(alert)}"
    link = _link(style.link, alert)
    facts = [("Severity", alert.severity), ("When", _when(alert, lasted)), ("What", _what(alert))]
    facts += [("Lost", _lost(alert, lasted, style.currency))]
    facts += [("Because of", _cause(alert))]
    if alert.unaffected:
        facts.append(("Not affected", ", ".join(alert.unaffected)))
    facts.append(("Shop or tracking", _VERDICTS.get(alert.verdict, alert.verdict)))
    if unwell:
        facts.append(("Beware", f"{UNWELL}: {unwell}. What is missing may only be late."))
    if alert.smallest_drop > 0:
        facts.append(("Smallest seen", f"a drop of {percent(alert.smallest_drop)}, within 30 min"))
    if alert.is_firing:
        to_do = _TO_DO.get(alert.verdict, _TO_DO["unsure"]).format(since=moment(alert.started_at))
        facts.append(("To do", to_do))
    facts += [("Runbook", style.runbook)] if style.runbook and alert.is_firing else []
    facts += [("More", link)] if link else []
    data = _data(alert, lasted, style, title, link, unwell, is_test)
    return Message(title, subject, tuple(facts), link, style.runbook, data)


def _title(alert: Alert, lasted: float) -> str:
    name = f"{_NAMES.get(alert.rule, alert.rule)} at {place(alert)}"
    if not alert.is_firing:
        lost = f", {number(alert.lost_orders)} orders lost" if alert.lost_orders else ""
        return f"Resolved: {name} ({minutes(lasted)}{lost})"
    return f"{name}: {_short(alert)}"


def _short(alert: Alert) -> str:
    """Observed against expected, in half a line. Of nobody there is no rate."""
    if alert.rule == "drop":
        if not alert.entrants:
            return f"nobody came, {percent(alert.expected)} go on as a rule"
        return f"{_went_on(alert)} instead of {percent(alert.expected)}"
    if alert.rule == "silence":
        came = f"{number(alert.observed)} enter a minute" if alert.observed > 0 else "nobody enters"
        return f"{came}, {number(alert.expected)} a minute are usual"
    return alert.reason


def _went_on(alert: Alert) -> str:
    return f"{percent(alert.observed)} go on" if alert.observed > 0 else "nobody goes on"


def _when(alert: Alert, lasted: float) -> str:
    since = f"since {moment(alert.started_at)}"
    if alert.resolved_at is None:
        return f"{since} ({minutes(lasted)}), noticed {moment(alert.detected_at)}"
    return f"{since} until {moment(alert.resolved_at)} ({minutes(lasted)})"


def _what(alert: Alert) -> str:
    if alert.rule == "drop" and not alert.entrants:
        return f"nobody entered in this time, so there is no rate; {percent(alert.expected)} go on as a rule"
    if alert.rule == "drop":
        went = round(alert.observed * alert.entrants)
        band = f"{percent(alert.low)} to {percent(alert.high)}"
        return (
            f"{went:,} of {alert.entrants:,} who entered went on ({percent(alert.observed)}); expected "
            f"{percent(alert.expected)}, and {band} by chance"
        )
    if alert.rule == "silence":
        came = f"{number(alert.observed)} entered a minute, {alert.entrants:,} in all"
        if not alert.entrants:
            came = "nobody entered"
        return (
            f"{came}; expected {number(alert.expected)} a minute, and "
            f"{number(alert.low)} to {number(alert.high)} by chance"
        )
    return f"{alert.reason} ({alert.entrants:,} entrants)"


def _lost(alert: Alert, lasted: float, currency: str) -> str:
    span = lasted / 60
    orders = _interval(alert.lost_orders, alert.lost_orders_low, alert.lost_orders_high, "orders")
    text = f"{orders}, {number(alert.lost_orders / span)} a minute"
    if alert.lost_value <= 0:
        return f"{text}; their value is not known"
    value = _interval(alert.lost_value, alert.lost_value_low, alert.lost_value_high, currency)
    return f"{text}; {value} in value, {money(alert.lost_value / span, currency)} a minute"


def _interval(value: float, low: float, high: float, unit: str) -> str:
    return f"{money(value, unit)} ({number(low)} to {number(high)})"


def _cause(alert: Alert) -> str:
    text = scope(alert.cause)
    if alert.mix >= 0.5 and alert.mix_dimension:
        text += f"; {percent(alert.mix)} of it is another mix of {alert.mix_dimension}, not worse rates"
    return text


def _link(template: str | None, alert: Alert) -> str | None:
    if template is None:
        return None
    for name in ("alert_id", "journey", "stage"):
        template = template.replace(f"{{{name}}}", quote(str(getattr(alert, name)), safe=""))
    return template


def _data(
    alert: Alert, lasted: float, style: Style, title: str, link: str | None, unwell: str, is_test: bool
) -> dict[str, Any]:
    """For programs: a field may be added at any time, its meaning changes only with the schema."""
    span = lasted / 60
    no_rate = alert.rule == "drop" and not alert.entrants
    return {
        "schema": SCHEMA,
        "alert_id": alert.alert_id,
        "version": alert.version,
        "state": alert.state,
        "title": title,
        "severity": alert.severity,
        "verdict": alert.verdict,
        "rule": alert.rule,
        "journey": alert.journey,
        "journey_version": alert.journey_version,
        "rank": alert.rank,
        "stage": alert.stage,
        "segment": alert.segment,
        "started_at": iso(alert.started_at),
        "detected_at": iso(alert.detected_at),
        "resolved_at": None if alert.resolved_at is None else iso(alert.resolved_at),
        "observed": None if no_rate else alert.observed,
        "expected": alert.expected,
        "low": alert.low,
        "high": alert.high,
        "entrants": alert.entrants,
        "lost_orders": _figures(alert.lost_orders, alert.lost_orders_low, alert.lost_orders_high, span),
        "lost_value": _figures(alert.lost_value, alert.lost_value_low, alert.lost_value_high, span)
        | {"currency": style.currency or None},
        "cause": alert.cause,
        "mix": alert.mix,
        "mix_dimension": alert.mix_dimension,
        "unaffected": list(alert.unaffected),
        "smallest_drop": alert.smallest_drop,
        "reason": alert.reason,
        "unwell": unwell or None,
        "is_test": is_test,
        "link": link,
        "runbook": style.runbook,
    }


def _figures(value: float, low: float, high: float, span: float) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, "a_minute": round(value / span, 4)}
