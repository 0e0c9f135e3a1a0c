"""The courier's own log: what each route has had, what is snoozed, and the signs of life. A SQLite file.

Each line is on disk before the next step is taken: before a message is sent its attempt is written down, so
after a crash it is known that a receiver may have had it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, fields, replace
from importlib.resources import files
from pathlib import Path
from threading import RLock
from typing import Any, Final

from pipeline.alerts.alert import Alert
from pipeline.alerts.notice import Told

FILE: Final = "alerts.sqlite"
"""In the state folder."""
BUSY_SECONDS: Final = 10.0
KEPT_SECONDS: Final = 90 * 86_400.0
"""As long as minutes are kept."""
HEARTBEATS_KEPT: Final = 1_000

WAITING: Final = "waiting"
SENDING: Final = "sending"
DELIVERED: Final = "delivered"
REFUSED: Final = "refused"
GIVEN_UP: Final = "given_up"
SKIPPED: Final = "skipped"
SUPERSEDED: Final = "superseded"
PENDING: Final = (WAITING, SENDING)


@dataclass(frozen=True)
class Delivery:
    """A version of an alert on its way to a route; the columns say what they mean in `deliveries.sql`."""

    route: str
    alert_id: str
    version: int
    state: str
    severity: str
    verdict: str
    cause: str
    kind: str
    outcome: str
    reason: str
    receipt: str
    attempts: int
    repeats: int
    reached: bool
    seen_at: float
    due_at: float | None
    next_at: float | None
    tried_at: float | None
    delivered_at: float | None

    @property
    def is_pending(self) -> bool:
        return self.outcome in PENDING


_COLUMNS: Final = ", ".join(field.name for field in fields(Delivery))


class BadLog(Exception):  # noqa: N818 - the word that users read
    """The courier's log cannot be used: shown as message and hint, without a traceback."""

    def __init__(self, path: Path, error: Exception) -> None:
        super().__init__(f"{path}: {error}")
        self.hint = "the file must be writable by this user; without it everything would be told again"


