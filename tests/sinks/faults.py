"""A proxy before a ClickHouse server that misbehaves as told, insert by insert."""

from __future__ import annotations

import http.client
import re
import socket
import threading
import time
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

HOST = "127.0.0.1"
INSERT = re.compile(r"INSERT INTO pathline\.(\w+) .* FORMAT Arrow")
"""Of a block: its bytes are the body."""


@dataclass(frozen=True)
class Fault:
    """What becomes of one insert."""

    answer: tuple[int, int, str] | None = None  # status, ClickHouse's code (0: none) and text, not forwarded
    hang_seconds: float = 0.0  # and then no answer
    delay_seconds: float = 0.0  # and then as usual
    keeps: int | None = None  # forwarded, but only so many bytes of the reply come back


BUSY = Fault(answer=(503, 0, "no server behind this proxy"))
LOST_REPLY = Fault(keeps=0)
CUT_REPLY = Fault(keeps=25)


def error(code: int, name: str, status: int = 500) -> Fault:
    """ClickHouse's own error."""
    return Fault(answer=(status, code, f"Code: {code}. DB::Exception: as the test wants it. ({name})"))


@dataclass(frozen=True)
class Insert:
    """An insert as it came."""

    table: str
    body: bytes
    fault: Fault | None


class FaultProxy:
    """Passes everything on to the server at `upstream`, but for inserts: those take the next of `faults`."""

    def __init__(self, upstream: int) -> None:
        self.upstream = upstream
        self.faults: deque[Fault | None] = deque()
        self.always: Fault | None = None
        self.everything = False
        """Also of what is no insert of a block."""
        self.inserts: list[Insert] = []
        self._server: _Server | None = None
        self.port = 0
        self.up()

    def up(self) -> None:
        """Listens (again), always at the same port."""
        self._server = _Server((HOST, self.port), _Handler)
        self._server.proxy = self
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def down(self) -> None:
        """Refuses connections, and ends those that there are."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
            server.hang_up()

    def inject(self, *faults: Fault | None) -> None:
        """What becomes of the next inserts, one each; None: they go through."""
        self.faults.extend(faults)

    def next(self) -> Fault | None:
        return self.faults.popleft() if self.faults else self.always


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    proxy: FaultProxy

    def __init__(self, *arguments: Any) -> None:
        self._open: set[socket.socket] = set()
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        for one in list(self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        self._pass_on(b"", None)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        insert = INSERT.match(dict(parse_qsl(urlsplit(self.path).query)).get("query", ""))
        if insert is None:
            if self.server.proxy.everything:
                self._misbehave(body, self.server.proxy.next() or Fault())
            else:
                self._pass_on(body, None)
            return
        fault = self.server.proxy.next()
        self.server.proxy.inserts.append(Insert(insert[1], body, fault))
        self._misbehave(body, fault or Fault())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    def _misbehave(self, body: bytes, fault: Fault) -> None:
        time.sleep(fault.delay_seconds)
        if fault.hang_seconds:
            time.sleep(fault.hang_seconds)
            self.close_connection = True
        elif fault.answer is not None:
            status, code, text = fault.answer
            headers = [("X-ClickHouse-Exception-Code", str(code))] if code else []
            self.wfile.write(_reply(status, headers, text.encode()))
        else:
            self._pass_on(body, fault.keeps)

    def _pass_on(self, body: bytes, keeps: int | None) -> None:
        connection = http.client.HTTPConnection(HOST, self.server.proxy.upstream, timeout=60)
        connection.request(self.command, self.path, body or None, dict(self.headers))
        response = connection.getresponse()
        headers = [pair for pair in response.getheaders() if pair[0].lower() != "content-length"]
        reply = _reply(response.status, headers, response.read())
        connection.close()
        self.wfile.write(reply[:keeps])
        self.close_connection = keeps is not None


def _reply(status: int, headers: Iterable[tuple[str, str]], body: bytes) -> bytes:
    lines = [f"HTTP/1.1 {status} As it is", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join([*lines, "", ""]).encode() + body
