"""The exact decoder: one record at a time, in plain Python, deciding every case that there is.

The fast path (`scan.py`, `columns.py`) sends here what it is not certain about; the tests hold the
two equal. So this module is where the meaning of a record is written down.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.columns import MONTH_DAYS, VALUE_E4_MAX, _iso
from schemas.events import FIELDS, FLAG_BAD_VALUE, PROPERTY_PREFIX
from schemas.mappings import FieldMap, Mapping, Path, TimeFormat
from schemas.rejects import RECORD_BYTES_MAX, RejectReason


class Digits(str):
    """A JSON number with a fraction or exponent, as it was written."""

    __slots__ = ()


class Rejected(Exception):  # noqa: N818  a value of the decoder rather than an error of ours
    """The record cannot be an event."""

    def __init__(self, reason: RejectReason) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass
class Event:
    """A decoded record: canonical fields (times in ms, money in 1/10,000), and what was odd about it."""

    values: dict[str, Any] = field(default_factory=dict)
    flags: int = 0


_JSON: Final = msgspec.json.Decoder(float_hook=Digits)
_WRONG: Final = Rejected(RejectReason.WRONG_TYPE)
EPOCH_MAX: Final = 10**18
"""An epoch number beyond this is no time in any unit (and would not fit 64 bits in milliseconds)."""


def parse_json(line: bytes) -> dict[str, Any]:
    """The object on a line, or Rejected with the first reason that holds."""
    if len(line) > RECORD_BYTES_MAX:
        raise Rejected(RejectReason.TOO_LARGE)
    if b"\0" in line:
        raise Rejected(RejectReason.NULL_BYTE)
    try:
        line.decode()
    except UnicodeDecodeError:
        raise Rejected(RejectReason.INVALID_UTF8) from None
    try:
        record = _JSON.decode(line)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        cut = "truncated" in str(error)
        raise Rejected(RejectReason.CUT_LINE if cut else RejectReason.NOT_JSON) from None
    if not isinstance(record, dict):
        raise _WRONG
    return record


def decode(record: dict[str, Any], mapping: Mapping, needed: tuple[str, ...]) -> Event:
    """The canonical fields `needed` of a record. Raises Rejected for a wrong type in one of them."""
    event = Event()
    for name in needed:
        if name.startswith(PROPERTY_PREFIX):
            event.values[name] = _property(record, mapping, name.removeprefix(PROPERTY_PREFIX))
        elif name == "properties":
            event.values[name] = _properties(record, mapping)
        else:
            event.values[name] = _field(record, mapping, name, event)
    _check_currency(event)
    if event.values["event"] in mapping.passive_events:
        event.values["passive"] = True
    return event


def _at(record: Any, path: Path) -> Any:
    for key in path:
        if not isinstance(record, dict):
            return None
        record = record.get(key)
    return record


def _field(record: dict[str, Any], mapping: Mapping, name: str, event: Event) -> Any:
    rule = mapping.fields.get(name)
    if rule is None:
        return _missing(name)
    if rule.const is not None:
        return _constant(rule.const)
    for path in rule.paths:
        value = _at(record, path)
        if value is not None and value != "":
            break
    else:
        return _missing(name) if rule.default is None else _constant(rule.default)
    if rule.values is not None:
        value = _mapped(rule, value)
    return _typed(name, value, mapping, event)


def _mapped(rule: FieldMap, value: Any) -> Any:
    assert rule.values is not None
    text = value if isinstance(value, str) else _scalar_text(value)
    return rule.values.get(text, value) if text is not None else value


def _constant(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _missing(name: str) -> Any:
    return {
        "text": "",
        "word": "",
        "time": None,
        "money": 0,
        "number": 0,
        "flag": False,
        "list": [],
        "json": "",
    }[FIELDS[name].kind]


def _typed(name: str, value: Any, mapping: Mapping, event: Event) -> Any:
    kind = FIELDS[name].kind
    if kind in ("text", "word"):
        return _text(value)
    if kind == "time":
        return _time(value, mapping.event_at if name == "event_at" else mapping.received_at)
    if kind == "money":
        return _money(value, event)
    if kind == "number":
        return _number(value)
    if kind == "flag":
        return _flag(value)
    return _list(value)


def _text(value: Any) -> str:
    if isinstance(value, str) and not isinstance(value, Digits):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise _WRONG


def _scalar_text(value: Any) -> str | None:
    """A scalar as text: a number or boolean as JSON has it; None for what is no scalar."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int)):
        return str(value)
    return None


