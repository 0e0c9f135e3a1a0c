"""Sessions as other engines and real data have them, through the core: `../shared/data`, if it is there.

First whatever the oracle is held against (tests/test_oracle_peers.py), then cases that are about more than
sessions. Where we differ on purpose, the test says so and asserts how.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from schemas.entries import Entry
from schemas.journeys import Journey, Stage
from schemas.predicates import Compare
from tests import test_oracle_peers as peers
from tests.differences import assert_same
from tests.harness import expected, run_core
from tests.oracle import Rows, Settings
from tests.oracle_walk import Row
from tests.stories import SHOP
from tests.strategies import on

pytestmark = pytest.mark.skipif(not peers.DATA.exists(), reason="no PATHLINE_DATA and no ../shared/data")


def peers_tests() -> list[Any]:
    """Every test of the module, with every argument that it is given there."""
    found = []
    for name, test in inspect.getmembers(peers, inspect.isfunction):
        marks = getattr(test, "pytestmark", [])
        arguments = [(value,) for mark in marks for value in mark.args[1]] or [()]
        if name.startswith("test_"):
            found += [pytest.param(test, given, id="-".join([name, *given])) for given in arguments]
    return found


def core_rows(partitions: list[list[Row | None]], _: Sequence[Journey], settings: Settings) -> Rows:
    """In place of the oracle's `final_rows`: the same, once the core has said the same."""
    rows = run_core(partitions, (SHOP,), settings)
    assert_same(rows, expected(partitions, (SHOP,), settings))
    return rows


