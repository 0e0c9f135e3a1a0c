"""A made-up alert and its end, to see whether a route works before it must."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from pipeline.alerts.alert import FIRING, RESOLVED, Alert
from pipeline.alerts.message import Style, compose
from pipeline.alerts.notice import Delivered, Later, Notice, Outcome, Refused, Told, Transport, key_of
from pipeline.alerts.secrets import SecretMissing, Secrets

BEFORE_SECONDS: Final = 600.0


@dataclass(frozen=True)
class Tried:
    """What came of one notice."""

    kind: str
    is_well: bool
    said: str


def made_up(at: float) -> Alert:
    """An alert that says that it is a test, with figures that belong together."""
    return Alert(
        alert_id=hashlib.blake2b(f"test {at}".encode(), digest_size=16).hexdigest(), version=1, rule="drop",
        journey="pathline", journey_version=1, rank=1, stage="test", segment="", state=FIRING,
        started_at=at - BEFORE_SECONDS, detected_at=at, resolved_at=None,
        observed=0.30, expected=0.60, low=0.52, high=0.68, entrants=200,
        lost_orders=60.0, lost_orders_low=44.0, lost_orders_high=76.0,
        lost_value=3000.0, lost_value_low=2200.0, lost_value_high=3800.0,
        cause="", mix=0.0, mix_dimension="", unaffected=(),
        verdict="unsure", severity="info", smallest_drop=0.15, reason="a test: nothing happened",
    )  # fmt: skip


def try_route(name: str, transport: Transport, secrets: Secrets, style: Style, at: float) -> Iterator[Tried]:
    """Sends the alert and, where that went well, its end."""
    alert = made_up(at)
    first = _notice(name, alert, FIRING, style, (), at)
    outcome = _sent(transport, first)
    yield _tried(FIRING, outcome, secrets)
    if not isinstance(outcome, Delivered):
        return
    had = Told(1, FIRING, alert.severity, alert.verdict, alert.cause, outcome.receipt, at, is_sure=True)
    over = replace(alert, version=2, state=RESOLVED, resolved_at=at)
    yield _tried(RESOLVED, _sent(transport, _notice(name, over, RESOLVED, style, (had,), at)), secrets)


def _notice(name: str, alert: Alert, kind: str, style: Style, earlier: tuple[Told, ...], at: float) -> Notice:
    message = compose(alert, at, style, is_test=True)
    return Notice(alert, message, kind, key_of(alert.alert_id, alert.version, name), name, earlier, at)


def _sent(transport: Transport, notice: Notice) -> Outcome:
    try:
        return transport.send(notice)
    except SecretMissing as error:
        return Refused(str(error))


def _tried(kind: str, outcome: Outcome, secrets: Secrets) -> Tried:
    match outcome:
        case Delivered(said):
            return Tried(kind, True, secrets.mask(said))
        case Later(said) | Refused(said):
            return Tried(kind, False, secrets.mask(said))
