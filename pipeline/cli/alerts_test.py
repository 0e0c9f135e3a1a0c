"""`pathline alerts test`: a made-up alert and its end, to see whether a route works before it must."""

from __future__ import annotations

import os
import time
from typing import Annotated

import typer
from rich.console import Console

from pipeline.alerts.http import UrllibHttp, shortened
from pipeline.alerts.message import Style
from pipeline.alerts.opening import open_transport
from pipeline.alerts.secrets import Secrets
from pipeline.alerts.trial import try_route
from pipeline.settings import BadSettings, load_settings
from schemas.alert_routes import Route
from schemas.alerts import Alerts, load_alerts
from schemas.documents import closest


def try_out(
    route: Annotated[str, typer.Argument(help="Name of the route, from the definition")],
    alerts: Annotated[str | None, typer.Option(help="Name or file of the definition of alerts")] = None,
) -> None:
    """Send a test alert and its end to a route, and say what came back. Exit code 1 where it failed."""
    settings = load_settings({"alerts": alerts})
    definition = load_alerts(settings.alerts)
    chosen = _named(definition, route, settings.alerts)
    secrets, console = Secrets(os.environ), Console()
    transport = open_transport(chosen, UrllibHttp(), secrets)
    style = Style(definition.currency, definition.link, definition.runbook)
    is_well = True
    for tried in try_route(route, transport, secrets, style, float(int(time.time()))):
        how = "delivered" if tried.is_well else "failed"
        console.print(
            f"{tried.kind}: {how}: {shortened(tried.said)}", markup=False, highlight=False, soft_wrap=True
        )
        is_well = is_well and tried.is_well
    transport.close()
    raise typer.Exit(0 if is_well else 1)


def _named(definition: Alerts, name: str, where: str) -> Route:
    known = {route.name: route for route in definition.routes}
    if name not in known:
        hint = closest(name, known) if known else "--alerts names a definition that has routes"
        raise BadSettings([f"{where}: there is no route '{name}'\n  hint: {hint}"])
    return known[name]
