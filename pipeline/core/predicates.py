"""Predicates on whole batches: the same meaning as `schemas.predicates.matches`, without an object per event.

What touches a dictionary column is decided once per *dictionary value* and carried to the rows by the codes;
text goes through Arrow's kernels; money and numbers through numpy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.predicates import NUMBER, All, Any_, Compare, Literal_, Not, Predicate, fields_of

Mask: TypeAlias = npt.NDArray[np.bool_]

RULES_MAX: Final = 32
"""A bit each in a uint32."""

_WHOLE_NUMBER: Final = rf"\A(?:{NUMBER})\z"
_ORDER: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "gt": np.greater,
    "gte": np.greater_equal,
    "lt": np.less,
    "lte": np.less_equal,
}
_PIECE: Final[dict[str, Callable[[pa.Array, str], pa.Array]]] = {
    "prefix": lambda texts, piece: pc.starts_with(texts, pattern=piece),
    "suffix": lambda texts, piece: pc.ends_with(texts, pattern=piece),
    "contains": lambda texts, piece: pc.match_substring(texts, pattern=piece),
}


def mask(predicate: Predicate, batch: pa.RecordBatch) -> Mask:
    """For each row of a batch in the schema of `schemas.events.schema`: whether the predicate holds.

    The batch has every column of `fields_of(predicate)`, else KeyError. Nulls count as missing. The array
    is the caller's own.
    """
    match predicate:
        case Not(part):
            return ~mask(part, batch)
        case All(parts):
            return _all(parts, batch)
        case Any_(parts):
            return ~_all(tuple(Not(part) for part in parts), batch)
        case Compare():
            column = batch.column(predicate.field)
            if pa.types.is_dictionary(column.type):
                return _on_dictionary(column)(_on_text(predicate, _words(column)))
            return _on_column(predicate, column)


def rule_bits(predicates: Sequence[Predicate], batch: pa.RecordBatch) -> npt.NDArray[np.uint32]:
    """For each row a uint32 whose bit k is set where `predicates[k]` holds; at most `RULES_MAX` of them.

    All rules that look at nothing but one dictionary column (most look at `event`) cost one lookup together.
    """
    assert len(predicates) <= RULES_MAX, f"{len(predicates)} rules, and a uint32 has {RULES_MAX} bits"
    bits = np.zeros(batch.num_rows, np.uint32)
    by_word: dict[str, list[int]] = {}
    for k, predicate in enumerate(predicates):
        word = _only_word(predicate, batch)
        if word is None:
            bits |= mask(predicate, batch).astype(np.uint32) << np.uint32(k)
        else:
            by_word.setdefault(word, []).append(k)
    for word, ks in by_word.items():
        column = batch.column(word)
        words = _words(column)
        table = np.zeros(len(words), np.uint32)
        for k in ks:
            table |= _on_words(predicates[k], words).astype(np.uint32) << np.uint32(k)
        bits |= _on_dictionary(column)(table)
    return bits


def _all(parts: tuple[Predicate, ...], batch: pa.RecordBatch) -> Mask:
    """The conjunction; what is cheap goes first, and text is only looked at in rows that may still match."""
    result: Mask = np.ones(batch.num_rows, np.bool_)
    ordered = sorted(parts, key=lambda part: _only_word(part, batch) is None)
    for part in ordered:
        if _only_word(part, batch) is not None:
            result &= mask(part, batch)
            continue
        rows = np.flatnonzero(result)
        if len(rows) == 0:
            break
        if len(rows) * 4 < batch.num_rows:  # copying few rows is cheaper than reading the text of all
            needed = batch.select(sorted(fields_of(part))).take(pa.array(rows))
            result[rows] = mask(part, needed)
        else:
            result &= mask(part, batch)
    return result


def _only_word(predicate: Predicate, batch: pa.RecordBatch) -> str | None:
    """The dictionary column that the predicate touches, if it touches one only."""
    names = fields_of(predicate)
    if len(names) != 1:
        return None
    name = names.pop()
    return name if pa.types.is_dictionary(batch.column(name).type) else None


def _words(column: pa.DictionaryArray) -> pa.Array:
    """The dictionary's values and, last, a null: what a row without a code points to."""
    return pa.concat_arrays([column.dictionary, pa.nulls(1, column.dictionary.type)])