class Deliveries:
    """The log. Several threads and processes may use it; one courier writes deliveries."""

    def __init__(self, path: Path) -> None:
        """Opens or makes it. Raises BadLog."""
        self._lock = RLock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(
                path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            self._db.executescript((files("pipeline.alerts") / "deliveries.sql").read_text("utf-8"))
        except (OSError, sqlite3.Error) as error:
            raise BadLog(path, error) from None

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def forget(self, now: float) -> None:
        """Drops what is older than is kept."""
        self._run("DELETE FROM deliveries WHERE seen_at < ?", now - KEPT_SECONDS)
        self._run("DELETE FROM snoozes WHERE until < ?", now - KEPT_SECONDS)

    # what was delivered

    def of_alerts(self, alert_ids: Iterable[str]) -> dict[tuple[str, str], list[Delivery]]:
        """By route and alert, versions ascending."""
        out: dict[tuple[str, str], list[Delivery]] = {}
        for alert_id in set(alert_ids):
            sql = f"SELECT {_COLUMNS} FROM deliveries WHERE alert_id = ? ORDER BY route, version"  # noqa: S608
            for row in self._run(sql, alert_id):
                found = _delivery(row)
                out.setdefault((found.route, found.alert_id), []).append(found)
        return out

    def unfinished(self) -> list[str]:
        """The alerts of which some route is owed something: a message, or that it is over."""
        sql = """
            SELECT DISTINCT alert_id FROM deliveries WHERE outcome IN ('waiting', 'sending')
            UNION
            SELECT alert_id FROM (
                SELECT alert_id, state, max(version) FROM deliveries WHERE reached GROUP BY route, alert_id
            ) WHERE state = 'firing'
        """
        return [row[0] for row in self._run(sql)]

    def see(self, route: str, alert: Alert, now: float) -> None:
        """A version is there, and older ones that wait are not to be sent any more."""
        self._run(
            "UPDATE deliveries SET outcome = 'superseded', next_at = NULL WHERE route = ? AND alert_id = ? "
            "AND version < ? AND outcome IN ('waiting', 'sending')",
            route, alert.alert_id, alert.version,
        )  # fmt: skip
        self._run(
            "INSERT OR IGNORE INTO deliveries (route, alert_id, version, state, severity, verdict, cause, "
            "seen_at, outcome) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'waiting')",
            route, alert.alert_id, alert.version, alert.state, alert.severity, alert.verdict, alert.cause,
            now,
        )  # fmt: skip

    def note(self, route: str, alert: Alert, outcome: str, reason: str) -> None:
        """Why it waits, or is not sent."""
        self._set(route, alert, "outcome = ?, reason = ?", outcome, reason)

    def begin(self, route: str, alert: Alert, kind: str, now: float) -> None:
        """An attempt begins: from now on the receiver may have it."""
        self._set(
            route, alert,
            "kind = ?, outcome = 'sending', attempts = attempts + 1, reached = 1, tried_at = ?, "
            "due_at = coalesce(due_at, ?)",
            kind, now, now,
        )  # fmt: skip

    def deliver(
        self, route: str, alert: Alert, now: float, answer: str, receipt: str, next_at: float | None
    ) -> None:
        """The receiver has it; `next_at` is when it wants to hear again that the alert fires."""
        self._set(
            route, alert,
            "outcome = 'delivered', reason = ?, receipt = ?, reached = 1, next_at = ?, "
            "repeats = repeats + (delivered_at IS NOT NULL), delivered_at = coalesce(delivered_at, ?)",
            answer, receipt, next_at, now,
        )  # fmt: skip

    def fail(
        self, route: str, alert: Alert, outcome: str, reason: str, next_at: float | None, *, reached: bool
    ) -> None:
        """An attempt failed: it waits until `next_at`, was refused, or is given up."""
        self._set(
            route,
            alert,
            "outcome = ?, reason = ?, next_at = ?, reached = ?",
            outcome,
            reason,
            next_at,
            reached,
        )

    def postpone(self, route: str, alert: Alert, next_at: float) -> None:
        """What was delivered could not be repeated: tried again at `next_at`."""
        self._set(route, alert, "next_at = ?", next_at)

    # what is snoozed

    def snooze(
        self,
        alert_id: str | None,
        journey: str | None,
        stage: str | None,
        segment: str | None,
        until: float,
        now: float,
        note: str,
    ) -> int:
        """Nothing new of what has all that is named here, until then; the snooze's number."""
        ((number,),) = self._run(
            "INSERT INTO snoozes (alert_id, journey, stage, segment, until, made_at, note) "
            "VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id",
            alert_id, journey, stage, segment, until, now, note,
        )  # fmt: skip
        return int(number)

    def unsnooze(self, number: int) -> bool:
        """Ends a snooze; False where there is none of this number."""
        return bool(self._run("DELETE FROM snoozes WHERE id = ? RETURNING id", number))

    def snoozes(self, now: float) -> list[Snooze]:
        """Those that last."""
        columns = "id, alert_id, journey, stage, segment, until, note"
        sql = f"SELECT {columns} FROM snoozes WHERE until > ? ORDER BY until"  # noqa: S608
        return [Snooze(*row) for row in self._run(sql, now)]

    # signs of life

    def beat(self, now: float, outcome: str, reason: str) -> None:
        self._run("INSERT INTO heartbeats (at, outcome, reason) VALUES (?, ?, ?)", now, outcome, reason)
        self._run("DELETE FROM heartbeats WHERE id <= (SELECT max(id) FROM heartbeats) - ?", HEARTBEATS_KEPT)

    def last_beat(self) -> tuple[float, str, str] | None:
        """When, what came of it, and why."""
        rows = self._run("SELECT at, outcome, reason FROM heartbeats ORDER BY id DESC LIMIT 1")
        return (rows[0][0], rows[0][1], rows[0][2]) if rows else None

    def _set(self, route: str, alert: Alert, what: str, *values: Any) -> None:
        sql = f"UPDATE deliveries SET {what} WHERE route = ? AND alert_id = ? AND version = ?"  # noqa: S608
        self._run(sql, *values, route, alert.alert_id, alert.version)

    def _run(self, sql: str, *values: Any) -> list[Any]:
        """One statement, on disk when this returns."""
        with self._lock, closing(self._db.execute(sql, values)) as cursor:
            return cursor.fetchall()


@dataclass(frozen=True)
class Snooze:
    """None is any."""

    number: int
    alert_id: str | None
    journey: str | None
    stage: str | None
    segment: str | None
    until: float
    note: str

    def covers(self, alert: Alert) -> bool:
        return self.alert_id in (None, alert.alert_id) and alert.matches(
            self.journey, self.stage, self.segment
        )


def told(deliveries: Iterable[Delivery], before: int) -> tuple[Told, ...]:
    """What a route had, or may have had, of versions before `before`."""
    return tuple(
        Told(
            one.version,
            one.state,
            one.severity,
            one.verdict,
            one.cause,
            one.receipt,
            one.tried_at or one.seen_at,
            is_sure=one.delivered_at is not None,
        )
        for one in deliveries
        if one.reached and one.version < before
    )


def _delivery(row: tuple[Any, ...]) -> Delivery:
    found = Delivery(*row)
    return replace(found, reached=bool(found.reached))
