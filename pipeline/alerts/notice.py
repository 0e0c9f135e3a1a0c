"""What is handed to a route, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from pipeline.alerts.alert import FIRING, RESOLVED, Alert
from pipeline.alerts.message import Message

UPDATE: Final = "update"
ANSWER_MAX: Final = 300
"""Characters of a receiver's answer that are kept."""

__all__ = [
    "FIRING",
    "RESOLVED",
    "UPDATE",
    "Delivered",
    "Later",
    "Notice",
    "Outcome",
    "Refused",
    "Told",
    "Transport",
]


@dataclass(frozen=True)
class Told:
    """What a route has had of an alert before, or may have had: without an answer it is not `is_sure`.
    `receipt` is what the receiver calls it.
    """

    version: int
    state: str
    severity: str
    verdict: str
    cause: str
    receipt: str
    at: float
    is_sure: bool


@dataclass(frozen=True)
class Notice:
    """One message about one version of an alert, to one route.

    `key` is the same whenever this is sent: a receiver that keeps keys has each notice once.
    """

    alert: Alert
    message: Message
    kind: str  # firing, update or resolved
    key: str
    route: str
    earlier: tuple[Told, ...]
    at: float

    @property
    def thread(self) -> str:
        """The same for all of an episode on this route."""
        return f"{self.alert.alert_id}.{self.route}"

    @property
    def receipt(self) -> str:
        """What the receiver called the first message of the episode; '' where it has no word for it."""
        return next((told.receipt for told in self.earlier if told.receipt), "")


def key_of(alert_id: str, version: int, route: str) -> str:
    """The idempotency key of a notice."""
    return f"{alert_id}.{version}.{route}"


@dataclass(frozen=True)
class Delivered:
    """The receiver has taken it."""

    answer: str
    receipt: str = ""


@dataclass(frozen=True)
class Later:
    """It may do better later. `may_have_it`: perhaps it was taken, and only the answer is missing."""

    reason: str
    after_seconds: float | None = None
    may_have_it: bool = True


@dataclass(frozen=True)
class Refused:
    """The same would be refused again: somebody must mend something first."""

    reason: str


Outcome = Delivered | Later | Refused


class Transport(Protocol):
    """A way to a receiver. One thread at a time; raises nothing that is not a fault in our code."""

    @property
    def resend_seconds(self) -> float | None:
        """So often the receiver wants to hear that an alert still fires; None where once is enough."""

    def send(self, notice: Notice) -> Outcome:
        """Tell it, with time limits. May be called again with the same notice."""

    def close(self) -> None:
        """Let go."""
