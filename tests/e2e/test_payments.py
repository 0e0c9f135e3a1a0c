"""Payments fail for an hour: the alert is that of payments, though they are no stage. Carts are well. And it
is the same alert whatever becomes of the run.
"""

from __future__ import annotations

import os
import random
import signal
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from tests.e2e.days import DAY, Days
from tests.e2e.runs import Place, ask, until

WAY: Final = (("add_to_cart", 0.6), ("begin_checkout", 0.6), ("add_payment_info", 0.8), ("purchase", 0.8))
FAIL: Final = (2 * DAY + 10 * 3600.0, 2 * DAY + 11 * 3600.0)
JOURNEY: Final = """\
journey: shop
version: 1
key: visitor
conversion: order
stages:
  - name: view
    when: {event: page_view}
  - name: cart
    when: {event: add_to_cart}
  - name: checkout
    when: {event: [begin_checkout, add_payment_info, payment_failed]}
  - name: order
    when: {event: purchase}
objects:
  cart: {stage: cart, when: {event: add_to_cart}, abandon_after: 1h}
  checkout: {stage: checkout, when: {event: begin_checkout}, abandon_after: 1h}
  payment: {stage: checkout, when: {event: [add_payment_info, payment_failed]}, abandon_after: 30m}
"""


@dataclass(frozen=True)
class Payments(Days):
    """In the `drop` every payment fails, and is told to have."""

    def _visitor(self, number: int, at: float, device: str, chance: random.Random) -> list[dict[str, Any]]:
        said = [("page_view", at)]
        for event, share in WAY:
            at += chance.expovariate(1 / 25)
            if chance.random() > share:
                break
            fails = event == "purchase" and self.drop[0] <= at < self.drop[1]
            said.append(("payment_failed" if fails else event, at))
        return [
            {
                "event_id": f"{number}-{event}",
                "visitor_id": f"v{number}",
                "event": event,
                "event_at": self.at(second),
                "device": device,
                "value": 80.0,
                "currency": "EUR",
            }
            for event, second in said
            if second < self.seconds
        ]

    def failed(self) -> int:
        return sum(event["event"] == "payment_failed" for events in self.partitions() for event in events)


DAYS: Final = Payments(datetime(2026, 3, 2, tzinfo=UTC).timestamp(), 2 * DAY + 14 * 3600, FAIL, 10.0)


CHANGES: Final = "SELECT * FROM bi.alert_changes ORDER BY alert_id, version"
Told = dict[str, list[dict[str, Any]]]


def place_in(folder: Path, *options: str, **env: str) -> Place:
    """Where these days are read, each time from files of its own that say the same."""
    journey = folder / "shop.yaml"
    journey.write_text(JOURNEY)
    own = ("--mapping", "canonical", "--shards", "2", "--journey", str(journey), *options)
    return Place(folder, DAYS.files(folder), own, env=env)


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """What a run told in which nothing happened."""
    place = place_in(tmp_path_factory.mktemp("quiet"))
    place.run().clean()
    return ask(place.dsn, {"alerts": "SELECT * FROM bi.alerts WHERE journey = 'shop'", "changes": CHANGES})


def test_failed_payments_are_an_alert_of_payments_alone(quiet: Told) -> None:
    (alert,) = quiet["alerts"]
    told = [alert[name] for name in ("rule", "stage", "rank", "state", "scope", "cause")]
    assert told == ["drop", "payment (abandonment)", 4 * 16 + 3, "resolved", "", ""]
    began, over = (datetime.fromtimestamp(DAYS.begin + second, UTC) for second in FAIL)
    assert abs((time_of(alert["started_at"]) - began).total_seconds()) <= 300
    assert (time_of(alert["detected_at"]) - began).total_seconds() <= 20 * 60
    assert 0 <= (time_of(alert["resolved_at"]) - over).total_seconds() <= 90 * 60
    assert alert["lost_orders_low"] < DAYS.failed() < alert["lost_orders_high"]
    low, high = (float(alert[name]) for name in ("lost_value_low", "lost_value_high"))
    assert low < 80 * DAYS.failed() < high


def test_killed_and_in_two_processes_it_tells_the_same(quiet: Told, tmp_path: Path) -> None:
    """Kinds of objects are counted by other steps than stages: they have to keep the law on their own."""
    options = ("--workers", "2", "--epoch", "200ms", "--restarts-max", "3")
    place = place_in(tmp_path, *options, PATHLINE_BATCH_ROWS="5000")
    with place.in_the_middle(35_000) as running:
        os.kill(running.workers()[-1], signal.SIGKILL)
        until(lambda: len(running.workers()) == 2, "both again")
        running.ended().clean()
    told = ask(place.dsn, {"changes": CHANGES})["changes"]
    assert told == quiet["changes"]
    assert len(told) > 1


def time_of(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
