"""Prometheus Alertmanager, API v2: an alert is posted again and again while it fires, and once at its end.

Labels are the identity of an alert there. So they are the same for all of an episode, but for `severity`,
which people route by: when it rises, the alert with the lower one ends in the same request as the other
begins. With `group_by: [alert_id]` that is one notification.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any, Final

from pipeline.alerts.alert import Alert
from pipeline.alerts.http import Http, post
from pipeline.alerts.notice import Notice, Outcome
from pipeline.alerts.secrets import Secrets
from pipeline.alerts.words import iso
from schemas.alert_routes import SEVERITIES
from schemas.alert_targets import Alertmanager as Settings

PATH: Final = "/api/v2/alerts"
WATCHDOG: Final = "Watchdog"
RESENDS: Final = 3
"""In the time after which an alert that is not sent again ends: two may be lost."""
_NAMES: Final = {"drop": "PathlineDropOff", "silence": "PathlineSilence"}


class AlertmanagerRoute:
    """Posts alerts to an Alertmanager."""

    def __init__(self, settings: Settings, http: Http, secrets: Secrets) -> None:
        self._settings = settings
        self._http = http
        self._secrets = secrets

    @property
    def resend_seconds(self) -> float | None:
        return self._settings.expires_ms / 1000 / RESENDS

    def send(self, notice: Notice) -> Outcome:
        return self._post([*self._alerts(notice)], notice.at)

    def watchdog(self, at: float, until: float) -> Outcome:
        """The alert that always fires, until `until`: that it is missing is the news."""
        labels = {"alertname": WATCHDOG, "service": "pathline", "severity": "none", **self._settings.labels}
        words = {"summary": "Pathline reads alerts and can tell them. When this ends, it cannot."}
        return self._post(
            [{"labels": labels, "annotations": words, "startsAt": iso(at), "endsAt": iso(until)}], at
        )

    def close(self) -> None:
        """There is nothing to let go of."""

    def _alerts(self, notice: Notice) -> Iterator[dict[str, Any]]:
        alert = notice.alert
        told = {one.severity for one in notice.earlier}
        severity = max({alert.severity, *told}, key=SEVERITIES.index)
        over_at = notice.at if alert.resolved_at is None else min(alert.resolved_at, notice.at)
        expires_at = notice.at + self._settings.expires_ms / 1000
        yield self._alert(notice, severity, expires_at if alert.is_firing else over_at)
        for lower in sorted(told - {severity}):
            yield self._alert(notice, lower, over_at)

    def _alert(self, notice: Notice, severity: str, ends_at: float) -> dict[str, Any]:
        alert, message = notice.alert, notice.message
        words = {label.lower().replace(" ", "_"): text for label, text in message.facts}
        out = {
            "labels": self._labels(alert, severity),
            "annotations": {**words, "summary": message.title, "description": message.text},
            "startsAt": iso(alert.started_at),
            "endsAt": iso(max(ends_at, alert.started_at + 1)),
        }
        return out | ({"generatorURL": message.link} if message.link else {})

    def _labels(self, alert: Alert, severity: str) -> dict[str, str]:
        return {
            **self._settings.labels,
            "alertname": _NAMES.get(alert.rule, f"Pathline{alert.rule.title()}"),
            "service": "pathline",
            "alert_id": alert.alert_id,
            "rule": alert.rule,
            "journey": alert.journey,
            "stage": alert.stage,
            "segment": alert.segment or "everybody",
            "severity": severity,
        }

    def _post(self, alerts: list[dict[str, Any]], now: float) -> Outcome:
        url = self._secrets.reveal(self._settings.url).rstrip("/") + PATH
        outcome, _ = post(self._http, url, json.dumps(alerts).encode(), self._login(), now)
        return outcome

    def _login(self) -> dict[str, str]:
        settings = self._settings
        if settings.token is not None:
            return {"Authorization": f"Bearer {self._secrets.reveal(settings.token)}"}
        if settings.username is None or settings.password is None:
            return {}
        pair = f"{settings.username}:{self._secrets.reveal(settings.password)}"
        return {"Authorization": f"Basic {self._secrets.keep(base64.b64encode(pair.encode()).decode())}"}
