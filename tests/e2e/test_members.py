"""Several calls of `pathline run` as one cluster, as several machines make them; other numbers of workers."""

from __future__ import annotations

import os
import signal
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.conftest import Stream
from tests.e2e.runs import Place, Running, same, until
from tests.e2e.test_drained import DRAINED, grown

SMALL_STEPS = {"PATHLINE_BATCH_ROWS": "60"}


def addresses(count: int) -> str:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    found = ",".join(f"127.0.0.1:{each.getsockname()[1]}" for each in sockets)
    for each in sockets:
        each.close()
    return found


def cluster(place: Place, stack: ExitStack, count: int, *more: str) -> list[Running]:
    """One call for each process; the last one first, for nobody can tell in which order machines begin."""
    where = addresses(count)
    calls = {
        number: place.start("--process-id", str(number), "--addresses", where, *more)
        for number in reversed(range(count))
    }
    for call in calls.values():
        stack.callback(call.close)
    return [calls[number] for number in range(count)]


@pytest.fixture
def growing(stream: Stream, tmp_path: Path) -> tuple[Place, tuple[Path, ...]]:
    """A place whose files are written bit by bit, and the files as they will be."""
    whole = stream(1_500, 22, 3)
    folder = tmp_path / "growing"
    folder.mkdir()
    files = tuple(folder / file.name for file in whole)
    return Place(folder, files, ("--epoch", "100ms"), "parquet", SMALL_STEPS), whole


def grow(place: Place, whole: tuple[Path, ...], share: float) -> None:
    for file, all_of_it in zip(place.files, whole, strict=True):
        grown(file, all_of_it, share)


def quiet(place: Place, whole: tuple[Path, ...], shares: tuple[float, ...], folder: Path) -> Place:
    """One process, the same portions, nobody who stops it."""
    folder.mkdir()
    files = tuple(folder / file.name for file in whole)
    alone = Place(folder, files, sink="parquet")
    for share in shares[:-1]:
        grow(alone, whole, share)
        alone.run(DRAINED).clean()
    grow(alone, whole, shares[-1])
    alone.run().clean()
    return alone


def test_stopped_with_two_workers_gone_on_with_one_then_three(
    growing: tuple[Place, tuple[Path, ...]], tmp_path: Path
) -> None:
    """While files grow, and once by a stop in the middle: the rows are those of one process."""
    place, whole = growing
    shares = (0.4, 0.7, 1.0)
    grow(place, whole, shares[0])
    with place.in_the_middle(1_000, "--workers", "2", DRAINED) as running:
        running.signal(signal.SIGTERM)
        assert "stopped cleanly" in running.ended().clean().said
    place.run("--workers", "1", DRAINED).clean()
    grow(place, whole, shares[1])
    place.run("--workers", "3", DRAINED).clean()
    grow(place, whole, shares[2])
    place.run("--workers", "3").clean()
    same(place.rows(), quiet(place, whole, shares, tmp_path / "quiet").rows())


def test_calls_that_know_one_another_are_one_cluster(
    growing: tuple[Place, tuple[Path, ...]], tmp_path: Path
) -> None:
    """Two calls, one of which loses its process; then one alone, then three."""
    place, whole = growing
    shares = (0.5, 0.8, 1.0)
    grow(place, whole, shares[0])
    with ExitStack() as stack:
        first, second = cluster(place, stack, 2, DRAINED)
        until(lambda: place.received() > 1_000, "some records")
        os.kill(second.workers()[0], signal.SIGKILL)
        told = first.ended().clean().said, second.ended().clean().said
    assert "was killed by SIGKILL: all start again" in told[1]
    assert "all start again" in told[0], "the other cannot go on alone"
    assert "warning: " not in told[0] + told[1], "nobody else can reach these addresses"
    grow(place, whole, shares[1])
    place.run(DRAINED).clean()
    grow(place, whole, shares[2])
    with ExitStack() as stack:
        for call in cluster(place, stack, 3):
            call.ended().clean()
    same(place.rows(), quiet(place, whole, shares, tmp_path / "quiet").rows())


def test_a_place_in_a_cluster_is_taken_once(stream: Stream, tmp_path: Path) -> None:
    """And a run that is no process of it does not share its state."""
    place = Place(tmp_path, stream(300, 31, 2), sink="null")
    with ExitStack() as stack:
        where = addresses(2)
        waits = place.start("--process-id", "0", "--addresses", where)
        stack.callback(waits.close)
        until(lambda: (place.state / "lock-0").exists(), "the first to begin")
        place.run("--process-id", "0", "--addresses", where).refused(
            "is in use", "process 0 of it runs already"
        )
        place.run().refused("is in use by another run")
        other = place.start("--process-id", "1", "--addresses", where)
        stack.callback(other.close)
        assert "finished" in other.ended().clean().said
        assert "finished" in waits.ended().clean().said


def test_a_cluster_that_cannot_be_is_refused_at_once(stream: Stream, tmp_path: Path) -> None:
    place = Place(tmp_path, stream(300, 31, 1))
    place.run("--process-id", "2", "--addresses", "127.0.0.1:7001,elsewhere", "--workers", "2").refused(
        "--process-id: 2 is none of 2 addresses",
        "'elsewhere' is no address",
        "--workers: not together with --addresses",
        "the embedded database belongs to one process",
    )
    place.run("--process-id", "0").refused("--addresses names all processes")
    place.run("--addresses", "127.0.0.1:7001").refused("which of them is this process?")
