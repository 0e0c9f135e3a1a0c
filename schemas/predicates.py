"""Predicates on one canonical event: the tree, and its meaning in plain Python.

The logic has two values. A field that is missing (absent, None, '' or an empty list) makes every comparison
false, except `ne` (it differs from whatever it is compared with) and `exists: false`; `Not` inverts.
`matches` is the meaning; `pipeline.core.predicates.mask` is the same for whole batches.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

Op = Literal["eq", "ne", "in", "gt", "gte", "lt", "lte", "prefix", "suffix", "contains", "exists"]
OPS: Final[tuple[Op, ...]] = get_args(Op)

Literal_ = str | int | float | bool
"""What a field is compared with: money as integer 1/10,000 of the currency unit, a number that a property's
text is read as a float."""

NUMBER: Final = r"-?[0-9]{1,18}(\.[0-9]{1,18})?([eE][-+]?[0-9]{1,2})?"
"""The texts that are read as a number where a property is compared with one. ASCII only and bounded, so that
Python and Arrow read the same double from each of them."""

_NUMBER: Final = re.compile(NUMBER)


@dataclass(frozen=True)
class Compare:
    """`field op value`: `in` has a tuple of literals, `exists` a bool; `contains` on a list means membership.

    Against a text, a number compares the number that the text is (not a number: false) and a bool the
    words 'true' and 'false'; a number's order is that of doubles.
    """

    field: str
    op: Op
    value: Literal_ | tuple[Literal_, ...]


@dataclass(frozen=True)
class All:
    """Every part holds; true without parts."""

    parts: tuple[Predicate, ...]


@dataclass(frozen=True)
class Any_:  # noqa: N801 - `any` and `typing.Any` are taken
    """At least one part holds; false without parts."""

    parts: tuple[Predicate, ...]


@dataclass(frozen=True)
class Not:
    """The part does not hold, be it for a missing field."""

    part: Predicate


Predicate = Compare | All | Any_ | Not


def fields_of(predicate: Predicate) -> set[str]:
    """The canonical fields and `properties.NAME` columns that the predicate asks for."""
    match predicate:
        case Compare(field, _, _):
            return {field}
        case Not(part):
            return fields_of(part)
        case All(parts) | Any_(parts):
            return set[str]().union(*(fields_of(part) for part in parts))


def matches(predicate: Predicate, event: Mapping[str, object]) -> bool:
    """Whether the predicate holds for an event given by its canonical names.

    `value` is in 1/10,000 of the currency unit, `properties.NAME` a text under that very key, a list any
    sequence of texts. This is for oracles, tests and single events; batches go through `mask`.
    """
    match predicate:
        case All(parts):
            return all(matches(part, event) for part in parts)
        case Any_(parts):
            return any(matches(part, event) for part in parts)
        case Not(part):
            return not matches(part, event)
        case Compare(field, op, value):
            return _compare(event.get(field), op, value)


def _compare(found: object, op: Op, value: Literal_ | tuple[Literal_, ...]) -> bool:
    missing = found is None or (isinstance(found, (str, list, tuple)) and len(found) == 0)
    if op == "exists":
        return missing is not value
    if op == "ne":
        return missing or not _equal(found, value)
    if missing:
        return False
    match op:
        case "eq":
            return _equal(found, value)
        case "in":
            assert isinstance(value, tuple)
            return any(_equal(found, literal) for literal in value)
        case "gt" | "gte" | "lt" | "lte":
            return _ordered(found, op, value)
        case _:
            return _contained(found, op, str(value))


def _equal(found: object, literal: object) -> bool:
    if isinstance(found, str) and not isinstance(literal, str):
        if isinstance(literal, bool):
            return found == ("true" if literal else "false")
        return read_number(found) == literal
    return found == literal


def _ordered(found: object, op: Op, literal: object) -> bool:
    number = read_number(found) if isinstance(found, str) else found
    if number is None:
        return False
    assert isinstance(number, (int, float))
    assert isinstance(literal, (int, float))
    match op:
        case "gt":
            return number > literal
        case "gte":
            return number >= literal
        case "lt":
            return number < literal
        case _:
            return number <= literal


def _contained(found: object, op: Op, piece: str) -> bool:
    if isinstance(found, str):
        match op:
            case "prefix":
                return found.startswith(piece)
            case "suffix":
                return found.endswith(piece)
            case _:
                return piece in found
    assert isinstance(found, Iterable), f"{op} on {type(found).__name__}"
    return piece in found


def read_number(text: str) -> float | None:
    """The number that a property's text is (see `NUMBER`), or None."""
    return float(text) if _NUMBER.fullmatch(text) else None
