"""A log of a state in files: what it keeps, what it deletes, and what it refuses to take for a state."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.core.snapshot import StateMismatch
from pipeline.runtime import segments
from pipeline.runtime.segments import SNAPSHOTS_KEPT, SegmentLog, name_of

ROWS = 1_000


class Numbers:
    """A state: a number in each row."""

    def __init__(self) -> None:
        self.values = np.zeros(ROWS, np.int64)
        self.changed: set[int] = set()
        self.bytes, self.rows, self.moved = 1 << 30, ROWS, False

    @property
    def dirty(self) -> int:
        return len(self.changed)

    def put(self, row: int, value: int) -> None:
        self.values[row] = value
        self.changed.add(row)

    def changes(self, first: int, stop: int) -> dict[str, Any]:
        rows = np.array(sorted(self.changed | set(range(first, min(stop, ROWS)))), np.int64)
        self.changed = set()
        return {"rows": rows, "values": self.values[rows]}


def loaded(folder: Path, pointer: dict[str, Any]) -> list[int]:
    values = np.full(ROWS, -1)
    for frame in SegmentLog(folder, name_of(pointer), pointer).frames():
        values[frame["rows"]] = frame["values"]
    return values.tolist()


def written(log: SegmentLog, state: Any) -> dict[str, Any] | None:
    return log.pointer() if log.write(state) else None


def lived(
    folder: Path, epochs: int, look: Callable[[dict[str, Any], list[int]], None] = lambda *_: None
) -> tuple[Numbers, SegmentLog, list[tuple[dict[str, Any], list[int]]]]:
    """A state through some epochs, each with fifty changes: the snapshots, and what they must bring back."""
    state, log = Numbers(), SegmentLog(folder, "track-3")
    taken = []
    for epoch in range(epochs):
        for row in np.random.default_rng(epoch).integers(0, ROWS, 50).tolist():
            state.put(row, epoch)
        pointer = written(log, state)
        assert pointer is not None
        taken.append((pointer, state.values.tolist()))
        look(*taken[-1])
    return state, log, taken


def test_every_snapshot_brings_back_what_was(tmp_path: Path) -> None:
    lived(tmp_path / "segments", 120, lambda pointer, values: check(tmp_path / "segments", pointer, values))


def check(folder: Path, pointer: dict[str, Any], values: list[int]) -> None:
    assert loaded(folder, pointer) == values


def test_the_snapshots_to_which_a_run_may_go_back_can_be_read(tmp_path: Path) -> None:
    """And all before them are given up, so that the folder stays small."""
    folder, most = tmp_path / "segments", 0
    taken: list[tuple[dict[str, Any], list[int]]] = []

    def look(pointer: dict[str, Any], values: list[int]) -> None:
        nonlocal most
        taken.append((pointer, values))
        for one in taken[-SNAPSHOTS_KEPT:]:
            check(folder, *one)
        most = max(most, len([*folder.iterdir()]))

    lived(folder, 200, look)
    assert most <= 4


def test_no_epoch_writes_a_whole_state_but_the_first(tmp_path: Path) -> None:
    folder = tmp_path / "segments"
    sizes: list[int] = []

    def look(pointer: dict[str, Any], _: list[int]) -> None:
        sizes.append(len(list(SegmentLog(folder, "track-3", pointer).frames())[-1]["rows"]))

    lived(folder, 100, look)
    assert sizes[0] == ROWS
    assert max(sizes[1:]) <= 50 + segments.SWEEP_ROWS


def test_what_a_run_left_behind_its_last_snapshot_is_not_read(tmp_path: Path) -> None:
    """A frame whose snapshot came to no store, half a frame, and the file of a run that had just begun."""
    folder = tmp_path / "segments"
    state, log, taken = lived(folder, 30)
    pointer, values = taken[-1]
    state.put(1, 99)
    written(log, state)
    newest = max(folder.iterdir())
    newest.write_bytes(newest.read_bytes() + b"half")
    (folder / f"track-3-{int(newest.stem[-8:]) + 1:08}.seg").write_bytes(b"PL")
    check(folder, pointer, values)
    again = SegmentLog(folder, "track-3", pointer)
    fresh = Numbers()
    fresh.values[:] = values
    for epoch in range(200):
        fresh.put(epoch, 7)
        after = written(again, fresh)
        assert after is not None
        check(folder, after, fresh.values.tolist())
    assert len([*folder.iterdir()]) <= 4, "what nobody names is deleted in the end"


def test_a_segment_cut_or_changed_anywhere_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "segments"
    pointer, _ = lived(folder, 3)[2][-1]
    path = folder / pointer["segments"][0][0]
    whole = path.read_bytes()
    for at in range(0, len(whole), 97):
        path.write_bytes(whole[:at])
        with pytest.raises(
            StateMismatch, match=f"{path.name} has {at:,} bytes, the last snapshot needs"
        ) as told:
            loaded(folder, pointer)
        assert "pathline state restore" in told.value.hint
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(StateMismatch, match="is damaged: its checksum does not fit"):
            loaded(folder, pointer)
    path.unlink()
    with pytest.raises(StateMismatch, match="is missing") as told:
        loaded(folder, pointer)
    assert "pathline reset" in told.value.hint


@pytest.mark.parametrize("name", ["../../etc/passwd", "track-3-1.seg/..", ""])
def test_a_pointer_names_nothing_but_segments(name: str) -> None:
    with pytest.raises(StateMismatch, match="cannot be one"):
        name_of({"segments": [[name, 1, 1]]})


def test_a_small_state_is_not_logged_and_one_that_shrinks_no_more(tmp_path: Path) -> None:
    state, log = Numbers(), SegmentLog(tmp_path / "segments", "orders")
    state.bytes = segments.LOG_FROM_BYTES - 1
    assert written(log, state) is None
    assert not (tmp_path / "segments").exists()
    state.bytes = segments.LOG_FROM_BYTES
    assert written(log, state) is not None
    state.bytes //= 2
    assert written(log, state) is not None, "it does not go to and fro"
    state.bytes = 0
    for _ in range(SNAPSHOTS_KEPT):
        assert written(log, state) is None
    assert not [*(tmp_path / "segments").iterdir()]


def test_rows_that_have_moved_are_all_written_again(tmp_path: Path) -> None:
    folder = tmp_path / "segments"
    state, log, _ = lived(folder, 15)
    state.values[:] = 5
    state.moved = True
    for _ in range(200):
        pointer = written(log, state)
        state.moved = False
    assert pointer is not None
    assert loaded(folder, pointer) == [5] * ROWS


def test_rows_that_lie_elsewhere_after_a_restart_are_all_written_again(tmp_path: Path) -> None:
    """A hash table has another order when it is filled from frames, and a ring another size: what a sweep had
    passed before the restart is not what has these places now.
    """
    folder = tmp_path / "segments"
    state, log, _ = lived(folder, 25)
    kept = written(log, state)
    for restart in range(3):
        assert kept is not None
        state = Turned(np.array(loaded(folder, kept)), reverse=restart % 2 == 0)
        log = SegmentLog(folder, name_of(kept), kept)
        for epoch in range(7):
            state.put(epoch, 100 * restart + epoch)
            kept = written(log, state)
    for _ in range(100):
        state.put(0, 5)
        kept = written(log, state)
        assert kept is not None
        assert loaded(folder, kept) == state.values.tolist()


class Turned(Numbers):
    """The same, with its rows in the opposite order."""

    def __init__(self, values: Any, *, reverse: bool) -> None:
        super().__init__()
        self.values, self.reverse = values, reverse

    def changes(self, first: int, stop: int) -> dict[str, Any]:
        if self.reverse:
            first, stop = ROWS - min(stop, ROWS), ROWS - first
        return super().changes(first, stop)
