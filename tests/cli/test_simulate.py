"""`pathline simulate`: the same bytes for the same options, each visitor in one file, nothing overwritten."""

from __future__ import annotations

import gzip
import json
import signal
import time
from collections import defaultdict
from pathlib import Path

import pytest

from pipeline.cli.outlets import numbered
from tests.cli.run import mended, pathline, started

SMALL = ("simulate", "--visitors", "300", "--hours", "2")


def records(path: Path) -> list[bytes]:
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    assert text.endswith(b"\n")
    return text.splitlines()


def test_the_same_options_write_the_same_bytes_and_it_says_who_came(tmp_path: Path) -> None:
    done = pathline(*SMALL, "--out", "a.jsonl.gz", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    pathline(*SMALL, "--out", "b.jsonl.gz", cwd=tmp_path)
    assert (tmp_path / "a.jsonl.gz").read_bytes() == (tmp_path / "b.jsonl.gz").read_bytes()
    lines = records(tmp_path / "a.jsonl.gz")
    told = done.stderr.splitlines()
    assert told[0].startswith(f"wrote {len(lines):,} records of 300 shoppers in ")
    assert told[-1] == "next: pathline run --input a.jsonl.gz"
    counts = {line.split()[1]: int(line.split()[0]) for line in told[1:-1]}
    assert sum(counts.values()) == 300
    assert counts["bounce"] > counts["buy"] > 0


def test_several_files_hold_the_same_records_each_visitor_in_one_and_in_order(tmp_path: Path) -> None:
    pathline(*SMALL, "--out", "one.jsonl", cwd=tmp_path)
    done = pathline(*SMALL, "--out", "shop.jsonl", "--files", "3", cwd=tmp_path)
    files = [tmp_path / f"shop-{number}.jsonl" for number in range(3)]
    assert done.stderr.rstrip().endswith("--partitioned-by visitor")
    whole = records(tmp_path / "one.jsonl")
    assert sorted(line for file in files for line in records(file)) == sorted(whole)
    homes = defaultdict(set)
    place = {line: number for number, line in enumerate(whole)}
    for file in files:
        own = records(file)
        assert [place[line] for line in own] == sorted(place[line] for line in own) or len(set(own)) < len(
            own
        )
        for line in own:
            homes[json.loads(line)["visitor_id"]].add(file)
    assert {len(files) for files in homes.values()} == {1}


def test_poison_and_duplicates_are_asked_for(tmp_path: Path) -> None:
    pathline(*SMALL, "--out", "a.jsonl", "--poison", "0.2", "--duplicates", "0", cwd=tmp_path)
    bad = 0
    for line in records(tmp_path / "a.jsonl"):
        try:
            bad += "visitor_id" not in json.loads(line)
        except ValueError:
            bad += 1
    assert bad


def test_nothing_is_overwritten_without_force(tmp_path: Path) -> None:
    (tmp_path / "shop-1.jsonl").write_text("mine")
    lines = mended(pathline(*SMALL, "--out", "shop.jsonl", "--files", "2", cwd=tmp_path))
    assert lines == [
        "--out: shop-1.jsonl is there already",
        "  hint: another name, or --force to overwrite it",
    ]
    assert not (tmp_path / "shop-0.jsonl").exists()
    assert pathline(*SMALL, "--out", "shop.jsonl", "--files", "2", "--force", cwd=tmp_path).returncode == 0
    assert (tmp_path / "shop-1.jsonl").read_text() != "mine"


@pytest.mark.parametrize(
    ("options", "problems"),
    [
        ((), ["--out: nowhere to write to"]),
        (
            ("--out", "there/shop.txt"),
            ["--out: there/shop.txt: what kind of file?", "--out: there: no such folder"],
        ),
        (("--out", "a.jsonl.gz", "--live"), ["--live: nobody can read along in a .gz file"]),
        (("--live", "--files", "2"), ["--files: the terminal is one"]),
        (("--out", "a.jsonl", "--start", "soon"), ["--start: 'soon' is no time"]),
    ],
)
def test_what_cannot_be_is_refused_all_at_once(
    options: tuple[str, ...], problems: list[str], tmp_path: Path
) -> None:
    assert mended(pathline("simulate", *options, cwd=tmp_path))[::2] == problems


def test_live_keeps_to_the_clock_and_ctrl_c_ends_it_after_a_whole_record(tmp_path: Path) -> None:
    process = started(
        "simulate", "--live", "--speed", "60", "--visitors", "100000", "--hours", "24", "--start",
        "2026-01-05T12:00:00Z", "--out", "live.jsonl", cwd=tmp_path,
    )  # fmt: skip
    file = tmp_path / "live.jsonl"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and (not file.exists() or file.stat().st_size < 10_000):
        time.sleep(0.1)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert time.monotonic() - began < 10
    assert process.returncode == 0
    lines = records(file)
    assert told.decode().startswith(f"stopped after {len(lines):,} records")
    assert all(json.loads(line) for line in lines)
    arrivals = [json.loads(line)["received_at"] for line in lines]
    assert arrivals[-1] < "2026-01-05T14", "a minute of ours is an hour of theirs"


def test_who_reads_along_may_go(tmp_path: Path) -> None:
    process = started("simulate", "--live", "--speed", "600", "--visitors", "5000", cwd=tmp_path)
    assert process.stdout
    assert json.loads(process.stdout.readline())
    process.stdout.close()
    assert process.stderr
    told = process.stderr.read().decode()
    assert process.wait(60) == 0
    assert "Traceback" not in told
    assert "BrokenPipe" not in told


def test_names_of_several_files() -> None:
    assert numbered(Path("a/my.shop.jsonl.gz"), 2) == [
        Path("a/my.shop-0.jsonl.gz"),
        Path("a/my.shop-1.jsonl.gz"),
    ]
    assert numbered(Path("a/my.shop.jsonl"), 1) == [Path("a/my.shop.jsonl")]
