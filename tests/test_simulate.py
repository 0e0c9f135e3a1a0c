"""The simulator's promises: the same bytes for a seed, disorder within bounds, and stories that come true."""

from __future__ import annotations

import itertools
import json
from collections import Counter, defaultdict
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import Any

import pytest

from pipeline.simulate import SHARES, Settings, simulate, story_of
from schemas.events import FIELDS
from schemas.journeys import load_journeys
from schemas.orders import USUAL
from tests.oracle import Rows, final_rows
from tests.oracle import Settings as Rules
from tests.oracle_objects import outcome

MINUTE = 60_000
HOUR = 60 * MINUTE
START = 1_767_261_600_000  # 2026-01-01 10:00
SMALL = Settings(seed=7, visitors=600, start_ms=START, duration_ms=3 * HOUR)
WHOLE = Settings(seed=7, visitors=1500, start_ms=START, duration_ms=3 * HOUR, finish=True)


def lines(settings: Settings) -> list[bytes]:
    return list(itertools.chain.from_iterable(simulate(settings)))


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def event_of(line: bytes) -> dict[str, Any]:
    """The canonical event, money in 1/10,000."""
    event: dict[str, Any] = json.loads(line)
    event["event_at"], event["received_at"] = ms(event["event_at"]), ms(event["received_at"])
    event["value"] = round(event.get("value", 0) * 10_000)
    return event


@cache
def whole() -> tuple[list[dict[str, Any]], Rows]:
    events = [event_of(line) for line in lines(WHOLE)]
    return events, final_rows([events], load_journeys(["checkout"]), Rules(orders=USUAL))


def told(story: str) -> list[list[dict[str, Any]]]:
    """For each shopper of a story, the sessions of all visitors that they were."""
    shoppers = defaultdict(list)
    for session in sorted(whole()[1].sessions, key=lambda row: row["started_at"]):
        if story_of(WHOLE, session["visitor_id"]) == story:
            shoppers[session["visitor_id"][:-1]].append(session)
    assert shoppers, f"nobody told {story}"
    return list(shoppers.values())


def outcomes(story: str) -> set[tuple[tuple[str, str], ...]]:
    """What became of the sessions of each shopper: outcome and, where there is one, the abandoned stage."""
    return {
        tuple(outcome(whole()[1], row, entry) for row in rows for entry in row["journeys"])
        for rows in told(story)
    }


def visitors(story: str) -> set[str]:
    return {row["visitor_id"] for rows in told(story) for row in rows}


def objects(story: str, kind: str) -> set[str]:
    """What became of the objects of a kind of these shoppers, in the end."""
    rows = whole()[1]
    later = {row["chain"]: row["state"] for row in rows.outcomes}
    mine = [row for row in rows.objects if row["kind"] == kind and row["visitor_id"] in visitors(story)]
    return {later.get(row["chain"], row["final_state"]) for row in mine}


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    assert lines(SMALL) == lines(SMALL)
    other = replace(SMALL, seed=8)
    assert not set(lines(SMALL)) & set(lines(other))


def test_smaller_chunks_cut_the_same_stream() -> None:
    fine = replace(SMALL, chunk_ms=1_000)
    chunks = list(simulate(fine))
    assert len(chunks) == 3 * 3_600
    assert list(itertools.chain.from_iterable(chunks)) == lines(SMALL)


def test_records_come_in_the_minute_of_their_arrival_and_in_order() -> None:
    settings = replace(SMALL, duplicates=0)
    chunks = list(simulate(settings))
    assert len(chunks) == 180
    for minute, chunk in enumerate(chunks):
        arrivals = [event_of(line)["received_at"] for line in chunk]
        assert arrivals == sorted(arrivals)
        assert all(START + minute * MINUTE <= at < START + (minute + 1) * MINUTE for at in arrivals)


def test_an_event_has_canonical_fields_only_and_an_id_of_its_own() -> None:
    events, rows = whole()
    assert {name for event in events for name in event} <= FIELDS.keys()
    distinct = set(lines(WHOLE))
    assert len({event["event_id"] for event in events}) == len(distinct)
    assert 0.005 < 1 - len(distinct) / len(events) < 0.02
    assert any(counts["duplicate"] for counts in rows.conservation.values())


def test_every_event_names_the_story_of_its_visitor() -> None:
    events, _ = whole()
    for event in events:
        assert event["properties"]["story"] == story_of(WHOLE, event["visitor_id"])
    assert {event["properties"]["story"] for event in events} == SHARES.keys()


def test_disorder_stays_below_nine_seconds_but_for_late_phones() -> None:
    newest = 0
    for event in whole()[0]:
        if event["properties"]["story"] != "late_phone":
            assert (
                newest - event["event_at"] < 9_000 + 8_000
            )  # a repeated record comes up to 8 s after the first
            assert 0 < event["received_at"] - event["event_at"] < 9_000
        newest = max(newest, event["event_at"])


