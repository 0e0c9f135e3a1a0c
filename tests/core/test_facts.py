"""Rows of sessions and transitions keep the contract of their tables, whatever earlier batches left."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core import words as words_module
from pipeline.core.facts import sequences as sequences_module
from pipeline.core.facts.facts import FactTables
from pipeline.core.route import route
from pipeline.core.track.layout import Limits
from pipeline.core.track.rules import compile_rules
from pipeline.core.track.track import ALL_TIME, Track
from schemas.entries import Entry
from schemas.journeys import Journey, Stage
from schemas.tables import SESSIONS
from sinks.check import conform
from tests.core.made import ROWS, Row, enriched
from tests.stories import SHOP, on

VIEWS = Journey("views", 3, "visitor", (Stage("view", 1, False, (Entry(on("view")),), None),), 1, ())
NEW_SHOP = replace(SHOP, version=2)
JOURNEYS = (SHOP, VIEWS, NEW_SHOP)  # two versions of a name, and stages of one name in several journeys
LIMITS = Limits(1_800_000, 86_400_000, False, False)


def run(
    batches: list[list[Row]], journeys: tuple[Journey, ...] = JOURNEYS
) -> list[tuple[str, pa.RecordBatch]]:
    """Every batch of rows that comes of the events; time is over after each batch of them."""
    track, tables = Track(compile_rules(journeys), LIMITS, 1, None), FactTables(journeys)
    out: list[tuple[str, pa.RecordBatch]] = []
    for rows in batches:
        for emitted in track.apply(route(enriched(rows, journeys), 1), np.array([ALL_TIME])):
            out.append(("sessions", tables.sessions(emitted)))
            if len(emitted.transitions):
                out.append(("transitions", tables.transitions(emitted)))
    return out


def dictionaries(array: pa.Array) -> list[pa.Array]:
    if pa.types.is_list(array.type):
        array = array.values
    return [array.dictionary] if pa.types.is_dictionary(array.type) else []


def rows_of(out: list[tuple[str, pa.RecordBatch]]) -> list[tuple[str, dict[str, Any]]]:
    return [(table, row) for table, batch in out for row in batch.to_pylist()]


@given(st.lists(st.lists(ROWS, min_size=1, max_size=12), min_size=1, max_size=3))
def test_rows_keep_the_contract_of_their_table(batches: list[list[Row]]) -> None:
    numbered = [
        [{**row, "event_id": f"{k}.{n}"} for n, row in enumerate(rows)] for k, rows in enumerate(batches)
    ]
    out = run(numbered)
    for table, batch in out:
        batch.validate(full=True)
        assert conform(table, batch).equals(batch)
        for column in batch.columns:
            for words in dictionaries(column):
                assert len(set(words.to_pylist())) == len(words), "ClickHouse refuses a word twice"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(words_module, "NAMED_MAX", 1)
        patch.setattr(sequences_module, "KEPT_MAX", 1)
        assert rows_of(run(numbered)) == rows_of(out)


def test_a_session_and_its_transitions_say_one_thing() -> None:
    day = {"url": "https://shop.example/a", "device": "mobile", "site": "shop", "user_id": "u"}
    out = run(
        [
            [
                {**day, "at": 0, "event": "view"},
                {**day, "at": 1000, "event": "order", "value": 7, "currency": "EUR", "url": "/thanks"},
                {**day, "at": 10**8, "event": "view"},
            ]
        ]
    )
    (first, second) = [row for table, row in rows_of(out) if table == "sessions" and row["is_closed"]]
    moves = [row for table, row in rows_of(out) if table == "transitions" and row["journey_version"] == 1]
    assert [(row["from_stage"], row["to_stage"], row["kind"], row["skipped"]) for row in moves] == [
        ("", "view", "enter", ""),
        ("view", "order", "skip", "cart>pay"),
        ("", "view", "enter", ""),
    ]
    assert [row["session_id"] for row in moves] == [*[first["session_id"]] * 2, second["session_id"]]
    assert (first["entry_url"], first["exit_url"], first["person_id"]) == (
        "https://shop.example/a",
        "/thanks",
        "u",
    )
    assert first["journeys.journey"] == ["shop", "views", "shop"]
    assert first["journeys.journey_version"] == [1, 3, 2]
    assert first["journeys.path"] == ["view>order", "view", "view>order"]
    assert first["journeys.outcome"] == ["converted", "converted", "converted"]
    assert first["journeys.value_e4"] == [70_000, 0, 70_000]
    assert first["journeys.visit_device"] == ["mobile"] * 3
    assert second["journeys.outcome"] == ["bounced", "converted", "bounced"]


def test_a_session_that_entered_nothing_has_empty_lists() -> None:
    out = run([[{"event": "share_nothing"}]], (SHOP,))
    (row,) = [row for _, row in rows_of(out) if row["is_closed"]]
    assert all(row[name] == [] for name in SESSIONS.names if name.startswith("journeys."))
    assert row["person_id"] == row["visitor_id"] == "a"
