"""Whether a run lives and whether it works, by its numbers; and the little server that says so.

Alive: every process that reads does something, be it trying a sink that is down. Only a process that does
nothing at all is to be started anew: that would mend neither the database nor the broker.
Ready: rows come through. The input was opened with its state, the sink acknowledges, and time goes on or
there is nothing to read.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from threading import Thread
from typing import Any, Final

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from pipeline.runtime import metrics
from pipeline.runtime.exposition import Exposition, Samples, text
from pipeline.runtime.metrics import Metric
from pipeline.runtime.numbers import Key

STUCK_SECONDS: Final = 300.0
"""So long a process may do nothing at all: several inserts of a minute each, or a snapshot of millions."""

UNACKNOWLEDGED_SECONDS: Final = 60.0
"""So long the sink may take to acknowledge what it was given, and be called a sink."""

STILL_SECONDS: Final = 60.0
"""So long the watermark may stand still although there are records to read."""

NO_LISTENER: Final = "none"
LISTENER_DEFAULT: Final = "127.0.0.1:9464"


@dataclass(frozen=True)
class Verdict:
    """What is to be said of a run; `reasons` are what it lacks, in words."""

    alive: bool
    ready: bool
    reasons: tuple[str, ...]


def judge(processes: Mapping[str, Mapping[Key, float]], samples: Samples, now: float) -> Verdict:
    """The verdict on a run by what its processes tell, and by that together."""
    stuck = [reason for process, numbers in processes.items() if (reason := _stuck(process, numbers, now))]
    lacks = [*stuck, *_not_ready(samples)]
    return Verdict(not stuck, not lacks, tuple(lacks))


def _stuck(process: str, numbers: Mapping[Key, float], now: float) -> str | None:
    """A process whose parts of the input have all come to their end may wait for the others."""
    idle = [value for (name, *_), value in numbers.items() if name == metrics.IDLE.name]
    moved = numbers.get((metrics.MOVED_AGE.name, process), 0.0)
    if (metrics.INPUT_AGE.name, process) not in numbers or (idle and all(idle)):
        return None
    still = now - moved
    return f"process {process} has done nothing for {still:.0f} s" if still > STUCK_SECONDS else None


def _not_ready(samples: Samples) -> list[str]:
    lacks = []
    if not samples.get(metrics.INPUT_AGE.name):
        lacks.append("it is starting: nothing was read yet")
    waited = _most(samples, metrics.UNACKNOWLEDGED_AGE)
    if waited > UNACKNOWLEDGED_SECONDS:
        retries = samples.get(metrics.SINK_RETRIES.name, {})
        tried = ", ".join(f"{count:.0f} × {code}" for (code,), count in sorted(retries.items()))
        lacks.append(
            f"the sink has acknowledged nothing for {waited:.0f} s"
            + (f" (retries: {tried})" if tried else "")
        )
    if reason := _time_stands_still(samples):
        lacks.append(reason)
    return lacks


def _time_stands_still(samples: Samples) -> str | None:
    """One partition that moves is enough: the others may wait for it."""
    idle = samples.get(metrics.IDLE.name, {})
    lag = samples.get(metrics.CONSUMER_LAG.name, {})
    still = samples.get(metrics.WATERMARK_AGE.name, {})
    reading = [who for who, is_idle in idle.items() if not is_idle and lag.get(who) != 0]
    ages = [still[who] for who in reading if who in still]
    if not ages or min(ages) <= STILL_SECONDS:
        return None
    behind = sum(lag.values())
    return f"no watermark has moved for {min(ages):.0f} s" + (
        f", and {behind:,.0f} records wait" if behind else ""
    )


def _most(samples: Samples, metric: Metric) -> float:
    return max(samples.get(metric.name, {}).values(), default=0.0)


def look(exposition: Exposition, now: float | None = None) -> tuple[Verdict, Samples]:
    """The verdict on the run in a state folder, and all its numbers."""
    now = time.time() if now is None else now
    samples = exposition.samples(now)
    verdict = judge(exposition.processes(), samples, now)
    samples[metrics.ALIVE.name] = {(): float(verdict.alive)}
    samples[metrics.READY.name] = {(): float(verdict.ready)}
    return verdict, samples


class BadListener(Exception):  # noqa: N818  the word that users read
    """There is no listening where it was wanted: a message and the way out."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.hint = "--listen HOST:PORT names another place, --listen none does without"


def address(listen: str) -> tuple[str, int] | None:
    """Where to listen; None for nowhere. Raises BadListener."""
    if listen == NO_LISTENER:
        return None
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise BadListener(f"--listen: {listen!r} is no HOST:PORT, like {LISTENER_DEFAULT}")
    return host.strip("[]"), int(port)


class Server:
    """Answers GET on /healthz, /readyz and /metrics, in a thread, until it is closed."""

    def __init__(self, host: str, port: int, exposition: Exposition) -> None:
        """Listens from now on. Raises BadListener."""
        handler = type("Handler", (_Handler,), {"exposition": exposition})
        try:
            self._server = (_Server6 if ":" in host else _Server)((host, port), handler)
        except OSError as error:
            raise BadListener(f"--listen: {host}:{port}: {error.strerror or error}") from None
        self.port = int(self._server.server_address[1])
        self._thread = Thread(target=self._server.serve_forever, args=(0.1,), name="health", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True  # of a run that was just killed; not of one that lives

    def server_bind(self) -> None:
        """Without the base's look at DNS for the name of the host, which can take a long time to fail."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever asked has gone: nobody needs to know."""


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Handler(BaseHTTPRequestHandler):
    exposition: Exposition
    server_version = "pathline"
    sys_version = ""
    timeout = 10

    def do_GET(self) -> None:
        verdict, samples = look(self.exposition)
        match self.path.partition("?")[0]:
            case "/healthz":
                self._answer(200 if verdict.alive else 503, _said(verdict), "application/json")
            case "/readyz":
                self._answer(200 if verdict.ready else 503, _said(verdict), "application/json")
            case "/metrics":
                self._answer(200, text(samples), CONTENT_TYPE_PLAIN_0_0_4)
            case _:
                self._answer(404, b"/healthz, /readyz or /metrics\n", "text/plain")

    def _answer(self, code: int, body: bytes, kind: str) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the name is the base's
        """A probe every second is no news."""


def _said(verdict: Verdict) -> bytes:
    return json.dumps(asdict(verdict)).encode() + b"\n"
