"""`pathline alerts simulate`: what would have fired on minutes that were counted."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from pipeline.cli.alerts_lab import detector, progress
from pipeline.lab.history import History
from pipeline.lab.market import DAY
from pipeline.lab.scenes import of_history, told
from pipeline.lab.trial import Page, Pages, Trace
from pipeline.settings import BadSettings


def simulate(
    minutes: Annotated[Path, typer.Option(help="Parquet file: a row per minute of entry and scope")],
    budget: Annotated[float, typer.Option(min=0.001, help="False pages a week that are put up with")] = 1.0,
    picture: Annotated[
        Path | None, typer.Option(help="File to write: an .svg of the week with most episodes")
    ] = None,
) -> None:
    """Show which alerts would have fired on a history of minutes, with what was seen and expected."""
    if picture is not None and not picture.parent.is_dir():
        raise BadSettings([f"--picture: {picture.parent}: no such folder"])
    console = Console(stderr=True)
    history, rules = History(minutes), detector(budget)
    pages, trace = Pages(), Trace()
    with progress(console, "detecting", None) as (bar, task):
        for minute in history.minutes():
            pages.add(rules.apply(minute))
            trace.add(minute)
            if minute.at % DAY == 0:
                bar.update(task, description=f"detecting {_time(minute.at)}")
    found = pages.all()
    Console().print(_table(found)) if found else Console().print("nothing would have fired")
    console.print(
        f"{len(found)} episodes in {trace.minutes / DAY:.1f} days of {len(history.scopes)} scopes",
        highlight=False,
    )
    if picture is not None and trace.first is not None:
        picture.write_text(of_history(trace, found), encoding="utf-8")
        console.print(f"wrote {picture}", highlight=False, soft_wrap=True)


def _table(pages: list[Page]) -> Table:
    table = Table("told at", "until", "step", "what", box=None, pad_edge=False)
    for page in pages:
        scope = page.first.scope
        until = "still firing" if page.until is None else _time(page.until)
        table.add_row(_time(page.first.detected_at), until, f"{scope.rank} {scope.stage}", told(page))
    return table


def _time(minute: int) -> str:
    return f"{datetime.fromtimestamp(minute * 60, UTC):%Y-%m-%d %H:%M}"
