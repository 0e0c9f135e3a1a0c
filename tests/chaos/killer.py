"""Who is killed when: drawn from a seed before anything runs, and dealt as the run comes along.

Moments count in records, as the run's progress decides and not the clock; within an epoch, and after a kill
that is followed by another at once, in fractions of seconds.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from typing import Final

from tests.chaos.beside import Feed, SlowQuestion
from tests.chaos.run import Operator
from tests.kafka.broker import Broker
from tests.kafka.docker import DockerBroker

VICTIMS: Final = ("worker", "cluster", "broker", "bridge")

SOON: Final = 0.3
"""Share of the kills that come right after the one before: into a start, a recovery, an outage."""

SOON_SECONDS_MAX: Final = 5.0
EPOCH_SECONDS: Final = 0.1
AWAY_SECONDS_MAX: Final = 4.0
JUST_NOW_SECONDS: Final = 30.0
"""A command may say so long after it that it found no broker."""

MIGRATING_SECONDS: Final = (0.6, 2.2)
"""The first command of all makes the tables about then."""

AHEAD: Final = 1.5
"""Producers are ahead of the next kill by so many of the steps between two kills."""


@dataclass(frozen=True)
class Kill:
    """One kill: when so many records were received (None: right after the kill before), and so many seconds
    later.
    """

    number: int
    victim: str
    at_records: int | None
    after_seconds: float
    by_name: bool  # of a cluster: every process, else the one that the others hang on
    away_seconds: float  # of a broker
    which: int  # of the workers


@dataclass(frozen=True)
class Dealt:
    """A kill that was dealt: at how many records, and what of."""

    kill: Kill
    received: int
    what: str
    seconds: float  # since the first start


def plan(seed: int, kills: int, records: int) -> list[Kill]:
    """The kills of a run over so many records: the first in the midst of migrations, the second in the first
    epoch, every victim as often as the others.
    """
    random = Random(f"kills/{seed}")
    step = records / (kills + 1)
    planned: list[Kill] = []
    for number, victim in enumerate(_victims(random, kills), start=1):
        at, after = int(step * (number + random.uniform(-0.5, 0.5))), random.uniform(0, 3 * EPOCH_SECONDS)
        if number == 1:
            at, after = 0, random.uniform(*MIGRATING_SECONDS)
        elif number == 2:
            at, after = 1, random.uniform(0, EPOCH_SECONDS)
        elif planned[-1].at_records is not None and number > 3 and random.random() < SOON:
            at, after = None, random.uniform(0, SOON_SECONDS_MAX)  # type: ignore[assignment]
        away = random.uniform(0, AWAY_SECONDS_MAX)
        planned.append(Kill(number, victim, at, after, random.random() < 0.5, away, random.randrange(64)))
    return planned


def _victims(random: Random, kills: int) -> Iterator[str]:
    """All of them by turns, each turn in an order of its own but for the first, which begins with migrations
    and a first epoch.
    """
    turn = [*random.sample(("broker", "bridge"), 2), "worker", "cluster"]
    for _ in range(kills):
        yield turn.pop()
        turn = turn or random.sample(VICTIMS, len(VICTIMS))


class Killer:
    """Deals the kills to a run, its broker and whoever answers for it."""

    def __init__(self, operator: Operator, broker: Broker | DockerBroker, feed: Feed) -> None:
        self._operator, self._broker, self._feed = operator, broker, feed
        self._back: threading.Thread | None = None
        self._back_at = float("-inf")
        self._began = time.monotonic()
        self.lost_questions = 0
        self.victims: Counter[str] = Counter()

    @property
    def _is_broker_away(self) -> bool:
        return self._back is not None and self._back.is_alive()

    @property
    def may_find_no_broker(self) -> bool:
        """Whether the broker is away, or was until a moment ago."""
        return self._is_broker_away or time.monotonic() < self._back_at + JUST_NOW_SECONDS

    def deal(self, kills: Sequence[Kill], records: int) -> Iterator[Dealt]:
        """Kills one after the other; the run goes on between them, and after the last."""
        step = records / (len(kills) + 1)
        for kill in kills:
            self._feed.allow(int(step * (kill.number + AHEAD)))
            if kill.at_records is not None:
                due = kill.at_records
                self._operator.until(lambda due=due: self.is_at(due), f"{due} records")
            self._pause(kill.after_seconds)
            received = self._operator.received()
            what = getattr(self, f"_kill_{kill.victim}")(kill)
            self.victims[kill.victim] += 1
            yield Dealt(kill, received, what, time.monotonic() - self._began)

    def is_at(self, records: int) -> bool:
        """Whether the run has received so many."""
        self._feed.check()
        return self._operator.received() >= records

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        self._operator.until(lambda: time.monotonic() >= until, "time to pass")

    def _kill_worker(self, kill: Kill) -> str:
        workers = self._operator.until(self._operator.workers, "a worker to kill")
        place = kill.which % len(workers)
        with suppress(ProcessLookupError):
            os.kill(workers[place], signal.SIGKILL)
        return f"worker {place}"

    def _kill_cluster(self, kill: Kill) -> str:
        killed = self._operator.kill_all(by_name=kill.by_name)
        self._operator.start()
        return f"all {len(killed)} processes" if kill.by_name else "the process that the others hang on"

    def _kill_broker(self, kill: Kill) -> str:
        self.broker_is_back()
        self._broker.kill()
        self._back = threading.Thread(target=self._bring_back, args=(kill.away_seconds,), daemon=True)
        self._back.start()
        return f"broker, away for {kill.away_seconds:.1f} s"

    def _bring_back(self, after_seconds: float) -> None:
        time.sleep(after_seconds)
        self._broker.restart()
        self._back_at = time.monotonic()

    def broker_is_back(self) -> None:
        """Waits until the broker answers again."""
        if self._back is not None:
            self._operator.until(lambda: not self._is_broker_away, "the broker to come back")
            self._back = None

    def settle(self) -> None:
        """However it went: what was killed outside the run is back when this returns."""
        if self._back is not None:
            self._back.join()

    def _kill_bridge(self, kill: Kill) -> str:
        there = self._operator.until(self._operator.bridge, "a process that serves the database")
        question = SlowQuestion(there)
        time.sleep(kill.away_seconds / AWAY_SECONDS_MAX)
        waited = question.is_waiting
        with suppress(ProcessLookupError):
            os.kill(there.pid, signal.SIGKILL)
        assert question.was_lost() or not waited, "who was killed has answered"
        self.lost_questions += waited
        return "bridge" + ", amid a question" * waited
