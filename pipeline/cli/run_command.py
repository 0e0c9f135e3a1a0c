"""`pathline run`: files or topics in, sessions and stages out."""

from __future__ import annotations

import typer
from rich.console import Console

from pipeline.cli.execute import execute
from pipeline.cli.options import Given, takes_options
from pipeline.run import plan


@takes_options()
def run(given: Given) -> None:
    """Read files to their end, or topics as they grow: sessions, transitions and counters into ClickHouse.

    A run that was stopped or killed goes on where it was when the same command is given again.
    """
    raise typer.Exit(execute(plan(given.settings()), Console(stderr=True)))
