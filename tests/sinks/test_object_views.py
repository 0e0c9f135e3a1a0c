"""What the views say of objects and orders, and how outcomes and stays wait for them."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from sinks.clickhouse.query import Reader
from sinks.clickhouse.writer import ClickHouseSink
from tests.sinks.places import OURS
from tests.sinks.rows import (
    EPOCH,
    at,
    batch,
    became,
    journey,
    order,
    order_change,
    session,
    thing,
    took_part,
)

DAY, LATER = at("2024-05-01T00:00:00"), at("2024-05-01T11:00:00")


def left(number: int, outcome: str = "browsed", *, closed: bool = True) -> dict[str, Any]:
    """A session that is over in its first stage."""
    entry = journey(
        outcome=outcome if closed else "open",
        visit_left_at=LATER if closed else EPOCH,
        visit_left_by="abandoned" if closed else "open",
        visit_settled=closed,
    )
    return session(number, [entry], is_closed=closed, events=2)


SESSIONS = [left(number) for number in range(1, 8)] + [left(8, closed=False), left(9, "bounced"), left(10)]
"""By number: what became of the chain of the same number says how they ended."""
CHAINS = {  # of the chain: its state, and what follow found out
    1: ("open", ""),
    2: ("completed", ""),
    3: ("abandoned", ""),
    4: ("abandoned", "void"),
    5: ("abandoned", "recovered"),
    6: ("withdrawn", ""),
    8: ("abandoned", "expired"),
    10: ("forgotten", ""),
}


def chain(number: int, state: str) -> list[dict[str, Any]]:
    """A cart that a checkout superseded, and that checkout."""
    last = (100 + number).to_bytes(16, "big")
    ended = {} if state == "open" else {"resolved_at": LATER, "final_state": state}
    cart = {"state": "superseded", "successor_id": last, "resolved_at": LATER, "final_state": state}
    lost = {"abandoned_at": LATER} if state == "abandoned" else {}
    return [
        thing(number, **cart, version=2),
        thing(number, version=1),
        thing(number, object_id=last, kind="checkout", state=state, **ended, **lost),
    ]


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    sink = ClickHouseSink(f"chdb://{tmp_path_factory.mktemp('views') / 'db'}")
    sink.open(OURS)
    for _ in range(2):  # everything twice: a view that forgot FINAL would show it
        _fill(sink)
    reader = sink.reader()
    yield reader
    reader.close()
    sink.close()


def _fill(sink: ClickHouseSink) -> None:
    ended = [number for number, (state, _) in CHAINS.items() if state not in ("open", "forgotten")]
    outcomes = [
        became(
            number,
            state=state,
            order_id="o9",
            recovered_value_e4=50_000 * (state == "recovered"),
            currency="EUR",
        )
        for number, (_, state) in CHAINS.items()
        if state
    ]
    tables: dict[str, list[dict[str, Any]]] = {
        "sessions": SESSIONS,
        "objects": [row for number, (state, _) in CHAINS.items() for row in chain(number, state)],
        "participations": [took_part(number) for number in CHAINS]
        + [took_part(number, state=CHAINS[number][0], stage="form", rank=2, version=2) for number in ended],
        "outcomes": outcomes,
        "orders": [
            order(1, session_id=SESSIONS[0]["session_id"]),
            order(2, session_id=SESSIONS[0]["session_id"], at=LATER, currency="USD"),
            order(3, session_id=SESSIONS[0]["session_id"], at=LATER, value_e4=55),
            order(4, at=LATER),
        ],
        "order_changes": [
            order_change(1), order_change(1, partition=1, value_e4=90_000), order_change(2, value_e4=0),
            order_change(3, value_e4=60), order_change(4, kind="cancelled"),
        ],
    }  # fmt: skip
    for table, rows in tables.items():
        sink.write(table, batch(table, rows))


def ask(reader: Reader, sql: str) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in reader.query(sql).to_pylist()]


def test_a_session_ends_as_its_objects_do(reader: Reader) -> None:
    """1 waits, 2 was ordered, 3 was abandoned, 4 not, 5 was recovered too late for its outcome, 6 was
    withdrawn, 7 and 9 had none, 8 is still open; that of 10 was forgotten, so that nobody knows.
    """
    told = ask(
        reader, "SELECT visitor_id, outcome, abandoned_stage FROM bi.session_stages ORDER BY visitor_id"
    )
    assert told == [
        ("v1", "open", ""),
        ("v10", "open", ""),
        ("v2", "converted", ""),
        ("v3", "abandoned", "form"),
        ("v4", "converted", ""),
        ("v5", "abandoned", "form"),
        ("v6", "browsed", ""),
        ("v7", "browsed", ""),
        ("v8", "open", ""),
        ("v9", "bounced", ""),
    ]


def test_so_do_its_last_stay_and_the_dropoff(reader: Reader) -> None:
    told = ask(
        reader, "SELECT visitor_id, left_by, settled, left_at FROM bi.stage_visits ORDER BY visitor_id"
    )
    assert [row[1] for row in told] == [
        "open", "open", "converted", "abandoned", "converted", "abandoned", "abandoned", "abandoned", "open",
        "abandoned",
    ]  # fmt: skip
    assert [row[2] for row in told] == [int(row[1] != "open") for row in told]
    assert [row[3] is None for row in told] == [row[1] == "open" for row in told]
    (row,) = ask(reader, "SELECT entered, open, settled, advanced, dropped FROM bi.dropoff")
    assert row == (10, 3, 7, 2, 5)


def test_a_superseded_object_ends_as_the_last_of_its_chain(reader: Reader) -> None:
    told = ask(
        reader,
        "SELECT visitor_id, kind, state, final_state FROM bi.abandonments "
        "ORDER BY toUInt8(substring(visitor_id, 2)), kind",
    )
    finals = ["open", "completed", "abandoned", "void", "recovered", "withdrawn", "expired", "open"]
    visitors = [f"v{number}" for number in CHAINS]
    wanted = []
    for visitor, final in zip(visitors, finals, strict=True):
        wanted += [(visitor, "cart", "superseded", final), (visitor, "checkout", final, final)]
    assert told == wanted


def test_what_was_forgotten_says_so(reader: Reader) -> None:
    told = ask(
        reader, "SELECT visitor_id, kind, resolved_at FROM bi.abandonments WHERE is_evicted ORDER BY kind"
    )
    assert told == [("v10", "cart", LATER), ("v10", "checkout", LATER)]


def test_rates_count_it_at_its_own_kind_and_never_the_undecided(reader: Reader) -> None:
    names = "kind, created, open, settled, completed, withdrawn, abandoned, recovered"
    told = ask(reader, f"SELECT {names} FROM bi.abandonment_rates ORDER BY kind")
    assert told == [("cart", 8, 2, 6, 2, 1, 3, 1), ("checkout", 8, 2, 6, 2, 1, 3, 1)]
    rates = ask(
        reader, "SELECT rate_at_deadline, rate_after_recovery FROM bi.abandonment_rates WHERE kind = 'cart'"
    )
    assert rates == [(pytest.approx(4 / 6), pytest.approx(3 / 6))]
    values = ask(
        reader, "SELECT value_settled, value_abandoned, value_recovered FROM bi.abandonment_rates LIMIT 1"
    )
    assert values == [(Decimal("119.94"), Decimal("59.97"), Decimal("19.99"))]


def test_orders_once_each_with_what_was_taken_back(reader: Reader) -> None:
    told = ask(
        reader,
        "SELECT order_id, value, refunded, is_cancelled, order_number FROM bi.orders ORDER BY order_id",
    )
    assert told == [
        ("o1", Decimal(10), Decimal(1), 0, 1),
        ("o2", Decimal(10), Decimal(10), 0, 2),
        ("o3", Decimal("0.0055"), Decimal("0.0055"), 0, 3),
        ("o4", Decimal(10), Decimal(10), 1, 4),
    ]
    assert ask(reader, "SELECT count() FROM bi.orders WHERE session_id = ''") == [(1,)]


def test_a_session_shows_the_value_of_its_orders_in_one_currency(reader: Reader) -> None:
    told = ask(reader, "SELECT orders, value, currency FROM bi.sessions WHERE visitor_id = 'v1'")
    assert told == [(3, Decimal("10.0055"), "EUR")]
    assert ask(reader, "SELECT orders, value, currency FROM bi.sessions WHERE visitor_id = 'v2'") == [
        (0, Decimal(0), "")
    ]
    assert ask(reader, "SELECT DISTINCT toDate(time) FROM bi.abandonment_rates") == [(DAY.date(),)]
