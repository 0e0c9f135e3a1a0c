"""Serving an embedded database beside the work of the process that has it open."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from sinks.clickhouse.client import Target, target
from sinks.clickhouse.serve import HOST, Server
from sinks.clickhouse.serve_file import Served, announce, withdraw


class Serving:
    """Serves the open database `where` and tells others so, until `close`. Neither ever raises: whoever runs
    a pipeline must not fail because nobody can look at it. What went wrong is in `problem`.

    With a `port` or a `password` of its own a BI tool finds the same door at every start.
    """

    def __init__(self, where: Target, port: int = 0, password: str | None = None) -> None:
        self._where = where
        self._server: Server | None = None
        self.here: Served | None = None
        self.problem: Exception | None = None
        try:
            assert where.path is not None, "a server serves itself"
            secret = password or secrets.token_urlsafe(24)
            self._server = Server(where, port=port, password=secret)
            self.here = Served(HOST, self._server.port, secret, os.getpid())
            announce(where.path, self.here)
        except Exception as error:
            self.problem = error
            self.close()

    def close(self) -> None:
        """Ends it, with what is being asked. Safe to repeat."""
        server, here = self._server, self.here
        self._server = self.here = None
        try:
            if here is not None and self._where.path is not None:
                withdraw(self._where.path, here)
            if server is not None:
                server.close()
        except Exception as error:
            self.problem = error


@contextmanager
def serving(dsn: str, port: int = 0, password: str | None = None) -> Iterator[Serving]:
    """Serves the embedded database `dsn`, which this process has open, for as long as the block runs."""
    served_here = Serving(target(dsn), port, password)
    try:
        yield served_here
    finally:
        served_here.close()
