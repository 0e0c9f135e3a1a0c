"""`pathline alerts`: how good drop-off alerts are, before anybody is woken by one, and whom they reach."""

from __future__ import annotations

import typer

from pipeline.cli import (
    alerts_check,
    alerts_deliver,
    alerts_history,
    alerts_lab,
    alerts_list,
    alerts_simulate,
    alerts_snooze,
    alerts_test,
)

alerts = typer.Typer(
    help="Drop-off alerts: try them on simulated weeks or on what was counted, and see whom they reach.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
alerts.command("lab")(alerts_lab.lab)
alerts.command("history")(alerts_history.history)
alerts.command("simulate")(alerts_simulate.simulate)
alerts.command("check")(alerts_check.check)
alerts.command("test")(alerts_test.try_out)
alerts.command("deliver")(alerts_deliver.deliver)
alerts.command("list")(alerts_list.list_)
alerts.command("snooze")(alerts_snooze.snooze)
