"""Copies of a state folder: one tar file with a list of what is in it, and their checksums.

A copy holds all that a run needs to go on: `deployment.json`, the recovery store, its segments, and the
journals that are part of the input. It does not hold the rows: these are in the database, which must be as
new as the copy or newer. What was written since is then written again, and stays what it is.
"""

from __future__ import annotations

import hashlib
import io
import json
import pickletools
import shutil
import sqlite3
import tarfile
from contextlib import closing
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final

from pipeline.core.snapshot import FORMAT
from pipeline.runtime.deployment import DeploymentRefused, StateFolder, unusable
from pipeline.runtime.segments import sync_folder

LIST: Final = "pathline-state.json"
NOT_COPIED: Final = ("lock", "board.bin", "steps-*.json", "*.part", "*-wal", "*-shm")
"""Of the run alone, or half made."""
LIST_BYTES_MAX: Final = 64 << 20
CHUNK_BYTES: Final = 1 << 20
HARMLESS: Final = {
    "PROTO", "FRAME", "STOP", "MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT", "NONE",
    "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
}  # fmt: skip
"""What a pickle of bytes, or of None, is made of: it can call nothing."""
SILENT: Final = {"PROTO", "FRAME", "MEMOIZE"}
BYTES: Final = ("SHORT_BINBYTES", "BINBYTES", "BINBYTES8")
CALLS_BYTES: Final = [("SHORT_BINUNICODE", "builtins"), ("SHORT_BINUNICODE", "bytes"), ("STACK_GLOBAL", None)]
CALLED: Final = ("TUPLE1", "REDUCE", "STOP")
"""`bytes(b"...")`, and nothing else."""


def backup(state: StateFolder, to: Path) -> int:
    """Copies the folder, which nobody else must use, into the file `to`; its size in bytes.

    Raises DeploymentRefused or StateUnusable.
    """
    if to.exists():
        raise DeploymentRefused(f"{to} exists\n  hint: name a file that does not")
    state.check()
    for part in state.path.glob("recovery/part-*.sqlite3"):
        with closing(sqlite3.connect(part)) as store:
            store.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    files = [path for path in sorted(state.path.rglob("*")) if path.is_file() and not _is_left_out(path)]
    listed = {path.relative_to(state.path).as_posix(): _described(path) for path in files}
    told = json.dumps({"format": FORMAT, "deployment": state.id, "files": listed}, indent=1).encode()
    draft = to.with_name(to.name + ".part")
    try:
        with tarfile.open(draft, "w") as tar:
            head = tarfile.TarInfo(LIST)
            head.size = len(told)
            tar.addfile(head, io.BytesIO(told))
            for path in files:
                tar.add(path, path.relative_to(state.path).as_posix(), recursive=False)
        draft.replace(to)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise unusable(to, error) from error
    return to.stat().st_size


def restore(path: Path, source: Path) -> str:
    """Makes the folder `path`, which must not be there or be empty, from a copy; the deployment's id.

    Nothing is there before all of it is checked. Raises DeploymentRefused or StateUnusable.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise DeploymentRefused(
            f"{path} is not empty\n"
            f"  hint: name a folder that is not there, or `pathline reset --state {path}` first"
        )
    draft = path.with_name(path.name + ".part")
    try:
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        with tarfile.open(source, "r:") as tar:
            told = _unpacked(tar, draft, source)
        _check_store(draft, source)
        if path.exists():
            path.rmdir()
        draft.replace(path)
        sync_folder(path.parent)
    except (tarfile.TarError, EOFError):
        raise _damaged(source, "it is no tar file, or not a whole one") from None
    except OSError as error:
        raise unusable(error.filename or path, error) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return str(told["deployment"])


def _is_left_out(path: Path) -> bool:
    return any(path.match(pattern) for pattern in NOT_COPIED)


def _described(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def _damaged(source: Path, how: str) -> DeploymentRefused:
    return DeploymentRefused(
        f"{source} is not a copy that can be restored: {how}\n  hint: take an older copy"
    )


def _unpacked(tar: tarfile.TarFile, draft: Path, source: Path) -> dict[str, Any]:
    """All files of a copy, whole and under their names, in the folder `draft`; what its list says."""
    told = _list_of(tar, source)
    files = dict(told["files"])
    for member in islice(tar, 1, None):
        described = files.pop(member.name, None)
        if described is None or not member.isfile() or not _is_inside(member.name):
            raise _damaged(source, f"{member.name!r} is not in its list")
        content = tar.extractfile(member)
        assert content is not None, "a file has content"
        digest = _copied(content, draft / member.name)
        if member.size != described["bytes"] or digest != described["sha256"]:
            raise _damaged(source, f"{member.name} does not fit its checksum")
    if files:
        raise _damaged(source, f"{', '.join(sorted(files))} is missing")
    return told


def _list_of(tar: tarfile.TarFile, source: Path) -> dict[str, Any]:
    head = tar.next()
    content = tar.extractfile(head) if head is not None and head.name == LIST else None
    if content is None:
        raise _damaged(source, "`pathline state backup` did not write it")
    try:
        told: dict[str, Any] = json.loads(content.read(LIST_BYTES_MAX))
        format_, files = told["format"], told["files"]
        fits = all({"bytes", "sha256"} <= described.keys() for described in files.values())
    except (ValueError, KeyError, TypeError, AttributeError):
        raise _damaged(source, "its list cannot be read") from None
    if format_ != FORMAT:
        raise DeploymentRefused(
            f"{source} holds state of format {format_}, this version reads {FORMAT}\n"
            "  hint: restore it with the version that wrote it"
        )
    if not fits or "deployment.json" not in files:
        raise _damaged(source, "its list is not whole")
    return told


def _is_inside(name: str) -> bool:
    """Whether a name can only be that of a file in the folder."""
    parts = PurePosixPath(name).parts
    return not name.startswith("/") and ".." not in parts and "\\" not in name and len(parts) in (1, 2)


def _copied(content: IO[bytes], to: Path) -> str:
    """Copies a file; its checksum."""
    to.parent.mkdir(exist_ok=True)
    digest = hashlib.sha256()
    with to.open("wb") as file:
        while chunk := content.read(CHUNK_BYTES):
            digest.update(chunk)
            file.write(chunk)
    return digest.hexdigest()


def _check_store(folder: Path, source: Path) -> None:
    """Nothing but bytes may be in the store, because bytewax unpickles what it holds."""
    StateFolder(folder, "", 0).check()
    for part in folder.glob("recovery/part-*.sqlite3"):
        with closing(sqlite3.connect(part)) as store:
            for (kept,) in store.execute("SELECT ser_change FROM snaps WHERE ser_change IS NOT NULL"):
                if not is_harmless(kept):
                    raise _damaged(source, f"{part.name} holds what Pathline did not write")


def is_harmless(pickled: bytes) -> bool:
    """Whether a pickle is of bytes or of None, or of a snapshot that was promised (`kept.py`)."""
    try:
        found = [(opcode.name, value) for opcode, value, _ in pickletools.genops(pickled)]
    except Exception:  # whatever bytes that are no pickle do to its reader
        return False
    if {name for name, _ in found} <= HARMLESS:
        return True
    said = [(name, value) for name, value in found if name not in SILENT]
    return said[: len(CALLS_BYTES)] == CALLS_BYTES and [name for name, _ in said[len(CALLS_BYTES) :]] in (
        [kind, *CALLED] for kind in BYTES
    )
