"""The oracle's sessions against those of other engines and of real data: `../shared/data`, if it is there."""

from __future__ import annotations

import csv
import gzip
import json
import os
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.oracle import Settings, final_rows

DATA = Path(os.environ.get("PATHLINE_DATA", Path(__file__).parents[2] / "shared" / "data"))
pytestmark = pytest.mark.skipif(not DATA.exists(), reason="no PATHLINE_DATA and no ../shared/data")

START = 1_767_225_600_000
Session = tuple[str, int, int, int]  # visitor, start, end, events


def sessions(events: Sequence[tuple[str, int]], gap: int) -> list[Session]:
    """The oracle's sessions of (visitor, time) pairs, in whatever order; a time is in ms after START."""
    records = [{"visitor_id": visitor, "event_at": START + at, "event": "view"} for visitor, at in events]
    disorder_max = max(at for _, at in events) - min(at for _, at in events)
    rows = final_rows([records], (), Settings(gap_ms=gap, allowed_lateness_ms=disorder_max))
    return sorted(
        (row["visitor_id"], row["started_at"] - START, row["ended_at"] - START, row["events"])
        for row in rows.sessions
    )


def case(name: str) -> dict[str, Any]:
    cases: list[dict[str, Any]] = json.loads((DATA / "session_cases.json").read_text())["cases"]
    (found,) = (case for case in cases if case["id"] == name)
    return found


def seconds(clock: str) -> int:
    hours, minutes, rest = map(int, clock.split(":"))
    return hours * 3600 + minutes * 60 + rest


@pytest.mark.parametrize("name", ["beam-consecutive", "beam-merging-out-of-order", "beam-timeunit"])
def test_beam(name: str) -> None:
    """Beam's windows end a gap after the last event; ours end with it."""
    told = case(name)
    expected = [("a", min(own), max(own), len(own)) for _, _, own in told["sessions"]]
    assert sessions([("a", at) for at in told["events"]], told["gap"]) == expected


def test_beam_differs_where_the_gap_is_exact() -> None:
    """Beam starts a new session at a gap of exactly the gap; we, Flink, Spark and Bytewax do not."""
    told = case("beam-simple")
    assert len(told["sessions"]) == 3
    assert sessions([("a", at) for at in told["events"]], told["gap"]) == [
        ("a", 0, 10, 2),
        ("a", 101, 101, 1),
    ]


def test_bytewax_exact_gap() -> None:
    told = case("bytewax-exact-gap")
    expected = [("a", seconds(start), seconds(end), events) for start, end, events in told["sessions"]]
    assert sessions([("a", seconds(at)) for at in told["events"]], told["gap"]) == expected


def test_spark_out_of_order_merge() -> None:
    """What Spark says once the late events have joined its sessions, with the gap off its ends."""
    told = case("spark-complete-out-of-order-merge")
    steps = told["steps"]
    final = [row for step in steps[2:] for row in step.get("expect", []) + step.get("expect_added", [])]
    expected = {(key, start, end - told["gap"], events) for key, start, end, _, events in final}
    found = sessions([(key, at) for step in steps for key, at in step["add"]], told["gap"])
    assert ("spark", 25, 40, 3) in expected
    assert expected <= set(found)


def test_risingwave() -> None:
    told = case("risingwave-10min")
    expected = sorted(
        (str(user), seconds(start), seconds(end), events) for user, start, end, events in told["sessions"]
    )
    assert sessions([(str(user), seconds(at)) for at, user in told["events"]], told["gap"]) == expected


def test_duckdb() -> None:
    told = case("duckdb-behavioral-30min")
    found = sessions([("a", seconds(at)) for at in told["events"]], told["gap"])
    assert [events for *_, events in found] == list(Counter(told["session_index"]).values())


def test_half_a_year_of_a_shop_has_the_sessions_that_the_shop_says() -> None:
    """31,106 events of 600 users; the shop's own session ids are 30-minute gaps to the letter."""
    with gzip.open(DATA / "ecom" / "ecom.csv.gz", "rt") as file:
        rows = list(csv.DictReader(file))
    events = [(row["user_id"], moment(row["timestamp"])) for row in rows]
    told: dict[str, list[tuple[str, int]]] = {}
    for row, event in zip(rows, events, strict=True):
        told.setdefault(row["session_id"], []).append(event)
    expected = sorted((own[0][0], min(own)[1], max(own)[1], len(own)) for own in told.values())
    assert sessions(events, 30 * 60_000) == expected
    assert len(expected) == 3605


def moment(text: str) -> int:
    return round(datetime.fromisoformat(text + "+00:00").timestamp() * 1000) - START
