"""The state of a shard: open sessions with their texts and words, grown, compacted, dumped and loaded."""

from __future__ import annotations

from typing import Any, Final, Protocol

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.core.rows import CONTEXT_WORDS
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
        self.lodgers: list[Lodger] = []

    @property
    def open_sessions(self) -> int:
        return len(self.slots.sessions) - int(self.slots.sizes[FREE])

    @property
    def bytes_without_text(self) -> int:
        """Bytes allocated for sessions, stages, timers and the index: all but text and words."""
        s = self.slots
        arrays = (s.sessions, s.visits, s.notes, s.due, s.due_least, s.untold, s.key_index)
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
            grown = _up(max(need, capacity + capacity // 64), WORD_BITS)
            for array in (s.sessions, s.visits, s.notes, s.due):
                array.resize((grown, *array.shape[1:]), refcheck=False)
            s.due_least.resize(_up(grown, DUE_BLOCK) // DUE_BLOCK, refcheck=False)
            s.untold.resize(grown // WORD_BITS, refcheck=False)
            s.due[capacity:] = NO_DUE
            s.due_least[_up(capacity, DUE_BLOCK) // DUE_BLOCK :] = NO_DUE
            s.sessions["context"][capacity:] = np.arange(capacity + 1, grown + 1)
            s.sessions["context"][-1] = s.sizes[FREE_HEAD]
            s.sizes[FREE_HEAD] = capacity
            s.sizes[FREE] += grown - capacity
        if need > 3 * len(s.key_index) // 4:
            index = np.zeros(need * 3 // 2 + 8, np.int32)
            file_all(s.sessions, index)
            self.slots = s._replace(key_index=index)

    def _grow_heap(self, more: int) -> None:
        """A heap with what is alive, `more` bytes and as much again."""
        s = self.slots
        heap, alive = compact(s.heap, s.sessions, more)
        s.sizes[HEAP_USED] = alive
        self.slots = s._replace(heap=heap)

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

    def dump(self) -> dict[str, Any]:
        """What is open, packed: arrays and words. Equal states may differ in the order of their slots."""
        s = self.slots
        used = np.flatnonzero(s.sessions["key"])
        sessions = s.sessions[used]
        heap, alive = compact(s.heap, sessions, 0)
        return {
            "sessions": sessions,
            "visits": s.visits[used],
            "notes": s.notes[used],
            "untold": _bits(s.untold)[used],
            "heap": heap[:alive],
            "contexts": s.contexts[: int(s.sizes[CONTEXTS_USED])],
            "amounts": s.amounts[: int(s.sizes[AMOUNTS_USED])],
            "words": self.words.known,
        }

    @classmethod
    def load(cls, journeys: int, notes: int, dumped: dict[str, Any], due: Any) -> ShardState:
        """The state that `dump` wrote; `due(slots, count)` files the timers (only the kernel knows them)."""
        state = cls(journeys, notes, Words(dumped["words"]))
        sessions, heap, contexts = dumped["sessions"], dumped["heap"], dumped["contexts"]
        n = len(sessions)
        state._grow_sessions(n)
        s = state.slots
        s.sessions[:n] = sessions
        s.visits[:n] = dumped["visits"]
        s.notes[:n] = dumped["notes"]
        bits = np.zeros(len(s.sessions), np.uint8)
        bits[:n] = dumped["untold"]
        s.untold[:] = np.packbits(bits, bitorder="little").view(np.uint64)
        s.sizes[FREE] -= n
        s.sizes[FREE_HEAD] = n if n < len(s.sessions) else -1
        file_all(s.sessions, s.key_index)
        s.sizes[HEAP_USED] = len(heap)
        state.slots = s._replace(heap=heap)
        s.sizes[AMOUNTS_USED] = len(dumped["amounts"])
        state.slots = state.slots._replace(amounts=np.array(dumped["amounts"]))
        state._load_contexts(contexts)
        due(state.slots, n)
        return state

    def _load_contexts(self, contexts: NDArray[np.int32]) -> None:
        index = np.zeros(_power_of_two(2 * len(contexts) + 2), np.int32)
        _file_contexts(contexts, index, len(contexts))
        self.slots.sizes[CONTEXTS_USED] = len(contexts)
        self.slots = self.slots._replace(contexts=contexts, context_index=index)


def _up(n: int, unit: int) -> int:
    """The least multiple of `unit` that is at least n."""
    return -(-n // unit) * unit


def _bits(untold: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """The bits of `untold`, one item each."""
    return np.unpackbits(untold.view(np.uint8), bitorder="little")


def _empty(journeys: int, notes: int, heap_bytes: int, contexts: int) -> Slots:
    """Slots without sessions; the first unit of the heap stays empty, because 0 is no text."""
    return Slots(
        sessions=np.zeros(0, SESSION),
        visits=np.zeros((0, journeys), VISIT),
        notes=np.zeros((0, notes), np.uint32),
        due=np.zeros(0, np.uint32),
        due_least=np.zeros(0, np.uint32),
        untold=np.zeros(0, np.uint64),
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
