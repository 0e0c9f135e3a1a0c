"""The pipeline's answers to the same questions: `pathline run` into an embedded database, and its views."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.runs import ask, pathline
from tests.independent.answer import Row

COLUMNS = "SELECT name FROM system.columns WHERE database = 'bi' AND table = 'abandonment_rates'"

SESSIONS = {
    "visits": """
        SELECT site, visitor_id, events,
            toUnixTimestamp(v.started_at) AS started_at,
            toUnixTimestamp(v.ended_at) AS ended_at
        FROM bi.sessions AS v""",
    "admission": """
        SELECT sum(c.accepted + c.duplicate + c.late) AS events,
            sum(c.duplicate) AS duplicates,
            sum(c.late) AS late
        FROM bi.conservation AS c""",
}

OBJECTS = {
    "objects": """
        SELECT site, visitor_id, kind, state, final_state,
            toUnixTimestamp(v.opened_at) AS opened_at,
            ifNull(toUnixTimestamp(v.abandoned_at), 0) AS abandoned_at,
            ifNull(toUnixTimestamp(v.resolved_at), 0) AS resolved_at,
            toInt64(v.value_at_risk * 10000) AS value_at_risk,
            if(v.value_at_risk > 0, v.currency, '') AS currency,
            toInt64(v.recovered_value * 10000) AS recovered_value
        FROM bi.abandonments AS v
        WHERE journey = 'checkout'""",
    "orders": """
        SELECT site, currency, count() AS orders, toString(toInt64(sum(v.value) * 10000)) AS value
        FROM bi.orders AS v
        GROUP BY site, currency""",
    "sessions": """
        SELECT site, visitor_id, toUnixTimestamp(v.started_at) AS started_at, outcome, abandoned_stage
        FROM bi.session_stages AS v
        WHERE journey = 'checkout'""",
    # A day and kind may have many rows: counts add up; rates do not, and are held against their counts.
    "rates": """
        SELECT site, toString(toDate(v.{day})) AS day, kind,
            sum(v.created) AS created, sum(v.settled) AS settled,
            sum(v.completed) AS completed, sum(v.abandoned) AS abandoned, sum(v.recovered) AS recovered
        FROM bi.abandonment_rates AS v
        WHERE journey = 'checkout'
        GROUP BY site, toString(toDate(v.{day})), kind""",
    "odd_rates": """
        SELECT * FROM bi.abandonment_rates
        WHERE abs(rate_at_deadline - (1 - completed / settled)) > 1e-9
            OR abs(rate_after_recovery - (1 - (completed + recovered) / settled)) > 1e-9
            OR isNull(rate_at_deadline) != (settled = 0)""",
}


def run(files: tuple[Path, ...], folder: Path, *options: str) -> str:
    """Takes the files through the pipeline; the DSN of what it has written."""
    dsn = f"chdb://{folder / 'chdb'}"
    inputs = [word for file in files for word in ("--input", str(file))]
    base = ["--mapping", "canonical", "--journey", "checkout"]
    where = ["--state", str(folder / "state"), "--clickhouse", dsn]
    pathline("run", *inputs, *base, *where, *options).clean()
    return dsn


def answers(dsn: str, questions: dict[str, str]) -> dict[str, list[Row]]:
    """What the views say."""
    if "rates" in questions:
        names = {row["name"] for row in ask(dsn, {"names": COLUMNS})["names"]}
        day = "day" if "day" in names else "time"
        questions = questions | {"rates": questions["rates"].format(day=day)}
    return ask(dsn, questions)
