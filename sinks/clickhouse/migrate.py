"""Tables by numbered migrations, each applied once; views, and what computes aggregates, made again whenever
their text changed.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property
from graphlib import TopologicalSorter
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any, Final

from sinks.base import SinkRefused
from sinks.clickhouse.versions import with_versions

SQL: Final = resources.files("sinks.clickhouse") / "sql"
_NUMBERED: Final = re.compile(r"(\d{4})_(\w+?)(?:\.(server|embedded))?\.sql")
_SEPARATOR: Final = re.compile(r"^;\s*$", re.MULTILINE)
_READS: Final = re.compile(r"\bbi\.(\w+)")


@dataclass(frozen=True)
class Script:
    """A file of statements, separated by lines that hold only `;`."""

    name: str
    number: int  # 0 for a view
    only: str  # 'server' or 'embedded'; '' for both
    text: str

    @property
    def statements(self) -> list[str]:
        """The statements, in order, without empty ones."""
        return [part.strip() for part in _SEPARATOR.split(self.text) if part.strip()]

    @cached_property
    def checksum(self) -> str:
        """SHA-256 of the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def migrations(folder: Traversable = SQL / "migrations") -> list[Script]:
    """The numbered scripts that make the tables. Each statement must be repeatable (IF NOT EXISTS ...):
    a crash between two of them runs the whole script again.
    """
    found = []
    for file in folder.iterdir():
        match = _NUMBERED.fullmatch(file.name)
        assert match, f"{file.name}: a migration is NNNN_name.sql, or .server.sql, or .embedded.sql"
        found.append(Script(match[2], int(match[1]), match[3] or "", file.read_text("utf-8")))
    found.sort(key=lambda script: script.number)
    assert [script.number for script in found] == list(range(1, len(found) + 1)), "a number is missing"
    return found


def views(folder: Traversable = SQL / "views") -> list[Script]:
    """The views of bi, each after those that it reads; those with versions in both forms."""
    files = sorted(folder.iterdir(), key=lambda file: file.name)
    texts = with_versions({file.name.removesuffix(".sql"): file.read_text("utf-8") for file in files})
    reads = {name: (set(_READS.findall(text)) & set(texts)) - {name} for name, text in texts.items()}
    return [Script(name, 0, "", texts[name]) for name in TopologicalSorter(reads).static_order()]


def refreshes(folder: Traversable = SQL / "refreshes") -> list[Script]:
    """What computes hours and days from the facts, in order: each a view of the rows that are due, and what
    stores them every few minutes. Its statements must be repeatable.
    """
    files = sorted(folder.iterdir(), key=lambda file: file.name)
    return [Script(file.name.removesuffix(".sql"), 0, "", file.read_text("utf-8")) for file in files]


def migrate(
    client: Any,
    *,
    embedded: bool,
    dry_run: bool = False,
    scripts: list[Script] | None = None,
    view_scripts: list[Script] | None = None,
) -> list[Script]:
    """Bring the database up to date and return what was applied, or with `dry_run` what would be.

    Raises SinkRefused where the database is newer than this code, or where a migration that it has
    applied reads differently now.
    """
    scripts = migrations() if scripts is None else scripts
    view_scripts = [*refreshes(), *views()] if view_scripts is None else view_scripts
    if not dry_run:
        _run(client, Script("bootstrap", 0, "", (SQL / "bootstrap.sql").read_text("utf-8")))
    due = _due(scripts, _applied(client, "migrations", "number"), embedded)
    made = _applied(client, "view_versions", "name")
    due_views = [script for script in view_scripts if made.get(script.name) != script.checksum]
    if not dry_run:
        for script in due:
            _run(client, script)
            _record(
                client, "migrations (number, name, checksum)", script.number, script.name, script.checksum
            )
        for script in due_views:
            _run(client, script)
            _record(client, "view_versions (name, checksum)", script.name, script.checksum)
    return due + due_views


def _due(scripts: list[Script], applied: dict[Any, str], embedded: bool) -> list[Script]:
    newest = max(applied, default=0)
    if scripts and newest > scripts[-1].number:
        raise SinkRefused(
            f"The database is at migration {newest}, this version of Pathline knows {scripts[-1].number}",
            "install the version that wrote it, or a newer one",
        )
    due = []
    for script in scripts:
        if script.number not in applied:
            if script.only in ("", "embedded" if embedded else "server"):
                due.append(script)
        elif applied[script.number] != script.checksum:
            raise SinkRefused(
                f"Migration {script.number:04} ({script.name}) reads differently from when it was applied",
                "a migration is never edited: restore its text and add a new one",
            )
    return due


def _applied(client: Any, table: str, key: str) -> dict[Any, str]:
    there = "SELECT count() FROM system.tables WHERE database = 'pathline' AND name = {table:String}"
    if not client.query(there, parameters={"table": table}).result_rows[0][0]:
        return {}  # a dry run on a fresh database
    rows = client.query(f"SELECT {key}, checksum FROM pathline.{table} FINAL").result_rows  # noqa: S608
    return dict(rows)


def _run(client: Any, script: Script) -> None:
    for statement in script.statements:
        client.command(statement)


def _record(client: Any, into: str, *values: int | str) -> None:
    parameters = {f"p{place}": value for place, value in enumerate(values)}
    marks = ", ".join(
        f"{{{name}:{'UInt16' if isinstance(value, int) else 'String'}}}" for name, value in parameters.items()
    )
    client.command(f"INSERT INTO pathline.{into} SELECT {marks}", parameters=parameters)
