"""What the log says: a line for an epoch of the whole run, and nothing of anybody's."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pyarrow as pa
import pytest
import stamina

from pipeline.runtime import log, meters, metrics
from pipeline.runtime.exposition import Exposition
from pipeline.runtime.log import EpochLines, Spoken, logger
from pipeline.runtime.record import Record
from sinks.batching import Batcher
from sinks.null import NullSink

WATERMARK_MS = 1_750_000_000_000


class Clock:
    def __init__(self) -> None:
        self.now = WATERMARK_MS / 1000 + 30.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("time.time", clock)
    return clock


@pytest.fixture
def said(tmp_path: Path, clock: Clock) -> io.StringIO:
    meters.begin(tmp_path, 0)
    return io.StringIO()


@pytest.fixture
def lines(tmp_path: Path, said: io.StringIO, clock: Clock) -> EpochLines:
    return EpochLines(logger("json", said), Exposition(Record(tmp_path)), clock)


def told(said: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in said.getvalue().splitlines()]


def test_an_epoch_has_a_line_and_counts_since_the_one_before(
    said: io.StringIO, lines: EpochLines, clock: Clock
) -> None:
    meters.input_moved()
    meters.partition("clicks", 0, [100, 90, 5, 5, 0, 0], 0, idle=False)  # as the snapshot had it
    meters.partition("clicks", 0, [160, 120, 10, 10, 15, 5], WATERMARK_MS, idle=False)
    metrics.put(metrics.CONSUMER_LAG, 7, "clicks", "0")
    metrics.add(metrics.SNAPSHOT_BYTES, 500, "track")
    metrics.add(metrics.SINK_RETRIES, 2, "252")
    meters.kept_open(0, 3, 2, 1)
    meters.kept_open(1, 30, 20, 10)
    clock.now += 2
    meters.epoch("0")
    lines.tick(read_percent=40)
    lines.tick(read_percent=40)
    (line,) = told(said)
    assert {**line, "timestamp": ""} == {
        "timestamp": "", "level": "info", "event": "epoch", "epoch": 1, "seconds": 2.0,
        "received": 60, "accepted": 30, "duplicate": 5, "late": 5, "rejected": 15, "filtered": 5,
        "watermark": "2025-06-15T15:06:40+00:00", "lag_seconds": 32.0, "consumer_lag": 7,
        "snapshot_bytes": 500, "snapshot_seconds": 0.0, "sink_batches": 0, "sink_rows": 0,
        "sink_seconds": 0.0, "retries": 2, "open_sessions": 33, "open_objects": 22, "events_held": 11,
        "unacknowledged_seconds": 0.0, "read_percent": 40,
    }  # fmt: skip
    meters.partition("clicks", 0, [161, 121, 10, 10, 15, 5], WATERMARK_MS, idle=True)
    meters.epoch("0")
    lines.tick()
    assert [(line["epoch"], line["received"], line["retries"]) for line in told(said)] == [
        (1, 60, 2),
        (2, 1, 0),
    ]
    assert "watermark" not in told(said)[-1], "at its end it is behind nothing"


def test_processes_that_begin_anew_count_from_nothing_and_are_told(
    tmp_path: Path, said: io.StringIO, lines: EpochLines, clock: Clock
) -> None:
    def an_epoch(received: int) -> None:
        meters.partition("clicks", 0, [received, received, 0, 0, 0, 0], WATERMARK_MS, idle=False)
        clock.now += 2
        meters.epoch("0")
        lines.tick()

    meters.input_moved()
    meters.partition("clicks", 0, [0, 0, 0, 0, 0, 0], 0, idle=False)
    an_epoch(70)
    an_epoch(100)
    meters.begin(tmp_path, 0)
    meters.input_moved()
    meters.partition("clicks", 0, [90, 90, 0, 0, 0, 0], WATERMARK_MS, idle=False)  # as the snapshot had it
    an_epoch(95)
    assert [(line["epoch"], line["received"]) for line in told(said)] == [(1, 70), (2, 30), (1, 5)]


def test_an_epoch_is_counted_once_whatever_number_of_parts_it_has(tmp_path: Path, clock: Clock) -> None:
    meters.begin(tmp_path, 0)
    meters.input_moved()
    for _ in range(3):
        clock.now += 2
        for part in ("0", "1", "2"):
            meters.epoch(part)
    assert metrics.value(metrics.EPOCHS) == 3
    for part in ("1", "2"):  # the first is finished
        meters.epoch(part)
    assert metrics.value(metrics.EPOCHS) == 4
    assert metrics.value(metrics.EPOCH_AGE) == clock.now
    clock.now += 3
    meters.epoch("1")
    assert metrics.value(metrics.EPOCH_SECONDS) == 3


def test_while_no_epoch_ends_a_line_says_why(said: io.StringIO, lines: EpochLines, clock: Clock) -> None:
    clock.now += log.QUIET_SECONDS - 1
    lines.tick()
    assert not told(said)
    clock.now += 2
    lines.tick()
    lines.tick()
    (line,) = told(said)
    assert (line["event"], line["level"]) == ("waiting", "warning")
    assert line["reasons"] == "it is starting: nothing was read yet"
    clock.now += log.QUIET_SECONDS + 1
    lines.tick()
    assert len(told(said)) == 2


def test_rows_wait_until_the_sink_has_acknowledged_them(tmp_path: Path, clock: Clock) -> None:
    meters.begin(tmp_path, 0)
    batcher = Batcher(NullSink())
    asked = Exposition(Record(tmp_path))
    age = metrics.UNACKNOWLEDGED_AGE.name
    meters.handed_over(batcher)
    clock.now += 5
    meters.handed_over(batcher)
    assert asked.samples(clock.now)[age] == {(): 5.0}, "as old as the oldest"
    meters.acknowledged(batcher)
    clock.now += 5
    assert asked.samples(clock.now)[age] == {(): 0.0}
    batcher.close()


def test_what_is_rejected_is_counted_by_reason(tmp_path: Path) -> None:
    meters.begin(tmp_path, 0)
    reasons = pa.array(["not_json", "no_time", "not_json"]).dictionary_encode()
    meters.rejected(pa.record_batch({"reason": reasons}))
    meters.rejected(pa.record_batch({"reason": reasons.slice(0, 1)}))
    meters.rejected(None)
    assert metrics.value(metrics.REJECTED, "not_json") == 3
    assert metrics.value(metrics.REJECTED, "no_time") == 1


def test_logfmt_is_one_line_with_the_event_first(capsys: pytest.CaptureFixture[str]) -> None:
    logger("logfmt").info("epoch", epoch=1, sink="chdb:///a b")
    line = capsys.readouterr().err
    assert line.startswith("timestamp=")
    assert line.endswith('level=info event=epoch epoch=1 sink="chdb:///a b"\n')


def test_what_is_said_to_people_becomes_lines_of_the_log(said: io.StringIO) -> None:
    stream = Spoken(logger("json", said))
    stream.write("warning: much ")
    stream.write("was late\n  hint: sort\n\nfin")
    stream.write("ished\n")
    assert [line["text"] for line in told(said)] == ["warning: much was late", "hint: sort", "finished"]


class Refused(Exception):  # noqa: N818
    def __init__(self, text: str, kind: str | None = None) -> None:
        super().__init__(text)
        self.kind = kind


def test_retries_are_counted_by_code_and_nothing_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    meters.begin(tmp_path, 0)
    secret = "anna@example.com"
    errors = [
        Refused(f"Code: 252. Too many parts {secret}"),
        Refused("away", "http_503"),
        Refused("connection reset"),
    ]
    for attempt in stamina.retry_context(
        on=Refused, attempts=None, timeout=10, wait_initial=0, wait_jitter=0
    ):
        with attempt:
            if errors:
                raise errors.pop(0)
    for code in ("252", "http_503", "transport"):
        assert metrics.value(metrics.SINK_RETRIES, code) == 1
    said = capsys.readouterr()
    assert said.out + said.err == ""
