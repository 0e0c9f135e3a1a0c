"""Words as numbers: every shard keeps its own list, so that codes mean the same after a restart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


class Words:
    """A list of distinct words with their codes; code 0 is ''. Only grows (a shard rebuilds its own)."""

    def __init__(self, known: Iterable[str] = ("",)) -> None:
        self.known: list[str] = list(known)
        assert self.known[0] == "", "code 0 is the empty word"
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

    def column(self, codes: NDArray[np.int32]) -> pa.DictionaryArray:
        """A dictionary column with only the words that occur in `codes`."""
        used, local = np.unique(codes, return_inverse=True)
        return pa.DictionaryArray.from_arrays(
            pa.array(local.astype(np.int32)), pa.array([self.known[c] for c in used.tolist()], pa.string())
        )
