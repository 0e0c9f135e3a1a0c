"""The state of a shard: open sessions with their texts and words, grown, compacted, dumped and loaded."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Protocol

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.core.rows import CONTEXT_WORDS
from pipeline.core.track.frames import absorb, frame_of, settle_untold
from pipeline.core.track.heap import TooMuchText, compact
from pipeline.core.track.layout import (
    AMOUNT,
    AMOUNTS_USED,
    CONTEXTS_USED,
    DUE_BLOCK,
    FREE,
    FREE_HEAD,
    HEAP_USED,
    NO_DUE,
    SESSION,
    TEXT_UNIT,
    VISIT,
    Slots,
)
from pipeline.core.track.slots import absent, context_hash, file_all
from pipeline.core.words import Words

__all__ = ["ShardState", "TooMuchText"]

WORD_BITS: Final = 64
WORDS_SLACK: Final = 4096
"""Words are forgotten when they are twice what was kept plus this: less often for small states."""
TEXT_EXTRA_BYTES: Final = 21
"""Beside its bytes, what the three texts of an event take at most: lengths, and bytes to the next unit."""


def _power_of_two(least: int) -> int:
    return 1 << max(int(least) - 1, 1).bit_length()


class Lodger(Protocol):
    """Whoever else keeps codes of the shard's words."""

    def words_used(self) -> NDArray[np.int32]:
        """The words in use."""

    def recode(self, codes: NDArray[np.int32]) -> None:
        """The words have these new codes now, by the old ones."""


