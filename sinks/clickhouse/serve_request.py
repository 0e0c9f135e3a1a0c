"""What a client of ClickHouse's HTTP protocol asks: read from its request, nothing decided yet."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message
from email.parser import BytesParser
from email.policy import HTTP
from typing import Final
from urllib.parse import parse_qsl

import pyarrow as pa

from sinks.clickhouse.serve_errors import Refused

ENCODINGS: Final = ("zstd", "lz4", "gzip")
"""Content codings that are understood, in the order of preference for answers. Arrow brings them."""

_INSERT: Final = re.compile(
    rb"\s*INSERT\s+INTO\s(?:(?!\bVALUES\b).)*?\bFORMAT\s+(\w+)[ \t]*\r?\n?", re.DOTALL | re.IGNORECASE
)
_NOT_SETTINGS: Final = frozenset({"query", "database", "default_format", "user", "password"})
_PARAMETER: Final = "param_"


@dataclass(frozen=True)
class Request:
    """One statement with everything that belongs to it."""

    statement: str
    data: bytes | None = None
    """The rows of an INSERT ... FORMAT: what follows the statement."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    database: str = ""
    format: str = "TabSeparated"
    """What to answer in where the statement does not say it."""
    may_write: bool = True
    """A GET never writes, whoever sends it."""


def read_request(method: str, query: str, headers: Message, body: bytes) -> Request:
    """The request in the URL's query, the headers and the body (chunks joined, still encoded)."""
    named = dict(parse_qsl(query, keep_blank_values=True))
    body = _decoded(body, headers.get("Content-Encoding", ""))
    if named.get("compress") == "1" or named.get("decompress") == "1":
        raise Refused(48, "ClickHouse's own compression (compress=1, decompress=1) is not spoken here")
    if headers.get("Content-Type", "").startswith("multipart/form-data"):
        named, body = named | _form(headers["Content-Type"], body), b""
    before = named.get("query", "").encode()
    text = before + b"\n" + body if before and body else before or body
    insert = _INSERT.match(text) if method == "POST" else None
    try:
        statement = (text[: insert.end()] if insert else text).decode()
    except UnicodeDecodeError:
        raise Refused(62, "Syntax error: the statement is not UTF-8") from None
    parameters = {key for key in named if key.startswith(_PARAMETER)}
    return Request(
        statement.strip(),
        text[insert.end() :] if insert else None,
        {key.removeprefix(_PARAMETER): named[key] for key in parameters},
        {key: named[key] for key in named.keys() - parameters - _NOT_SETTINGS},
        named.get("database") or str(headers.get("X-ClickHouse-Database", "")),
        named.get("default_format") or str(headers.get("X-ClickHouse-Format", "TabSeparated")),
        may_write=method == "POST",
    )


def password_of(query: str, headers: Message) -> str | None:
    """The password or token that came with a request, by whichever of the protocol's ways; None without."""
    kind, _, given = headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return given.strip()
    if kind.lower() == "basic":
        try:
            return base64.b64decode(given, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    return headers.get("X-ClickHouse-Key") or dict(parse_qsl(query)).get("password")


def encoding_of(request: Request, headers: Message) -> str | None:
    """How to encode the answer: as a server does, only where the client sets `enable_http_compression`."""
    if request.settings.get("enable_http_compression") != "1":
        return None
    accepted = {part.partition(";")[0].strip() for part in headers.get("Accept-Encoding", "").split(",")}
    return next((coding for coding in ENCODINGS if coding in accepted), None)


def encoded(data: bytes, coding: str) -> bytes:
    """The data in one of ENCODINGS."""
    stream = pa.BufferOutputStream()
    with pa.CompressedOutputStream(stream, coding) as out:
        out.write(data)
    return bytes(stream.getvalue().to_pybytes())


def _decoded(body: bytes, coding: str) -> bytes:
    if not body or coding in ("", "identity"):
        return body
    if coding not in ENCODINGS:
        raise Refused(
            48, f"Content-Encoding {coding!r} is not spoken here: use one of {', '.join(ENCODINGS)}"
        )
    try:
        return bytes(pa.CompressedInputStream(pa.BufferReader(body), coding).read())
    except OSError as error:
        raise Refused(432, f"The body is not {coding}: {error}") from None


def _form(content_type: str, body: bytes) -> dict[str, str]:
    """The fields of a form: drivers send one where parameters are too long for a URL."""
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    message = BytesParser(policy=HTTP).parsebytes(head + body)
    fields = {}
    for part in message.iter_parts():
        if part.get_filename() is not None:
            raise Refused(48, "Tables that come with the query (external data) are not taken here")
        payload = part.get_payload(decode=True)
        assert isinstance(payload, bytes)
        fields[str(part.get_param("name", header="content-disposition"))] = payload.decode()
    return fields
