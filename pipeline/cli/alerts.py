"""`pathline alerts`: how good drop-off alerts are, before anybody is woken by one."""

from __future__ import annotations

import typer

from pipeline.cli import alerts_history, alerts_lab, alerts_simulate

alerts = typer.Typer(
    help="Try the drop-off alerts: on simulated weeks with incidents, or on what was counted.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
alerts.command("lab")(alerts_lab.lab)
alerts.command("history")(alerts_history.history)
alerts.command("simulate")(alerts_simulate.simulate)
