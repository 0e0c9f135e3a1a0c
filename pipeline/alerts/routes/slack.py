"""Slack: with a token and a channel an episode is one thread; an incoming webhook only posts.

Slack has no key against doubles: after a crash between sending and writing that down, a message is there
twice. It carries our key as metadata, so that can be seen.
"""

from __future__ import annotations

import json
from typing import Any, Final

from pipeline.alerts.http import Answer, Http, post
from pipeline.alerts.notice import FIRING, RESOLVED, Delivered, Later, Notice, Outcome, Refused
from pipeline.alerts.secrets import Secrets
from schemas.alert_targets import Slack as Settings

POST: Final = "/chat.postMessage"
TEXT_MAX: Final = 3000
"""Characters of a block; Slack refuses longer ones."""
TRANSIENT: Final = (
    "ratelimited", "rate_limited", "service_unavailable", "internal_error", "fatal_error", "request_timeout",
    "team_added_to_org",
)  # fmt: skip
"""Errors of Slack, said with status 200, that pass by themselves."""
_COLOURS: Final = {"info": "#439fe0", "warning": "#daa038", "critical": "#a30200"}
_OVER: Final = "#2eb886"


class SlackRoute:
    """Posts messages; the receipt is the `ts` of the first, which later ones name as their thread."""

    resend_seconds: float | None = None

    def __init__(self, settings: Settings, http: Http, secrets: Secrets) -> None:
        self._settings = settings
        self._http = http
        self._secrets = secrets

    def send(self, notice: Notice) -> Outcome:
        content = _content(notice)
        if self._settings.webhook is not None:
            url = self._secrets.reveal(self._settings.webhook)
            outcome, _ = post(self._http, url, json.dumps(content).encode(), {}, notice.at)
            return outcome
        assert self._settings.token is not None
        content |= {"channel": self._settings.channel, "unfurl_links": False} | _thread(notice)
        content["metadata"] = {"event_type": "pathline_alert", "event_payload": {"key": notice.key}}
        url = self._secrets.reveal(self._settings.url).rstrip("/") + POST
        login = {"Authorization": f"Bearer {self._secrets.reveal(self._settings.token)}"}
        kind = "application/json; charset=utf-8"
        outcome, answer = post(self._http, url, json.dumps(content).encode(), login, notice.at, kind)
        return _judged(answer) if isinstance(outcome, Delivered) and answer else outcome

    def close(self) -> None:
        """There is nothing to let go of."""


def _thread(notice: Notice) -> dict[str, Any]:
    """An update stays in the thread; that it is over, or worse, is seen in the channel as well."""
    if not notice.receipt:
        return {}
    last = notice.earlier[-1]
    is_worse = notice.alert.severity == "critical" and last.severity != "critical"
    is_news = notice.kind in (RESOLVED, FIRING) or is_worse
    return {"thread_ts": notice.receipt} | ({"reply_broadcast": True} if is_news else {})


def _judged(answer: Answer) -> Outcome:
    """Slack answers 200 and says in the body what it thinks."""
    try:
        said = json.loads(answer.body)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        return Later("200 but no JSON: is this Slack?")
    if said.get("ok"):
        return Delivered("ok", str(said.get("ts", "")))
    error = str(said.get("error", "no reason given"))
    return Later(error, may_have_it=False) if error in TRANSIENT else Refused(error)


def _content(notice: Notice) -> dict[str, Any]:
    message = notice.message
    lines = "\n".join(f"*{_escaped(label)}*  {_escaped(text)}" for label, text in message.facts)
    block = {"type": "section", "text": {"type": "mrkdwn", "text": lines[:TEXT_MAX]}}
    head = {"type": "section", "text": {"type": "mrkdwn", "text": f"*{_escaped(message.title)}*"[:TEXT_MAX]}}
    colour = _OVER if notice.kind == RESOLVED else _COLOURS[notice.alert.severity]
    return {
        "text": _escaped(message.title),
        "attachments": [{"color": colour, "fallback": message.title, "blocks": [head, block]}],
    }


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
