"""`pathline demo`: simulated shoppers through the real flow into ClickHouse, and what came of it."""

from __future__ import annotations

import shlex
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import quote

import typer
from rich.console import Console

from pipeline.cli.compiled import told
from pipeline.cli.execute import execute
from pipeline.cli.outlets import outlets
from pipeline.cli.show import one_line, report, sql
from pipeline.cli.simulate import MINUTE_MS, START, start_ms, write
from pipeline.run import plan
from pipeline.runtime import stop
from pipeline.settings import BadSettings, Settings
from pipeline.simulate import SHARES
from pipeline.simulate import Settings as Shoppers
from pipeline.warm import warm

HOURS: Final = 8
"""From a Monday morning into its afternoon: it ends in the middle of traffic, with journeys still open."""

STORIES: Final = {**SHARES, "late_phone": 0.01}
"""A few whose network goes, so that there are late records."""

POISON: Final = 0.001

INTERRUPTED: Final = 130


def demo(
    dir: Annotated[Path | None, typer.Option(help="Folder to make (default: a temporary one)")] = None,  # noqa: A002
    visitors: Annotated[int, typer.Option(min=1, max=1_000_000, help="Shoppers who come")] = 20_000,
) -> None:
    """Show what Pathline does, in under a minute: shoppers, the real flow, ClickHouse, and the funnel.

    Nothing else is needed, and nothing outside the folder is written.
    """
    console = Console(stderr=True)
    folder = _folder(dir)
    stop.on_signals()
    file = _simulate(folder, visitors, console)
    dsn = f"chdb://{quote(str(folder / 'clickhouse'))}"
    # until_drained: at the end of the input no time passes, so what is still open stays open.
    settings = Settings(
        input=(file,),
        clickhouse=dsn,
        state=folder / "state",
        until_drained=True,
        store_events=True,
        listen="none",
    )
    planned = plan(settings)
    with told(console):
        warm(planned.journeys, stores_events=settings.store_events)
    code = execute(planned, console, tells=False)
    if code or stop.stopping():
        raise typer.Exit(code or INTERRUPTED)
    _conclude(folder, dsn)


def _folder(wanted: Path | None) -> Path:
    if wanted is None:
        return Path(tempfile.mkdtemp(prefix="pathline-demo-"))
    if wanted.exists() and (not wanted.is_dir() or any(wanted.iterdir())):
        raise BadSettings([f"--dir: {wanted} is there already\n  hint: name a folder that is new or empty"])
    wanted.mkdir(parents=True, exist_ok=True)
    return wanted.resolve()


def _simulate(folder: Path, visitors: int, console: Console) -> Path:
    shoppers = Shoppers(
        seed=1,
        visitors=visitors,
        start_ms=start_ms(START),
        duration_ms=HOURS * 60 * MINUTE_MS,
        stories=STORIES,
        poison=POISON,
    )
    with outlets(folder / "events.jsonl", 1, force=False) as opened:
        written = write(shoppers, opened, console)
    console.print(
        f"simulated {HOURS} hours of a web shop: {written.shoppers:,} shoppers, {written.records:,} records",
        highlight=False,
    )
    return opened.paths[0]


def _conclude(folder: Path, dsn: str) -> None:
    console = Console()
    report(dsn, console)
    ask = f"{command()} query --clickhouse {shlex.quote(dsn)} {_quoted(one_line(sql('checkout_by_channel')))}"
    where = f"All of it is in {folder} (delete it when you are done). Ask on, in SQL:"
    console.print(f"\n{where}\n\n  {ask}\n", markup=False, highlight=False, soft_wrap=True)


def _quoted(statement: str) -> str:
    """In double quotes, as people write SQL: it holds single ones."""
    assert not set('"$`\\!') & set(statement), "this would mean something to a shell"
    return f'"{statement}"'


def command() -> str:
    """How this command was called, so that what is printed works when it is typed."""
    called = Path(sys.argv[0])
    found = shutil.which("pathline")
    if called.name != "pathline" or (found and called.exists() and called.samefile(found)):
        return "pathline"
    return shlex.quote(str(called))