def _money(value: Any, event: Event) -> int:
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise _WRONG
    try:
        number = Decimal(value.strip() if isinstance(value, str) else value)
    except InvalidOperation:
        raise _WRONG from None
    if number.is_nan() or number < 0 or number > VALUE_E4_MAX // 10_000:
        event.flags |= FLAG_BAD_VALUE
        return 0
    return int((number * 10_000).to_integral_value(ROUND_HALF_EVEN))


def _number(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise _WRONG
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise _WRONG from None
    if not number.is_finite() or abs(number) >= 2**62:
        raise _WRONG
    return int(number)


def _flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return bool(value == "true")
    if isinstance(value, int) and value in (0, 1):
        return bool(value)
    raise _WRONG


def _list(value: Any) -> list[str]:
    """Product ids: texts, or objects that have an id, or a single text."""
    if not isinstance(value, list):
        return [_text(value)]
    found = []
    for item in value:
        if isinstance(item, dict):
            item = next((item[key] for key in ("product_id", "item_id", "id", "sku") if item.get(key)), None)
        if item is not None and item != "":
            found.append(_text(item))
    return found


def _property(record: dict[str, Any], mapping: Mapping, name: str) -> str:
    properties = record if mapping.properties == "rest" else _at(record, mapping.properties)
    value = properties.get(name) if isinstance(properties, dict) else None
    return _scalar_text(value) or "" if value is not None else ""


def _properties(record: dict[str, Any], mapping: Mapping) -> str:
    if mapping.properties == "rest":
        taken = {path[0] for rule in mapping.fields.values() for path in rule.paths}
        found: Any = {key: value for key, value in record.items() if key not in taken}
    else:
        found = _at(record, mapping.properties)
    return msgspec.json.encode(found).decode() if isinstance(found, dict) and found else ""


def _time(value: Any, form: TimeFormat) -> int:
    """Milliseconds since 1970 UTC; finer digits are cut off. Raises Rejected(NO_TIME) for no time."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise _WRONG
    try:
        if form.kind == "strptime":
            assert form.strptime is not None
            return _datetime_ms(dt.datetime.strptime(str(value), form.strptime), form.zone)
        if form.kind == "iso":
            return _iso_ms(value, form.zone)
        unit = {"epoch_s": 1000, "epoch_ms": 1, "epoch_us": Decimal("0.001")}[form.kind]
        number = Decimal(value)
        if not number.is_finite() or abs(number) > EPOCH_MAX:
            raise Rejected(RejectReason.ABSURD_TIME)
        return int((number * unit).to_integral_value("ROUND_FLOOR"))
    except (ValueError, ArithmeticError):
        raise Rejected(RejectReason.NO_TIME) from None


def _iso_ms(value: Any, zone: str) -> int:
    if not isinstance(value, str) or isinstance(value, Digits):
        raise _WRONG
    raw = np.frombuffer(value.encode() + b"\0", np.uint8)
    ms, how = _iso(raw, 0, len(raw) - 1, MONTH_DAYS)
    if how == 1:
        return int(ms)
    if how == 0:
        return int(local_to_utc(np.array([ms]), zone)[0])
    return _datetime_ms(dt.datetime.fromisoformat(value), zone)


def _datetime_ms(time: dt.datetime, zone: str) -> int:
    """Of a time with an offset, or of local time in `zone`."""
    aware = time.tzinfo is not None
    naive = time.astimezone(dt.UTC).replace(tzinfo=None) if aware else time
    ms = (naive - dt.datetime(1970, 1, 1)) // dt.timedelta(milliseconds=1)
    return ms if aware else int(local_to_utc(np.array([ms]), zone)[0])


def local_to_utc(ms: Any, zone: str) -> Any:
    """int64 milliseconds of local time as UTC: the earlier of two, the later where the clock jumped."""
    if zone == "UTC":
        return ms
    naive = pa.array(ms).view(pa.timestamp("ms"))
    aware = pc.assume_timezone(naive, zone, ambiguous="earliest", nonexistent="latest")
    return aware.cast(pa.int64()).to_numpy()


def _check_currency(event: Event) -> None:
    """Three letters, or none: an odd currency makes the value unusable."""
    if "currency" not in event.values:
        return
    currency = tidy_currency(event.values["currency"])
    if currency is None:
        event.flags |= FLAG_BAD_VALUE
        currency = ""
    event.values["currency"] = currency
    if event.flags & FLAG_BAD_VALUE and "value" in event.values:
        event.values["value"] = 0


def tidy_currency(text: str) -> str | None:
    """The ISO 4217 code in capitals, '' where missing, None for anything else."""
    if text == "":
        return ""
    return text.upper() if len(text) == 3 and text.isascii() and text.isalpha() else None
