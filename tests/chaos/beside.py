"""What goes on beside a run that is killed: producers go on producing, and readers go on asking."""

from __future__ import annotations

import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Final

from sinks.clickhouse.serve_file import Served
from tests.chaos.stream import Stream
from tests.kafka.topics import Topics

AT_ONCE: Final = 40
"""Records that are produced and awaited together."""

MESSAGE_BYTES_MAX: Final = 3_000_000
ASKED_SECONDS_MAX: Final = 60.0

BALANCED: Final = "SELECT sum(received), countIf(balance != 0) FROM bi.conservation"
SLOW: Final = "SELECT sum(sleepEachRow(0.02)) FROM numbers(150)"
"""Takes three seconds."""


class Beside:
    """A thread that repeats `step` while the block runs; what it died of is raised by `check`."""

    def __init__(self) -> None:
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name=type(self).__name__, daemon=True)
        self._error: BaseException | None = None

    def step(self) -> bool:
        """Something to do now; False: there is nothing, for the moment."""
        raise NotImplementedError

    def check(self) -> None:
        """Raises what the thread has died of, if it has."""
        if self._error is not None:
            raise self._error

    def _go_on(self) -> None:
        try:
            while not self._done.is_set():
                if not self.step():
                    self._done.wait(0.02)
        except BaseException as error:
            self._error = error

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()
        if error is None:
            self.check()


class Feed(Beside):
    """Produces the stream in its order, each record with the time of its arrival, as far as it may. A broker
    that is killed is waited for: what it has not acknowledged is sent again, once (idempotence).
    """

    def __init__(self, broker: Topics, topic: str, stream: Stream) -> None:
        super().__init__()
        self._broker, self._topic, self._stream = broker, topic, stream
        self.produced = 0
        self.asked = 0  # produced, or about to be
        self._may = 0

    def allow(self, records: int) -> None:
        """So many records may have been produced, of all."""
        self._may = max(self._may, min(records, len(self._stream.sent)))

    @property
    def is_done(self) -> bool:
        return self.produced == len(self._stream.sent)

    def step(self) -> bool:
        chunk = self._stream.sent[self.produced : min(self.produced + AT_ONCE, self._may)]
        if not chunk:
            return False
        self.asked = self.produced + len(chunk)
        sizes = {"message.max.bytes": MESSAGE_BYTES_MAX}
        self._broker.produce(self._topic, [one.record() for one in chunk], **sizes)
        self.produced = self.asked
        return True


class Asker(Beside):
    """Asks the bridge, over and over: at no moment may a count fall, or a balance be other than 0."""

    def __init__(self, bridge: Callable[[], Served | None], asked: Callable[[], int]) -> None:
        super().__init__()
        self._bridge, self._asked = bridge, asked
        self.answers: Counter[str] = Counter()
        self._received = 0

    def step(self) -> bool:
        there = self._bridge()
        if there is None:
            return False
        told = ask(there, BALANCED)
        if told is None:
            self.answers["no answer"] += 1
            return False
        self.answers["answers"] += 1
        received, unbalanced = map(int, told.split())
        assert unbalanced == 0, f"{unbalanced} minutes of bi.conservation did not balance while it ran"
        assert self._received <= received, f"received fell from {self._received} to {received}"
        assert received <= self._asked(), f"received {received} of {self._asked()}"
        self._received = received
        time.sleep(0.1)
        return True


class SlowQuestion:
    """A question that is being answered when whoever answers it is killed: it must end, with an error."""

    def __init__(self, there: Served) -> None:
        self._there = there
        self._answer: str | None = ""
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()

    def _ask(self) -> None:
        try:
            self._answer = ask(self._there, SLOW)
        except AssertionError:  # it is on its way down, and says so
            self._answer = None

    @property
    def is_waiting(self) -> bool:
        return self._thread.is_alive()

    def was_lost(self) -> bool:
        """Whether it ended without an answer. Raises where it has not ended."""
        self._thread.join(ASKED_SECONDS_MAX)
        assert not self._thread.is_alive(), "a question waits for an answer from a process that is dead"
        return self._answer is None


def ask(there: Served, sql: str) -> str | None:
    """The answer to a statement; None where whoever answered went away. A refusal is raised."""
    request = urllib.request.Request(f"http://{there.host}:{there.port}/", sql.encode())
    request.add_header("X-ClickHouse-User", "chaos")
    request.add_header("X-ClickHouse-Key", there.password)
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never by a proxy
    try:
        with direct.open(request, timeout=ASKED_SECONDS_MAX) as reply:
            text: str = reply.read().decode()
            return text
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{sql}: {error.code} {error.read().decode(errors='replace')}") from None
    except (OSError, ValueError, EOFError):
        return None
    except Exception as error:  # http.client's own, for half a reply
        if type(error).__module__ == "http.client":
            return None
        raise
