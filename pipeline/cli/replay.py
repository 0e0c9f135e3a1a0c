"""`pathline run`: files in, sessions and stages out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from pipeline.cli.execute import execute
from pipeline.run import plan
from pipeline.settings import load_settings


def run(
    input: Annotated[  # noqa: A002
        list[str] | None, typer.Option(help="File, or kafka://host:port/topic; repeat for more files")
    ] = None,
    mapping: Annotated[str | None, typer.Option(help="Name or file of the mapping")] = None,
    journey: Annotated[
        list[str] | None, typer.Option(help="Name or file of a journey; repeat for more")
    ] = None,
    active: Annotated[
        list[str] | None,
        typer.Option(help="Version that the default views show, like checkout:1; repeat for more journeys"),
    ] = None,
    clickhouse: Annotated[str | None, typer.Option(help="Where rows go: a DSN")] = None,
    clickhouse_retry: Annotated[
        str | None, typer.Option(help="How long rows wait for a database that is away, like 30m")
    ] = None,
    announce: Annotated[
        str | None, typer.Option(help="Also tell what happens on Kafka topics: kafka://host:port")
    ] = None,
    state: Annotated[Path | None, typer.Option(help="Folder of this deployment's state")] = None,
    workers: Annotated[int | None, typer.Option(help="Worker processes")] = None,
    process_id: Annotated[
        int | None, typer.Option(help="Which of the addresses this process has, from 0")
    ] = None,
    addresses: Annotated[
        str | None, typer.Option(help="Where several machines run: host:port of every process, with commas")
    ] = None,
    restarts_max: Annotated[
        int | None,
        typer.Option(help="Restarts in vain before giving up (default: 10 of several processes, 0 of one)"),
    ] = None,
    quarantine: Annotated[
        list[str] | None,
        typer.Option(help="Record to set aside unread, as SOURCE:PARTITION:POSITION; repeat for more"),
    ] = None,
    shards: Annotated[int | None, typer.Option(help="Parts of the state")] = None,
    sort: Annotated[bool, typer.Option("--sort", help="Read each file in order of event time")] = False,
    until_drained: Annotated[
        bool, typer.Option("--until-drained", help="Stop at the end of the input, close nothing")
    ] = False,
    store_events: Annotated[
        bool, typer.Option("--store-events", help="Also keep every accepted event: bi.events")
    ] = False,
    as_of: Annotated[str | None, typer.Option(help="No event is later than this time")] = None,
    partitioned_by: Annotated[
        str | None, typer.Option(help="'visitor' where each visitor's records lie in one file, else 'none'")
    ] = None,
    session_gap: Annotated[str | None, typer.Option(help="Silence that ends a session, like 30m")] = None,
    session_length_max: Annotated[str | None, typer.Option(help="Longest session, like 24h")] = None,
    split_at_midnight: Annotated[
        bool, typer.Option("--split-at-midnight", help="End sessions at 0:00 UTC")
    ] = False,
    split_on_campaign: Annotated[
        bool, typer.Option("--split-on-campaign", help="End a session when another campaign brings it back")
    ] = False,
    allowed_lateness: Annotated[str | None, typer.Option(help="How far out of order events may come")] = None,
    dedup_window: Annotated[str | None, typer.Option(help="How long event ids are remembered")] = None,
    epoch: Annotated[str | None, typer.Option(help="How often a snapshot is taken")] = None,
    kafka_config: Annotated[
        Path | None, typer.Option(help="File of properties for the Kafka client (SASL, TLS)")
    ] = None,
    start: Annotated[
        str | None, typer.Option(help="Where a topic is read from: earliest, latest, stored, or a time")
    ] = None,
    group: Annotated[str | None, typer.Option(help="Consumer group that shows how far the run is")] = None,
    idle_after: Annotated[
        str | None, typer.Option(help="Silence after which time passes for a partition without records")
    ] = None,
    listen: Annotated[
        str | None, typer.Option(help="Where /healthz, /readyz and /metrics are served: HOST:PORT, or none")
    ] = None,
    log_format: Annotated[
        str | None, typer.Option(help="Lines of the log: logfmt, json, or auto (logfmt without a terminal)")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="Settings file (default ./pathline.toml)")] = None,
) -> None:
    """Replay files to the end: sessions, transitions and counters into ClickHouse.

    A run that was stopped or killed goes on where it was when the same command is given again.
    """
    flags = {
        "input": tuple(input or ()),
        "mapping": mapping,
        "journey": tuple(journey or ()),
        "active": tuple(active or ()),
        "clickhouse": clickhouse,
        "clickhouse_retry_ms": clickhouse_retry,
        "announce": announce,
        "state": state,
        "workers": workers,
        "process_id": process_id,
        "addresses": tuple(addresses.split(",")) if addresses else None,
        "restarts_max": restarts_max,
        "quarantine": tuple(quarantine or ()),
        "shards": shards,
        "sort": sort or None,
        "until_drained": until_drained or None,
        "store_events": store_events or None,
        "as_of": as_of,
        "partitioned_by": partitioned_by,
        "session_gap_ms": session_gap,
        "session_length_max_ms": session_length_max,
        "split_at_midnight": split_at_midnight or None,
        "split_on_campaign": split_on_campaign or None,
        "allowed_lateness_ms": allowed_lateness,
        "dedup_window_ms": dedup_window,
        "epoch_ms": epoch,
        "kafka_config": kafka_config,
        "start": start,
        "group": group,
        "idle_after_ms": idle_after,
        "listen": listen,
        "log_format": log_format,
    }
    planned = plan(load_settings(flags, config))
    raise typer.Exit(execute(planned, Console(stderr=True)))
