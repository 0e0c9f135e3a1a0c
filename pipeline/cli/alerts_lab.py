"""`pathline alerts lab`: the detector on simulated weeks, with incidents, and what it made of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.markdown import Markdown
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn

from pipeline.lab.history import Keeper
from pipeline.lab.incidents import MIXES, draw
from pipeline.lab.market import Settings
from pipeline.lab.report import markdown
from pipeline.lab.scenes import of_trial
from pipeline.lab.score import Scores, score
from pipeline.lab.trial import Detects, Trial, run
from pipeline.lab.weeks import Weeks
from pipeline.settings import BadSettings

LEARNING_WEEKS: Final = 3
REPORT_SUFFIX: Final = ".md"


def lab(
    weeks: Annotated[int, typer.Option(min=1, max=520, help="How many simulated weeks")] = 12,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, other weeks and incidents")] = 1,
    budget: Annotated[float, typer.Option(min=0.001, help="False pages a week that are put up with")] = 1.0,
    mix: Annotated[str, typer.Option(help=f"Which incidents: {', '.join(MIXES)}")] = "report",
    learn: Annotated[
        int | None, typer.Option(min=0, help="First weeks, not scored (default 3, or fewer)")
    ] = None,
    entrants: Annotated[int, typer.Option(min=1, help="Who land in five minutes at the peak")] = 1_500,
    report: Annotated[
        Path | None, typer.Option(help="File to write: .md, and a picture .svg beside it")
    ] = None,
    keep: Annotated[
        Path | None, typer.Option(help="Also keep the minutes: .parquet, for `alerts simulate`")
    ] = None,
) -> None:
    """Run the detector on simulated weeks with incidents in them, and tell how good it was.

    Shoppers are simulated one by one, in ways that the detector does not know of. The same options, the same
    weeks. Weeks of the mix `tuning` are others than those of `report`, whatever the seed.
    """
    learning = min(LEARNING_WEEKS, weeks - 1) if learn is None else learn
    _check(weeks, mix, learning, report, keep)
    console = Console(stderr=True)
    settings = Settings(weeks=weeks, seed=seed, salt=MIXES[mix].salt, entrants_peak=entrants)
    weeks_told = Weeks(settings, draw(settings, MIXES[mix], learning))
    with progress(console, "simulating and detecting", settings.days) as (bar, task), keeping(keep) as keeper:
        trial = run(
            weeks_told,
            detector(budget),
            mix,
            learning,
            clock=time.monotonic,
            tick=lambda _: bar.advance(task),
            also=keeper.add if keeper else lambda _: None,
        )
    _tell(trial, score(trial), budget, report, console)


def detector(budget: float) -> Detects:
    """The detector of the pipeline, with this budget of false pages a week."""
    from pipeline.core.detect import Detector
    from pipeline.core.detect import Settings as Rules

    return Detector(Rules(false_pages_per_week=budget))


def _check(weeks: int, mix: str, learning: int, report: Path | None, keep: Path | None) -> None:
    problems = []
    if mix not in MIXES:
        problems.append(f"--mix: {mix!r} is none\n  hint: one of {', '.join(MIXES)}")
    if learning >= weeks:
        problems.append(
            f"--learn: {learning} of {weeks} weeks leave none to score\n  hint: --weeks {learning + 1}"
        )
    if report is not None and report.suffix != REPORT_SUFFIX:
        problems.append(f"--report: {report}: what kind of file?\n  hint: --report alerts.md")
    for name, path in (("--report", report), ("--keep", keep)):
        if path is not None:
            problems += [f"{name}: {path.parent}: no such folder" for _ in range(not path.parent.is_dir())]
    if problems:
        raise BadSettings(problems)


@contextmanager
def progress(console: Console, what: str, total: int | None) -> Iterator[tuple[Progress, TaskID]]:
    """A bar that moves on a terminal, and nothing elsewhere."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        yield bar, bar.add_task(what, total=total)


def keeping(path: Path | None) -> Keeper | nullcontext[None]:
    """Writes minutes into a file, where one is wanted."""
    return Keeper(path) if path is not None else nullcontext()


def _tell(trial: Trial, scores: Scores, budget: float, report: Path | None, console: Console) -> None:
    if report is None:
        _print(markdown(trial, scores, budget))
        return
    picture = report.with_suffix(".svg")
    picture.write_text(of_trial(trial, scores), encoding="utf-8")
    report.write_text(markdown(trial, scores, budget, picture.name), encoding="utf-8")
    _print(markdown(trial, scores, budget))
    console.print(f"wrote {report} and {picture}", highlight=False, soft_wrap=True)


def _print(text: str) -> None:
    """Tables for eyes on a terminal, Markdown elsewhere."""
    console = Console()
    if console.is_terminal:
        console.print(Markdown(text))
    else:
        typer.echo(text)
