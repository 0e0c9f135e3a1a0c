"""`pathline replay`: late and rejected records take their places in a new database; the old one stays."""

from __future__ import annotations

import json
import re
import signal
from dataclasses import replace
from datetime import datetime
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from pipeline.cli import apart
from pipeline.cli.replay_late import Late
from tests import w1
from tests.e2e.conftest import Stream
from tests.e2e.runs import Place, Rows, ask, same
from tests.e2e.test_answers import QUESTIONS

SESSIONS, SEED, FILES = 700, 29, 2
DELAY_MS_MAX = 40 * 60_000
"""So much later than it happened a record may lie in its file."""
LATENESS_MS = 10_000
BY_WATERMARK = "conservation"
"""Counts by the minute of the watermark: with another allowed lateness it is another minute."""


def at_ms(line: bytes) -> int:
    return int(datetime.fromisoformat(json.loads(line)["ts"]).timestamp() * 1000)


def delayed(files: tuple[Path, ...], folder: Path) -> tuple[Path, ...]:
    """The same records, some of them long after their time."""
    random = np.random.default_rng(SEED)
    paths = []
    for file in files:
        lines = file.read_bytes().splitlines(keepends=True)
        arrival = np.maximum.accumulate([at_ms(line) for line in lines])
        late = random.random(len(lines)) < 0.03
        arrival += np.where(late, random.integers(0, DELAY_MS_MAX, len(lines)), 0)
        paths.append(folder / file.name)
        paths[-1].write_bytes(b"".join(lines[k] for k in np.argsort(arrival, kind="stable")))
    return tuple(paths)


def behind_ms(files: tuple[Path, ...]) -> list[int]:
    """Of every late record, how far behind its watermark it is."""
    found = []
    for file in files:
        clock = 0
        for line in file.read_bytes().splitlines():
            at = at_ms(line)
            found += [clock - LATENESS_MS - at] if at < clock - LATENESS_MS else []
            clock = max(clock, at)
    return sorted(found)


