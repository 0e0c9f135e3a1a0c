"""Which record of an order is *the* order: `(state, claims, watermark) -> (state', repeats)`.

A thank-you page is reloaded, browser and server both report: an order counts once per site and order_id
within 365 days. Its records may come from any visitor and partition, so they wait here until the least
watermark of all partitions has passed them; the first in (time, partition, position) is the order. `track`
applies nothing that is not decided here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from pipeline.core.events import Events
from pipeline.core.hashing import combine, hash_texts, murmur128
from pipeline.core.raw import borrowed
from pipeline.core.rows import DETAIL_END, SITE
from pipeline.core.seen import MINUTE_MS, KeepsIds, Seen, insert
from pipeline.core.strings import string_buffers
from schemas.orders import PLACED

REPEAT_WINDOW_MS: Final = 365 * 86_400_000
"""Shops number their orders anew at most once a year."""
ORDERS_MAX: Final = 10_000_000
"""Orders remembered at most: 16 bytes each, and as much again for the table that holds them."""

CLAIM: Final = np.dtype(
    [
        ("at", np.int64),
        ("order", np.uint64),  # hash of site and order_id
        ("position", np.int64),
        ("partition", np.int32),
        ("shard", np.int32),  # of its visitor
    ]
)
"""A record that says that an order was placed."""
REPEAT: Final = np.dtype([("at", np.int64), ("position", np.int64), ("partition", np.int32)])
"""A record that only repeats an order."""


@dataclass(frozen=True)
class Decided:
    """All orders before `watermark` are decided; `repeats[shard]` are those of its visitors that are none."""

    watermark: int
    repeats: dict[int, NDArray[np.void]]


def claims(events: Events, shards: Sequence[int]) -> NDArray[np.void]:
    """The claims among `events`, whose visitors are in one of `shards` (as `route` splits them)."""
    index = np.flatnonzero(events.order == PLACED)
    found = np.zeros(len(index), CLAIM)
    if len(index):
        sites = hash_texts(*reversed(string_buffers(pa.array(events.known, pa.string()))))
        found["at"], found["position"] = events.at[index], events.position[index]
        found["partition"] = events.partition[index]
        found["shard"] = np.asarray(shards)[(events.key[index] >> np.uint64(32)) % np.uint64(len(shards))]
        text = events.detail
        found["order"] = _names(text.offsets, text.data, index, sites[events.words[index, SITE]])
    return found


class Orders(KeepsIds):
    """All orders of a deployment, by site and order_id."""

    def __init__(self, orders_max: int = ORDERS_MAX) -> None:
        self.seen = Seen(REPEAT_WINDOW_MS, orders_max)
        self.held = np.zeros(0, CLAIM)
        self.watermark = np.iinfo(np.int64).min

    def apply(self, claimed: Sequence[NDArray[np.void]], watermark: int) -> Decided:
        """Takes in claims, and decides those before `watermark`, which never falls."""
        held = np.concatenate([self.held, *claimed]) if claimed else self.held
        ready = held["at"] < watermark
        self.held, due = held[~ready], held[ready]
        self.watermark = max(self.watermark, watermark)
        if not len(due):
            return Decided(self.watermark, {})
        due = due[np.lexsort((due["position"], due["partition"], due["at"]))]
        is_repeat = self._judge(due)
        repeats = due[is_repeat]
        self.seen.note(due["order"][~is_repeat], due["at"][~is_repeat])
        told = np.zeros(len(repeats), REPEAT)
        for name in REPEAT.names or ():
            told[name] = repeats[name]
        shards = np.unique(repeats["shard"]).tolist()
        return Decided(self.watermark, {shard: told[repeats["shard"] == shard] for shard in shards})

    def _judge(self, due: NDArray[np.void]) -> NDArray[np.bool_]:
        """Whether each claim, in order, is a repeat. Minute by minute where some may have to be forgotten."""
        self.seen.forget(int(due["at"][0]) // MINUTE_MS * MINUTE_MS)
        self.seen.reserve(len(due))
        minute = due["at"] // MINUTE_MS
        is_repeat = np.zeros(len(due), np.bool_)
        if self.seen.alive + len(due) <= self.seen.ids_max:
            self.seen.turned(int(minute.max()) * MINUTE_MS)
            _insert(self.seen.entries, self.seen.sizes, due, 0, len(due), is_repeat)
            return is_repeat
        edges = np.flatnonzero(np.diff(minute, prepend=minute[0] - 1))
        for start, stop in zip(edges, [*edges[1:], len(due)], strict=True):
            self.seen.turn(int(minute[start]) * MINUTE_MS)
            _insert(self.seen.entries, self.seen.sizes, due, start, stop, is_repeat)
        return is_repeat

    # --- snapshots ---

    def rest(self) -> dict[str, Any]:
        """All of the state but what `changes` tells of."""
        return {"sizes": self.seen.sizes, "held": self.held, "watermark": self.watermark}

    def load(self, dumped: dict[str, Any]) -> None:
        """Goes on from what `dump` wrote, or `rest` and `changes`."""
        rest = dumped["rest"]
        self.seen = Seen.loaded(self.seen.window_ms, self.seen.ids_max, rest["sizes"], dumped["frames"])
        self.held = np.array(rest["held"])
        self.watermark = rest["watermark"]


@njit(cache=True, nogil=True)
def _insert(entries, sizes, due, start, stop, is_repeat):  # type: ignore[no-untyped-def]
    for k in range(start, stop):
        claim = due[k]
        is_repeat[k] = insert(entries, sizes, claim.order, claim.at, claim.at, REPEAT_WINDOW_MS)


@njit(cache=True, nogil=True)
def _names(offsets, data, index, site):  # type: ignore[no-untyped-def]
    """The hash of site and order_id of the events `index`; never 0."""
    offsets, data, index = borrowed(offsets), borrowed(data), borrowed(index)
    out = np.empty(index.shape[0], np.uint64)
    for k in range(index.shape[0]):
        start, stop = offsets[index[k]], offsets[index[k] + 1]
        end = start
        while end < stop and data[end] != DETAIL_END:
            end += 1
        name, _ = murmur128(data, start, end - start)
        out[k] = max(combine(site[k], name), np.uint64(1))
    return out
