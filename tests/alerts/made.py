"""Alerts, routes and couriers as tests want them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pipeline.alerts.alert import Alert
from pipeline.alerts.courier import CannotRead, Courier, Way
from pipeline.alerts.deliveries import FILE, Deliveries, Delivery
from pipeline.alerts.meter import Meter, Unmetered
from pipeline.alerts.notice import Transport
from pipeline.alerts.secrets import Secrets
from schemas.alert_routes import VERDICTS, QuietHours, Route
from schemas.alert_targets import Target, Webhook
from schemas.alerts import Alerts
from schemas.secret_refs import SecretRef

T0 = 1_795_600_800.0
"""2026-11-25 10:00 UTC, a Wednesday."""
MINUTE = 60.0
HOUR = 3600.0
SECRET = "s3cr3t-of-the-route/+"
SECRETS = {"THE_SECRET": SECRET}
THE_SECRET = SecretRef("environment", "THE_SECRET")
NOWHERE = Webhook("http://127.0.0.1:9/", THE_SECRET, {})

ALERT = Alert(
    alert_id="0a" * 16, version=1, rule="drop", journey="checkout", journey_version=1, rank=4,
    stage="payment", segment="", state="firing",
    started_at=T0 - 10 * MINUTE, detected_at=T0, resolved_at=None,
    observed=0.41, expected=0.68, low=0.652, high=0.707, entrants=1240,
    lost_orders=335.0, lost_orders_low=280.0, lost_orders_high=390.0,
    lost_value=12_400.0, lost_value_low=10_100.0, lost_value_high=14_700.0,
    cause="", mix=0.0, mix_dimension="", unaffected=(), verdict="shop", severity="critical",
    smallest_drop=0.12, reason="41.0% go on instead of 68.0%",
)  # fmt: skip


def alert(**changes: Any) -> Alert:
    return replace(ALERT, **changes)


def over(one: Alert, at: float) -> Alert:
    """Its next version, resolved."""
    return replace(one, version=one.version + 1, state="resolved", resolved_at=at)


def route(
    name: str = "team",
    target: Target = NOWHERE,
    least: str = "info",
    verdicts: tuple[str, ...] = VERDICTS,
    quiet: QuietHours | None = None,
) -> Route:
    return Route(name, type(target).__name__.lower(), target, least, verdicts, quiet)


class Killed(BaseException):
    """The process dies here."""


class Inline(Executor):
    """Runs everything at once, in the caller's thread; what dies there dies here."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(fn(*args, **kwargs))
        return done


@dataclass
class FakeReader:
    """What the database says; an error where it does not answer."""

    alerts: list[Alert] = field(default_factory=list)
    error: str = ""

    def read(self, resolved_since: float, also: Sequence[str]) -> list[Alert]:
        if self.error:
            raise CannotRead(self.error)
        return [
            one
            for one in self.alerts
            if one.is_firing or (one.resolved_at or 0.0) >= resolved_since or one.alert_id in also
        ]


@dataclass
class Log:
    """A structured logger that remembers."""

    lines: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)

    def __getattr__(self, level: str) -> Callable[..., None]:
        def say(event: str, **fields: Any) -> None:
            self.lines.append((level, event, fields))

        return say

    def events(self, level: str) -> list[str]:
        return [event for at, event, _ in self.lines if at == level]


class House:
    """A courier for some transports, whose process can die and start anew with the log that it left."""

    def __init__(self, folder: Path, definition: Alerts | None = None) -> None:
        self.folder = folder
        self.definition = definition or Alerts("test")
        self.reader = FakeReader()
        self.tell = Log()
        self.secrets = Secrets(SECRETS)
        self.lacks: str | None = None
        self.ways: list[Way] = []
        self.courier: Courier | None = None
        self.meter: Meter = Unmetered()

    def serve(self, one: Route, transport: Transport) -> None:
        self.ways.append(Way(one, transport))

    def begin(self) -> Courier:
        """A process starts, after the last one has died or ended."""
        if self.courier is not None:
            self.courier.log.close()
        self.courier = Courier(
            definition=self.definition,
            ways=self.ways,
            reader=self.reader,
            log=Deliveries(self.folder / FILE),
            unwell=lambda: self.lacks,
            executor=Inline(),
            secrets=self.secrets,
            tell=self.tell,
            meter=self.meter,
            jitter=lambda: 1.0,
        )
        return self.courier

    def poll(self, now: float, *alerts: Alert) -> None:
        """The database has these, and the courier looks."""
        self.reader.alerts = list(alerts)
        (self.courier or self.begin()).poll_once(now)

    def line(self, name: str = "team", version: int | None = None) -> Delivery:
        """The log's line of the only alert, of its last version unless another is asked for."""
        assert self.courier is not None
        found = self.courier.log.of_alerts(one.alert_id for one in self.reader.alerts)
        lines = [line for (at, _), these in found.items() if at == name for line in these]
        return lines[-1] if version is None else next(line for line in lines if line.version == version)

    def end(self) -> None:
        if self.courier is not None:
            self.courier.close()
            self.courier = None
