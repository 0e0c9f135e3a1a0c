"""Files whose times are far apart are read in the order of event time, so that little has to be held."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from pipeline.run import dataflow, epoch, plan
from pipeline.runtime import launch
from pipeline.runtime.board import Board
from pipeline.runtime.intake import IntakePartition
from pipeline.runtime.shards import Routed, TrackLogic
from pipeline.settings import Settings
from tests.e2e.conftest import Stream
from tests.e2e.runs import Place

HOUR_MS = 3_600_000
BATCH_ROWS = 50
STAMP = re.compile(r'"ts":"([^"]*)Z"')


@pytest.fixture
def apart(stream: Stream, tmp_path: Path) -> tuple[Path, ...]:
    """Three files that cover an hour each, one after the other, and one that covers all three hours."""
    lines = stream(1_000, 53, 1)[0].read_text().splitlines(keepends=True)
    at = np.array([STAMP.search(line)[1] for line in lines], "datetime64[ms]").astype(np.int64)  # type: ignore[index]
    hour = at.min() + (at - at.min()) * HOUR_MS // int(at.max() - at.min())
    times = {f"hour-{number}": hour + number * HOUR_MS for number in range(3)} | {
        "whole": 3 * hour - 2 * hour.min()
    }
    paths = []
    for number, (name, moments) in enumerate(times.items()):
        texts = np.datetime_as_string(moments.astype("datetime64[ms]"), unit="ms")
        paths.append(tmp_path / f"{name}.jsonl")
        paths[-1].write_text(
            "".join(
                STAMP.sub(f'"ts":"{text}Z"', line).replace('"v0', f'"v{number}')
                for line, text in zip(lines, texts, strict=True)
            )
        )
    return tuple(paths)


@contextmanager
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, int]]:
    """What steps do meanwhile: the most events held, and how often a partition was asked in vain."""
    seen = {"held": 0, "asked": 0, "in vain": 0}
    held: dict[int, int] = {}
    on_batch, next_batch = TrackLogic.on_batch, IntakePartition.next_batch

    def counting_batch(self: TrackLogic, values: list[Routed]) -> object:
        done = on_batch(self, values)
        held[values[0].shard] = len(self._track.waiting)
        seen["held"] = max(seen["held"], sum(held.values()))
        return done

    def counting_next(self: IntakePartition) -> object:
        batch = next_batch(self)
        seen["asked"] += 1
        seen["in vain"] += not batch
        return batch

    with monkeypatch.context() as patched:
        patched.setattr(TrackLogic, "on_batch", counting_batch)
        patched.setattr(IntakePartition, "next_batch", counting_next)
        yield seen


def run_here(files: tuple[Path, ...], state: Path, look_ahead_ms: int) -> Board:
    """A run in this process; returns its board as it was in the end."""
    settings = Settings(
        input=files, mapping="w1", journey=("w1",), clickhouse="null:", state=state, shards=2,
        batch_rows=BATCH_ROWS, look_ahead_ms=look_ahead_ms,
    )  # fmt: skip
    planned = plan(settings)
    board = Board.create(planned.state.board, len(files))
    launch.run_here(dataflow(planned), epoch(settings), planned.state.recovery())
    return board


def test_what_is_held_is_bounded_by_how_far_files_are_read_ahead(
    apart: tuple[Path, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = {}
    for look_ahead_ms in (60_000, 100 * HOUR_MS):
        with watched(monkeypatch) as seen:
            board = run_here(apart, tmp_path / str(look_ahead_ms), look_ahead_ms)
        assert board.all_finished()
        held[look_ahead_ms] = seen["held"]
        per_file = board.column("received")
    assert len(set(per_file)) == 1
    blocks = 2 * len(apart) * BATCH_ROWS
    assert held[60_000] <= blocks + 2 * per_file[0] // 60
    assert held[100 * HOUR_MS] > per_file[0], "without the bound, most of the later files is held"


def test_those_that_wait_sleep_and_those_that_end_let_the_others_go_on(
    apart: tuple[Path, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waiting partitions look again every few milliseconds, not all the time."""
    with watched(monkeypatch) as seen:
        board = run_here(apart, tmp_path / "state", 60_000)
    assert board.all_finished()
    assert seen["in vain"] < 5 * (seen["asked"] - seen["in vain"])


def test_processes_read_in_the_order_of_time_together(apart: tuple[Path, ...], tmp_path: Path) -> None:
    """They share the board: while the first hour is being read, the third is only looked into; and nobody
    waits for ever.
    """
    env = {"PATHLINE_BATCH_ROWS": str(BATCH_ROWS), "PATHLINE_LOOK_AHEAD": "1m"}
    place = Place(tmp_path, apart, ("--workers", "2"), "null", env)
    running = place.start()
    looked = []
    while running.popen.poll() is None:
        finished, received = place.board("finished"), place.board("received")
        if finished and not finished[0] and min(received) > 0:
            looked.append(received[2])
    ended = running.ended().clean()
    whole = sum(len(file.read_bytes().splitlines()) for file in apart)
    assert f"finished: {whole:,} of {whole:,}" in ended.said
    assert looked
    assert max(looked) <= 2 * BATCH_ROWS, "no batch is read that begins too far ahead"
