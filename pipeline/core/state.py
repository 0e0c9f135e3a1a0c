"""The state of a shard: open sessions with their texts and words, grown, compacted, dumped and loaded."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.core.layout import (
    CONTEXT_WORDS,
    CONTEXTS_USED,
    DUE_BLOCK,
    FREE_TOP,
    HEAP_USED,
    NEVER,
    REF_BITS,
    SESSION,
    VISIT,
    Slots,
)
from pipeline.core.raw import copy_bytes
from pipeline.core.slots import context_hash
from pipeline.core.words import Words

FORMAT: Final = 1
"""Version of what `dump` writes; another one is refused with the way out."""

HEAP_SLACK_BYTES: Final = 1 << 20
"""The text heap is compacted when it is twice what is alive plus this: less often for small states."""

TEXTS: Final = ("visitor", "user", "entry_url", "exit_url")


def _power_of_two(least: int) -> int:
    return 1 << max(int(least) - 1, 1).bit_length()


class ShardState:
    """Open sessions of one shard in `slots`, and the words that they use.

    `slots` is replaced when it grows: take it anew after every `reserve`.
    """

    def __init__(self, journeys: int, words: Words | None = None) -> None:
        self.journeys = journeys
        self.words = words or Words()
        self.slots = _empty(0, journeys, 1024, 64)

    @property
    def open_sessions(self) -> int:
        return len(self.slots.sessions) - int(self.slots.sizes[FREE_TOP])

    @property
    def bytes_without_text(self) -> int:
        """Bytes allocated for sessions, stages, timers and the index: all but text and words."""
        s = self.slots
        return int(
            s.sessions.nbytes
            + s.visits.nbytes
            + s.due.nbytes
            + s.due_least.nbytes
            + s.index.nbytes
            + s.free.nbytes
        )

    @property
    def bytes_of_text(self) -> int:
        return int(self.slots.sizes[HEAP_USED])

    def reserve(self, sessions: int, text_bytes: int, contexts: int) -> Slots:
        """Makes room for what one call may add at most; returns the slots to call with."""
        if self.slots.sizes[FREE_TOP] < sessions:
            self.slots = self._grow_sessions(sessions)
        if self.slots.sizes[HEAP_USED] + text_bytes > len(self.slots.heap):
            self.slots = self._grow_heap(text_bytes)
        if self.slots.sizes[CONTEXTS_USED] + contexts > len(self.slots.contexts):
            self.slots = self._grow_contexts(contexts)
        return self.slots

    def _grow_sessions(self, more: int) -> Slots:
        old = self.slots
        capacity = len(old.sessions)
        need = self.open_sessions + more
        grown = -(-max(need, capacity + capacity // 8) // DUE_BLOCK) * DUE_BLOCK
        new = _empty(grown, self.journeys, 0, 0)
        new.sessions[:capacity] = old.sessions
        new.visits[:capacity] = old.visits
        new.due[:capacity] = old.due
        new.due_least[: len(old.due_least)] = old.due_least
        index = old.index
        if len(new.index) > len(index):
            index = new.index
            _file_all(new.sessions, index)
        top = int(old.sizes[FREE_TOP])
        new.free[:top] = old.free[:top]
        added = np.arange(grown - 1, capacity - 1, -1, dtype=np.int32)
        new.free[top : top + len(added)] = added
        old.sizes[FREE_TOP] = top + len(added)
        return new._replace(
            index=index,
            heap=old.heap,
            contexts=old.contexts,
            context_index=old.context_index,
            sizes=old.sizes,
        )

    def _grow_heap(self, more: int) -> Slots:
        """Compacts the heap where that gives enough, else grows it."""
        s = self.slots
        used = s.sessions["key"] != 0
        refs = np.column_stack([s.sessions[name][used] for name in TEXTS])
        heap, refs, alive = _compact(s.heap, refs, more)
        for k, name in enumerate(TEXTS):
            s.sessions[name][used] = refs[:, k]
        s.sizes[HEAP_USED] = alive
        return s._replace(heap=heap)

    def _grow_contexts(self, more: int) -> Slots:
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
        return s._replace(contexts=contexts, context_index=index)

    def release(self, slots: NDArray[np.int32]) -> None:
        """Frees the slots of closed sessions, once their last rows are out."""
        s = self.slots
        s.sessions["key"][slots] = 0
        top = int(s.sizes[FREE_TOP])
        s.free[top : top + len(slots)] = slots
        s.sizes[FREE_TOP] = top + len(slots)

    def tidy(self) -> None:
        """Forgets words that no session uses, when they have become many."""
        s = self.slots
        n = int(s.sizes[CONTEXTS_USED])
        if len(self.words.known) < 4 * (n + 1024):
            return
        self.slots = self._grow_contexts(0)
        n = int(self.slots.sizes[CONTEXTS_USED])
        used = np.flatnonzero(s.sessions["key"])
        currency = s.visits["currency"][used]
        alive = np.unique(np.concatenate([[0], self.slots.contexts[:n].ravel(), currency.ravel()]))
        remap = np.zeros(len(self.words.known), np.int32)
        remap[alive] = np.arange(len(alive), dtype=np.int32)
        self.words = Words(self.words.known[code] for code in alive.tolist())
        self.slots.contexts[:n] = remap[self.slots.contexts[:n]]
        self.slots.visits["currency"][used] = remap[currency]
        self.slots.context_index[:] = 0
        _file_contexts(self.slots.contexts, self.slots.context_index, n)

    def dump(self) -> dict[str, Any]:
        """What is open, packed: arrays and words. Equal states may differ in the order of their slots."""
        s = self.slots
        used = np.flatnonzero(s.sessions["key"])
        sessions = s.sessions[used]
        refs = np.column_stack([sessions[name] for name in TEXTS])
        heap, refs, alive = _compact(s.heap, refs, 0)
        for k, name in enumerate(TEXTS):
            sessions[name] = refs[:, k]
        return {
            "sessions": sessions,
            "visits": s.visits[used],
            "heap": heap[:alive],
            "contexts": s.contexts[: int(s.sizes[CONTEXTS_USED])],
            "words": self.words.known,
        }

    @classmethod
    def load(cls, journeys: int, dumped: dict[str, Any], due: Any) -> ShardState:
        """The state that `dump` wrote; `due(slots)` files the timers (only the kernel knows them)."""
        state = cls(journeys, Words(dumped["words"]))
        sessions, visits = dumped["sessions"], dumped["visits"]
        contexts = dumped["contexts"]
        n = len(sessions)
        state.reserve(n, len(dumped["heap"]), len(contexts))
        s = state.slots
        s.sizes[FREE_TOP] -= n
        taken = s.free[int(s.sizes[FREE_TOP]) : int(s.sizes[FREE_TOP]) + n].copy()
        s.sessions[taken] = sessions
        s.visits[taken] = visits
        s.heap[: len(dumped["heap"])] = dumped["heap"]
        s.sizes[HEAP_USED] = len(dumped["heap"])
        s.contexts[: len(contexts)] = contexts
        s.sizes[CONTEXTS_USED] = len(contexts)
        s.context_index[:] = 0
        _file_contexts(s.contexts, s.context_index, len(contexts))
        _file_all(s.sessions, s.index)
        due(s, taken)
        return state


def _empty(capacity: int, journeys: int, heap_bytes: int, contexts: int) -> Slots:
    blocks = -(-capacity // DUE_BLOCK)
    return Slots(
        sessions=np.zeros(capacity, SESSION),
        visits=np.zeros((capacity, journeys), VISIT),
        due=np.full(capacity, NEVER, np.int64),
        due_least=np.full(blocks, NEVER, np.int64),
        index=np.zeros(_power_of_two(capacity + capacity // 3 + 8), np.int32),
        free=np.zeros(capacity, np.int32),
        heap=np.empty(heap_bytes, np.uint8),
        contexts=np.zeros((contexts, CONTEXT_WORDS), np.int32),
        context_index=np.zeros(_power_of_two(2 * contexts + 2), np.int32),
        sizes=np.zeros(3, np.int64),
    )


@njit(cache=True, nogil=True)
def _file_all(sessions, index):  # type: ignore[no-untyped-def]
    mask = np.uint64(index.shape[0] - 1)
    for slot in range(sessions.shape[0]):
        if sessions[slot].key == 0:
            continue
        at = np.int64(sessions[slot].key & mask)
        while index[at] != 0:
            at = np.int64((np.uint64(at) + np.uint64(1)) & mask)
        index[at] = slot + 1


@njit(cache=True, nogil=True)
def _file_contexts(contexts, index, count):  # type: ignore[no-untyped-def]
    mask = np.uint64(index.shape[0] - 1)
    for k in range(count):
        at = np.int64(context_hash(contexts[k]) & mask)
        while index[at] != 0:
            at = np.int64((np.uint64(at) + np.uint64(1)) & mask)
        index[at] = k + 1


@njit(cache=True, nogil=True)
def _copy_texts(heap, refs, fresh):  # type: ignore[no-untyped-def]
    used = 0
    for r in range(refs.shape[0]):
        for k in range(refs.shape[1]):
            ref = refs[r, k]
            n = ref & ((1 << REF_BITS) - 1)
            if n == 0:
                continue
            at = ref >> REF_BITS
            copy_bytes(fresh, used, heap, at, n)
            refs[r, k] = (used << REF_BITS) | n
            used += n
    return used


def _compact(
    heap: NDArray[np.uint8], refs: NDArray[np.int64], more: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64], int]:
    """A heap with only what `refs` name, room for `more` bytes and to grow; the moved references."""
    refs = refs.copy()
    alive = int((refs & ((1 << REF_BITS) - 1)).sum())
    fresh = np.empty(2 * alive + more + HEAP_SLACK_BYTES if more else alive, np.uint8)
    return fresh, refs, int(_copy_texts(heap, refs, fresh))
