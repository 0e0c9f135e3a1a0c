"""What a replay was begun with, in its state folder: it goes on with the same, whatever comes later."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.runtime.deployment import DeploymentRefused, unusable

FILE: Final = "replay.json"
REJECTS: Final = "replay-rejects.parquet"


@dataclass(frozen=True)
class Wish:
    """What was asked for: which records of which database."""

    of: str  # as it may be shown
    late: bool
    rejects: bool

    @property
    def asks(self) -> bool:
        """Whether the database is asked for anything."""
        return self.late or self.rejects

    def __str__(self) -> str:
        which = [f"--{name}" for name in ("late", "rejects") if getattr(self, name)]
        return " ".join([*which, f"--of {self.of}"]) if which else "neither --late nor --rejects"


@dataclass(frozen=True)
class Begun:
    """What the database said when the replay began. It may say otherwise later, or be gone."""

    wish: Wish
    late_records: int = 0
    most_behind_ms: int = 0  # the latest of them, at most
    allowed_lateness_ms: int | None = None  # with which none of them is late
    rejects: pa.Table | None = None

    @property
    def finds_something(self) -> bool:
        """Whether there is anything to replay."""
        return self.late_records > 0 or (self.rejects is not None and len(self.rejects) > 0)


def read(state: Path, wish: Wish) -> Begun | None:
    """What the replay in `state` was begun with; None where none has begun. Raises DeploymentRefused where
    there is a run, or another replay.
    """
    if not (state / "deployment.json").exists():
        return None
    try:
        told = json.loads((state / FILE).read_text())
    except FileNotFoundError:
        raise DeploymentRefused(
            f"{state} is the state of a run, and a replay is a deployment of its own\n"
            f"  hint: give it a new --state and a new --clickhouse"
        ) from None
    except OSError as error:
        raise unusable(state, error) from None
    begun = Wish(**told.pop("wish"))
    if begun != wish:
        raise DeploymentRefused(
            f"{state} is the state of another replay: begun with {begun}, now {wish}\n"
            f"  hint: give each replay its own --state and --clickhouse, or `pathline reset --state {state}`"
        )
    return Begun(begun, **told, rejects=pq.read_table(state / REJECTS) if wish.rejects else None)


def write(state: Path, begun: Begun) -> None:
    """Before the deployment begins, so that one that has begun is known to be a replay. Raises
    StateUnusable.
    """
    told = {field.name: getattr(begun, field.name) for field in fields(begun) if field.name != "rejects"}
    try:
        state.mkdir(parents=True, exist_ok=True)
        if begun.rejects is not None:
            pq.write_table(begun.rejects, state / REJECTS)
        draft = state / f"{FILE}.part"
        with draft.open("w") as file:
            json.dump(told | {"wish": asdict(begun.wish)}, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(state / FILE)
    except OSError as error:
        raise unusable(state, error) from None
