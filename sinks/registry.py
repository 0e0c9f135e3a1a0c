"""From a DSN to a sink."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

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


def serve(sink: Sink) -> Callable[[], None]:
    """Lets other processes read what only this one can open, where `sink` is of that kind. To be called once
    it is open; what comes back ends it, and must be called before the sink is closed. Neither ever raises:
    a run without readers is better than none.
    """
    begin: Callable[[], Callable[[], None]] | None = getattr(sink, "serve", None)
    return begin() if begin is not None else lambda: None
