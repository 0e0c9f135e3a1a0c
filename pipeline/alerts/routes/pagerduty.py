"""PagerDuty, Events API v2: an episode is one incident, by its `dedup_key`."""

from __future__ import annotations

import json
from typing import Any, Final

from pipeline.alerts.http import Http, post
from pipeline.alerts.notice import RESOLVED, Notice, Outcome
from pipeline.alerts.secrets import Secrets
from pipeline.alerts.words import iso, place
from schemas.alert_targets import PagerDuty as Settings

PATH: Final = "/v2/enqueue"
SUMMARY_MAX: Final = 1024
"""PagerDuty refuses what is longer."""
_SEVERITIES: Final = {"info": "info", "warning": "warning", "critical": "critical"}


class PagerDutyRoute:
    """Triggers an incident, tells it what is new, resolves it."""

    resend_seconds: float | None = None

    def __init__(self, settings: Settings, http: Http, secrets: Secrets) -> None:
        self._settings = settings
        self._http = http
        self._secrets = secrets

    def send(self, notice: Notice) -> Outcome:
        url = self._secrets.reveal(self._settings.url).rstrip("/") + PATH
        body = json.dumps(self._event(notice)).encode()
        outcome, _ = post(self._http, url, body, {}, notice.at)
        return outcome

    def close(self) -> None:
        """There is nothing to let go of."""

    def _event(self, notice: Notice) -> dict[str, Any]:
        event: dict[str, Any] = {
            "routing_key": self._secrets.reveal(self._settings.routing_key),
            "event_action": "resolve" if notice.kind == RESOLVED else "trigger",
            "dedup_key": notice.thread,
        }
        alert, message = notice.alert, notice.message
        payload = {
            "summary": message.title[:SUMMARY_MAX],
            "source": "pathline",
            "severity": _SEVERITIES[alert.severity],
            "timestamp": iso(alert.started_at),
            "component": place(alert),
            "group": alert.journey,
            "class": alert.rule,
            "custom_details": {**dict(message.facts), "data": dict(message.data), "key": notice.key},
        }
        links = [("More", message.link), ("Runbook", message.runbook)]
        return event | {
            "payload": payload,
            "client": "Pathline",
            "links": [{"href": href, "text": text} for text, href in links if href],
        }
