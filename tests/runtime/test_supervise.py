"""How often, how soon, and on which record: decisions of the supervisor, without any process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.runtime.board import Board
from pipeline.runtime.failure import Failure
from pipeline.runtime.processes import RunFailed, Task
from pipeline.runtime.restarts import KEPT, Death, read_restarts, write_down
from pipeline.runtime.supervise import (
    FIRST_WAIT_SECONDS,
    LONGEST_WAIT_SECONDS,
    WINDOW_SECONDS,
    CrashLoop,
    Patience,
    Search,
    Supervisor,
)
from pipeline.runtime.underway import END, UNKNOWN, Narrow, Turn, Underway


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def waits(patience: Patience, deaths: int) -> list[float | None]:
    return [patience.after_death(progressed=False) for _ in range(deaths)]


def test_waits_double_up_to_a_bound_and_then_it_is_enough() -> None:
    found = waits(Patience(9, Clock(), lambda: 1.0), 10)
    assert found == [0.5, 1, 2, 4, 8, 16, 30, 30, 30, None]
    assert found[0] == FIRST_WAIT_SECONDS
    assert max(wait for wait in found if wait) == LONGEST_WAIT_SECONDS


def test_waits_differ_by_chance_but_never_by_more_than_half() -> None:
    assert waits(Patience(2, Clock(), lambda: 0.0), 2) == [0.25, 0.5]


def test_progress_and_time_make_patient_again() -> None:
    clock = Clock()
    patience = Patience(2, clock, lambda: 1.0)
    assert waits(patience, 3) == [0.5, 1, None]
    assert patience.after_death(progressed=True) == 0.5
    assert waits(patience, 2) == [1, None]
    clock.now += WINDOW_SECONDS + 1
    assert waits(patience, 3) == [0.5, 1, None]


def test_without_restarts_there_is_no_second_try() -> None:
    assert waits(Patience(0, Clock(), lambda: 1.0), 1) == [None]


@pytest.fixture
def underway(tmp_path: Path) -> Callable[[], Underway]:
    return lambda: Underway.create(tmp_path, 2)


def block(underway: Underway, number: int, received: int, first: int, rows: int) -> None:
    """A partition reads a block."""
    turn = Turn(underway, number, received)
    turn.begin(received, object())
    turn.took(np.arange(first, first + rows))


def test_the_search_narrows_with_each_death_in_one_place(underway: Callable[[], Underway]) -> None:
    search = Search(65_536)
    cells = underway()
    block(cells, 0, 0, 500, 65_536)
    block(cells, 1, 70_000, 70_001, 1_000)
    assert search.after_death(cells, progressed=True) is None
    assert search.narrow is None, "once is no pattern"
    assert search.after_death(cells, progressed=False) is None
    assert search.narrow == Narrow(1024, (65_536, 71_000))
    found = None
    for rows, narrower in ((1024, 16), (16, 1)):
        cells = underway()
        block(cells, 1, 70_000, 70_001, 1_000)
        block(cells, 0, 4_096, 4_596, rows)
        found = search.after_death(cells, progressed=False)
        assert found is None
        assert search.narrow == Narrow(narrower, (4_096 + rows, 71_000))
    cells = underway()
    block(cells, 0, 4_100, 4_600, 1)
    found = search.after_death(cells, progressed=False)
    assert found is not None
    assert (found.partition, found.first, found.last) == (0, 4_600, 4_600)


def test_a_block_that_dies_while_it_is_read_is_narrowed_too(underway: Callable[[], Underway]) -> None:
    class Reader:
        next_position = 7_000

    search = Search(64)
    cells = underway()
    turn = Turn(cells, 1, 300)
    turn.begin(300, Reader())
    search.after_death(cells, progressed=False)
    assert search.narrow == Narrow(1, (0, 364)), "as far as the block may have gone"
    found = search.after_death(cells, progressed=False)
    assert found is not None
    assert (found.partition, found.first, found.last) == (1, 7_000, 7_000)


def test_past_the_place_the_search_is_over(underway: Callable[[], Underway]) -> None:
    search = Search(64)
    cells = underway()
    block(cells, 0, 0, 1, 64)
    search.after_death(cells, progressed=False)
    assert search.narrow == Narrow(1, (64, 0))
    cells = underway()
    block(cells, 0, 64, 65, 64)
    assert search.after_death(cells, progressed=True) is None
    assert search.narrow is None


def test_partitions_take_turns_and_hand_on_when_their_epoch_is_over(tmp_path: Path) -> None:
    Underway.create(tmp_path, 2)
    cells = [Underway(tmp_path / "underway.bin", 2, Narrow(5, (100, 100))) for _ in range(2)]
    first, second = Turn(cells[0], 0, 0), Turn(cells[1], 1, 0)
    assert (first.comes(), second.comes()) == (True, False)
    assert first.rows_max == 5
    first.begin(0, object())
    first.took(np.arange(5))
    assert cells[1].alone is not None
    assert cells[1].alone.partition == 0
    assert (first.comes(), second.comes()) == (False, False), "its block is still under way"
    first.epoch_over()
    assert (first.comes(), second.comes()) == (False, True)
    assert cells[0].alone is None
    second.begin(0, object())
    second.took(np.arange(0))
    assert first.comes(), "who has nothing hands on at once"
    first.leave()
    assert second.comes(), "who has left takes no more turns"
    second.begin(100, object())
    second.ends()
    spot = cells[0].alone
    assert spot is not None
    assert (spot.partition, spot.first) == (1, END)
    assert first.comes(), "all are as far as they were to go: it is anybody's turn"
    assert first.rows_max > 1_000_000


def test_without_a_file_it_is_always_ones_turn() -> None:
    turn = Turn(None, 0, 0)
    turn.begin(0, object())
    turn.took(np.arange(3))
    assert turn.comes()


def died(kind: str = "RuntimeError", step: str = "enrich", *, is_cause: bool = True) -> RunFailed:
    return RunFailed(1, 1, Failure(kind, "broken\nmore", "", "Traceback: ...", is_cause, step), "")


class Run:
    """Something to supervise: what it died of each time, and how far it had come."""

    def __init__(self, folder: Path, deaths: list[tuple[RunFailed, int]]) -> None:
        self.board = Board.create(folder / "board.bin", 1)
        self.deaths = deaths
        self.narrow: list[Narrow | None] = []
        self.said: list[str] = []

    def __call__(self, narrow: Narrow | None) -> bool:
        self.narrow.append(narrow)
        if len(self.narrow) > len(self.deaths):
            return True
        death, received = self.deaths[len(self.narrow) - 1]
        self.board.put(0, received=received, received_before=100 * len(self.narrow))
        raise death

    def supervised(self, folder: Path, restarts_max: int = 3) -> bool:
        supervisor = Supervisor(
            folder=folder,
            board=self.board,
            sources=["shop:eu.jsonl:0"],
            rows_max=64,
            restarts_max=restarts_max,
            is_final=lambda kind: kind == "BadInput",
            tell=self.said.append,
        )
        return supervisor.run(self, lambda: False)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.runtime.supervise.FIRST_WAIT_SECONDS", 0.001)


@pytest.mark.usefixtures("impatient")
def test_what_a_run_reads_counts_from_its_first_part(tmp_path: Path) -> None:
    run = Run(tmp_path, [(died("SinkUnavailable"), 500), (died("SinkUnavailable"), 600)])
    assert run.supervised(tmp_path)
    assert run.board.column("received_before") == [100]
    assert run.narrow == [None, None, None], "weather is nobody's record"
    assert "(SinkUnavailable: broken): all start again" in run.said[0]
    assert [death.received for death in read_restarts(tmp_path).deaths] == [500, 600]


def test_what_is_final_is_raised_at_once(tmp_path: Path) -> None:
    run = Run(tmp_path, [(died("BadInput"), 500)])
    with pytest.raises(RunFailed):
        run.supervised(tmp_path)
    assert read_restarts(tmp_path).restarts == 0
    assert read_restarts(tmp_path).deaths[0].kind == "BadInput"


@pytest.mark.usefixtures("impatient")
def test_the_last_death_is_raised_when_it_is_enough(tmp_path: Path) -> None:
    last = died("AssertionError")
    run = Run(tmp_path, [(died(), 5), (died(), 5), (died(), 5), (last, 5)])
    with pytest.raises(RunFailed) as raised:
        run.supervised(tmp_path)
    assert raised.value is last
    assert read_restarts(tmp_path).restarts == 3


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("position", "step", "words"),
    [
        (41, "enrich", ("shop:eu.jsonl:0:41, in the step enrich: RuntimeError: broken", "--quarantine")),
        (41, "track", ("record shop:eu.jsonl:0:41", "it is one shortly before it")),
        (END, "track", ("when shop:eu.jsonl:0 comes to its end", "no record can be set aside")),
        (UNKNOWN, "read · decode", ("record number 8 of shop:eu.jsonl:0", "cannot be taken apart")),
    ],
)  # fmt: skip
def test_the_message_names_what_is_known(
    tmp_path: Path, position: int, step: str, words: tuple[str, str]
) -> None:
    class Dies(Run):
        def __call__(self, narrow: Narrow | None) -> bool:
            cells = Underway(tmp_path / "underway.bin", 1, narrow)
            cells.put(0, 7, first=position, last=position)
            cells.stands(0)
            return super().__call__(narrow)

    run = Dies(tmp_path, [(died(step=step), 8)] * 4)
    with pytest.raises(CrashLoop) as raised:
        run.supervised(tmp_path)
    assert run.narrow[-1] is not None
    assert words[0] in raised.value.message
    assert words[1] in raised.value.hint


def test_the_journal_keeps_the_newest_and_counts_all(tmp_path: Path) -> None:
    death = Death("2026-01-01T00:00:00.000+00:00", 0, "was killed by SIGKILL", "", "", "", "", 5, 0.5, None)
    for _ in range(KEPT + 5):
        write_down(tmp_path, death)
    told = read_restarts(tmp_path)
    assert (told.restarts, len(told.deaths)) == (KEPT + 5, KEPT)
    assert told.deaths[0] == death
    (tmp_path / "restarts.json").write_text('{"restarts": 1')
    assert read_restarts(tmp_path).restarts == 0, "whoever looks must not die of it"


def test_a_task_travels_whole() -> None:
    for narrow in (None, Narrow(3, (1, 2))):
        task = Task(1, ["127.0.0.1:1"], {"workers": 2}, narrow)
        assert Task.load(task.dump()) == task
    assert json.loads(Task(0, [], {}).dump())["narrow"] is None
