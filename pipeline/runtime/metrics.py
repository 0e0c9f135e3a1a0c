"""Every metric of Pathline: what it counts, what it means, what to do. A closed list; nothing else makes one.

`put`, `add` and `grown` write them, per batch and never per event: half a microsecond each. A run has one
answer, whatever number of processes it has: each writes its own numbers (`numbers.py`), whoever is asked adds
them up (`exposition.py`). Before `begin` they go nowhere, so a test or a rehearsal need not care.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import RLock
from typing import Any, Final, Literal

from pipeline.runtime.numbers import Cells, Key, remove

PREFIX: Final = "pathline_"


@dataclass(frozen=True)
class Metric:
    """`age` is written as a moment (seconds since 1970; 0: none) and read as the seconds since then, so that
    it grows also while whoever writes it stands still. `own` metrics are found out by whoever is asked.
    """

    name: str
    kind: Literal["counter", "gauge", "age"]
    labels: tuple[str, ...]
    unit: str
    meaning: str
    remedy: str
    merge: Literal["sum", "max", "own"] = "sum"  # over the processes of a run

    @property
    def full_name(self) -> str:
        """As Prometheus knows it."""
        return PREFIX + self.name


def _counter(name: str, labels: str, unit: str, meaning: str, remedy: str) -> Metric:
    return Metric(name, "counter", tuple(labels.split()), unit, meaning, remedy)


def _gauge(name: str, labels: str, unit: str, meaning: str, remedy: str) -> Metric:
    return Metric(name, "gauge", tuple(labels.split()), unit, meaning, remedy)


def _age(name: str, labels: str, meaning: str, remedy: str) -> Metric:
    return Metric(name, "age", tuple(labels.split()), "seconds", meaning, remedy, "max")


def _own(name: str, labels: str, unit: str, meaning: str, remedy: str) -> Metric:
    return Metric(name, "gauge", tuple(labels.split()), unit, meaning, remedy, "own")


_PARTITION: Final = "source partition"

RECEIVED: Final = _counter(
    "records_received_total", _PARTITION, "records",
    "records read in this run, before anything looked at them",
    "none while there is input: is the source there? What is read again after a crash counts again",
)  # fmt: skip
ADMITTED: Final = _counter(
    "records_total", f"{_PARTITION} result", "records",
    "what became of the records: accepted, duplicate, late, rejected or filtered; together those received",
    "see the runbooks of rejects; many late ones: a longer --allowed-lateness, or one clock that is wrong",
)  # fmt: skip
REJECTED: Final = _counter(
    "records_rejected_total", "reason", "records",
    "records that cannot be an event, by reason",
    "bi.rejected_events has them with their bytes; mend the producer or the mapping",
)  # fmt: skip
LOST: Final = _counter(
    "records_lost_total", _PARTITION, "records",
    "records that the broker had deleted before they were read",
    "a longer retention on the topic; restore them from elsewhere, they will not come by themselves",
)  # fmt: skip
WATERMARK_LAG: Final = _age(
    "watermark_lag_seconds", _PARTITION,
    "how far the time of a partition's events is behind the clock; of one that is at its end, none",
    "is it shrinking? Then wait. Else more --workers, a faster sink, or look at the producer",
)  # fmt: skip
WATERMARK_AGE: Final = _age(
    "watermark_unmoved_seconds", _PARTITION,
    "how long ago the watermark of a partition last moved",
    "records without a newer time, no records, or a source that is not reached: see the consumer lag",
)  # fmt: skip
CONSUMER_LAG: Final = _gauge(
    "consumer_lag_records", _PARTITION, "records",
    "records that the broker has and we have not read (Kafka alone)",
    "growing: more --workers, or a faster sink",
)  # fmt: skip
IDLE: Final = _gauge(
    "input_idle", _PARTITION, "0 or 1",
    "1 where a partition is at its end: nothing to read, or a file that is finished",
    "nothing to do, if nobody produces now",
)  # fmt: skip
INPUT_AGE: Final = _age(
    "input_unmoved_seconds", "process",
    "how long ago the input loop of a process was last asked for more",
    "it is held back by what comes after it: see the age of the epoch and what is unacknowledged",
)  # fmt: skip
MOVED_AGE: Final = _age(
    "process_unmoved_seconds", "process",
    "how long ago a process did anything at all: read, took a step, or tried the sink",
    "beyond five minutes it is stuck, and /healthz says so: kill it, it goes on from its snapshot",
)  # fmt: skip
EPOCHS: Final = Metric(
    "epochs_total", "counter", (), "epochs",
    "snapshots taken in this run",
    "not growing: see the age of the epoch", "max",
)  # fmt: skip
EPOCH_SECONDS: Final = Metric(
    "epoch_seconds", "gauge", (), "seconds",
    "how long the last epoch took, from snapshot to snapshot, with all that held it back",
    "near --epoch: all is well. Above: the sink or the snapshots are slow, see their seconds", "max",
)  # fmt: skip
EPOCH_AGE: Final = _age(
    "epoch_age_seconds", "",
    "how long ago the last snapshot was taken: what a crash now would have to read again",
    "see the runbook of slow epochs",
)  # fmt: skip
SNAPSHOT_BYTES: Final = _counter(
    "snapshot_bytes_total", "step", "bytes",
    "bytes of snapshots taken; by the epochs, what each takes",
    "grows with what is open: see open sessions and objects",
)  # fmt: skip
SNAPSHOT_SECONDS: Final = _counter(
    "snapshot_seconds_total", "step", "seconds",
    "time that taking snapshots took; input waits for it",
    "a longer --epoch, fewer open sessions (a shorter --session-gap), or more --workers",
)  # fmt: skip
STEP_SECONDS: Final = _counter(
    "step_cpu_seconds_total", "step", "seconds",
    "CPU time by step of the flow, as of the last epoch",
    "where the time goes: the steps are those of pipeline/README.md",
)  # fmt: skip
OPEN_SESSIONS: Final = _gauge(
    "open_sessions", "", "sessions",
    "sessions that are not closed yet, as of the last epoch",
    "near the cap (see pipeline/README.md): more --shards, or a shorter --session-gap",
)  # fmt: skip
OPEN_OBJECTS: Final = _gauge(
    "open_objects", "", "objects",
    "carts, checkouts and payments in memory, as of the last epoch",
    "near the cap: more --shards, or a shorter abandon_after in the journey",
)  # fmt: skip
EVENTS_HELD: Final = _gauge(
    "events_held", "", "events",
    "accepted events that wait for their watermark, as of the last epoch",
    "growing: one partition is far behind the others",
)  # fmt: skip
SINK_BATCHES: Final = _counter(
    "sink_batches_total", "table", "inserts", "blocks that the sink acknowledged",
    "many small ones: a longer --epoch",
)  # fmt: skip
SINK_ROWS: Final = _counter(
    "sink_rows_total", "table", "rows", "rows that the sink acknowledged, replayed ones included",
    "none while records are accepted: see the age of what is unacknowledged",
)  # fmt: skip
SINK_BYTES: Final = _counter(
    "sink_bytes_total", "table", "bytes", "bytes of acknowledged blocks, as they are in memory",
    "what a table costs on its way",
)  # fmt: skip
SINK_SECONDS: Final = _counter(
    "sink_seconds_total", "table", "seconds", "time that the sink took for those blocks, retries included",
    "near one second per second: the sink is what holds the pipeline back",
)  # fmt: skip
SINK_RETRIES: Final = _counter(
    "sink_retries_total", "code", "retries",
    "blocks sent again, by ClickHouse's error code (or the kind of failure where it gave none)",
    "see the runbook of retries: each code has its cause",
)  # fmt: skip
SINK_REFUSED_ROWS: Final = _counter(
    "sink_refused_rows_total", "table", "rows",
    "rows that the database refused for what is in them: set aside in bi.rejected_events",
    "look at these with reason refused_by_database: a table was changed by hand, or Pathline has a fault",
)  # fmt: skip
SERVING: Final = _gauge(
    "serving", "", "1 or 0",
    "whether others can read the embedded database during the run",
    "0: the port of serve_port is taken; the run itself is well",
)  # fmt: skip
UNACKNOWLEDGED_AGE: Final = _age(
    "oldest_unacknowledged_seconds", "",
    "how long the oldest row has waited for the sink to acknowledge it",
    "beyond a few epochs the sink does not take rows: nothing is lost, and nothing is seen",
)  # fmt: skip
PUT_OFF: Final = _counter(
    "open_rows_put_off_total", "", "turns",
    "times that a shard had more to tell of open sessions and objects than fits in a second",
    "rows of what is still open are older than a second, all others are not: more --shards tell more at once",
)  # fmt: skip
FORGOTTEN: Final = _gauge(
    "limit_hits", "limit", "entries",
    "what was forgotten early because a limit was hit, since the deployment began",
    "bi.limits says what that means and what to do",
)  # fmt: skip
RESTARTS: Final = _counter(
    "restarts_total", "", "restarts",
    "how often this run had to start its worker processes anew",
    "see the last error: `pathline status`",
)  # fmt: skip

NOTICES_DELIVERED: Final = _counter(
    "alert_notices_delivered_total", "route", "notices",
    "notices of alerts that a route took; that it heard again that one still fires does not count",
    "none while alerts come: `pathline alerts list` says who was told, and why not",
)  # fmt: skip
NOTICES_FAILED: Final = _counter(
    "alert_attempts_failed_total", "route", "attempts",
    "attempts to tell a route that failed; what may be tried again is",
    "growing: `pathline alerts list` has what the receiver answers, `pathline alerts test` tries it",
)  # fmt: skip
NOTICES_DROPPED: Final = _counter(
    "alert_notices_dropped_total", "route outcome", "notices",
    "notices that are not tried any more: refused by the receiver, or given_up after `give_up`",
    "nobody hears of these by this route: see the runbook of alerts that are not delivered",
)  # fmt: skip
NOTICES_HELD: Final = _gauge(
    "alert_notices_held", "route", "notices",
    "notices that wait because the pipeline itself is unwell, for `hold` at most",
    "`pathline status` says what it lacks",
)  # fmt: skip
NOTICES_AGE: Final = _age(
    "alert_undelivered_seconds", "route",
    "how long ago the oldest notice was due that a route has not had and that is still tried; none: 0",
    "see the runbook of alerts that are not delivered",
)  # fmt: skip
ALERTS_AGE: Final = _age(
    "alerts_unread_seconds", "",
    "how long ago whoever tells routes last read bi.alerts; before the first time, since it began",
    "the database does not answer, or nobody tells any more: the log says alerts_cannot_be_read or "
    "alerts_are_told_no_more",
)  # fmt: skip
HEARTBEAT_AGE: Final = _age(
    "heartbeat_unsent_seconds", "",
    "how long ago the last heartbeat was taken; before the first one, since it should have been",
    "the pipeline is unwell, or the receiver not reached: `pathline alerts list` ends with the last one",
)  # fmt: skip

STATE_BYTES: Final = _own(
    "state_bytes", "", "bytes", "size of the state folder", "see the runbook of growing snapshots"
)
DISK_FREE: Final = _own(
    "state_disk_free_bytes", "", "bytes", "room left on the disk of the state folder", "make room, or move it"
)
DISK_SIZE: Final = _own("state_disk_bytes", "", "bytes", "size of that disk", "beside what is free")
PROCESS_UP: Final = _own(
    "process_up", "process", "0 or 1", "1 where a process of the run lives",
    "one that dies takes the others with it: see the last error",
)  # fmt: skip
PROCESS_MEMORY: Final = _own(
    "process_resident_bytes", "process", "bytes", "memory of a process",
    "growing at the same load: see what is open; a limit on it should leave half of it free",
)  # fmt: skip
ALIVE: Final = _own("alive", "", "0 or 1", "what /healthz says", "0: start it anew")
READY: Final = _own("ready", "", "0 or 1", "what /readyz says", "`pathline status` says why not")
STARTED: Final = _own(
    "start_timestamp_seconds", "", "seconds since 1970", "when this run began",
    "changes again and again: a crash loop, see its runbook",
)  # fmt: skip
LAST_ERROR: Final = _own(
    "last_error_timestamp_seconds", "", "seconds since 1970",
    "when a run of this deployment last failed; absent where none did",
    "`pathline status` says of what",
)  # fmt: skip
BUILD_INFO: Final = _own(
    "build_info", "version python bytewax", "1", "which version runs", "the same everywhere, after an upgrade"
)

METRICS: Final = tuple(metric for metric in list(globals().values()) if isinstance(metric, Metric))
PID: Final = "pid"
"""Beside the metrics each process tells its process id, by which others see whether it lives."""


_cells = Cells()
_process = "0"
_totals: dict[tuple[Any, ...], float] = {}


def begin(folder: Path, process: str, pid: int) -> None:
    """From now on the numbers of this process are new, and in `folder`. Where that cannot be written they are
    kept in memory: what else a full disk means, others will say.
    """
    global _cells, _process
    _totals.clear()
    try:
        _cells = Cells.shared(folder, process)
    except OSError:
        _cells = Cells()
    _process = process
    _cells.put((PID,), pid)


def put(metric: Metric, value: float, *labels: str) -> None:
    """Sets a metric of this process."""
    _cells.put((metric.name, *labels), value)


def add(metric: Metric, by: float, *labels: str) -> None:
    """Adds to a metric of this process."""
    _cells.add((metric.name, *labels), by)


def grown(metric: Metric, total: float, *labels: str, part: object = None, since: float | None = 0.0) -> None:
    """Adds by how much a total has grown since it was last told; the first time, beyond `since` (None: it was
    as high when this run began). Several that have one metric together are told apart by `part`.
    """
    place = (metric.name, labels, part)
    before = _totals.get(place, total if since is None else since)
    _totals[place] = total
    _cells.add((metric.name, *labels), total - before)


class Apart:
    """Numbers of what runs beside the processes of a run and not as long as they: in a file of their own, so
    that no process that begins anew takes them with it. Safe in several threads.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name
        self._lock = RLock()
        self._kept: dict[Key, float] = {}
        self._cells = self._opened()

    def put(self, metric: Metric, value: float, *labels: str) -> None:
        """Sets a number."""
        with self._lock:
            self._set((metric.name, *labels), value)

    def add(self, metric: Metric, by: float, *labels: str) -> None:
        """Adds to a number that began at 0."""
        key = (metric.name, *labels)
        with self._lock:
            self._set(key, self._kept.get(key, 0.0) + by)

    def stay(self) -> None:
        """A run that begins clears the folder: where these numbers are gone they are written again."""
        if not (self._folder / f"{self._name}.names").exists():
            with self._lock:
                self._cells = self._opened()
                for key, number in self._kept.items():
                    self._cells.put(key, number)

    def close(self) -> None:
        """Nobody is told of them any more."""
        with suppress(OSError):
            remove(self._folder, self._name)

    def _set(self, key: Key, value: float) -> None:
        self._kept[key] = value
        self._cells.put(key, value)

    def _opened(self) -> Cells:
        try:
            return Cells.shared(self._folder, self._name)
        except OSError:
            return Cells()


def own_process() -> str:
    """The label of this process."""
    return _process


def value(metric: Metric, *labels: str) -> float:
    """A metric of this process as it is now: for tests, and for ages that depend on each other."""
    return _cells.get((metric.name, *labels))
