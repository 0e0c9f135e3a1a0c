"""Predicates as a condition of ClickHouse: the third rendering of `schemas.predicates.matches`, for events
that lie in a table. What a user compares with goes as bound parameters, never into the text.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import Final

from schemas.conditions import OPS_OF, PROPERTY
from schemas.events import FIELDS, PROPERTY_PREFIX, Kind
from schemas.predicates import NUMBER, All, Any_, Compare, Literal_, Not, Predicate
from sinks.clickhouse.properties import pattern_of, text_of

TYPE_OF: Final[dict[Kind, str]] = {
    "word": "LowCardinality(String)",
    "text": "String",
    "time": "DateTime64(3, 'UTC')",
    "money": "Int64",
    "number": "Int64",
    "flag": "Bool",
    "list": "Array(String)",
    "json": "String",
}
"""Missing is '' or empty, as in an event batch."""

COLUMNS: Final[dict[str, tuple[str, str]]] = {
    field.name: (field.name, TYPE_OF[field.kind]) for field in FIELDS.values()
} | {"value": ("value_e4", "Int64"), "received_at": ("received_at", "Nullable(DateTime64(3, 'UTC'))")}
"""The column that holds a canonical field, and its type: those of `pathline.events`. This is all that a
condition asks of a table."""

_ORDER: Final = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PREFIX: Final = re.compile(r"[A-Za-z_]+")  # with digits, p1 and p would both come to p11
_NUMBER: Final = rf"\A(?:{NUMBER})\z".replace("\\", "\\\\")


def where(predicate: Predicate, *, table: str = "", prefix: str = "p") -> tuple[str, dict[str, object]]:
    """The condition that holds for just those rows of a table with `COLUMNS` whose events match, and the
    parameters that it asks for (`{p1:String}`). It is never NULL and can stand between AND and OR as it is.

    `table` qualifies the columns, for a query that joins or that gives their names to something else.
    Conditions that share a query need a `prefix` each.
    """
    assert _PREFIX.fullmatch(prefix), prefix
    rendering = _Rendering(table, prefix)
    return rendering.condition(predicate), rendering.parameters


class _Rendering:
    """One condition on its way, with the parameters that it has taken so far."""

    def __init__(self, table: str, prefix: str) -> None:
        assert not table or _NAME.fullmatch(table), table
        self.parameters: dict[str, object] = {}
        self._table = f"`{table}`." if table else ""
        self._prefix = prefix

    def condition(self, predicate: Predicate) -> str:
        match predicate:
            case All(parts):
                return self._joined(parts, " AND ", "true")
            case Any_(parts):
                return self._joined(parts, " OR ", "false")
            case Not(part):
                return f"(NOT {self.condition(part)})"
            case Compare():
                return self._compare(predicate)

    def _joined(self, parts: Sequence[Predicate], word: str, empty: str) -> str:
        return f"({word.join(self.condition(part) for part in parts)})" if parts else empty

    def _compare(self, compare: Compare) -> str:
        kind = PROPERTY if compare.field.startswith(PROPERTY_PREFIX) else FIELDS[compare.field].kind
        assert compare.op in OPS_OF[kind], f"'{compare.op}' on {compare.field}"
        if compare.op == "ne":  # a missing field differs: so it must not be rendered as `!=`
            return f"(NOT {self._compare(Compare(compare.field, 'eq', compare.value))})"
        column = self._column(compare.field)
        if compare.op == "exists":
            present = _present(kind, column)
            return present if compare.value else f"(NOT {present})"
        match kind:
            case "flag":
                assert isinstance(compare.value, bool), compare
                return column if compare.value else f"(NOT {column})"
            case "money" | "number":
                return self._number(compare, column)
            case "list":
                return f"has({column}, {self._bound('String', str(compare.value))})"
            case _:
                return self._text(compare, column)

    def _column(self, field: str) -> str:
        if not field.startswith(PROPERTY_PREFIX):
            return f"{self._table}`{COLUMNS[field][0]}`"
        pattern = self._bound("String", pattern_of(field.removeprefix(PROPERTY_PREFIX)))
        return text_of(f"{self._table}`{COLUMNS['properties'][0]}`", pattern)

    def _bound(self, type_: str, value: object) -> str:
        name = f"{self._prefix}{len(self.parameters) + 1}"
        self.parameters[name] = value
        return f"{{{name}:{type_}}}"

    def _number(self, compare: Compare, column: str) -> str:
        """Of a column of integers."""
        literals = _literals(compare)
        assert all(type(literal) is int for literal in literals), compare
        if compare.op == "in":
            return f"({column} IN {self._bound('Array(Int64)', list(literals))})"
        return f"({column} {_ORDER.get(compare.op, '=')} {self._bound('Int64', literals[0])})"

    def _text(self, compare: Compare, column: str) -> str:
        op = compare.op
        if op in _ORDER:
            number = self._double(compare.value)
            return f"({_is_number(column)} AND {_number_of(column)} {_ORDER[op]} {number})"
        if op in ("eq", "in"):
            return self._equals_any(_literals(compare), column)
        if str(compare.value) == "":  # a piece of every text that is there
            return _present(PROPERTY, column)
        piece = self._bound("String", str(compare.value))
        match op:
            case "prefix":
                return f"startsWith({column}, {piece})"
            case "suffix":
                return f"endsWith({column}, {piece})"
            case _:
                return f"(position({column}, {piece}) > 0)"

    def _equals_any(self, literals: Sequence[Literal_], column: str) -> str:
        # A field that is '' is missing, and equals nothing.
        words = [value for value in literals if isinstance(value, str) and value != ""]
        words += ["true" if value else "false" for value in literals if isinstance(value, bool)]
        numbers = [value for value in literals if not isinstance(value, (str, bool))]
        parts = []
        if len(words) == 1:
            parts = [f"({column} = {self._bound('String', words[0])})"]
        elif words:
            parts = [f"({column} IN {self._bound('Array(String)', words)})"]
        parts += [
            f"({_is_number(column)} AND {_number_of(column)} = {self._double(number)})" for number in numbers
        ]
        if not parts:  # no bare `false`: every parameter that was taken must be asked for
            parts = [f"({_present(PROPERTY, column)} AND false)"]
        return parts[0] if len(parts) == 1 else f"({' OR '.join(parts)})"

    def _double(self, literal: object) -> str:
        """A double, as exactly as a text is read as one."""
        assert isinstance(literal, (int, float)), literal
        assert literal == literal, "nan"
        finite = max(-sys.float_info.max, min(float(literal), sys.float_info.max))  # no text is beyond either
        return f"JSONExtractFloat({self._bound('String', repr(finite))})"


def _literals(compare: Compare) -> tuple[Literal_, ...]:
    return compare.value if isinstance(compare.value, tuple) else (compare.value,)


def _present(kind: str, column: str) -> str:
    match kind:
        case "money" | "number" | "flag":
            return "true"  # 0 and false where a record says nothing
        case "time":
            return f"isNotNull({column})"
        case _:
            return f"notEmpty({column})"


def _is_number(text: str) -> str:
    return f"match({text}, '{_NUMBER}')"


def _number_of(text: str) -> str:
    """The double that is nearest to a number's text. `toFloat64` is only near it, before ClickHouse 26.7 or
    under `precise_float_parsing = 0`. JSON has no leading zeros.
    """
    return rf"JSONExtractFloat(replaceRegexpOne({text}, '\\A(-?)0+([0-9])', '\\1\\2'))"
