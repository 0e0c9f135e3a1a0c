"""Two simulated weeks: what the pipeline writes equals what SQL alone makes of the same lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.runs import LONG
from tests.independent.answer import Answer, Row, answer
from tests.independent.compare import differences, expected
from tests.independent.flow import OBJECTS, SESSIONS, answers, run
from tests.independent.weeks import weeks, write

VIEWS = Path(__file__).parents[2] / "sinks/clickhouse/sql/views"
HAS_OBJECTS = (VIEWS / "abandonments.sql").exists()
needs_objects = pytest.mark.skipif(not HAS_OBJECTS, reason="the pipeline does not follow objects yet")
Both = tuple[Answer, dict[str, list[Row]]]
QUESTIONS = SESSIONS | (OBJECTS if HAS_OBJECTS else {})
SIZES = [(1, 4_000), (2, 1_500), *([(3, 50_000)] if LONG else [])]  # seed, visitors


@pytest.fixture(scope="module", params=SIZES, ids=str)
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Both:
    """The independent answers, and those of the pipeline's views."""
    seed, visitors = request.param
    lines = weeks(seed, visitors)
    folder = tmp_path_factory.mktemp(f"weeks-{seed}")
    return answer(lines), answers(run(write(folder, lines), folder), QUESTIONS)


def test_the_weeks_have_everything_that_may_happen(both: Both) -> None:
    mine, _ = both
    states = {(row["kind"], row["state"]) for row in mine.objects}
    for kind in ("cart", "checkout", "payment"):
        for state in ("completed", "superseded", "withdrawn", "recovered", "expired", "void"):
            assert (kind, state) in states or (kind, state) == ("payment", "superseded")
    assert {row["outcome"] for row in mine.sessions} == {"converted", "abandoned", "browsed", "bounced"}
    assert {row["currency"] for row in mine.orders} >= {"EUR", "GBP", "USD"}
    (counts,) = mine.admission
    assert min(counts.values()) > 10, counts


@pytest.mark.parametrize("name", SESSIONS)
def test_the_same_records_are_admitted_into_the_same_sessions(both: Both, name: str) -> None:
    same(name, both)


@needs_objects
@pytest.mark.parametrize("name", [name for name in OBJECTS if name != "odd_rates"])
def test_objects_orders_outcomes_and_rates_are_the_same(both: Both, name: str) -> None:
    same(name, both)


@needs_objects
def test_every_rate_follows_from_the_counts_beside_it(both: Both) -> None:
    _, found = both
    assert found["odd_rates"] == []


def same(name: str, both: Both) -> None:
    """Fails with what differs."""
    mine, found = both
    told = differences(name, found[name], expected(name, mine))
    assert not told, "\n".join(told)


def test_a_difference_is_told_with_its_column() -> None:
    row = {"site": "shop", "visitor_id": "a", "kind": "cart", "opened_at": 1, "state": "void"}
    told = differences("objects", [row, row], [row, row | {"state": "expired"}])
    assert told[0] == "objects: 2 rows for 2; 1 more (+), 1 less (-)"
    assert told[1].strip() == "state 1, without counterpart 0"
    assert not differences("objects", [row], [dict(row)])
