"""The state folder of a deployment: what it was begun with, and a refusal where that does not fit."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import sqlite3
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from bytewax.recovery import RecoveryConfig, init_db_dir

from pipeline.core.snapshot import FORMAT
from pipeline.runtime.cuts import Cuts

RECOVERY_PARTS: Final = 2
"""Partitions of the recovery store: as many processes can write snapshots side by side."""

LOCK_SECONDS: Final = 10.0
"""How long the processes of a run that was killed may take to be gone."""


RESET_HINT: Final = "restore the state folder from a copy, or begin anew with `pathline reset`"


class DeploymentRefused(Exception):  # noqa: N818  the word that users read
    """The state folder belongs to something else: a message and the way out."""


class StateUnusable(Exception):  # noqa: N818  the word that users read
    """The state folder cannot be written or read: a full disk, a missing right, a damaged store."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def unusable(where: Path | str, error: OSError) -> StateUnusable:
    """What an error of the file system in the state folder means to a person."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StateUnusable(
            f"{where}: the disk is full", "make room and start again: it goes on from its last snapshot"
        )
    return StateUnusable(
        f"{where}: {error.strerror or error}", "--state must be a folder that this user can write to"
    )


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

    @property
    def board(self) -> Path:
        return self.path / "board.bin"

    def unbegin(self) -> None:
        """Takes back the beginning of a deployment that has not read anything."""
        (self.path / "deployment.json").unlink(missing_ok=True)

    @property
    def lulls(self) -> Path:
        """The journals of silent partitions."""
        return self.path / "lulls"

    @property
    def cuts(self) -> Cuts:
        return Cuts(self.path / "cuts.jsonl")

    @property
    def segments(self) -> Path:
        return self.path / "segments"

    def recovery(self) -> RecoveryConfig:
        return RecoveryConfig(str(self.path / "recovery"))

    def check(self) -> None:
        """Looks whether the recovery store is whole: a damaged one makes bytewax panic, or crash.
        Only while nobody else has it open. Raises StateUnusable.
        """
        store = self.path / "recovery"
        parts = sorted(store.glob("part-*.sqlite3"))
        if len(parts) != RECOVERY_PARTS:
            raise StateUnusable(f"{store}: {len(parts)} of {RECOVERY_PARTS} parts are there", RESET_HINT)
        for part in parts:
            try:
                with closing(sqlite3.connect(part)) as store_part:
                    store_part.execute("SELECT count(*) FROM sqlite_master").fetchall()
            except sqlite3.OperationalError:
                continue  # a full disk, say: the run will tell
            except sqlite3.DatabaseError as error:
                raise StateUnusable(f"{part}: {error}", RESET_HINT) from None

    def forget_unfinished(self) -> None:
        """Deletes what the store has of the epoch in which the last run died. bytewax begins that epoch anew,
        but it does not delete: of a key without items in the new one the old snapshot would stay, and the
        run after that would take it for the state at the end of an epoch that went another way. The
        segments that it points to may be gone by then. Only while nobody else has the store open.
        """
        parts = sorted((self.path / "recovery").glob("part-*.sqlite3"))
        with suppress(sqlite3.OperationalError), ExitStack() as stack:  # a full disk, say: the run will tell
            stores = [stack.enter_context(closing(sqlite3.connect(part))) for part in parts]
            epoch = _resume_epoch(stores)
            for store in stores if epoch is not None else ():
                with store:
                    store.execute("DELETE FROM snaps WHERE snap_epoch >= ?", (epoch,))

    @contextmanager
    def locked(self, seconds: float = LOCK_SECONDS) -> Iterator[int]:
        """Holds the folder against other runs, for which it waits so long. Gives the descriptor that holds
        it: whoever inherits it holds it too, so that the folder is free only when the last process of a run
        is gone. Raises DeploymentRefused.
        """
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            deadline = time.monotonic() + seconds
            while not _lock(descriptor):
                if time.monotonic() > deadline:
                    raise DeploymentRefused(
                        f"{self.path} is in use by another run\n"
                        f"  hint: stop that one first, or give this one a --state and a database of its own"
                    )
                time.sleep(0.05)
            yield descriptor
        finally:
            os.close(descriptor)


def _resume_epoch(stores: list[sqlite3.Connection]) -> int | None:
    """The epoch in which bytewax will begin (`resume_from` in its src/recovery.rs): the least that a worker
    of the last execution had come to. None before the first.
    """
    runs = [
        run for store in stores for run in store.execute("SELECT ex_num, worker_count, resume_epoch FROM exs")
    ]
    if not runs:
        return None
    number, workers, begun = max(runs)
    reached: dict[int, int] = dict.fromkeys(range(workers), begun)
    asked = "SELECT worker_index, worker_frontier FROM fronts WHERE ex_num = ?"
    for store in stores:
        for worker, epoch in store.execute(asked, (number,)):
            reached[worker] = max(reached.get(worker, epoch), epoch)
    return min(reached.values())


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def existing_state(path: Path) -> StateFolder:
    """The state folder of a deployment that has begun, whatever it is about. Raises DeploymentRefused."""
    begun = _begun(path)
    return StateFolder(path, begun["id"], begun["as_of_ms"])


def _begun(path: Path) -> dict[str, Any]:
    """What a deployment was begun with, if it has the format of this version."""
    file = path / "deployment.json"
    try:
        begun: dict[str, Any] = json.loads(file.read_text())
        format_ = begun["format"]
        begun["id"], begun["as_of_ms"], begun["stream"]
    except OSError as error:
        raise DeploymentRefused(
            f"{path} holds no state: {error.strerror}\n  hint: --state names the folder of a deployment"
        ) from None
    except (ValueError, KeyError, TypeError):
        raise DeploymentRefused(
            f"{file} cannot be read\n  hint: begin anew with `pathline reset --state {path}`"
        ) from None
    if format_ != FORMAT:
        raise DeploymentRefused(
            f"{path} holds state of format {format_}, this version writes {FORMAT}\n"
            f"  hint: finish with the version that wrote it, or `pathline reset --state {path}`"
        )
    return begun


def open_state(path: Path, stream: Stream, as_of_ms: int) -> StateFolder:
    """Opens the state folder, beginning a deployment where there is none. `as_of_ms` counts at the first
    start only. Raises DeploymentRefused or StateUnusable.
    """
    try:
        if not (path / "deployment.json").exists():
            _begin(path, stream, as_of_ms)
        (path / "deployment.json").open("rb").close()
    except OSError as error:
        raise unusable(path, error) from None
    begun = _begun(path)
    differences = list(_differences(begun["stream"], json.loads(json.dumps(asdict(stream)))))
    if differences:
        raise DeploymentRefused(
            f"{path} belongs to another stream\n  "
            + "\n  ".join(differences)
            + f"\n  hint: give each stream its own --state and database, or `pathline reset --state {path}`"
        )
    return StateFolder(path, begun["id"], begun["as_of_ms"])


def _differences(begun: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    """What is not as it was, name by name."""
    for name in {**begun, **now}:
        before, after = begun.get(name), now.get(name)
        if isinstance(before, dict) and isinstance(after, dict):
            yield from _differences(before, after)
        elif before != after:
            yield f"{name.removesuffix('_ms')}: begun with {_shown(before)}, now {_shown(after)}"


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _begin(path: Path, stream: Stream, as_of_ms: int) -> None:
    recovery = path / "recovery"
    if not recovery.exists():
        draft = path / "recovery.part"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        init_db_dir(str(draft), RECOVERY_PARTS)
        draft.replace(recovery)
    begun = {"id": uuid.uuid4().hex, "format": FORMAT, "as_of_ms": as_of_ms, "stream": asdict(stream)}
    # Written last and in one move: a folder with this file is whole.
    draft = path / "deployment.json.part"
    with draft.open("w") as file:
        json.dump(begun, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path / "deployment.json")
