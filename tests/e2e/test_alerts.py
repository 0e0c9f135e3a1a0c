"""A drop-off spike in a stream: one alert, with its cause, and the same one whatever becomes of the run."""

from __future__ import annotations

import os
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from tests.e2e.days import DAY, WAY, Days
from tests.e2e.runs import Place, ask, until

DROP: Final = (2 * DAY + 10 * 3600.0, 2 * DAY + 11 * 3600.0)
DAYS: Final = Days(datetime(2026, 3, 2, tzinfo=UTC).timestamp(), 2 * DAY + 14 * 3600, DROP)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    return DAYS.files(tmp_path_factory.mktemp("days"))


OPTIONS: Final = ("--mapping", "canonical", "--shards", "4")


CHANGES: Final = "SELECT * FROM bi.alert_changes ORDER BY alert_id, version"
Told = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def quiet(files: tuple[Path, ...], tmp_path_factory: pytest.TempPathFactory) -> Told:
    """What a run told in which nothing happened."""
    place = Place(tmp_path_factory.mktemp("quiet"), files, OPTIONS)
    place.run().clean()
    return ask(place.dsn, {"alerts": "SELECT * FROM bi.alerts", "changes": CHANGES})


def test_a_spike_is_one_alert_with_its_cause_and_its_end(quiet: Told) -> None:
    (alert,) = quiet["alerts"]
    began, over = (datetime.fromtimestamp(DAYS.begin + second, UTC) for second in DROP)
    told = [alert[name] for name in ("rule", "journey", "stage", "state")]
    assert told == ["drop", "w1", "intent", "resolved"]
    assert alert["cause"] == "device=mobile"
    assert alert["verdict"] == "shop"
    assert abs((time_of(alert["started_at"]) - began).total_seconds()) <= 300
    assert (time_of(alert["detected_at"]) - began).total_seconds() <= 15 * 60
    assert 0 <= (time_of(alert["resolved_at"]) - over).total_seconds() <= 90 * 60
    assert alert["observed"] < alert["low"] <= alert["expected"] <= alert["high"]
    lost = DAYS.on_phones_with_carts() * WAY[2][1] * WAY[3][1]
    assert alert["lost_orders_low"] < lost < alert["lost_orders_high"]
    assert alert["version"] == len(quiet["changes"]) > 1


def time_of(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_killed_and_in_two_processes_it_tells_the_same(
    files: tuple[Path, ...], quiet: Told, tmp_path: Path
) -> None:
    options = (*OPTIONS, "--workers", "2", "--epoch", "200ms", "--restarts-max", "3")
    place = Place(tmp_path, files, options, env={"PATHLINE_BATCH_ROWS": "5000"})
    with place.in_the_middle(40_000) as running:
        os.kill(running.workers()[-1], signal.SIGKILL)
        until(lambda: len(running.workers()) == 2, "both again")
        running.ended().clean()
    told = ask(place.dsn, {"changes": CHANGES})["changes"]
    assert told == quiet["changes"]
    assert len(told) > 1
