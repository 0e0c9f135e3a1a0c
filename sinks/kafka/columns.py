"""Arrow columns as lists of what JSON knows: a column at a time, never value by value."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_UNIT: Final = pa.scalar(Decimal("0.0001"))


def plain(array: pa.Array) -> list[Any]:
    """Words, texts, numbers and lists of them, as they are."""
    if pa.types.is_dictionary(array.type):
        words = array.dictionary.to_pylist()
        return [words[code] for code in array.indices.to_numpy().tolist()]
    values: list[Any] = array.to_pylist()
    return values


def ids(array: pa.Array) -> list[str]:
    """Raw ids as hex text."""
    return [value.hex() for value in array.to_pylist()]


def times(array: pa.Array) -> list[str | None]:
    """ISO texts in UTC to the millisecond; None where there is no time."""
    numbers = array.cast(pa.timestamp("ms", "UTC")).view(pa.int64())
    known = pc.fill_null(numbers, 0).to_numpy(zero_copy_only=False).astype("datetime64[ms]")
    texts = [f"{text}Z" for text in np.datetime_as_string(known).tolist()]
    if not array.null_count:
        return list(texts)
    return [text if valid else None for text, valid in zip(texts, array.is_valid().to_pylist(), strict=True)]


def times_after_epoch(array: pa.Array) -> list[str | None]:
    """The same of a column in which the beginning of 1970 means that there is none."""
    is_none = pc.equal(array.view(pa.int64()), 0)
    return times(pc.if_else(is_none, pa.scalar(None, array.type), array))


def money(array: pa.Array) -> list[str]:
    """Integers of 1/10,000 as decimal texts with four places."""
    texts: list[str] = pc.multiply(array.cast(pa.decimal128(19, 0)), _UNIT).cast(pa.string()).to_pylist()
    return texts


def identity(array: pa.Array) -> list[Any]:
    """Whatever tells rows apart: times as whole numbers of their unit, raw ids as hex text."""
    if pa.types.is_timestamp(array.type):
        array = array.view(pa.int64())
    return ids(array) if pa.types.is_fixed_size_binary(array.type) else plain(array)
