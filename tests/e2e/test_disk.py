"""A disk that runs full stops a run with a word; with room again the same command goes on."""

from __future__ import annotations

import os
import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Stream
from tests.e2e.runs import LONG, Place, same

MB = 1 << 20


class Disk:
    """A small one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ballast = path / "ballast"

    def fill(self, leave: int) -> None:
        """Takes all room but so much."""
        found = os.statvfs(self.path)
        self.ballast.write_bytes(bytes(found.f_bavail * found.f_frsize - leave))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    path = tmp_path / "disk"
    path.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={48 * MB}", "tmpfs", str(path)],
        check=False,
        capture_output=True,
    )
    if done.returncode:
        words = "NOT TESTED: what a full disk does; mounting a small one needs root"
        warnings.warn(words, stacklevel=1)
        pytest.skip(words)
    try:
        yield Disk(path)
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


@pytest.mark.parametrize(
    ("full", "sink", "workers", "room"),
    [
        ("state", "parquet", 1, MB // 4),
        ("state", "parquet", 2, MB // 4),
        ("rows", "parquet", 1, MB // 8),
        ("rows", "chdb", 1, MB),
        *([("rows", "chdb", 2, MB), ("state", "null", 1, 0)] if LONG else []),
    ],
)
def test_a_full_disk_stops_a_run_which_goes_on_when_there_is_room(
    stream: Stream, tmp_path: Path, disk: Disk, full: str, sink: str, workers: int, room: int
) -> None:
    options = ["--epoch", "100ms", "--workers", str(workers)]
    options += ["--state", str((disk.path if full == "state" else tmp_path) / "state")]
    folder = tmp_path if full == "state" else disk.path
    place = Place(folder, stream(9_000, 41, 1), tuple(options), sink, {"PATHLINE_BATCH_ROWS": "250"})
    disk.fill(room)
    stopped = place.run().refused("make room and start again")
    assert "disk is full" in stopped.said or "No space left on device" in stopped.said
    disk.ballast.unlink()
    place.run().clean()
    if sink != "null":
        alone = Place(tmp_path / "alone", place.files, sink=sink)
        alone.folder.mkdir()
        alone.run().clean()
        same(place.rows(), alone.rows())
