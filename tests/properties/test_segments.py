"""The law where states are logged: snapshots that point to segments, and what crashes leave in these."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.follow.follow import Follow
from pipeline.core.snapshot import pack, unpack
from pipeline.runtime import segments
from pipeline.runtime.kept import Kept
from tests.core.test_follow import HOUR, JOURNEYS, Chain, abandoned
from tests.differences import assert_same
from tests.harness import Core, expected, run_core
from tests.properties.ways import World, cut_worlds, tangles


@pytest.fixture(autouse=True, scope="module")
def small() -> Iterator[None]:
    """Every state is logged, and nothing waits for the disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "LOG_FROM_BYTES", 0)
        patch.setattr(os, "fdatasync", lambda _: None)
        patch.setattr(os, "fsync", lambda _: None)
        yield


class Segmented(Core):
    """The core, with its states kept as the runtime keeps them."""

    folder: Path

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.kept = [
            *(Kept("intake", self.folder) for _ in self.admits),
            Kept("orders", self.folder),
            *(Kept("track", self.folder) for _ in self.tracks),
            *(Kept("follow", self.folder) for _ in self.follows),
        ]

    @property
    def logged(self) -> list[Any]:
        return [*self.admits, self.orders, *self.tracks, *self.follows]

    def save(self) -> list[bytes]:
        self.advance(self.time())
        names = [
            *(f"intake-{number}" for number in range(len(self.admits))),
            "orders",
            *(f"track-{shard}" for shard in range(len(self.tracks))),
            *(f"follow-{shard}" for shard in range(len(self.follows))),
        ]
        logged = zip(self.kept, self.logged, names, strict=True)
        return [
            pack("done", {"done": self.done}),
            *(kept.dump(state, name, {}).kept() for kept, state, name in logged),
            *(pack("step", step.dump()) for step in self.others()),
        ]

    def load(self, saved: list[bytes]) -> None:
        if self.way.then % 3 == 0:
            self.save()  # which comes to the segments, but its snapshots do not come to the store
        if self.way.then % 2 == 0:
            self.tear()
        fresh = type(self)(self.lines, self.journeys, self.settings, self.way)
        self.done = unpack("done", saved[0])["done"]
        for kept, state, snapshot in zip(fresh.kept, fresh.logged, saved[1:], strict=False):
            kept.load(snapshot, state)
        for step, dumped in zip(fresh.others(), saved[1 + len(fresh.kept) :], strict=True):
            step.load(unpack("step", dumped))
        fresh.done, fresh.sink = self.done, self.sink
        self.__dict__ = fresh.__dict__

    def others(self) -> list[Any]:
        return [*self.counts]

    def tear(self) -> None:
        """A write that came halfway, and a file of which nobody knows."""
        for path in sorted(self.folder.glob("*.seg")):
            with path.open("ab") as file:
                file.write(b"half a frame")
            name, number = path.stem.rsplit("-", 1)
            path.with_name(f"{name}-{int(number) + 1:08}.seg").touch()


def check(world: World, rows: int) -> None:
    settings, journeys, partitions, way = world
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "SWEEP_ROWS", rows)
        patch.setattr(Segmented, "folder", Path(name), raising=False)
        found = run_core(partitions, journeys, settings, way, Segmented)
    assert_same(found, expected(partitions, journeys, settings, way))


ROWS = st.sampled_from([1, 16, 64, 1024])


@given(cut_worlds(), ROWS)
def test_what_comes_back_from_segments_is_what_was(world: World, rows: int) -> None:
    check(world, rows)


@given(tangles(), ROWS)
def test_so_it_does_in_long_sessions(world: World, rows: int) -> None:
    check(world, rows)


@pytest.mark.parametrize("seed", range(3))
def test_abandoned_chains_outlive_restarts_while_they_become_fewer(seed: int, tmp_path: Path) -> None:
    """After a restart the ring has room for what there is then: its chains lie in other places."""
    random = np.random.default_rng(seed)
    ended = [Follow(JOURNEYS), Follow(JOURNEYS)]
    kept, told = Kept("follow", tmp_path), [list[Any](), list[Any]()]
    for epoch in range(150):
        at = epoch * HOUR * 3
        count = 40 if epoch < 30 else int(random.integers(0, 3))
        chains = [Chain(at + k, visitor=int(random.integers(1, 500))) for k in range(count)]
        for follow, rows in zip(ended, told, strict=True):
            found, _ = follow.apply(abandoned(chains, 1_000 * epoch + 1), [], at)
            rows += [row for batch in found for row in batch.to_pylist()]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(segments, "SWEEP_ROWS", 8)
            snapshot = kept.dump(ended[0], "follow-0", {}).kept()
        if random.random() < 0.2:
            ended[0], kept = Follow(JOURNEYS), Kept("follow", tmp_path)
            kept.load(snapshot, ended[0])
    assert told[0] == told[1]
    assert len(told[1]) > 1_200
