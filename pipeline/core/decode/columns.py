"""Which column a canonical field needs, and the columns that are the same in every row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

import numpy as np
import pyarrow as pa

from pipeline.core.decode import amounts
from pipeline.core.decode.amounts import AmountColumn
from pipeline.core.decode.dictionaries import TranslatedTextColumn, WordColumn, word_array, words
from pipeline.core.decode.exact import missing, taken_keys
from pipeline.core.decode.lists import ListColumn
from pipeline.core.decode.objects import ObjectColumn
from pipeline.core.decode.spans import Spans
from pipeline.core.decode.texts import TextColumn
from pipeline.core.decode.times import NO_TIME, TimeColumn
from schemas import events as ev
from schemas.mappings import FieldMap, Mapping, Path

__all__ = [
    "NO_TIME",
    "Column",
    "ConstantColumn",
    "column_of",
    "constant_of",
    "paths_of",
    "word_array",
    "words",
]

_AMOUNTS: Final = {"money": amounts.money, "number": amounts.numbers, "flag": amounts.flags}


class Column(Protocol):
    """One field of many rows. It takes spans chunk by chunk and marks as odd the rows that it does not
    understand: those go to the exact decoder. Nothing is rejected here.
    """

    def add(self, spans: Spans, at: int) -> None:
        """Takes a chunk, as rows `at` and following."""

    def array(self, rows: int) -> pa.Array:
        """The first `rows` rows, in the field's Arrow type."""

    def values(self, rows: int) -> Any:
        """In numpy: times in ms, numbers, flags; words as (codes, list), texts as (offsets, bytes)."""


def paths_of(name: str, mapping: Mapping) -> tuple[Path, ...]:
    """Where the value of a field can lie."""
    if name == "properties":
        return () if mapping.properties == "rest" else (mapping.properties,)
    if name.startswith(ev.PROPERTY_PREFIX):
        key = name.removeprefix(ev.PROPERTY_PREFIX)
        if mapping.properties != "rest":
            return ((*mapping.properties, key),)
        return () if key in taken_keys(mapping) else ((key,),)
    rule = mapping.fields.get(name)
    return rule.paths if rule else ()


class ConstantColumn:
    """The same value in every row: made once, as long as the longest batch so far."""

    def __init__(self, name: str, value: Any) -> None:
        self._type = ev.arrow_type(name)
        self._value = value
        self._array = pa.nulls(0, self._type)
        self._values: Any = None

    def add(self, spans: Spans, at: int) -> None:
        """Nothing to do."""

    def array(self, rows: int) -> pa.Array:
        if len(self._array) < rows:
            self._array = self._repeated(2 * rows)
        return self._array.slice(0, rows)

    def _repeated(self, rows: int) -> pa.Array:
        if self._value is None:
            return pa.nulls(rows, self._type)
        if pa.types.is_dictionary(self._type):
            return word_array(np.zeros(rows, np.int32), [self._value])
        if pa.types.is_list(self._type):
            return pa.array([self._value] * rows, self._type)
        return pa.repeat(pa.scalar(self._value, self._type), rows)

    def values(self, rows: int) -> Any:
        if pa.types.is_dictionary(self._type):
            return np.zeros(rows, np.int32), [self._value]
        return np.full(rows, NO_TIME if self._value is None else self._value)


class OddColumn(ConstantColumn):
    """A field that only the exact decoder can tell."""

    def add(self, spans: Spans, at: int) -> None:
        spans.odd[:] = True


def constant_of(name: str, mapping: Mapping) -> ConstantColumn | None:
    """The column of a field that is the same in every record."""
    rule = mapping.fields.get(name)
    if rule and rule.const is not None:
        return ConstantColumn(name, list(rule.const) if isinstance(rule.const, tuple) else rule.const)
    return None if paths_of(name, mapping) or name == "properties" else ConstantColumn(name, _missing(name))


def column_of(name: str, mapping: Mapping, field: int, expected: int) -> Column:
    """A fresh column of a field, from spans' `field`."""
    if name.startswith(ev.PROPERTY_PREFIX):
        return TextColumn(field, expected, scalars=True)
    if name == "properties" and mapping.properties != "rest":
        return ObjectColumn(field, expected)
    kind = ev.FIELDS[name].kind
    rule = mapping.fields.get(name)
    if rule is None or (kind == "flag" and rule.values) or (kind == "list" and rule.default is not None):
        return OddColumn(name, _missing(name))
    if kind == "time":
        form = mapping.event_at if name == "event_at" else mapping.received_at
        return TimeColumn(field, form, expected)
    if kind == "list":
        return ListColumn(field, expected)
    if kind in _AMOUNTS:
        absent = _missing(name) if rule.default is None else rule.default
        return AmountColumn(_AMOUNTS[kind], field, absent, expected)
    if kind == "text" and rule.values is None and rule.default is None:
        return TextColumn(field, expected)
    make = WordColumn if kind == "word" else TranslatedTextColumn
    return make(field, expected, _translation(rule), str(rule.default or ""))


def _translation(rule: FieldMap) -> Callable[[str], str] | None:
    values = rule.values
    return None if values is None else lambda word: str(values.get(word, word))


def _missing(name: str) -> Any:
    return missing("text" if name.startswith(ev.PROPERTY_PREFIX) else ev.FIELDS[name].kind)
