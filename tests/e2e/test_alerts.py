"""A drop-off spike in a stream: one alert, with its cause, and the same one whatever becomes of the run."""

from __future__ import annotations

import json
import os
import random
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from tests.e2e.runs import Place, ask, same, until

BEGIN: Final = int(datetime(2026, 3, 2, tzinfo=UTC).timestamp())
DAY: Final = 86_400
DROP: Final = (2 * DAY + 10 * 3600, 2 * DAY + 11 * 3600)
"""In this hour nobody who comes on a phone gets from the cart to the checkout."""
WAY: Final = (("view_item", 0.8), ("add_to_cart", 0.6), ("begin_checkout", 0.6), ("purchase", 0.7))
LAST_SECOND: Final = 2 * DAY + 14 * 3600
PARTITIONS: Final = 2


def visitor(number: int, at: float, device: str, chance: random.Random) -> list[dict[str, Any]]:
    """What one visitor does, until they leave."""
    said = [("page_view", at)]
    for event, share in WAY:
        at += chance.expovariate(1 / 25)
        if chance.random() > share:
            break
        if event == "begin_checkout" and device == "mobile" and DROP[0] <= at < DROP[1]:
            break
        said.append((event, at))
    return [
        {
            "event_id": f"{number}-{event}",
            "visitor_id": f"v{number}",
            "event": event,
            "event_at": datetime.fromtimestamp(BEGIN + second, UTC).isoformat(timespec="milliseconds"),
            "device": device,
            "value": 80.0,
            "currency": "EUR",
        }
        for event, second in said
    ]


def days(folder: Path) -> tuple[Path, ...]:
    """Two and a half days of 12 visitors a minute, two thirds of them on phones."""
    chance = random.Random(5)
    parts: list[list[dict[str, Any]]] = [[] for _ in range(PARTITIONS)]
    at, number = 0.0, 0
    while (at := at + chance.expovariate(12 / 60)) < LAST_SECOND:
        number += 1
        device = "mobile" if chance.random() < 2 / 3 else "desktop"
        parts[number % PARTITIONS] += visitor(number, at, device, chance)
    files = []
    for number, events in enumerate(parts):
        file = folder / f"part-{number}.jsonl"
        events.sort(key=lambda event: str(event["event_at"]))
        file.write_text("".join(json.dumps(event) + "\n" for event in events))
        files.append(file)
    return tuple(files)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    return days(tmp_path_factory.mktemp("days"))


OPTIONS: Final = ("--mapping", "canonical", "--shards", "4")


@pytest.fixture(scope="module")
def quiet(files: tuple[Path, ...], tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A run in which nothing happened."""
    place = Place(tmp_path_factory.mktemp("quiet"), files, OPTIONS)
    place.run().clean()
    return place


def test_a_spike_is_one_alert_with_its_cause_and_its_end(quiet: Place) -> None:
    found = ask(quiet.dsn, {"alerts": "SELECT * FROM bi.alerts", "all": "SELECT * FROM bi.alert_changes"})
    (alert,) = found["alerts"]
    began, over = (datetime.fromtimestamp(BEGIN + second, UTC) for second in DROP)
    told = [alert[name] for name in ("rule", "journey", "stage", "state")]
    assert told == ["drop", "w1", "intent", "resolved"]
    assert alert["cause"] == "device=mobile"
    assert alert["verdict"] == "shop"
    assert abs((time_of(alert["started_at"]) - began).total_seconds()) <= 300
    assert (time_of(alert["detected_at"]) - began).total_seconds() <= 15 * 60
    assert 0 <= (time_of(alert["resolved_at"]) - over).total_seconds() <= 90 * 60
    assert alert["observed"] < alert["low"] <= alert["expected"] <= alert["high"]
    lost = on_phones_with_carts(quiet.files) * WAY[2][1] * WAY[3][1]
    assert alert["lost_orders_low"] < lost < alert["lost_orders_high"]
    assert alert["version"] == len(found["all"]) > 1


def on_phones_with_carts(files: tuple[Path, ...]) -> int:
    """Who filled a cart on a phone in the hour of the drop."""
    between = [datetime.fromtimestamp(BEGIN + second, UTC).isoformat() for second in DROP]
    events = (json.loads(line) for file in files for line in file.read_text().splitlines())
    return sum(
        event["event"] == "add_to_cart" and event["device"] == "mobile"
        and between[0] <= event["event_at"] < between[1]
        for event in events
    )  # fmt: skip


def time_of(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_killed_and_in_two_processes_it_tells_the_same(
    files: tuple[Path, ...], quiet: Place, tmp_path: Path
) -> None:
    options = (*OPTIONS, "--workers", "2", "--epoch", "200ms", "--restarts-max", "3")
    place = Place(tmp_path, files, options, env={"PATHLINE_BATCH_ROWS": "2000"})
    with place.in_the_middle(40_000) as running:
        os.kill(running.workers()[-1], signal.SIGKILL)
        until(lambda: len(running.workers()) == 2, "both again")
        running.ended().clean()
    same(place.rows(), quiet.rows())
