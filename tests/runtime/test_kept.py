"""A snapshot counts only when what it points to is on the disk, and is that of the moment it was taken."""

from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.core.follow.follow import Follow
from pipeline.core.snapshot import unpack
from pipeline.runtime import segments
from pipeline.runtime.backup import is_harmless
from pipeline.runtime.deployment import StateUnusable
from pipeline.runtime.items import Tracked
from pipeline.runtime.kept import Kept
from pipeline.runtime.shards import FollowLogic
from tests.core.test_follow import HOUR, JOURNEYS, Chain, abandoned


@pytest.fixture(autouse=True)
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every state is logged."""
    monkeypatch.setattr(segments, "LOG_FROM_BYTES", 0)


def some(count: int, first: int = 1) -> Follow:
    follow = Follow(JOURNEYS)
    follow.apply(abandoned([Chain(HOUR, visitor=first + k) for k in range(count)], 1), [], HOUR)
    return follow


def tracked(count: int, first: int) -> Tracked:
    found = abandoned([Chain(HOUR, visitor=first + k) for k in range(count)], 1_001)
    return Tracked(0, [], [], found, [], HOUR)


def test_who_pickles_a_snapshot_waits_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forced = threading.Event()
    monkeypatch.setattr(os, "fdatasync", lambda _: forced.wait(10))
    promised = Kept("follow", tmp_path).dump(some(50), "follow-0", {})
    pickled: list[bytes] = []
    waiting = threading.Thread(target=lambda: pickled.append(pickle.dumps(promised)))
    waiting.start()
    waiting.join(0.2)
    assert not pickled, "the frame is not on the disk"
    forced.set()
    waiting.join(10)
    again = Follow(JOURNEYS)
    Kept("follow", tmp_path).load(pickle.loads(pickled[0]), again)
    assert again.remembered == 50


def test_a_copy_of_it_can_be_restored_and_a_program_beside_it_cannot(tmp_path: Path) -> None:
    kept = pickle.dumps(Kept("follow", tmp_path).dump(some(50), "follow-0", {}))
    assert is_harmless(kept)
    assert is_harmless(pickle.dumps(b"plain"))
    assert not is_harmless(kept.replace(b"bytes", b"print", 1))
    assert not is_harmless(kept.replace(b"builtins", b"builtinz", 1))
    for calls in (bytes, bytearray, eval):
        assert not is_harmless(pickle.dumps(Calling(calls)))
    assert not is_harmless(kept[:-1] + pickle.dumps(Calling(eval)))


class Calling:
    """Pickles to a call, with something else than bytes."""

    def __init__(self, what: Callable[..., object]) -> None:
        self.what = what

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return self.what, ("1",)


def test_a_disk_that_fails_fails_the_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fdatasync", full)
    promised = Kept("follow", tmp_path).dump(some(50), "follow-0", {})
    with pytest.raises(StateUnusable, match="disk is full"):
        pickle.dumps(promised)


@pytest.mark.parametrize("is_logged", [True, False])
def test_what_comes_after_a_snapshot_is_not_in_it(tmp_path: Path, is_logged: bool) -> None:
    logic = FollowLogic(some(50), None, tmp_path if is_logged else None)
    promised = logic.snapshot()
    logic.on_batch([tracked(3, first=1_000)])
    snapshot = pickle.loads(pickle.dumps(promised))
    assert (unpack("follow", snapshot)["pointer"] is not None) == is_logged
    again = Follow(JOURNEYS)
    Kept("follow", tmp_path).load(snapshot, again)
    assert (again.remembered, logic._follow.remembered) == (50, 53)
