"""Structured logs: one line for each epoch of the whole run, and one for its begin, its end and its troubles.

Numbers and names of ours only: no visitor, no id, no piece of a record is ever among them. The starter of a
run writes them, from the numbers that its processes share: a run of several has one line per epoch as well.
"""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, TextIO

import structlog
from structlog.typing import Processor

from pipeline.runtime import metrics
from pipeline.runtime.exposition import Exposition, Samples
from pipeline.runtime.health import look
from pipeline.runtime.meters import RESULTS
from pipeline.runtime.metrics import Metric

FORMATS: Final = ("auto", "logfmt", "json")

QUIET_SECONDS: Final = 30.0
"""No epoch for so long: then a line says what holds it back, and again after as long."""

_GROWN: Final[dict[str, Metric]] = {
    "snapshot_bytes": metrics.SNAPSHOT_BYTES,
    "snapshot_seconds": metrics.SNAPSHOT_SECONDS,
    "sink_batches": metrics.SINK_BATCHES,
    "sink_rows": metrics.SINK_ROWS,
    "sink_seconds": metrics.SINK_SECONDS,
    "retries": metrics.SINK_RETRIES,
}
_NOW: Final[dict[str, Metric]] = {
    "open_sessions": metrics.OPEN_SESSIONS,
    "open_objects": metrics.OPEN_OBJECTS,
    "events_held": metrics.EVENTS_HELD,
}


class _Stderr(io.TextIOBase):
    """Whatever sys.stderr is at the moment: while a flow runs it is another (`launch.py`)."""

    def write(self, line: str) -> int:
        return sys.stderr.write(line)

    def flush(self) -> None:
        sys.stderr.flush()


def logger(form: str, stream: TextIO | None = None) -> Any:
    """A logger that writes lines of `form` (logfmt or json) to `stream`, else to stderr."""
    order = ["timestamp", "level", "event"]
    renderer: Processor = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.processors.LogfmtRenderer(key_order=order, bool_as_flag=False)
    )
    return structlog.wrap_logger(
        structlog.WriteLogger(stream or _Stderr()),  # type: ignore[arg-type]
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
    )


class Spoken(io.TextIOBase):
    """A stream for what is said to people, where every line is to be one of the log."""

    def __init__(self, log: Any) -> None:
        self._log = log
        self._begun = ""

    def write(self, text: str) -> int:
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            if line.strip():
                self._log.info("said", text=line.strip())
        return len(text)


class EpochLines:
    """Writes a line when an epoch is over. To be called now and then; where several are over by then, the
    line is about all of them. What an epoch's line counts is what happened since the line before.
    """

    def __init__(self, log: Any, exposition: Exposition, clock: Callable[[], float] = time.time) -> None:
        self._log = log
        self._exposition = exposition
        self._clock = clock
        self._before: Samples = {}
        self._told_at = clock()

    def tick(self, **more: object) -> None:
        """Says what there is to say; `more` goes into the line."""
        now = self._clock()
        epochs = self._exposition.epochs()
        if epochs and epochs != _sum(self._before, metrics.EPOCHS):  # less: processes have begun anew
            _, samples = look(self._exposition, now)
            self._log.info("epoch", **describe(self._before, samples, now), **more)
            self._before, self._told_at = samples, now
        elif now - self._told_at > QUIET_SECONDS:
            self._told_at = now
            verdict, samples = look(self._exposition, now)
            if verdict.reasons:
                age = round(_most(samples, metrics.EPOCH_AGE), 1)
                self._log.warning("waiting", reasons="; ".join(verdict.reasons), epoch_age_seconds=age)


def describe(before: Samples, samples: Samples, now: float) -> dict[str, object]:
    """An epoch in numbers: those that count are since `before`."""
    line: dict[str, object] = {
        "epoch": int(_sum(samples, metrics.EPOCHS)),
        "seconds": round(_most(samples, metrics.EPOCH_SECONDS), 3),
        "received": int(_grown(_sum(before, metrics.RECEIVED), _sum(samples, metrics.RECEIVED))),
    }
    for result in RESULTS:
        line[result] = int(_grown(_of_result(before, result), _of_result(samples, result)))
    line |= _time(samples, now)
    for name, metric in _GROWN.items():
        grown = _grown(_sum(before, metric), _sum(samples, metric))
        line[name] = round(grown, 3) if metric.unit == "seconds" else int(grown)
    for name, metric in _NOW.items():
        line[name] = int(_sum(samples, metric))
    line["unacknowledged_seconds"] = round(_most(samples, metrics.UNACKNOWLEDGED_AGE), 1)
    return line


def _grown(before: float, now: float) -> float:
    """What a counter has counted since. One that is less than before belongs to processes that began anew."""
    return now - before if now >= before else now


def _time(samples: Samples, now: float) -> dict[str, object]:
    """How far the partition furthest behind is, of those that are not at their end."""
    idle = samples.get(metrics.IDLE.name, {})
    lags = [lag for who, lag in samples.get(metrics.WATERMARK_LAG.name, {}).items() if not idle.get(who)]
    out: dict[str, object] = {}
    if lags:
        at = datetime.fromtimestamp(now - max(lags), UTC)
        out = {"watermark": at.isoformat(timespec="seconds"), "lag_seconds": round(max(lags), 1)}
    if waiting := samples.get(metrics.CONSUMER_LAG.name):
        out["consumer_lag"] = int(sum(waiting.values()))
    return out


def _of_result(samples: Samples, result: str) -> float:
    series = samples.get(metrics.ADMITTED.name, {})
    return sum(value for labels, value in series.items() if labels[-1] == result)


def _sum(samples: Samples, metric: Metric) -> float:
    return sum(samples.get(metric.name, {}).values())


def _most(samples: Samples, metric: Metric) -> float:
    return max(samples.get(metric.name, {}).values(), default=0.0)
