"""The courier beside its routes: order, holds, restarts, what it says and what it remembers."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from pipeline.alerts.courier import BATCH_MAX
from pipeline.alerts.deliveries import FILE, BadLog, Deliveries
from pipeline.alerts.heartbeat import Heart
from pipeline.alerts.notice import Delivered, Later, Notice, Outcome, Refused
from pipeline.alerts.opening import CourierRuns, sole
from schemas.alert_routes import QuietHours
from schemas.alerts import Alerts
from tests.alerts.made import ALERT, HOUR, MINUTE, T0, House, alert, over, route


@dataclass
class Fake:
    """A transport that answers as it is told and remembers what it took."""

    outcome: Outcome | Exception = Delivered("ok")  # noqa: RUF009  it is frozen
    resend_seconds: float | None = None
    asked: list[Notice] = field(default_factory=list)
    waits: threading.Event | None = None

    def send(self, notice: Notice) -> Outcome:
        self.asked.append(notice)
        if self.waits is not None:
            assert self.waits.wait(10)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome

    def close(self) -> None:
        pass

    @property
    def said(self) -> list[str]:
        return [f"{one.kind} {one.alert.version}" for one in self.asked]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.end()


@pytest.fixture
def fake(house: House) -> Fake:
    fake = Fake()
    house.serve(route(), fake)
    return fake


def test_an_episode_from_begin_to_end(house: House, fake: Fake) -> None:
    for now, one in [
        (0, ALERT),
        (1, alert(version=2, lost_orders=400.0)),  # figures alone: not yet
        (5, alert(version=3, verdict="tracking")),  # that changes what one does
        (16, alert(version=4, verdict="tracking", lost_orders=900.0)),
        (20, over(alert(version=4), T0 + 20 * MINUTE)),
        (30, alert(version=6)),  # it falls again
        (40, over(alert(version=6), T0 + 40 * MINUTE)),
    ]:
        house.poll(T0 + now * MINUTE, one)
        house.poll(T0 + now * MINUTE + 5, one)
    assert fake.said == ["firing 1", "update 3", "update 4", "resolved 5", "firing 6", "resolved 7"]
    assert house.line(version=2).outcome == "superseded"


def test_a_pause_grows_and_heeds_what_the_receiver_asks_for(house: House, fake: Fake) -> None:
    fake.outcome = Later("503")
    house.poll(T0, ALERT)
    assert house.line().next_at == T0 + 2
    house.poll(T0 + 1, ALERT)
    assert len(fake.asked) == 1
    house.poll(T0 + 2, ALERT)
    assert house.line().next_at == T0 + 2 + 4
    fake.outcome = Later("429", after_seconds=120)
    house.poll(T0 + 6, ALERT)
    assert house.line().next_at == T0 + 6 + 120


def test_who_may_have_had_it_and_did_not_say_so_is_told_anew_at_once(house: House, fake: Fake) -> None:
    fake.outcome = Later("503")
    house.poll(T0, ALERT)
    fake.outcome = Delivered("ok")
    house.poll(T0 + 5, alert(version=2, lost_orders=400.0))  # figures alone, and it need not wait for them
    assert fake.said == ["firing 1", "firing 2"]


def test_who_may_have_had_it_at_the_first_try_hears_its_end_whatever_later_tries_said(
    house: House, fake: Fake
) -> None:
    for now, outcome in [(0, Later("503")), (10, Later("refused", may_have_it=False))]:
        fake.outcome = outcome
        house.poll(T0 + now, ALERT)
    fake.outcome = Delivered("ok")
    house.poll(T0 + 11, over(ALERT, T0 + 11))
    assert fake.said == ["firing 1", "firing 1", "resolved 2"]


def test_a_repeat_that_is_refused_is_tried_when_the_next_one_is_due_and_not_before(
    house: House, fake: Fake
) -> None:
    fake.resend_seconds = MINUTE
    house.poll(T0, ALERT)
    fake.outcome = Refused("401")
    for second in (60, 65, 70, 119):
        house.poll(T0 + second, ALERT)
    assert len(fake.asked) == 2
    assert house.line().outcome == "delivered"
    assert house.tell.events("error") == [], "it was told: that stays true"
    fake.outcome = Delivered("ok")  # the secret is mended
    house.poll(T0 + 120, ALERT)
    assert len(fake.asked) == 3


def test_who_was_never_reached_hears_nothing_of_its_end(house: House, fake: Fake) -> None:
    fake.outcome = Later("refused", may_have_it=False)
    house.poll(T0, ALERT)
    fake.outcome = Delivered("ok")
    house.poll(T0 + 11, over(ALERT, T0 + 11))
    assert fake.said == ["firing 1"]
    assert house.line().reason == "it was over before it was told here"


def test_after_a_failure_the_rest_of_the_turn_waits_and_the_failed_one_goes_last(
    house: House, fake: Fake
) -> None:
    first, second = ALERT, alert(alert_id="0b" * 16, stage="cart", rank=3)
    fake.outcome = Later("no answer in time")
    house.poll(T0, first, second)
    assert [one.alert.stage for one in fake.asked] == ["payment"]
    fake.outcome = Delivered("ok")
    house.poll(T0 + 10, first, second)
    assert [one.alert.stage for one in fake.asked] == ["payment", "cart", "payment"]


def test_more_than_a_turn_takes_is_told_in_the_next(house: House, fake: Fake) -> None:
    many = [alert(alert_id=f"{n:032x}", rank=n % 9, stage=f"s{n}") for n in range(BATCH_MAX + 7)]
    house.poll(T0, *many)
    assert len(fake.asked) == BATCH_MAX
    house.poll(T0 + 5, *many)
    assert len({one.alert.alert_id for one in fake.asked}) == BATCH_MAX + 7


def test_a_fault_in_one_route_does_not_silence_another(house: House, fake: Fake) -> None:
    fake.outcome = RuntimeError("a fault")
    other = Fake()
    house.serve(route("other"), other)
    house.poll(T0, ALERT)
    assert other.said == ["firing 1"]
    assert house.line().outcome == "waiting"
    assert "a fault" in house.line().reason
    assert house.tell.events("error") == ["alert_route_broke"]


def test_a_route_that_hangs_hinders_no_other(house: House) -> None:
    slow, fast = Fake(waits=threading.Event()), Fake()
    house.serve(route("slow"), slow)
    house.serve(route("fast"), fast)
    courier = house.begin()
    courier.executor = ThreadPoolExecutor(3)
    second = alert(alert_id="0b" * 16, stage="cart", rank=3)
    house.poll(T0, ALERT)
    until = time.monotonic() + 10
    while not (fast.said and slow.said) and time.monotonic() < until:
        time.sleep(0.005)
    while len(fast.said) < 2 and time.monotonic() < until:
        house.poll(T0 + 5, ALERT, second)
        time.sleep(0.005)
    assert len(fast.said) == 2
    assert len(slow.said) == 1, "its turn goes on: no second one beside it"
    assert slow.waits is not None
    slow.waits.set()
    house.end()
    assert len(fast.said) == 2
    assert len(slow.said) == 1


def test_a_hold_counts_from_when_it_was_first_to_be_told(house: House, fake: Fake) -> None:
    house.lacks = "events are 3 min behind"
    house.poll(T0, ALERT)
    house.poll(T0 + 10 * MINUTE, alert(version=2))
    assert fake.said == []
    assert house.line().reason.startswith("held for up to 15 min: pipeline unwell: events are 3 min behind")
    house.poll(T0 + 15 * MINUTE, alert(version=2))
    assert fake.said == ["firing 2"]
    assert "pipeline unwell: events are 3 min behind" in fake.asked[0].message.text


def test_a_held_alert_goes_out_when_the_pipeline_is_well_and_not_at_all_when_it_is_over(
    house: House, fake: Fake
) -> None:
    house.lacks = "lag"
    other = alert(alert_id="0b" * 16, stage="cart", rank=3)
    house.poll(T0, ALERT, other)
    house.lacks = None
    house.poll(T0 + MINUTE, ALERT, over(other, T0 + MINUTE))
    assert [(one.alert.stage, one.kind) for one in fake.asked] == [("payment", "firing")]
    assert "unwell" not in fake.asked[0].message.text


def test_quiet_hours_end(house: House) -> None:
    fake = Fake()
    house.serve(route(quiet=QuietHours(9 * 60, 12 * 60, "UTC")), fake)
    mild = alert(severity="warning")
    house.poll(T0, mild)
    assert fake.said == []
    house.poll(T0 + 2 * HOUR, mild)
    assert fake.said == ["firing 1"]


def test_a_segment_is_told_when_its_step_is_over_and_it_still_fires(house: House, fake: Fake) -> None:
    mobile = alert(alert_id="0b" * 16, segment="device=mobile")
    house.poll(T0, ALERT, mobile)
    house.poll(T0 + HOUR, over(ALERT, T0 + HOUR), mobile)
    told = [(one.alert.segment, one.kind) for one in fake.asked]
    assert told == [("", "firing"), ("", "resolved"), ("device=mobile", "firing")]


def test_a_snooze_holds_news_and_its_end_lets_them_pass(house: House, fake: Fake) -> None:
    log = house.begin().log
    number = log.snooze(None, "checkout", "payment", None, T0 + HOUR, T0, "a release")
    house.poll(T0, ALERT)
    assert fake.said == []
    assert log.unsnooze(number)
    assert not log.unsnooze(number)
    house.poll(T0 + MINUTE, ALERT)
    assert fake.said == ["firing 1"]


def test_when_alerts_cannot_be_read_what_waits_is_tried_all_the_same(house: House, fake: Fake) -> None:
    fake.outcome = Later("503")
    house.poll(T0, ALERT)
    house.reader.error = "no run has the embedded database open"
    fake.outcome = Delivered("ok")
    for second in (10, 20, 30):
        house.poll(T0 + second, ALERT)
    assert fake.said == ["firing 1", "firing 1"]
    assert house.tell.events("warning").count("alerts_cannot_be_read") == 1
    house.reader.error = ""
    house.poll(T0 + 40, ALERT)
    assert "alerts_are_read_again" in house.tell.events("info")


def test_who_had_it_hears_its_end_however_long_the_courier_was_away(house: House, fake: Fake) -> None:
    house.poll(T0, ALERT)
    house.begin()
    house.poll(T0 + 60 * HOUR, over(ALERT, T0 + HOUR))
    assert fake.said == ["firing 1", "resolved 2"]


def test_an_older_view_of_the_database_changes_nothing(house: House, fake: Fake) -> None:
    house.poll(T0, alert(version=3))
    house.poll(T0 + 5, alert(version=2))
    assert fake.said == ["firing 3"]


def test_a_new_route_hears_of_what_fires_and_not_of_what_is_over(house: House, fake: Fake) -> None:
    gone = alert(alert_id="0b" * 16, stage="cart", rank=3)
    house.poll(T0, ALERT, gone)
    new = Fake()
    house.serve(route("new"), new)
    house.begin()
    house.poll(T0 + HOUR, ALERT, over(gone, T0 + HOUR))
    assert [(one.alert.stage, one.kind) for one in new.asked] == [("payment", "firing")]
    assert len(fake.asked) == 3


def test_what_rises_to_a_route_s_severity_after_a_day_is_told_there(house: House) -> None:
    fake = Fake()
    house.serve(route(least="critical"), fake)
    for hour in range(30):
        house.poll(T0 + hour * HOUR, alert(severity="info"))
    house.poll(T0 + 30 * HOUR, alert(version=2))
    assert fake.said == ["firing 2"]


def test_old_lines_are_forgotten(house: House, fake: Fake) -> None:
    house.poll(T0, ALERT)
    house.begin()
    house.poll(T0 + 100 * 24 * HOUR)
    assert house.courier is not None
    assert house.courier.log.of_alerts([ALERT.alert_id]) == {}


def test_a_heart_beats_and_is_still_when_something_is_wrong(house: House) -> None:
    beats: list[float] = []

    def beat(now: float) -> Outcome:
        beats.append(now)
        return Delivered("200 ok")

    courier = house.begin()
    courier.heart = Heart(60.0, beat, courier.log, house.secrets, house.tell)
    for second in range(0, 180, 5):
        house.poll(T0 + second)
    assert beats == [T0, T0 + 60, T0 + 120]
    house.lacks = "no run is going on"
    house.poll(T0 + 180)
    assert courier.log.last_beat() == (T0 + 180, "withheld", "no run is going on")
    house.lacks, house.reader.error = None, "no connection"
    house.poll(T0 + 240)
    assert courier.log.last_beat() == (T0 + 240, "withheld", "no connection")
    house.reader.error = ""
    house.poll(T0 + 300)
    assert len(beats) == 4
    assert house.tell.events("warning").count("heartbeat") == 1, "once, not every minute"


def test_a_heartbeat_that_fails_is_noted(house: House) -> None:
    courier = house.begin()
    courier.heart = Heart(60.0, lambda _: Refused("404 gone"), courier.log, house.secrets, house.tell)
    house.poll(T0)
    assert courier.log.last_beat() == (T0, "failed", "404 gone")


def test_two_couriers_of_one_folder_are_refused(tmp_path: Path) -> None:
    with sole(tmp_path), pytest.raises(CourierRuns), sole(tmp_path):
        pass
    with sole(tmp_path):
        pass


def test_a_log_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"no database" * 100)
    with pytest.raises(BadLog, match=r"alerts\.sqlite"):
        Deliveries(tmp_path / FILE)


def test_the_definition_decides_how_long_is_tried(house: House, fake: Fake) -> None:
    house.definition = replace(Alerts("test"), give_up_ms=3_600_000)
    fake.outcome = Later("503")
    for minute in range(0, 70, 5):
        house.poll(T0 + minute * MINUTE, ALERT)
    assert house.line().outcome == "given_up"
    fake.outcome = Delivered("ok")
    house.poll(T0 + 2 * HOUR, alert(version=2))
    assert fake.said[-1] == "firing 2", "what is new is tried anew"
