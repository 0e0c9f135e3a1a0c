"""Alertmanager: a real one takes our alerts and lets go of them; labels, times and severities by a fake."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.alerts.notice import Delivered
from pipeline.alerts.routes.alertmanager import AlertmanagerRoute
from pipeline.alerts.secrets import Secrets
from schemas.alert_targets import Alertmanager
from tests.alerts.alertmanager import RunningAlertmanager
from tests.alerts.http_server import Receiver
from tests.alerts.kinds import HTTP
from tests.alerts.made import ALERT, MINUTE, SECRETS, T0, THE_SECRET, House, alert, over, route


def at(url: str, **more: Any) -> Alertmanager:
    settings = {"username": None, "password": None, "token": None, "labels": {}, "expires_ms": 900_000}
    return Alertmanager(url, **(settings | more))


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.end()


def served(house: House, target: Alertmanager) -> House:
    house.serve(route(target=target), AlertmanagerRoute(target, HTTP, house.secrets))
    return house


def test_a_real_one_has_it_with_its_labels_and_lets_go_of_it(
    alertmanager: RunningAlertmanager, house: House
) -> None:
    served(house, at(alertmanager.url, labels={"team": "web"}))
    now = float(int(time.time()))
    one = alert(alert_id=uuid.uuid4().hex, started_at=now - 600, detected_at=now - 60)
    before = len(alertmanager.alerts())
    house.poll(now, one)
    found = alertmanager.wait_for(before + 1)
    (mine,) = [each for each in found if each["labels"].get("alert_id") == one.alert_id]
    assert mine["labels"] == {
        "alertname": "PathlineDropOff", "service": "pathline", "alert_id": one.alert_id, "rule": "drop",
        "journey": "checkout", "stage": "payment", "segment": "everybody", "severity": "critical",
        "team": "web",
    }  # fmt: skip
    assert mine["annotations"]["summary"] == "Drop-off at checkout › payment: 41.0% go on instead of 68.0%"
    assert datetime.fromisoformat(mine["startsAt"]).timestamp() == one.started_at
    house.poll(now + 1, replace(one, version=2, state="resolved", resolved_at=now - 1))
    assert house.line().outcome == "delivered"
    left = alertmanager.wait_for(before)
    assert one.alert_id not in [each["labels"].get("alert_id") for each in left]


def test_a_real_one_takes_the_watchdog(alertmanager: RunningAlertmanager) -> None:
    transport = AlertmanagerRoute(at(alertmanager.url), HTTP, Secrets({}))
    now = time.time()
    assert isinstance(transport.watchdog(now, now + 180), Delivered)
    names = [each["labels"]["alertname"] for each in alertmanager.wait_for(1)]
    assert "Watchdog" in names
    assert isinstance(transport.watchdog(now - 10, now - 1), Delivered)  # for the tests after this one


def posted(receiver: Receiver) -> list[list[Any]]:
    return [request.json for request in receiver.requests]


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_while_it_fires_it_is_sent_again_before_it_would_end(house: House) -> None:
    with Receiver() as receiver:
        served(house, at(receiver.url, expires_ms=900_000))
        for second in range(0, 1800, 5):
            house.poll(T0 + second, ALERT)
        sent = posted(receiver)
        assert len(sent) == 6, "every five minutes of fifteen"
        assert [seconds(one["endsAt"]) - T0 for (one,) in sent] == [900 + 300 * n for n in range(6)]
        assert len({str(one["labels"]) for (one,) in sent}) == 1
        line = house.line()
        assert (line.outcome, line.attempts, line.repeats) == ("delivered", 1, 5)
        house.poll(T0 + 1800, over(ALERT, T0 + 1790))
        house.poll(T0 + 3600, over(ALERT, T0 + 1790))
        (last,) = posted(receiver)[6:]
        assert seconds(last[0]["endsAt"]) == T0 + 1790


def test_a_repeat_that_fails_is_repeated_and_stays_delivered(house: House) -> None:
    with Receiver() as receiver:
        served(house, at(receiver.url))
        house.poll(T0, ALERT)
        receiver.status = 503
        house.poll(T0 + 301, ALERT)
        assert house.line().outcome == "delivered"
        receiver.status = 200
        house.poll(T0 + 310, ALERT)
        assert len(receiver.requests) == 3
        assert house.line().repeats == 1


def test_severity_rises_in_one_request_and_never_falls(house: House) -> None:
    with Receiver() as receiver:
        served(house, at(receiver.url))
        house.poll(T0, alert(severity="warning"))
        house.poll(T0 + MINUTE, alert(version=2, severity="critical"))
        house.poll(T0 + 2 * MINUTE, alert(version=3, severity="info"))
        house.poll(T0 + 3 * MINUTE, over(alert(version=3, severity="info"), T0 + 3 * MINUTE))
        first, risen, fallen, last = (
            [(one["labels"]["severity"], seconds(one["endsAt"]) > T0 + 4 * MINUTE) for one in request]
            for request in posted(receiver)
        )
        assert first == [("warning", True)]
        assert risen == [("critical", True), ("warning", False)]
        assert fallen == [("critical", True), ("warning", False)]
        assert {severity for severity, _ in last} == {"critical", "warning", "info"}
        assert not any(fires for _, fires in last)


@pytest.mark.parametrize(
    ("login", "header"),
    [
        ({"token": THE_SECRET}, f"Bearer {SECRETS['THE_SECRET']}"),
        ({"username": "me", "password": THE_SECRET}, "Basic bWU6czNjcjN0LW9mLXRoZS1yb3V0ZS8r"),
        ({}, None),
    ],
)
def test_logging_in(login: dict[str, Any], header: str | None, house: House) -> None:
    with Receiver() as receiver:
        served(house, at(receiver.url + "/prefix/", **login))
        house.poll(T0, ALERT)
        (request,) = receiver.requests
        assert request.path == "/prefix/api/v2/alerts"
        assert request.headers.get("authorization") == header
        assert header is None or header.split()[1] not in house.secrets.mask(f"echo {header}")
