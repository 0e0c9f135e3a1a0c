"""Runs a plan with progress, in this process or in several, and says what came of it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from pipeline.cli.progress import Progress, input_bytes, set_aside
from pipeline.run import Plan, dataflow, epoch
from pipeline.runtime import launch, stop
from pipeline.runtime.board import Board
from pipeline.warm import warm
from sinks.base import mask_dsn
from sinks.registry import open_sink

LATE_SHARE_HINT = 0.01
"""More late events than this in a file mean that it is not in order of time."""

TICK_SECONDS = 0.25


def execute(plan: Plan, console: Console) -> int:
    """Runs to the end (or a clean stop); returns the exit code."""
    settings = plan.settings
    board = Board.create(plan.state.board, len(settings.input))
    _try_sink(plan)
    _warm(plan, console)
    began = time.monotonic()
    with Progress(board, input_bytes(settings.input), console) as progress:
        code = _several(plan, progress) if settings.workers > 1 else _one(plan, progress)
    if code == 0:
        _conclude(plan, board, console, time.monotonic() - began)
    return code


def _try_sink(plan: Plan) -> None:
    """Opens the sink once before anything is read: a wrong DSN must not cost a run."""
    sink = open_sink(plan.settings.clickhouse)
    sink.open(plan.deployment)
    sink.close()


def _warm(plan: Plan, console: Console) -> None:
    with console.status("preparing (the first run compiles for about half a minute, once)"):
        warm(plan.journeys)


def _one(plan: Plan, progress: Progress) -> int:
    stop.on_signals()
    with _ticking(progress), launch.measured(plan.state.path / "steps-0.json"):
        launch.run_here(dataflow(plan), epoch(plan.settings), plan.state.recovery())
    return 0


def _several(plan: Plan, progress: Progress) -> int:
    stop.on_signals()
    workers = plan.settings.workers
    run = {
        "settings": plan.settings.model_dump(mode="json"),
        "addresses": launch.free_addresses(workers),
    }
    (plan.state.path / "run.json").write_text(json.dumps(run))
    command = launch.python_module("pipeline.worker", str(plan.state.path))

    def watch() -> bool:
        progress.tick()
        return stop.stopping()

    return launch.run_processes(command, workers, watch)


@contextmanager
def _ticking(progress: Progress) -> Iterator[None]:
    """Keeps the progress moving while this thread runs the flow."""
    done = threading.Event()

    def tick() -> None:
        while not done.wait(TICK_SECONDS):
            progress.tick()

    thread = threading.Thread(target=tick, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _conclude(plan: Plan, board: Board, console: Console, seconds: float) -> None:
    settings = plan.settings
    total = board.total()
    finished = total.finished == len(settings.input)
    if finished and settings.until_drained:
        plan.state.drained(board.latest_ms())
    how = "finished" if finished else "stopped cleanly; the same command goes on from here"
    aside = ", ".join(f"{value:,} {name}" for name, value in set_aside(total).items() if value)
    console.print(
        f"{how}: {total.accepted:,} of {total.received:,} records accepted in {seconds:.1f} s"
        + (f"; set aside: {aside}" if aside else "")
        + f"; rows are in {mask_dsn(settings.clickhouse)}",
        soft_wrap=True,
        highlight=False,
    )
    if total.received and total.late > LATE_SHARE_HINT * total.received and not settings.sort:
        console.print(
            f"warning: {total.late / total.received:.0%} of the records were late: the input is not in order "
            f"of event time\n  hint: run it with --sort (begin anew: `pathline reset`)",
            soft_wrap=True,
            style="yellow",
        )
