"""Routing, gathering and sending events: nothing is lost, nothing is changed, nothing else comes along."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core import events as events_module
from pipeline.core.events import Events, Slice, Text, dump_events, gather, load_events
from pipeline.core.route import route
from pipeline.core.snapshot import pack, unpack
from pipeline.core.words import Words
from tests.core.made import ROWS, Row, enriched, told

ROW_LISTS = st.lists(ROWS, min_size=1, max_size=30)


def rows_of(piece: Slice) -> list[tuple[object, ...]]:
    return told(piece.events.take(piece.index))


@given(ROW_LISTS, st.sampled_from([1, 2, 3, 8, 64]))
def test_route_loses_nothing_and_keeps_the_order(rows: list[Row], shards: int) -> None:
    events = enriched(rows)
    slices = route(events, shards)
    assert len(slices) == shards
    routed = [rows_of(piece) for piece in slices]
    whole = told(events)
    assert sorted(map(repr, whole)) == sorted(repr(row) for part in routed for row in part)
    for part in routed:
        assert part == [row for row in whole if row in part]  # positions make rows unique


@given(ROW_LISTS, st.sampled_from([2, 3, 64]))
def test_a_visitor_is_in_one_shard_whatever_the_batch(rows: list[Row], shards: int) -> None:
    shard_of: dict[int, int] = {}
    for batch in (enriched(rows), enriched(rows[::-1]), enriched(rows[:1])):
        for shard, piece in enumerate(route(batch, shards)):
            for key in piece.events.key[piece.index].tolist():
                assert shard_of.setdefault(key, shard) == shard


@given(ROW_LISTS, st.data())
def test_take_gives_the_rows_asked_for(rows: list[Row], data: st.DataObject) -> None:
    events = enriched(rows)
    index = data.draw(st.lists(st.integers(0, len(rows) - 1)))
    whole = told(events)
    assert told(events.take(np.array(index, np.int64))) == [whole[number] for number in index]


@pytest.mark.parametrize("few_words", [0, 256])
@given(first=ROW_LISTS, second=ROW_LISTS, data=st.data())
def test_gather_joins_batches_in_the_words_of_the_shard(
    few_words: int, first: list[Row], second: list[Row], data: st.DataObject
) -> None:
    words = Words(["", "from before"])
    batches = [enriched(first), enriched(second, partition=1)]
    chosen = [data.draw(st.sets(st.integers(0, len(batch) - 1))) for batch in batches]
    parts = [(batch, np.array(sorted(index), np.int64)) for batch, index in zip(batches, chosen, strict=True)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(events_module, "FEW_WORDS", few_words)
        joined = gather(parts, lambda events: (words.known, words.codes(events.known)))
    assert joined.known is words.known
    assert told(joined) == [row for batch, index in parts for row in told(batch.take(index))]


def test_a_shard_learns_only_the_words_of_its_own_rows() -> None:
    words = Words()
    events = enriched([{"campaign": f"c{number}"} for number in range(300)])
    gather([(events, np.array([7, 9]))], lambda part: (words.known, words.codes(part.known)))
    assert {word for word in words.known if word.startswith("c")} == {"c7", "c9"}


@given(ROW_LISTS, st.sampled_from([1, 3]))
def test_a_slice_comes_through_a_pickle(rows: list[Row], shards: int) -> None:
    for piece in route(enriched(rows), shards):
        assert rows_of(pickle.loads(pickle.dumps(piece))) == rows_of(piece)


def test_a_pickled_slice_contains_only_its_own_rows() -> None:
    rows = [{"visitor_id": f"visitor-{number}", "campaign": f"campaign-{number}"} for number in range(500)]
    piece = Slice(enriched(rows), np.array([3, 4]))
    data = pickle.dumps(piece)
    assert len(data) < 3000
    assert b"visitor-3" in data
    assert b"visitor-5" not in data
    assert b"campaign-5" not in data
    back = pickle.loads(data)
    assert (len(back), back.events.words.dtype, back.events.back.dtype) == (2, np.int32, np.uint16)


@given(ROW_LISTS)
def test_held_events_come_through_a_snapshot(rows: list[Row]) -> None:
    events = enriched(rows)
    assert told(load_events(unpack("held", pack("held", dump_events(events))))) == told(events)


def test_texts_may_begin_anywhere_in_their_bytes() -> None:
    events = enriched([{"url": "/a"}, {"url": "/bc"}, {"url": "/d"}])
    tail: Events = replace(events.take(np.array([1, 2])), url=Text(events.url.offsets[1:], events.url.data))
    assert tail.url.bytes == 5
    assert [row[-2] for part in route(tail, 2) for row in rows_of(part)] == ["/bc", "/d"]
