"""From a drop in a real topic to a real Alertmanager: a run that lives, and tells by itself."""

from __future__ import annotations

import json
import signal
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pipeline.alerts.deliveries import FILE
from pipeline.runtime import metrics
from pipeline.runtime.exposition import Exposition
from pipeline.runtime.record import Record as RunRecord
from tests.alerts.alertmanager import RunningAlertmanager
from tests.e2e.days import DAY, PARTITIONS, Days
from tests.e2e.runs import PATIENCE_SECONDS, ask, pathline, until
from tests.kafka.broker import Broker
from tests.kafka.test_runs import FromTopic
from tests.kafka.topics import Record

CHANGES: Final = "SELECT * FROM bi.alert_changes ORDER BY alert_id, version"
DROP_SECONDS: Final = 25 * 60
LOOK_SECONDS: Final = 0.2
ALERTS: Final = """\
alerts: test
routes:
  - name: duty
    type: alertmanager
    url: {url}
"""


def test_a_drop_that_goes_on_reaches_an_alertmanager(
    broker: Broker, alertmanager: RunningAlertmanager, tmp_path: Path
) -> None:
    """Two days up to now, with people who are missing since a while ago."""
    days = Days(time.time() - 2 * DAY, 2 * DAY, (2 * DAY - DROP_SECONDS, 2 * DAY))
    topic = broker.topic(PARTITIONS)
    for number, events in enumerate(days.partitions()):
        broker.produce(topic, [Record(json.dumps(event).encode(), partition=number) for event in events])
    definition = tmp_path / "alerts.yaml"
    definition.write_text(ALERTS.format(url=alertmanager.url))
    options = ("--mapping", "canonical", "--epoch", "500ms", "--alerts", str(definition))
    source = f"kafka://{broker.servers}/{topic}"
    place = FromTopic(tmp_path, (source,), options, partitions=PARTITIONS)  # type: ignore[arg-type]
    running = place.start()
    try:
        until(lambda: looked(alertmanager) or running.popen.poll() is not None, "the alert")
        numbers = Exposition(RunRecord(place.state))
        until(lambda: told(numbers) or running.popen.poll() is not None, "its count")
        running.signal(signal.SIGTERM)
        running.ended().clean()
    finally:
        running.close()
    (alert,) = mine(alertmanager)
    assert alert["labels"]["stage"] == "intent"
    assert alert["status"]["state"] == "active"
    assert "device=mobile" in json.dumps(alert)
    listed = pathline("alerts", "list", "--state", str(place.state), "--clickhouse", place.dsn).clean().said
    assert alert["labels"]["alert_id"] in listed
    assert "duty" in listed
    told_live = ask(place.dsn, {"changes": CHANGES})["changes"]
    again = replayed(place, days, tmp_path / "again")
    told_again = ask(again.dsn, {"changes": CHANGES})["changes"]
    assert told_again[: len(told_live)] == told_live, "what lay behind the stop may change it again"
    assert {row["alert_id"] for row in told_again} == {alert["labels"]["alert_id"]}
    assert (place.state / FILE).exists()
    assert not (again.state / FILE).exists(), "a replay of the past calls nobody"


def replayed(place: FromTopic, days: Days, folder: Path) -> FromTopic:
    """The whole topic in a database of its own, with the same definition of alerts."""
    begin, end = (datetime.fromtimestamp(at, UTC).isoformat() for at in (days.begin - 3600, time.time()))
    folder.mkdir()
    again = replace(place, folder=folder, command=("replay", "--from", begin, "--to", end))
    again.run().clean()
    return again


def looked(alertmanager: RunningAlertmanager) -> bool:
    """Whether it has some, asked now and then: whoever asks all the time takes the time of those who tell."""
    time.sleep(LOOK_SECONDS)
    return bool(mine(alertmanager))


def told(numbers: Exposition) -> bool:
    """Whether the run counts it among its own numbers, and goes on looking."""
    samples = numbers.samples()
    looks = samples[metrics.ALERTS_AGE.name][()] < PATIENCE_SECONDS
    return looks and samples[metrics.NOTICES_DELIVERED.name]["duty",] >= 1


def mine(alertmanager: RunningAlertmanager) -> list[dict[str, dict[str, str]]]:
    """The alerts of journey w1."""
    return [one for one in alertmanager.alerts() if one["labels"].get("journey") == "w1"]
