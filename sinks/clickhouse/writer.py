"""The ClickHouse sink: a block is one insert, sent again as the same bytes until it is acknowledged."""

from __future__ import annotations

import time
from collections import Counter
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import stamina
from clickhouse_connect.driver.exceptions import ClickHouseError

from schemas.tables import KEYS, TABLES
from sinks.base import Deployment, SinkRefused, SinkUnavailable, mask_dsn
from sinks.check import conform
from sinks.clickhouse.client import clean_inserts, connect, target
from sinks.clickhouse.deployment import claim
from sinks.clickhouse.errors import error_code, first_line, is_transient, kind, refusal
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.poison import (
    DATA_CODES,
    REFUSED_ROWS_MAX,
    Refusal,
    TooManyRefused,
    insert_around,
    rejects,
)
from sinks.clickhouse.query import Reader

if TYPE_CHECKING:
    from sinks.clickhouse.serving import Serving

INSERT_SETTINGS: Final = {
    "async_insert": "0",  # on by default since 26.3; an acknowledgement must mean stored
    "optimize_on_insert": "0",  # blocks come compacted and views read FINAL: halves the cost
}

SERVER_SETTINGS: Final = INSERT_SETTINGS | {
    "wait_end_of_query": "1",  # a server may say 200 before it is done: not to us
}

PARTITIONS_MAX: Final = 12
"""Months in one insert. ClickHouse refuses more than 100, and a part per month is slow long before."""

RETRY_SECONDS: Final = 300.0
"""So long a block is tried again; then the pipeline stops, and goes on from its last snapshot later."""

WAIT_SECONDS: Final = 0.2
"""Before the first repetition; each later one waits twice as long, up to WAIT_SECONDS_MAX, with jitter."""

WAIT_SECONDS_MAX: Final = 15.0


SETTLED: Final = ("funnel_hour", "funnel_day")
"""Tables that are computed from the facts, each after those that it reads."""

REJECTS: Final = "rejected_events"


class _TransientError(Exception):
    """Wraps what may be tried again, so that whatever logs the retry sees a masked message."""


