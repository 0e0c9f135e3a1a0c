"""`pathline alerts deliver`: tells routes of alerts, in the foreground, until it is stopped."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated, Final

import typer

from pipeline.alerts.courier import Courier
from pipeline.alerts.opening import open_courier, sole
from pipeline.alerts.reading import DatabaseReader
from pipeline.alerts.secrets import Secrets
from pipeline.cli.alerts_meter import CourierMeter
from pipeline.cli.alerts_unwell import Wellness
from pipeline.runtime import stop
from pipeline.runtime.log import logger
from pipeline.settings import BadSettings, load_settings
from schemas.alerts import load_alerts

NAP_SECONDS: Final = 0.2
"""So soon a stop is noticed."""


def deliver(
    alerts: Annotated[str | None, typer.Option(help="Name or file of the definition of alerts")] = None,
    clickhouse: Annotated[str | None, typer.Option(help="Where alerts are: a DSN")] = None,
    state: Annotated[Path | None, typer.Option(help="State folder, where the log of deliveries is")] = None,
    every_seconds: Annotated[
        float, typer.Option("--every-seconds", min=0.1, max=600, help="How often is looked for news")
    ] = 5.0,
    once: Annotated[bool, typer.Option("--once", help="Tell what is due now, and end")] = False,
) -> None:
    """Tell routes of alerts until stopped. An embedded database is asked through the run that has it open."""
    settings = load_settings({"alerts": alerts, "clickhouse": clickhouse, "state": state})
    definition = load_alerts(settings.alerts)
    if not definition.routes and definition.heartbeat is None:
        raise BadSettings(
            [f"{settings.alerts}: there are no routes\n  hint: --alerts names a definition that has"]
        )
    form = "logfmt" if settings.log_format == "auto" else settings.log_format
    reader = DatabaseReader(settings.clickhouse, opens=once)
    with sole(settings.state):
        meter = None if once else CourierMeter(settings.state, definition)
        well, secrets = Wellness(settings.state), Secrets(os.environ)
        courier = open_courier(definition, settings.state, reader, secrets, well, logger(form), meter=meter)
        try:
            courier.poll_once(time.time())
            if not once:
                _go_on(courier, every_seconds)
        finally:
            courier.close()
            reader.close()
            if meter is not None:
                meter.close()


def _go_on(courier: Courier, every_seconds: float) -> None:
    stop.on_signals()
    next_at = time.monotonic() + every_seconds
    while not stop.stopping():
        if time.monotonic() >= next_at:
            courier.poll_once(time.time())
            next_at = time.monotonic() + every_seconds
        time.sleep(NAP_SECONDS)
