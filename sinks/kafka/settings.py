"""From a DSN, a file and the environment to the settings of a producer; secrets never come by the DSN.

A DSN is seen by whoever lists processes, and ends up in scripts and tickets. So a password stands in a file
of properties (`config=FILE`) or in the environment (PATHLINE_KAFKA_SASL_PASSWORD=... for `sasl.password`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from schemas.messages import TOPICS
from sinks.base import MASK, SinkRefused, mask_dsn

ENVIRONMENT: Final = "PATHLINE_KAFKA_"
FORM: Final = "kafka://host:9092,other:9092?prefix=pathline.&config=kafka.properties"

DEFAULTS: Final = {
    "client.id": "pathline",
    "delivery.timeout.ms": "300000",  # so long a message is tried again: as long as a block by ClickHouse
    "compression.type": "lz4",
    "linger.ms": "5",
    "partitioner": "murmur2_random",  # that of Java: what it writes by the same key lies beside ours
    "reconnect.backoff.max.ms": "2000",
    "queue.buffering.max.messages": "200000",
    "message.max.bytes": "8000000",  # what the topic takes decides: an id may be as long as a record
}

FIXED: Final = {
    "enable.idempotence": "true",  # sent twice by the transport, stored once and in order
    "acks": "all",
}
"""What `write` promises hangs on these."""

FROM_ENVIRONMENT: Final = (
    "sasl.username",
    "sasl.password",
    "sasl.oauthbearer.client.id",
    "sasl.oauthbearer.client.secret",
    "ssl.key.password",
    "ssl.keystore.password",
)
_SECRET: Final = re.compile(r"password|passphrase|secret|key\.pem$|oauthbearer\.config$")
_OURS: Final = ("prefix", "topics", "config")
_TOPIC: Final = re.compile(r"[A-Za-z0-9._-]*\Z")


@dataclass(frozen=True)
class KafkaTarget:
    """Where messages go. `settings` may hold secrets: they are in no `repr`."""

    shown: str
    prefix: str
    topics: tuple[str, ...]
    settings: dict[str, str] = field(repr=False)

    def masked(self, text: str) -> str:
        """A text of the client without the values of secret settings."""
        for name, value in self.settings.items():
            if _SECRET.search(name) and value:
                text = text.replace(value, MASK)
        return text

    @property
    def delivery_seconds(self) -> float:
        """So long an acknowledgement is waited for."""
        return int(self.settings["delivery.timeout.ms"]) / 1000


def kafka_target(dsn: str, environment: Mapping[str, str] = os.environ) -> KafkaTarget:
    """Read a `kafka:` DSN, the file that it names and the environment; each beats those before it in this
    order: defaults, file, environment, DSN. Raises SinkRefused.
    """
    parts = urlsplit(dsn)
    query = parse_qsl(parts.query, keep_blank_values=True)
    shown = mask_dsn(dsn)
    if "@" in parts.netloc:
        raise SinkRefused(f"{shown}: a user does not belong into the DSN", _how_secret("sasl.password"))
    if not re.fullmatch(r"[^,/\s]+(,[^,/\s]+)*", parts.netloc) or parts.path not in ("", "/"):
        raise SinkRefused(f"{shown} names no brokers", FORM)
    given = dict(query)
    for name in given:
        if _SECRET.search(name):
            raise SinkRefused(
                f"kafka://{parts.netloc}: {name} does not belong into the DSN", _how_secret(name)
            )
    ours = {name: given.pop(name) for name in _OURS if name in given}
    settings = DEFAULTS | _from_file(ours.get("config"), shown) | _from_environment(environment) | given
    settings["bootstrap.servers"] = parts.netloc
    _check(settings, shown)
    return KafkaTarget(
        shown, _prefix(ours.get("prefix", "pathline."), shown), _topics(ours.get("topics"), shown),
        settings | FIXED,
    )  # fmt: skip


def _how_secret(name: str) -> str:
    line = f"write a line `{name}=...` in a file and add config=FILE"
    return f"set {_variable(name)} in the environment, or {line}" if name in FROM_ENVIRONMENT else line


def _from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    named = {name: _variable(name) for name in FROM_ENVIRONMENT}
    return {name: environment[variable] for name, variable in named.items() if variable in environment}


def _variable(name: str) -> str:
    return ENVIRONMENT + name.upper().replace(".", "_")


def _from_file(file: str | None, shown: str) -> dict[str, str]:
    if file is None:
        return {}
    try:
        lines = Path(file).expanduser().read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise SinkRefused(
            f"{shown}: {file}: {reason}", "config names a readable file of properties"
        ) from None
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith(("#", "!")):
            continue
        name, separator, value = line.partition("=")
        if not separator or not name.strip():
            raise SinkRefused(f"{shown}: {file}:{number} is no property", "lines like sasl.username=pathline")
        found[name.strip()] = value.strip()
    return found


def _check(settings: dict[str, str], shown: str) -> None:
    for name, value in FIXED.items():
        said = settings.get(name, value).lower()
        if said not in (value, "-1" if name == "acks" else value):
            raise SinkRefused(f"{shown}: {name} must be {value}, not {said}", "leave it out")
    if "message.timeout.ms" in settings:  # the client's older name of the same setting
        settings["delivery.timeout.ms"] = settings.pop("message.timeout.ms")
    timeout = settings["delivery.timeout.ms"]
    if not timeout.isdecimal() or not int(timeout):
        raise SinkRefused(f"{shown}: delivery.timeout.ms must be a number above 0, not {timeout}", "300000")


def _prefix(prefix: str, shown: str) -> str:
    if not _TOPIC.match(prefix):
        raise SinkRefused(
            f"{shown}: no topic can begin with {prefix!r}", "letters, digits, '.', '_' and '-' are possible"
        )
    return prefix


def _topics(topics: str | None, shown: str) -> tuple[str, ...]:
    """Those that are written; all unless the DSN names some."""
    wanted = tuple(TOPICS) if topics is None else tuple(topics.split(","))
    unknown = [name for name in wanted if name not in TOPICS]
    if unknown:
        raise SinkRefused(f"{shown}: there is no topic {unknown[0]!r} to write", "of " + ", ".join(TOPICS))
    return wanted
