"""Runs a plan with progress, in this process or in several, and says what came of it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Final

from rich.console import Console

from pipeline.cli.alerts_beside import telling
from pipeline.cli.compiled import told
from pipeline.cli.growth import growing
from pipeline.cli.progress import Progress, set_aside
from pipeline.cli.supervised import supervised
from pipeline.cli.watch import Watch, console_of
from pipeline.run import Plan, dataflow, epoch
from pipeline.runtime import launch, members, meters, stop
from pipeline.runtime.board import COLUMNS, Board
from pipeline.runtime.deployment import unusable
from pipeline.sources import quarantine
from pipeline.versions import rows, stages
from pipeline.warm import warm
from sinks.base import mask_dsn
from sinks.registry import open_sink

LATE_SHARE_HINT: Final = 0.01
"""More late events than this in a file mean that it is not in order of time."""

TICK_SECONDS: Final = 0.25


def execute(plan: Plan, console: Console, *, keeps: bool = True, tells: bool = True) -> int:
    """Runs to the end (or a clean stop); returns the exit code. Says where rows are if it `keeps` them, and
    `tells` the routes of alerts: what was wrong in the past calls nobody.
    """
    console = console_of(plan.settings, console)
    watch = Watch(plan.settings, plan.state.path, console)
    try:
        beside = telling(plan, watch.log) if tells else nullcontext()
        with stop.interrupting(), _held(plan) as held, watch, beside:
            began = time.monotonic()
            while True:
                board = _prepare(plan, console)
                stop.on_signals()
                with watch.progress(board, plan.inputs.origins) as progress, growing(plan.inputs, console):
                    code = _run(plan, board, progress, watch, held, console)
                if code or not stop.paused():
                    break
                stop.reset()
                plan = replace(plan)  # asks anew which partitions there are
            if code == 0:
                _conclude(plan, board, console, time.monotonic() - began, keeps)
            return code
    except stop.StoppedEarly:
        console.print("stopped cleanly before anything was read", highlight=False)
        return 0


def _run(
    plan: Plan, board: Board, progress: Progress, watch: Watch, held: tuple[int, ...], console: Console
) -> int:
    if plan.settings.processes > 1 or plan.settings.restarts > 0:
        return supervised(plan, board, progress, watch, held, console)
    return _one(plan, progress)


@contextmanager
def _held(plan: Plan) -> Iterator[tuple[int, ...]]:
    """The state folder, for this run alone: the descriptors that hold it."""
    if plan.settings.process_id is not None:
        with members.joined(plan.state, plan.settings.process_id) as descriptors:
            yield descriptors
        return
    with plan.state.locked() as descriptor:
        yield (descriptor,)


def _prepare(plan: Plan, console: Console) -> Board:
    """What can fail, or take long, comes before the first record is read: a wrong DSN must not cost a run.
    Where several machines run, the first does what is to be done once.
    """
    if plan.settings.process_id:
        return _prepared_elsewhere(plan, console)
    try:
        new = plan.inputs.begin()
        found = plan.inputs.welcome(new, shares_time=plan.shares_time) if new else []
        board = Board.create(plan.state.board, len(plan.inputs.origins))
        quarantine.keep(plan.state.path, plan.settings.quarantine)
    except OSError as error:
        raise unusable(plan.state.path, error) from None
    plan.state.check()
    if not plan.settings.addresses:
        plan.state.forget_unfinished()
    sink = open_sink(plan.settings.clickhouse)
    sink.open(plan.deployment)
    sink.write("active_versions", rows(plan.active))
    sink.write("stages", stages(plan.journeys))
    for incident in found:
        sink.write("incidents", incident)
    sink.close()
    with told(console):
        warm(plan.journeys, stores_events=plan.settings.store_events)
    return board


def _prepared_elsewhere(plan: Plan, console: Console) -> Board:
    partitions = len(plan.inputs.origins)
    members.await_board(plan.state.board, plan.settings.process_id, partitions * len(COLUMNS) * 8)
    with told(console):
        warm(plan.journeys, stores_events=plan.settings.store_events)
    return Board.open(plan.state.board, partitions)


def _one(plan: Plan, progress: Progress) -> int:
    meters.begin(plan.state.path, 0)
    with _ticking(progress), launch.measured(plan.state.path / "steps-0.json"):
        launch.run_here(dataflow(plan), epoch(plan.settings), plan.state.recovery())
    return 0


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


def _conclude(plan: Plan, board: Board, console: Console, seconds: float, keeps: bool) -> None:
    settings = plan.settings
    total = board.total()
    how = "finished"
    if not keeps:
        how = "replayed" if board.all_finished() else "stopped"
    elif not board.all_finished():
        how = "stopped cleanly; the same command goes on from here"
    elif settings.until_drained and settings.until is None:
        how = "drained; the same command goes on when there is more"
    now = "" if total.received_now == total.received else f" ({total.received_now:,} of them now)"
    aside = ", ".join(f"{value:,} {name}" for name, value in set_aside(total).items() if value)
    console.print(
        f"{how}: {total.accepted:,} of {total.received:,} records accepted{now} in {seconds:.1f} s"
        + (f"; set aside: {aside}" if aside else "")
        + (f"; rows are in {mask_dsn(settings.clickhouse)}" if keeps else ""),
        soft_wrap=True,
        highlight=False,
        markup=False,
    )
    _warn_of_disorder(plan, board, console, "begin anew (`pathline reset`)" if keeps else "try again")
    _warn_of_limits(plan, console)


def _warn_of_limits(plan: Plan, console: Console) -> None:
    steps = [json.loads(path.read_text()) for path in plan.state.path.glob("steps-*.json")]
    if any(one["rows"].get("limits") for one in steps):
        console.print(
            "warning: a limit of memory was hit, and something was forgotten early\n"
            '  hint: pathline query "SELECT * FROM bi.limits" says what that means and what to do',
            soft_wrap=True,
            style="yellow",
            highlight=False,
            markup=False,
        )


def _warn_of_disorder(plan: Plan, board: Board, console: Console, again: str) -> None:
    sortable = not plan.settings.until_drained and not plan.settings.sort
    way_out = "--sort" if sortable else "a longer --allowed-lateness"
    counts = zip(plan.inputs.origins, board.column("received"), board.column("late"), strict=True)
    for origin, received, late in counts:
        if late > LATE_SHARE_HINT * received:
            console.print(
                f"warning: {late / received:.0%} of the records in {origin.shown} were late: "
                f"it is not in order of event time\n"
                f"  hint: {again} with {way_out}",
                soft_wrap=True,
                style="yellow",
                highlight=False,
                markup=False,
            )
