"""Time that passes for a silent partition is written down first, and passes again where a run goes back."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.core.admit.admit import RECEIVED, Admission, Admit, Partition
from pipeline.core.decode.decoder import Decoder, TimeBounds
from pipeline.runtime.board import Board
from pipeline.runtime.intake import LULL_STEP_MS, Arrived, Idle, Intake, IntakePartition, Origin
from pipeline.runtime.lulls import BYTES_MAX, Lull, Lulls
from pipeline.sources.blocks import NOTHING_YET, Block, Gap, NothingYet
from schemas.mappings import load_mapping
from tests.harness import AS_OF_MS, line
from tests.oracle_walk import MINUTE
from tests.stories import MIDNIGHT

IDLE_MS, LATENESS_MS = 30_000, 10_000
DECODER = Decoder(load_mapping("canonical"), ("event",), TimeBounds(AS_OF_MS))


class Topic:
    """A live partition under the test's hand: `records` that have come, and what a broker says."""

    def __init__(self, records: int = 0) -> None:
        self.records = records
        self.end_ms: int | None = None
        self.missing: list[Gap] = []
        self.offset = 0
        self.lag = 0
        self.bytes_read = 0

    def read(self, rows_max: int) -> Block | NothingYet:
        n = min(rows_max, self.records - self.offset)
        if not n:
            return NOTHING_YET
        values = [
            line({"event_at": MIDNIGHT + 1000 * number, "event": "view", "visitor_id": "a"})
            for number in range(self.offset, self.offset + n)
        ]
        position = np.arange(self.offset, self.offset + n)
        self.offset += n
        return Block(DECODER.messages(values, None), position)

    def at_end_ms(self, quiet_seconds: float) -> int | None:
        assert quiet_seconds == IDLE_MS / 1000
        return self.end_ms if self.offset == self.records else None

    def gaps(self) -> list[Gap]:
        found, self.missing = self.missing, []
        return found

    def kept(self) -> None:
        pass

    def dump(self) -> dict[str, Any]:
        return {"offset": self.offset}

    def load(self, state: dict[str, Any]) -> None:
        self.offset = state["offset"]

    def close(self) -> None:
        pass


@pytest.fixture
def board(tmp_path: Path) -> Board:
    return Board.create(tmp_path / "board.bin", 1)


def partition(
    topic: Topic, board: Board, folder: Path, state: bytes | None = None, **more: Any
) -> IntakePartition:
    settings: dict[str, Any] = {"rows_max": 1_000, "epoch_bytes_max": 1 << 30} | more
    intake = Intake(
        origins=(Origin("clicks", 0, None),),
        open_reader=lambda number: topic,
        open_admit=lambda number: Admit(Partition("clicks", 0, 0), Admission(LATENESS_MS, 0, 1_000, ())),
        board=board,
        look_ahead_ms=MINUTE,
        idle=Idle(IDLE_MS, LATENESS_MS, folder / "lulls"),
        ordered=False,
        closes=False,
        cuts=None,
        **settings,
    )
    return IntakePartition(intake, 0, state)


def arrived(one: IntakePartition) -> list[tuple[int, int]]:
    """What it brings until it has nothing more: (records, watermark after the last record or midnight)."""

    def each() -> Iterator[Arrived]:
        while batch := list(one.next_batch()):
            yield from batch

    return [(int(a.admitted.counts[RECEIVED]) if a.admitted else 0, a.watermark - MIDNIGHT) for a in each()]


def test_time_passes_for_a_partition_that_the_broker_says_is_silent(board: Board, tmp_path: Path) -> None:
    topic = Topic(records=5)
    one = partition(topic, board, tmp_path)
    assert arrived(one) == [(5, 4_000 - LATENESS_MS)]
    topic.end_ms = MIDNIGHT + 2 * MINUTE
    assert arrived(one) == [(0, 2 * MINUTE - IDLE_MS - LATENESS_MS)]
    assert arrived(one) == [], "no question was answered since"
    topic.end_ms += LULL_STEP_MS - 1
    assert arrived(one) == [], "not every millisecond is worth a line of the journal"
    topic.end_ms += 1
    assert len(arrived(one)) == 1


def test_nobody_waits_for_it_then(board: Board, tmp_path: Path) -> None:
    one = partition(Topic(), board, tmp_path)
    assert board.furthest_behind_ms() < MIDNIGHT
    assert arrived(one) == []
    assert board.furthest_behind_ms() > MIDNIGHT


def test_a_run_that_goes_back_passes_the_same_time_at_the_same_record(board: Board, tmp_path: Path) -> None:
    topic = Topic(records=5)
    one = partition(topic, board, tmp_path)
    arrived(one)
    begun = pickle.loads(pickle.dumps(one.snapshot()))  # as bytewax keeps it
    topic.records += 3
    arrived(one)
    topic.end_ms = MIDNIGHT + 5 * MINUTE
    ((_, passed),) = arrived(one)
    topic.records += 4
    arrived(one)
    for rows_max in (1, 2, 1_000):
        again = partition(Topic(records=12), board, tmp_path, begun, rows_max=rows_max)
        seen = arrived(again)
        before = [records for records, watermark in seen if watermark < passed]
        assert sum(records for records, _ in seen) == 7
        assert 3 - rows_max <= sum(before) < 3, "with the third record, however they are cut, time has passed"
        assert board.column("late") == [4], "so that what came then is late again"


def test_what_was_not_written_whole_was_never_acted_upon(tmp_path: Path) -> None:
    journal = Lulls(tmp_path / "lulls" / "0.jsonl")
    journal.add(Lull(3, 3, 1_000))
    with (tmp_path / "lulls" / "0.jsonl").open("a") as file:
        file.write('{"received": 9, "posit')
    assert journal.read(0) == [Lull(3, 3, 1_000)]
    journal.add(Lull(4, 4, 2_000))
    assert journal.read(0) == [Lull(3, 3, 1_000), Lull(4, 4, 2_000)]
    assert journal.read(4) == [Lull(4, 4, 2_000)]


def test_a_long_journal_keeps_what_a_run_can_go_back_to(tmp_path: Path) -> None:
    path = tmp_path / "0.jsonl"
    lines = [Lull(received, received, n) for n, received in enumerate([1] * 9_000 + [2] * 9_000)]
    path.write_text("".join(json.dumps(lull.__dict__) + "\n" for lull in lines))
    assert path.stat().st_size > BYTES_MAX / 2
    journal = Lulls(path)
    for received in (1, 2, 2, 2, 2):
        journal.snapshot(received)
    path.write_text(path.read_text() * 2)
    journal.add(Lull(2, 2, 99_999))
    assert journal.read(0) == [Lull(2, 2, 99_999)]


def test_an_epoch_takes_in_only_so_much(board: Board, tmp_path: Path) -> None:
    one = partition(Topic(records=100), board, tmp_path, rows_max=10, epoch_bytes_max=1)
    assert [records for records, _ in arrived(one)] == [10]
    assert one.next_awake() is not None
    one.snapshot()
    assert [records for records, _ in arrived(one)] == [10]


def test_what_was_missing_is_an_incident(board: Board, tmp_path: Path) -> None:
    topic = Topic(records=3)
    topic.missing = [Gap(0, 7)]
    (first,) = partition(topic, board, tmp_path).next_batch()
    (row,) = first.found["incidents"].to_pylist()
    assert (row["kind"], row["source"], row["first"], row["until"]) == ("lost_records", "clicks", 0, 7)