def _on_dictionary(column: pa.DictionaryArray) -> Callable[[npt.NDArray[Any]], npt.NDArray[Any]]:
    """Carries an array over `_words(column)` to the rows."""
    codes = column.indices
    if codes.null_count:
        codes = codes.fill_null(pa.scalar(len(column.dictionary), codes.type))
    rows = codes.to_numpy(zero_copy_only=False)
    return lambda table: np.take(table, rows)


def _on_words(predicate: Predicate, words: pa.Array) -> Mask:
    """A predicate that touches one dictionary column, on the values of its dictionary."""
    match predicate:
        case Not(part):
            return ~_on_words(part, words)
        case All(parts):
            result: Mask = np.ones(len(words), np.bool_)
            for part in parts:
                result &= _on_words(part, words)
            return result
        case Any_(parts):
            return ~_on_words(All(tuple(Not(part) for part in parts)), words)
        case Compare():
            return _on_text(predicate, words)


def _on_column(compare: Compare, column: pa.Array) -> Mask:
    """A comparison on a column that is no dictionary."""
    if pa.types.is_string(column.type):
        return _on_text(compare, column)
    if compare.op == "ne":
        return ~_on_column(Compare(compare.field, "eq", compare.value), column)
    if pa.types.is_list(column.type):
        return _on_list(compare, column)
    present = _flags(column.is_valid())
    if compare.op == "exists":
        return present if compare.value else ~present
    values = column.fill_null(False if pa.types.is_boolean(column.type) else 0).to_numpy(zero_copy_only=False)
    return present & _on_numbers(compare, values)


def _on_numbers(compare: Compare, values: npt.NDArray[Any]) -> Mask:
    """eq, in or an order on numbers (or flags); a nan is in no relation to anything."""
    found: Mask
    if compare.op in _ORDER:
        found = _ORDER[compare.op](values, compare.value)
    else:
        found = np.isin(values, np.asarray(_literals(compare), values.dtype))
    return found


def _on_list(compare: Compare, column: pa.ListArray) -> Mask:
    lengths = pc.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False)
    found: Mask = lengths > 0
    if compare.op == "exists":
        return found if compare.value else ~found
    assert compare.op == "contains", f"'{compare.op}' on a list"
    items = column.flatten()
    hits = _flags(pc.equal(items, pa.scalar(compare.value, items.type)))
    found[:] = False
    found[np.repeat(np.arange(len(column)), lengths)[hits]] = True
    return found


def _on_text(compare: Compare, texts: pa.Array) -> Mask:
    """A comparison on an array of texts; '' and null are missing."""
    op, value = compare.op, compare.value
    present = _flags(pc.not_equal(texts, pa.scalar("", texts.type)))
    if op == "exists":
        return present if value else ~present
    if op == "ne":
        return ~_on_text(Compare(compare.field, "eq", value), texts)
    if op in _ORDER:
        return _on_numbers(compare, _numbers(texts))
    if op in ("eq", "in"):
        return present & _equals_any(_literals(compare), texts)
    return present & _flags(_PIECE[op](texts, str(value)))


def _equals_any(literals: Sequence[Literal_], texts: pa.Array) -> Mask:
    words = [value for value in literals if isinstance(value, str)]
    words += ["true" if value else "false" for value in literals if isinstance(value, bool)]
    numbers = [value for value in literals if not isinstance(value, (str, bool))]
    found = _flags(pc.is_in(texts, value_set=pa.array(words, texts.type)))
    if numbers:
        found |= np.isin(_numbers(texts), np.asarray(numbers, np.float64))
    return found


def _numbers(texts: pa.Array) -> npt.NDArray[np.float64]:
    """The doubles that the texts are, nan where a text is not a number."""
    numeric = pc.match_substring_regex(texts, pattern=_WHOLE_NUMBER)
    numbers = pc.if_else(numeric, texts, pa.scalar(None, texts.type)).cast(pa.float64())
    result: npt.NDArray[np.float64] = numbers.to_numpy(zero_copy_only=False)  # null becomes nan
    return result


def _literals(compare: Compare) -> tuple[Literal_, ...]:
    return compare.value if isinstance(compare.value, tuple) else (compare.value,)


def _flags(array: pa.Array) -> Mask:
    """An Arrow boolean array as numpy's, null as false."""
    result: Mask = array.fill_null(False).to_numpy(zero_copy_only=False)
    return result
