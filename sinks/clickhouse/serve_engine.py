"""Answers from the embedded engine of this process, each on a handle of its own.

A handle is a session: what a client sets, uses or makes temporary is gone with the answer (opening one costs
a millisecond). A reader's handle is limited and read-only before it meets the statement, and cannot be
freed from that.
"""

from __future__ import annotations

import json
import re
import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final

from chdb.state import connect

from sinks.clickhouse.query import QueryRefused, refuse_unless_read
from sinks.clickhouse.serve_errors import Refused, refused
from sinks.clickhouse.serve_request import Request
from sinks.clickhouse.serve_rules import HARMLESS, LIMITS, TRANSPORT, refuse_unless_harmless

QUERIES_MAX: Final = 4
"""At once; the pipeline runs on the same cores."""

WAIT_SECONDS: Final = 5.0
"""So long a query waits for its turn before it is told that too many are running."""

CLOSE_SECONDS: Final = 5.0
"""So long a query may take to die when the server closes."""

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FORMAT: Final = re.compile(r"\bFORMAT\s+(\w+)\s*;?\s*$", re.IGNORECASE)
_DESCRIBABLE: Final = re.compile(r"\s*\(*\s*(SELECT|WITH)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Answer:
    """What came of a statement."""

    data: bytes
    format: str | None  # None where a statement gives no rows
    rows: int
    rows_read: int
    bytes_read: int
    rows_written: int
    bytes_written: int
    seconds: float


class Engine:
    """The embedded engine that this process has open at `location` (a path, with chdb's options)."""

    def __init__(
        self,
        location: str,
        *,
        readonly: bool,
        inserts: Path | None = None,
        queries_max: int = QUERIES_MAX,
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        assert readonly or inserts is not None, "a writer needs a folder for blocks on their way"
        self._location = location
        self._readonly = readonly
        self._inserts = inserts
        self._numbers = count(1)
        self._queries_max, self._wait_seconds = queries_max, wait_seconds
        self._slots = threading.Semaphore(queries_max)
        self._state = threading.Condition()
        self._running = 0
        self._closed = False
        self._mark = f"pathline-serve-{secrets.token_hex(8)}"
        if inserts is not None:
            shutil.rmtree(inserts, ignore_errors=True)
            inserts.mkdir()

    def answer(self, request: Request) -> Answer:
        """Runs the request's statement. Raises Refused."""
        if not self._slots.acquire(timeout=self._wait_seconds):
            raise Refused(202, f"Too many simultaneous queries: {self._queries_max} are running, try again")
        try:
            with self._handle() as handle:
                readonly = self._readonly or not request.may_write
                if readonly:
                    refuse_unless_harmless(handle, request.statement)
                self._prepare(handle, request, readonly)
                return self._run(handle, request)
        except (RuntimeError, ValueError) as error:  # what the engine raises; ValueError: a NUL in a text
            raise refused(error) from None
        finally:
            self._slots.release()

    def close(self) -> None:
        """Cancels what runs, and returns when no handle is open any more (or after CLOSE_SECONDS)."""
        deadline = time.monotonic() + CLOSE_SECONDS
        with self._state:
            self._closed = True
            while self._running and (left := deadline - time.monotonic()) > 0:
                self._cancel()
                self._state.wait(min(left, 0.1))
        if self._inserts is not None:
            shutil.rmtree(self._inserts, ignore_errors=True)

    @contextmanager
    def _handle(self) -> Iterator[Any]:
        with self._state:
            if self._closed:
                raise Refused(210, "The server is closing")
            self._running += 1
        try:
            handle = connect(self._location)
            try:
                yield handle
            finally:
                handle.close()
        finally:
            with self._state:
                self._running -= 1
                self._state.notify_all()

    def _cancel(self) -> None:
        handle = connect(self._location)
        handle.query(f"KILL QUERY WHERE Settings['log_comment'] = '{self._mark}' ASYNC")
        handle.close()

    def _prepare(self, handle: Any, request: Request, readonly: bool) -> None:
        if request.database:
            name = request.database.replace("\\", "\\\\").replace("`", "\\`")
            handle.query(f"USE `{name}`")
        given = {key: value for key, value in request.settings.items() if key not in TRANSPORT}
        if readonly:
            given = {key: value for key, value in given.items() if key in HARMLESS} | LIMITS
        given["log_comment"] = self._mark
        if readonly:
            given["readonly"] = "1"
        if wrong := [key for key in given if not _NAME.fullmatch(key)]:
            raise Refused(115, f"Unknown setting {wrong[0]!r}. (UNKNOWN_SETTING)")
        handle.query("SET " + ", ".join(f"{key} = {_quoted(value)}" for key, value in given.items()))

    def _run(self, handle: Any, request: Request) -> Answer:
        began = time.monotonic()
        if request.data is not None:
            result, data, form = self._insert(handle, request.statement, request.data), b"", None
        else:
            named = _FORMAT.search(request.statement)
            form = (named[1] if named else request.format) if _gives_rows(request.statement) else None
            result = handle.query(request.statement, request.format, params=dict(request.parameters))
            data = result.bytes()
            if form == "Native" and not data:
                data = _no_rows(handle, request)
        return Answer(
            data, form, result.rows_read() if form else 0, result.storage_rows_read(),
            result.storage_bytes_read(), result.rows_written(), result.bytes_written(),
            time.monotonic() - began,
        )  # fmt: skip

    def _insert(self, handle: Any, statement: str, data: bytes) -> Any:
        """The rows go by a file: text and bytes cannot share a statement here."""
        assert self._inserts is not None, "only a writer's request has data"
        named = _FORMAT.search(statement)
        assert named, statement
        path = self._inserts / f"{next(self._numbers)}"
        try:
            path.write_bytes(data)
            head = statement[: named.start()]
            return handle.query(f"{head} FROM INFILE {_quoted(str(path))} FORMAT {named[1]}", "TabSeparated")
        finally:
            path.unlink(missing_ok=True)


def _gives_rows(statement: str) -> bool:
    try:
        refuse_unless_read(statement)
    except QueryRefused:
        return False
    return True


def _no_rows(handle: Any, request: Request) -> bytes:
    """The header of a Native block without rows: a server sends it, the engine leaves it out."""
    statement = _FORMAT.sub("", request.statement).rstrip().rstrip(";")
    if not _DESCRIBABLE.match(statement):
        return b""
    told = handle.query(f"DESCRIBE (\n{statement}\n)", "JSONCompact", params=dict(request.parameters))
    columns = [(name.encode(), type_.encode()) for name, type_, *_ in json.loads(told.bytes())["data"]]
    texts = b"".join(_varint(len(text)) + text for column in columns for text in column)
    return _varint(len(columns)) + _varint(0) + texts


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
