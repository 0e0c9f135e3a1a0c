"""What stands at the other end of a route: the grammar of each type's own settings."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from schemas.documents import Document, closest
from schemas.nodes import Node
from schemas.secret_refs import (
    SecretRef,
    expect_secret,
    expect_texts_or_secrets,
    expect_url,
    parse_secret_ref,
    sounds_secret,
)

RECIPIENTS_MAX: Final = 50
DAY_MS: Final = 86_400_000
_ADDRESS: Final = re.compile(r"[^@\s<>,;]+@[^@\s<>,;]+")
_LABEL: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HEADER: Final = re.compile(r"[A-Za-z0-9-]+")

Entries = Mapping[str, Node]


@dataclass(frozen=True)
class Alertmanager:
    """Posts to `url`/api/v2/alerts. What is not sent again within `expires_ms` ends there by itself."""

    url: str | SecretRef
    username: str | None
    password: SecretRef | None
    token: SecretRef | None
    labels: Mapping[str, str]
    expires_ms: int


@dataclass(frozen=True)
class PagerDuty:
    url: str | SecretRef
    routing_key: SecretRef


@dataclass(frozen=True)
class Slack:
    """An incoming webhook, or a token and a channel: only with these is an episode one thread."""

    url: str | SecretRef
    webhook: SecretRef | None
    token: SecretRef | None
    channel: str | None


@dataclass(frozen=True)
class Webhook:
    url: str | SecretRef
    secret: SecretRef
    headers: Mapping[str, str | SecretRef]


@dataclass(frozen=True)
class Email:
    host: str
    port: int
    security: str
    """starttls, tls or none."""
    username: str | None
    password: SecretRef | None
    sender: str
    to: tuple[str, ...]


@dataclass(frozen=True)
class Kafka:
    dsn: str


Target = Alertmanager | PagerDuty | Slack | Webhook | Email | Kafka


Read = Callable[[Document, Entries, int], Target | None]


def one_of(document: Document, node: Node | None, what: str, known: tuple[str, ...]) -> str | None:
    """One of the `known` words."""
    text = document.expect_text(node, what)
    if node is None or text is None or text in known:
        return text
    document.problem(node.line, f"{what}: '{text}' is not known", closest(text, known))
    return None


def _alertmanager(document: Document, entries: Entries, line: int) -> Alertmanager | None:
    url = expect_url(document, entries.get("url"), "url")
    username = document.expect_text(entries.get("username"), "username")
    password = expect_secret(document, entries.get("password"), "password")
    token = expect_secret(document, entries.get("token"), "token")
    if ("username" in entries) != ("password" in entries):
        document.problem(line, "username and password go together")
    if "token" in entries and "username" in entries:
        document.problem(line, "either a token, or username and password")
    expires_ms = document.expect_duration_ms(entries.get("expires_after"), "expires_after", DAY_MS)
    labels = _labels(document, entries.get("labels"))
    if url is None:
        return None
    return Alertmanager(url, username, password, token, labels, expires_ms or 15 * 60_000)


def _labels(document: Document, node: Node | None) -> Mapping[str, str]:
    if node is None:
        return {}
    if not isinstance(node.value, dict):
        document.problem(node.line, f"labels must be a mapping, not {node.kind}")
        return {}
    out = {}
    for name, item in node.value.items():
        text = document.expect_text(item, f"label {name}")
        if not _LABEL.fullmatch(name):
            document.problem(item.line, f"no label can be called '{name}'", "letters, digits and _")
        elif text is not None:
            out[name] = text
    return out


def _pagerduty(document: Document, entries: Entries, line: int) -> PagerDuty | None:
    key = expect_secret(document, entries.get("routing_key"), "routing_key")
    url = expect_url(document, entries.get("url"), "url") or "https://events.pagerduty.com"
    return PagerDuty(url, key) if key else None


def _slack(document: Document, entries: Entries, line: int) -> Slack | None:
    webhook = expect_secret(document, entries.get("webhook"), "webhook")
    token = expect_secret(document, entries.get("token"), "token")
    channel = document.expect_text(entries.get("channel"), "channel")
    url = expect_url(document, entries.get("url"), "url") or "https://slack.com/api"
    hint = "with token and channel each episode is one thread; a webhook cannot do that"
    if ("webhook" in entries) == ("token" in entries):
        document.problem(line, "a route of type slack has either a webhook, or a token and a channel", hint)
    elif "token" in entries and "channel" not in entries:
        document.problem(line, "a token of slack needs a channel", hint)
    elif webhook or (token and channel):
        return Slack(url, webhook, token, channel)
    return None


def _webhook(document: Document, entries: Entries, line: int) -> Webhook | None:
    url = expect_url(document, entries.get("url"), "url")
    secret = expect_secret(document, entries.get("secret"), "secret")
    headers = expect_texts_or_secrets(document, entries.get("headers"), "headers")
    for name in headers:
        if not _HEADER.fullmatch(name):
            document.problem(
                entries["headers"].line, f"no header can be called '{name}'", "letters, digits and -"
            )
    return Webhook(url, secret, headers) if url and secret else None


def _email(document: Document, entries: Entries, line: int) -> Email | None:
    host = document.expect_text(entries.get("host"), "host")
    security = one_of(document, entries.get("security"), "security", ("starttls", "tls", "none"))
    port = document.expect_integer(entries.get("port"), "port", 1, 65_535)
    username = document.expect_text(entries.get("username"), "username")
    password = expect_secret(document, entries.get("password"), "password")
    if ("username" in entries) != ("password" in entries):
        document.problem(line, "username and password go together")
    if "username" in entries and security == "none":
        document.problem(line, "a password would go over the wire as it is", "security: starttls or tls")
    sender = _address(document, entries.get("sender"), "sender")
    items = document.expect_list(entries.get("to"), "to") or ()
    to = [_address(document, item, "to") for item in items[:RECIPIENTS_MAX]]
    if len(items) > RECIPIENTS_MAX:
        document.problem(
            entries["to"].line, f"at most {RECIPIENTS_MAX} addresses", "use the address of a list"
        )
    if host is None or sender is None or not to:
        return None
    security = security or "starttls"
    port = port or (465 if security == "tls" else 587)
    return Email(host, port, security, username, password, sender, tuple(one for one in to if one))


def _address(document: Document, node: Node | None, what: str) -> str | None:
    text = document.expect_text(node, what)
    if node is None or text is None or _ADDRESS.fullmatch(text):
        return text
    document.problem(node.line, f"{what}: '{text}' is no address", "such as oncall@example.com")
    return None


def _kafka(document: Document, entries: Entries, line: int) -> Kafka | None:
    text = document.expect_text(entries.get("dsn"), "dsn")
    if text is None:
        return None
    node = entries["dsn"]
    if parse_secret_ref(text) or not text.startswith("kafka://"):
        document.problem(node.line, "dsn names no brokers", "kafka://host:9092?prefix=pathline.&config=FILE")
        return None
    parts = urlsplit(text)
    if "@" in parts.netloc or any(sounds_secret(name) for name, _ in parse_qsl(parts.query)):
        hint = "in a file of properties: config=FILE; or in PATHLINE_KAFKA_SASL_PASSWORD and its like"
        document.problem(node.line, "dsn has a secret in it, and must not stand in this file", hint)
        return None
    return Kafka(text)


READ: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...], Read]]] = {
    "alertmanager": (
        ("url", "username", "password", "token", "labels", "expires_after"), ("url",), _alertmanager,
    ),
    "pagerduty": (("routing_key", "url"), ("routing_key",), _pagerduty),
    "slack": (("webhook", "token", "channel", "url"), (), _slack),
    "webhook": (("url", "secret", "headers"), ("url", "secret"), _webhook),
    "email": (
        ("host", "port", "security", "username", "password", "sender", "to"),
        ("host", "sender", "to"),
        _email,
    ),
    "kafka": (("dsn",), ("dsn",), _kafka),
}  # fmt: skip
"""By type: the keys of its own, those of them that are required, and who reads them."""

ROUTE_TYPES: Final = tuple(READ)
