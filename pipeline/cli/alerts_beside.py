"""Tells routes of alerts beside a run, for as long as it lasts."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from pipeline.alerts.courier import Courier
from pipeline.alerts.opening import open_courier, sole
from pipeline.alerts.reading import DatabaseReader
from pipeline.alerts.secrets import Secrets
from pipeline.cli.alerts_meter import CourierMeter
from pipeline.cli.alerts_unwell import Wellness
from pipeline.run import Plan

EVERY_SECONDS: Final = 5.0
"""How often is looked for news: minutes are told of once they are over, so nobody waits for it."""


@contextmanager
def telling(plan: Plan, tell: Any) -> Iterator[None]:
    """While inside, a thread looks for alerts and tells the routes of the run's definition. Without routes,
    and on machines that are not the first of several, there is none.

    Raises CourierRuns where another process does it, BadLog or SecretMissing.
    """
    alerts, settings = plan.alerts, plan.settings
    if (not alerts.routes and alerts.heartbeat is None) or settings.process_id:
        yield
        return
    reader = DatabaseReader(settings.clickhouse)
    done = threading.Event()
    with sole(settings.state):
        wellness = Wellness(settings.state)
        meter = CourierMeter(settings.state, alerts)
        secrets = Secrets(os.environ)
        courier = open_courier(alerts, settings.state, reader, secrets, wellness, tell, meter=meter)
        thread = threading.Thread(target=_poll, args=(courier, done, tell), name="alerts", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
            courier.close()
            reader.close()
            meter.close()


def _poll(courier: Courier, done: threading.Event, tell: Any) -> None:
    """Ends with the run. A fault of ours must not end the run: it is told, and heartbeats end with it."""
    try:
        while not done.wait(EVERY_SECONDS):
            courier.poll_once(time.time())
    except Exception as error:
        with suppress(Exception):
            tell.error("alerts_are_told_no_more", error=f"{type(error).__name__}: {error}")
        raise