@pytest.mark.parametrize(("test", "arguments"), peers_tests())
def test_peers(
    test: Callable[..., None], arguments: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(test.__globals__, "final_rows", core_rows)
    test(*arguments)


SECOND = 1000
VISIT = Journey(
    "visit", 1, "visitor", (Stage("seen", 1, False, (Entry(Compare("event", "exists", True)),), None),), 1, ()
)


def told(events: Sequence[Sequence[Any]], *, passive: Sequence[str] = (), **settings: Any) -> Rows:
    """One visitor's (name, second, url) events, in that order."""
    records: list[Row | None] = [
        {
            "visitor_id": "a",
            "event_at": peers.START + second * SECOND,
            "event": name,
            "url": url[0] if url else "",
            "passive": name in passive,
        }
        for name, second, *url in events
    ]
    return run_core([records], (VISIT,), Settings(**({"allowed_lateness_ms": 10_000_000} | settings)))


def is_bounce(rows: Rows) -> bool:
    """By Plausible's word: a session, of one event."""
    return [session["events"] for session in rows.sessions] == [1]


def test_flink_windows_that_touch_merge() -> None:
    """A gap exactly as long as allowed: one session, as with us."""
    case = peers.case("flink-merge-touching")
    rows = told([("view", start) for start, _ in case["windows_in"]], gap_ms=SECOND)
    found = [
        [(row["started_at"] - peers.START) // SECOND, (row["ended_at"] - peers.START) // SECOND + 1]
        for row in rows.sessions
    ]
    assert sorted(found) == case["windows_out"]


def test_spark_drops_what_is_late_by_its_session_and_we_by_its_event() -> None:
    case = peers.case("spark-append-late-drop")
    lateness = case["watermark_delay"] * SECOND
    newest = [("view", 41)]
    late = [("view", second) for _, second in case["add_late"]]
    rows = told(newest + late, gap_ms=case["gap"] * SECOND, allowed_lateness_ms=lateness)
    assert len(rows.late) == case["expect_dropped"]
    # At 5 s a session would end at 15 s, which the watermark (11 s) has not passed: Spark keeps the event.
    assert len(told([*newest, ("view", 5)], allowed_lateness_ms=lateness).late) == 1


@pytest.mark.parametrize("name", ["plausible-counters", "plausible-out-of-order-duration"])
def test_plausible_counters(name: str) -> None:
    case = peers.case(name)
    (row,) = told(case["events"]).sessions
    assert row["ended_at"] - row["started_at"] == case["expect"]["duration"] * SECOND
    assert row["events"] == case["expect"].get("events", 2)


def test_a_heartbeat_is_no_activity_and_no_second_event() -> None:
    case = peers.case("plausible-heartbeat-not-activity")
    rows = told(case["events"], passive=["engagement"])
    (row,) = rows.sessions
    assert (is_bounce(rows), row["events"], row["ended_at"] - row["started_at"]) == (True, 1, 0)
    assert case["expect"] == {"is_bounce": True, "events": 1, "duration": 0, "pageviews": 1}


def test_heartbeats_extend_sessions_of_plausible_but_passive_events_none_of_ours() -> None:
    """A tab left open is not a visit: 80 minutes between two page views are two sessions."""
    case = peers.case("plausible-heartbeats-extend-but-do-not-count")
    assert case["expect"]["sessions"] == 1
    rows = told(case["events"], passive=["engagement"])
    assert [row["events"] for row in rows.sessions] == [1, 1]


def test_entry_and_exit_are_pages_with_plausible_and_addresses_of_any_event_with_us() -> None:
    case = peers.case("plausible-entry-exit-pages")
    (row,) = told(case["events"]).sessions
    assert row["events"] == case["expect"]["events"]
    assert (case["expect"]["entry_page"], case["expect"]["exit_page"]) == ("/path/2", "/path/3")
    assert (row["entry_url"], row["exit_url"]) == ("/path/1", "/path/4")


def test_bounces() -> None:
    """Of what Plausible calls non-interactive we say passive. A single click is a bounce with us: it is an
    event like a page view; and what is passive alone is no session, so no bounce.
    """
    matrix = peers.case("plausible-bounce-matrix")["matrix"]
    ours = {("custom:interactive",): True, ("custom:non-interactive",): False}
    ours[("custom:non-interactive", "custom:interactive")] = True
    for names, theirs in matrix:
        events = [(name, second) for second, name in enumerate(names)]
        rows = told(events, passive=["custom:non-interactive"])
        assert is_bounce(rows) == ours.get(tuple(names), theirs), names


def test_three_events_at_once_are_one_row() -> None:
    """Plausible rewrites the row twice with signs; ours has a version, and only the last needs be written."""
    case = peers.case("plausible-same-session-concurrency")
    (row,) = told(case["events"]).sessions
    assert row["events"] == case["expect_rows"][-1]["events"]
    assert row["version"] == 3 + 1  # and closed


def test_the_funnel_of_plausible() -> None:
    case = peers.case("plausible-funnel-dropoff")
    wanted = case["expect"]
    rules = (Compare("url", "prefix", "/go/to/blog/"), on("Signup"), Compare("url", "eq", "/checkout"))
    stages = tuple(Stage(f"s{rank}", rank, False, (Entry(rule),), None) for rank, rule in enumerate(rules, 1))
    records: list[Row | None] = [
        {
            "visitor_id": visitor,
            "event_at": peers.START + number,
            "event": "pageview" if what.startswith("/") else what,
            "url": what if what.startswith("/") else "",
        }
        for number, (visitor, what) in enumerate(case["events"])
    ]
    rows = run_core([records], (Journey("funnel", 1, "visitor", stages, 3, ()),))
    counts = {key[4]: counts for key, counts in rows.funnel.items()}
    entered = [
        sum(c["entered"] for key, c in rows.funnel.items() if key[4] == stage.name) for stage in stages
    ]
    left = [sum(c["abandoned"] for key, c in rows.funnel.items() if key[4] == stage.name) for stage in stages]
    assert counts.keys() == {"s1", "s2", "s3"}
    assert entered == wanted["visitors"]
    assert [0, *left[:-1]] == wanted["dropoff"]  # theirs stands at the step that was not reached
    assert len({row["visitor_id"] for row in rows.sessions}) == wanted["all_visitors"]
    assert sum(bool(row["journeys"]) for row in rows.sessions) == wanted["entering"]


def test_no_visits_no_rows() -> None:
    assert peers.case("plausible-funnel-zero-visits")["events"] == []
    rows = told([])
    assert (rows.sessions, rows.transitions, rows.funnel) == ([], [], {})