@pytest.fixture(scope="module")
def old(stream: Stream, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A run that has set records aside for being late. Nobody changes it: that is what a replay promises."""
    place = new_run(stream, tmp_path_factory.mktemp("late"))
    place.run().clean()
    return place


@pytest.fixture(scope="module")
def whole(old: Place) -> Rows:
    """The rows of a run in which nothing was late."""
    return with_lateness(old, "12h")


def new_run(stream: Stream, tmp_path: Path) -> Place:
    place = Place(
        tmp_path / "old", delayed(stream(SESSIONS, SEED, FILES), tmp_path), ("--as-of", "2030-01-01")
    )
    place.folder.mkdir()
    return place


def again(old: Place, folder: Path, *which: str) -> Place:
    """A replay of it in that folder."""
    return replace(old, folder=folder, command=("replay", *which, "--of", old.dsn))


def with_lateness(old: Place, lateness: str, *more: str) -> Rows:
    """The rows of a run in which nothing is late."""
    place = replace(old, folder=old.folder.parent / "whole", options=(*old.options, *more))
    place.folder.mkdir()
    place.run("--allowed-lateness", lateness).clean()
    return place.rows()


def without_watermarks(rows: Rows) -> Rows:
    return {view: lines for view, lines in rows.items() if view != BY_WATERMARK}


def test_late_records_take_their_places_and_the_old_database_stays(
    old: Place, whole: Rows, tmp_path: Path
) -> None:
    before, behind = old.rows(), behind_ms(old.files)
    assert len(before["late_events"]) == len(behind) > 20
    place = again(old, tmp_path, "--late")
    said = place.run().clean().said
    assert f"{len(behind)} records in {old.dsn} were late, the latest by " in said
    assert f"late now: 0 records, of {len(behind)} before" in said
    rows = place.rows()
    assert rows["late_events"] == []
    same(without_watermarks(rows), without_watermarks(whole))
    assert old.rows() == before

    expected, found = w1.answer(old.files), ask(place.dsn, QUESTIONS)
    by_stage = {row["stage"]: row for row in found["sessions"]}
    assert {stage: row["sessions"] for stage, row in by_stage.items()} == expected.sessions_by_stage
    assert {(row["from_rank"], row["to_rank"]): row["n"] for row in found["transitions"]} == expected.matrix


def test_how_late_records_were_is_found_to_the_minute(old: Place) -> None:
    late = Late.of(*apart.ask(old.dsn, ("late", "minutes")))
    found = np.repeat(late.behind_seconds, late.records) * 1000
    true = np.array(behind_ms(old.files))
    assert late.total == len(true)
    assert (found >= true).all(), "none is taken to be less late than it was"
    assert (found <= true + 61_000).all()
    assert late.events.sum() == sum(len(file.read_bytes().splitlines()) for file in old.files)


def test_a_replay_that_is_killed_goes_on_with_what_it_was_begun_with(
    old: Place, whole: Rows, tmp_path: Path
) -> None:
    place = replace(again(old, tmp_path, "--late"), env={"PATHLINE_BATCH_ROWS": "100"})
    options = ("--epoch", "100ms", "--workers", "2")
    with place.in_the_middle(1_000, *options) as running:
        running.signal(signal.SIGKILL)
        running.ended()
    database, away = old.folder / "chdb", old.folder / "away"
    database.rename(away)  # nobody asks it again
    try:
        said = place.run(*options).clean().said
    finally:
        away.rename(database)
    assert " of them now)" in said
    assert "late now: 0 records" in said
    same(without_watermarks(place.rows()), without_watermarks(whole))


def test_only_those_that_were_not_too_late(old: Place, tmp_path: Path) -> None:
    place = again(old, tmp_path, "--late", "--late-within", "10m")
    said = place.run().clean().said
    left = re.search(r"late now: (\d+) records", said)
    assert left is not None
    true = np.array(behind_ms(old.files))
    assert (true > 10 * 60_000 + LATENESS_MS).sum() <= int(left[1]) <= (true > 9 * 60_000 - 1_000).sum()
    assert 0 < int(left[1]) < len(true)


def spoil(files: tuple[Path, ...]) -> dict[str, list[tuple[str, int, int]]]:
    """Makes some records such that the mapping does not fit, and some that none will."""
    spoilt: dict[str, list[tuple[str, int, int]]] = {"no_visitor": [], "not_json": []}
    for partition, file in enumerate(files):
        lines = file.read_bytes().splitlines()
        for number in range(len(lines)):
            if number % 50 == 7:
                lines[number] = lines[number].replace(b'"visitor_id"', b'"who"')
                spoilt["no_visitor"].append((file.name, partition, number + 1))
            elif number % 300 == 11:
                lines[number] = b"hello"
                spoilt["not_json"].append((file.name, partition, number + 1))
        file.write_bytes(b"\n".join(lines) + b"\n")
    return spoilt


def mended(folder: Path) -> str:
    """A mapping that knows where else a visitor may be."""
    shipped = (resources.files("schemas") / "definitions" / "mappings" / "w1.yaml").read_text()
    path = folder / "mended.yaml"
    path.write_text(shipped.replace("visitor_id: visitor_id", "visitor_id: {paths: [visitor_id, who]}"))
    return str(path)


def table(said: str) -> dict[str, list[str]]:
    """The lines of the table that a replay of rejects ends with, by their first word."""
    lines = said[said.index("rejected for ") :].splitlines()
    return {line.split()[0]: line.split()[1:] for line in lines if line.strip()}


def test_rejected_records_are_read_with_the_mended_mapping(stream: Stream, tmp_path: Path) -> None:
    old = new_run(stream, tmp_path)
    spoilt = spoil(old.files)
    lost, dead = len(spoilt["no_visitor"]), len(spoilt["not_json"])
    quarantined = f"{old.files[0].name}:0:3"
    old.run("--quarantine", quarantined).clean()
    mapping = ("--mapping", mended(old.folder))
    place = again(old, tmp_path, "--late", "--rejects")
    said = place.run(*mapping).clean().said
    assert f"{lost + dead} records in {old.dsn} were rejected ({lost} no_visitor, {dead} not_json)" in said
    assert f"1 more were quarantined, and are read again: {quarantined}" in said
    assert table(said) == {
        "rejected": ["for", "before", "accepted", "now", "late", "now", "rejected", "now", "for", "example"],
        "no_visitor": [str(lost), str(lost), "0", "0"],
        "not_json": [str(dead), "0", "0", str(dead), "{}:{}:{}".format(*spoilt["not_json"][0])],
        "all": [str(lost + dead), str(lost), "0", str(dead)],
    }
    same(without_watermarks(place.rows()), without_watermarks(with_lateness(old, "12h", *mapping)))


def test_what_would_be_spoilt_is_refused(old: Place, tmp_path: Path) -> None:
    place = again(old, tmp_path, "--late")
    place.run("--state", str(old.state)).refused("is the state of a run", "new --state")
    place.run("--clickhouse", f"chdb://{old.folder}/../{old.folder.name}/chdb").refused(
        "is the database that is replayed", "new database"
    )
    missing = f"chdb://{tmp_path / 'missing'}"
    replace(place, command=("replay", "--late", "--of", missing)).run().refused("there is no database")
    assert not (tmp_path / "missing").exists()
    assert not place.state.exists()
    place.run().clean()
    replace(place, command=("replay", "--rejects", "--of", old.dsn)).run().refused(
        "another replay", f"begun with --late --of {old.dsn}"
    )
    other = replace(place, folder=tmp_path / "other")
    other.folder.mkdir()
    other.run("--clickhouse", place.dsn).refused("belongs to deployment")


def test_where_nothing_was_set_aside_nothing_is_done(stream: Stream, tmp_path: Path) -> None:
    place = Place(tmp_path / "old", stream(300, SEED, 1))
    place.folder.mkdir()
    place.run().clean()
    replay = again(place, tmp_path, "--late", "--rejects")
    said = replay.run().clean().said
    assert f"no record in {place.dsn} was late" in said
    assert f"no record in {place.dsn} was rejected" in said
    assert not replay.state.exists()
