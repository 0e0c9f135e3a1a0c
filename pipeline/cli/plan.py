"""`pathline plan`: what another definition of a journey would change, found out on records there are."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer
from rich.console import Console

from pipeline.cli import plan_report
from pipeline.cli.ask import WIDE
from pipeline.cli.demo import INTERRUPTED
from pipeline.cli.execute import execute
from pipeline.cli.plan_alerts import Rehearsed, compare_alerts
from pipeline.cli.plan_compare import Pair, compare
from pipeline.run import plan as checked
from pipeline.runtime import stop
from pipeline.settings import Settings, load_settings
from schemas.documents import BadDefinition, Problem
from schemas.journeys import VERSION_MAX, Journey, load_journeys
from sinks.clickhouse.query import Reader


def plan(
    old: Annotated[str, typer.Argument(help="Name or file of the journey as it is")],
    new: Annotated[str, typer.Argument(help="Name or file of the journey as it would be")],
    input: Annotated[list[Path] | None, typer.Option(help="File to read; repeat for more")] = None,  # noqa: A002
    mapping: Annotated[str | None, typer.Option(help="Name or file of the mapping")] = None,
    alerts: Annotated[
        str | None, typer.Option(help="Name or file of the definition of alerts: budget, history, rules")
    ] = None,
    sort: Annotated[bool, typer.Option("--sort", help="Read each file in order of event time")] = False,
    until_drained: Annotated[
        bool, typer.Option("--until-drained", help="Stop at the end of the input, close nothing")
    ] = False,
    config: Annotated[Path | None, typer.Option(help="Settings file (default ./pathline.toml)")] = None,
) -> None:
    """Replay files under two definitions of a journey, and show what the second would change.

    That includes the alerts. Nothing is kept, no database is touched, and nobody is alerted.
    """
    flags = {
        "input": tuple(input or ()),
        "mapping": mapping,
        "alerts": alerts,
        "sort": sort or None,
        "until_drained": until_drained or None,
    }
    settings, pair = load_settings(flags, config), definitions(old, new)
    with tempfile.TemporaryDirectory(prefix="pathline-plan-") as folder:
        own = _settings(settings, Path(folder))
        rehearsed = Rehearsed()
        flow = replace(checked(own, pair.journeys), rehearses=rehearsed)
        code = execute(flow, Console(stderr=True), keeps=False, tells=False)
        if code or stop.stopping():
            raise typer.Exit(code or INTERRUPTED)
        with Reader(own.clickhouse) as reader:
            compared = compare(reader, pair)
            called = compare_alerts(reader, pair, rehearsed, flow.alerts)
    console = Console()
    plan_report.report(compared, called, console if console.is_terminal else Console(width=WIDE))


def definitions(old: str, new: str) -> Pair:
    """Both definitions. Where the new one has kept name and version, it runs under another version: rows
    of the two must not mix. Raises BadDefinition with all that is wrong with either.
    """
    problems: list[Problem] = []
    loaded: list[Journey] = []
    for name in (old, new):
        try:
            loaded += load_journeys([name])
        except BadDefinition as error:
            problems += error.problems
    if problems:
        raise BadDefinition(dict.fromkeys(problems))
    before, after = loaded
    labels = (f"{before.name} {before.version}", f"{after.name} {after.version}")
    if labels[0] == labels[1]:
        other = before.version + 1 if before.version < VERSION_MAX else before.version - 1
        return Pair(before, replace(after, version=other), (labels[0], f"{labels[1]} (new)"))
    return Pair(before, after, labels)


def _settings(settings: Settings, folder: Path) -> Settings:
    """What the settings say of records and sessions holds; where things go and who does them does not."""
    own = {
        "clickhouse": f"chdb://{quote(str(folder / 'clickhouse'))}",
        "state": folder / "state",
        "workers": 1,
        "store_events": False,
        "active": (),
        "listen": "none",
        "announce": None,
    }
    return settings.model_copy(update=own)
