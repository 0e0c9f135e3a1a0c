"""Runs a plan in processes of their own, and starts them again when they die."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Final

from rich.console import Console

from pipeline.cli.errors import WorkerRefused, is_final, is_mendable
from pipeline.cli.progress import Progress
from pipeline.cli.watch import Watch
from pipeline.run import Plan
from pipeline.runtime import members, stop
from pipeline.runtime.board import Board
from pipeline.runtime.processes import STOP_SECONDS, RunFailed, Task, local_tasks, run_processes
from pipeline.runtime.supervise import CrashLoop, Supervisor
from pipeline.runtime.underway import Narrow

EXIT_FAILED: Final = 1


class NotStopped(Exception):  # noqa: N818  the word that users read
    """A stop was asked for and had to be made the hard way."""


GO_ON: Final = "  hint: the same command goes on from the last snapshot\n"


def supervised(
    plan: Plan, board: Board, progress: Progress, beside: Watch, held: tuple[int, ...], console: Console
) -> int:
    """Runs to the end or a clean stop, however often it has to begin again; returns the exit code.

    Raises CrashLoop, or WorkerRefused with what somebody must mend.
    """
    deaths: list[RunFailed] = []

    def watch() -> bool:
        progress.tick()
        return stop.stopping()

    def start(narrow: Narrow | None) -> bool:
        if not plan.settings.addresses:
            plan.state.forget_unfinished()
        try:
            return run_processes(_tasks(plan, narrow), watch, held)
        except RunFailed as died:
            deaths.append(died)
            raise

    def tell(line: str) -> None:
        if deaths:
            beside.restarted(deaths.pop())
        console.print(line, style="yellow", soft_wrap=True, highlight=False, markup=False)

    _warn_of_open_ports(plan, tell)
    settings = plan.settings
    supervisor = Supervisor(
        folder=plan.state.path,
        board=board,
        sources=[f"{origin.source}:{origin.number}" for origin in plan.inputs.origins],
        rows_max=settings.batch_rows,
        restarts_max=settings.restarts,
        is_final=is_final,
        tell=tell,
        narrows=not settings.addresses,
        is_first=not settings.process_id,
    )
    try:
        if supervisor.run(start, watch):
            return 0
    except CrashLoop:
        progress.close()
        raise
    except RunFailed as error:
        progress.close()
        return _failed(error, beside)
    slow = NotStopped(f"the worker processes did not end within {STOP_SECONDS:.0f} s and were killed")
    beside.failed(slow)
    sys.stderr.write(f"{slow}\n" + GO_ON)
    return EXIT_FAILED


def _tasks(plan: Plan, narrow: Narrow | None) -> list[Task]:
    """One for each process that this machine is to run."""
    settings = plan.settings
    told = settings.model_dump(mode="json")
    if settings.process_id is not None:
        return [Task(settings.process_id, list(settings.addresses), told)]
    return local_tasks(settings.workers, told, narrow)


def _failed(error: RunFailed, beside: Watch) -> int:
    said = error.failure
    if said is not None and is_mendable(said.kind):
        raise WorkerRefused(said) from None
    beside.failed(error)
    sys.stderr.write(said.trace if said is not None and said.is_cause else error.output)
    sys.stderr.write(f"{error}\n" + GO_ON)
    return EXIT_FAILED


def _warn_of_open_ports(plan: Plan, tell: Callable[[str], None]) -> None:
    exposed = members.exposed(plan.settings.addresses)
    if exposed:
        tell(
            f"warning: {', '.join(exposed)} can be reached from other machines, and whoever does can run "
            f"code here: what the processes say there is neither authenticated nor encrypted\n"
            f"  hint: let nobody but these processes connect: infra/README.md has a network policy"
        )
