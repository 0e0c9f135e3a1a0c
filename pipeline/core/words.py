"""Words as numbers: every shard keeps its own list, so that codes mean the same after a restart.

Rows name their words by smaller dictionaries, one for each kind of word (`Naming`): a word has the number
in which rows met it first. They are kept from batch to batch, which costs nothing when nothing is new and
lets a sink see that the dictionaries of many batches are one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
from numba import int32, njit
from numpy.typing import NDArray

from schemas.tables import DIMS

KINDS: Final = ("site", *DIMS, "currency")
"""The kinds of words, in the order of layout.SITE ... layout.CURRENCY."""

NAMED_MAX: Final = 256
"""A dictionary longer than this starts anew with the next batch: rare words must not travel for ever."""


class Names(NamedTuple):
    """The numbers of words by kind; number 0 is ''."""

    number: NDArray[np.int32]  # [kinds, words of the shard]; 0: not met
    word: NDArray[np.int32]  # [kinds, words of the shard] by number
    used: NDArray[np.int64]  # [kinds] how many


@njit(nogil=True, forceinline=True)
def name(number, word, used, kind, code):  # type: ignore[no-untyped-def]
    """The number of a word of the shard among the words of its kind; a new one when it is new."""
    found = number[kind, code]
    if found == 0 and code != 0:
        found = int32(used[kind])
        used[kind] += 1
        number[kind, code] = found
        word[kind, found] = code
    return found


def own_codes(codes: NDArray[np.int32], known: list[str]) -> tuple[NDArray[np.int32], list[str]]:
    """Codes of `known` as codes of a list that has only the words that occur in them, and ''; and that list.

    Marks instead of sorting: takes as long as there are codes and words.
    """
    occurs = np.zeros(len(known), np.bool_)
    occurs[codes.reshape(-1)] = True
    occurs[0] = True
    used = np.flatnonzero(occurs)
    own = np.zeros(len(known), np.int32)
    own[used] = np.arange(len(used))
    return own[codes], [known[code] for code in used.tolist()]


class Words:
    """A list of distinct words with their codes; code 0 is ''. Only grows (a shard rebuilds its own)."""

    def __init__(self, known: Iterable[str] = ("",)) -> None:
        self.known: list[str] = list(known)
        assert self.known[0] == "", "code 0 is the empty word"
        self.naming = Naming(self.known)
        self._codes = {word: code for code, word in enumerate(self.known)}
        self._bytes: tuple[NDArray[np.uint8], NDArray[np.int64]] | None = None

    def codes(self, words: Sequence[str]) -> NDArray[np.int32]:
        """The code of each of `words`, new ones for new words."""
        out = np.empty(len(words), np.int32)
        for k, word in enumerate(words):
            code = self._codes.get(word)
            if code is None:
                code = self._codes[word] = len(self.known)
                self.known.append(word)
                self._bytes = None
            out[k] = code
        return out

    def utf8(self) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """(bytes, int64 offsets) of all words, for kernels that hash them."""
        if self._bytes is None:
            parts = [word.encode() for word in self.known]
            offsets = np.zeros(len(parts) + 1, np.int64)
            np.cumsum([len(part) for part in parts], out=offsets[1:])
            self._bytes = np.frombuffer(b"".join(parts) or b"\0", np.uint8), offsets
        return self._bytes


class Naming:
    """The dictionaries of batches whose words are codes of `known`, a list that only grows."""

    def __init__(self, known: list[str]) -> None:
        self._known = known
        self._names = _room(0)
        self._arrays = [_array([""])] * len(KINDS)

    def open(self) -> Names:
        """What kernels number the words of a batch with; good until the list of words grows."""
        have = self._names.number.shape[1]
        if have < len(self._known):
            grown = _room(len(self._known) + len(self._known) // 4 + 64)
            grown.number[:, :have] = self._names.number
            grown.word[:, :have] = self._names.word
            grown.used[:] = self._names.used
            self._names = grown
        number, word, used = self._names
        for kind in np.flatnonzero(used > NAMED_MAX).tolist():
            number[kind, word[kind, : used[kind]]] = 0
            used[kind] = 1
            self._arrays[kind] = _array([""])
        return self._names

    def arrays(self) -> dict[str, pa.Array]:
        """The dictionary of each kind: every word that was numbered since it started, once."""
        for kind, count in enumerate(self._names.used.tolist()):
            if len(self._arrays[kind]) != count:
                codes = self._names.word[kind, :count].tolist()
                self._arrays[kind] = _array([self._known[code] for code in codes])
        return dict(zip(KINDS, self._arrays, strict=True))


def _room(words: int) -> Names:
    shape = (len(KINDS), words)
    return Names(np.zeros(shape, np.int32), np.zeros(shape, np.int32), np.ones(len(KINDS), np.int64))


def _array(words: list[str]) -> pa.Array:
    return pa.array(words, pa.string())
