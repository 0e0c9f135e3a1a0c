"""`pathline`: what people type. Every error they can mend is one message with a hint and exit code 2."""

from __future__ import annotations

import sys

from pipeline.cli.app import app
from pipeline.cli.errors import MENDABLE, show


def main() -> None:
    """The entry point of the command `pathline`."""
    try:
        app()
    except MENDABLE as error:
        sys.exit(show(error))
