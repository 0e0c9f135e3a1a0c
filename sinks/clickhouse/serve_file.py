"""Where an embedded database is served, told to other processes by a file beside it.

Only who may read the file (mode 0600: its owner) gets the password, as only who may read the database's files
could read what is in them.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

SERVING_FILE: Final = "serving.json"


@dataclass(frozen=True)
class Served:
    """A process that serves a database."""

    host: str
    port: int
    password: str
    pid: int

    @property
    def is_ours(self) -> bool:
        """Whether it is this process."""
        return self.pid == os.getpid()


def served(folder: Path) -> Served | None:
    """Who says that it serves the database in `folder`; None where nobody does, or who did is dead.

    That the number of a dead process is another's by now shows when one asks: it does not take the password.
    """
    try:
        there = Served(**json.loads((folder / SERVING_FILE).read_bytes()))
        os.kill(there.pid, 0)
    except (
        PermissionError
    ):  # of `kill`: it lives, and belongs to somebody else; of the file: it is not for us
        return None
    except (OSError, ValueError, TypeError):
        return None
    return there


def announce(folder: Path, here: Served) -> None:
    """Writes the file, at once and whole."""
    fresh = folder / f"{SERVING_FILE}.{here.pid}"
    fresh.unlink(missing_ok=True)
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        json.dump(asdict(here), file)
    fresh.replace(folder / SERVING_FILE)


def withdraw(folder: Path, here: Served) -> None:
    """Removes the file, unless it has become somebody else's."""
    if served(folder) == here:
        with suppress(OSError):
            (folder / SERVING_FILE).unlink()
