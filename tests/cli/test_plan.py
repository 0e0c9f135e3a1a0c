"""`pathline plan`: what a changed rule moves, by count and by name; and nothing where nothing changes."""

from __future__ import annotations

import io
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pipeline.cli.plan import definitions
from pipeline.cli.plan_alerts import AlertsCompared
from pipeline.cli.plan_compare import Compared, compare, is_changed, stage_changes
from pipeline.cli.plan_report import report
from schemas.journeys import Journey, load_journeys
from sinks.clickhouse.client import connect, target
from sinks.clickhouse.query import Reader
from tests.cli.run import mended, pathline

OLD = """\
journey: shop
version: 1
conversion: order
stages:
  - {name: view, when: {event: page_view}}
  - {name: cart, when: {event: add_to_cart}}
  - {name: order, when: {event: purchase}}
"""
NEW = OLD.replace("{event: add_to_cart}", "{event: add_to_cart, value: {gte: 20}}")
"""Only a cart of 20 or more is one."""
RENAMED = OLD.replace("name: cart", "name: basket")

EVENTS = [
    ("anna", "page_view", 0), ("anna", "add_to_cart", 10), ("anna", "purchase", 10),
    ("ben", "page_view", 0), ("ben", "add_to_cart", 10),
    ("bob", "page_view", 0), ("bob", "add_to_cart", 19.99),
    ("cleo", "page_view", 0), ("cleo", "add_to_cart", 20),
    ("d[red]an\x1b", "add_to_cart", 5),
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plan")
    records = (
        {"event_at": f"2025-06-01T10:{minute:02}:00Z", "visitor_id": who, "event": event, "value": value}
        for minute, (who, event, value) in enumerate(EVENTS)
    )
    (folder / "events.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    for name, text in {"old": OLD, "new": NEW, "renamed": RENAMED}.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder


def plan(folder: Path, old: str, new: str, *more: str) -> subprocess.CompletedProcess[str]:
    return pathline("plan", f"./{old}.yaml", f"./{new}.yaml", "--input", "events.jsonl", *more, cwd=folder)


def cells(text: str, heading: str) -> list[list[str]]:
    """The table under a heading, with it: its lines up to an empty one."""
    lines = text[text.index(f"\n{heading}  ") + 1 :].split("\n\n")[0].splitlines()
    return [re.split(r" {2,}", line.strip()) for line in lines if line.strip()]


@pytest.fixture(scope="module")
def planned(folder: Path) -> subprocess.CompletedProcess[str]:
    done = plan(folder, "old", "new")
    assert done.returncode == 0, done.stderr
    return done


def test_a_changed_rule_moves_sessions_by_so_many(planned: subprocess.CompletedProcess[str]) -> None:
    assert "shop 1 → shop 1 (new), on 5 sessions" in planned.stdout
    assert cells(planned.stdout, "sessions by furthest stage") == [
        ["sessions by furthest stage", "shop 1", "shop 1 (new)", "change"],
        ["view", "0", "2", "+2"],
        ["cart", "4", "1", "-3"],
        ["order", "1", "1"],
        ["(none)", "0", "1", "+1"],
    ]
    assert cells(planned.stdout, "sessions by outcome")[1:] == [
        ["abandoned in cart", "4", "1", "-3"],
        ["browsed", "0", "2", "+2"],
        ["converted", "1", "1"],
        ["(none)", "0", "1", "+1"],
    ]


def test_transitions_and_rates_of_both_stand_side_by_side(planned: subprocess.CompletedProcess[str]) -> None:
    assert cells(planned.stdout, "transitions that change")[1:] == [
        ["(start) → cart (enter)", "1", "0", "-1"],
        ["view → cart (advance)", "4", "1", "-3"],
        ["view → order (skip)", "0", "1", "+1"],
        ["cart → order (advance)", "1", "0", "-1"],
    ]
    assert cells(planned.stdout, "drop-off of the settled")[1:] == [
        ["view", "0.0 %", "50.0 %", "+50.0"],
        ["cart", "80.0 %", "100.0 %", "+20.0"],
    ]


def test_examples_say_who_and_what_becomes_of_them(planned: subprocess.CompletedProcess[str]) -> None:
    assert "3 of 5 sessions change: 3 their furthest stage, 3 their outcome." in planned.stdout
    assert cells(planned.stdout, "sessions")[1:] == [
        [
            "2",
            "cart → view",
            "abandoned in cart → browsed",
            "ben 2025-06-01 10:03:00, bob 2025-06-01 10:05:00",
        ],
        ["1", "cart → (none)", "abandoned in cart → (none)", "d[red]an\ufffd 2025-06-01 10:09:00"],
    ]


def test_it_is_plain_text_and_leaves_nothing_behind(
    folder: Path, planned: subprocess.CompletedProcess[str]
) -> None:
    assert "\x1b" not in planned.stdout + planned.stderr
    assert "10 of 10 records accepted" in planned.stderr
    assert "chdb:" not in planned.stderr
    assert sorted(path.name for path in folder.iterdir()) == [
        "events.jsonl", "new.yaml", "old.yaml", "renamed.yaml",
    ]  # fmt: skip


def test_the_same_definition_changes_nothing_and_says_so(folder: Path) -> None:
    done = plan(folder, "old", "old")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().splitlines() == [
        "shop 1 → shop 1 (new), on 5 sessions",
        "Nothing would change: both definitions say the same of every one.",
        (
            "No alert could be called under either: the records cover 9 min, and a stage is watched only "
            "when enough people have gone on from it to know how long they take, and 24 h more have been "
            "learnt. Give more records to see which alerts would differ."
        ),
    ]


def test_a_stage_of_another_name_is_the_same_stage(folder: Path) -> None:
    done = plan(folder, "old", "renamed")
    assert cells(done.stdout, "stages") == [["stages"], ["cart", "renamed to basket"]]
    assert "Every session comes as far as before, and to the same end." in done.stdout
    assert "sessions by" not in done.stdout


def test_bad_definitions_are_told_together_each_with_its_line(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "old.yaml").write_text(OLD.replace("conversion: order", "conversion: odrer"))
    (tmp_path / "new.yaml").write_text(OLD.replace("page_view}", "page_view, valeu: 1}"))
    (tmp_path / "events.jsonl").write_text("")
    text = "\n".join(mended(plan(tmp_path, "old", "new")))
    assert "old.yaml:3: conversion: there is no stage 'odrer'" in text
    assert "new.yaml:5: " in text


def test_a_sample_without_anybody_is_no_proof(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "events.jsonl").write_text("")
    done = pathline("plan", folder / "old.yaml", folder / "new.yaml", "--input", "events.jsonl", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Neither sees anybody enter a stage" in done.stdout
    assert "Nothing would change" not in done.stdout


def test_nothing_to_read_is_refused(folder: Path) -> None:
    lines = mended(pathline("plan", "./old.yaml", "./new.yaml", cwd=folder))
    assert lines[0] == "--input: nothing to read"


def journey(folder: Path, stages: str) -> Journey:
    file = folder / "journey.yaml"
    file.write_text(f"journey: shop\nversion: 1\nconversion: {stages[-1]}\nstages:\n" + "".join(
        f"  - {{name: {name}, when: {{event: on_{name.lower()}}}}}\n" for name in stages
    ))  # fmt: skip
    return load_journeys([str(file)])[0]


@pytest.mark.parametrize(
    ("old", "new", "added", "removed", "renamed"),
    [
        ("abc", "abc", "", "", {}),
        ("abc", "axc", "x", "b", {}),
        ("abc", "abxc", "x", "", {}),
        ("ac", "c", "", "a", {}),
    ],
)
def test_stages_that_come_and_go(
    old: str, new: str, added: str, removed: str, renamed: dict[str, str], tmp_path: Path
) -> None:
    found = stage_changes(journey(tmp_path, old).stages, journey(tmp_path, new).stages)
    assert (found.added, found.removed, found.renamed) == (tuple(added), tuple(removed), renamed)


OBJECTS = [
    # version, kind, state, final_state
    (1, "cart", "abandoned", "abandoned"),
    (1, "cart", "completed", "completed"),
    (1, "cart", "open", "open"),
    (2, "cart", "recovered", "recovered"),
    (2, "cart", "void", "void"),
    (2, "cart", "superseded", "completed"),
    (2, "checkout", "completed", "completed"),
]


@pytest.fixture
def objects(tmp_path: Path) -> Iterator[Reader]:
    """A database with one session and objects of both versions."""
    dsn = f"chdb://{tmp_path / 'db'}"
    client = connect(target(dsn))
    client.command("CREATE DATABASE bi")
    for view, columns in {
        "session_stages_all": "furthest_stage String, outcome String, abandoned_stage String, "
        "session_id String, visitor_id String, started_at DateTime('UTC')",
        "transitions_all": "from_stage String, to_stage String, kind String",
        "dropoff_all": "stage String, entered UInt64, settled UInt64, dropped UInt64",
        "abandonments_all": "kind String, state String, final_state String",
    }.items():
        client.command(
            f"CREATE TABLE bi.{view} (journey String, journey_version UInt16, {columns}) "
            "ENGINE = MergeTree ORDER BY ()"
        )
    rows = ", ".join(str(("shop", *row)) for row in OBJECTS)
    client.command(f"INSERT INTO bi.abandonments_all VALUES {rows}")
    client.command(
        "INSERT INTO bi.session_stages_all "
        "SELECT 'shop', number + 1, 'cart', 'browsed', '', 's', 'anna', toDateTime(0, 'UTC') FROM numbers(2)"
    )
    with Reader(dsn) as reader:
        yield reader
    client.close()


def test_objects_are_compared_by_what_became_of_them_and_by_rate(objects: Reader, folder: Path) -> None:
    pair = definitions(str(folder / "old.yaml"), str(folder / "new.yaml"))
    compared = compare(objects, pair)
    (cart, checkout) = compared.rows["abandonment_rates"]
    assert (cart["created_before"], cart["created_after"]) == (3, 3)
    assert (cart["deadline_before"], cart["recovery_before"]) == (0.5, 0.5), "who is open is in no rate"
    assert cart["deadline_after"] == pytest.approx(1 / 3), "void was ordered in time"
    assert cart["recovery_after"] == 0
    assert checkout["deadline_before"] is None, "no rate of nothing"
    text = told(compared)
    assert cells(text, "objects")[1:4] == [
        ["cart open", "1", "0", "-1"],
        ["cart completed", "1", "0", "-1"],
        ["cart superseded", "0", "1", "+1"],
    ]
    assert cells(text, "abandoned at the deadline")[1:] == [
        ["cart", "50.0 %", "33.3 %", "-16.7"],
        ["checkout", "0.0 %"],
    ]


def told(compared: Compared) -> str:
    text = io.StringIO()
    nothing = AlertsCompared((), 0, (0, 0), ({}, {}), 0, 1440)
    report(compared, nothing, Console(width=200, file=text))
    return text.getvalue()


@pytest.mark.parametrize(
    ("row", "changed"),
    [
        ({"stage": "a", "before": 1, "after": 1}, False),
        ({"stage": "a", "before": 1, "after": 2}, True),
        ({"rate_before": None, "rate_after": None, "n_before": 1, "n_after": 1}, False),
        ({"rate_before": None, "rate_after": 0.0, "n_before": 1, "n_after": 1}, True),
    ],
)
def test_a_row_is_changed_where_before_and_after_differ(row: dict[str, Any], changed: bool) -> None:
    assert is_changed(row) is changed
