"""Arrow columns as text that the kernels understand, and as the Python values that the exact decoder does.

The two say the same: a number is its shortest digits, without a fraction where it is whole; a time is ISO
text in milliseconds, with a Z where its type has a zone.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.core.decode.parse import Digits, Instant
from pipeline.core.decode.spans import ARRAY, FALSE, INSTANT, NUMBER, OBJECT, STRING, TRUE

WHOLE_MAX: Final = 2.0**53
"""Beyond this a float is no count: it may stand for several whole numbers."""


def plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The same rows in fewer types: no dictionaries, one width of text, times in milliseconds."""
    schema = pa.schema([field.with_type(_plain_type(field.type)) for field in batch.schema])
    if schema.equals(batch.schema):
        return batch
    columns = [
        column if column.type == field.type else column.cast(field.type, safe=False)
        for column, field in zip(batch.columns, schema, strict=True)
    ]
    return pa.record_batch(columns, schema=schema)


def _plain_type(type_: pa.DataType) -> pa.DataType:
    is_ = pa.types
    if is_.is_dictionary(type_):
        return _plain_type(type_.value_type)
    if is_.is_large_string(type_) or is_.is_string_view(type_):
        return pa.string()
    if is_.is_large_binary(type_) or is_.is_binary_view(type_) or is_.is_fixed_size_binary(type_):
        return pa.binary()
    if is_.is_timestamp(type_):
        return pa.timestamp("ms", "UTC" if type_.tz else None)
    if is_.is_date(type_):
        return pa.timestamp("ms")
    if is_.is_struct(type_):
        return pa.struct([field.with_type(_plain_type(field.type)) for field in type_])
    if is_.is_large_list(type_) or is_.is_list(type_) or is_.is_fixed_size_list(type_):
        return pa.list_(_plain_type(type_.value_type))
    return type_


def is_text(type_: pa.DataType) -> bool:
    return bool(pa.types.is_string(type_) or pa.types.is_binary(type_))


def _is_number(type_: pa.DataType) -> bool:
    return bool(pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_decimal(type_))


def kinds(column: pa.Array) -> int | NDArray[np.uint8] | None:
    """The kind of span that each value of a plain column is; None where only the exact decoder can tell."""
    type_ = column.type
    if is_text(type_) or pa.types.is_null(type_):
        return STRING
    if pa.types.is_boolean(type_):
        return np.where(column.fill_null(False).to_numpy(zero_copy_only=False), TRUE, FALSE).astype(np.uint8)
    if _is_number(type_):
        return NUMBER
    if pa.types.is_timestamp(type_):
        return INSTANT
    if pa.types.is_struct(type_):
        return OBJECT
    return ARRAY if pa.types.is_list(type_) else None


def rendered(column: pa.Array) -> pa.Array:
    """A plain column as text, '' where it is null or has no text."""
    type_ = column.type
    if pa.types.is_floating(type_):
        text = _float_text(column)
    elif pa.types.is_timestamp(type_):
        text = pc.binary_join_element_wise(_iso(column), "Z" if type_.tz else "", "")
    elif pa.types.is_struct(type_) or pa.types.is_list(type_) or pa.types.is_null(type_):
        return pa.repeat(pa.scalar("", pa.string()), len(column))
    else:
        text = column if is_text(type_) else column.cast(pa.string())
    return text.fill_null(b"" if pa.types.is_binary(text.type) else "")


def _iso(column: pa.Array) -> pa.Array:
    return column.cast(pa.timestamp("ms")).cast(pa.string())


def _float_text(column: pa.Array) -> pa.Array:
    """Shortest digits; whole ones as integers (pandas keeps integers with gaps as floats)."""
    wide = column.cast(pa.float64())
    whole = pc.and_(pc.equal(pc.floor(wide), wide), pc.less(pc.abs(wide), WHOLE_MAX))
    integers = pc.if_else(whole, wide, None).cast(pa.int64()).cast(pa.string())
    return pc.coalesce(integers, column.cast(pa.string()))


def values(column: pa.Array) -> list[Any]:
    """A plain column as the values that `parse_json` would give; bytes where a text is no UTF-8."""
    type_ = column.type
    if pa.types.is_floating(type_) or pa.types.is_decimal(type_):
        return [_number(text) for text in rendered_or_null(column)]
    if pa.types.is_timestamp(type_):
        return [None if text is None else Instant(text) for text in rendered_or_null(column)]
    if is_text(type_):
        return [_decoded(value) for value in column.cast(pa.binary()).to_pylist()]
    if pa.types.is_struct(type_):
        names = [field.name for field in type_]
        rows = zip(*(values(part) for part in column.flatten()), strict=True) if names else [()] * len(column)
        found = [dict(zip(names, row, strict=True)) for row in rows]
        return _with_nulls(column, found)
    if pa.types.is_list(type_) or pa.types.is_map(type_):
        return _with_nulls(column, _nested(column))
    if pa.types.is_integer(type_) or pa.types.is_boolean(type_) or pa.types.is_null(type_):
        return list(column.to_pylist())
    return [None if value is None else str(value) for value in column.to_pylist()]


def rendered_or_null(column: pa.Array) -> list[str | None]:
    return list(pc.if_else(column.is_valid(), rendered(column), None).to_pylist())


def _number(text: str | None) -> Any:
    if text is None:
        return None
    return int(text) if text.removeprefix("-").isdigit() else Digits(text)


def _decoded(value: bytes | None) -> str | bytes | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return value


def _nested(column: pa.Array) -> list[Any]:
    """Lists, or maps as objects with their keys as text."""
    offsets = column.offsets.to_pylist()
    parts = [slice(begin - offsets[0], end - offsets[0]) for begin, end in pairwise(offsets)]
    flat = slice(offsets[0], offsets[-1])
    if pa.types.is_list(column.type):
        items = values(column.values[flat])
        return [items[part] for part in parts]
    keys, found = values(column.keys[flat]), values(column.items[flat])
    return [{str(key): value for key, value in zip(keys[part], found[part], strict=True)} for part in parts]


def _with_nulls(column: pa.Array, found: list[Any]) -> list[Any]:
    if not column.null_count:
        return found
    return [
        value if there else None for value, there in zip(found, column.is_valid().to_pylist(), strict=True)
    ]
