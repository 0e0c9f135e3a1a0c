"""Numbers shared between processes: what one writes another reads, and a run is one answer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.runtime import metrics, numbers
from pipeline.runtime.exposition import merged
from pipeline.runtime.numbers import Cells, Numbers
from tests.runtime.tables import ROOT

WORKER = """
import os, sys
from pathlib import Path
from pipeline.runtime import metrics
metrics.begin(Path(sys.argv[1]), sys.argv[2], os.getpid())
metrics.add(metrics.SINK_ROWS, int(sys.argv[3]), "sessions")
metrics.put(metrics.EPOCHS, int(sys.argv[3]))
metrics.put(metrics.EPOCH_AGE, float(sys.argv[4]))
os._exit(9)
"""


def worker(folder: Path, process: str, rows: int, epoch_at: float) -> None:
    """A process that writes and dies without a word."""
    command = [sys.executable, "-c", WORKER, str(folder), process, str(rows), str(epoch_at)]
    assert subprocess.run(command, cwd=ROOT).returncode == 9


def test_processes_that_died_have_one_answer_together(tmp_path: Path) -> None:
    worker(tmp_path, "0", 30, 1_000.0)
    worker(tmp_path, "1", 12, 1_050.0)
    told = Numbers(tmp_path).read()
    assert set(told) == {"0", "1"}
    together = merged(told.values(), now=1_060.0)
    assert together[metrics.SINK_ROWS.name] == {("sessions",): 42.0}
    assert together[metrics.EPOCHS.name] == {(): 30.0}, "they count the same epochs"
    assert together[metrics.EPOCH_AGE.name] == {(): 60.0}, "the worst of them, and it grows by itself"
    assert merged(told.values(), now=1_100.0)[metrics.EPOCH_AGE.name] == {(): 100.0}


def test_what_grows_is_read_as_it_grows(tmp_path: Path) -> None:
    cells, reader = Cells.shared(tmp_path, "0"), Numbers(tmp_path)
    assert reader.read() == {"0": {}}
    cells.put(("a", "ä\n\udcff"), 1.0)
    assert reader.read() == {"0": {("a", "ä\n\udcff"): 1.0}}
    cells.add(("b",), 2.0)
    cells.add(("b",), 0.5)
    cells.put(("a", "ä\n\udcff"), 7.0)
    assert reader.read() == {"0": {("a", "ä\n\udcff"): 7.0, ("b",): 2.5}}
    again = Cells.shared(tmp_path, "0")
    assert reader.read() == {"0": {}}, "another run begins at nothing"
    cells.put(("b",), 99.0)
    again.put(("c",), 3.0)
    assert reader.read() == {"0": {("c",): 3.0}}, "and what is left of the former one writes elsewhere"


def test_half_a_name_is_not_read(tmp_path: Path) -> None:
    cells, reader = Cells.shared(tmp_path, "0"), Numbers(tmp_path)
    cells.put(("a",), 1.0)
    with (tmp_path / "0.names").open("a") as file:
        file.write('["b"')
        file.flush()
        assert reader.read() == {"0": {("a",): 1.0}}
        file.write("]\n")
        file.flush()
    assert reader.read() == {"0": {("a",): 1.0, ("b",): 0.0}}


def test_there_is_room_for_so_many_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numbers, "CELLS_MAX", 2)
    cells = Cells.shared(tmp_path, "0")
    for name in "abc":
        cells.put((name,), 1.0)
        cells.add((name,), 1.0)
    assert Numbers(tmp_path).read() == {"0": {("a",): 2.0, ("b",): 2.0}}
    assert cells.get(("c",)) == 0.0


def test_the_file_is_written_out_so_that_a_full_disk_kills_nobody(tmp_path: Path) -> None:
    Cells.shared(tmp_path, "0")
    found = (tmp_path / "0.values").stat()
    assert found.st_blocks * 512 >= found.st_size == 8 * numbers.CELLS_MAX


def test_where_nothing_can_be_written_numbers_stay_in_memory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    metrics.begin(tmp_path / "file", "0", os.getpid())
    metrics.add(metrics.RESTARTS, 2)
    assert metrics.value(metrics.RESTARTS) == 2


def test_a_total_counts_from_where_the_run_began(tmp_path: Path) -> None:
    metrics.begin(tmp_path, "0", os.getpid())
    for total in (1_000, 1_000, 1_250):
        metrics.grown(metrics.RECEIVED, total, "clicks", "0", since=None)
    for total in (5, 7):
        metrics.grown(metrics.SINK_ROWS, total, "sessions", part="a")
        metrics.grown(metrics.SINK_ROWS, total * 10, "sessions", part="b")
    for open_ in (4, 1):
        metrics.grown(metrics.OPEN_SESSIONS, open_, part=0)
    metrics.grown(metrics.OPEN_SESSIONS, 2, part=1)
    assert metrics.value(metrics.RECEIVED, "clicks", "0") == 250
    assert metrics.value(metrics.SINK_ROWS, "sessions") == 77
    assert metrics.value(metrics.OPEN_SESSIONS) == 3


def test_an_earlier_run_with_more_processes_is_forgotten(tmp_path: Path) -> None:
    for process in ("0", "1", "2"):
        Cells.shared(tmp_path, process).put(("a",), 1.0)
    numbers.clear(tmp_path)
    assert Numbers(tmp_path).read() == {}


def test_a_process_that_begins_again_is_known_to_be_another(tmp_path: Path) -> None:
    """Its names come in another order: read on in the middle of them they would be no names."""
    reader = Numbers(tmp_path)
    for run in range(5):
        cells = Cells.shared(tmp_path, "0")
        for number in range(10 - run):
            cells.put((f"a name that is long, of run {run}", str(number)), number)
        told = reader.read()["0"]
        assert {key[0][-1] for key in told} == {str(run)}
        assert sorted(told.values()) == list(range(10 - run))
