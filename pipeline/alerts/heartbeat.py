"""A sign of life for a dead-man switch: it stops when the pipeline is unwell or alerts cannot be read.

Silence alone is no good news: nobody may be called because all is well, or because nothing works.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from pipeline.alerts.deliveries import Deliveries
from pipeline.alerts.http import Http, NotReached, judge, shortened
from pipeline.alerts.meter import Meter, Unmetered
from pipeline.alerts.notice import Delivered, Outcome, Refused
from pipeline.alerts.secrets import SecretMissing, Secrets

MISSED: Final = 3
"""So many beats may be missing before an Alertmanager takes it for the end."""
SENT, FAILED, WITHHELD = "sent", "failed", "withheld"

Send = Callable[[float], Outcome]
"""Sends one sign of life at a time."""


@dataclass
class Heart:
    """Beats every `every_seconds` by `send`, or is still and says why."""

    every_seconds: float
    send: Send
    log: Deliveries
    secrets: Secrets
    tell: Any
    meter: Meter = field(default_factory=Unmetered)
    _next_at: float = field(default=0.0, init=False)
    _last: str = field(default="", init=False)

    def due(self, now: float, why_not: str) -> Callable[[], None] | None:
        """What is to be done now, in a thread of its own; None where it is not time yet."""
        if now < self._next_at:
            return None
        self._next_at = now + self.every_seconds
        return lambda: self._beat(now, why_not)

    def _beat(self, now: float, why_not: str) -> None:
        outcome, reason = (WITHHELD, why_not) if why_not else self._sent(now)
        reason = shortened(self.secrets.mask(reason))
        self.log.beat(now, outcome, reason)
        if outcome == SENT:
            self.meter.beat(now)
        if outcome != self._last and not (self._last == "" and outcome == SENT):
            level = self.tell.info if outcome == SENT else self.tell.warning
            level("heartbeat", outcome=outcome, reason=reason)
        self._last = outcome

    def _sent(self, now: float) -> tuple[str, str]:
        try:
            outcome = self.send(now)
        except SecretMissing as error:
            return FAILED, str(error)
        match outcome:
            case Delivered(answer):
                return SENT, answer
            case Refused(reason):
                return FAILED, reason
            case _:
                return FAILED, outcome.reason


def by_url(url: Callable[[], str], http: Http) -> Send:
    """A GET, as dead-man switches want it."""

    def send(now: float) -> Outcome:
        try:
            return judge(http.request("GET", url()), now)
        except NotReached as error:
            return Refused(error.reason)

    return send
