"""Too many sessions or objects open: the quietest are forgotten, by the records alone, never by batches; what
is forgotten stays open, and nobody else notices.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.track.caps import Caps
from schemas.limits import LIMITS
from schemas.objects import BROWSE, CART, PAYMENT, Object, Objects, Timing
from schemas.orders import USUAL
from tests.differences import assert_same
from tests.harness import CAPS, Core, Way, drive, rows_of, run_core
from tests.oracle import Rows, Settings
from tests.oracle_walk import MINUTE
from tests.properties.ways import World, cut_worlds
from tests.stories import SHOP, clock, on, records

KINDS = (
    Object(BROWSE, 1, on("view"), None, Timing()),
    Object(CART, 2, on("cart"), None, Timing(60 * MINUTE)),
    Object(PAYMENT, 4, on("pay"), None, Timing(60 * MINUTE)),
)
CARTS = replace(
    SHOP,
    stages=tuple(replace(stage, abandon_after_ms=None) for stage in SHOP.stages),
    objects=Objects(KINDS, None, 7 * 24 * 60 * MINUTE, {}),
)
ORDERED = Settings(orders=USUAL)

THREE_CARTS = """
    10:00:00 cart visitor=a
    10:00:10 cart visitor=b
    10:00:20 cart visitor=c
    10:00:40 cart visitor=a
    10:01:00 pay visitor=b
    10:01:30 purchase visitor=c order_id=o1 value=5
    10:01:50 other visitor=d
"""
"""At 10:01 three are open; b's is the quietest, and what b does at that moment comes after the turn."""


@given(cut_worlds(), st.integers(1, 6), st.integers(1, 3))
def test_with_little_room_any_way_of_reading_gives_the_same_rows(
    world: World, sessions: int, objects: int
) -> None:
    settings, journeys, partitions, way = world
    caps = Caps(sessions, objects)
    core = drive(partitions, journeys, settings, replace(way, caps=caps))
    whole = drive(partitions, journeys, settings, Way(shards=way.shards, filters=way.filters, caps=caps))
    assert_same(rows_of(core), rows_of(whole))
    assert forgotten(core) == forgotten(whole)


@given(cut_worlds(), st.integers(1, 3))
def test_who_is_not_forgotten_does_not_notice(world: World, objects: int) -> None:
    settings, journeys, partitions, way = world
    few = run_core(partitions, journeys, settings, replace(way, caps=Caps(objects=objects)))
    all_ = run_core(partitions, journeys, settings, way)
    gone = {row["visitor_id"] for row in few.objects if row["final_state"] == "forgotten"}
    assert _objects(few, gone) == _objects(all_, gone)


def _objects(rows: Rows, without: set[str]) -> list[Any]:
    mine = [row for row in rows.objects if row["visitor_id"] not in without]
    return sorted((row["journey"], row["object"], row["version"], row["final_state"]) for row in mine)


def forgotten(core: Core) -> list[dict[str, int]]:
    return [track.forgotten() for track in core.tracks]


def test_what_is_forgotten_is_a_limit_with_a_meaning_and_a_remedy() -> None:
    (track,) = drive([[]], (CARTS,), ORDERED).tracks
    assert track.forgotten().keys() <= LIMITS.keys()


def told(rows: Rows) -> list[str]:
    """The objects: whose, what, its state, since when."""
    lines = sorted((row["opened_at"], row) for row in rows.objects)
    return [
        f"{row['visitor_id']} {row['kind']} {row['final_state']}"
        + (f" {clock(row['resolved_at'])}" if row["resolved_at"] else "")
        for _, row in lines
    ]


def test_of_too_many_objects_the_quietest_is_forgotten_when_the_minute_turns() -> None:
    for batches in (None, [(0, 1)] * 7):
        way = Way(batches=batches, caps=Caps(objects=2))
        core = drive(records(THREE_CARTS), (CARTS,), replace(ORDERED, end="drained"), way)
        assert told(rows_of(core)) == [
            "a cart open",
            "b cart forgotten 10:01:00",
            "c cart completed 10:01:30",
            "b payment open",
        ]
        assert forgotten(core)[0]["open_objects"] == 1
        assert core.tracks[0].objects[0].open == 2


def test_what_is_forgotten_counts_neither_as_lost_nor_as_won() -> None:
    """Its sessions stay open too: their last word is that the object is."""
    rows = run_core(records(THREE_CARTS), (CARTS,), ORDERED, Way(caps=Caps(objects=2)))
    (cart,) = (row for row in rows.objects if row["final_state"] == "forgotten")
    (session,) = (row for row in rows.participations if row["chain"] == cart["chain"])
    assert session["state"] == "open"
    lost = sum(count["abandoned"] for key, count in rows.funnel.items() if key[4] == "cart")
    assert lost == 1  # a's, at its deadline


def test_of_too_many_sessions_the_quietest_is_forgotten_and_stays_open() -> None:
    story = """
        10:00:00 view visitor=a
        10:00:10 view visitor=b
        10:00:20 view visitor=c
        10:05:00 view visitor=a
    """
    rows = run_core(records(story), (SHOP,), Settings(), Way(caps=Caps(sessions=2)))
    outcomes = sorted(
        (row["visitor_id"], clock(row["started_at"]), row["journeys"][0]["outcome"]) for row in rows.sessions
    )
    assert outcomes == [
        ("a", "10:00:00", "open"),
        ("a", "10:05:00", "bounced"),
        ("b", "10:00:10", "open"),
        ("c", "10:00:20", "bounced"),
    ]


def test_where_partitions_keep_their_visitors_each_has_its_part_of_the_room() -> None:
    """Time turns for each partition by itself: another one that lags or hurries changes nothing."""
    story = """
        10:00:00 view visitor=a
        10:00:10 view visitor=b
        10:00:20 view visitor=c p=1
        10:30:00 view visitor=d p=1
        10:05:00 view visitor=e
    """
    for batches in ([(0, 3), (1, 2)], [(1, 2), (0, 1), (0, 1), (0, 1)]):
        way = Way(batches=batches, caps=Caps(sessions=2))
        core = drive(records(story), (SHOP,), Settings(partitioned_by="visitor", end="drained"), way)
        still = {row["visitor_id"]: row["journeys"][0]["outcome"] for row in rows_of(core).sessions}
        assert forgotten(core)[0]["open_sessions"] == 1  # a's: b and c are alone in their partitions
        assert still["a"] == "open"


def test_browsing_is_forgotten_with_its_session() -> None:
    story = """
        10:00:00 view visitor=a
        10:00:10 view visitor=b
        10:30:09 view visitor=a
    """
    rows = run_core(records(story), (CARTS,), ORDERED, Way(caps=Caps(sessions=1)))
    assert told(rows) == [
        "a browse forgotten 10:01:00",
        "b browse abandoned 10:30:10",
        "a browse abandoned 11:00:09",
    ]


def test_what_was_forgotten_is_known_after_a_restart() -> None:
    way = Way(batches=[(0, 1)] * 6, restarts={6}, caps=CAPS._replace(objects=2))
    core = drive(records(THREE_CARTS), (CARTS,), ORDERED, way)
    assert forgotten(core)[0]["open_objects"] == 1
