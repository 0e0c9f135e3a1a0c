"""Hours, days, paths and times in stage over two simulated weeks: what the minutes and the facts say."""

from __future__ import annotations

import math
from collections import Counter
from importlib.resources import files
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pyarrow.parquet as pq
import pytest

from pipeline.core.count.cohorts import NOW
from pipeline.core.detect.minutes import HORIZONS_MINUTES
from schemas.journeys import load_journeys
from tests.e2e.runs import ask, pathline
from tests.independent.flow import run
from tests.independent.weeks import weeks, write
from tests.properties.test_cohorts import Told, expected

TIMED: Final = """\
journey: timed
version: 1
key: visitor
conversion: order
stages:
  - name: view
    abandon_after: 5m
    when: {event: view_item}
  - name: cart
    abandon_after: 10m
    when: {event: add_to_cart}
  - name: order
    when: {event: purchase}
regress:
  - to: view
    when: {event: remove_from_cart}
"""
"""Without objects: timers, and ways back, say what is abandoned and what recovered."""

SQL: Final = files("sinks.clickhouse") / "sql"
COHORTS: Final = (
    (SQL / "alerts" / "minutes.sql")
    .read_text("utf-8")
    .replace("{since:DateTime}", "toDateTime('2000-01-01 00:00:00', 'UTC')")
    .replace("{until:DateTime}", "toDateTime('2100-01-01 00:00:00', 'UTC')")
)
DIMS: Final = "device, channel, source, medium, campaign, country"
KEY: Final = "site, journey, journey_version, stage, device, channel, currency"


def counted(view: str, time: str) -> str:
    """What was counted in a view, by stretches of time."""
    return (
        f"SELECT {KEY}, {time} AS stretch, sum(f.entered) AS ins, sum(f.advanced) AS ons, "
        f"sum(f.converted) AS goals, toString(sum(f.value)) AS money FROM bi.{view} AS f "
        f"GROUP BY {KEY}, stretch HAVING ins + ons + goals > 0 ORDER BY {KEY}, stretch"
    )


def lost(view: str) -> str:
    return (
        f"SELECT stage, sum(f.abandoned) AS abandoned, sum(f.recovered) AS recovered FROM bi.{view} AS f "
        "WHERE journey = 'timed' GROUP BY stage ORDER BY stage"
    )


