"""What a courier counts, as whoever asks the run of its state folder for metrics sees it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.alerts.heartbeat import Heart
from pipeline.alerts.notice import Delivered, Later, Outcome, Refused
from pipeline.cli.alerts_meter import CourierMeter
from pipeline.runtime import metrics
from pipeline.runtime.exposition import Exposition
from pipeline.runtime.metrics import Metric
from pipeline.runtime.numbers import clear
from pipeline.runtime.record import Record
from schemas.alerts import Alerts, Heartbeat
from tests.alerts.made import ALERT, HOUR, MINUTE, T0, House, alert, over, route
from tests.alerts.test_courier import Fake


class Counted(House):
    """A courier whose numbers are asked for from outside."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, Alerts("test", routes=(route(),), heartbeat=Heartbeat(None, None, 60_000)))
        self.shown = Exposition(Record(folder))
        self.numbers = CourierMeter(folder, self.definition, lambda: T0)
        self.meter = self.numbers

    def of(self, metric: Metric, now: float = T0) -> dict[tuple[str, ...], float]:
        return self.shown.samples(now).get(metric.name, {})


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Counted]:
    house = Counted(tmp_path)
    yield house
    house.end()


@pytest.fixture
def fake(house: Counted) -> Fake:
    fake = Fake()
    house.serve(route(), fake)
    return fake


TEAM = ("team",)


def test_all_that_can_be_counted_is_there_from_the_beginning(house: Counted) -> None:
    assert house.of(metrics.NOTICES_DELIVERED) == {TEAM: 0}
    assert house.of(metrics.NOTICES_FAILED) == {TEAM: 0}
    assert house.of(metrics.NOTICES_DROPPED) == {("team", "refused"): 0, ("team", "given_up"): 0}
    assert house.of(metrics.NOTICES_AGE, T0 + HOUR) == {TEAM: 0}
    assert house.of(metrics.ALERTS_AGE, T0 + 7) == house.of(metrics.HEARTBEAT_AGE, T0 + 7) == {(): 7}


def test_what_is_told_and_what_fails_is_counted_by_route(house: Counted, fake: Fake) -> None:
    other = Fake(Later("503"))
    house.serve(route("other"), other)
    house.poll(T0, ALERT)
    house.poll(T0 + 10, alert(version=2, severity="warning"))
    assert house.of(metrics.NOTICES_DELIVERED) == {TEAM: 2}
    assert house.of(metrics.NOTICES_FAILED) == {TEAM: 0, ("other",): 2}


def test_what_is_said_again_counts_only_where_it_fails(house: Counted, fake: Fake) -> None:
    fake.resend_seconds = MINUTE
    house.poll(T0, ALERT)
    house.poll(T0 + MINUTE, ALERT)
    assert fake.said == ["firing 1", "firing 1"]
    assert house.of(metrics.NOTICES_DELIVERED) == {TEAM: 1}
    fake.outcome = Later("503")
    house.poll(T0 + 2 * MINUTE, ALERT)
    assert house.of(metrics.NOTICES_FAILED) == {TEAM: 1}


def test_the_oldest_that_is_owed_grows_old_whatever_its_version_until_it_is_told(
    house: Counted, fake: Fake
) -> None:
    fake.outcome = Later("503")
    house.poll(T0, ALERT)
    house.poll(T0 + MINUTE, alert(version=2))
    house.begin()  # a restart does not make it younger
    house.poll(T0 + 2 * MINUTE, alert(version=3), alert(alert_id="0b" * 16, stage="cart", rank=3))
    assert house.of(metrics.NOTICES_AGE, T0 + 3 * MINUTE) == {TEAM: 3 * MINUTE}
    fake.outcome = Delivered("ok")
    for second in (0, 5):
        house.poll(T0 + 10 * MINUTE + second, alert(version=3))
    assert house.of(metrics.NOTICES_AGE, T0 + 11 * MINUTE) == {TEAM: 0}
    fake.outcome = Later("503")
    house.poll(T0 + HOUR, over(alert(version=3), T0 + HOUR))
    assert house.of(metrics.NOTICES_AGE, T0 + HOUR + 5) == {TEAM: 5}, (
        "not since the beginning, which was told"
    )


