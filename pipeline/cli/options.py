"""The options of the commands that run a stream, declared once: each is the setting of its name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from pipeline.settings import LISTS, Settings, known, load_settings


def _option(name: str, kind: Any, text: str) -> inspect.Parameter:
    """An option that nobody need give: a switch of kind bool, else one with a value."""
    is_switch = kind is bool
    names = (f"--{name.replace('_', '-')}",) if is_switch else ()  # no --no-sort beside --sort
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=False if is_switch else None,
        annotation=Annotated[bool if is_switch else kind | None, typer.Option(*names, help=text)],
    )


SHARED: Final = (
    _option("input", list[str], "File, or kafka://host:port/topic; repeat for more files"),
    _option("mapping", str, "Name or file of the mapping"),
    _option("journey", list[str], "Name or file of a journey; repeat for more"),
    _option(
        "active", list[str], "Version that the default views show, like checkout:1; repeat for more journeys"
    ),
    _option("clickhouse", str, "Where rows go: a DSN"),
    _option("clickhouse_retry", str, "How long rows wait for a database that is away, like 30m"),
    _option("announce", str, "Also tell what happens on Kafka topics: kafka://host:port"),
    _option("alerts", str, "Name or file of the definition of alerts: rules, and who is told"),
    _option("state", Path, "Folder of this deployment's state"),
    _option("workers", int, "Worker processes"),
    _option("process_id", int, "Which of the addresses this process has, from 0"),
    _option("addresses", str, "Where several machines run: host:port of every process, with commas"),
    _option(
        "restarts_max", int, "Restarts in vain before giving up (default: 10 of several processes, 0 of one)"
    ),
    _option(
        "quarantine", list[str], "Record to set aside unread, as SOURCE:PARTITION:POSITION; repeat for more"
    ),
    _option("shards", int, "Parts of the state"),
    _option("sort", bool, "Read each file in order of event time"),
    _option("until_drained", bool, "Stop at the end of the input, close nothing"),
    _option("store_events", bool, "Also keep every accepted event: bi.events"),
    _option("as_of", str, "No event is later than this time"),
    _option("partitioned_by", str, "'visitor' where each visitor's records lie in one file, else 'none'"),
    _option("session_gap", str, "Silence that ends a session, like 30m"),
    _option("session_length_max", str, "Longest session, like 24h"),
    _option("split_at_midnight", bool, "End sessions at 0:00 UTC"),
    _option("split_on_campaign", bool, "End a session when another campaign brings it back"),
    _option("allowed_lateness", str, "How far out of order events may come"),
    _option("dedup_window", str, "How long event ids are remembered"),
    _option("epoch", str, "How often a snapshot is taken"),
    _option("kafka_config", Path, "File of properties for the Kafka client (SASL, TLS)"),
    _option("start", str, "Where a topic is read from: earliest, latest, stored, or a time"),
    _option("group", str, "Consumer group that shows how far the run is"),
    _option("idle_after", str, "Silence after which time passes for a partition without records"),
    _option("listen", str, "Where /healthz, /readyz and /metrics are served: HOST:PORT, or none"),
    _option("log_format", str, "Lines of the log: logfmt, json, or auto (logfmt without a terminal)"),
)
CONFIG: Final = _option("config", Path, "Settings file (default ./pathline.toml)")


@dataclass(frozen=True)
class Given:
    """What was typed, by the names of the settings; None or nothing for the rest."""

    flags: dict[str, Any]
    config: Path | None

    def settings(self, **more: Any) -> Settings:
        """The settings of the run: file < environment < what was typed < `more`. Raises BadSettings."""
        return load_settings({**self.flags, **more}, self.config)


def takes_options(*, without: tuple[str, ...] = ()) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives a command the options of a run, `without` some, after its own: they come as its `given`."""
    shared = [option for option in SHARED if option.name not in without]

    def taking(command: Callable[..., None]) -> Callable[..., None]:
        def called(config: Path | None = None, **typed: Any) -> None:
            flags = {known(option.name): _value(option.name, typed.pop(option.name)) for option in shared}
            command(Given(flags, config), **typed)

        signature = inspect.signature(command, eval_str=True)
        own = [one for name, one in signature.parameters.items() if name != "given"]
        called.__signature__ = signature.replace(parameters=[*own, *shared, CONFIG])  # type: ignore[attr-defined]
        called.__doc__, called.__annotations__ = command.__doc__, {}
        return called

    return taking


def _value(name: str, typed: Any) -> Any:
    """As `load_settings` takes it: what was not given is None or empty."""
    if name in LISTS:
        return tuple(typed.split(",") if isinstance(typed, str) else typed or ())
    return None if typed is False else typed
