"""The courier: sees what is new in `bi.alerts` and tells each route what it has not had yet.

At least once: a crash between sending and writing that down sends the same again, with the same key. Each
route is served by a thread of its own, so one that is down or slow hinders no other.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from functools import partial
from threading import Event
from typing import Any, Final, Protocol

from pipeline.alerts import deliveries as log
from pipeline.alerts.alert import Alert
from pipeline.alerts.deliveries import Deliveries, Delivery
from pipeline.alerts.heartbeat import Heart
from pipeline.alerts.http import shortened
from pipeline.alerts.message import Style, compose
from pipeline.alerts.meter import Meter, Unmetered
from pipeline.alerts.notice import Delivered, Later, Notice, Outcome, Refused, Transport, key_of
from pipeline.alerts.policy import Seen, Send, Situation, Skip, Wait, by_step, decide
from pipeline.alerts.secrets import SecretMissing, Secrets
from schemas.alert_routes import Route
from schemas.alerts import Alerts

BACKOFF_SECONDS: Final = 2.0
BACKOFF_MAX_SECONDS: Final = 300.0
BATCH_MAX: Final = 100
"""Notices of a route in one turn; the rest is for the next."""
FORGET_EVERY_SECONDS: Final = 86_400.0


class CannotRead(Exception):  # noqa: N818 - the word for it
    """Alerts cannot be read just now, in words that may be shown."""


class Reader(Protocol):
    """Where alerts are read from."""

    def read(self, resolved_since: float, also: Sequence[str]) -> list[Alert]:
        """The latest version of all that fire, of those resolved since then, and of those named in `also`.
        Raises CannotRead.
        """


@dataclass(frozen=True)
class Way:
    """A route of the definition, and how it is served."""

    route: Route
    transport: Transport


@dataclass(frozen=True)
class _Job:
    way: Way
    notice: Notice
    attempts: int
    due_at: float
    may_have_it: bool
    is_repeat: bool


@dataclass
class _Owed:
    """What a route has not had: since when the oldest is tried (0: nothing is), and how many are held."""

    since: float = 0.0
    held: int = 0

    def add(self, since: float) -> None:
        self.since = min(self.since or since, since)


@dataclass
class Courier:
    """`poll_once` does everything that is due. `unwell` says what the pipeline lacks, None where it is well;
    `tell` is a structured logger.
    """

    definition: Alerts
    ways: Sequence[Way]
    reader: Reader
    log: Deliveries
    unwell: Callable[[], str | None]
    executor: Executor
    secrets: Secrets
    tell: Any
    heart: Heart | None = None
    meter: Meter = field(default_factory=Unmetered)
    jitter: Callable[[], float] = random.random
    _busy: dict[str, Future[None]] = field(default_factory=dict, init=False)
    _known: list[Alert] = field(default_factory=list, init=False)
    _cannot: str = field(default="", init=False)
    _forgot_at: float = field(default=0.0, init=False)
    _closing: Event = field(default_factory=Event, init=False)

    def poll_once(self, now: float) -> int:
        """Reads, decides, and hands to each route that is not busy what is due; how many notices that is."""
        if now - self._forgot_at >= FORGET_EVERY_SECONDS:
            self.log.forget(now)
            self._forgot_at = now
        free = [way for way in self.ways if not self._is_busy(way.route.name)]  # before the log is read
        self._read(now)
        lacks = self.unwell() or ""
        situation = Situation(now, lacks, self.log.snoozes(now), by_step(self._known))
        had = self.log.of_alerts(alert.alert_id for alert in self._known)
        started = 0
        for way in free:
            owed = _Owed()
            jobs = [job for alert in self._known if (job := self._due(way, alert, had, situation, owed))]
            self.meter.waits(way.route.name, owed.since, owed.held)
            jobs.sort(key=lambda job: (job.attempts, job.notice.alert.detected_at, job.notice.alert.alert_id))
            if jobs:
                started += len(jobs[:BATCH_MAX])
                self._start(way.route.name, partial(self._send_all, jobs[:BATCH_MAX]))
        if self.heart is not None and not self._is_busy(""):
            beat = self.heart.due(now, self._cannot or lacks)
            if beat is not None:
                self._start("", beat)
        return started

    def close(self) -> None:
        """Waits for what is being sent, and lets go."""
        self._closing.set()
        self.executor.shutdown(wait=True, cancel_futures=True)
        for way in self.ways:
            way.transport.close()
        self.log.close()

    def _read(self, now: float) -> None:
        """What could not be read anew is as it was: what waits for a route is tried all the same."""
        try:
            since = now - self.definition.give_up_ms / 1000
            self._known = self.reader.read(since, self.log.unfinished())
        except CannotRead as error:
            if str(error) != self._cannot:
                self.tell.warning("alerts_cannot_be_read", reason=str(error))
            self._cannot = str(error)
        else:
            if self._cannot:
                self.tell.info("alerts_are_read_again")
            self._cannot = ""
            self.meter.read(now)

    def _due(
        self,
        way: Way,
        alert: Alert,
        had: Mapping[tuple[str, str], list[Delivery]],
        situation: Situation,
        owed: _Owed,
    ) -> _Job | None:
        """What is to be sent now of an alert, if anything; what is not is noted. What should be is `owed`."""
        name, now = way.route.name, situation.now
        lines = had.get((name, alert.alert_id), [])
        last = lines[-1] if lines else None
        if last is not None and last.version > alert.version:
            return None  # an older view of the database than we had
        if last is not None and last.version == alert.version and not last.is_pending:
            return self._repeat(way, alert, lines, last, now)
        fresh = last is None or last.version < alert.version
        if fresh:
            self.log.see(name, alert, now)
        told = log.told(lines, alert.version)
        decision = decide(alert, way.route, told, _seen(lines, now), self.definition, situation)
        if not isinstance(decision, Send):
            owed.held += isinstance(decision, Wait) and decision.is_held
            outcome = log.SKIPPED if isinstance(decision, Skip) else log.WAITING
            if fresh or last is None or (last.outcome, last.reason) != (outcome, decision.reason):
                self.log.note(name, alert, outcome, decision.reason)
            return None
        owed.add(_tried_since(lines, now))
        if not fresh and last is not None and last.next_at is not None and last.next_at > now:
            return None
        notice = self._notice(way, alert, decision.kind, lines, now, decision.unwell)
        if fresh or last is None:
            return _Job(way, notice, 0, now, may_have_it=False, is_repeat=False)
        return _Job(way, notice, last.attempts, last.due_at or now, last.reached, is_repeat=False)

    def _repeat(
        self, way: Way, alert: Alert, lines: Sequence[Delivery], last: Delivery, now: float
    ) -> _Job | None:
        """A receiver that forgets what it does not hear again hears it again."""
        if last.outcome != log.DELIVERED or not alert.is_firing or last.next_at is None or last.next_at > now:
            return None
        notice = self._notice(way, alert, last.kind, lines, now, "")
        return _Job(way, notice, 0, last.due_at or now, may_have_it=True, is_repeat=True)

    def _notice(
        self, way: Way, alert: Alert, kind: str, lines: Sequence[Delivery], now: float, unwell: str
    ) -> Notice:
        style = Style(self.definition.currency, self.definition.link, self.definition.runbook)
        return Notice(
            alert=alert,
            message=compose(alert, now, style, unwell),
            kind=kind,
            key=key_of(alert.alert_id, alert.version, way.route.name),
            route=way.route.name,
            earlier=log.told(lines, alert.version),
            at=now,
        )

    def _is_busy(self, name: str) -> bool:
        """Whether the last turn of a route goes on; raises what is a fault in our code."""
        turn = self._busy.get(name)
        if turn is None:
            return False
        if not turn.done():
            return True
        del self._busy[name]
        turn.result()
        return False

    def _start(self, name: str, turn: Callable[[], None]) -> None:
        self._busy[name] = self.executor.submit(turn)

    def _send_all(self, jobs: Iterable[_Job]) -> None:
        """A receiver that does not answer is not asked again in the same turn."""
        for job in jobs:
            if self._closing.is_set():
                return
            if isinstance(self._send(job), Later):
                return

    def _send(self, job: _Job) -> Outcome:
        name, notice = job.way.route.name, job.notice
        if not job.is_repeat:
            self.log.begin(name, notice.alert, notice.kind, notice.at)
        outcome = self._told(job)
        match outcome:
            case Delivered():
                self._note_delivered(job, outcome)
            case Refused():
                self.meter.failed(name)
                self._note_refused(job, outcome.reason)
            case Later():
                self.meter.failed(name)
                self._note_later(job, outcome)
        return outcome

    def _told(self, job: _Job) -> Outcome:
        """What came of it, in words without secrets."""
        try:
            outcome = job.way.transport.send(job.notice)
        except SecretMissing as error:
            return Later(str(error), may_have_it=False)
        except Exception as error:  # a fault in one route must not silence the others
            said = self._clean(f"{type(error).__name__}: {error}")
            self.tell.error("alert_route_broke", route=job.way.route.name, error=said)
            return Later(said)
        match outcome:
            case Delivered(answer, receipt):
                return Delivered(self._clean(answer), receipt)
            case Refused(reason):
                return Refused(self._clean(reason))
            case Later(reason, after, may_have_it):
                return Later(self._clean(reason), after, may_have_it)

    def _clean(self, text: str) -> str:
        return shortened(self.secrets.mask(text))

    def _note_delivered(self, job: _Job, outcome: Delivered) -> None:
        alert, now = job.notice.alert, job.notice.at
        every = job.way.transport.resend_seconds if alert.is_firing else None
        next_at = None if every is None else now + every
        self.log.deliver(job.way.route.name, alert, now, outcome.answer, outcome.receipt, next_at)
        if not job.is_repeat:
            self.meter.delivered(job.way.route.name)
            self.tell.info("alert_told", **_named(job), attempts=job.attempts + 1)

    def _note_later(self, job: _Job, outcome: Later) -> None:
        now = job.notice.at
        next_at = now + self._pause(job.attempts, outcome.after_seconds)
        if job.is_repeat:
            self._note_not_repeated(job, outcome.reason, next_at)
        elif now - job.due_at >= self.definition.give_up_ms / 1000:
            self._note_failed(job, log.GIVEN_UP, outcome.reason, None, reached=outcome.may_have_it)
        else:
            self.tell.warning(
                "alert_not_told_yet", **_named(job), attempts=job.attempts + 1, reason=outcome.reason
            )
            self._fail(job, log.WAITING, outcome.reason, next_at, reached=outcome.may_have_it)

    def _note_refused(self, job: _Job, reason: str) -> None:
        """What was told before is refused when it is said again: a secret may have changed, and be mended."""
        every = job.way.transport.resend_seconds
        if job.is_repeat and every is not None:
            self._note_not_repeated(job, reason, job.notice.at + every)
        else:
            self._note_failed(job, log.REFUSED, reason, None, reached=False)

    def _note_not_repeated(self, job: _Job, reason: str, next_at: float) -> None:
        """It was delivered once: that stays true."""
        self.tell.warning("alert_not_repeated", **_named(job), reason=reason)
        self.log.postpone(job.way.route.name, job.notice.alert, next_at)

    def _note_failed(
        self, job: _Job, outcome: str, reason: str, next_at: float | None, *, reached: bool
    ) -> None:
        """For good: said loudly, once."""
        self.tell.error("alert_not_told", **_named(job), outcome=outcome, reason=reason)
        self._fail(job, outcome, reason, next_at, reached=reached)

    def _fail(self, job: _Job, outcome: str, reason: str, next_at: float | None, *, reached: bool) -> None:
        if outcome != log.WAITING:
            self.meter.dropped(job.way.route.name, outcome)
        reached = reached or job.may_have_it
        self.log.fail(job.way.route.name, job.notice.alert, outcome, reason, next_at, reached=reached)

    def _pause(self, attempts: int, asked_seconds: float | None) -> float:
        """Longer each time, and not the same for all, so that receivers that come back are not run over."""
        most = min(BACKOFF_MAX_SECONDS, BACKOFF_SECONDS * 2.0 ** min(attempts, 16))
        return max(most * (0.5 + 0.5 * self.jitter()), asked_seconds or 0.0)


def _seen(lines: Sequence[Delivery], now: float) -> Seen:
    """Since when an alert is known, and since when versions of it wait without having been sent."""
    waiting = now
    for line in reversed(lines):
        if line.outcome not in (log.WAITING, log.SUPERSEDED) or line.reached:
            break
        waiting = line.seen_at
    return Seen(lines[0].seen_at if lines else now, waiting)


def _tried_since(lines: Sequence[Delivery], now: float) -> float:
    """Since when a route is tried to be told of an alert, be it of versions before the latest."""
    since = now
    for line in reversed(lines):
        if line.outcome not in (log.WAITING, log.SENDING, log.SUPERSEDED):
            break
        since = line.due_at or since
    return since


def _named(job: _Job) -> dict[str, Any]:
    alert = job.notice.alert
    return {
        "route": job.way.route.name,
        "alert_id": alert.alert_id,
        "version": alert.version,
        "kind": job.notice.kind,
        "severity": alert.severity,
    }
