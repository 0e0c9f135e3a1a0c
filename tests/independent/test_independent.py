"""Two simulated weeks: what the pipeline writes equals what SQL alone makes of the same lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.runs import LONG
from tests.independent.answer import Answer, answer
from tests.independent.compare import differences, expected
from tests.independent.flow import OBJECTS, SESSIONS, answers, run
from tests.independent.weeks import weeks, write

VIEWS = Path(__file__).parents[2] / "sinks/clickhouse/sql/views"
needs_objects = pytest.mark.skipif(
    not (VIEWS / "abandonments.sql").exists(), reason="the pipeline does not follow objects yet"
)
SIZES = [(1, 4_000), (2, 1_500), *([(3, 50_000)] if LONG else [])]  # seed, visitors


@pytest.fixture(scope="module", params=SIZES, ids=str)
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Answer, str]:
    """The independent answer, and the database that the pipeline has filled."""
    seed, visitors = request.param
    lines = weeks(seed, visitors)
    folder = tmp_path_factory.mktemp(f"weeks-{seed}")
    return answer(lines), run(write(folder, lines), folder)


def test_the_weeks_have_everything_that_may_happen(both: tuple[Answer, str]) -> None:
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
def test_the_same_records_are_admitted_into_the_same_sessions(both: tuple[Answer, str], name: str) -> None:
    mine, dsn = both
    found = answers(dsn, {name: SESSIONS[name]})[name]
    assert not (told := differences(name, found, expected(name, mine))), "\n".join(told)


@needs_objects
@pytest.mark.parametrize("name", [name for name in OBJECTS if name != "odd_rates"])
def test_objects_orders_outcomes_and_rates_are_the_same(both: tuple[Answer, str], name: str) -> None:
    mine, dsn = both
    found = answers(dsn, {name: OBJECTS[name]})[name]
    assert not (told := differences(name, found, expected(name, mine))), "\n".join(told)


@needs_objects
def test_every_rate_follows_from_the_counts_beside_it(both: tuple[Answer, str]) -> None:
    _, dsn = both
    assert answers(dsn, {"odd": OBJECTS["odd_rates"]})["odd"] == []
