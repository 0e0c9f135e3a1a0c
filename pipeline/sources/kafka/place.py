"""Which topics of which brokers: `kafka://host:port,host:port/topic,topic?name=value`.

What librdkafka can be told (`security.protocol`, `sasl.mechanism`, `ssl.ca.location`...) goes into the query,
or line by line into a file of properties. Secrets only into that file, or the environment.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from sinks.kafka.settings import ENVIRONMENT, FROM_ENVIRONMENT

SCHEME: Final = "kafka://"

OURS: Final = frozenset(
    {
        "auto.offset.reset", "bootstrap.servers", "client.id", "enable.auto.commit",
        "enable.auto.offset.store", "enable.partition.eof", "group.id", "metadata.broker.list",
    }
)  # fmt: skip
"""What the pipeline's promises rest on."""
SECRETS: Final = (
    "sasl.password",
    "ssl.key.password",
    "ssl.keystore.password",
    "sasl.oauthbearer.client.secret",
)
_TOPIC: Final = re.compile(r"[A-Za-z0-9._-]{1,249}")


class BadPlace(Exception):  # noqa: N818  the word that users read
    """An input that names no topic: a message and the way out."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


@dataclass(frozen=True)
class KafkaPlace:
    """Brokers and topics, and what else librdkafka is to be told. May hold secrets: never shown whole."""

    brokers: str
    topics: tuple[str, ...]
    config: Mapping[str, str]

    def __repr__(self) -> str:
        return f"KafkaPlace({self.shown!r})"

    @property
    def shown(self) -> str:
        """For people and logs."""
        return f"{SCHEME}{self.brokers}/{','.join(self.topics)}"

    def client(self, **more: Any) -> dict[str, Any]:
        """The configuration of a client."""
        quiet = {"log_level": 0}  # what matters comes as an error
        return {"bootstrap.servers": self.brokers, "client.id": "pathline", **quiet, **self.config, **more}


def is_kafka(name: str) -> bool:
    """Whether an input names topics rather than a file."""
    return name.startswith(SCHEME)


def parse_place(
    name: str, properties: Path | None = None, environment: Mapping[str, str] = os.environ
) -> KafkaPlace:
    """What an input names, with the properties of a file and of the environment. Raises BadPlace."""
    parts = urlsplit(name)
    shown = f"{SCHEME}{parts.netloc.rpartition('@')[2]}{parts.path}"
    if "@" in parts.netloc:
        raise BadPlace(
            f"--input: {shown}: a password has no place here",
            "put sasl.username and sasl.password into a file: --kafka-config FILE",
        )
    topics = tuple(topic for topic in parts.path.lstrip("/").split(",") if topic)
    if not parts.netloc or not topics or len(set(topics)) < len(topics):
        raise BadPlace(f"--input: {shown} names no topics", f"write it like {SCHEME}localhost:9092/clicks")
    for topic in topics:
        if not _TOPIC.fullmatch(topic):
            raise BadPlace(f"--input: {topic!r} is no name of a topic", "letters, digits, '.', '_' and '-'")
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    for secret in SECRETS:
        if secret in query:
            raise BadPlace(
                f"--input: {shown}: {secret} would be seen by everybody here",
                f"put it into --kafka-config FILE, or into {ENVIRONMENT}{secret.upper().replace('.', '_')}",
            )
    config = query | (_properties(properties) if properties else {}) | _from(environment)
    for key in sorted(OURS & config.keys()):
        raise BadPlace(f"--input: {shown}: {key} is ours to set", "leave it out")
    return KafkaPlace(_with_ports(parts.netloc), topics, config)


def _with_ports(brokers: str) -> str:
    return ",".join(one if ":" in one else f"{one}:9092" for one in brokers.split(","))


def _properties(path: Path) -> dict[str, str]:
    """The lines `name=value` of a file; `#` begins a remark."""
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise BadPlace(f"--kafka-config: {path}: {error.strerror}", "a file of lines name=value") from None
    found = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals:
            raise BadPlace(f"{path}:{number}: no line name=value", "like security.protocol=SASL_SSL")
        found[name.strip()] = value.strip()
    return found


def _from(environment: Mapping[str, str]) -> dict[str, str]:
    """The secrets that are in the environment, under the same names as for the topics that we write."""
    named = {name: ENVIRONMENT + name.upper().replace(".", "_") for name in FROM_ENVIRONMENT}
    return {name: environment[variable] for name, variable in named.items() if environment.get(variable)}
