"""From a DSN to a sink."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Protocol

from sinks.base import Sink, SinkRefused, mask_dsn
from sinks.null import NullSink

DSN_FORMS: Final = (
    "chdb:///absolute/path (embedded ClickHouse)",
    "chdb://relative/path",
    "clickhouse://user:password@host:8123",
    "https://user:password@host:8443 (or http://)",
    "parquet:///directory",
    "kafka://host:9092?prefix=pathline. (messages: transitions, abandonments, rejects)",
    "null:",
)


def open_sink(dsn: str, retry_seconds: float | None = None) -> Sink:
    """The sink that `dsn` names, not yet connected: call its `open`. Raises SinkRefused with the forms.

    A database gets `retry_seconds` to come back before a run stops; None is the sink's own default.
    """
    scheme, separator, rest = dsn.partition(":")
    scheme = scheme.lower()
    if scheme == "null" and separator:
        return NullSink()
    if scheme == "parquet" and rest.startswith("//") and rest[2:]:
        # imported here: who writes files pays neither for the engine nor for its driver
        from sinks.parquet import ParquetSink

        return ParquetSink(rest[2:])
    if scheme == "kafka" and rest.startswith("//"):
        from sinks.kafka.writer import KafkaSink

        return KafkaSink(dsn)
    if scheme in ("chdb", "clickhouse", "http", "https") and rest.startswith("//") and rest[2:]:
        from sinks.clickhouse.writer import ClickHouseSink

        return ClickHouseSink(dsn) if retry_seconds is None else ClickHouseSink(dsn, retry_seconds)
    raise SinkRefused(f"Not a sink that Pathline knows: {mask_dsn(dsn)!r}", "one of: " + "; ".join(DSN_FORMS))


def refused_rows(sink: Sink) -> Mapping[str, int]:
    """Rows by table that `sink` set aside because the database refused them; none where it has no such."""
    found: Mapping[str, int] = getattr(sink, "refused_rows", {})
    return found


def settle(sink: Sink) -> None:
    """Has `sink` compute what it keeps of aggregates, where it does; for the clean end of a run."""
    compute: Callable[[], None] | None = getattr(sink, "settle", None)
    if compute is not None:
        compute()


class Door(Protocol):
    """Lets others read, until it is closed. `problem` is why it does not."""

    problem: Exception | None

    def close(self) -> None:
        """Never raises."""


def serve(sink: Sink, port: int = 0, password: str | None = None) -> Door | None:
    """Lets other processes of this machine read what only this one can open; None where `sink` is not of that
    kind. To be called once it is open; the door must be closed before the sink is. Neither ever raises: a run
    without readers is better than none. Without `port` and `password` each run has others.
    """
    begin: Callable[[int, str | None], Door | None] | None = getattr(sink, "serve", None)
    return begin(port, password) if begin is not None else None
