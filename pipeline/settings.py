"""All settings of a run: file < environment < flags, checked at once, printable with secrets masked."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from schemas.documents import parse_duration_ms
from sinks.base import mask_dsn

ENV_PREFIX: Final = "PATHLINE_"
FILE_SUFFIX: Final = "_FILE"
"""PATHLINE_CLICKHOUSE_FILE=/run/secrets/dsn: it stands in that file, as secrets come to containers."""

CONFIG_FILE: Final = "pathline.toml"
SECOND_MS: Final = 1000
DAY_MS: Final = 86_400_000
RESTARTS_MAX: Final = 10
LISTS: Final = ("input", "journey", "active", "addresses", "quarantine")


class BadSettings(Exception):  # noqa: N818  the word that users read
    """Settings that cannot be used: one line per problem, each with where it stands and a hint."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))


class Settings(BaseModel):
    """What a run does. Durations are written like 10s, 30m, 24h, 7d and kept in milliseconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: tuple[str, ...] = Field(
        (), description="files (jsonl, jsonl.gz, csv, csv.gz, parquet), or kafka://host:port/topic"
    )
    kafka_config: Path | None = Field(None, description="a file of properties for the Kafka client")
    kafka_timestamps: bool = Field(
        True, description="take a message's time for received_at where the mapping has none"
    )
    start: str = Field("earliest", description="where a topic is read from: earliest, latest, stored, a time")
    until: str | None = Field(
        None,
        description="time of the first messages of a topic that are not read any more; then it is drained",
    )
    group: str | None = Field(None, description="consumer group that mirrors the snapshots' offsets")
    idle_after_ms: int = Field(30 * SECOND_MS, ge=SECOND_MS, le=DAY_MS)
    mapping: str = Field("canonical", description="name or file of the mapping of records to events")
    journey: tuple[str, ...] = Field(("checkout",), description="names or files of journey definitions")
    active: tuple[str, ...] = Field(
        (), description="versions that the default views show, like checkout:1 (default: the highest of each)"
    )
    clickhouse: str = Field("chdb://pathline-data/clickhouse", description="where rows go (DSN)")
    clickhouse_retry_ms: int = Field(
        300 * SECOND_MS, ge=SECOND_MS, description="how long rows wait for a database that is away"
    )
    serve_port: int = Field(
        0, ge=0, le=65535, description="where others read the embedded database during a run; 0: any port"
    )
    serve_password: str | None = Field(
        None, min_length=8, description="what readers there must know (default: another in each run)"
    )
    announce: str | None = Field(None, description="also tell what happens on Kafka topics (DSN)")
    alerts: str = Field("default", description="name or file of the definition of alerts: rules and routes")
    state: Path = Field(Path("pathline-data/state"), description="folder of this deployment's state")
    workers: int = Field(1, ge=1, le=64, description="worker processes")
    process_id: int | None = Field(None, ge=0, description="which of the addresses this process has, from 0")
    addresses: tuple[str, ...] = Field(
        (), description="host:port of every process, where several machines run"
    )
    restarts_max: int | None = Field(
        None, ge=0, le=1000, description="restarts without progress before a run gives up; 0 for none"
    )
    quarantine: tuple[str, ...] = Field(
        (), description="records to set aside unread, each as source:partition:position"
    )
    shards: int = Field(8, ge=1, le=1024, description="parts of the state; fixed when a deployment begins")
    sort: bool = Field(False, description="read each file in order of event time")
    until_drained: bool = Field(False, description="stop at the end of the input without closing anything")
    store_events: bool = Field(False, description="also keep every accepted event, in the table events")
    as_of: str | None = Field(None, description="no event is later than this time (default: the first start)")
    partitioned_by: Literal["none", "visitor"] = Field(
        "none",
        description="whether a visitor's records all lie in one partition (Kafka: visitor)",
    )
    session_gap_ms: int = Field(30 * 60 * SECOND_MS, ge=1, le=DAY_MS)
    session_length_max_ms: int = Field(DAY_MS, ge=60 * SECOND_MS, le=30 * DAY_MS)
    split_at_midnight: bool = False
    split_on_campaign: bool = False
    allowed_lateness_ms: int = Field(10 * SECOND_MS, ge=0, le=DAY_MS)
    dedup_window_ms: int = Field(600 * SECOND_MS, ge=0, le=DAY_MS)
    dedup_ids_max: int = Field(10_000_000, ge=1)
    look_ahead_ms: int = Field(300 * SECOND_MS, ge=SECOND_MS)
    epoch_ms: int = Field(SECOND_MS, ge=100, le=600 * SECOND_MS)
    epoch_bytes_max: int = Field(512 << 20, ge=1 << 20, description="decoded bytes per partition and epoch")
    listen: str = Field("127.0.0.1:9464", description="where health and metrics are served; none: nowhere")
    log_format: Literal["auto", "logfmt", "json"] = Field(
        "auto", description="lines of the log (auto: logfmt where there is no terminal)"
    )
    batch_rows: int = Field(65_536, ge=1, le=1_000_000)

    @model_validator(mode="before")
    @classmethod
    def _of_topics(cls, values: Any) -> Any:
        """A topic keeps a visitor's records together, unless somebody says that it does not. A range of one
        has an end.
        """
        inputs = values.get("input", ()) if isinstance(values, dict) else ()
        if isinstance(values, dict) and values.get("until") is not None:
            values = {**values, "until_drained": True}
        if any(str(name).startswith("kafka://") for name in inputs) and "partitioned_by" not in values:
            return {**values, "partitioned_by": "visitor"}
        return values

    @field_validator("input", mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        return tuple(map(str, value)) if isinstance(value, list | tuple) else value

    @field_validator(
        "session_gap_ms", "session_length_max_ms", "allowed_lateness_ms", "dedup_window_ms", "look_ahead_ms",
        "epoch_ms", "idle_after_ms", "clickhouse_retry_ms", mode="before",
    )  # fmt: skip
    @classmethod
    def _duration(cls, value: Any) -> Any:
        if isinstance(value, str):
            ms = parse_duration_ms(value)
            if ms is None:
                raise ValueError(f"{value!r} is no duration; write it like 500ms, 10s, 30m, 24h or 7d")
            return ms
        return value

    @property
    def processes(self) -> int:
        """Of the whole run, on all machines."""
        return len(self.addresses) or self.workers

    @property
    def restarts(self) -> int:
        """How often in vain. By default a single process runs as it was called: it has no one to watch it."""
        if self.restarts_max is not None:
            return self.restarts_max
        is_live = any(name.startswith("kafka://") for name in self.input) and not self.until_drained
        return RESTARTS_MAX if self.processes > 1 or is_live else 0

    def shown(self) -> dict[str, Any]:
        """The settings for people and logs: secrets masked."""
        return {
            **self.model_dump(mode="json"),
            "clickhouse": mask_dsn(self.clickhouse),
            "announce": mask_dsn(self.announce) if self.announce else None,
            "serve_password": "***" if self.serve_password else None,
        }


def load_settings(flags: dict[str, Any], config: Path | None = None) -> Settings:
    """Settings from the config file (default ./pathline.toml where there is one), the environment
    (PATHLINE_SESSION_GAP=30m ...) and flags that are not None. Raises BadSettings with every problem.
    """
    file = config or Path(CONFIG_FILE)
    values: dict[str, Any] = {}
    origin: dict[str, str] = {}
    if config or file.exists():
        for name, value, where in _from_file(file):
            values[name], origin[name] = value, where
    for name, value, where in _from_environment():
        values[name], origin[name] = value, where
    for name, value in flags.items():
        if value is not None and value != ():
            values[name], origin[name] = value, f"--{name.removesuffix('_ms').replace('_', '-')}"
    try:
        return Settings(**values)
    except ValidationError as error:
        raise BadSettings([_problem(detail, origin) for detail in error.errors()]) from None


def known(name: str) -> str:
    """A setting's field: `session_gap` is kept as `session_gap_ms`."""
    name = name.lower().replace("-", "_")
    return f"{name}_ms" if f"{name}_ms" in Settings.model_fields else name


