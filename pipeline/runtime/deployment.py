"""The state folder of a deployment: what it was begun with, and a refusal where that does not fit."""

from __future__ import annotations

import json
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from bytewax.recovery import RecoveryConfig, init_db_dir

from pipeline.core.snapshot import FORMAT

RECOVERY_PARTS: Final = 2
"""Partitions of the recovery store: as many processes can write snapshots side by side."""


class DeploymentRefused(Exception):  # noqa: N818  the word that users read
    """The state folder belongs to something else: a message and the way out."""


@dataclass(frozen=True)
class Stream:
    """What a deployment is about: with another one of these its state means nothing."""

    inputs: list[str]
    mapping: str
    journeys: list[str]
    shards: int
    partitioned_by: str
    sessions: dict[str, Any]


@dataclass(frozen=True)
class StateFolder:
    """An opened state folder."""

    path: Path
    id: str
    as_of_ms: int
    drained_ms: int | None

    @property
    def board(self) -> Path:
        return self.path / "board.bin"

    def recovery(self) -> RecoveryConfig:
        return RecoveryConfig(str(self.path / "recovery"))

    def drained(self, watermark_ms: int) -> None:
        """Notes the time at which a run drained its input: where the next one goes on."""
        (self.path / "drained.json").write_text(json.dumps({"watermark_ms": watermark_ms}))


def open_state(path: Path, stream: Stream, as_of_ms: int) -> StateFolder:
    """Opens the state folder, beginning a deployment where there is none. `as_of_ms` counts at the first
    start only. Raises DeploymentRefused.
    """
    file = path / "deployment.json"
    if not file.exists():
        _begin(path, stream, as_of_ms)
    try:
        begun = json.loads(file.read_text())
        known = Stream(**begun["stream"])
        format_, id_, as_of = begun["format"], begun["id"], begun["as_of_ms"]
    except (OSError, ValueError, KeyError, TypeError):
        raise DeploymentRefused(
            f"{file} cannot be read\n  hint: begin anew with `pathline reset --state {path}`"
        ) from None
    if format_ != FORMAT:
        raise DeploymentRefused(
            f"{path} holds state of format {format_}, this version writes {FORMAT}\n"
            f"  hint: finish with the version that wrote it, or `pathline reset --state {path}`"
        )
    differences = [
        f"{name}: begun with {getattr(known, name)}, now {getattr(stream, name)}"
        for name in asdict(known)
        if getattr(known, name) != getattr(stream, name)
    ]
    if differences:
        raise DeploymentRefused(
            f"{path} belongs to another stream\n  "
            + "\n  ".join(differences)
            + f"\n  hint: give each stream its own --state and database, or `pathline reset --state {path}`"
        )
    drained = path / "drained.json"
    drained_ms = json.loads(drained.read_text())["watermark_ms"] if drained.exists() else None
    return StateFolder(path, id_, as_of, drained_ms)


def _begin(path: Path, stream: Stream, as_of_ms: int) -> None:
    recovery = path / "recovery"
    recovery.mkdir(parents=True, exist_ok=True)
    if not any(recovery.iterdir()):
        init_db_dir(str(recovery), RECOVERY_PARTS)
    begun = {"id": uuid.uuid4().hex, "format": FORMAT, "as_of_ms": as_of_ms, "stream": asdict(stream)}
    # Written last and in one move: a folder with this file is whole.
    draft = path / "deployment.json.part"
    draft.write_text(json.dumps(begun, indent=1))
    draft.replace(path / "deployment.json")
