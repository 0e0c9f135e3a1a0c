"""What becomes of abandoned chains: the same however time is cut; of too many the oldest expire early, and
say so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.count.tallies import Increments
from pipeline.core.follow.follow import Abandoned, Bought, Follow
from pipeline.core.follow.ring import BOUGHT, CHAIN
from pipeline.core.snapshot import pack, unpack
from pipeline.core.track.layout import RECOVERED, VOIDED
from pipeline.core.track.objects.layout import CARTS_MAX, PRODUCTS_MAX, Claimed
from schemas.objects import BROWSE, CART, Object, Objects, Timing
from sinks.check import conform
from tests.stories import SHOP, on

HOUR = 3_600_000
DAY = 24 * HOUR
WINDOW = 7 * DAY
END = np.iinfo(np.int64).max
CARTS = Objects((Object(CART, 2, on("cart"), None, Timing(HOUR)),), None, WINDOW, {})
JOURNEYS = (replace(SHOP, objects=CARTS),)
KNOWN = ["", "shop", "mobile", "EUR"]


class Chain(NamedTuple):
    """What a visitor abandoned, opened an hour before."""

    at: int
    visitor: int = 1
    cart: int = 0  # 0: not known
    kind: int = CART


class Order(NamedTuple):
    at: int
    visitor: int = 1
    cart: int = 0
    value: int = 50
    lag: int = 0  # how long ago it was placed: late


Row = dict[str, Any]


class Told(NamedTuple):
    """What `follow` said: rows, and what it counted."""

    rows: list[Row]
    counts: list[tuple[int, int]]  # minute, what


def abandoned(chains: Sequence[Chain], number: int) -> list[Abandoned]:
    """Chains numbered from `number` on: their number is their id."""
    if not chains:
        return []
    rows, n = np.zeros(len(chains), CHAIN), len(chains)
    carts = np.zeros((n, CARTS_MAX), np.uint64)
    for k, chain in enumerate(chains):
        rows[k]["key"], rows[k]["h1"], rows[k]["abandoned_at"] = chain.visitor, number + k, chain.at
        rows[k]["chain_at"], rows[k]["site"], rows[k]["device"] = chain.at - HOUR, 1, 2
        rows[k]["kind"], rows[k]["rank"] = chain.kind, 2
        rows[k]["carts"], carts[k, 0] = chain.cart > 0, chain.cart
    return [Abandoned(0, rows, carts, np.zeros((n, PRODUCTS_MAX), np.uint32), KNOWN)]


def bought(orders: Sequence[Order], number: int) -> list[Bought]:
    if not orders:
        return []
    rows, n = np.zeros(len(orders), BOUGHT), len(orders)
    for k, order in enumerate(orders):
        rows[k]["key"], rows[k]["at"], rows[k]["happened_at"] = order.visitor, order.at, order.at - order.lag
        rows[k]["value_e4"], rows[k]["currency"] = order.value, 3
    carts = np.array([order.cart for order in orders], np.uint64)
    lags = np.array([order.lag for order in orders], np.int64)
    about = Claimed(carts, np.zeros((n, PRODUCTS_MAX), np.uint32), np.zeros(n, np.uint8), lags)
    return [Bought(rows, about, pa.array([f"o{number + k}" for k in range(n)]), KNOWN)]


def rows_of(batches: Sequence[pa.RecordBatch]) -> list[Row]:
    rows = [row for batch in batches for row in conform("outcomes", batch).to_pylist()]
    for row in rows:
        row["chain"] = int.from_bytes(row["chain_id"][:8], "little")
        row["resolved"] = int(row["resolved_at"].timestamp() * 1000)
    return rows


def counts_of(counted: Sequence[Increments]) -> list[tuple[int, int]]:
    return [(int(row["minute"]), int(row["what"])) for one in counted for row in one.rows]


def tell(
    follow: Follow,
    chains: Sequence[Chain],
    orders: Sequence[Order] = (),
    cuts: Sequence[int] = (),
    *,
    stops: bool = False,
) -> Told:
    """All of it, cut at these times; chains and orders are numbered by time."""
    chains, orders = sorted(chains), sorted(orders)
    told, before = Told([], []), -END
    for until in (*sorted(cuts), END):
        mine = [k for k, one in enumerate(chains) if before <= one.at < until]
        own = [k for k, one in enumerate(orders) if before <= one.at < until]
        rows, counted = follow.apply(
            abandoned([chains[k] for k in mine], mine[0] if mine else 0),
            bought([orders[k] for k in own], own[0] if own else 0),
            until,
        )
        told.rows.extend(rows_of(rows))
        told.counts.extend(counts_of(counted))
        before = until
        if stops:
            dumped = unpack("follow", pack("follow", follow.dump()))
            follow.rings, follow.words = Follow(JOURNEYS).rings, Follow(JOURNEYS).words
            follow.load(dumped)
    return told


def short(rows: Sequence[Row]) -> list[tuple[int, str, int, str]]:
    """Chain, state, when, and by which order."""
    return [(row["chain"], row["state"], row["resolved"], row["order_id"]) for row in rows]


def test_an_order_within_the_window_recovers_and_on_the_eighth_day_it_does_not() -> None:
    for at, expected in [
        (WINDOW, (0, "recovered", HOUR + WINDOW, "o0")),
        (WINDOW + 1, (0, "expired", HOUR + WINDOW, "")),
        (8 * DAY, (0, "expired", HOUR + WINDOW, "")),
    ]:
        for cuts in ([], [HOUR + at], [HOUR + WINDOW + 1, HOUR + 9 * DAY]):
            told = tell(Follow(JOURNEYS), [Chain(HOUR)], [Order(HOUR + at)], cuts)
            assert short(told.rows) == [expected], cuts


def test_what_a_recovery_says() -> None:
    (row,) = tell(Follow(JOURNEYS), [Chain(HOUR)], [Order(2 * HOUR, value=70)]).rows
    assert (row["recovered_value_e4"], row["currency"], row["is_evicted"]) == (70, "EUR", False)
    assert (row["site"], row["journey"], row["time"].timestamp()) == ("shop", "shop", HOUR / 1000)


def test_the_value_goes_to_the_cart_abandoned_last() -> None:
    chains = [Chain(HOUR), Chain(2 * HOUR), Chain(3 * HOUR, kind=BROWSE)]
    rows = tell(Follow(JOURNEYS), chains, [Order(4 * HOUR, value=70)]).rows
    assert {row["chain"]: row["recovered_value_e4"] for row in rows} == {0: 0, 1: 70, 2: 0}


def test_a_late_order_makes_void_even_what_was_recovered() -> None:
    orders = [Order(2 * HOUR), Order(3 * HOUR, lag=2 * HOUR), Order(4 * HOUR)]
    told = tell(Follow(JOURNEYS), [Chain(HOUR)], orders)
    assert short(told.rows) == [(0, "recovered", 2 * HOUR, "o0"), (0, "void", HOUR, "o1")]
    assert [row["version"] for row in told.rows] == [1, 2]
    assert told.counts == [(2 * HOUR, RECOVERED), (3 * HOUR, VOIDED)]


def test_too_many_expire_early_the_oldest_first_and_say_so() -> None:
    follow = Follow(JOURNEYS, kept_max=2)
    told = tell(
        follow, [Chain(k * HOUR, visitor=k) for k in range(1, 5)], [Order(5 * HOUR, visitor=1)], [9 * HOUR]
    )
    assert short(told.rows) == [(k, "expired", (k + 1) * HOUR + WINDOW, "") for k in range(4)]
    assert [row["is_evicted"] for row in told.rows] == [True, True, False, False]
    assert follow.evicted == 2


def test_what_had_its_outcome_is_forgotten_in_silence() -> None:
    follow = Follow(JOURNEYS, kept_max=1)
    told = tell(follow, [Chain(HOUR), Chain(3 * HOUR, visitor=2)], [Order(2 * HOUR)])
    assert [row["state"] for row in told.rows] == ["recovered", "expired"]
    assert not any(row["is_evicted"] for row in told.rows)
    assert follow.evicted == 0


def test_what_expired_in_time_is_not_early() -> None:
    follow = Follow(JOURNEYS, kept_max=1)
    told = tell(follow, [Chain(HOUR), Chain(HOUR + WINDOW + 1, visitor=2)])
    assert [row["is_evicted"] for row in told.rows] == [False, False]
    assert follow.evicted == 0


TIMES = st.integers(1, 30).map(lambda k: k * 12 * HOUR)
CHAINS = st.lists(
    st.builds(Chain, TIMES, st.integers(1, 3), st.integers(0, 2), st.integers(BROWSE, CART)), max_size=12
)
ORDERS = st.lists(
    st.builds(Order, TIMES, st.integers(1, 3), st.integers(0, 2), st.just(50), st.sampled_from([0, 0, DAY])),
    max_size=8,
)
CUTS = st.lists(TIMES | TIMES.map(lambda at: at + 1), max_size=6)


@given(CHAINS, ORDERS, CUTS, st.integers(1, 6) | st.just(1000), st.booleans())
def test_however_time_is_cut_the_same_becomes_of_them(
    chains: list[Chain], orders: list[Order], cuts: list[int], kept_max: int, stops: bool
) -> None:
    whole, cut = Follow(JOURNEYS, kept_max), Follow(JOURNEYS, kept_max)
    at_once = tell(whole, chains, orders)
    in_pieces = tell(cut, chains, orders, cuts, stops=stops)
    assert sorted(in_pieces.rows, key=order_of) == sorted(at_once.rows, key=order_of)
    assert sorted(in_pieces.counts) == sorted(at_once.counts)
    assert (cut.evicted, cut.remembered) == (whole.evicted, whole.remembered) == (whole.evicted, 0)
    last = {row["chain"]: row for row in sorted(at_once.rows, key=order_of)}
    assert sorted(last) == list(range(len(chains))), "each has an outcome in the end"


def order_of(row: Row) -> tuple[int, int]:
    return row["chain"], row["version"]


def test_words_of_what_is_forgotten_are_dropped() -> None:
    follow = Follow(JOURNEYS)
    for number in range(20):
        known = ["", *(f"site {number} {k}" for k in range(1000))]
        (part,) = abandoned([Chain(HOUR + number * 8 * DAY, visitor=k) for k in range(1000)], 1000 * number)
        part.chains["site"] = np.arange(1, 1001)
        follow.apply([part._replace(known=known)], [], HOUR + number * 8 * DAY + 1)
    assert follow.remembered == 1000
    assert len(follow.words.known) <= 9000
