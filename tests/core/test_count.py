"""Minute counters equal a plain dictionary, however increments come, and leave when their minute is over."""

from __future__ import annotations

import pickle
from collections import Counter, defaultdict
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.count import tallies as tallies_module
from pipeline.core.count.count import Count
from pipeline.core.count.tallies import Increments
from pipeline.core.snapshot import pack, unpack
from pipeline.core.track.layout import CONVERTED, COUNT_OUT
from pipeline.core.track.track import ALL_TIME
from schemas.entries import Entry
from schemas.journeys import Journey, Stage
from schemas.tables import FUNNEL_COUNTS
from sinks.check import conform
from tests.stories import SHOP, on

OTHER = Journey("other", 7, "visitor", (Stage("view", 1, False, (Entry(on("x")),), None),), 1, ())
JOURNEYS = (SHOP, OTHER)
MINUTE = 60_000
KNOWN = ["", "mobile", "desktop", "direct", "EUR", "shop", "é" * 20]

Added = tuple[int, int, int, int, int, int, int, int, int]
CODES = st.integers(0, len(KNOWN) - 1)
ADDED = st.tuples(
    st.integers(0, 5).map(lambda minute: minute * MINUTE), st.integers(0, 10**6), CODES, CODES, CODES, CODES,
    st.integers(0, 1), st.just(1), st.integers(0, len(FUNNEL_COUNTS) - 1),
)  # fmt: skip


def increments(added: list[Added], known: list[str] = KNOWN) -> Increments:
    return Increments(np.array([(*row, 0) for row in added], COUNT_OUT), known)


def keyed(batch: pa.RecordBatch | None) -> dict[tuple[Any, ...], tuple[int, ...]]:
    if batch is None:
        return {}
    rows = conform("funnel_minute", batch).to_pylist()
    names = ("time", "site", "device", "channel", "currency", "journey", "journey_version", "stage", "rank")
    out = {
        tuple(row[name] for name in names): tuple(row[name] for name in (*FUNNEL_COUNTS, "value_e4"))
        for row in rows
    }
    assert len(out) == len(rows), "a batch has a key once"
    return out


def naive(added: list[Added], known: list[str] = KNOWN) -> dict[tuple[Any, ...], tuple[int, ...]]:
    totals: dict[tuple[Any, ...], Counter[int]] = defaultdict(Counter)
    for minute, value, site, device, channel, currency, journey, rank, what in added:
        words = (known[site], known[device], known[channel], known[currency])
        one = JOURNEYS[journey]
        at = np.datetime64(minute, "ms").astype("datetime64[s]").item()
        key = (at, *words, one.name, one.version, one.stages[rank - 1].name, rank)
        totals[key][what] += 1
        totals[key][-1] += value
    whats = (*range(len(FUNNEL_COUNTS)), -1)
    return {key: tuple(counts[what] for what in whats) for key, counts in totals.items()}


def without_zone(rows: dict[tuple[Any, ...], Any]) -> dict[tuple[Any, ...], Any]:
    return {(key[0].replace(tzinfo=None), *key[1:]): value for key, value in rows.items()}


@given(st.lists(st.lists(st.lists(ADDED, max_size=20), max_size=3), max_size=4), st.data())
def test_the_last_of_each_row_is_what_a_dictionary_counts(
    calls: list[list[list[Added]]], data: st.DataObject
) -> None:
    count, last, so_far = Count(JOURNEYS, 3), {}, []
    for call in calls:
        if data.draw(st.booleans()):
            fresh = Count(JOURNEYS, 3)
            fresh.load(unpack("count", pack("count", count.dump())))
            count = fresh
        written = without_zone(keyed(count.apply([increments(part) for part in call], 0)))
        now = [row for part in call for row in part]
        so_far += now
        assert written.keys() == naive(now).keys(), "what changed is written, nothing else"
        last |= written
    assert last == naive(so_far)
    assert count.rows == len(last)


def test_many_rows_are_counted_beyond_the_first_room() -> None:
    known = ["", *(f"w{number}" for number in range(5000))]
    added: list[Added] = [(0, 1, 0, code, code % 7, 0, 0, 1, 0) for code in range(1, 5001)] * 2
    count = Count(JOURNEYS, 0)
    assert without_zone(keyed(count.apply([increments(added, known)], 0))) == naive(added, known)
    assert count.rows == 5000


def test_a_row_leaves_when_the_watermark_passes_its_minute() -> None:
    count = Count(JOURNEYS, 0)
    row: Added = (MINUTE, 5, 5, 1, 3, 4, 0, 1, CONVERTED)
    assert count.apply([increments([row])], 2 * MINUTE - 1) is not None
    assert count.rows == 1, "its last millisecond may still come"
    assert count.apply([], 2 * MINUTE - 1) is None
    assert count.apply([increments([(2 * MINUTE, *row[1:])])], 2 * MINUTE) is not None
    assert count.rows == 1
    count.apply([], ALL_TIME)
    assert count.rows == 0
    assert keyed(count.apply([increments([row])], 0)), "what left is forgotten, the state goes on"


def test_what_is_added_and_over_at_once_is_still_written() -> None:
    count = Count(JOURNEYS, 0)
    assert count.apply([increments([(0, 0, 0, 0, 0, 0, 0, 1, 0)])], ALL_TIME) is not None
    assert count.rows == 0


def test_words_that_no_row_uses_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tallies_module, "WORDS_SLACK", 3)
    count, known = Count(JOURNEYS, 0), [""]
    for minute in range(100):
        known.append(f"device {minute}")
        added: list[Added] = [(minute * MINUTE, 0, 0, len(known) - 1, 0, 0, 0, 1, 0)]
        assert without_zone(keyed(count.apply([increments(added, known)], minute * MINUTE))) == naive(
            added, known
        )
        assert len(count.tallies.words.known) <= 4 * (3 + 1) + 1


@given(st.lists(ADDED))
def test_increments_travel_with_their_own_words_only(added: list[Added]) -> None:
    known = [*KNOWN, *(f"unused {number}" for number in range(1000))]
    sent = increments(added, known)
    data = pickle.dumps(sent)
    assert b"unused" not in data
    got = pickle.loads(data)
    wanted, found = Count(JOURNEYS, 0), Count(JOURNEYS, 0)
    assert keyed(found.apply([got], 0)) == keyed(wanted.apply([sent], 0))