def test_only_what_late_phones_send_is_late_and_all_of_them_are() -> None:
    events, rows = whole()
    late = [events[position - 1] for _, position in rows.late]
    assert {event["properties"]["story"] for event in late} == {"late_phone"}
    phones = {event["visitor_id"] for event in events if event["properties"]["story"] == "late_phone"}
    assert {event["visitor_id"] for event in late} == phones


@pytest.mark.parametrize(
    ("story", "expected"),
    [
        ("bounce", ("bounced", "")),
        ("browse", ("browsed", "")),
        ("abandon_cart", ("abandoned", "cart")),
        ("abandon_checkout", ("abandoned", "checkout")),
        ("abandon_payment", ("abandoned", "payment")),
        ("buy", ("converted", "")),
        ("hesitate", ("converted", "")),
        ("one_click", ("converted", "")),
        ("bot", ("browsed", "")),
    ],
)
def test_a_story_of_one_session_ends_as_it_says(story: str, expected: tuple[str, str]) -> None:
    assert outcomes(story) == {(expected,)}


def test_who_returns_abandons_and_buys_the_same_cart_the_next_day() -> None:
    assert outcomes("return") == {
        (("abandoned", "cart"), ("converted", "")),
        (("abandoned", "checkout"), ("converted", "")),
    }
    assert objects("return", "cart") == {"recovered"}
    carts = defaultdict(set)
    for event in whole()[0]:
        if event["properties"]["story"] == "return" and "cart_id" in event:
            carts[event["visitor_id"]].add(event["cart_id"])
    assert {len(own) for own in carts.values()} == {1}


def test_two_devices_are_two_visitors_and_one_person() -> None:
    assert outcomes("two_devices") == {(("abandoned", "cart"), ("converted", ""))}
    for phone, desktop in told("two_devices"):
        assert phone["visitor_id"] != desktop["visitor_id"]
        assert phone["person_id"] == desktop["person_id"] != phone["visitor_id"]
        assert (phone["device"], desktop["device"]) == ("mobile", "desktop")


def test_a_bounce_is_one_event_a_one_click_order_skips_and_bots_are_fast() -> None:
    assert {row["events"] for (row,) in told("bounce")} == {1}
    assert {row["journeys"][0]["path"] for (row,) in told("one_click")} == {"view>order"}
    for (row,) in told("bot"):
        assert row["events"] >= 24
        assert row["ended_at"] - row["started_at"] < row["events"] * 1_500


def test_who_hesitates_is_at_risk_and_buys_in_the_end() -> None:
    assert objects("hesitate", "checkout") == {"completed"}
    rows = whole()[1]
    paused = [
        row for row in rows.objects if row["kind"] == "checkout" and row["visitor_id"] in visitors("hesitate")
    ]
    assert len(paused) >= len(told("hesitate"))
    assert all(row["resolved_at"] - row["opened_at"] > 10 * MINUTE for row in paused)


def test_poison_comes_beside_the_good_records_and_takes_nothing_away() -> None:
    clean = replace(SMALL, duplicates=0)
    dirty = replace(clean, poison=0.1)
    good, both = Counter(lines(clean)), Counter(lines(dirty))
    assert good <= both
    poison = both - good
    assert 0.07 < poison.total() / good.total() < 0.13
    assert not any(map(is_event, poison))


def is_event(line: bytes) -> bool:
    """Whether a record could be one, judged naively."""
    try:
        event = json.loads(line)
        return isinstance(event["event"], str) and event["visitor_id"] > "" and event["event_at"] >= "2000"
    except (ValueError, KeyError):
        return False


def test_all_visitors_come_and_more_of_them_in_the_evening() -> None:
    settings = Settings(seed=1, visitors=3_000, start_ms=START, duration_ms=24 * HOUR, stories={"bounce": 1})
    visitors = [event_of(line) for line in lines(settings)]
    assert len({event["visitor_id"] for event in visitors}) == pytest.approx(3_000, abs=1)
    hours = Counter(event["event_at"] // HOUR % 24 for event in visitors)
    assert hours[20] > 5 * hours[3]


def test_what_lies_far_ahead_is_told_again_when_due_and_once() -> None:
    only = {"return": 1.0}
    cut = Settings(seed=1, visitors=40, start_ms=START, duration_ms=HOUR, stories=only, duplicates=0)
    settings = replace(cut, finish=True)
    chunks = list(simulate(settings))
    assert len(chunks) > 20 * 60
    ids = [event_of(line)["event_id"] for line in itertools.chain.from_iterable(chunks)]
    assert len(ids) == len(set(ids))
    purchases = [line for chunk in chunks for line in chunk if b'"purchase"' in line]
    assert len(purchases) == 40
    assert len(list(simulate(cut))) == 60


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"stories": {"bargain": 1.0}}, "no story is called bargain"),
        ({"stories": {}}, "one above 0"),
        ({"stories": {"buy": 2.0, "bot": -1.0}}, "not negative"),
        ({"site": 'a"b'}, "part of a host name"),
        ({"chunk_ms": 7_000}, "must divide 60000"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Settings(seed=1, visitors=1, start_ms=START, duration_ms=HOUR, **wrong)
