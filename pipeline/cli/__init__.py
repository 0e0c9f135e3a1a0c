"""`pathline`: what people type. Every error they can mend is one message with a hint and exit code 2."""

from __future__ import annotations

import sys

from pipeline.cli.compiled import keep_compiled


def main() -> None:
    """The entry point of the command `pathline`."""
    keep_compiled()
    # only now: these import numba, which reads at once where compiled code is kept
    from pipeline.cli.app import app
    from pipeline.cli.errors import MENDABLE, show

    try:
        app()
    except MENDABLE as error:
        sys.exit(show(error))
