"""Conditions, amounts, times and durations as people say them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from schemas.entries import Entry
from schemas.journeys import Journey
from schemas.predicates import All, Any_, Compare, Literal_, Not, Predicate

NAMED_MAX: Final = 3
"""Of a list of values: the rest is in the definition."""
_OPERATORS: Final = {
    "eq": "is", "ne": "is not", "gt": ">", "gte": ">=", "lt": "<", "lte": "<=", "prefix": "begins with",
    "suffix": "ends with", "contains": "contains",
}  # fmt: skip
_UNITS: Final = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms"))
_ORDINALS: Final = {1: "st", 2: "nd", 3: "rd"}


def condition(predicate: Predicate, event: Mapping[str, Any], *, inner: bool = False) -> str:
    """A predicate in words; of a list of values the one that the event has comes first."""
    match predicate:
        case Compare(field, "exists", value):
            return f"{field} is {'there' if value else 'missing'}"
        case Compare(field, "in", tuple(literals)):
            return f"{field} is one of {_list(field, literals, event.get(field))}"
        case Compare(field, op, value):
            assert not isinstance(value, tuple)
            return f"{field} {_OPERATORS[op]} {_literal(field, value)}"
        case Not(part):
            return f"not ({condition(part, event)})"
        case All(parts) | Any_(parts):
            word = " and " if isinstance(predicate, All) else " or "
            text = word.join(condition(part, event, inner=True) for part in parts) or "always"
            return f"({text})" if inner and len(parts) > 1 else text


def _list(field: str, literals: tuple[Literal_, ...], found: object) -> str:
    if found in literals:
        literals = (found, *(literal for literal in literals if literal != found))
    named = ", ".join(_literal(field, literal) for literal in literals[:NAMED_MAX])
    return f"{named}, ..." if len(literals) > NAMED_MAX else named


def _literal(field: str, value: Literal_) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if field == "value" and isinstance(value, int):
        return amount(Decimal(value) / 10_000)
    return f"{value:g}" if isinstance(value, float) else str(value)


def entry(asked: Entry, journey: Journey, event: Mapping[str, Any], count: int) -> str:
    """What lets an event enter a stage, with what it asks of the journey before."""
    text = condition(asked.predicate, event)
    if asked.at_least > 1:
        text += f" for the {ordinal(count)} time (at_least {asked.at_least})"
    if asked.after:
        text += f", after {journey.stages[asked.after - 1].name}"
    if asked.not_before_ms:
        text += f" (not_before {duration(asked.not_before_ms)})"
    if asked.unless:
        text += f", unless {journey.stages[asked.unless - 1].name}, which it has not entered"
    return text


def ordinal(number: int) -> str:
    suffix = "th" if number % 100 in (11, 12, 13) else _ORDINALS.get(number % 10, "th")
    return f"{number}{suffix}"


def duration(ms: int) -> str:
    """As definitions write it: 90m is 1h30m."""
    text = ""
    for size, unit in _UNITS:
        if ms >= size:
            text += f"{ms // size}{unit}"
            ms %= size
    return text or "0s"


def amount(value: Decimal, currency: str = "") -> str:
    """Two decimal places, more where they say something."""
    short = value.quantize(Decimal("0.01"))
    text = f"{short:,}" if short == value else f"{value.normalize():,f}"
    return f"{text} {currency}".rstrip()


def plain(text: str) -> str:
    """Without what a terminal would take for a command, or for the end of a line: ids come from anywhere."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


def clock(at: datetime) -> str:
    """The time of day, with milliseconds where there are some."""
    return at.strftime("%H:%M:%S") + (f".{at.microsecond // 1000:03}" if at.microsecond else "")


def moment(at: datetime, beside: datetime | None = None) -> str:
    """A time, with its day where that is not the one of the time beside it."""
    return clock(at) if beside and at.date() == beside.date() else f"{at:%Y-%m-%d} {clock(at)}"
