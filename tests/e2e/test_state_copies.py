"""`pathline state backup` and `restore`, and states logged in segments: real runs, stopped and killed."""

from __future__ import annotations

import io
import json
import os
import pickle
import signal
import sqlite3
import subprocess
import sys
import tarfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from bytewax.recovery import init_db_dir

from pipeline.core.snapshot import FORMAT
from pipeline.runtime.backup import is_harmless
from pipeline.runtime.deployment import StateFolder
from tests.e2e.conftest import Stream
from tests.e2e.runs import ROOT, Place, Running, pathline, same, until

LOGGED = """
from pipeline.cli.compiled import keep_compiled
keep_compiled()
from pipeline.runtime import segments
segments.LOG_FROM_BYTES = 0
from pipeline.cli import main
main()
"""


class LoggedRunning(Running):
    """A run that logs every state, however small."""

    def __init__(self, arguments: list[str], cwd: Path) -> None:
        env = {key: value for key, value in os.environ.items() if not key.startswith("PATHLINE_")}
        self.popen = subprocess.Popen(
            [sys.executable, "-c", LOGGED, *arguments],
            env={**env, "PYTHONPATH": str(ROOT), "COLUMNS": "500", "PATHLINE_BATCH_ROWS": "50"},
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


@dataclass(frozen=True)
class LoggedPlace(Place):
    """A deployment whose runs log every state."""

    def start(self, *more: str) -> Running:
        inputs = [word for file in self.files for word in ("--input", str(file))]
        base = ["run", *inputs, "--mapping", "w1", "--journey", "w1", "--epoch", "100ms"]
        where = ["--state", str(self.state), "--clickhouse", self.dsn]
        return LoggedRunning([*base, *where, *self.options, *more], self.folder)


@pytest.fixture
def logged(stream: Stream, tmp_path: Path) -> LoggedPlace:
    return LoggedPlace(tmp_path, stream(1_500, 21, 3), sink="parquet")


def test_killed_again_and_again_a_run_with_segments_writes_the_same_rows(
    logged: LoggedPlace, tmp_path: Path
) -> None:
    alone = Place(tmp_path / "alone", logged.files, sink="parquet")
    alone.folder.mkdir()
    alone.run().clean()
    for part in range(1, 6):
        with logged.in_the_middle(700 * part) as running:
            running.signal(signal.SIGKILL)
            running.popen.wait()
    assert [*(logged.state / "segments").glob("track-*.seg")]
    logged.run().clean()
    same(logged.rows(), alone.rows())


def test_a_segment_that_is_gone_or_damaged_stops_a_run_with_the_way_out(logged: LoggedPlace) -> None:
    with logged.in_the_middle(1_000) as running:
        until(lambda: [*(logged.state / "segments").glob("track-*.seg")], "segments")
        running.signal(signal.SIGTERM)
        running.ended().clean()
    files = sorted((logged.state / "segments").glob("track-*.seg"))
    whole = {path: path.read_bytes() for path in files}
    for path in files:
        path.write_bytes(whole[path][:-20] + b"changed" + whole[path][-13:])
    logged.run().refused("is damaged: its checksum does not fit", "pathline state restore", "pathline reset")
    for path in files:
        path.unlink()
    logged.run().refused("is missing: the last snapshot needs it", "pathline state restore")
    for path, content in whole.items():
        path.write_bytes(content)
    logged.run().clean()


# --- copies -----------------------------------------------------------------------------------------------


def test_a_restored_copy_goes_on_where_it_was_taken(logged: LoggedPlace, tmp_path: Path) -> None:
    """And what the first run wrote after the copy is written again, the same."""
    copy = tmp_path / "copy.tar"
    with logged.in_the_middle(1_000) as running:
        running.signal(signal.SIGSTOP)  # so that it cannot finish before the copy is asked for
        refused = pathline("state", "backup", "--state", logged.state, "--to", copy)
        running.signal(signal.SIGCONT)
        refused.refused("is in use by a run", "stop it")
        running.signal(signal.SIGTERM)
        running.ended().clean()
    pathline("state", "backup", "--state", logged.state, "--to", copy).clean()
    pathline("state", "backup", "--state", logged.state, "--to", copy).refused(f"{copy} exists")
    logged.run().clean()
    before = logged.rows()
    pathline("state", "restore", "--state", logged.state, "--from", copy).refused(
        "is not empty", "pathline reset"
    )
    logged.state.rename(tmp_path / "gone")
    pathline("state", "restore", "--state", logged.state, "--from", copy).clean()
    logged.run().clean()
    same(logged.rows(), before)


@pytest.fixture
def copied(stream: Stream, tmp_path: Path) -> Path:
    place = Place(tmp_path, stream(300, 31, 1), sink="null")
    place.run().clean()
    pathline("state", "backup", "--state", place.state, "--to", tmp_path / "copy.tar").clean()
    return tmp_path / "copy.tar"


def changed(copy: Path, names: dict[str, bytes | None], *, listed: dict[str, object] | None = None) -> Path:
    """The copy with other contents (None: without the file), and with other words in its list."""
    other = copy.with_name("other.tar")
    with tarfile.open(copy) as tar, tarfile.open(other, "w") as out:
        for member in tar:
            content = tar.extractfile(member)
            assert content is not None
            data = names.get(member.name, content.read())
            if member.name == "pathline-state.json" and listed and data:
                data = json.dumps({**json.loads(data), **listed}).encode()
            if data is not None:
                member.size = len(data)
                out.addfile(member, io.BytesIO(data))
    return other


def test_what_is_no_whole_copy_is_refused_and_leaves_nothing(copied: Path, tmp_path: Path) -> None:
    to = tmp_path / "restored"

    def refused(source: Path, *words: str) -> None:
        pathline("state", "restore", "--state", to, "--from", source).refused(*words)
        assert not to.exists()

    refused(changed(copied, {"deployment.json": b"{}"}), "deployment.json does not fit its checksum")
    refused(changed(copied, {"recovery/part-0.sqlite3": None}), "recovery/part-0.sqlite3 is missing")
    refused(changed(copied, {}, listed={"format": 1}), "holds state of format 1, this version reads")
    refused(changed(copied, {"pathline-state.json": b"{"}), "its list cannot be read")
    refused(changed(copied, {"pathline-state.json": None}), "`pathline state backup` did not write it")
    refused(changed(copied, {}, listed={"files": {}}), "its list is not whole")
    cut = tmp_path / "cut.tar"
    cut.write_bytes(copied.read_bytes()[:5_000])
    refused(cut, "cut.tar")
    refused(tmp_path / "nowhere.tar", "nowhere.tar")
    pathline("state", "backup", "--state", tmp_path / "nowhere", "--to", tmp_path / "x.tar").refused(
        "holds no state"
    )


def test_a_copy_cannot_write_outside_of_its_folder(tmp_path: Path) -> None:
    copy = tmp_path / "copy.tar"
    described = {"bytes": 1, "sha256": "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"}
    files = {"../outside": described, "deployment.json": described}
    told = {"format": FORMAT, "deployment": "x", "files": files}
    with tarfile.open(copy, "w") as tar:
        for name, data in (("pathline-state.json", json.dumps(told).encode()), ("../outside", b"a")):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    refused = pathline("state", "restore", "--state", tmp_path / "in" / "state", "--from", copy)
    refused.refused("'../outside' is not in its list")
    assert not [*tmp_path.rglob("outside")]


class Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return os.system, ("true",)


def test_only_pickles_of_bytes_are_harmless() -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert not is_harmless(pickle.dumps(Evil(), protocol))
    assert not is_harmless(b"no pickle")
    for data in (b"", b"x", b"x" * 300, b"x" * 100_000, None):
        assert is_harmless(pickle.dumps(data))


# --- the store ----------------------------------------------------------------------------------------------


def test_of_an_unfinished_epoch_nothing_stays_in_the_store(tmp_path: Path) -> None:
    """Two workers have come to epochs 7 and 6: the next run begins with 6, from what was before."""
    (tmp_path / "recovery").mkdir()
    init_db_dir(str(tmp_path / "recovery"), 2)
    parts = sorted((tmp_path / "recovery").glob("part-*.sqlite3"))
    rows = {0: [(1, 0, 9), (2, 0, 7)], 1: [(2, 1, 6)]}
    for number, part in enumerate(parts):
        with closing(sqlite3.connect(part)) as store, store:
            if number == 1:
                executions = [(1, 1, 1), (2, 2, 5)]
                store.executemany(
                    "INSERT INTO exs (ex_num, worker_count, resume_epoch) VALUES (?, ?, ?)", executions
                )
            fronts = "INSERT INTO fronts (ex_num, worker_index, worker_frontier) VALUES (?, ?, ?)"
            store.executemany(fronts, rows[number])
            snaps = (
                "INSERT INTO snaps (step_id, state_key, snap_epoch, ser_change) VALUES ('track', ?, ?, x'00')"
            )
            store.executemany(snaps, [(str(number), epoch) for epoch in range(4, 8)])
    StateFolder(tmp_path, "x", 0).forget_unfinished()
    for part in parts:
        with closing(sqlite3.connect(part)) as store:
            assert [epoch for (epoch,) in store.execute("SELECT snap_epoch FROM snaps ORDER BY 1")] == [4, 5]
