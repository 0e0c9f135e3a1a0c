"""Headers of a message as text, to be kept beside a record that is set aside."""

from __future__ import annotations

import base64
from typing import Any, Final

import msgspec
from confluent_kafka import Message

HEADERS_BYTES_MAX: Final = 16_000
"""Of the text of one message: a quarter of what is kept of its payload. Headers that do not fit are left out,
and how many is said in their place.
"""


def headers_of(message: Message) -> str:
    """A JSON list of [name, value] in their order, because names may repeat; '' without headers. A value that
    is no UTF-8 is written as {"base64": ...}.
    """
    headers = message.headers()
    if not headers:
        return ""
    assert isinstance(headers, list), "what the client gives; only what it takes may be a dict"
    told: list[Any] = []
    size = 2
    for name, value in headers:
        pair = [name, _value(value)]
        size += len(msgspec.json.encode(pair)) + 1
        if size > HEADERS_BYTES_MAX:
            told.append({"left_out": len(headers) - len(told)})
            break
        told.append(pair)
    return msgspec.json.encode(told).decode()


def _value(value: str | bytes | None) -> str | dict[str, str] | None:
    if value is None or isinstance(value, str):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}
