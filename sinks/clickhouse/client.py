"""One way to a ClickHouse: the engine in this process or in another, or a server, by the same driver."""

from __future__ import annotations

import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

import clickhouse_connect
from clickhouse_connect.driver.exceptions import ClickHouseError
from clickhouse_connect.driver.httputil import get_pool_manager

from sinks.base import SinkRefused, SinkUnavailable, mask_dsn
from sinks.clickhouse.errors import RETRYABLE_CODES, error_code, first_line, is_transient, refusal
from sinks.clickhouse.serve_file import Served, served

# What the driver logs it raises as well: where nobody handles that, Python prints it, tracebacks and all.
logging.getLogger("clickhouse_connect").addHandler(logging.NullHandler())

TIMEOUT_SECONDS: Final = 60
ASKING_SECONDS: Final = 90
"""Longer than the process that we ask lets a query run: its word on that says more than our own."""
PORT: Final = 8123
INSERTS_FOLDER: Final = "inserts"
"""Below the database: blocks on their way into the embedded engine. Whatever is left there at a start
was never acknowledged."""

ENGINE_OPTIONS: Final = {"os_threads_nice_value_merge_mutate": "5"}
"""Of the embedded engine, where the DSN says nothing else. It shares its cores with the pipeline: merges can
wait, rows that somebody looks for cannot. Merges still get a quarter of a core that others want.
"""


@dataclass(frozen=True)
class Target:
    """Where a DSN leads: the embedded engine in `path`, or a server."""

    dsn: str
    path: Path | None

    @property
    def embedded(self) -> bool:
        """True for the engine in this process."""
        return self.path is not None

    @property
    def shown(self) -> str:
        """The DSN as it may be shown."""
        return mask_dsn(self.dsn)


def target(dsn: str) -> Target:
    """Read a `chdb:`, `clickhouse:`, `http:` or `https:` DSN, or raise SinkRefused."""
    try:
        parts = urlsplit(dsn)
        _ = parts.port
    except ValueError as error:
        raise SinkRefused(f"Not a DSN: {mask_dsn(dsn)}: {error}", "the port must be a number") from None
    if parts.scheme == "chdb":
        where = unquote(parts.netloc + parts.path)
        if where in ("", "/", "memory", ":memory:"):
            raise SinkRefused(f"{dsn} names no directory", "chdb:///absolute/path or chdb://relative/path")
        return Target(dsn, Path(where).expanduser().resolve())
    if not parts.hostname:
        raise SinkRefused(f"{mask_dsn(dsn)} names no host", "clickhouse://user:password@host:8123")
    return Target(dsn, None)


def same_place(one: Target, other: Target) -> bool:
    """Whether both lead to the same database: a server has one of ours, whatever name the DSN has for it."""
    if one.path or other.path:
        return one.path == other.path
    places = [urlsplit(where.dsn) for where in (one, other)]
    hosts = {(place.hostname, place.port or PORT) for place in places}
    return len(hosts) == 1


def connect(where: Target, *, readonly: bool = False) -> Any:
    """A client of `where`, which must answer. Raises SinkRefused where it will not have us, SinkUnavailable
    where it cannot just now.

    A reader of an embedded database that another process serves asks that process.
    """
    if readonly and where.path and (client := _asking(where.path)) is not None:
        return client
    try:
        return _embedded(where, readonly) if where.path else _server(where, readonly)
    except ClickHouseError as error:
        if error_code(error) in RETRYABLE_CODES:
            raise SinkUnavailable(f"{where.shown}: {first_line(error, where.dsn)}") from None
        raise _no_connection(where, error) from None
    except OSError as error:
        raise SinkRefused(f"{where.shown}: {error}", "the directory must be writable by this user") from None


