"""The commands of `pathline`, each a page of its own in this package."""

from __future__ import annotations

import typer

from pipeline.cli import (
    alerts,
    ask,
    demo,
    explain,
    house,
    plan,
    replay,
    run_command,
    show,
    simulate,
    state,
    status,
    stories,
)

app = typer.Typer(
    name="pathline",
    help="Sessions, journey stages and abandonment from clickstream events, in ClickHouse.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("demo")(demo.demo)
app.command("run")(run_command.run)
app.command("replay")(replay.replay)
app.command("status")(status.status)
app.command("show")(show.show)
app.command("query")(ask.query)
app.command("explain")(explain.explain)
app.command("simulate")(simulate.simulate)
app.command("check")(house.check)
app.command("test")(stories.try_stories)
app.command("plan")(plan.plan)
app.command("migrate")(house.migrate)
app.command("reset")(house.reset)
app.add_typer(state.state, name="state")
app.add_typer(alerts.alerts, name="alerts")
