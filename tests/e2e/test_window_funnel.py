"""Where ClickHouse's own windowFunnel can answer, it answers as we do, session by session.

It knows neither objects nor timers, nor a way back, and breaks ties of time in its own way. For what is left,
a batch query of its own cuts sessions out of the stored events, and the funnel is computed twice.
"""

from __future__ import annotations

import pytest

from tests.cli.run import pathline
from tests.e2e.runs import ask

STAGES = {
    "view": "page_view, view_item",
    "cart": "add_to_cart",
    "checkout": "begin_checkout",
    "payment": "add_payment_info",
    "order": "purchase",
}
JOURNEY = "journey: funnel\nversion: 1\nconversion: order\nstages:\n" + "".join(
    f"  - {{name: {name}, when: {{event: [{events}]}}}}\n" for name, events in STAGES.items()
)
STEPS = ", ".join(
    f"event IN ({', '.join(repr(name) for name in events.split(', '))})" for events in STAGES.values()
)
THEIRS = f"""
    SELECT visitor_id, toString(toDateTime(min(at), 'UTC')) AS started_at,
        windowFunnel(86400000)(toUInt64(toUnixTimestamp64Milli(at)), {STEPS}) AS level
    FROM (
        SELECT visitor_id, at, event, sum(is_first) OVER (PARTITION BY visitor_id ORDER BY at) AS visit
        FROM (
            SELECT visitor_id, at, event, dateDiff('millisecond', lagInFrame(at, 1, toDateTime64(0, 3, 'UTC'))
                OVER (PARTITION BY visitor_id ORDER BY at), at) > 1800000 AS is_first
            FROM bi.events
            WHERE NOT is_passive
        )
    )
    GROUP BY visitor_id, visit
    HAVING level > 0
    ORDER BY visitor_id, started_at
"""
"""Whoever leaves a step out is not counted beyond it. It would let them make good for it later, where we go
only forwards; in these stories nobody does. (Its 'strict_order' is something else: any other event ends it.)
"""
OURS = """
    SELECT s.visitor_id AS visitor_id, toString(s.started_at) AS started_at, level
    FROM bi.session_stages AS s
    JOIN (
        SELECT session_id, arrayMap(step -> step.2, arraySort(groupArray((sequence, to_rank)))) AS ranks,
            arrayCount((rank, step) -> rank = step, ranks, arrayEnumerate(ranks)) AS level
        FROM bi.transitions GROUP BY session_id
    ) AS t USING (session_id)
    WHERE level > 0
    ORDER BY visitor_id, started_at
"""


@pytest.fixture(scope="module")
def dsn(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("funnel")
    (folder / "funnel.yaml").write_text(JOURNEY)
    shoppers = ("--visitors", "4000", "--hours", "8", "--seed", "5", "--out", "shop.jsonl")
    assert pathline("simulate", *shoppers, cwd=folder).returncode == 0
    done = pathline(
        "run", "--input", "shop.jsonl", "--journey", "./funnel.yaml", "--store-events", "--sort", cwd=folder
    )
    assert done.returncode == 0, done.stderr
    return f"chdb://{folder / 'pathline-data' / 'clickhouse'}"


def test_our_transitions_and_windowfunnel_say_the_same_of_every_session(dsn: str) -> None:
    ties = "SELECT count() - uniqExact(visitor_id, at) AS n FROM bi.events WHERE NOT is_passive"
    answers = ask(dsn, {"ours": OURS, "theirs": THEIRS, "ties": ties})
    assert answers["ties"] == [{"n": 0}], "nothing is left to chance"
    assert answers["ours"] == answers["theirs"]
    levels = [int(row["level"]) for row in answers["ours"]]
    counts = [levels.count(level) for level in range(1, len(STAGES) + 1)]
    assert len(levels) > 3_000
    assert min(counts) > 50, "each stage is where some came to their end"


def test_leaving_a_step_out_makes_a_difference_here(dsn: str) -> None:
    skips = "SELECT count() AS n FROM bi.transitions WHERE kind = 'skip'"
    assert int(ask(dsn, {"skips": skips})["skips"][0]["n"]) > 50
