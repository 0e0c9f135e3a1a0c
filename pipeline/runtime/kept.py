"""How the state of a step is kept: whole in its snapshots, or in a log that they point to."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from pipeline.core.snapshot import StateMismatch, pack, unpack
from pipeline.runtime.segments import Changing, SegmentLog, name_of
from pipeline.runtime.steps import step


class Logged(Changing, Protocol):
    """A state that can be kept in a log, or whole."""

    def dump(self) -> dict[str, Any]:
        """All of it: `frames` and `rest`."""

    def rest(self) -> dict[str, Any]:
        """All but what `changes` tells of."""

    def load(self, dumped: dict[str, Any]) -> None:
        """Goes on from `rest` and all `frames`."""


class Kept:
    """How the state of a step is kept: packed whole in its snapshots, or, where it is large and there is a
    folder for `segments`, in a log that they point to.
    """

    def __init__(self, kind: str, segments: Path | None) -> None:
        self._kind, self._segments = kind, segments
        self._log: SegmentLog | None = None

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

    def dump(self, state: Logged, name: str, beside: dict[str, Any]) -> bytes:
        """The snapshot; `name` is that of the log, if there must be one."""
        if self._log is None and self._segments is not None:
            self._log = SegmentLog(self._segments, name)
        pointer = self._log.write(state) if self._log is not None else None
        whole = state.dump() if pointer is None else {"frames": None, "rest": state.rest()}
        return pack(self._kind, {**whole, "pointer": pointer, "beside": beside})
