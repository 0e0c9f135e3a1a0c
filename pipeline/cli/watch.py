"""What the starter of a run does beside it: serves its health, writes its log, records how it ended."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from rich.console import Console

from pipeline.cli.errors import HINTS, MENDABLE
from pipeline.cli.progress import Progress
from pipeline.runtime import log, metrics, stop
from pipeline.runtime.board import Board
from pipeline.runtime.exposition import Exposition
from pipeline.runtime.health import LISTENER_DEFAULT, BadListener, Server, address
from pipeline.runtime.intake import Origin
from pipeline.runtime.numbers import clear
from pipeline.runtime.processes import RunFailed
from pipeline.runtime.record import LastError, Record, Run
from pipeline.settings import BadSettings, Settings
from sinks.base import mask_dsn, mask_text

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = ("pipeline", "schemas", "sinks")

STARTER: Final = "starter"
"""The numbers of whoever starts processes, beside theirs."""


def console_of(settings: Settings, console: Console) -> Console:
    """Where people are spoken to: with a format of log that was asked for, in lines of the log as well."""
    if settings.log_format == "auto":
        return console
    return Console(file=log.Spoken(log.logger(settings.log_format)), width=10_000)  # type: ignore[arg-type]


class Watch:
    """Beside one run, from before its first record to after its last. Use as a context manager, while the
    state folder is locked. Raises BadSettings where there is no listening.
    """

    def __init__(self, settings: Settings, folder: Path, console: Console) -> None:
        self._settings = settings
        self._console = console
        self._record = Record(folder)
        self._exposition = Exposition(self._record)
        self._log: Any = None
        is_shown = console.is_terminal or console.quiet
        if not (is_shown and settings.log_format == "auto"):
            self._log = log.logger("json" if settings.log_format == "json" else "logfmt")
        self._in_log_alone = settings.log_format != "auto"  # else people are told in sentences how it went
        self._failed: LastError | None = None

    @property
    def log(self) -> Any:
        """Where what happens beside a run is said: where people watch, in lines of their own."""
        return self._log or log.logger("logfmt")

    def __enter__(self) -> Watch:
        if not self._settings.process_id:  # of several machines the first looks after the folder
            clear(self._record.numbers)
        self._server = self._serve()
        settings = self._settings
        self._run = Run(
            pid=os.getpid(),
            processes=settings.processes,
            started_at=time.time(),
            sink=mask_dsn(settings.clickhouse),
            inputs=len(settings.input),
            listens=settings.listen if self._server else "",
        )
        self._record.begin(self._run)
        if self._in_log_alone:
            self._log.info(
                "begin", sink=self._run.sink, processes=settings.processes, listens=self._run.listens
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server:
            self._server.close()
        if error is not None and not isinstance(error, stop.StoppedEarly):
            self.failed(error)
        if self._failed:
            how = "failed"
        elif stop.stopping():
            how = "stopped"
        else:
            how = "drained" if self._settings.until_drained else "finished"
        self._record.end(self._run, how)
        if self._in_log_alone:
            self._log.info("end", how=how, seconds=round(time.time() - self._run.started_at, 1))

    def progress(self, board: Board, origins: Sequence[Origin]) -> Progress:
        """How far the run is, for people and in the log."""
        lines = log.EpochLines(self._log, self._exposition) if self._log else None
        return Progress(board, origins, self._console, lines)

    def failed(self, error: BaseException) -> None:
        """Keeps what the run failed of: the first time, for what follows comes of it."""
        if self._failed:
            return
        self._failed = self._keep(error)
        if self._in_log_alone:
            self._log.error("failed", kind=self._failed.kind, message=self._failed.message)

    def restarted(self, error: BaseException) -> None:
        """The processes of the run died of `error`, and are started again."""
        if metrics.own_process() != STARTER:
            metrics.begin(self._record.numbers, STARTER, os.getpid())
        metrics.add(metrics.RESTARTS, 1)
        kept = self._keep(error)
        if self._log:
            self._log.warning("restart", kind=kept.kind, message=kept.message)

    def _keep(self, error: BaseException) -> LastError:
        """Writes down what may be known of an error, without secrets."""
        found, dsn = last_error(error), self._settings.clickhouse
        kept = LastError(found.at, found.kind, mask_text(found.message, dsn), mask_text(found.hint, dsn))
        self._record.fail(kept)
        return kept

    def _serve(self) -> Server | None:
        """The default place may be taken by another run on the same machine, and need not stop this one."""
        try:
            where = address(self._settings.listen)
            return Server(*where, self._exposition) if where else None
        except BadListener as error:
            if self._settings.listen != LISTENER_DEFAULT:
                raise BadSettings([f"{error}\n  hint: {error.hint}"]) from None
            self._console.print(
                f"no health and no metrics of this run: {error}\n  hint: {error.hint}",
                style="yellow", highlight=False, markup=False, soft_wrap=True,
            )  # fmt: skip
            return None


def last_error(error: BaseException) -> LastError:
    """What may be shown of an error. The words of one that nobody foresaw may hold a piece of a record: of
    that, only where it was raised.
    """
    now, kind = time.time(), type(error).__name__
    hint = str(getattr(error, "hint", "") or HINTS.get(kind, ""))
    if isinstance(error, MENDABLE):
        return LastError(now, kind, str(getattr(error, "message", error)), hint)
    if isinstance(error, RunFailed):
        said = error.failure.kind if error.failure and error.failure.is_cause else kind
        return LastError(now, said, str(error), "the same command goes on from the last snapshot")
    return LastError(now, kind, f"a fault in the program{_place(error)}: its traceback is on stderr", hint)


def _place(error: BaseException) -> str:
    """The innermost line of ours that it went through."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_relative_to(ROOT) and path.relative_to(ROOT).parts[0] in PACKAGES:
            return f", at {path.relative_to(ROOT)}:{frame.lineno}"
    return ""
