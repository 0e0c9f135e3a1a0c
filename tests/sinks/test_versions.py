"""Versions of a journey side by side: `bi.NAME_all` has all, `bi.NAME` the active one, which can change."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sinks.clickhouse.client import connect, target
from sinks.clickhouse.migrate import migrate, migrations, views
from sinks.clickhouse.query import Reader
from sinks.clickhouse.versions import with_versions
from sinks.clickhouse.writer import ClickHouseSink
from tests.cli.run import mended, pathline
from tests.sinks.places import OURS
from tests.sinks.rows import batch, journey, minute, session, transition

FIRST = """\
journey: shop
version: 1
conversion: order
stages:
  - {name: view, when: {event: page_view}}
  - {name: order, when: {event: purchase}}
"""
SECOND = """\
journey: shop
version: 2
conversion: order
stages:
  - {name: view, when: {event: page_view}}
  - {name: cart, when: {event: add_to_cart}}
  - {name: order, when: {event: purchase}}
"""
VERSIONED = ("session_stages", "transitions", "stage_visits", "funnel_minute", "dropoff")
ENTERED = {1: ["view", "order", "view"], 2: ["view", "cart", "order", "view", "cart"]}
"""What anna, who buys, and ben, who fills a cart, enter in each version."""


def records() -> Iterator[dict[str, str]]:
    for minute_, visitor, event in [
        (0, "anna", "page_view"),
        (1, "anna", "add_to_cart"),
        (2, "anna", "purchase"),
        (3, "ben", "page_view"),
        (4, "ben", "add_to_cart"),
    ]:
        yield {"event_at": f"2025-06-01T10:{minute_:02}:00Z", "visitor_id": visitor, "event": event}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("versions")
    (folder / "events.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records()))
    (folder / "first.yaml").write_text(FIRST)
    (folder / "second.yaml").write_text(SECOND)
    return folder


def run(folder: Path, *options: str) -> None:
    versions = ("--journey", "./first.yaml", "--journey", "./second.yaml")
    done = pathline("run", "--input", "events.jsonl", *versions, *options, cwd=folder)
    assert done.returncode == 0, done.stderr


def asked(folder: Path, sql: str) -> list[dict[str, Any]]:
    with Reader(f"chdb://{folder / 'pathline-data' / 'clickhouse'}") as reader:
        return list(reader.query(sql).to_pylist())


def stages(folder: Path, view: str) -> list[tuple[int, str]]:
    found = asked(folder, f"SELECT journey_version, stage FROM bi.{view}")
    return sorted((row["journey_version"], row["stage"]) for row in found)


def entered(*versions: int) -> list[tuple[int, str]]:
    return sorted((version, stage) for version in versions for stage in ENTERED[version])


def test_one_stream_in_two_versions_and_the_active_one_changes(folder: Path) -> None:
    run(folder)
    assert stages(folder, "stage_visits_all") == entered(1, 2)
    assert stages(folder, "stage_visits") == entered(2), "the highest, where nothing else is said"
    assert asked(folder, "SELECT * FROM bi.active_versions") == [{"journey": "shop", "version": 2}]
    run(folder, "--active", "shop:1")  # nothing is left to read: it only says which
    assert stages(folder, "stage_visits") == entered(1)
    assert stages(folder, "stage_visits_all") == entered(1, 2)
    for view in VERSIONED:
        (found,) = asked(
            folder,
            f"SELECT groupUniqArray(journey_version) AS active, (SELECT count() FROM bi.{view}_all "
            f"WHERE journey_version = 1) = count() AS is_all_of_it FROM bi.{view}",
        )
        assert (list(found["active"]), found["is_all_of_it"]) == ([1], 1), view
    (sums,) = asked(
        folder,
        "SELECT (SELECT sum(entered) FROM bi.dropoff) AS d, (SELECT sum(entered) FROM bi.funnel_minute) AS f",
    )
    assert sums == {"d": len(ENTERED[1]), "f": len(ENTERED[1])}
    shown = pathline("show", cwd=folder).stdout
    assert re.search(r"^shop 1 ", shown, re.MULTILINE)
    assert "shop 2" not in shown
    run(folder)
    assert stages(folder, "stage_visits") == entered(2)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (["shop:3"], "shop:3 does not run here"),
        (["shop"], "'shop' names no version"),
        (["shop:1", "shop:2"], "two versions of shop"),
    ],
)
def test_a_version_that_cannot_be_active_is_refused(folder: Path, wanted: list[str], said: str) -> None:
    options = [word for version in wanted for word in ("--active", version)]
    versions = ("--journey", "./first.yaml", "--journey", "./second.yaml")
    where = ("--state", "none", "--clickhouse", "chdb://none/clickhouse")
    lines = mended(pathline("run", "--input", "events.jsonl", *versions, *options, *where, cwd=folder))
    assert said in lines[0]
    assert not (folder / "none").exists()


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[ClickHouseSink]:
    sink = ClickHouseSink(f"chdb://{tmp_path / 'db'}")
    sink.open(OURS)
    yield sink
    sink.close()


def fill(sink: ClickHouseSink, name: str, *versions: int) -> None:
    """A session, a transition and a minute of each version."""
    for version in versions:
        named = {"journey": name, "journey_version": version}
        number = version + (10 if name == "loan" else 0)
        sink.write("sessions", batch("sessions", [session(number, [journey(**named)])]))
        sink.write("transitions", batch("transitions", [transition(number, 1, **named)]))
        sink.write("funnel_minute", batch("funnel_minute", [minute(entered=1, **named)]))


def shown(sink: ClickHouseSink, view: str) -> list[tuple[str, int]]:
    with sink.reader() as reader:
        found = reader.query(f"SELECT DISTINCT journey, journey_version FROM bi.{view}").to_pylist()
    return sorted((row["journey"], row["journey_version"]) for row in found)


def test_what_nobody_has_named_shows_whole_and_each_journey_has_its_own(sink: ClickHouseSink) -> None:
    fill(sink, "shop", 1, 2)
    fill(sink, "loan", 1, 3)
    for view in VERSIONED:
        assert shown(sink, view) == [("loan", 1), ("loan", 3), ("shop", 1), ("shop", 2)], view
    sink.write("active_versions", batch("active_versions", [{"journey": "shop", "version": 2}]))
    for view in VERSIONED:
        assert shown(sink, view) == [("loan", 1), ("loan", 3), ("shop", 2)], view
    sink.write("active_versions", batch("active_versions", [{"journey": "loan", "version": 1}]))
    for view in VERSIONED:
        assert shown(sink, view) == [("loan", 1), ("shop", 2)], view


def test_a_database_from_before_shows_its_newest_version(tmp_path: Path) -> None:
    place = target(f"chdb://{tmp_path / 'db'}")
    number = next(script.number for script in migrations() if script.name == "active_versions")
    client = connect(place)
    migrate(client, embedded=True, scripts=migrations()[: number - 1], view_scripts=[])
    client.command(
        "INSERT INTO pathline.transitions (journey, journey_version, visitor_id) "
        "VALUES ('shop', 1, 'a'), ('shop', 2, 'a'), ('loan', 7, 'a')"
    )
    migrate(client, embedded=True)
    found = client.query("SELECT journey, journey_version FROM bi.transitions ORDER BY journey").result_rows
    client.close()
    assert [tuple(row) for row in found] == [("loan", 7), ("shop", 2)]


def test_both_forms_have_the_same_columns_and_filters_on_a_version_reach_the_keys(
    sink: ClickHouseSink,
) -> None:
    fill(sink, "shop", 1, 2)
    sink.write("active_versions", batch("active_versions", [{"journey": "shop", "version": 2}]))
    with sink.reader() as reader:
        for view in VERSIONED:
            sql = "SELECT name, type, comment FROM system.columns WHERE database = 'bi' AND table = '{}'"
            one, all_ = (reader.query(sql.format(name)).to_pylist() for name in (view, f"{view}_all"))
            assert one == all_
        explained = reader.query("EXPLAIN indexes = 1 SELECT count() FROM bi.transitions").to_pylist()
    plan = "\n".join(str(row["explain"]) for row in explained)
    assert re.search(r"PrimaryKey.*?Parts: 1/2", plan, re.DOTALL), plan


def test_every_view_with_a_version_is_made_in_both_forms() -> None:
    made = {script.name: script.text for script in views()}
    for name, text in made.items():
        if "`journey_version`" in text and not name.endswith("_all"):
            assert f"FROM bi.{name}_all" in text
            assert f"{name}_all" in made
    assert "bi.stage_visits_all" in made["dropoff_all"]
    assert "bi.stage_visits\n" not in made["dropoff_all"]


def test_a_view_that_is_written_otherwise_is_found_at_once() -> None:
    with pytest.raises(AssertionError, match="one statement"):
        with_versions({"x": "CREATE VIEW bi.x\n(\n    `journey_version` UInt16\n) AS SELECT 1"})
