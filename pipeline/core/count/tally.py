"""Counters by key in an open-addressing table: the kernels behind `tallies.py`.

`keys` and `totals` are rows with room, of which so many are used; `index` says where a key's row is. The last
column of `totals` is money.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import int64, njit, uint64

from pipeline.core.hashing import combine
from pipeline.core.raw import borrowed
from pipeline.core.seen import MINUTE_MS

KEY: Final = np.dtype(
    [
        ("minute", np.int64),  # milliseconds, start of the minute
        ("site", np.int32),
        ("device", np.int32),
        ("channel", np.int32),
        ("currency", np.int32),
        ("journey", np.uint8),
        ("rank", np.uint8),
    ]
)


@njit(cache=True, nogil=True)
def unknown(rows, codes, new):  # type: ignore[no-untyped-def]
    """Writes the words of `rows` that have no code yet into `new`, each once; returns how many."""
    rows, codes, new = borrowed(rows), borrowed(codes), borrowed(new)
    count = 0
    for r in range(rows.shape[0]):
        row = rows[r]
        for word in (row.site, row.device, row.channel, row.currency):
            if codes[word] == -1:
                codes[word] = -2
                new[count] = word
                count += 1
    return count


@njit(nogil=True, forceinline=True)
def _place(keys, index, minute, site, device, channel, currency, journey, rank):  # type: ignore[no-untyped-def]
    """Where in the index a key is, or would be."""
    h = combine(uint64(minute) << uint64(12) | uint64(journey) << uint64(4) | uint64(rank), uint64(site))
    h = combine(h, uint64(device) << uint64(32) | uint64(channel))
    mask = uint64(index.shape[0] - 1)
    at = int64((h ^ uint64(currency)) & mask)
    while index[at] != 0:
        key = keys[index[at] - 1]
        if (
            key.minute == minute
            and key.device == device
            and key.channel == channel
            and key.rank == rank
            and key.journey == journey
            and key.currency == currency
            and key.site == site
        ):
            break
        at = int64((uint64(at) + uint64(1)) & mask)
    return at


@njit(cache=True, nogil=True)
def merge(rows, first, codes, keys, totals, index, used, changed):  # type: ignore[no-untyped-def]
    """Adds rows from `first` as long as there is room; returns (next row, keys used)."""
    rows, codes, keys, totals = borrowed(rows), borrowed(codes), borrowed(keys), borrowed(totals)
    index, changed = borrowed(index), borrowed(changed)
    money = totals.shape[1] - 1
    for r in range(first, rows.shape[0]):
        row = rows[r]
        site, device, channel = codes[row.site], codes[row.device], codes[row.channel]
        currency = codes[row.currency]
        at = _place(keys, index, row.minute, site, device, channel, currency, row.journey, row.rank)
        k = index[at] - 1
        if k < 0:
            if used == keys.shape[0]:
                return r, used
            k = used
            used += 1
            index[at] = used
            key = keys[k]
            key.minute = row.minute
            key.site = site
            key.device = device
            key.channel = channel
            key.currency = currency
            key.journey = row.journey
            key.rank = row.rank
            for what in range(totals.shape[1]):
                totals[k, what] = 0
        totals[k, row.what] += 1
        totals[k, money] += row.value_e4
        changed[k] = True
    return rows.shape[0], used


@njit(cache=True, nogil=True)
def file(keys, used, index):  # type: ignore[no-untyped-def]
    keys, index = borrowed(keys), borrowed(index)
    for k in range(used):
        key = keys[k]
        at = _place(
            keys, index, key.minute, key.site, key.device, key.channel, key.currency, key.journey, key.rank
        )
        index[at] = k + 1


@njit(cache=True, nogil=True)
def drop(keys, totals, used, watermark):  # type: ignore[no-untyped-def]
    """Moves the rows of minutes that have not passed together; returns (how many, whether any has)."""
    kept = 0
    for k in range(used):
        if keys[k].minute + MINUTE_MS > watermark:
            if kept < k:
                keys[kept] = keys[k]
                totals[kept] = totals[k]
            kept += 1
    return kept, kept < used
