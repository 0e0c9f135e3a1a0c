"""A command in this process, but for that as people type it: a process of its own takes seconds to start."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

from pipeline.cli import main
from tests.cli.run import ENVIRONMENT


def pathline(*arguments: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """As `tests.cli.run.pathline`, from the entry point on: what is typed, said, and the exit code. What
    nobody catches goes on to the test.
    """
    typed = ["pathline", *map(str, arguments)]
    code, said, complained = 0, io.StringIO(), io.StringIO()
    with (
        mock.patch.dict(os.environ, ENVIRONMENT | environment, clear=True),
        mock.patch.object(sys, "argv", typed),
        chdir(cwd),
        redirect_stdout(said),
        redirect_stderr(complained),
    ):
        try:
            main()
        except SystemExit as end:
            code = _code(end)
    return subprocess.CompletedProcess(typed, code, said.getvalue(), complained.getvalue())


def _code(end: SystemExit) -> int:
    """The exit code of a process that ends so."""
    assert end.code is None or isinstance(end.code, int), end.code
    return end.code or 0
