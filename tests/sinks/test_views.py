"""The contract of database bi: columns, plain types, comments, and what they say about rows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from sinks.clickhouse.query import Reader
from sinks.clickhouse.writer import ClickHouseSink
from tests.sinks.places import OURS
from tests.sinks.rows import (
    EPOCH,
    SAMPLES,
    alert,
    at,
    batch,
    conserved,
    dims,
    event,
    fresh,
    journey,
    minute,
    order,
    session,
    set_aside,
    thing,
    transition,
)

DIMS = "device, channel, source, medium, campaign, country"
CONTRACT = {
    "sessions": "site, visitor_id, person_id, session_id, started_at, ended_at, duration_seconds, events, "
    f"entry_url, exit_url, orders, value, currency, {DIMS}, is_bot",
    "session_stages": "site, journey, journey_version, visitor_id, person_id, session_id, started_at, "
    "ended_at, events, entry_stage, furthest_stage, furthest_rank, outcome, abandoned_stage, path, value, "
    f"currency, {DIMS}",
    "transitions": "site, journey, journey_version, visitor_id, person_id, session_id, sequence, at, time, "
    "from_stage, from_rank, to_stage, to_rank, kind, skipped, seconds_in_stage, event_id, value, currency, "
    f"{DIMS}",
    "stage_visits": "site, journey, journey_version, visitor_id, person_id, session_id, stage, rank, "
    f"entered_at, left_at, deadline_at, left_by, settled, seconds, {DIMS}",
    "funnel_minute": "site, journey, journey_version, time, stage, rank, device, channel, currency, entered, "
    "advanced, abandoned, recovered, voided, converted, value",
    "dropoff": "site, journey, journey_version, time, stage, rank, device, channel, entered, open, settled, "
    "advanced, dropped, dropoff_rate",
    "late_events": "reason, source, partition, position, event_at, received_at, payload, headers",
    "rejected_events": "reason, source, partition, position, event_at, received_at, payload, headers",
    "conservation": "time, source, partition, received, accepted, duplicate, late, rejected, filtered, "
    "balance",
    "freshness": "site, source, partition, watermark, complete_until, lag_seconds",
    "abandonments": "site, journey, journey_version, visitor_id, person_id, session_id, object_id, kind, "
    "stage, state, final_state, opened_at, deadline_at, abandoned_at, resolved_at, successor_id, products, "
    f"value_at_risk, recovered_value, currency, {DIMS}",
    "abandonment_rates": "site, journey, journey_version, time, kind, device, channel, currency, created, "
    "open, settled, completed, withdrawn, abandoned, recovered, rate_at_deadline, rate_after_recovery",
    "orders": "site, order_id, visitor_id, person_id, session_id, at, value, currency, products, "
    f"order_number, refunded, {DIMS}",
    "unknown_events": "source, partition, event, events",
    "limits": "limit, place, hits, meaning, remedy",
    "incidents": "kind, source, partition, first, until, records, found_at, meaning, remedy",
    **dict.fromkeys(
        ("alerts", "alert_changes"),
        "alert_id, site, journey, journey_version, rule, stage, scope, state, started_at, detected_at, "
        "resolved_at, observed, expected, low, high, entrants, lost_orders, lost_orders_low, "
        "lost_orders_high, lost_value, lost_value_low, lost_value_high, cause, verdict, severity",
    ),
    "split_visitors": "site, visitor_id, partitions, sessions, first_at, last_at",
    "active_versions": "journey, version",
    "stages": "journey, journey_version, rank, stage, is_optional, is_conversion, has_objects",
    "paths": "site, journey, journey_version, day, step, from_stage, to_stage, sessions",
    "stage_times": "site, journey, journey_version, day, stage, rank, device, channel, left, left_p50, "
    "left_p90, left_p99, given_up, given_up_p50, open, open_p50, open_p90",
    **dict.fromkeys(
        ("funnel_hour", "funnel_day"),
        f"site, journey, journey_version, time, stage, rank, {DIMS}, currency, entered, advanced, abandoned, "
        "recovered, voided, converted, value, visitors, seconds_p50, seconds_p90, seconds_p99",
    ),
    "events": "site, visitor_id, at, time, received_at, event, event_id, user_id, url, referrer, "
    f"{DIMS}, cart_id, order_id, products, quantity, value, currency, is_passive, properties, "
    "is_clock_skewed, is_bad_value, input, partition, position",
}
CONTRACT |= {f"{view}_all": columns for view, columns in CONTRACT.items() if "journey_version" in columns}
PLAIN = re.compile(
    r"String|U?Int\d+|Float64|Decimal\(38, 4\)|Date|DateTime\('UTC'\)|DateTime64\(3, 'UTC'\)|Array\(String\)"
)
MAY_BE_MISSING = {
    "left_at", "deadline_at", "abandoned_at", "resolved_at", "event_at", "received_at", "dropoff_rate",
    "left_p50", "left_p90", "left_p99", "given_up_p50", "open_p50", "open_p90",
    "seconds_p50", "seconds_p90", "seconds_p99",
    "rate_at_deadline", "rate_after_recovery", "value_rate_at_deadline", "value_rate_after_recovery",
}  # fmt: skip

ENTERED = at("2024-05-01T10:00:00.500")
CART = at("2024-05-01T10:01:02.000")
START_SECOND = at("2024-05-01T10:00:00")
LEFT = at("2024-05-01T11:01:02.000")
PHONE, DESKTOP = {"device": "phone"}, {"device": "desktop"}

WON = session(
    1,
    [
        journey(
            furthest_stage="pay",
            furthest_rank=3,
            outcome="converted",
            path="view>pay",
            value_e4=199_900,
            visit_stage="pay",
            visit_rank=3,
            visit_entered_at=CART,
            visit_left_at=CART,
            visit_left_by="converted",
            visit_settled=True,
        )
    ],
    started_at=ENTERED,
    ended_at=CART,
    orders=1,
    value_e4=199_900,
    is_closed=True,
    version=2,
)
LOST = session(
    2,
    [
        journey(
            visit_entered_at=ENTERED,
            visit_left_at=LEFT,
            visit_deadline_at=LEFT,
            visit_left_by="abandoned",
            visit_settled=True,
            outcome="abandoned",
            abandoned_stage="view",
        )
    ],
)
OPEN = session(3, [journey(visit_entered_at=ENTERED)], ended_at=CART, is_bot=True)
BROWSER = session(4, [])
NOON = at("2024-05-01T12:00:00")
FRESHLY_OPEN = session(5, [journey(visit_entered_at=NOON)], started_at=NOON, ended_at=NOON)
SPLIT = [session(number, [], visitor_id="v6", partition=number - 6) for number in (6, 9)]


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    sink = ClickHouseSink(f"chdb://{tmp_path_factory.mktemp('views') / 'db'}")
    sink.open(OURS)
    _fill(sink)
    _fill(sink)  # separate inserts, everything twice: a view that forgot FINAL would show it
    sink.settle()
    reader = sink.reader()
    yield reader
    reader.close()
    sink.close()


def _fill(sink: ClickHouseSink) -> None:
    advance = transition(
        1, 2, at=CART, from_stage="view", from_rank=1, to_stage="pay", to_rank=3, kind="skip",
        skipped="cart>form", from_entered_at=ENTERED, value_e4=199_900, **DESKTOP, **dims("from_", **PHONE),
    )  # fmt: skip
    blocks: dict[str, list[list[dict[str, Any]]]] = {
        "sessions": [
            [session(1, version=1, events=7)], [WON, LOST, OPEN, BROWSER], [FRESHLY_OPEN], SPLIT,
        ],
        "transitions": [[transition(1, 1, at=ENTERED)], [advance], [transition(2, 1), transition(3, 1)]],
        "funnel_minute": [
            [minute(entered=2, value_e4=5)], [minute(entered=3, value_e4=10_000)],
            [minute(shard=1, entered=4, converted=1, value_e4=1)],
        ],
        "conservation": [[conserved(received=3, accepted=2)], [conserved(received=5, accepted=4, late=1)]],
        "late_events": [[set_aside(7, reason="late", event_at=CART, payload=b"{\xff}")]],
        "rejected_events": [[set_aside(8, received_at=None)]],
        "freshness": [
            [fresh(watermark=LEFT, updated_at=LEFT)], [fresh(partition=1, watermark=CART)], [fresh()],
        ],
        "orders": [[order(1, session_id=WON["session_id"], value_e4=199_900)]],
        "objects": [[thing(9)]],
        "limits": [[SAMPLES["limits"]]],
        "incidents": [[SAMPLES["incidents"]]],
        "alerts": [[alert()], [alert(2, state="resolved", resolved_at=at("2024-05-01T11:00:00"))]],
        "active_versions": [[{"journey": "shop", "version": 1}]],
        "stages": [[SAMPLES["stages"]]],
        "unknown_events": [[{"source": "clicks", "partition": 0, "event": "scroll", "events": 3}]],
        "events": [[event(1, event_at=ENTERED, flags=1)], [event(2, event_at=CART, flags=2, passive=True)]],
    }  # fmt: skip
    for table, parts in blocks.items():
        for part in parts:
            sink.write(table, batch(table, part))


def ask(reader: Reader, sql: str) -> list[dict[str, Any]]:
    return list(reader.query(sql).to_pylist())


@pytest.mark.parametrize("view", CONTRACT)
def test_a_view_has_the_columns_of_the_contract_in_order(reader: Reader, view: str) -> None:
    wanted = CONTRACT[view].split(", ")
    columns = ask(
        reader,
        "SELECT name, type, comment FROM system.columns "
        f"WHERE database = 'bi' AND table = '{view}' ORDER BY position",
    )
    assert [column["name"] for column in columns][: len(wanted)] == wanted
    for column in columns:
        type_ = column["type"]
        if column["name"] in MAY_BE_MISSING:
            assert type_.startswith("Nullable("), column
            type_ = type_.removeprefix("Nullable(").removesuffix(")")
        assert PLAIN.fullmatch(type_), column
        assert len(column["comment"]) > 5, column
    comment = ask(reader, f"SELECT comment FROM system.tables WHERE database = 'bi' AND name = '{view}'")
    assert len(comment[0]["comment"]) > 20


@pytest.mark.parametrize("view", CONTRACT)
def test_the_values_have_the_types_that_the_view_declares(reader: Reader, view: str) -> None:
    declared = ask(
        reader, f"SELECT name, type FROM system.columns WHERE database = 'bi' AND table = '{view}'"
    )
    types = ", ".join(f"toTypeName({column['name']}) AS {column['name']}" for column in declared)
    found = ask(reader, f"SELECT {types} FROM bi.{view} LIMIT 1")
    assert found == [{column["name"]: column["type"] for column in declared}]


def test_there_is_no_view_outside_the_contract(reader: Reader) -> None:
    found = {row["name"] for row in ask(reader, "SELECT name FROM system.tables WHERE database = 'bi'")}
    assert found == set(CONTRACT)


def test_sessions_once_each_with_money_and_hex_ids(reader: Reader) -> None:
    rows = ask(reader, "SELECT * FROM bi.sessions ORDER BY visitor_id")
    assert [row["visitor_id"] for row in rows] == ["v1", "v2", "v3", "v4", "v5", "v6", "v6"]
    won = rows[0]
    assert won["session_id"] == f"{1:032x}"
    assert (won["value"], won["orders"], won["events"]) == (Decimal("19.9900"), 1, 1)
    assert won["duration_seconds"] == pytest.approx(61.5)
    assert (won["started_at"], won["ended_at"]) == (ENTERED.replace(microsecond=0), CART)
    assert [row["is_bot"] for row in rows] == [0, 0, 1, 0, 0, 0, 0]


def test_session_stages_one_row_per_journey(reader: Reader) -> None:
    rows = ask(reader, "SELECT * FROM bi.session_stages ORDER BY visitor_id")
    assert [(row["visitor_id"], row["outcome"], row["path"]) for row in rows] == [
        ("v1", "converted", ["view", "pay"]),
        ("v2", "abandoned", ["view"]),
        ("v3", "open", ["view"]),
        ("v5", "open", ["view"]),
    ]
    assert rows[0]["value"] == Decimal("19.9900")


def test_transitions_tell_the_time_in_the_stage_left(reader: Reader) -> None:
    first, second = ask(reader, "SELECT * FROM bi.transitions WHERE visitor_id = 'v1' ORDER BY sequence")
    assert (first["seconds_in_stage"], first["skipped"]) == (0.0, [])
    assert (second["seconds_in_stage"], second["skipped"]) == (61.5, ["cart", "form"])
    assert (second["at"], second["value"], second["device"]) == (CART, Decimal("19.9900"), "desktop")


def test_stage_visits_are_every_stay_once(reader: Reader) -> None:
    rows = ask(reader, "SELECT * FROM bi.stage_visits ORDER BY visitor_id, rank")
    told = [
        (row["visitor_id"], row["stage"], row["left_by"], row["settled"], row["seconds"], row["left_at"])
        for row in rows
    ]
    assert told == [
        ("v1", "view", "advanced", 1, 61.5, CART),
        ("v1", "pay", "converted", 1, 0.0, CART),
        ("v2", "view", "abandoned", 1, 3661.5, LEFT),
        ("v3", "view", "open", 0, 61.5, None),
        ("v5", "view", "open", 0, 0.0, None),
    ]
    assert [row["deadline_at"] for row in rows] == [None, None, LEFT, None, None]
    assert [row["device"] for row in rows] == ["phone", "", "", "", ""]
    assert EPOCH not in {row["entered_at"] for row in rows}


def test_dropoff_counts_the_open_ones_apart_and_knows_no_rate_of_nothing(reader: Reader) -> None:
    rows = ask(reader, "SELECT * FROM bi.dropoff WHERE settled > 0 ORDER BY rank, device DESC")
    told = [
        tuple(row[name] for name in ("stage", "device", "entered", "open", "settled", "advanced", "dropped"))
        for row in rows
    ]
    assert told == [
        ("view", "phone", 1, 0, 1, 1, 0),
        ("view", "", 2, 1, 1, 0, 1),
        ("pay", "", 1, 0, 1, 1, 0),
    ]
    assert [row["dropoff_rate"] for row in rows] == [0.0, 1.0, 0.0]
    assert {row["time"] for row in rows} == {at("2024-05-01T10:00:00")}


def test_dropoff_without_anything_settled_has_no_rate(reader: Reader) -> None:
    (row,) = ask(reader, "SELECT * FROM bi.dropoff WHERE time = '2024-05-01 12:00:00'")
    assert (row["entered"], row["open"], row["settled"], row["dropoff_rate"]) == (1, 1, 0, None)


def test_funnel_minute_takes_the_highest_and_adds_the_shards(reader: Reader) -> None:
    (row,) = ask(reader, "SELECT * FROM bi.funnel_minute")
    assert (row["entered"], row["converted"], row["rank"], row["value"]) == (7, 1, 1, Decimal("1.0001"))


def test_conservation_balances(reader: Reader) -> None:
    (row,) = ask(reader, "SELECT * FROM bi.conservation")
    assert (row["received"], row["accepted"], row["late"], row["balance"]) == (5, 4, 1, 0)


def test_a_visitor_in_two_partitions_is_told(reader: Reader) -> None:
    (row,) = ask(reader, "SELECT * FROM bi.split_visitors")
    assert (row["visitor_id"], list(row["partitions"]), row["sessions"]) == ("v6", ["0", "3"], 2)


def test_records_set_aside_show_their_text(reader: Reader) -> None:
    (late,) = ask(reader, "SELECT * FROM bi.late_events")
    assert (late["position"], late["event_at"], late["payload"]) == (7, CART, "{\ufffd}")
    (rejected,) = ask(reader, "SELECT * FROM bi.rejected_events")
    assert (rejected["reason"], rejected["event_at"], rejected["received_at"]) == ("not_json", None, None)


def test_events_once_each_with_money_and_flags_spelled_out(reader: Reader) -> None:
    first, second = ask(reader, "SELECT * FROM bi.events WHERE visitor_id = 'v1' ORDER BY at")
    assert (first["at"], first["time"], first["received_at"]) == (ENTERED, START_SECOND, None)
    assert (list(first["products"]), first["properties"]) == (["p1", "p2"], '{"colour":"red"}')
    assert first["value"] == Decimal("19.9900")
    told = [(row["is_clock_skewed"], row["is_bad_value"], row["is_passive"]) for row in (first, second)]
    assert told == [(1, 0, 0), (0, 1, 1)]


def test_freshness_is_complete_where_the_last_partition_is(reader: Reader) -> None:
    rows = ask(reader, "SELECT * FROM bi.freshness ORDER BY partition")
    assert [row["watermark"] for row in rows] == [LEFT, CART]
    assert {row["complete_until"] for row in rows} == {CART}
    assert all(row["lag_seconds"] > 0 for row in rows)
    assert all(isinstance(row["lag_seconds"], int) for row in rows)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count() FROM bi.sessions WHERE started_at >= '2030-01-01 00:00:00'",
        "SELECT count() FROM bi.session_stages WHERE started_at >= '2030-01-01 00:00:00'",
        "SELECT count() FROM bi.session_stages_all WHERE started_at >= '2030-01-01 00:00:00'",
        "SELECT count() FROM bi.stage_visits WHERE stored_time >= '2030-01-01 00:00:00'",
        "SELECT count() FROM bi.transitions WHERE time >= '2030-01-01 00:00:00' AND site = 'shop'",
        "SELECT count() FROM bi.transitions_all WHERE time >= '2030-01-01 00:00:00'",
        "SELECT sum(entered) FROM bi.funnel_minute WHERE time >= '2030-01-01 00:00:00'",
        "SELECT count() FROM bi.abandonments WHERE opened_at >= '2030-01-01 00:00:00'",
        "SELECT sum(created) FROM bi.abandonment_rates_all WHERE time >= '2030-01-01 00:00:00'",
        "SELECT count() FROM bi.events WHERE time >= '2030-01-01 00:00:00'",
        "SELECT count() FROM bi.events WHERE at >= '2030-01-01 00:00:00'",
    ],
)
def test_a_filter_on_time_reaches_the_partitions(reader: Reader, sql: str) -> None:
    plan = "\n".join(str(row["explain"]) for row in ask(reader, f"EXPLAIN indexes = 1 {sql}"))
    assert re.search(r"Min-?Max.*?Parts: 0/\d+", plan, re.DOTALL), plan


def test_views_read_by_the_right_of_their_definer(reader: Reader) -> None:
    for view in CONTRACT:
        (row,) = ask(reader, f"SHOW CREATE VIEW bi.{view}")
        assert "SQL SECURITY DEFINER" in str(row)
