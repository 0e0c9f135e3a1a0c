"""When a pipeline is too unwell for its figures to wake anybody."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.cli.alerts_unwell import Wellness, lacks, rejects_up
from pipeline.runtime import metrics
from pipeline.runtime.exposition import Samples

ONE, OTHER, THIRD = ("clicks", "0"), ("clicks", "1"), ("clicks", "2")
LAG, IDLE, STILL, BEHIND, EPOCH = (
    metric.name
    for metric in (
        metrics.WATERMARK_LAG, metrics.IDLE, metrics.WATERMARK_AGE, metrics.CONSUMER_LAG, metrics.EPOCH_AGE,
    )
)  # fmt: skip
TOPICS = {ONE: 0.0, OTHER: 0.0, THIRD: 0.0}


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        ({}, []),
        ({LAG: {ONE: 20.0}, EPOCH: {(): 1.2}}, []),
        ({LAG: {ONE: 20.0, OTHER: 240.0}}, ["events are 4 min behind"]),
        ({LAG: {ONE: 20.0, OTHER: 240.0}, IDLE: {OTHER: 1.0}}, []),
        ({EPOCH: {(): 75.0}}, ["no snapshot for 75 s"]),
        (
            {BEHIND: TOPICS, IDLE: {ONE: 1.0, OTHER: 0.0}, STILL: {ONE: 400.0, OTHER: 400.0}},
            ["nothing comes from clicks partition 0"],
        ),
        (
            {BEHIND: TOPICS, IDLE: {ONE: 1.0, OTHER: 1.0}, STILL: {ONE: 400.0, OTHER: 400.0}},
            ["nothing comes from clicks partition 0 and 1 more"],
        ),
        ({BEHIND: TOPICS, IDLE: dict.fromkeys(TOPICS, 1.0), STILL: dict.fromkeys(TOPICS, 400.0)}, []),
        ({BEHIND: TOPICS, IDLE: {ONE: 1.0}, STILL: {ONE: 40.0}}, []),
        ({IDLE: {ONE: 1.0, OTHER: 0.0}, STILL: {ONE: 4000.0}}, []),
    ],
    ids=[
        "nothing known", "well", "lag", "lag of a partition at its end", "old snapshot", "one silent",
        "two silent", "all silent: that may be the shop", "just now", "a file that is finished",
    ],
)  # fmt: skip
def test_what_it_lacks(samples: Samples, said: list[str]) -> None:
    assert lacks(samples) == said


@pytest.mark.parametrize(
    ("received", "rejected", "is_up"),
    [(1000, 100, True), (1000, 99, False), (100, 49, False), (100, 50, True), (0, 0, False)],
)
def test_rejects(received: int, rejected: int, is_up: bool) -> None:
    assert bool(rejects_up(received, rejected)) == is_up


def test_where_nothing_runs_that_is_what_it_lacks(tmp_path: Path) -> None:
    assert Wellness(tmp_path)() == "no run is going on"