def test_what_is_held_is_no_failure_and_neither_is_what_nobody_wants_now(house: Counted, fake: Fake) -> None:
    house.lacks = "events are 3 min behind"
    house.poll(T0, ALERT, alert(alert_id="0b" * 16, stage="cart", rank=3))
    assert house.of(metrics.NOTICES_HELD) == {TEAM: 2}
    assert house.of(metrics.NOTICES_AGE, T0 + MINUTE) == {TEAM: 0}
    assert house.courier is not None
    house.courier.log.snooze(None, "checkout", None, None, T0 + HOUR, T0, "a release")
    house.lacks = None
    house.poll(T0 + MINUTE, ALERT)
    assert house.of(metrics.NOTICES_HELD) == {TEAM: 0}
    assert house.of(metrics.NOTICES_AGE, T0 + 2 * MINUTE) == {TEAM: 0}


def test_what_is_not_tried_any_more_is_counted_by_why(house: Counted, fake: Fake) -> None:
    fake.outcome = Refused("404")
    house.poll(T0, ALERT)
    fake.outcome = Later("503")
    for hour in (1, 2, 27):
        house.poll(T0 + hour * HOUR, alert(version=2, severity="warning"))
    assert house.of(metrics.NOTICES_DROPPED) == {("team", "refused"): 1, ("team", "given_up"): 1}
    assert house.of(metrics.NOTICES_FAILED) == {TEAM: 4}
    house.poll(T0 + 28 * HOUR, alert(version=2, severity="warning"))
    assert house.of(metrics.NOTICES_AGE, T0 + 28 * HOUR + 5) == {TEAM: 0}, "nobody tries it"


def test_alerts_that_cannot_be_read_are_unread(house: Counted) -> None:
    house.poll(T0 + MINUTE)
    house.reader.error = "no connection"
    house.poll(T0 + 2 * MINUTE)
    assert house.of(metrics.ALERTS_AGE, T0 + 3 * MINUTE) == {(): 2 * MINUTE}


def test_a_heartbeat_counts_when_it_is_taken(house: Counted) -> None:
    answers: list[Outcome] = [Delivered("200 ok"), Refused("404 gone")]
    courier = house.begin()
    courier.heart = Heart(
        MINUTE, lambda _: answers.pop(0), courier.log, house.secrets, house.tell, house.meter
    )
    for minute in (1, 2):
        house.poll(T0 + minute * MINUTE)
    house.lacks = "lag"
    house.poll(T0 + 3 * MINUTE)
    assert answers == []
    assert house.of(metrics.HEARTBEAT_AGE, T0 + 4 * MINUTE) == {(): 3 * MINUTE}


def test_its_numbers_outlast_those_of_processes_that_begin_anew(house: Counted, fake: Fake) -> None:
    house.poll(T0, ALERT)
    metrics.begin(Record(house.folder).numbers, "0", os.getpid())
    assert house.of(metrics.NOTICES_DELIVERED) == {TEAM: 1}
    assert house.of(metrics.PROCESS_UP) == {("0",): 1}, "it is no process"
    clear(Record(house.folder).numbers)  # as a run does that begins beside `pathline alerts deliver`
    assert house.of(metrics.NOTICES_DELIVERED) == {}
    house.poll(T0 + 5, ALERT, alert(alert_id="0b" * 16, stage="cart", rank=3))
    assert house.of(metrics.NOTICES_DELIVERED) == {TEAM: 2}
    house.numbers.close()
    assert house.of(metrics.NOTICES_DELIVERED) == {}


def test_a_folder_that_cannot_be_written_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "metrics").write_text("a file where a folder should be")
    meter = CourierMeter(tmp_path, Alerts("test", routes=(route(),)))
    meter.waits("team", T0, 1)
    meter.delivered("team")
    meter.close()
