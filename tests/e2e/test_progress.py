"""What a run says while it runs, and how far its files are read ahead of one another."""

from __future__ import annotations

import gzip
import re
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.cli.progress import describe
from pipeline.runtime.board import Total
from tests.e2e.conftest import Stream
from tests.e2e.runs import Place

NOW = 1_760_000_000.0
TOTAL = Total(
    received=5_000, accepted=4_000, duplicate=10, late=0, rejected=990, filtered=0, bytes_read=1, finished=0,
    received_before=3_000, watermark_ms=int(NOW - 3_700) * 1000,
)  # fmt: skip


def test_the_rate_is_that_of_this_run_and_time_is_that_of_the_events() -> None:
    line = describe(TOTAL, 0.25, 10.0, NOW)
    told = "5,000 events · 200/s · 25% read · at 2025-10-09 07:51:40, 61 min behind"
    assert line == f"{told} · 10 duplicate · 990 rejected"
    nothing = describe(replace(TOTAL, watermark_ms=None, received=0, received_before=0), 0.0, 0.0, NOW)
    assert nothing == "0 events · 0/s · 0% read · 10 duplicate · 990 rejected"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-5, "0 s"), (0, "0 s"), (119, "119 s"), (120, "2 min"), (7_200, "2 h"), (200_000, "2 d")],
)
def test_lag_is_shown_in_the_unit_that_says_something(seconds: int, shown: str) -> None:
    total = replace(TOTAL, watermark_ms=int((NOW - seconds) * 1000))
    assert f", {shown} behind" in describe(total, 1.0, 1.0, NOW)


def test_a_run_that_goes_on_counts_its_own_events_and_percent_of_all_files(
    stream: Stream, tmp_path: Path
) -> None:
    """One of the files is compressed: its share is that of its bytes on the disk."""
    first, second = stream(1_500, 51, 2)
    packed = tmp_path / "packed.jsonl.gz"
    packed.write_bytes(gzip.compress(second.read_bytes()))
    place = Place(tmp_path, (first, packed), ("--epoch", "100ms"), "null", {"PATHLINE_BATCH_ROWS": "60"})
    with place.in_the_middle(2_500) as running:
        running.signal(signal.SIGTERM)
        stopped = running.ended().clean()
    share = int(re.findall(r"(\d+)% read", stopped.said)[-1])
    assert 20 < share < 100
    before = place.received()
    after = place.run().clean()
    lines = after.said.splitlines()
    whole = place.received()
    assert lines[-2].startswith(f"{whole:,} events · ")
    assert "100% read" in lines[-2]
    assert f"({whole - before:,} of them now)" in lines[-1]
    rate = float(re.findall(r"([\d,]+)/s", lines[-2])[-1].replace(",", ""))
    seconds = float(re.findall(r"in ([\d.]+) s", lines[-1])[-1])
    assert rate * seconds <= 1.5 * (whole - before) + rate, "of this run alone"


def test_a_long_run_tells_how_far_it_is_where_nobody_sees_a_terminal(stream: Stream, tmp_path: Path) -> None:
    place = Place(tmp_path, stream(9_000, 11, 3), sink="null", env={"PATHLINE_BATCH_ROWS": "2"})
    with place.in_the_middle(10) as running:
        time.sleep(6)
        running.signal(signal.SIGTERM)
        said = running.ended().clean().said
    line = r"event=epoch .* watermark=\d{4}-\d\d-\d\dT\S* lag_seconds=\S+ .* read_percent=\d+$"
    told = re.compile(line, re.MULTILINE)
    assert len(told.findall(said)) >= 2
    assert "\x1b" not in said
