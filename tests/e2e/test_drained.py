"""`--until-drained`: a file that grows is read as far as it goes, and nothing is closed before its time."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.e2e.conftest import Stream
from tests.e2e.runs import LONG, Place, same

DRAINED = "--until-drained"


def grown(target: Path, whole: Path, share: float) -> int:
    """`target` becomes the first part of `whole`, its last line cut short; returns the whole lines."""
    data = whole.read_bytes()
    end = data.rindex(b"\n", 0, int(share * len(data))) + 1
    target.write_bytes(data[: end + 40])
    return data[:end].count(b"\n")


@pytest.mark.parametrize("workers", [1, 2] if LONG else [1])
def test_a_growing_file_in_portions_equals_the_whole_file_at_once(
    stream: Stream, tmp_path: Path, workers: int
) -> None:
    (whole,) = stream(1_500, 21, 1)
    once, portions = tmp_path / "once", tmp_path / "portions"
    once.mkdir()
    portions.mkdir()
    file = portions / whole.name  # the name is in the rows
    place = Place(portions, (file,), ("--workers", str(workers)), "parquet")

    lines = grown(file, whole, 0.4)
    first = place.run(DRAINED).clean()
    assert f"drained; the same command goes on when there is more: {lines:,} of {lines:,}" in first.said
    lines = grown(file, whole, 1)
    assert f"{lines:,} of {lines:,} records" in place.run(DRAINED).clean().said
    assert "(0 of them now)" in place.run(DRAINED).clean().said
    is_open = [row for row in place.rows()["sessions"] if "'is_closed': False" in row]
    assert is_open, "the last sessions are not over"

    for _ in range(2):  # once more changes nothing
        assert place.run().clean().said.splitlines()[-1].startswith("finished: ")
    expected = Place(once, (whole,), sink="parquet")
    expected.run().clean()
    same(place.rows(), expected.rows())


def test_what_a_replay_has_closed_cannot_grow(stream: Stream, tmp_path: Path) -> None:
    (whole,) = stream(1_500, 21, 1)
    file = tmp_path / "events.jsonl"
    grown(file, whole, 0.5)
    place = Place(tmp_path, (file,), sink="null")
    place.run().clean()
    grown(file, whole, 1)
    place.run().refused("has grown since", DRAINED)


def test_several_files_that_grow_are_cut_where_they_were_drained(stream: Stream, tmp_path: Path) -> None:
    """A cut lifts the time of all files to the furthest; killed after it, a run cuts there again."""
    files = stream(1_500, 22, 3)
    rows = []
    for name, disturbed in (("calm", False), ("killed", True)):
        folder = tmp_path / name
        folder.mkdir()
        copies = tuple(folder / file.name for file in files)
        env = {"PATHLINE_BATCH_ROWS": "60"} if disturbed else {}
        place = Place(folder, copies, ("--epoch", "100ms"), "parquet", env)
        for copy, whole, share in zip(copies, files, (0.3, 0.5, 0.6), strict=True):
            grown(copy, whole, share)
        place.run(DRAINED).clean()
        for copy, whole in zip(copies, files, strict=True):
            grown(copy, whole, 0.8)
        if disturbed:
            with place.in_the_middle(place.received() + 300, DRAINED) as running:
                running.signal(signal.SIGKILL)
            (place.state / "cuts.jsonl").open("a").write('{"watermark_ms": 17')  # it died while writing
        place.run(DRAINED).clean()
        for copy, whole in zip(copies, files, strict=True):
            grown(copy, whole, 1)
        place.run().clean()
        rows.append(place.rows())
    same(*rows)


def test_a_name_that_means_another_file_now_is_noticed(stream: Stream, tmp_path: Path) -> None:
    (whole,) = stream(1_500, 21, 1)
    file = tmp_path / "events.jsonl"
    file.write_bytes(whole.read_bytes())
    place = Place(tmp_path, (file,), sink="null")
    place.run(DRAINED).clean()
    file.write_bytes(whole.read_bytes()[:-5_000])
    place.run(DRAINED).refused("it is shorter")
    file.write_bytes(whole.read_bytes().replace(b"shop.example", b"shop.another"))
    place.run(DRAINED).refused("it begins otherwise")
