"""Stopped, killed, gone on: the rows in the end are those of a run that nobody disturbed."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import Stream
from tests.e2e.runs import LONG, Place, Rows, is_worker, same, until
from tests.w1 import mapping_with_orders

SESSIONS, SEED, FILES = 1_500, 11, 3
SMALL_STEPS = {"PATHLINE_BATCH_ROWS": "60"}
"""So that there is a middle to be stopped in."""

OFTEN = ("--epoch", "100ms")


def with_objects(folder: Path) -> tuple[str, ...]:
    """Beside w1: carts, orders and what follows must survive as well."""
    return "--journey", "checkout", "--mapping", mapping_with_orders(folder)


Undisturbed = Callable[[str], Rows]


@pytest.fixture(scope="module")
def undisturbed(stream: Stream, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """The rows that a run leaves in a sink of this kind when it is left alone."""
    found: dict[str, Rows] = {}

    def rows(sink: str) -> Rows:
        if sink not in found:
            files = stream(SESSIONS, SEED, FILES)
            folder = tmp_path_factory.mktemp("alone")
            place = Place(folder, files, with_objects(folder), sink)
            place.run().clean()
            found[sink] = place.rows()
        return found[sink]

    return rows


def disturbed(stream: Stream, folder: Path, sink: str, workers: int) -> Place:
    options = (*OFTEN, *with_objects(folder), "--workers", str(workers))
    return Place(folder, stream(SESSIONS, SEED, FILES), options, sink, SMALL_STEPS)


def records(stream: Stream) -> int:
    return sum(len(file.read_bytes().splitlines()) for file in stream(SESSIONS, SEED, FILES))


@pytest.mark.parametrize(
    ("number", "workers", "sink"), [(signal.SIGTERM, 1, "chdb"), (signal.SIGINT, 2, "parquet")]
)
def test_a_stop_is_clean_and_the_same_command_goes_on(
    stream: Stream, tmp_path: Path, undisturbed: Undisturbed, number: int, workers: int, sink: str
) -> None:
    place = disturbed(stream, tmp_path, sink, workers)
    whole = records(stream)
    middle = whole // 2
    with place.in_the_middle(middle) as running:
        members = running.workers()
        assert len(members) == (workers if workers > 1 else 0)
        running.signal(number)
        ended = running.ended().clean()
    assert "stopped cleanly; the same command goes on from here" in ended.said
    stopped_at = place.received()
    assert middle <= stopped_at < whole
    assert not any(map(is_worker, members))
    last = place.run().clean()
    assert (
        f"finished: {whole:,} of {whole:,} records accepted ({whole - stopped_at:,} of them now)" in last.said
    )
    same(place.rows(), undisturbed(sink))


def test_a_stop_before_the_first_record_is_a_stop_too(stream: Stream, tmp_path: Path) -> None:
    place = disturbed(stream, tmp_path, "null", 1)
    running = place.start()
    try:
        until(lambda: (place.state / "lock").exists(), "the run to begin")
        running.signal(signal.SIGTERM)
        ended = running.ended().clean()
    finally:
        running.close()
    assert "stopped cleanly" in ended.said
    assert place.run().clean().code == 0


def test_a_second_ctrl_c_does_not_wait(stream: Stream, tmp_path: Path) -> None:
    place = disturbed(stream, tmp_path, "null", 2)
    with place.in_the_middle(500) as running:
        members = running.workers()
        os.kill(members[0], signal.SIGSTOP)  # so that the first one cannot be answered
        running.signal(signal.SIGINT)
        time.sleep(0.5)
        assert running.popen.poll() is None
        running.signal(signal.SIGINT)
        assert running.ended().code == -signal.SIGINT
        until(lambda: not any(map(is_worker, members)), "the workers to go")


def kill_all(place: Place, records: int) -> None:
    with place.in_the_middle(records) as running:
        members = running.workers()
        for pid in [running.popen.pid, *members]:
            os.kill(pid, signal.SIGKILL)
        assert running.ended().code == -signal.SIGKILL


def kill_starter(place: Place, records: int) -> None:
    with place.in_the_middle(records) as running:
        members = running.workers()
        running.signal(signal.SIGKILL)
        until(lambda: not any(map(is_worker, members)), "the orphans to go")


def kill_worker(place: Place, records: int) -> None:
    with place.in_the_middle(records, "--restarts-max", "0") as running:
        members = running.workers()
        os.kill(random.choice(members), signal.SIGKILL)
        ended = running.ended()
    ended.died(
        "was killed by SIGKILL, and the others were stopped",
        "hint: the same command goes on from the last snapshot",
    )
    assert not any(map(is_worker, members))


KILLS = [  # workers, sink, how each time
    (1, "chdb", (kill_all, kill_all, kill_all)),
    (2, "parquet", (kill_worker, kill_starter, kill_all)),
    *([(2, "chdb", (kill_all, kill_worker, kill_starter))] if LONG else []),
]


@pytest.mark.parametrize("seed", range(20 if LONG else 1))
@pytest.mark.parametrize(("workers", "sink", "ways"), KILLS)
def test_killed_anywhere_nothing_is_lost_and_nothing_counted_twice(
    stream: Stream, tmp_path: Path, undisturbed: Undisturbed, seed: int, workers: int, sink: str,
    ways: tuple[Callable[[Place, int], None], ...],
) -> None:  # fmt: skip
    chance = random.Random(f"{seed} {workers} {sink}")
    place = disturbed(stream, tmp_path, sink, workers)
    whole = records(stream)
    points = sorted(chance.randrange(1, int(0.9 * whole)) for _ in ways)
    for point, kill in zip(points, chance.sample(ways, len(ways)), strict=True):
        kill(place, point)
    place.run().clean()
    same(place.rows(), undisturbed(sink))
