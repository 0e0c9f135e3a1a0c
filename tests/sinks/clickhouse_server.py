"""What stands for a ClickHouse server: the embedded engine in a process of its own, taking rows over HTTP.

A fair stand-in for SQL, types, engines and errors; not for replication, TLS or what several servers do. One
runs for all tests; each begins with an empty database.
"""

from __future__ import annotations

import atexit
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from clickhouse_connect import get_client

ROOT = Path(__file__).parents[2]
PASSWORD = "s3cret"


@cache
def port() -> int:
    """Where the server of this test process listens; started at the first call, ended with the process."""
    folder = tempfile.TemporaryDirectory(prefix="pathline-server-")
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.sinks.clickhouse_server", folder.name],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None

    def end() -> None:
        process.communicate(timeout=30)  # its input ends
        folder.cleanup()

    atexit.register(end)
    return int(process.stdout.readline())


def dsn(at: int, **options: object) -> str:
    """The server's DSN, through whatever listens at the port `at`."""
    more = "&".join(f"{name}={value}" for name, value in options.items())
    return f"clickhouse://pathline:{PASSWORD}@127.0.0.1:{at}" + (f"?{more}" if more else "")


def emptied() -> int:
    """The port of the server, which has no database of ours."""
    client = get_client(host="127.0.0.1", port=port(), password=PASSWORD, autogenerate_session_id=False)
    for database in ("bi", "pathline"):
        client.command(f"DROP DATABASE IF EXISTS {database} SYNC")
    client.close()
    return port()


def main(folder: str) -> None:
    """Serves until the input ends."""
    from sinks.clickhouse.client import connect, target
    from sinks.clickhouse.serve import Server

    where = target(f"chdb://{folder}/db")
    client = connect(where)
    server = Server(where, readonly=False, password=PASSWORD, queries_max=16)
    print(server.port, flush=True)
    sys.stdin.read()
    server.close()
    client.close()


if __name__ == "__main__":
    main(sys.argv[1])
