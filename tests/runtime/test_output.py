"""What the last step tells of its sink. One that is away when it is opened is waited for, as a block would
wait; one that refuses is not.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import ClassVar

import pytest

from pipeline.runtime import meters, metrics
from pipeline.runtime.output import Output, OutputPartition
from sinks.base import Deployment, Sink, SinkRefused, SinkUnavailable
from sinks.memory import MemorySink
from sinks.null import NullSink
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


class Away(NullSink):
    """Cannot be opened for as many times as there are `errors`."""

    def __init__(self, errors: list[Exception]) -> None:
        super().__init__()
        self._errors = errors

    def open(self, deployment: Deployment) -> None:
        if self._errors:
            raise self._errors.pop()
        super().open(deployment)


def output(errors: list[Exception], retry_seconds: float) -> Output:
    def opened(_: int) -> Sink:
        return Away(errors)

    return Output(opened, OURS, 1, retry_seconds)


def test_a_place_that_is_away_is_waited_for() -> None:
    errors: list[Exception] = [SinkUnavailable("away"), SinkUnavailable("still away")]
    partition = output(errors, 60).build_part("out", "000", None)
    partition.close()
    assert not errors


def test_beyond_its_budget_it_is_not() -> None:
    with pytest.raises(SinkUnavailable, match="away"):
        output([SinkUnavailable("away")] * 1_000, 0.2).build_part("out", "000", None)


def test_a_place_that_refuses_is_not_waited_for() -> None:
    errors: list[Exception] = [
        SinkRefused("wrong password", "mend it"),
        SinkRefused("wrong password", "mend it"),
    ]
    with pytest.raises(SinkRefused):
        output(errors, 60).build_part("out", "000", None)
    assert len(errors) == 1


def test_steps_that_are_one_for_all_have_a_writer_too() -> None:
    output = Output(lambda _: MemorySink(), OURS, parts=3, retry_seconds=1.0)
    assert [output.part_fn(key) for key in ("orders", "detect", "7.12", "0.3")] == [0, 0, 7, 0]