def _from_file(file: Path) -> list[tuple[str, Any, str]]:
    try:
        text = file.read_text()
        found = tomllib.loads(text)
    except OSError as error:
        raise BadSettings([f"{file}: {error.strerror or error}\n  hint: name a readable TOML file"]) from None
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        where = f"{file}:{line[1] if line else 1}"
        raise BadSettings([f'{where}: not TOML: {error}\n  hint: lines like session_gap = "30m"']) from None
    lines = text.splitlines()
    out = []
    for name, value in found.items():
        at = next((n for n, line in enumerate(lines, 1) if re.match(rf"\s*{re.escape(name)}\s*=", line)), 1)
        out.append((known(name), value, f"{file}:{at}"))
    return out


def _from_environment() -> list[tuple[str, Any, str]]:
    out: list[tuple[str, Any, str]] = []
    for key, text in os.environ.items():
        if not key.startswith(ENV_PREFIX):
            continue
        name = known(key.removeprefix(ENV_PREFIX))
        if key.endswith(FILE_SUFFIX) and name not in Settings.model_fields:
            name = known(key.removeprefix(ENV_PREFIX).removesuffix(FILE_SUFFIX))
            text = _content(key, Path(text)) if name in Settings.model_fields else text
        if name not in Settings.model_fields:
            continue  # PATHLINE_DATA and the like are not settings of a run
        value: Any = tuple(text.split(",")) if name in LISTS else text
        out.append((name, value, key))
    return out


def _content(key: str, file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError as error:
        raise BadSettings(
            [f"{key}: {file}: {error.strerror}\n  hint: name a file that can be read"]
        ) from None


def _problem(detail: Any, origin: dict[str, str]) -> str:
    name = str(detail["loc"][0]) if detail["loc"] else "settings"
    where = origin.get(name, name)
    message = detail["msg"].removeprefix("Value error, ")
    field = Settings.model_fields.get(name)
    if detail["type"] == "extra_forbidden":
        known = ", ".join(field.removesuffix("_ms") for field in Settings.model_fields)
        return f"{where}: no setting is called {name!r}\n  hint: the settings are {known}"
    hint = field.description if field and field.description else "see `pathline run --help`"
    return f"{where}: {name.removesuffix('_ms')}: {message}\n  hint: {hint}"
