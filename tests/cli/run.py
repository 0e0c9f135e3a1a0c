"""Running a command as people do: a process of its own, what it says, and how it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("PATHLINE_")} | {
    "PYTHONPATH": str(ROOT),
    "COLUMNS": "100",
    "PATHLINE_LISTEN": "none",  # tests run side by side
}
COMMAND = [sys.executable, "-c", "from pipeline.cli import main; main()"]


def pathline(*arguments: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command from begin to end."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        cwd=cwd,
        env=ENVIRONMENT | environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


def started(*arguments: str | Path, cwd: Path) -> subprocess.Popen[bytes]:
    """A command that is still running."""
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        cwd=cwd,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def mended(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The lines of an error that people can mend: exit code 2, no traceback, a hint for every problem."""
    assert done.returncode == 2, (done.returncode, done.stderr)
    assert "Traceback" not in done.stderr
    assert not done.stdout
    assert "\n  hint: " in done.stderr
    return done.stderr.splitlines()
