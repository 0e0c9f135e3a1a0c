"""What a pipeline lacks, for those who would call people: what is missing in its figures may only be late.

A source of which nothing comes at all is not among it: that is what an outage of the shop looks like.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pipeline.runtime import metrics
from pipeline.runtime.exposition import Exposition, Samples
from pipeline.runtime.health import look
from pipeline.runtime.metrics import Metric
from pipeline.runtime.record import Record

LAG_SECONDS: Final = 120.0
"""So far events may be behind the clock: beyond it, minutes are told of late."""
EPOCH_SECONDS: Final = 60.0
"""So old the last snapshot may be: what is not in one is not told of."""
SILENT_SECONDS: Final = 300.0
"""So long a partition may be silent while others are not."""
REJECTED_SHARE: Final = 0.10
REJECTED_LEAST: Final = 50.0
WINDOW_SECONDS: Final = 60.0
"""Over so long at least rejects are counted."""


class Wellness:
    """Looks at the numbers of the run in a state folder. Called now and then, it says what is wrong."""

    def __init__(self, state: Path, clock: Callable[[], float] = time.time) -> None:
        self._record = Record(state)
        self._exposition = Exposition(self._record)
        self._clock = clock
        self._window = (clock(), 0.0, 0.0)
        self._rejects = ""

    def __call__(self) -> str | None:
        run = self._record.run()
        if run is None or run.how is not None or not self._record.is_held():
            return "no run is going on"
        now = self._clock()
        verdict, samples = look(self._exposition, now)
        reasons = [*verdict.reasons, *lacks(samples), *filter(None, [self._rejects_up(now, samples)])]
        return "; ".join(reasons) or None

    def _rejects_up(self, now: float, samples: Samples) -> str:
        """What was counted in the last window that is over."""
        began, received, rejected = self._window
        counts = _sum(samples, metrics.RECEIVED), _sum(samples, metrics.REJECTED)
        if counts[0] < received or counts[1] < rejected:  # processes have begun anew
            self._window, self._rejects = (now, *counts), ""
        elif now - began >= WINDOW_SECONDS:
            self._rejects = rejects_up(counts[0] - received, counts[1] - rejected)
            self._window = (now, *counts)
        return self._rejects


def rejects_up(received: float, rejected: float) -> str:
    """Whether so many of those received cannot be chance or a stray record."""
    if rejected < REJECTED_LEAST or rejected < REJECTED_SHARE * received:
        return ""
    return f"{rejected:,.0f} of the last {received:,.0f} records were rejected"


def lacks(samples: Samples) -> list[str]:
    """Lag, old snapshots, and partitions that are silent while others are not."""
    out = []
    idle = samples.get(metrics.IDLE.name, {})
    lags = samples.get(metrics.WATERMARK_LAG.name, {})
    lag = max((value for who, value in lags.items() if not idle.get(who)), default=0.0)
    if lag > LAG_SECONDS:
        out.append(f"events are {lag / 60:.0f} min behind")
    age = max(samples.get(metrics.EPOCH_AGE.name, {}).values(), default=0.0)
    if age > EPOCH_SECONDS:
        out.append(f"no snapshot for {age:.0f} s")
    still = samples.get(metrics.WATERMARK_AGE.name, {})
    topics = samples.get(metrics.CONSUMER_LAG.name, {})  # a file that is at its end is finished
    silent = sorted(who for who in topics if idle.get(who) and still.get(who, 0.0) > SILENT_SECONDS)
    if silent and len(silent) < len(topics):
        source, partition = silent[0]
        more = f" and {len(silent) - 1} more" if len(silent) > 1 else ""
        out.append(f"nothing comes from {source} partition {partition}{more}")
    return out


def _sum(samples: Samples, metric: Metric) -> float:
    return sum(samples.get(metric.name, {}).values())
