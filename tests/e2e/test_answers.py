"""W1 through the command line into a database equals the answer of one batch query."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests import w1
from tests.e2e.conftest import Stream
from tests.e2e.runs import LONG, Place, ask

QUESTIONS = {
    "sessions": """
        SELECT furthest_rank AS stage, count() AS sessions, sum(events) AS events
        FROM bi.session_stages GROUP BY stage ORDER BY stage""",
    "transitions": "SELECT from_rank, to_rank, count() AS n FROM bi.transitions GROUP BY ALL ORDER BY ALL",
    "aggregate": """
        SELECT toString(sum(cityHash64(toString(minute), device, toString(stage), toString(n)))) AS hash
        FROM (
            SELECT intDiv(toUnixTimestamp(time), 60) AS minute, device, rank AS stage, sum(entered) AS n
            FROM bi.funnel_minute WHERE entered > 0 GROUP BY ALL)""",
    "conservation": "SELECT sum(received) AS received, sum(accepted) AS accepted, "
    "sum(abs(balance)) AS imbalance FROM bi.conservation",
    "open": "SELECT count() AS n FROM bi.session_stages WHERE outcome = 'open'",
}

WAYS = [  # sessions, seed, files, workers, shards, more options
    (20_000, 1, 1, 1, 8, ()),
    (3_000, 2, 3, 1, 1, ("--partitioned-by", "visitor")),
    (6_000, 3, 3, 2, 8, ()),
]
LONG_WAYS = [
    (100_000, seed, files, workers, shards, ())
    for seed in (6, 7)
    for files in (1, 5)
    for workers in (1, 2)
    for shards in (1, 8, 64)
]


@pytest.mark.parametrize(
    ("sessions", "seed", "files", "workers", "shards", "more"), [*WAYS, *(LONG_WAYS if LONG else [])]
)
def test_w1_in_the_database_equals_the_batch_answer(
    stream: Stream, tmp_path: Path, sessions: int, seed: int, files: int, workers: int, shards: int,
    more: tuple[str, ...],
) -> None:  # fmt: skip
    options = ("--workers", str(workers), "--shards", str(shards), *more)
    place = Place(tmp_path, stream(sessions, seed, files), options)
    expected = w1.answer(place.files)
    ended = place.run().clean()
    found = ask(place.dsn, QUESTIONS)

    by_stage = {row["stage"]: row for row in found["sessions"]}
    assert {stage: row["sessions"] for stage, row in by_stage.items()} == expected.sessions_by_stage
    assert {stage: row["events"] for stage, row in by_stage.items()} == expected.events_by_stage
    assert {(row["from_rank"], row["to_rank"]): row["n"] for row in found["transitions"]} == expected.matrix
    assert int(found["aggregate"][0]["hash"]) == expected.aggregate_hash
    assert found["open"] == [{"n": 0}]
    assert found["conservation"] == [
        {"received": expected.events, "accepted": expected.events, "imbalance": 0}
    ]
    assert f"finished: {expected.events:,} of {expected.events:,} records accepted" in ended.said


def test_files_get_the_rows_that_a_database_gets(stream: Stream, tmp_path: Path) -> None:
    place = Place(tmp_path, stream(3_000, 8, 3), ("--workers", "2"), "parquet")
    expected = w1.answer(place.files)
    place.run().clean()
    rows = place.rows()
    assert len(rows["sessions"]) == expected.sessions
    assert len(rows["transitions"]) == expected.transitions
    nowhere = replace(place, sink="null", options=("--state", str(tmp_path / "other"))).run().clean()
    assert f"{expected.events:,} of {expected.events:,} records accepted" in nowhere.said
