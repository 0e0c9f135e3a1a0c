"""Accepted, enriched events as columns: what travels from `enrich` through `route` to `track`.

Plain numpy arrays (and text as offsets and bytes), because the kernels read them in place and because
a shard's part of them can be sent to another process without its surroundings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from pipeline.core.columns import string_array, string_buffers
from pipeline.core.layout import Rows
from pipeline.core.raw import copy_bytes


@dataclass(frozen=True)
class Text:
    """Strings as int32 offsets [n+1] and UTF-8 bytes; the bytes may begin before the first offset."""

    offsets: NDArray[np.int32]
    data: NDArray[np.uint8]

    @classmethod
    def of(cls, array: pa.Array) -> Text:
        return cls(*string_buffers(array))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def bytes(self) -> int:
        return int(self.offsets[-1] - self.offsets[0]) if len(self.offsets) else 0

    def arrow(self) -> pa.Array:
        return string_array(self.offsets, self.data)


@njit(cache=True, nogil=True)
def _lengths(offsets, index, out):  # type: ignore[no-untyped-def]
    for k in range(index.shape[0]):
        out[k] = offsets[index[k] + 1] - offsets[index[k]]


@njit(cache=True, nogil=True)
def _copy(offsets, data, index, out, at):  # type: ignore[no-untyped-def]
    for k in range(index.shape[0]):
        a = offsets[index[k]]
        n = offsets[index[k] + 1] - a
        copy_bytes(out, at, data, a, n)
        at += n


def take_text(parts: Sequence[tuple[Text, NDArray[np.int64]]]) -> Text:
    """The strings at some rows of each part, one after the other."""
    offsets = np.zeros(sum(len(index) for _, index in parts) + 1, np.int32)
    row = 1
    for text, index in parts:
        _lengths(text.offsets, index, offsets[row : row + len(index)])
        row += len(index)
    np.cumsum(offsets, out=offsets)
    data = np.empty(offsets[-1], np.uint8)
    row = 0
    for text, index in parts:
        _copy(text.offsets, text.data, index, data, int(offsets[row]))
        row += len(index)
    return Text(offsets, data)


NUMBERS: Final = ("at", "key", "id_hash", "value_e4", "partition", "position", "passive", "match", "back")
TEXTS: Final = ("event_id", "visitor", "user", "url")


@dataclass(frozen=True)
class Events:
    """n events; `words` are codes into `known` (0 is ''), in the columns of layout.SITE... ."""

    at: NDArray[np.int64]
    key: NDArray[np.uint64]
    id_hash: NDArray[np.uint64]
    value_e4: NDArray[np.int64]
    partition: NDArray[np.int32]
    position: NDArray[np.int64]
    passive: NDArray[np.bool_]
    match: NDArray[np.uint8]
    back: NDArray[np.uint16]
    words: NDArray[np.int32]
    event_id: Text
    visitor: Text
    user: Text
    url: Text
    known: list[str]

    def __len__(self) -> int:
        return len(self.at)

    def take(self, index: NDArray[np.int64]) -> Events:
        """Rows `index`, in that order."""
        return gather([(self, index)], lambda events: (events.known, None))

    @property
    def text_bytes(self) -> int:
        """Bytes of text that a session could want to keep."""
        return self.visitor.bytes + self.user.bytes + self.url.bytes

    def rows(self) -> Rows:
        """The columns as the kernel takes them; `words` must be codes of the shard's list."""
        return Rows(
            self.at, self.key, self.id_hash, self.value_e4, self.partition, self.position, self.passive,
            self.words, self.match, self.back,
            self.event_id.offsets, self.event_id.data, self.visitor.offsets, self.visitor.data,
            self.user.offsets, self.user.data, self.url.offsets, self.url.data,
        )  # fmt: skip


def gather(parts, recode) -> Events:  # type: ignore[no-untyped-def]
    """Rows of several batches as one: parts are (events, int64 row numbers).

    `recode(events)` gives (known, remap): the word list of the result and the new code of each of the
    batch's words (None: as it is).
    """
    columns = {
        name: np.concatenate([np.take(getattr(events, name), index, axis=0) for events, index in parts])
        for name in NUMBERS
    }
    words = []
    known: list[str] = [""]
    for events, index in parts:
        known, remap = recode(events)
        taken = np.take(events.words, index, axis=0)
        words.append(taken if remap is None else remap[taken])
    texts = {name: take_text([(getattr(events, name), index) for events, index in parts]) for name in TEXTS}
    return Events(**columns, words=np.concatenate(words), **texts, known=known)


@dataclass(frozen=True)
class Slice:
    """A shard's part of a batch: row numbers into events that all shards of this process share.

    Sent to another process it takes only its own rows along.
    """

    events: Events
    index: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.index)

    def __reduce__(self) -> tuple[object, ...]:
        return Slice, (self.events.take(self.index), np.arange(len(self.index)))


def dump_events(events: Events) -> dict[str, object]:
    """Columns for a snapshot."""
    whole = events.take(np.arange(len(events)))
    texts = {name: getattr(whole, name) for name in TEXTS}
    return {
        **{name: getattr(whole, name) for name in (*NUMBERS, "words")},
        **{f"{name}_offsets": text.offsets for name, text in texts.items()},
        **{name: text.data for name, text in texts.items()},
        "known": list(whole.known),
    }


def load_events(dumped: dict[str, Any]) -> Events:
    """The events that `dump_events` wrote."""
    texts = {name: Text(dumped[f"{name}_offsets"], dumped[name]) for name in TEXTS}
    columns = {name: dumped[name] for name in (*NUMBERS, "words")}
    return Events(**columns, **texts, known=dumped["known"])
