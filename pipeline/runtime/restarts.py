"""What a supervisor did and why, in the state folder, for whoever looks from outside (`pathline status`)."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

FILE: Final = "restarts.json"

KEPT: Final = 50
"""So many deaths are kept, the newest: a run that lives for years must not fill its folder with them."""

TRACE_CHARACTERS_MAX: Final = 8_000


@dataclass(frozen=True)
class Death:
    """One death of a run: when, of what, and what was done about it."""

    at: str  # ISO 8601, UTC
    process: int
    how: str  # "was killed by SIGKILL", "ended with exit code 1"
    kind: str  # class of the error; empty where nothing was said
    message: str
    step: str  # of the flow; empty where it is not known
    trace: str
    received: int  # records, by all partitions, when it died
    restart_after_seconds: float | None  # None: it was not started again
    rows_max: int | None  # records a block in a narrow run; None: it was none


@dataclass(frozen=True)
class Restarts:
    """All that is kept: how often in the life of the state folder, and the newest deaths."""

    restarts: int = 0
    deaths: list[Death] = field(default_factory=list)


def read_restarts(folder: Path) -> Restarts:
    """What is written in a state folder; nothing where nothing died, or where it cannot be read."""
    try:
        told = json.loads((folder / FILE).read_text())
        return Restarts(told["restarts"], [Death(**death) for death in told["deaths"]])
    except (OSError, ValueError, KeyError, TypeError):
        return Restarts()


def write_down(folder: Path, death: Death) -> None:
    """Adds a death. A reader sees the old file or the new one, never half of one."""
    before = read_restarts(folder)
    count = before.restarts + (death.restart_after_seconds is not None)
    now = Restarts(count, [*before.deaths, death][-KEPT:])
    draft = folder / f"{FILE}.part"
    with draft.open("w") as file:
        os.fchmod(file.fileno(), 0o600)  # messages may quote records
        json.dump(asdict(now), file, indent=1)
    draft.replace(folder / FILE)
