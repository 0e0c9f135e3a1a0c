"""A receiver of HTTP on 127.0.0.1 that remembers what it was sent, and answers as it is told."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Receiver:
    """`status` 0 hangs up without an answer, after the request was taken."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"ok"
    requests: list[Request] = field(default_factory=list)

    def __enter__(self) -> Receiver:
        handler = type("Handler", (_Handler,), {"receiver": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    receiver: Receiver
    timeout = 10

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.receiver.requests.append(Request(self.command, self.path, headers, body))
        if not self.receiver.status:
            self.close_connection = True
            return
        self.send_response(self.receiver.status)
        for name, value in {**self.receiver.headers, "Content-Length": str(len(self.receiver.body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(self.receiver.body)

    do_GET = do_POST  # noqa: N815  the name is the base's

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the name is the base's
        """Nobody reads it."""
