"""What the last step tells of its sink."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import ClassVar

import pytest

from pipeline.runtime import meters, metrics
from pipeline.runtime.output import OutputPartition
from sinks.memory import MemorySink
from tests.sinks.places import OURS


class Picky(MemorySink):
    """Has refused some rows."""

    refused_rows: ClassVar = Counter(sessions=3)


class Shut:
    """Serves nobody."""

    problem: Exception | None = OSError("the port is taken")

    def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize("problem", [None, OSError("the port is taken")])
def test_an_output_tells_what_was_refused_and_who_can_read(tmp_path: Path, problem: Exception | None) -> None:
    meters.begin(tmp_path, 0)
    sink, door = Picky(), Shut()
    door.problem = problem
    sink.open(OURS)
    part = OutputPartition(sink, door)
    part.snapshot()
    Picky.refused_rows["sessions"] += 1
    part.snapshot()
    part.close()
    assert metrics.value(metrics.SINK_REFUSED_ROWS, "sessions") == Picky.refused_rows["sessions"]
    assert metrics.value(metrics.SERVING) == float(problem is None)
