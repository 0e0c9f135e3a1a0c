"""The exact decoder: one record at a time, in plain Python, deciding every case that there is.

The fast path (`scan.py` and the columns) sends here what it is not certain about; the tests hold the
two equal. So this module is where the meaning of a record is written down.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final

from pipeline.core.decode.parse import Digits, Rejected, decimal_of, encode_json
from pipeline.core.decode.times import exact_time
from schemas.events import FIELDS, FLAG_BAD_VALUE, FLAG_CLOCK_SKEW, PROPERTY_PREFIX, Kind
from schemas.mappings import FieldMap, Mapping, Path
from schemas.rejects import RejectReason

CLOCK_SKEW_MS: Final = 300_000
"""An event_at so far ahead of received_at is a wrong clock; less may be the network's doing."""
EARLIEST_MS: Final = 946_684_800_000
"""2000-01-01: an earlier event is a broken clock or a cut number."""
VALUE_MAX: Final = 10**11
"""Beyond 100 billion units a value is a mistake, and sums of it would leave 64 bits."""
QUANTITY_MAX: Final = 2**62

_MISSING: Final[dict[Kind, Any]] = {"time": None, "money": 0, "number": 0, "flag": False}
_FLAGS: Final = {"true": True, "false": False, "1": True, "0": False}
_ITEM_IDS: Final = ("product_id", "item_id", "id", "sku")
_E4: Final = Decimal("0.0001")


@dataclass(frozen=True)
class TimeBounds:
    """Times that can be: nothing before `earliest_ms`, nothing after `as_of_ms` by the only clock at hand."""

    as_of_ms: int
    earliest_ms: int = EARLIEST_MS


@dataclass
class Event:
    """A decoded record: canonical fields (times in ms, money in 1/10,000), and what was odd about it."""

    values: dict[str, Any]
    flags: int = 0


Reader = Callable[[dict[str, Any], Event], Any]
"""Reads one field of a record; what is odd about it is noted in the event. Raises Rejected."""


class ExactDecoder:
    """Makes events of single records by a mapping, with the canonical fields `needed`; of those that are
    `only_kept` a value of a wrong type is as good as none.
    """

    def __init__(
        self, mapping: Mapping, needed: Sequence[str], bounds: TimeBounds, only_kept: Collection[str] = ()
    ) -> None:
        self._passive_events = mapping.passive_events
        self._bounds = bounds
        self._constants: dict[str, Any] = {}
        self._readers: list[tuple[str, Reader]] = []
        for name in needed:
            rule = mapping.fields.get(name)
            if name == "properties" or name.startswith(PROPERTY_PREFIX):
                self._readers.append((name, _property_reader(mapping, name)))
            elif rule is None:
                self._constants[name] = missing(FIELDS[name].kind)
            elif rule.const is not None:
                self._constants[name] = _constant(rule.const)
            else:
                read = _field_reader(mapping, rule)
                self._readers.append((name, _forgiving(read, rule) if name in only_kept else read))

    def decode(self, record: dict[str, Any], received_ms: int | None = None) -> Event:
        """The event that a record is; `received_ms` counts where it does not say when it was received.
        Raises Rejected where it is none.
        """
        event = Event(self._constants.copy())
        for name, read in self._readers:
            event.values[name] = read(record, event)
        if event.values["received_at"] is None:
            event.values["received_at"] = received_ms
        _require(event, self._bounds)
        _check_currency(event)
        _check_clock(event)
        if event.values["event"] in self._passive_events:
            event.values["passive"] = True
        return event


def _require(event: Event, bounds: TimeBounds) -> None:
    """What every event must have. Raises Rejected."""
    at, received_at = event.values["event_at"], event.values["received_at"]
    if not event.values["visitor_id"]:
        raise Rejected(RejectReason.NO_VISITOR)
    if at is None:
        raise Rejected(RejectReason.NO_TIME)
    clock = at if received_at is None else received_at
    if min(at, clock) < bounds.earliest_ms or clock > bounds.as_of_ms:
        raise Rejected(RejectReason.ABSURD_TIME)


def _check_currency(event: Event) -> None:
    """Three letters, or none: an odd currency makes the value unusable."""
    if "currency" in event.values:
        currency = tidy_currency(event.values["currency"])
        if currency is None:
            event.flags |= FLAG_BAD_VALUE
        event.values["currency"] = currency or ""
    if event.flags & FLAG_BAD_VALUE and "value" in event.values:
        event.values["value"] = 0


def tidy_currency(text: str) -> str | None:
    """The ISO 4217 code in capitals, '' where missing, None for anything else."""
    if text == "":
        return ""
    return text.upper() if len(text) == 3 and text.isascii() and text.isalpha() else None