def _embedded(where: Target, readonly: bool) -> Any:
    assert where.path is not None
    if readonly and not where.path.is_dir():
        raise SinkRefused(
            f"{where.shown}: there is no database", "it is made by the first run that writes to it"
        )
    where.path.mkdir(parents=True, exist_ok=True)
    options = _options(where)
    # Each client is a handle with settings of its own on one engine: a read-only handle stays read-only.
    return clickhouse_connect.get_client(
        interface="chdb",
        path=str(where.path),
        settings={"readonly": "1"} if readonly else {},
        chdb_options=options,
    )


def _asking(path: Path) -> Any:
    """A client of the process that serves the database in `path`; None where there is none that answers."""
    there = served(path)
    if there is None or there.is_ours:
        return None
    try:
        return clickhouse_connect.get_client(
            host=there.host,
            port=there.port,
            username="pathline",
            password=there.password,
            connect_timeout=2,
            send_receive_timeout=ASKING_SECONDS,
            compress=False,
            autogenerate_session_id=False,
            show_clickhouse_errors="scrub",
            pool_mgr=get_pool_manager(),  # never through a proxy that the environment names
        )
    except ClickHouseError:
        return None  # it has just ended, or is not the one it was: the engine will say whether we may


def _server(where: Target, readonly: bool) -> Any:
    parts = urlsplit(where.dsn)
    options: dict[str, Any] = {key: values[0] for key, values in parse_qs(parts.query).items()}
    secure = str(options.pop("secure", "")).lower() in ("1", "true", "yes")
    if parts.scheme == "https" or secure or parts.port in (443, 8443):
        options["interface"] = "https"
    # Databases are `pathline` and `bi` whatever the DSN names, and at the first start neither exists yet.
    options.pop("database", None)
    defaults: dict[str, Any] = {"connect_timeout": 10, "send_receive_timeout": TIMEOUT_SECONDS}
    return clickhouse_connect.get_client(
        host=parts.hostname,
        port=parts.port,
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else "",
        settings={"readonly": "2"} if readonly else {},  # 1 would refuse the driver's own settings
        autogenerate_session_id=False,  # one session runs one statement at a time
        **(defaults | options),
    )


def location(where: Target) -> str:
    """The embedded database as the engine calls it: its handles in one process must all say it alike."""
    assert where.path is not None
    options = _options(where)
    return f"{where.path}?{urlencode(options)}"


def _options(where: Target) -> dict[str, str]:
    asked = parse_qs(urlsplit(where.dsn).query)
    return ENGINE_OPTIONS | {key: values[0] for key, values in asked.items()}


def clean_inserts(where: Target) -> Path | None:
    """An empty folder for blocks on their way into the embedded engine; None for a server."""
    if where.path is None:
        return None
    folder = where.path / INSERTS_FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def _no_connection(where: Target, error: ClickHouseError) -> SinkRefused | SinkUnavailable:
    """A server that does not answer may well be away: whoever has written to it before waits, whoever starts
    for the first time is told where to look.
    """
    text = str(error)
    if where.embedded and "already initialized with path" in text:
        return SinkRefused(
            f"{where.shown}: this process has another embedded database open",
            "one process can open one embedded database at a time: close the other first",
        )
    if where.path and "EmbeddedServer" in text:
        return _locked(where.shown, served(where.path))
    said = f"No connection to {where.shown}: {first_line(error, where.dsn)}"
    hint = "check host, port, and whether the server runs"
    if not where.embedded and is_transient(error):
        return SinkUnavailable(f"{said}\n  hint: {hint}")
    return refusal(error, where.dsn) or SinkRefused(said, hint)


def _locked(shown: str, there: Served | None) -> SinkRefused:
    if there is not None:
        return SinkRefused(
            f"{shown} cannot be opened: process {there.pid} has it open",
            "stop that one first; meanwhile `pathline query`, `show` and `explain` ask it",
        )
    return SinkRefused(
        f"{shown} cannot be opened: another process has it open, or it is damaged",
        "one process at a time can open an embedded database: stop the other, or try again when it has ended",
    )
