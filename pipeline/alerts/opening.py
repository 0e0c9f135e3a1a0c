"""From a definition of alerts to what serves its routes."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from pipeline.alerts.courier import Courier, Reader, Way
from pipeline.alerts.deliveries import FILE, BadLog, Deliveries
from pipeline.alerts.heartbeat import MISSED, Heart, by_url
from pipeline.alerts.http import Http, UrllibHttp
from pipeline.alerts.meter import Meter, Unmetered
from pipeline.alerts.notice import Outcome, Transport
from pipeline.alerts.routes.alertmanager import AlertmanagerRoute
from pipeline.alerts.routes.email import EmailRoute
from pipeline.alerts.routes.kafka import KafkaRoute
from pipeline.alerts.routes.pagerduty import PagerDutyRoute
from pipeline.alerts.routes.slack import SlackRoute
from pipeline.alerts.routes.webhook import WebhookRoute
from pipeline.alerts.secrets import Secrets
from schemas.alert_routes import Route
from schemas.alert_targets import Alertmanager, Email, Kafka, PagerDuty, Slack, Webhook
from schemas.alerts import Alerts

LOCK: Final = "alerts.lock"
"""In the state folder, held by its courier."""


class CourierRuns(Exception):  # noqa: N818 - the word that users read
    """Another process delivers these alerts: two would tell everything twice."""

    def __init__(self, state: Path) -> None:
        super().__init__(f"{state}: another process delivers alerts already")
        self.hint = "a run with routes does so by itself; stop one of the two"


@contextmanager
def sole(state: Path) -> Iterator[None]:
    """Holds the state folder against other couriers. Raises CourierRuns, or BadLog where it is of no use."""
    try:
        state.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(state / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise BadLog(state / LOCK, error) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise CourierRuns(state) from None
    try:
        yield
    finally:
        os.close(descriptor)


def open_transport(route: Route, http: Http, secrets: Secrets) -> Transport:
    """What serves a route; nothing is sent yet. Raises SinkRefused for a Kafka DSN that cannot be right."""
    match route.target:
        case Alertmanager():
            return AlertmanagerRoute(route.target, http, secrets)
        case PagerDuty():
            return PagerDutyRoute(route.target, http, secrets)
        case Slack():
            return SlackRoute(route.target, http, secrets)
        case Webhook():
            return WebhookRoute(route.target, http, secrets)
        case Email():
            return EmailRoute(route.target, secrets)
        case Kafka():
            return KafkaRoute(route.target)


def open_courier(
    definition: Alerts,
    state: Path,
    reader: Reader,
    secrets: Secrets,
    unwell: Callable[[], str | None],
    tell: Any,
    http: Http | None = None,
    meter: Meter | None = None,
) -> Courier:
    """A courier whose log is in the state folder, with a thread for each route and one for the heartbeat.

    Raises BadLog, SinkRefused.
    """
    http, meter = http or UrllibHttp(), meter or Unmetered()
    ways = [Way(route, open_transport(route, http, secrets)) for route in definition.routes]
    log = Deliveries(state / FILE)
    return Courier(
        definition=definition,
        ways=ways,
        reader=reader,
        log=log,
        unwell=unwell,
        executor=ThreadPoolExecutor(len(ways) + 1, thread_name_prefix="alerts"),
        secrets=secrets,
        tell=tell,
        heart=open_heart(definition, ways, log, http, secrets, tell, meter),
        meter=meter,
    )


def open_heart(
    definition: Alerts,
    ways: list[Way],
    log: Deliveries,
    http: Http,
    secrets: Secrets,
    tell: Any,
    meter: Meter,
) -> Heart | None:
    """The heartbeat that the definition asks for, if any."""
    wanted = definition.heartbeat
    if wanted is None:
        return None
    every = wanted.every_ms / 1000
    if wanted.url is not None:
        url = wanted.url
        return Heart(every, by_url(lambda: secrets.reveal(url), http), log, secrets, tell, meter)
    transport = next(way.transport for way in ways if way.route.name == wanted.route)
    assert isinstance(transport, AlertmanagerRoute), "the definition holds that"

    def watchdog(now: float) -> Outcome:
        return transport.watchdog(now, now + MISSED * every)

    return Heart(every, watchdog, log, secrets, tell, meter)
