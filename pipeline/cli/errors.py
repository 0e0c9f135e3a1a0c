"""Errors that people can mend: shown as they are, without a traceback, exit code 2."""

from __future__ import annotations

from typing import Final

from rich.console import Console

from pipeline.alerts.deliveries import BadLog
from pipeline.alerts.opening import CourierRuns
from pipeline.alerts.secrets import SecretMissing
from pipeline.cli.apart import NotAnswered
from pipeline.core.admit.admit import TooManyRejects
from pipeline.core.snapshot import StateMismatch
from pipeline.lab.history import BadHistory
from pipeline.runtime.deployment import DeploymentRefused, StateUnusable
from pipeline.runtime.failure import WEATHER, Failure
from pipeline.runtime.intake import GrownAfterEnd
from pipeline.runtime.supervise import CrashLoop
from pipeline.settings import BadSettings
from pipeline.sources.files import BadInput, UnknownFileType
from pipeline.sources.kafka.partitions import NotLetIn, Unreachable
from pipeline.sources.kafka.place import BadPlace
from pipeline.sources.sorting import TooLargeToSort
from pipeline.sources.table_files import TableUnreadable
from schemas.documents import BadDefinition
from sinks.base import SinkRefused, SinkUnavailable
from sinks.clickhouse.query import QueryRefused


class WorkerRefused(Exception):  # noqa: N818  the word that users read
    """An error that people can mend, met in a worker process."""

    def __init__(self, met: Failure) -> None:
        super().__init__(met.message)
        self.message = met.message
        self.hint = met.hint or HINTS.get(met.kind, "")


MENDABLE: Final = (
    BadSettings,
    BadDefinition,
    BadHistory,
    BadLog,
    CourierRuns,
    SecretMissing,
    DeploymentRefused,
    StateUnusable,
    BadInput,
    BadPlace,
    NotLetIn,
    Unreachable,
    GrownAfterEnd,
    UnknownFileType,
    TooLargeToSort,
    TableUnreadable,
    SinkRefused,
    SinkUnavailable,
    QueryRefused,
    NotAnswered,
    TooManyRejects,
    StateMismatch,
    CrashLoop,
    WorkerRefused,
)

HINTS: Final = {
    "TableUnreadable": "the first line of a CSV file names its columns; quotes that open must close",
    "TooManyRejects": "bi.rejected_events says what they lack: name a --mapping that fits, "
    "and begin anew with `pathline reset`",
    "SinkUnavailable": "when it is back, give the same command again: it goes on from its last snapshot",
}

EXIT_MENDABLE: Final = 2


def is_final(kind: str) -> bool:
    """Whether somebody must mend something first: no restart will help."""
    return is_mendable(kind) and kind not in WEATHER


def is_mendable(kind: str) -> bool:
    """Whether the class of an error, by its name, is one of these."""
    return kind in {error.__name__ for error in MENDABLE}


def show(error: BaseException) -> int:
    """Prints the error for a person; returns the exit code."""
    text = str(getattr(error, "message", error))
    hint = getattr(error, "hint", "") or HINTS.get(type(error).__name__, "")
    if hint and hint not in text:
        text += f"\n  hint: {hint}"
    Console(stderr=True).print(text, markup=False, highlight=False, soft_wrap=True)
    return EXIT_MENDABLE