QUESTIONS: Final = {
    "hours": counted("funnel_hour", "time"),
    "minutes": counted("funnel_minute", "toStartOfHour(time)"),
    "days": counted("funnel_day", "time"),
    "minutes by day": counted("funnel_minute", "toStartOfDay(time)"),
    "timed hours": lost("funnel_hour"),
    "timed minutes": lost("funnel_minute"),
    "lost by hour": """
        SELECT stage, time, country, sum(f.abandoned) AS abandoned, sum(f.voided) AS voided
        FROM bi.funnel_hour AS f WHERE journey = 'checkout'
        GROUP BY stage, time, country HAVING abandoned > 0 ORDER BY stage, time, country""",
    "lost by object": """
        SELECT stage, toStartOfHour(assumeNotNull(abandoned_at)) AS time, country,
            count() AS abandoned, countIf(state = 'void') AS voided
        FROM bi.abandonments WHERE journey = 'checkout' AND abandoned_at IS NOT NULL
        GROUP BY stage, time, country ORDER BY stage, time, country""",
    "won back by hour": """
        SELECT stage, time, sum(f.recovered) AS recovered
        FROM bi.funnel_hour AS f WHERE journey = 'checkout'
        GROUP BY stage, time HAVING recovered > 0 ORDER BY stage, time""",
    "won back by object": """
        SELECT stage, toStartOfHour(assumeNotNull(resolved_at)) AS time, count() AS recovered
        FROM bi.abandonments WHERE journey = 'checkout' AND state = 'recovered'
        GROUP BY stage, time ORDER BY stage, time""",
    "visitors": f"""
        SELECT stage, f.visitors AS about, t.visitors AS visitors
        FROM (SELECT * FROM bi.funnel_day WHERE journey = 'checkout' AND entered > 0) AS f
        INNER JOIN (
            SELECT toStartOfDay(e.time) AS time, e.to_stage AS stage, site, {DIMS},
                uniqExact(visitor_id) AS visitors
            FROM bi.transitions AS e WHERE journey = 'checkout' GROUP BY time, stage, site, {DIMS}
        ) AS t USING (time, stage, site, {DIMS})""",
    "seconds": f"""
        SELECT stage, f.seconds_p50 AS p50, f.seconds_p90 AS p90, t.all AS all
        FROM (SELECT * FROM bi.funnel_day WHERE journey = 'checkout' AND seconds_p50 IS NOT NULL) AS f
        INNER JOIN (
            SELECT toStartOfDay(assumeNotNull(s.left_at)) AS time, stage, site, {DIMS},
                arraySort(groupArray(seconds)) AS all
            FROM bi.stage_visits AS s WHERE journey = 'checkout' AND left_by IN ('advanced', 'regressed')
            GROUP BY time, stage, site, {DIMS}
        ) AS t USING (time, stage, site, {DIMS})""",
    "steps": """
        SELECT journey, day, step, sum(p.sessions) AS all, sumIf(p.sessions, to_stage NOT LIKE '(%') AS on
        FROM bi.paths AS p GROUP BY journey, day, step ORDER BY journey, day, step""",
    "begun": """
        SELECT journey, toDate(time) AS day, count() AS sessions FROM bi.session_stages
        GROUP BY journey, day ORDER BY journey, day""",
    "ends": """
        SELECT journey, to_stage, sum(p.sessions) AS sessions FROM bi.paths AS p
        WHERE to_stage LIKE '(%' GROUP BY journey, to_stage ORDER BY journey, to_stage""",
    "outcomes": """
        SELECT journey, concat('(', outcome, ')') AS to_stage, count() AS sessions FROM bi.session_stages
        GROUP BY journey, to_stage ORDER BY journey, to_stage""",
    "times": """
        SELECT journey, stage, sum(t.left) AS left, sum(t.given_up) AS given_up, sum(t.open) AS open
        FROM bi.stage_times AS t GROUP BY journey, stage HAVING left + given_up + open > 0
        ORDER BY journey, stage""",
    "stays": """
        SELECT journey, stage, countIf(left_by IN ('advanced', 'regressed')) AS left,
            countIf(left_by = 'abandoned') AS given_up, countIf(left_by = 'open') AS open
        FROM bi.stage_visits GROUP BY journey, stage HAVING left + given_up + open > 0
        ORDER BY journey, stage""",
    "moves": """
        SELECT site, journey, journey_version, toUnixTimestamp64Milli(at) AS at, from_rank, to_rank, kind,
            toString(skipped) AS skipped, value_e4, device, channel, country, from_device, from_channel,
            from_country, toUnixTimestamp64Milli(from_entered_at) AS from_entered_at
        FROM pathline.transitions FINAL""",
    "cohorts": COHORTS,
    "stages": "SELECT * FROM bi.stages WHERE journey = 'timed' ORDER BY rank",
}  # fmt: skip


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("aggregates")
    journey = folder / "timed.yaml"
    journey.write_text(TIMED)
    dsn = run(write(folder, weeks(4, 1_200)), folder, "--journey", str(journey))
    return {**ask(dsn, QUESTIONS), "journeys": [*load_journeys(["checkout", str(journey)])], "dsn": dsn}


@pytest.mark.parametrize(
    ("computed", "wanted", "rows"),
    [
        ("hours", "minutes", 1_000),
        ("days", "minutes by day", 300),
        ("timed hours", "timed minutes", 2),
        ("lost by hour", "lost by object", 50),
        ("won back by hour", "won back by object", 10),
        ("ends", "outcomes", 6),
        ("times", "stays", 5),
    ],
)
def test_an_aggregate_says_what_it_is_made_of(
    said: dict[str, Any], computed: str, wanted: str, rows: int
) -> None:
    assert said[computed] == said[wanted]
    assert len(said[wanted]) >= rows


