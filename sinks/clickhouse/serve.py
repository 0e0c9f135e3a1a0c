"""ClickHouse's HTTP protocol over the embedded engine, on this machine only.

The engine belongs to one process. While that runs, everybody else asks it here: `pathline query`, and every
BI tool that speaks to a ClickHouse server over HTTP. Readers can change nothing and are limited
(serve_rules.py).
"""

from __future__ import annotations

import hmac
import json
import socket
import threading
import uuid
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import urlsplit

from sinks.clickhouse.client import INSERTS_FOLDER, Target, location
from sinks.clickhouse.serve_engine import QUERIES_MAX, WAIT_SECONDS, Answer, Engine
from sinks.clickhouse.serve_errors import Refused
from sinks.clickhouse.serve_request import encoded, encoding_of, password_of, read_request

HOST: Final = "127.0.0.1"
HOSTS: Final = frozenset({HOST, "localhost"})
"""Names by which a request may ask for us: a web page that makes its own name lead here asks by that."""

CONNECTIONS_MAX: Final = 64
IDLE_SECONDS: Final = 60.0
POLL_SECONDS: Final = 0.1
"""So often it looks whether it shall close."""

QUESTION_BYTES_MAX: Final = 16 << 20
BLOCK_BYTES_MAX: Final = 1 << 30


class Server:
    """Serves the embedded database `where`, which this process has open, until `close`.

    With a `password` every statement must bring it, under any user name. `readonly=False` lets clients write:
    then it stands for a ClickHouse server, in tests.
    """

    def __init__(
        self,
        where: Target,
        *,
        readonly: bool = True,
        port: int = 0,
        password: str | None = None,
        queries_max: int = QUERIES_MAX,
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        assert where.path is not None, "a server serves itself"
        inserts = None if readonly else where.path / f"{INSERTS_FOLDER}-served"
        self._http = _Http((HOST, port), _Handler)
        self._http.engine = Engine(
            location(where),
            readonly=readonly,
            inserts=inserts,
            queries_max=queries_max,
            wait_seconds=wait_seconds,
        )
        self._http.password = password
        self._http.body_bytes_max = QUESTION_BYTES_MAX if readonly else BLOCK_BYTES_MAX
        self._thread = threading.Thread(
            target=self._http.serve_forever, args=(POLL_SECONDS,), name="serve", daemon=True
        )
        self._thread.start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._http.server_port)

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{HOST}:{self.port}"

    def close(self) -> None:
        """Stops listening, cancels what runs and lets go of the engine. Safe to repeat."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
        self._http.engine.close()
        self._http.hang_up()


class _Http(ThreadingHTTPServer):
    """A thread per connection, up to a number of them."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = CONNECTIONS_MAX
    engine: Engine
    password: str | None
    body_bytes_max: int

    def __init__(self, *arguments: Any) -> None:
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(*arguments)

    def server_bind(self) -> None:
        # not HTTPServer's: that looks up a name for our address, which can take seconds
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = self.server_address = self.socket.getsockname()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            crowded = len(self._open) >= CONNECTIONS_MAX
            if not crowded:
                self._open.add(request)
        if crowded:
            self.shutdown_request(request)
        else:
            super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """Ends the connections that clients keep open, after the answers that are on their way."""
        with self._lock:
            for one in self._open:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RD)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away in the middle is no news for whoever runs the pipeline."""


class _Handler(BaseHTTPRequestHandler):
    """One connection. Only what a client of the protocol needs; nothing for browsers, so no CORS."""

    protocol_version = "HTTP/1.1"
    server_version = "Pathline"
    sys_version = ""
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body leave together, by one flush
    timeout = IDLE_SECONDS
    server: _Http

    def do_GET(self) -> None:
        self._answer(b"")

    def do_HEAD(self) -> None:
        self._send(200, b"", {})

    def do_POST(self) -> None:
        try:
            body = self._body()
        except Refused as said:
            self.close_connection = True  # what is left of the body would be taken for a request
            self._refuse(said)
        else:
            self._answer(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Statements may name visitors: nothing is logged."""

    def _answer(self, body: bytes) -> None:
        url = urlsplit(self.path)
        try:
            self._refuse_strangers(url.query, url.path)
            if url.path in ("/ping", "/replicas_status") or (url.path == "/" and not url.query and not body):
                self._send(200, b"Ok.\n", {})
            elif url.path != "/":
                self._send(404, b"There is nothing here\n", {})
            else:
                request = read_request(self.command, url.query, self.headers, body)
                answer = self.server.engine.answer(request)
                self._send_rows(answer, encoding_of(request, self.headers))
        except Refused as said:
            self._refuse(said)
        except (OSError, TimeoutError):
            self.close_connection = True  # the client has gone
        except Exception as error:
            self._refuse(Refused(1002, f"A fault in Pathline's server: {type(error).__name__}: {error}"))

    def _refuse_strangers(self, query: str, path: str) -> None:
        name = self.headers.get("Host", "").rpartition(":")[0] or self.headers.get("Host", "")
        if name not in HOSTS:
            raise Refused(497, f"Not served under the name {name!r}, only as {' or '.join(sorted(HOSTS))}")
        if self.server.password is None or path == "/ping":
            return
        given = password_of(query, self.headers)
        if given is None:
            raise Refused(194, "A password is required. (REQUIRED_PASSWORD)")
        if not hmac.compare_digest(given.encode(), self.server.password.encode()):
            raise Refused(516, "Authentication failed: password is incorrect. (AUTHENTICATION_FAILED)")

    def _body(self) -> bytes:
        most = self.server.body_bytes_max
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return b"".join(self._chunks(most))
        try:
            length = int(self.headers.get("Content-Length", 0))
        except ValueError:
            length = -1
        if not 0 <= length <= most:
            raise Refused(307, f"The body is {length} bytes, and may have {most}")
        body = self.rfile.read(length)
        if len(body) < length:
            raise Refused(246, "The body is cut")
        return body

    def _chunks(self, most: int) -> list[bytes]:
        chunks: list[bytes] = []
        while True:
            try:
                length = int(self.rfile.readline(1000).partition(b";")[0], 16)
            except ValueError:
                raise Refused(246, "The body is cut, or not in chunks") from None
            most -= length
            if most < 0:
                raise Refused(307, f"The body has more than {self.server.body_bytes_max} bytes")
            chunks.append(self.rfile.read(length))
            if len(chunks[-1]) < length:
                raise Refused(246, "The body is cut")
            self.rfile.readline(1000)
            if not length:
                return chunks

    def _send_rows(self, answer: Answer, coding: str | None) -> None:
        summary = {
            "read_rows": answer.rows_read, "read_bytes": answer.bytes_read,
            "written_rows": answer.rows_written, "written_bytes": answer.bytes_written,
            "result_rows": answer.rows, "result_bytes": len(answer.data),
            "elapsed_ns": int(answer.seconds * 1e9),
        }  # fmt: skip
        headers = {
            "X-ClickHouse-Summary": json.dumps({key: str(value) for key, value in summary.items()}),
            "X-ClickHouse-Query-Id": str(uuid.uuid4()),
        }
        if answer.format is not None:
            headers["X-ClickHouse-Format"] = answer.format
        data = answer.data
        if coding and data:
            data, headers["Content-Encoding"] = encoded(data, coding), coding
        self._send(200, data, headers)

    def _refuse(self, said: Refused) -> None:
        self._send(said.status, said.text.encode() + b"\n", {"X-ClickHouse-Exception-Code": str(said.code)})

    def _send(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=UTF-8")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()
