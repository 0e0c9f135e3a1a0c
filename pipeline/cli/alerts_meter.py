"""The numbers of whoever tells routes of alerts, beside those of the processes of a run."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pipeline.alerts.deliveries import GIVEN_UP, REFUSED
from pipeline.runtime import metrics
from pipeline.runtime.metrics import Apart
from pipeline.runtime.record import Record
from schemas.alerts import Alerts

NAME: Final = "alerts"
"""Of its numbers among those of the processes."""


class CourierMeter:
    """`pipeline.alerts.meter.Meter` as metrics, for as long as a courier lasts. What can be counted begins at
    0 and is there at once, so that its first growth is seen; ages begin when it does.
    """

    def __init__(self, state: Path, definition: Alerts, clock: Callable[[], float] = time.time) -> None:
        self._numbers = Apart(Record(state).numbers, NAME)
        for route in definition.routes:
            self._numbers.add(metrics.NOTICES_DELIVERED, 0, route.name)
            self._numbers.add(metrics.NOTICES_FAILED, 0, route.name)
            for outcome in (REFUSED, GIVEN_UP):
                self._numbers.add(metrics.NOTICES_DROPPED, 0, route.name, outcome)
            self.waits(route.name, 0.0, 0)
        self._numbers.put(metrics.ALERTS_AGE, clock())
        if definition.heartbeat is not None:
            self._numbers.put(metrics.HEARTBEAT_AGE, clock())

    def read(self, now: float) -> None:
        self._numbers.stay()
        self._numbers.put(metrics.ALERTS_AGE, now)

    def waits(self, route: str, since: float, held: int) -> None:
        self._numbers.stay()
        self._numbers.put(metrics.NOTICES_AGE, since, route)
        self._numbers.put(metrics.NOTICES_HELD, held, route)

    def delivered(self, route: str) -> None:
        self._numbers.add(metrics.NOTICES_DELIVERED, 1, route)

    def failed(self, route: str) -> None:
        self._numbers.add(metrics.NOTICES_FAILED, 1, route)

    def dropped(self, route: str, outcome: str) -> None:
        self._numbers.add(metrics.NOTICES_DROPPED, 1, route, outcome)

    def beat(self, now: float) -> None:
        self._numbers.put(metrics.HEARTBEAT_AGE, now)

    def close(self) -> None:
        self._numbers.close()
