"""An order counts once a year, whoever tells of it and however its records come; of too many the oldest are
forgotten, and that is counted.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.orders.orders import CLAIM, REPEAT_WINDOW_MS, Decided, Orders
from pipeline.core.snapshot import pack, unpack

MINUTE = 60_000
DAY = 24 * 60 * MINUTE
END = np.iinfo(np.int64).max

Claim = tuple[int, int, int, int]
"""Time, order, partition and position; even orders are of visitors in shard 0, odd ones in shard 1."""


def decide(orders: Orders, claims: Sequence[Claim], watermark: int = END) -> set[tuple[int, int, int]]:
    """The repeats among what is decided now: (time, partition, position)."""
    rows = [(at, order, position, partition, order % 2) for at, order, partition, position in claims]
    return repeats(orders.apply([np.array(rows, CLAIM)] if rows else [], watermark))


def repeats(decided: Decided) -> set[tuple[int, int, int]]:
    told = [row for rows in decided.repeats.values() for row in rows.tolist()]
    assert len(set(told)) == len(told)
    return {(at, partition, position) for at, position, partition in told}


def at(*times: int, order: int = 1) -> list[Claim]:
    return [(time, order, 0, position) for position, time in enumerate(times)]


def test_after_365_days_the_same_number_is_another_order() -> None:
    year = REPEAT_WINDOW_MS
    told = decide(Orders(), at(0, 200 * DAY, year, year + 1, year + DAY, 2 * year + 1, 2 * year + 2))
    assert [time for time, _, _ in sorted(told)] == [200 * DAY, year, year + DAY, 2 * year + 1]


def test_the_first_in_time_partition_and_position_is_the_order() -> None:
    claims = [(5, 1, 0, 0), (3, 1, 1, 9), (3, 1, 0, 8), (3, 1, 0, 7)]
    assert decide(Orders(), claims) == {(5, 0, 0), (3, 1, 9), (3, 0, 8)}


def test_each_shard_learns_of_its_own_repeats() -> None:
    rows = [(k, 1, k, 0, k % 3) for k in range(7)]
    decided = Orders().apply([np.array(rows, CLAIM)], END)
    assert {shard: told["position"].tolist() for shard, told in decided.repeats.items()} == {
        0: [3, 6],
        1: [1, 4],
        2: [2, 5],
    }


def test_nothing_is_decided_before_its_time() -> None:
    orders = Orders()
    assert decide(orders, at(10, 20), watermark=20) == set()
    assert decide(orders, [(5, 9, 0, 7)], watermark=20) == set()
    assert decide(orders, [], watermark=21) == {(20, 0, 1)}
    assert len(orders.held) == 0


def test_with_too_many_orders_the_oldest_minutes_are_forgotten_and_counted() -> None:
    orders = Orders(orders_max=2)
    one_a_minute = [(k * MINUTE, 1 + k, 0, k) for k in range(4)]
    assert decide(orders, one_a_minute, watermark=4 * MINUTE) == set()
    assert orders.seen.evicted == 1  # the first, when minute 3 began with three of them
    again = [(4 * MINUTE, 1 + k, 1, k) for k in range(4)]
    assert decide(orders, again) == {(4 * MINUTE, 1, 2), (4 * MINUTE, 1, 3)}
    assert orders.seen.evicted == 2


def test_within_a_minute_there_may_be_more() -> None:
    orders = Orders(orders_max=2)
    twice = [(k, 1 + k % 5, 0, k) for k in range(10)]
    assert len(decide(orders, twice)) == 5
    assert orders.seen.evicted == 0


@st.composite
def ways(draw: st.DrawFn) -> tuple[list[Claim], list[tuple[list[Claim], int]]]:
    """Claims, and calls that bring each of them in time, none or some of them earlier."""
    rows = draw(
        st.lists(
            st.tuples(
                st.integers(0, 8).map(lambda k: k * 20_000)
                | st.sampled_from([REPEAT_WINDOW_MS, REPEAT_WINDOW_MS + 20_000]),
                st.integers(1, 6),
                st.integers(0, 2),
            ),
            max_size=30,
        )
    )
    claims = [(*row, position) for position, row in enumerate(rows)]
    cuts = sorted(draw(st.lists(st.sampled_from([row[0] + 1 for row in rows] or [1]), max_size=6)))
    calls: list[tuple[list[Claim], int]] = [([], cut) for cut in (*cuts, END)]
    for claim in claims:
        last = next(k for k, (_, cut) in enumerate(calls) if claim[0] < cut)
        calls[draw(st.integers(0, last))][0].append(claim)
    return claims, calls


@given(ways(), st.integers(0, 7), st.booleans())
def test_however_claims_come_the_same_are_repeats(
    way: tuple[list[Claim], list[tuple[list[Claim], int]]], orders_max: int, stops: bool
) -> None:
    claims, calls = way
    whole, cut = Orders(orders_max), Orders(orders_max)
    at_once = decide(whole, claims)
    told: set[tuple[int, int, int]] = set()
    for own, watermark in calls:
        told |= decide(cut, own, watermark)
        if stops:
            dumped = unpack("orders", pack("orders", cut.dump()))
            cut = Orders(orders_max)
            cut.load(dumped)
    assert told == at_once
    assert cut.seen.evicted == whole.seen.evicted


@given(ways())
def test_repeats_are_what_a_dictionary_finds(
    way: tuple[list[Claim], list[tuple[list[Claim], int]]],
) -> None:
    first: dict[int, int] = {}
    found = set()
    for time, order, partition, position in sorted(way[0], key=lambda row: (row[0], row[2], row[3])):
        if order in first and time <= first[order] + REPEAT_WINDOW_MS:
            found.add((time, partition, position))
        else:
            first[order] = time
    assert decide(Orders(), way[0]) == found
