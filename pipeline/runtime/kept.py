"""How the state of a step is kept: whole in its snapshots, or in a log that they point to."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from pipeline.core.snapshot import StateMismatch, pack, unpack
from pipeline.runtime import metrics
from pipeline.runtime.segments import Changing, SegmentLog, name_of
from pipeline.runtime.steps import step, timed


class Logged(Changing, Protocol):
    """A state that can be kept in a log, or whole."""

    def dump(self) -> dict[str, Any]:
        """All of it: `frames` and `rest`."""

    def rest(self) -> dict[str, Any]:
        """All but what `changes` tells of."""

    def load(self, dumped: dict[str, Any]) -> None:
        """Goes on from `rest` and all `frames`."""


class Promised:
    """A snapshot that is whole once what it points to is on the disk.

    bytewax pickles the snapshots of a step when it has those of all keys, and before it commits any: only
    then is the disk waited for, by all shards at once. What is pickled, and resumed from, is bytes.
    """

    def __init__(self, kind: str, state: dict[str, Any], log: SegmentLog | None) -> None:
        self._kind, self._state, self._log = kind, state, log
        self._snapshot: bytes | None = None

    def __reduce__(self) -> tuple[type[bytes], tuple[bytes]]:
        return bytes, (self.kept(),)

    def kept(self) -> bytes:
        """The snapshot. Raises StateUnusable."""
        if self._snapshot is None:
            with timed(self._kind):
                pointer = self._log.pointer() if self._log is not None else None
                self._snapshot = pack(self._kind, {**self._state, "pointer": pointer})
            metrics.add(metrics.SNAPSHOT_BYTES, len(self._snapshot), self._kind)
            self._state = {}
        return self._snapshot


class Kept:
    """How the state of a step is kept: packed whole in its snapshots, or, where it is large and there is a
    folder for `segments`, in a log that they point to.
    """

    def __init__(self, kind: str, segments: Path | None) -> None:
        self._kind, self._segments = kind, segments
        self._log: SegmentLog | None = None
        self._promised: Promised | None = None

    def load(self, snapshot: bytes, state: Logged) -> dict[str, Any]:
        """Loads `state`; what was kept beside it. Raises StateMismatch or StateUnusable."""
        with step("snapshot"):
            kept = unpack(self._kind, snapshot)
            frames, pointer = kept["frames"], kept["pointer"]
            if pointer is not None:
                if self._segments is None:
                    raise StateMismatch("a snapshot points to segments, and there is no folder of them")
                self._log = SegmentLog(self._segments, name_of(pointer), pointer)
                frames = self._log.frames()
            state.load({"rest": kept["rest"], "frames": frames})
            beside: dict[str, Any] = kept["beside"]
            return beside

    def dump(self, state: Logged, name: str, beside: dict[str, Any]) -> Promised:
        """The snapshot; `name` is that of the log, if there must be one."""
        if self._log is None and self._segments is not None:
            self._log = SegmentLog(self._segments, name)
        logged = self._log is not None and self._log.write(state)
        whole = {"frames": None, "rest": state.rest()} if logged else state.dump()
        self._promised = Promised(self._kind, {**whole, "beside": beside}, self._log if logged else None)
        return self._promised

    def settle(self) -> None:
        """To be called before the state changes: what is still being written refers to it."""
        if self._promised is not None:
            self._promised.kept()
            self._promised = None
