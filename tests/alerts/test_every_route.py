"""What holds for every route: told once, again after a crash with the same key, over when it is over."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.alerts.deliveries import FILE
from pipeline.alerts.notice import Notice, Outcome, Transport
from schemas.alert_targets import ROUTE_TYPES
from tests.alerts.kinds import KINDS, Kind, opened
from tests.alerts.made import ALERT, HOUR, MINUTE, SECRET, T0, House, Killed, over, route


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.end()


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, house: House) -> Iterator[Kind]:
    with opened(request.param, house.secrets) as kind:
        house.serve(route(target=kind.target), kind.transport)
        yield kind


class Dies:
    """Sends, and dies before anybody could write it down."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.resend_seconds = transport.resend_seconds

    def send(self, notice: Notice) -> Outcome:
        self.transport.send(notice)
        raise Killed

    def close(self) -> None:
        self.transport.close()


def test_every_type_is_in_this_suite() -> None:
    assert sorted(KINDS) == sorted(ROUTE_TYPES)


def test_it_is_told_once(house: House, kind: Kind) -> None:
    for second in range(0, 60, 5):
        house.poll(T0 + second, ALERT)
    (got,) = kind.got()
    assert not got.is_over
    assert house.line().outcome == "delivered"
    house.begin()
    house.poll(T0 + 70, ALERT)
    assert len(kind.got()) == 1, "a restart tells nothing twice"


def test_its_end_follows_in_the_same_thread_and_once(house: House, kind: Kind) -> None:
    house.poll(T0, ALERT)
    resolved = over(ALERT, T0 + HOUR)
    house.poll(T0 + HOUR, resolved)
    house.poll(T0 + HOUR + 5, resolved)
    first, last = kind.got()
    assert (first.is_over, last.is_over) == (False, True)
    assert first.thread == last.thread
    assert first.key != last.key


def test_after_a_crash_between_sending_and_writing_it_is_told_again_with_the_same_key(
    house: House, kind: Kind
) -> None:
    way = house.ways[0]
    house.ways[0] = replace(way, transport=Dies(kind.transport))
    with pytest.raises(Killed):
        house.poll(T0, ALERT)
    house.ways[0] = way
    house.begin()
    house.poll(T0 + 30, ALERT)
    first, again = kind.got()
    assert first.key == again.key
    assert first.thread == again.thread
    assert house.line().outcome == "delivered"
    assert house.line().attempts == 2


def test_who_may_have_had_it_before_a_crash_hears_that_it_is_over(house: House, kind: Kind) -> None:
    way = house.ways[0]
    house.ways[0] = replace(way, transport=Dies(kind.transport))
    with pytest.raises(Killed):
        house.poll(T0, ALERT)
    house.ways[0] = way
    house.begin()
    house.poll(T0 + 30, over(ALERT, T0 + 20))
    assert [got.is_over for got in kind.got()] == [False, True]


def test_what_is_down_gets_it_when_it_is_back(house: House, kind: Kind) -> None:
    kind.set("down")
    for second in range(0, 300, 5):
        house.poll(T0 + second, ALERT)
    assert kind.got() == []
    waiting = house.line()
    assert waiting.outcome == "waiting"
    assert 3 < waiting.attempts < 12, "longer and longer pauses"
    kind.set("well")
    house.begin()
    house.poll(T0 + 30 * MINUTE, ALERT)
    assert len(kind.got()) == 1
    assert house.line().attempts == waiting.attempts + 1
    assert house.tell.events("error") == []


def test_what_refuses_is_not_asked_again_and_that_is_said_once(house: House, kind: Kind) -> None:
    kind.set("refusing")
    for second in range(0, 60, 5):
        house.poll(T0 + second, ALERT)
    assert house.line().outcome == "refused"
    assert house.line().attempts == 1
    assert house.tell.events("error") == ["alert_not_told"]
    kind.set("well")
    house.poll(T0 + HOUR, over(ALERT, T0 + HOUR))
    assert kind.got() == [], "who never had it needs not hear that it is over"


def test_what_stays_down_is_given_up_visibly(house: House, kind: Kind) -> None:
    kind.set("down")
    for hour in range(26):
        house.poll(T0 + hour * HOUR, ALERT)
    assert house.line().outcome == "given_up"
    assert house.line().reason
    assert house.tell.events("error") == ["alert_not_told"]


def test_no_secret_is_in_the_log_the_file_or_a_repr(house: House, kind: Kind) -> None:
    for how in ("down", "well", "refusing"):
        kind.set(how)
        one = replace(ALERT, alert_id=f"{len(how):02x}" * 16)
        house.poll(T0, one)
        house.poll(T0 + HOUR, over(one, T0 + HOUR))
        assert len(house.line().reason) > 1
    shown = [repr(house.courier), repr(house.ways), repr(kind.transport), repr(house.secrets)]
    shown += [json.dumps(fields) for _, _, fields in house.tell.lines]
    assert SECRET not in "".join(shown)
    assert SECRET.encode() not in (house.folder / FILE).read_bytes()
