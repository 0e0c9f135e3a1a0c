"""A run that dies is started again by itself, until it is known that this will not help."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.runtime.restarts import read_restarts
from tests.e2e.conftest import Stream
from tests.e2e.runs import ROOT, Place, same, until

FAULTS = ROOT / "tests" / "e2e" / "faults"
SMALL_STEPS = {"PATHLINE_BATCH_ROWS": "60"}


def faulty(place: Place, fault: str) -> Place:
    """The same place, where something is wrong."""
    return replace(place, env={**place.env, "PYTHONPATH": f"{FAULTS}:{ROOT}", "FAULT": fault})


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_process_is_started_again_and_the_rows_are_those_of_a_quiet_run(
    stream: Stream, tmp_path: Path, workers: int
) -> None:
    files = stream(1_500, 11, 3)
    options = ("--epoch", "100ms", "--workers", str(workers), "--restarts-max", "3")
    place = Place(tmp_path, files, options, "parquet", SMALL_STEPS)
    with place.in_the_middle(2_000) as running:
        first = running.workers()
        assert len(first) == workers
        os.kill(first[-1], signal.SIGKILL)
        until(lambda: set(running.workers()) - set(first), "others in their place")
        ended = running.ended().clean()
    assert ended.said.count("was killed by SIGKILL: all start again from the last snapshot") == 1
    whole = sum(len(file.read_bytes().splitlines()) for file in files)
    assert f"finished: {whole:,} of {whole:,} records accepted in" in ended.said, "all of them in this run"
    told = read_restarts(place.state)
    assert told.restarts == 1
    assert [death.how for death in told.deaths] == ["was killed by SIGKILL"]
    quiet = Place(tmp_path / "quiet", files, sink="parquet")
    quiet.folder.mkdir()
    quiet.run().clean()
    same(place.rows(), quiet.rows())


def test_what_somebody_must_mend_is_not_tried_again(stream: Stream, tmp_path: Path) -> None:
    place = Place(tmp_path, stream(300, 31, 1), ("--workers", "2"), "null")
    said = faulty(place, "wrong").run().refused("wrong password", "use the right one").said
    assert "start again" not in said
    told = read_restarts(place.state)
    assert told.restarts == 0
    assert [(death.kind, death.step) for death in told.deaths] == [("SinkRefused", "sink")]


def test_a_sink_that_is_away_is_waited_for(stream: Stream, tmp_path: Path) -> None:
    place = Place(tmp_path, stream(300, 31, 1), ("--restarts-max", "3"), "null")
    times = tmp_path / "times"
    times.write_text("once\ntwice")
    said = faulty(place, f"away:{times}").run().clean().said
    assert said.count("(SinkUnavailable: away, for the test): all start again") == 2
    assert read_restarts(place.state).restarts == 2


def test_what_fails_everywhere_is_given_up(stream: Stream, tmp_path: Path) -> None:
    """An error before the first record is nobody's record: it is our bug, with its traceback."""
    place = Place(tmp_path, stream(300, 31, 1), ("--restarts-max", "2"), "null")
    ended = faulty(place, "open").run()
    assert ended.code == 1
    assert ended.said.count("all start again") == 2
    assert ended.said.count("Traceback") == 1
    assert "RuntimeError: a fault, for the test" in ended.said
    deaths = read_restarts(place.state).deaths
    assert [death.restart_after_seconds is None for death in deaths] == [False, False, True]


def test_a_stop_between_two_tries_is_a_stop(stream: Stream, tmp_path: Path) -> None:
    place = Place(tmp_path, stream(300, 31, 1), ("--restarts-max", "1000"), "null")
    running = faulty(place, "open").start()
    try:
        until(lambda: read_restarts(place.state).restarts > 1, "some restarts")
        running.signal(signal.SIGTERM)
        assert "hint: the same command goes on" in running.ended().said
    finally:
        running.close()


@pytest.mark.parametrize(("step", "workers"), [("enrich", 2), ("decode", 1)])
def test_a_record_that_is_fatal_each_time_is_named_and_can_be_set_aside(
    stream: Stream, tmp_path: Path, step: str, workers: int
) -> None:
    """The rows are then those of a run that knew of it from the start."""
    files = stream(1_500, 11, 2)
    lines = files[1].read_bytes().splitlines()
    number = 2_000
    poison = json.loads(lines[number - 1])["event_id"]
    options = ("--workers", str(workers), "--restarts-max", "6")
    place = Place(tmp_path, files, options, "parquet", {"PATHLINE_BATCH_ROWS": "1000"})
    sick = faulty(place, f"{step}:{poison}")
    record = f"{files[1].name}:1:{number}"
    name = {"decode": "read · decode"}.get(step, step)
    sick.run().refused(
        f"the run fails each time on the record {record}, in the step {name}: RuntimeError: a fault",
        f"--quarantine {record}",
        "restarts.json has the traceback",
    )
    deaths = read_restarts(place.state).deaths
    rows_max = [death.rows_max for death in deaths]
    if workers > 1:  # the other worker may come farther in the next try: that was no try in vain
        while rows_max[:3] == [None, None, None]:
            del rows_max[0]
    assert rows_max == [None, None, 15, 1]
    assert all("a fault, for the test" in death.trace for death in deaths)

    assert "set aside: 1 rejected" in sick.run("--quarantine", record).clean().said
    (rejected,) = place.rows()["rejected_events"]
    assert "'reason': 'quarantined'" in rejected
    assert f"'position': {number}," in rejected
    assert poison in rejected, "its bytes are kept"

    knowing = replace(place, folder=tmp_path / "knowing", options=("--quarantine", record))
    knowing.folder.mkdir()
    knowing.run().clean()
    same(place.rows(), knowing.rows())


def test_what_was_set_aside_once_stays_so(stream: Stream, tmp_path: Path) -> None:
    """A run that is killed before its next snapshot must not meet the record again."""
    files = stream(1_500, 11, 1)
    poison = json.loads(files[0].read_bytes().splitlines()[2_999])["event_id"]
    place = Place(tmp_path, files, ("--epoch", "100ms"), "parquet", SMALL_STEPS)
    sick = faulty(place, f"enrich:{poison}")
    with sick.in_the_middle(500, "--quarantine", f"{files[0].name}:0:3000") as running:
        running.signal(signal.SIGKILL)
    assert "set aside: 1 rejected" in sick.run().clean().said


def test_names_that_name_nothing_are_refused(stream: Stream, tmp_path: Path) -> None:
    place = Place(tmp_path, stream(300, 31, 1), sink="null")
    name = place.files[0].name
    place.run("--quarantine", "the third", "--quarantine", f"{name}:1:3").refused(
        "'the third' names no record", f"{name}:1:3: no such source and partition", f"there are {name}:0"
    )