def test_there_is_something_to_abandon_recover_and_take_back(said: dict[str, Any]) -> None:
    assert all(
        row["abandoned"] and row["recovered"] for row in said["timed minutes"] if row["stage"] != "order"
    )
    assert sum(row["voided"] for row in said["lost by object"]) > 0


def test_visitors_and_times_are_as_near_as_they_promise(said: dict[str, Any]) -> None:
    assert len(said["visitors"]) > 100
    assert len(said["seconds"]) > 100
    for row in said["visitors"]:
        assert row["about"] == pytest.approx(row["visitors"], rel=0.02)
    for row in said["seconds"]:
        for share, told in ((0.5, row["p50"]), (0.9, row["p90"])):
            below, above = (around(share * (len(row["all"]) - 1)) for around in (math.floor, math.ceil))
            assert 0.98 * row["all"][below] <= told <= 1.02 * row["all"][above] + 0.01, (share, row)


def test_paths_lose_nobody_on_the_way(said: dict[str, Any]) -> None:
    steps = {(row["journey"], row["day"], row["step"]): row for row in said["steps"]}
    begun = {(row["journey"], row["day"]): row["sessions"] for row in said["begun"]}
    assert {place[:2]: row["all"] for place, row in steps.items() if place[2] == 1} == begun
    for (journey, day, step), row in steps.items():
        after = steps.get((journey, day, step + 1))
        assert row["on"] == (after["all"] if after else 0)


def test_stages_are_told_in_order_with_their_goal(said: dict[str, Any]) -> None:
    told = [(row["stage"], row["is_conversion"], row["has_objects"]) for row in said["stages"]]
    assert told == [("view", 0, 0), ("cart", 0, 0), ("order", 1, 0)]


def test_cohorts_from_the_facts_are_those_that_the_flow_would_count(said: dict[str, Any]) -> None:
    """What `pathline alerts history` takes from the database, as the property test of the core defines it."""
    wanted: Counter[Any] = Counter()
    for place, count in expected(said["moves"], said["journeys"]).items():
        what, at, journey, version, rank, site, device, channel, country, horizon = place
        minute = at if horizon == NOW else at - HORIZONS_MINUTES[horizon]
        if what == "entered" and horizon != NOW:
            continue
        named = (
            f"went_on_{HORIZONS_MINUTES[horizon]}" if what == "went_on" else what.replace("value", "value_e4")
        )
        words = {"channel": channel, "country": country, "device": device, "site": site}
        for segment in ["", *(f"{name}={quote(word)}" for name, word in words.items() if word)]:
            wanted[minute, journey, version, rank, segment, named] += count
    found: Told = Counter()
    for row in said["cohorts"]:
        key = tuple(row[name] for name in ("minute", "journey", "version", "rank", "segment"))
        for name in (*(f"went_on_{one}" for one in HORIZONS_MINUTES), "entered", "skipped", "value_e4"):
            found[*key, name] += row[name]
    assert +found == +wanted
    assert sum(row["skipped"] for row in said["cohorts"]) > 100


def test_a_history_is_taken_from_a_database_and_simulated(said: dict[str, Any], tmp_path: Path) -> None:
    minutes = tmp_path / "minutes.parquet"
    pathline("alerts", "history", minutes, "--clickhouse", said["dsn"]).clean()
    kept = pq.read_table(minutes).to_pylist()
    assert kept == [{name: row[name] for name in kept[0]} for row in said["cohorts"]]
    told = pathline("alerts", "simulate", "--minutes", minutes).clean().said
    assert "of 24 scopes" in told, told
    assert "silence in everybody" in told, "after the two weeks hardly anybody comes"


def test_a_history_of_nothing_is_said(tmp_path: Path) -> None:
    empty = tmp_path / "minutes.parquet"
    pathline("migrate", "--clickhouse", f"chdb://{tmp_path / 'db'}").clean()
    asked = pathline("alerts", "history", empty, "--clickhouse", f"chdb://{tmp_path / 'db'}")
    asked.refused("there are no transitions to count")
    assert not empty.exists()