class ClickHouseSink:
    """Writes to the embedded engine or to a server; see sinks.base.Sink for what it promises.

    For whoever watches: `retries` counts repetitions by ClickHouse's code (`transport`, `http_503` where
    there is none), `refused_rows` the rows set aside by table, and `oldest_unacknowledged_at` is when the
    block that is being written was first sent (unix seconds; None while there is none).
    """

    def __init__(
        self,
        dsn: str,
        retry_seconds: float = RETRY_SECONDS,
        *,
        wait_seconds: float = WAIT_SECONDS,
        refused_rows_max: int = REFUSED_ROWS_MAX,
    ) -> None:
        self._target = target(dsn)
        self._retry_seconds = retry_seconds
        self._wait_seconds = wait_seconds
        self._refused_rows_max = refused_rows_max
        self.retries: Counter[str] = Counter()
        self.refused_rows: Counter[str] = Counter()
        self.oldest_unacknowledged_at: float | None = None
        self._client: Any = None
        self._inserts: Path | None = None
        self._numbers = count(1)

    def __repr__(self) -> str:
        return f"ClickHouseSink({self._target.shown!r})"

    def open(self, deployment: Deployment) -> None:
        """Connect, bring tables and views up to date, and claim the database for `deployment`."""
        self._client = connect(self._target)
        try:
            self._inserts = clean_inserts(self._target)
            migrate(self._client, embedded=self._target.embedded)
            claim(self._client, deployment, self._target.shown)
        except BaseException as error:
            self.close()
            raise self._said(error) from None

    def write(self, table: str, batch: pa.RecordBatch) -> None:
        """One insert per block (per year, where a block spans several), acknowledged on return.

        A row that the database refuses for what is in it is set aside in rejected_events.
        """
        assert self._client is not None, "open the sink before writing"
        batch = conform(table, batch)
        self.oldest_unacknowledged_at = time.time()
        try:
            for part in by_months(table, batch):
                self._insert_good(table, part)
        finally:
            self.oldest_unacknowledged_at = None

    def reader(self) -> Reader:
        """A read-only view of the same database, for another thread or for serving queries."""
        return Reader(self._target.dsn)

    def serve(self, port: int = 0, password: str | None = None) -> Serving | None:
        """Lets other processes read the embedded database while it is open here; see sinks.registry.serve."""
        if not self._target.embedded:
            return None
        # imported here: it brings the engine, which who writes to a server does not need
        from sinks.clickhouse.serving import Serving

        return Serving(self._target, port, password)

    def settle(self) -> None:
        """Computes the hours and days whose facts have changed. While the engine runs it does so by itself,
        every few minutes; whoever reads after a run that has ended would wait for that in vain.
        """
        assert self._client is not None, "open the sink before settling"
        try:
            for table in SETTLED:
                self._client.command(f"INSERT INTO pathline.{table} SELECT * FROM pathline.{table}_due")  # noqa: S608
        except (ClickHouseError, OSError) as error:
            raise self._said(error) from None

    def close(self) -> None:
        """Close the connection; the embedded engine stops with its last client."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _said(self, error: BaseException) -> BaseException:
        """An error of the driver as a word to the operator, where it is one."""
        if not isinstance(error, ClickHouseError | OSError):
            return error
        if is_transient(error):
            return SinkUnavailable(f"{self._target.shown}: {first_line(error, self._target.dsn)}")
        return refusal(error, self._target.dsn) or error

    def _insert_good(self, table: str, batch: pa.RecordBatch) -> None:
        """Inserts the rows that the database takes, and sets the others aside."""
        room = self._refused_rows_max - self.refused_rows.total()
        try:
            refused = insert_around(batch, partial(self._insert, table), 0 if table == REJECTS else room)
            if refused:
                self._insert(REJECTS, rejects(table, refused))
                self.refused_rows[table] += len(refused)
        except TooManyRefused as error:
            raise SinkRefused(f"{self._target.shown}: table {table}: {error}", error.hint) from None
        except Refusal as error:
            raise SinkRefused(
                f"{self._target.shown}: table {REJECTS}: {error}", "was the table changed by hand?"
            ) from None

    def _insert(self, table: str, batch: pa.RecordBatch) -> None:
        send = self._send_file if self._inserts is not None else self._send_bytes
        payload = _prepare(table, batch, self._inserts, next(self._numbers), self._target.dsn)
        try:
            for attempt in stamina.retry_context(
                on=_TransientError,
                attempts=None,
                timeout=self._retry_seconds,
                wait_initial=self._wait_seconds,
                wait_max=WAIT_SECONDS_MAX,
                wait_jitter=5 * self._wait_seconds,
            ):
                with attempt:
                    self._attempt(send, table, batch.schema.names, payload)
        except _TransientError as error:
            raise SinkUnavailable(
                f"{self._target.shown}: table {table}: no acknowledgement within "
                f"{self._retry_seconds:g} s: {error}"
            ) from None
        finally:
            if isinstance(payload, Path):
                payload.unlink(missing_ok=True)

    def _attempt(self, send: Any, table: str, names: list[str], payload: Path | pa.Buffer) -> None:
        try:
            send(table, names, payload)
        except (ClickHouseError, OSError) as error:
            text = first_line(error, self._target.dsn)
            if is_transient(error):
                self.retries[kind(error)] += 1
                raise _TransientError(text) from None
            if (code := error_code(error)) in DATA_CODES:
                raise Refusal(code, text) from None
            raise (refusal(error, self._target.dsn) or error) from None

    def _send_file(self, table: str, names: list[str], payload: Path) -> None:
        columns = ", ".join(f"`{name}`" for name in names)
        quoted = str(payload).replace("\\", "\\\\").replace("'", "\\'")
        settings = ", ".join(f"{key} = {value}" for key, value in INSERT_SETTINGS.items())
        self._client.command(
            f"INSERT INTO pathline.{table} ({columns}) FROM INFILE '{quoted}' "
            f"SETTINGS {settings} FORMAT Arrow"
        )

    def _send_bytes(self, table: str, names: list[str], payload: pa.Buffer) -> None:
        # A view of the bytes is sent once, and not copied; bytes the driver would repeat after a lost reply.
        self._client.raw_insert(
            f"pathline.{table}", names, memoryview(payload), settings=dict(SERVER_SETTINGS), fmt="Arrow"
        )


def _prepare(
    table: str, batch: pa.RecordBatch, folder: Path | None, number: int, dsn: str
) -> Path | pa.Buffer:
    """The block as Arrow file bytes: in a file for the embedded engine, in memory for a server."""
    if folder is None:
        stream = pa.BufferOutputStream()
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        with pa.ipc.new_file(stream, batch.schema, options=options) as writer:
            writer.write_batch(batch)
        return stream.getvalue()
    path = folder / f"{table}-{number}.arrow"
    try:
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, batch.schema) as writer:
            writer.write_batch(batch)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise (refusal(error, dsn) or SinkRefused(f"{mask_dsn(dsn)}: {error}", "is it writable?")) from None
    return path


def by_months(table: str, batch: pa.RecordBatch) -> list[pa.RecordBatch]:
    """The batch, cut so that no part spans more than PARTITIONS_MAX months; no part for no rows."""
    if not batch.num_rows:
        return []
    fields = (TABLES[table].field(name) for name in KEYS[table])
    clock = next((field for field in fields if pa.types.is_timestamp(field.type)), None)
    if clock is None:
        return [batch]
    numbers = batch.column(clock.name).view(pa.int64()).to_numpy(zero_copy_only=False)
    moments = numbers.view(f"datetime64[{clock.type.unit}]")
    first, last = (_month(moment) for moment in (moments.min(), moments.max()))
    if int(last - first) < PARTITIONS_MAX:
        return [batch]
    months = _month(moments)
    group = np.unique(months, return_inverse=True)[1] // PARTITIONS_MAX
    return [batch.take(pa.array(np.flatnonzero(group == each))) for each in range(int(group.max()) + 1)]


def _month(moments: Any) -> Any:
    """Months since 1970."""
    return moments.astype("datetime64[M]").astype(np.int64)
