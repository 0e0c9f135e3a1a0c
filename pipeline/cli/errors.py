"""Errors that people can mend: shown as they are, without a traceback, exit code 2."""

from __future__ import annotations

from typing import Final

from rich.console import Console

from pipeline.core.admit import TooManyRejects
from pipeline.core.snapshot import StateMismatch
from pipeline.runtime.deployment import DeploymentRefused
from pipeline.settings import BadSettings
from pipeline.sources.files import UnknownFileType
from pipeline.sources.sorting import TooLargeToSort
from schemas.documents import BadDefinition
from sinks.base import SinkRefused, SinkUnavailable

MENDABLE: Final = (
    BadSettings,
    BadDefinition,
    DeploymentRefused,
    UnknownFileType,
    TooLargeToSort,
    SinkRefused,
    SinkUnavailable,
    TooManyRejects,
    StateMismatch,
)

EXIT_MENDABLE: Final = 2


def show(error: BaseException) -> int:
    """Prints the error for a person; returns the exit code."""
    text = str(error)
    if isinstance(error, SinkRefused):
        text = f"{error.message}\n  hint: {error.hint}"
    Console(stderr=True).print(text, markup=False, highlight=False, soft_wrap=True)
    return EXIT_MENDABLE
