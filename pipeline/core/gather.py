"""Rows of batches copied by number: out of them (`copy_rows`), or reordered by shard (`scatter_rows`).

Column by column: what is read in one loop then lies together, and the loads of many rows overlap.
"""

from __future__ import annotations

import numpy as np
from numba import int32, int64, njit

from pipeline.core.raw import borrowed, copy_bytes
from pipeline.core.rows import lend_rows


@njit(cache=True, nogil=True)
def text_bytes(rows, index):  # type: ignore[no-untyped-def]
    """Bytes of (event id, visitor, user, url, detail) of the rows `index`."""
    event_id, visitor, user, url, detail = 0, 0, 0, 0, 0
    index, rows = borrowed(index), lend_rows(rows)
    for k in range(index.shape[0]):
        r = index[k]
        event_id += rows.event_id_offsets[r + 1] - rows.event_id_offsets[r]
        visitor += rows.visitor_offsets[r + 1] - rows.visitor_offsets[r]
        user += rows.user_offsets[r + 1] - rows.user_offsets[r]
        url += rows.url_offsets[r + 1] - rows.url_offsets[r]
        detail += rows.detail_offsets[r + 1] - rows.detail_offsets[r]
    return event_id, visitor, user, url, detail


@njit(nogil=True, forceinline=True)
def _take(column, index, out, at):  # type: ignore[no-untyped-def]
    for k in range(index.shape[0]):
        out[at + k] = column[index[k]]


@njit(nogil=True, forceinline=True)
def _take_texts(offsets, data, index, out_offsets, out, at):  # type: ignore[no-untyped-def]
    """Appends the texts `index` to `out`, whose rows before `at` are there."""
    end = int64(out_offsets[at])
    for k in range(index.shape[0]):
        start = int64(offsets[index[k]])
        n = offsets[index[k] + 1] - start
        copy_bytes(out, end, data, start, n)
        end += n
        out_offsets[at + k + 1] = end


@njit(cache=True, nogil=True)
def copy_rows(rows, index, codes, out, at):  # type: ignore[no-untyped-def]
    """Copies the rows `index` to `out` from row `at`; `codes` are the new codes of words (empty: same).
    The offsets of `out` begin with 0 and are filled up to `at`.
    """
    index, codes, rows, out = borrowed(index), borrowed(codes), lend_rows(rows), lend_rows(out)
    _take(rows.at, index, out.at, at)
    _take(rows.key, index, out.key, at)
    _take(rows.id_hash, index, out.id_hash, at)
    _take(rows.value_e4, index, out.value_e4, at)
    _take(rows.partition, index, out.partition, at)
    _take(rows.position, index, out.position, at)
    _take(rows.fate, index, out.fate, at)
    for k in range(index.shape[0]):
        for j in range(rows.match.shape[1]):
            out.match[at + k, j] = rows.match[index[k], j]
            out.back[at + k, j] = rows.back[index[k], j]
        for j in range(rows.bits.shape[1]):
            out.bits[at + k, j] = rows.bits[index[k], j]
        for j in range(rows.intent.shape[1]):
            out.intent[at + k, j] = rows.intent[index[k], j]
    recoded = codes.shape[0] > 0
    for k in range(index.shape[0]):
        for column in range(rows.words.shape[1]):
            word = rows.words[index[k], column]
            out.words[at + k, column] = codes[word] if recoded else word
    _take_texts(rows.event_id_offsets, rows.event_id, index, out.event_id_offsets, out.event_id, at)
    _take_texts(rows.visitor_offsets, rows.visitor, index, out.visitor_offsets, out.visitor, at)
    _take_texts(rows.user_offsets, rows.user, index, out.user_offsets, out.user, at)
    _take_texts(rows.url_offsets, rows.url, index, out.url_offsets, out.url, at)
    _take_texts(rows.detail_offsets, rows.detail, index, out.detail_offsets, out.detail, at)


@njit(nogil=True, forceinline=True)
def _put(column, to, out):  # type: ignore[no-untyped-def]
    for r in range(to.shape[0]):
        out[to[r]] = column[r]


@njit(nogil=True, forceinline=True)
def _put_texts(offsets, data, shard, to, ends, out_offsets, out):  # type: ignore[no-untyped-def]
    """Reorders texts; those of a shard lie together, in the order of the shards."""
    ends[:] = 0
    for r in range(to.shape[0]):
        ends[shard[r] + 1] += offsets[r + 1] - offsets[r]
    for s in range(1, ends.shape[0]):
        ends[s] += ends[s - 1]
    out_offsets[to.shape[0]] = ends[ends.shape[0] - 1]
    for r in range(to.shape[0]):
        start = int64(offsets[r])
        n = offsets[r + 1] - start
        end = ends[shard[r]]
        copy_bytes(out, end, data, start, n)
        out_offsets[to[r]] = end
        ends[shard[r]] = end + n


@njit(cache=True, nogil=True)
def scatter_rows(rows, shard, starts, out):  # type: ignore[no-untyped-def]
    """Copies all rows to `out`, shard after shard (they begin at `starts`), in order within each."""
    shard, rows, out = borrowed(shard), lend_rows(rows), lend_rows(out)
    n = shard.shape[0]
    free = starts.copy()
    to = np.empty(n, np.int32)
    for r in range(n):
        to[r] = free[shard[r]]
        free[shard[r]] += 1
    _put(rows.at, to, out.at)
    _put(rows.key, to, out.key)
    _put(rows.id_hash, to, out.id_hash)
    _put(rows.value_e4, to, out.value_e4)
    _put(rows.partition, to, out.partition)
    _put(rows.position, to, out.position)
    _put(rows.fate, to, out.fate)
    for r in range(n):
        for j in range(rows.match.shape[1]):
            out.match[to[r], j] = rows.match[r, j]
            out.back[to[r], j] = rows.back[r, j]
        for j in range(rows.bits.shape[1]):
            out.bits[to[r], j] = rows.bits[r, j]
        for j in range(rows.intent.shape[1]):
            out.intent[to[r], j] = rows.intent[r, j]
        for column in range(rows.words.shape[1]):
            out.words[to[r], column] = rows.words[r, column]
    _put_texts(rows.event_id_offsets, rows.event_id, shard, to, free, out.event_id_offsets, out.event_id)
    _put_texts(rows.visitor_offsets, rows.visitor, shard, to, free, out.visitor_offsets, out.visitor)
    _put_texts(rows.user_offsets, rows.user, shard, to, free, out.user_offsets, out.user)
    _put_texts(rows.url_offsets, rows.url, shard, to, free, out.url_offsets, out.url)
    _put_texts(rows.detail_offsets, rows.detail, shard, to, free, out.detail_offsets, out.detail)


@njit(cache=True, nogil=True)
def words_used(words, index, known):  # type: ignore[no-untyped-def]
    """The words that occur in the rows `index`, ascending and always with 0, of `known` ones."""
    words, index = borrowed(words), borrowed(index)
    used = np.zeros(known, np.bool_)
    used[0] = True
    count = 1
    for k in range(index.shape[0]):
        for column in range(words.shape[1]):
            word = words[index[k], column]
            count += not used[word]
            used[word] = True
    out = np.empty(count, np.int32)
    count = 0
    for word in range(known):
        if used[word]:
            out[count] = int32(word)
            count += 1
    return out
