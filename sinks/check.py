"""Every batch is checked against its pinned schema before anything is sent.

ClickHouse's Arrow path casts silently: -1 becomes 18446744073709551615, 300 becomes 44 in a UInt8,
NULL becomes 0, epoch milliseconds become the year 9999. So nothing reaches it that was not looked at
here, column by column (never row by row).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.tables import TABLES

SECOND_RANGE: Final = (0, 2**32 - 1)
"""ClickHouse DateTime: 1970-01-01 to 2106-02-07."""

MILLI_RANGE: Final = (-2_208_988_800_000, 10_413_791_999_999)
"""ClickHouse DateTime64(3): 1900-01-01 to 2299-12-31."""


class SchemaMismatch(AssertionError):  # noqa: N818 - reads as what it is
    """A batch that breaks the contract of its table: a programming error, never data's fault."""


def conform(table: str, batch: pa.RecordBatch) -> pa.RecordBatch:
    """The same rows with exactly the pinned schema of `table`, or SchemaMismatch.

    Columns may come in any order. Types may differ where nothing can be lost: another width of integer
    (checked), plain text for a word, another size of offset or index. Nothing is guessed.
    """
    schema = TABLES.get(table)
    if schema is None:
        raise SchemaMismatch(f"no table {table!r}; there are {', '.join(TABLES)}")
    names = batch.schema.names
    if len(set(names)) != len(names) or set(names) != set(schema.names):
        missing = sorted(set(schema.names) - set(names))
        extra = sorted(set(names) - set(schema.names))
        raise SchemaMismatch(f"{table}: columns missing {missing}, not in the table {extra}, or doubled")
    columns = [_column(table, field, batch.column(field.name)) for field in schema]
    _same_lengths(table, schema, columns)
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _column(table: str, field: pa.Field, array: pa.Array) -> pa.Array:
    where = f"{table}.{field.name}"
    if not array.type.equals(field.type):
        array = _cast(where, array, field.type)
    _no_nulls(where, array, field.nullable)
    _in_range(where, array)
    return array


def _cast(where: str, array: pa.Array, wanted: pa.DataType) -> pa.Array:
    if not _castable(array.type, wanted):
        raise SchemaMismatch(f"{where}: is {array.type}, must be {wanted}")
    try:
        if pa.types.is_dictionary(array.type):
            array = array.dictionary_decode()
        return array.cast(wanted, safe=True)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise SchemaMismatch(f"{where}: {array.type} does not fit {wanted}: {error}") from error


def _castable(given: pa.DataType, wanted: pa.DataType) -> bool:
    types = pa.types
    if given.equals(wanted):
        return True
    if types.is_dictionary(given):
        return bool(_castable(given.value_type, wanted))
    if types.is_dictionary(wanted):
        return bool(_castable(given, wanted.value_type))
    if types.is_integer(given) and types.is_integer(wanted):
        return True
    if _is_text(given) and _is_text(wanted):
        return True
    if _is_bytes(given) and _is_bytes(wanted):
        return True
    if types.is_timestamp(given) and types.is_timestamp(wanted):
        return bool(given.tz == wanted.tz)  # a time without a zone is nobody's time
    if _is_list(given) and _is_list(wanted):
        return _castable(given.value_type, wanted.value_type)
    return False


def _is_text(type_: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_string(type_) or types.is_large_string(type_) or types.is_string_view(type_))


def _is_bytes(type_: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_binary(type_) or types.is_large_binary(type_) or types.is_fixed_size_binary(type_))


def _is_list(type_: pa.DataType) -> bool:
    return bool(pa.types.is_list(type_) or pa.types.is_large_list(type_))


def _no_nulls(where: str, array: pa.Array, nullable: bool) -> None:
    if array.null_count and not nullable:
        raise SchemaMismatch(f"{where}: {array.null_count} nulls where none may be")
    if pa.types.is_dictionary(array.type) and array.dictionary.null_count and not nullable:
        raise SchemaMismatch(f"{where}: a null among its words")
    if pa.types.is_list(array.type):
        _no_nulls(where, array.flatten(), nullable=False)


def _in_range(where: str, array: pa.Array) -> None:
    if pa.types.is_list(array.type):
        array = array.flatten()
    if not pa.types.is_timestamp(array.type) or not len(array):
        return
    low, high = SECOND_RANGE if array.type.unit == "s" else MILLI_RANGE
    extremes = pc.min_max(array.view(pa.int64()))
    least, most = extremes["min"].as_py(), extremes["max"].as_py()
    if least is not None and (least < low or most > high):
        raise SchemaMismatch(f"{where}: times {least} to {most} {array.type.unit} leave {low} to {high}")


def _same_lengths(table: str, schema: pa.Schema, columns: list[pa.Array]) -> None:
    """Lists of one group (`journeys.*`) are one list of records: they must have one length in each row."""
    groups: dict[str, list[tuple[str, pa.Array]]] = {}
    for field, column in zip(schema, columns, strict=True):
        if pa.types.is_list(field.type):
            groups.setdefault(field.name.split(".")[0], []).append((field.name, column))
    for members in groups.values():
        for (_, left), (name, right) in pairwise(members):
            if not np.array_equal(np.diff(_offsets(left)), np.diff(_offsets(right))):
                raise SchemaMismatch(f"{table}.{name}: its lists are not as long as those beside it")


def _offsets(array: pa.Array) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    offsets: np.ndarray[tuple[int], np.dtype[np.int32]] = array.offsets.to_numpy(zero_copy_only=False)
    return offsets
