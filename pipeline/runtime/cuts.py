"""Where drained runs ended: the journal of the moments at which time passed without a record.

A run with `--until-drained` that has read all its files stands at the highest of their watermarks. When it
goes on later, each file goes on from there: what it brings from before is late. So a cut is part of the
input. It is written down before it takes effect, with what each file had brought by then, so that a run
that was killed there cuts in the same place again.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Cut:
    """All partitions were at their end, having brought `received` records each."""

    watermark_ms: int
    received: list[int]


@dataclass(frozen=True)
class Cuts:
    """The journal: a line per cut. A last line that is not whole was never acted upon."""

    path: Path

    def read(self) -> list[Cut]:
        if not self.path.exists():
            return []
        *lines, _ = self.path.read_text().split("\n")
        return [Cut(**json.loads(line)) for line in lines]

    def add(self, cut: Cut) -> None:
        """Writes a cut down, durably; the same one again is the same cut."""
        if cut in self.read()[-1:]:
            return
        with self.path.open("a+b") as file:
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)
            file.write(json.dumps(asdict(cut)).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
