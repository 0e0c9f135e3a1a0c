"""W1 through the core: the published answer, and the oracle's rows, whatever the batches and shards."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime

import pytest

from schemas.journeys import load_journeys
from tests import w1
from tests.differences import assert_same
from tests.harness import Way, expected, run_core
from tests.oracle import Rows, Settings
from tests.oracle_walk import Row

JOURNEYS = load_journeys(["w1"])
WAYS = {
    "at once": Way(),
    "by the thousand": Way(batches=[], then=1000),
    "crumbs in 8 shards": Way(batches=[], then=37, shards=8),
    "stopped and crashed": Way(batches=[(0, 500)] * 16, shards=3, restarts={2, 9}, crash=12, then=211),
}


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[Row | None]:
    path = tmp_path_factory.mktemp("w1") / "w1.jsonl"
    w1.write([path], 2000, seed=7)
    return [record(json.loads(line)) for line in path.read_text().splitlines()]


def record(click: Row) -> Row:
    at = round(datetime.fromisoformat(click.pop("ts")).timestamp() * 1000)
    return click | {"event_at": at, "products": [], "value": round(click["value"] * 10_000)}


@pytest.fixture(scope="module")
def oracle(records: list[Row | None]) -> Rows:
    return expected([records], JOURNEYS)


@pytest.mark.parametrize("name", WAYS)
def test_the_answer_is_the_same_any_way(name: str, records: list[Row | None], oracle: Rows) -> None:
    rows = run_core([records], JOURNEYS, Settings(), WAYS[name])
    assert (len(rows.sessions), len(rows.transitions)) == (1590, 2876)
    furthest = Counter(entry["furthest_rank"] for row in rows.sessions for entry in row["journeys"])
    assert furthest == {1: 613, 2: 631, 3: 227, 4: 68, 5: 51}
    assert_same(rows, oracle)


def test_kept_apart_by_partition_it_is_the_same_but_for_the_names(records: list[Row | None]) -> None:
    """Split by visitor over three partitions, each with its own time."""
    partitions: list[list[Row | None]] = [[], [], []]
    for one in records:
        assert one is not None
        partitions[int(one["visitor_id"][1:]) % 3].append(one)
    settings = Settings(partitioned_by="visitor")
    way = Way(batches=[], then=501, shards=2)
    rows = run_core(partitions, JOURNEYS, settings, way)
    assert len(rows.transitions) == 2876
    assert_same(rows, expected(partitions, JOURNEYS, settings))