def _check_clock(event: Event) -> None:
    """Pulls back a clock that runs over 5 minutes ahead of the server's."""
    received_at = event.values["received_at"]
    if received_at is not None and event.values["event_at"] - received_at > CLOCK_SKEW_MS:
        event.values["event_at"] = received_at
        event.flags |= FLAG_CLOCK_SKEW


def _field_reader(mapping: Mapping, rule: FieldMap) -> Reader:
    """What reads the field of a rule with paths."""
    kind = FIELDS[rule.field].kind
    absent = missing(kind) if rule.default is None else _constant(rule.default)
    form = mapping.event_at if rule.field == "event_at" else mapping.received_at
    typed = _TYPED.get(kind)

    def read(record: dict[str, Any], event: Event) -> Any:
        for path in rule.paths:
            value = _at(record, path)
            if value is not None and value != "":
                break
        else:
            return absent
        if rule.values is not None:
            value = _mapped(rule.values, value)
        if typed is not None:
            return typed(value)
        return exact_time(value, form) if kind == "time" else _money(value, event)

    return read


def _forgiving(read: Reader, rule: FieldMap) -> Reader:
    """The same, but what would have the record rejected is missing."""

    def read_or_nothing(record: dict[str, Any], event: Event) -> Any:
        try:
            return read(record, event)
        except Rejected:
            return missing(FIELDS[rule.field].kind)

    return read_or_nothing


def _at(record: Any, path: Path) -> Any:
    for key in path:
        if not isinstance(record, dict):
            return None
        record = record.get(key)
    return record


def missing(kind: Kind) -> Any:
    """The value of a field that a record does not have."""
    return [] if kind == "list" else _MISSING.get(kind, "")


def _constant(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _mapped(values: dict[str, str | bool], value: Any) -> Any:
    text = scalar_text(value)
    return value if text is None else values.get(text, value)


def scalar_text(value: Any) -> str | None:
    """A scalar as text, a number or boolean as JSON has it; None for what is no scalar."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (str, int)) else None


def _text(value: Any) -> str:
    """A text, or a whole number as its digits: ids come as either."""
    if isinstance(value, (bool, Digits)) or not isinstance(value, (str, int)):
        raise Rejected(RejectReason.WRONG_TYPE)
    return str(value)


def _money(value: Any, event: Event) -> int:
    """In 1/10,000, half to even; 0 and flagged where it is negative, out of range or a text of no number."""
    number = decimal_of(value)
    if number is None or not 0 <= number <= VALUE_MAX:
        event.flags |= FLAG_BAD_VALUE
        return 0
    return int(number.quantize(_E4, ROUND_HALF_EVEN).scaleb(4))


def _number(value: Any) -> int:
    """Whole pieces: a fraction is cut off."""
    number = decimal_of(value)
    if number is None or not -QUANTITY_MAX < number < QUANTITY_MAX:
        raise Rejected(RejectReason.WRONG_TYPE)
    return int(number)


def _flag(value: Any) -> bool:
    flag = _FLAGS.get((scalar_text(value) or "").lower())
    if flag is None:
        raise Rejected(RejectReason.WRONG_TYPE)
    return flag


def _list(value: Any) -> list[str]:
    """Product ids: texts, or objects that have an id, or a single text. What has none is left out."""
    if not isinstance(value, list):
        return [_text(value)]
    ids = [_item_id(item) if isinstance(item, dict) else item for item in value]
    return [_text(item) for item in ids if item is not None and item != ""]


def _item_id(item: dict[str, Any]) -> Any:
    found = (item.get(key) for key in _ITEM_IDS)
    return next((value for value in found if value is not None and value != ""), None)


_TYPED: Final[dict[Kind, Callable[[Any], Any]]] = {
    "text": _text,
    "word": _text,
    "number": _number,
    "flag": _flag,
    "list": _list,
}


def taken_keys(mapping: Mapping) -> frozenset[str]:
    """The top-level keys that fields of a mapping come from: they are no properties under 'rest'."""
    return frozenset(path[0] for rule in mapping.fields.values() for path in rule.paths)


def _property_reader(mapping: Mapping, name: str) -> Reader:
    """What reads all properties as JSON text, or one of them as text."""
    taken = taken_keys(mapping)
    key = name.removeprefix(PROPERTY_PREFIX)

    def properties(record: dict[str, Any]) -> Any:
        if mapping.properties == "rest":
            return {key: value for key, value in record.items() if key not in taken}
        return _at(record, mapping.properties)

    def read_all(record: dict[str, Any], event: Event) -> str:
        found = properties(record)
        return encode_json(found).decode() if isinstance(found, dict) and found else ""

    def read_one(record: dict[str, Any], event: Event) -> str:
        found = properties(record)
        return scalar_text(found.get(key)) or "" if isinstance(found, dict) else ""

    return read_all if name == "properties" else read_one
