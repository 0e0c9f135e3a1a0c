"""A line of bytes to an object, or the reason why it is none. msgspec decides what is JSON.

Two things are ours: what counts as *cut* (the text ended where more was due), and how deep nesting may
go, because msgspec's own limit depends on who calls it and a record's fate must not.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Final

import msgspec

from schemas.rejects import RECORD_BYTES_MAX, RejectReason

NESTING_MAX: Final = 200
"""An object nested deeper is not read."""


class Digits(str):
    """A number with a fraction or exponent, as it was written."""

    __slots__ = ()


class Instant(str):
    """A time of a typed table as ISO 8601 text, whatever format the mapping has for its times."""

    __slots__ = ()


class Rejected(Exception):  # noqa: N818  a value of the decoder rather than an error of ours
    """The record cannot be an event."""

    def __init__(self, reason: RejectReason) -> None:
        super().__init__(reason)
        self.reason = reason


_JSON: Final = msgspec.json.Decoder(float_hook=Digits)
_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_BRACKETS: Final = re.compile(rb"[\[\]{}]")
_NUMBER: Final = re.compile(r"\s*([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,9})?)\s*")
_PLACE: Final = re.compile(r"\(byte (\d+)\)$")


def parse_json(line: bytes) -> dict[str, Any]:
    """The object on a line. Raises Rejected with the first reason that holds.

    A number with a fraction or exponent comes as Digits; of a repeated key the last value counts.
    """
    if len(line) > RECORD_BYTES_MAX:
        raise Rejected(RejectReason.TOO_LARGE)
    if b"\0" in line:
        raise Rejected(RejectReason.NULL_BYTE)
    try:
        line.decode()
    except UnicodeDecodeError:
        raise Rejected(RejectReason.INVALID_UTF8) from None
    if _nests_too_deep(line):
        raise Rejected(RejectReason.NOT_JSON)
    try:
        record = _JSON.decode(line)
    except msgspec.DecodeError as error:
        cut = _is_cut(str(error), len(line))
        raise Rejected(RejectReason.CUT_LINE if cut else RejectReason.NOT_JSON) from None
    if not isinstance(record, dict):
        raise Rejected(RejectReason.WRONG_TYPE)
    return record


def _is_cut(error: str, size: int) -> bool:
    """Whether the text ended too early, perhaps within a number."""
    place = _PLACE.search(error)
    return "truncated" in error or ("number" in error and place is not None and int(place[1]) >= size)


def _nests_too_deep(line: bytes) -> bool:
    if line.count(b"[") + line.count(b"{") <= NESTING_MAX:
        return False
    depth = 0
    for bracket in _BRACKETS.finditer(_STRING.sub(b"", line)):
        depth += 1 if bracket[0] in b"[{" else -1
        if depth > NESTING_MAX:
            return True
    return False


def decimal_of(value: Any) -> Decimal | None:
    """A number, or a text of one; None for another text. Raises Rejected for what is neither."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise Rejected(RejectReason.WRONG_TYPE)
    if isinstance(value, int):
        return Decimal(value)
    found = _NUMBER.fullmatch(value)
    return Decimal(found[1]) if found else None


def encode_json(value: Any) -> bytes:
    """JSON of what `parse_json` gives: numbers as they were written."""
    return msgspec.json.encode(_raw(value))


def _raw(value: Any) -> Any:
    if isinstance(value, Digits):
        return msgspec.Raw(value.encode()) if value[-1:].isdigit() else str(value)  # 'nan' is no JSON
    if isinstance(value, dict):
        return {key: _raw(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_raw(item) for item in value]
    return str(value) if isinstance(value, str) else value
