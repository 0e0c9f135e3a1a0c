"""Which of several writes of a row holds: the rule of each table, for whole Arrow batches at once.

The same rule that ClickHouse applies in the views (ReplacingMergeTree, max-merge), so that a block can
be compacted before it is sent and the other sinks give the same rows. Vectorised: rows are grouped by a
64-bit mix of their key columns, verified, and no Python object is made per row.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.tables import CONSERVATION_COUNTS, FUNNEL_COUNTS, KEYS

MAXIMA: Final[dict[str, tuple[str, ...]]] = {
    "funnel_minute": (*FUNNEL_COUNTS, "value_e4", "rank"),
    "conservation": CONSERVATION_COUNTS,
    "unknown_events": ("events",),
}
"""Counters: each of these columns only grows, so rows of one key merge by the maximum of each."""

VERSIONS: Final = {"sessions": "version", "freshness": "updated_at"}
"""Of the rows of one key the one with the highest of these holds; elsewhere the last one written."""

_IDENTITY: Final = {"sessions": ("session_id",)}
"""Columns that stand for the whole key: session_id is a hash of site, visitor and start."""

_MIX: Final = np.uint64(0x9E3779B97F4A7C15)

Codes = npt.NDArray[np.uint64]


def merge(table: str, batch: pa.RecordBatch) -> pa.RecordBatch:
    """One row per key: what a reader would see of `batch`, in the order of each key's last write."""
    if batch.num_rows < 2:
        return batch
    keys = [code for name in _IDENTITY.get(table, KEYS[table]) for code in _codes(batch.column(name))]
    order, starts = _groups(keys)
    if len(starts) == batch.num_rows:
        return batch
    winners = _winners(table, batch, order, starts)
    kept = np.argsort(winners, kind="stable")
    merged = batch.take(pa.array(winners[kept]))
    for name in MAXIMA.get(table, ()):
        place = batch.schema.get_field_index(name)
        highest = np.maximum.reduceat(batch.column(place).to_numpy(zero_copy_only=False)[order], starts)
        merged = merged.set_column(place, batch.schema.field(place), pa.array(highest[kept]))
    return merged


def join(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    """Several batches of one schema as one contiguous batch (their dictionaries become one)."""
    if len(batches) == 1:
        return batches[0]
    table = pa.Table.from_batches(batches).unify_dictionaries().combine_chunks()
    columns = [
        column.chunk(0) if column.num_chunks else pa.array([], column.type) for column in table.columns
    ]
    return pa.RecordBatch.from_arrays(columns, schema=table.schema)


def _codes(array: pa.Array) -> list[Codes]:
    """Numbers that are equal where, and only where, the values are equal (within this array)."""
    type_ = array.type
    if pa.types.is_fixed_size_binary(type_) and type_.byte_width == 16:
        raw = np.frombuffer(array.buffers()[1], np.uint64)
        halves = raw[2 * array.offset : 2 * (array.offset + len(array))].reshape(-1, 2)
        return [halves[:, 0], halves[:, 1]]
    if pa.types.is_string(type_) or pa.types.is_binary(type_):
        array = pc.dictionary_encode(array)
    if pa.types.is_dictionary(array.type):
        array = _distinct(array).indices
    if pa.types.is_timestamp(array.type):
        array = array.view(pa.int64())
    numbers: npt.NDArray[Any] = array.to_numpy(zero_copy_only=False)
    return [numbers.astype(np.int64).view(np.uint64)]


def _distinct(array: pa.DictionaryArray) -> pa.DictionaryArray:
    """The same array with each word once in its dictionary."""
    words = array.dictionary
    if len(pc.unique(words)) == len(words):
        return array
    return pc.dictionary_encode(array.dictionary_decode())


def _groups(keys: list[Codes]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """An order that brings equal keys together, earlier writes first, and where each group starts."""
    mixed = keys[0] * _MIX
    for code in keys[1:]:
        mixed = (mixed ^ (mixed >> np.uint64(29)) ^ code) * _MIX
    order = np.argsort(mixed, kind="stable")
    new = _changes(mixed, order)
    if any((_changes(code, order) & ~new).any() for code in keys):
        order = np.lexsort(keys)  # two keys share a mix: sort by the keys themselves (stable, too)
        new = np.logical_or.reduce([_changes(code, order) for code in keys])
    return order, np.flatnonzero(np.concatenate(([True], new)))


def _changes(code: Codes, order: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_]:
    there = code[order]
    changes: npt.NDArray[np.bool_] = there[1:] != there[:-1]
    return changes


def _winners(
    table: str, batch: pa.RecordBatch, order: npt.NDArray[np.intp], starts: npt.NDArray[np.intp]
) -> npt.NDArray[np.intp]:
    """The row of each group that holds: of the highest version, the one written last."""
    ends = np.concatenate((starts[1:], [len(order)])) - 1
    column = VERSIONS.get(table)
    winners: npt.NDArray[np.intp]
    if column is None:
        winners = order[ends]
        return winners
    array = batch.column(column)
    if pa.types.is_timestamp(array.type):
        array = array.view(pa.int64())
    versions = array.to_numpy(zero_copy_only=False)[order]
    highest = np.repeat(np.maximum.reduceat(versions, starts), np.diff(np.append(starts, len(order))))
    places = np.where(versions == highest, np.arange(len(order)), -1)
    winners = order[np.maximum.reduceat(places, starts)]
    return winners
