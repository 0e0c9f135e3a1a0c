"""Alerts as the database has them."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import Final

from pipeline.alerts.alert import Alert, from_row
from pipeline.alerts.courier import CannotRead
from sinks.base import SinkRefused, SinkUnavailable
from sinks.clickhouse.client import target
from sinks.clickhouse.query import QueryRefused
from sinks.clickhouse.query import Reader as Connection
from sinks.clickhouse.serve_file import served

LATEST: Final = files("sinks.clickhouse") / "sql" / "alerts" / "latest.sql"


class DatabaseReader:
    """Reads `bi.alerts`, with a connection that it opens when it is asked, and again when one broke.

    An embedded database is only asked through the run that has it open, unless `opens` allows this process
    to: nobody else could open it meanwhile.
    """

    def __init__(self, dsn: str, *, opens: bool = False) -> None:
        """Raises SinkRefused for what is no DSN."""
        self._dsn = dsn
        self._path = target(dsn).path
        self._opens = opens
        self._connection: Connection | None = None

    def read(self, resolved_since: float, also: Sequence[str]) -> list[Alert]:
        """See `courier.Reader`."""
        sql = LATEST.read_text("utf-8")
        parameters = {"since": max(0, int(resolved_since)), "also": list(also)}
        try:
            return [from_row(row) for row in self._connected().query(sql, parameters).to_pylist()]
        except (SinkRefused, SinkUnavailable, QueryRefused, OSError) as error:
            self.close()  # a run that was started anew serves elsewhere
            raise CannotRead(_line(error)) from None

    def close(self) -> None:
        """Lets go; the next read connects again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _connected(self) -> Connection:
        if self._connection is None:
            if self._path is not None and not self._opens and served(self._path) is None:
                raise SinkUnavailable("no run has the embedded database open, so there is nobody to ask")
            self._connection = Connection(self._dsn)
        return self._connection


def _line(error: Exception) -> str:
    return str(error).splitlines()[0]