class ShardState:
    """Open sessions of one shard in `slots`, and the words that they use.

    `slots` is replaced when it grows: take it anew after every `reserve`.
    """

    def __init__(self, journeys: int, notes: int, words: Words | None = None) -> None:
        self.journeys = journeys
        self.notes = notes  # that every session keeps
        self.words = words or Words()
        self._words_kept = len(self.words.known)
        self.slots = _empty(journeys, notes, 1024, 64)
        self._text_told = 0  # the unit of the heap up to which texts were told of by `changes`
        self.lodgers: list[Lodger] = []

    @property
    def open_sessions(self) -> int:
        return len(self.slots.sessions) - int(self.slots.sizes[FREE])

    @property
    def bytes_without_text(self) -> int:
        """Bytes allocated for sessions, stages, timers and the index: all but text and words."""
        s = self.slots
        arrays = (s.sessions, s.visits, s.notes, s.due, s.due_least, s.untold, s.dirty, s.key_index)
        return sum(array.nbytes for array in arrays)

    @property
    def bytes_of_text(self) -> int:
        return int(self.slots.sizes[HEAP_USED])

    def reserve(self, key: NDArray[np.uint64], order: NDArray[np.int64], text_bytes: int) -> Slots:
        """Makes room for what the events `order`, grouped by key, may add at most, their texts having
        `text_bytes`; returns the slots to call with. Raises TooMuchText.
        """
        n = len(order)
        if self._room < n:
            new = int(absent(self.slots, key, order))
            if self._room < new:
                self._grow_sessions(new)
        text_bytes += TEXT_EXTRA_BYTES * n
        if self.slots.sizes[HEAP_USED] + text_bytes > len(self.slots.heap):
            self._grow_heap(text_bytes)
        contexts = n * (2 + self.journeys)
        if self.slots.sizes[CONTEXTS_USED] + contexts > len(self.slots.contexts):
            self._grow_contexts(contexts)
        if self.slots.sizes[AMOUNTS_USED] + n * self.journeys > len(self.slots.amounts):
            self._grow_amounts(n * self.journeys)
        return self.slots

    @property
    def _room(self) -> int:
        """Sessions that may be opened: a quarter of the index stays free, so that searches stay short."""
        s = self.slots
        return min(int(s.sizes[FREE]), 3 * len(s.key_index) // 4 - self.open_sessions)

    def _grow_sessions(self, more: int) -> None:
        """Room for `more` sessions: little more than that, because the system moves no bytes when a large
        array grows at its end.
        """
        s = self.slots
        capacity, need = len(s.sessions), self.open_sessions + more
        if need > capacity:
            self._grow_slots(max(need, capacity + capacity // 64))
        if need > 3 * len(s.key_index) // 4:
            index = np.zeros(need * 3 // 2 + 8, np.int32)
            file_all(s.sessions, index)
            self.slots = s._replace(key_index=index)

    def _grow_slots(self, least: int) -> None:
        """At least so many slots."""
        s = self.slots
        capacity, grown = len(s.sessions), _up(least, WORD_BITS)
        if grown <= capacity:
            return
        for array in (s.sessions, s.visits, s.notes, s.due):
            array.resize((grown, *array.shape[1:]), refcheck=False)
        s.due_least.resize(_up(grown, DUE_BLOCK) // DUE_BLOCK, refcheck=False)
        s.untold.resize(grown // WORD_BITS, refcheck=False)
        s.dirty.resize(grown // WORD_BITS, refcheck=False)
        s.due[capacity:] = NO_DUE
        s.due_least[_up(capacity, DUE_BLOCK) // DUE_BLOCK :] = NO_DUE
        s.sessions["context"][capacity:] = np.arange(capacity + 1, grown + 1)
        s.sessions["context"][-1] = s.sizes[FREE_HEAD]
        s.sizes[FREE_HEAD] = capacity
        s.sizes[FREE] += grown - capacity

    def _grow_heap(self, more: int) -> None:
        """A heap with what is alive, `more` bytes and as much again."""
        s = self.slots
        heap, alive = compact(s.heap, s.sessions, more)
        s.sizes[HEAP_USED] = alive
        self.slots = s._replace(heap=heap)
        self._text_told = 0  # which of them are new can no longer be seen by where they lie

    def _grow_contexts(self, more: int) -> None:
        """Drops the contexts (and words) that no session uses; grows the table."""
        s = self.slots
        used = np.flatnonzero(s.sessions["key"])
        refs = [s.sessions["context"][used], s.visits["context"][used].ravel()]
        alive = np.unique(np.concatenate([[0], *refs])).astype(np.int32)
        remap = np.zeros(max(int(s.sizes[CONTEXTS_USED]), 1), np.int32)
        remap[alive] = np.arange(len(alive), dtype=np.int32)
        s.sessions["context"][used] = remap[refs[0]]
        s.visits["context"][used] = remap[s.visits["context"][used]]
        capacity = _power_of_two(2 * (len(alive) + more))
        contexts = np.zeros((capacity, CONTEXT_WORDS), np.int32)
        contexts[: len(alive)] = s.contexts[alive] if len(s.contexts) else 0
        index = np.zeros(2 * capacity, np.int32)
        _file_contexts(contexts, index, len(alive))
        s.sizes[CONTEXTS_USED] = len(alive)
        self.slots = s._replace(contexts=contexts, context_index=index)

    def _grow_amounts(self, more: int) -> None:
        """Drops the amounts of sessions that are gone; makes room for `more` and as many again."""
        s = self.slots
        alive = (s.visits["amount"] > 0) & (s.sessions["key"] != 0)[:, None]
        kept = s.amounts[s.visits["amount"][alive]]
        s.visits["amount"][alive] = np.arange(1, len(kept) + 1)
        amounts = np.zeros(1 + 2 * (len(kept) + more), AMOUNT)
        amounts[1 : len(kept) + 1] = kept
        s.sizes[AMOUNTS_USED] = len(kept) + 1
        self.slots = s._replace(amounts=amounts)

    def tidy(self) -> None:
        """Forgets words that no session uses, when there are twice as many as were kept last."""
        if len(self.words.known) < 2 * self._words_kept + WORDS_SLACK:
            return
        s = self.slots
        self._grow_contexts(0)
        n = int(self.slots.sizes[CONTEXTS_USED])
        self._grow_amounts(0)
        currency = self.slots.amounts["currency"][: int(s.sizes[AMOUNTS_USED])]
        lodgers = [lodger.words_used() for lodger in self.lodgers]
        alive = np.unique(np.concatenate([[0], self.slots.contexts[:n].ravel(), currency, *lodgers]))
        remap = np.zeros(len(self.words.known), np.int32)
        remap[alive] = np.arange(len(alive), dtype=np.int32)
        self.words = Words(self.words.known[code] for code in alive.tolist())
        self._words_kept = len(alive)
        self.slots.contexts[:n] = remap[self.slots.contexts[:n]]
        currency[:] = remap[currency]
        for lodger in self.lodgers:
            lodger.recode(remap)
        self.slots.context_index[:] = 0
        _file_contexts(self.slots.contexts, self.slots.context_index, n)

    # --- snapshots: frames of sessions (`frames.py`) ---

    @property
    def dirty(self) -> int:
        """Sessions that have changed, or are gone, since `changes` was asked for."""
        return int(np.bitwise_count(self.slots.dirty).sum())

    def dump(self) -> dict[str, Any]:
        """What is open, packed. Equal states may differ in the order of their slots."""
        used = np.flatnonzero(self.slots.sessions["key"])
        return frame_of(self.slots, self.words, used, 0, (0, 0))

    def changes(self, first: int, stop: int) -> dict[str, Any]:
        """What has changed since this was last asked for, and all sessions in the slots from `first` to
        `stop`. `load` takes what this gave one after the other, beginning with a sweep over all slots: be it
        at once, or in pieces that follow each other.
        """
        s = self.slots
        stop = min(stop, len(s.sessions))
        told = _bits(s.dirty)
        told[first:stop] = True  # a free slot among these is told to be free
        places = np.flatnonzero(told)
        is_free = s.sessions["key"][places] == 0
        places, freed = places[~is_free], places[is_free]
        frame = frame_of(s, self.words, places, self._text_told, (first, stop))
        s.dirty[:] = 0
        self._text_told = int(s.sizes[HEAP_USED]) // TEXT_UNIT
        return frame | {
            "slots": places.astype(np.int32),
            "freed": freed.astype(np.int32),
            "told": s.untold.copy(),
        }

    @classmethod
    def load(cls, journeys: int, notes: int, frames: Iterable[dict[str, Any]], due: Any) -> ShardState:
        """The state that a `dump` or the `changes` wrote; `due(slots)` files the timers (only the kernel
        knows them).
        """
        state = cls(journeys, notes)
        told = None
        for frame in frames:
            state._absorb(frame)
            told = frame.get("told")
        state._settle(told)
        due(state.slots)
        return state

    def _absorb(self, frame: dict[str, Any]) -> None:
        n = len(frame["sessions"])
        places = np.asarray(frame.get("slots", np.arange(n)), np.int64)
        self._grow_slots(max(WORD_BITS * len(frame.get("told", ())), n))
        self.slots.sessions["key"][frame.get("freed", ())] = 0
        contexts, amounts = len(frame["contexts"]), len(frame["amounts"])
        s = self.slots
        if s.sizes[HEAP_USED] + len(frame["heap"]) > len(s.heap):
            self._grow_heap(len(frame["heap"]))
        if s.sizes[CONTEXTS_USED] + contexts > len(s.contexts):
            self._grow_contexts(contexts)
        if s.sizes[AMOUNTS_USED] + amounts > len(s.amounts):
            self._grow_amounts(amounts)
        codes = self.words.codes(frame["words"])
        told = frame["amounts"].copy()
        told["currency"] = codes[told["currency"]]
        absorb(
            self.slots, places, frame["sessions"], frame["visits"], frame["notes"], frame["untold"],
            frame["heap"], codes[frame["contexts"]], told, np.zeros(contexts, np.int32),
        )  # fmt: skip

    def _settle(self, told: NDArray[np.uint64] | None) -> None:
        """All frames are in: free slots, index and marks follow from them."""
        s = self.slots
        free = np.flatnonzero(s.sessions["key"] == 0)
        s.sessions["context"][free] = np.append(free[1:], -1)[: len(free)]
        s.sizes[FREE], s.sizes[FREE_HEAD] = len(free), free[0] if len(free) else -1
        if told is not None:
            settle_untold(s.sessions, s.untold, told)
        index = np.zeros(self.open_sessions * 3 // 2 + 8, np.int32)
        file_all(s.sessions, index)
        self.slots = s._replace(key_index=index)
        self._words_kept = len(self.words.known)
        self._text_told = int(s.sizes[HEAP_USED]) // TEXT_UNIT


def _up(n: int, unit: int) -> int:
    """The least multiple of `unit` that is at least n."""
    return -(-n // unit) * unit


def _bits(words: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """A bit per slot as an item each."""
    return np.unpackbits(words.view(np.uint8), bitorder="little").view(np.bool_)


def _empty(journeys: int, notes: int, heap_bytes: int, contexts: int) -> Slots:
    """Slots without sessions; the first unit of the heap stays empty, because 0 is no text."""
    return Slots(
        sessions=np.zeros(0, SESSION),
        visits=np.zeros((0, journeys), VISIT),
        notes=np.zeros((0, notes), np.uint32),
        due=np.zeros(0, np.uint32),
        due_least=np.zeros(0, np.uint32),
        untold=np.zeros(0, np.uint64),
        dirty=np.zeros(0, np.uint64),
        key_index=np.zeros(8, np.int32),
        heap=np.zeros(heap_bytes, np.uint8),
        contexts=np.zeros((contexts, CONTEXT_WORDS), np.int32),
        context_index=np.zeros(_power_of_two(2 * contexts + 2), np.int32),
        amounts=np.zeros(1, AMOUNT),
        sizes=np.array([0, -1, TEXT_UNIT, 0, 1]),
    )


@njit(cache=True, nogil=True)
def _file_contexts(contexts, index, count):  # type: ignore[no-untyped-def]
    mask = np.uint64(index.shape[0] - 1)
    for k in range(count):
        at = np.int64(context_hash(contexts[k]) & mask)
        while index[at] != 0:
            at = np.int64((np.uint64(at) + np.uint64(1)) & mask)
        index[at] = k + 1
