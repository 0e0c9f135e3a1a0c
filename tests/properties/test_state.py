"""The state of a shard by itself: what it finds, what it forgets, what it costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st
from numba import njit

from pipeline.core.events import Events, Slice, Text, room
from pipeline.core.seen import MINUTE_MS, Seen, insert
from pipeline.core.snapshot import pack, unpack
from pipeline.core.track.layout import DUE_BLOCK, Limits
from pipeline.core.track.rules import compile_rules
from pipeline.core.track.slots import find, free_slot, take_slot
from pipeline.core.track.state import ShardState
from pipeline.core.track.track import ALL_TIME, Track
from tests.stories import MIDNIGHT, SHOP

# --- the index: keys to slots -----------------------------------------------------------------------------


@njit
def find_key(slots, key):
    return find(slots, key)


@njit
def open_key(slots, key):
    return take_slot(slots, key)


@njit
def close_slot(slots, slot):
    free_slot(slots, slot)


CROWDED = st.sampled_from([*range(1, 12), *(0xFFFFFFFF - low for low in range(6)), 1 << 31, 1 << 63 | 3])
"""Keys whose places lie side by side, over the end of the index too: all must be searched for."""


@given(st.lists(CROWDED, max_size=80))
def test_the_index_is_a_dict_of_the_open_sessions(keys: list[int]) -> None:
    """Each key opens a session, or closes it where it is open."""
    state = ShardState(1, 0)
    told: dict[int, int] = {}
    for key in keys:
        if key in told:
            close_slot(state.slots, told.pop(key))
        else:
            one = np.array([key], np.uint64)
            state.reserve(one, np.array([0]), 0)
            told[key] = open_key(state.slots, np.uint64(key))
        assert state.open_sessions == len(told) == len(set(told.values()))
        for other in {*keys}:
            assert find_key(state.slots, np.uint64(other)) == told.get(other, -1)


# --- events made by hand ----------------------------------------------------------------------------------


def texts(words: Sequence[str]) -> Text:
    return Text.of(pa.array(words, pa.string()))


def events(at: Any, visitors: Any, *, campaigns: Sequence[str] = (), url: str = "/p/{:05}") -> Events:
    """A page view per row; visitors are numbers."""
    n = len(at)
    made = room(n, (1, 0, 0), (0,) * 5, ["", "shop", "desktop", "organic", *campaigns])
    words = np.zeros((n, 8), np.int32)
    words[:, :3] = 1, 2, 3
    if campaigns:
        words[:, 5] = 4 + np.arange(n) % len(campaigns)
    key = np.asarray(visitors).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(1)
    return Events(
        at=np.asarray(at, np.int64),
        key=key ^ key >> np.uint64(29),
        id_hash=np.zeros(n, np.uint64),
        value_e4=np.zeros(n, np.int64),
        partition=np.zeros(n, np.int32),
        position=np.arange(n),
        fate=np.zeros(n, np.uint8),
        match=np.ones((n, 1), np.uint8),
        bits=np.empty((n, 0), np.uint32),
        back=np.zeros((n, 1), np.uint16),
        intent=np.empty((n, 0), np.uint8),
        words=words,
        event_id=texts([f"{k:012}" for k in range(n)]),
        visitor=texts([f"v{visitor:09}" for visitor in visitors]),
        user=texts([""] * n),
        url=texts([url.format(k) for k in range(n)]),
        detail=texts([""] * n),
        known=made.known,
    )


def track() -> Track:
    return Track(compile_rules([SHOP]), Limits(30 * MINUTE_MS, 24 * 60 * MINUTE_MS, False, False), 1, None)


def feed(shard: Track, batch: Events | None, until: int) -> None:
    pieces = [Slice(batch, np.arange(len(batch)))] if batch is not None else []
    for _ in shard.apply(pieces, np.array([until])):
        pass


def waves(count: int, visitors: int) -> Iterator[Events]:
    """New visitors every 40 minutes, with three events each: those of the wave before are gone then."""
    for wave in range(count):
        first = MIDNIGHT + wave * 40 * MINUTE_MS
        at = first + np.repeat(np.arange(3), visitors) * 1000
        names = np.tile(np.arange(visitors) + wave * visitors, 3)
        yield events(at, names, campaigns=[f"campaign {wave} {k}" for k in range(visitors // 4)])


def allocated(shard: Track) -> int:
    """Bytes of all arrays of a shard, and its words."""
    arrays = sum(array.nbytes for array in shard.state.slots)
    return arrays + sum(map(len, shard.state.words.known))


# --- what it costs ----------------------------------------------------------------------------------------


def test_an_open_session_takes_less_than_a_hundred_bytes_beside_its_texts() -> None:
    shard = track()
    visitors, at_once = 200_000, 10_000
    for first in range(0, visitors, at_once):
        names = np.arange(first, first + at_once)
        feed(shard, events(MIDNIGHT + names // 1000, names), MIDNIGHT + (first + at_once) // 1000)
    assert shard.state.open_sessions == visitors
    assert shard.state.bytes_without_text / visitors < 100
    assert shard.state.bytes_of_text / visitors < 40  # v000000000 and /p/00000, their lengths before them


def test_memory_is_that_of_the_open_sessions_however_long_the_stream() -> None:
    sizes = []
    shard = track()
    for number, wave in enumerate(waves(40, 2000), start=1):
        feed(shard, wave, int(wave.at[-1]) + 1)
        assert shard.state.open_sessions == 2000
        if number in (4, 40):
            sizes.append(allocated(shard))
    assert sizes[1] <= 1.1 * sizes[0]
    feed(shard, None, ALL_TIME)
    assert shard.state.open_sessions == 0


def test_words_that_no_session_uses_are_forgotten() -> None:
    """And those in use mean what they meant."""
    shard = track()
    most = 0
    for wave in waves(30, 2000):
        feed(shard, wave, int(wave.at[-1]) + 1)
        most = max(most, len(shard.state.words.known))
        used = shard.state.slots.sessions["key"] != 0
        contexts = shard.state.slots.contexts[shard.state.slots.sessions["context"][used]]
        named = {shard.state.words.known[word] for word in contexts[:, 5].tolist()}
        assert named == {word for word in wave.known if word.startswith("campaign")}
    assert most < 6000 < 30 * 500


# --- what it forgets too late or too early ----------------------------------------------------------------


def test_a_session_is_found_due_wherever_its_slot_lies() -> None:
    """Sessions end one after the other, over several blocks of slots, a second or a millisecond apart."""
    for step in (1000, 1):
        shard = track()
        count = 3 * DUE_BLOCK + 5
        at = MIDNIGHT + np.arange(count) * step
        feed(shard, events(at, np.random.default_rng(7).permutation(count)), int(at[-1]) + 1)
        for ended in range(0, count, 41):
            feed(shard, None, int(at[ended]) + 30 * MINUTE_MS + 1)
            assert shard.state.open_sessions == count - ended - 1


def test_what_is_dumped_is_what_is_loaded() -> None:
    shard = track()
    for wave in waves(3, 500):
        feed(shard, wave, int(wave.at[-1]) - 500)  # some are held
    loaded = track()
    loaded.load(unpack("track", pack("track", shard.dump())))
    assert loaded.state.open_sessions == shard.state.open_sessions > 0
    assert pack("track", loaded.dump()) == pack("track", shard.dump())


LIFE = st.lists(st.tuples(st.integers(1, 8), st.integers(-3, 3), st.integers(0, 3)), max_size=60)


@given(LIFE, st.integers(0, 4), st.sets(st.integers(0, 60)))
def test_ids_are_seen_as_by_a_naive_set(
    life: list[tuple[int, int, int]], window: int, dumps: set[int]
) -> None:
    """Ids, their times around now, and how far now has moved: all in minutes, where boundaries meet."""
    window_ms = window * MINUTE_MS
    seen = Seen(window_ms, 1000)
    told: dict[int, int] = {}
    now = MIDNIGHT
    for step, (id_, ahead, minutes) in enumerate(life):
        now += minutes * MINUTE_MS
        at = now + ahead * MINUTE_MS
        seen.forget(now)
        seen.reserve(1)
        if step in dumps:
            seen = Seen.load(window_ms, 1000, unpack("seen", pack("seen", seen.dump())))
            seen.reserve(1)
        is_seen = id_ in told and now <= told[id_] + window_ms
        assert insert(seen.entries, seen.sizes, np.uint64(id_), at, now, window_ms) == is_seen
        if not is_seen:
            told[id_] = at
    assert seen.evicted == 0
