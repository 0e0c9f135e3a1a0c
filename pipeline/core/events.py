"""Accepted, enriched events as columns: what travels from `enrich` through `route` to `track`.

Plain numpy arrays (and text as offsets and bytes), because the kernels read them in place and because
a shard's part of them can be sent to another process without its surroundings.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.core.gather import copy_rows, text_bytes, words_used
from pipeline.core.rows import ORDER_SHIFT, Rows
from pipeline.core.strings import string_array, string_buffers

Index = NDArray[np.int64]
Codes = NDArray[np.int32]

NUMBERS: Final = (
    "at", "key", "id_hash", "value_e4", "partition", "position", "fate", "match", "bits", "back", "intent",
)  # fmt: skip
TEXTS: Final = ("event_id", "visitor", "user", "url", "detail")

FEW_WORDS: Final = 256
"""A batch with more words than this hands on only those that the rows at hand use: a shard must not learn
the words of all others."""


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


@dataclass(frozen=True)
class Events:
    """n events; `words` are codes into `known` (0 is ''), in the columns of layout.SITE... ."""

    at: NDArray[np.int64]
    key: NDArray[np.uint64]
    id_hash: NDArray[np.uint64]
    value_e4: NDArray[np.int64]
    partition: NDArray[np.int32]
    position: NDArray[np.int64]
    fate: NDArray[np.uint8]
    match: NDArray[np.uint8]
    bits: NDArray[np.uint32]
    back: NDArray[np.uint16]
    intent: NDArray[np.uint8]
    words: NDArray[np.int32]
    event_id: Text
    visitor: Text
    user: Text
    url: Text
    detail: Text
    known: list[str]

    def __len__(self) -> int:
        return len(self.at)

    def take(self, index: Index) -> Events:
        """Rows `index`, in that order."""
        return _joined([(self, index, None)], self.known)

    def alone(self, index: Index) -> Events:
        """Rows `index` with only their own words: nothing of their surroundings."""
        used = words_used(self.words, index, len(self.known))
        codes = np.zeros(len(self.known), np.int32)
        codes[used] = np.arange(len(used))
        return _joined([(self, index, codes)], [self.known[code] for code in used.tolist()])

    @property
    def texts(self) -> tuple[Text, ...]:
        """In the order of TEXTS."""
        return self.event_id, self.visitor, self.user, self.url, self.detail

    @property
    def order(self) -> NDArray[np.uint8]:
        """schemas.orders.PLACED, REFUNDED or CANCELLED of each event, 0 of no order."""
        return self.fate >> np.uint8(ORDER_SHIFT)

    @property
    def widths(self) -> tuple[int, int, int]:
        """Journeys in all, those that look back, and those with objects."""
        return self.match.shape[1], self.bits.shape[1], self.intent.shape[1]

    @property
    def bytes(self) -> int:
        """In memory, without the word list."""
        columns: int = sum(getattr(self, name).nbytes for name in (*NUMBERS, "words"))
        return columns + sum(text.offsets.nbytes + text.data.nbytes for text in self.texts)

    @property
    def text_bytes(self) -> int:
        """Bytes of text that a session could want to keep."""
        return self.visitor.bytes + self.user.bytes + self.url.bytes

    def rows(self) -> Rows:
        """The columns as the kernel takes them; `words` must be codes of the shard's list."""
        return Rows(
            self.at, self.key, self.id_hash, self.value_e4, self.partition, self.position, self.fate,
            self.words, self.match, self.bits, self.back, self.intent,
            self.event_id.offsets, self.event_id.data, self.visitor.offsets, self.visitor.data,
            self.user.offsets, self.user.data, self.url.offsets, self.url.data,
            self.detail.offsets, self.detail.data,
        )  # fmt: skip


def gather(
    parts: Sequence[tuple[Events, Index]], recode: Callable[[Events], tuple[list[str], Codes | None]]
) -> Events:
    """Rows of several batches as one, copied.

    `recode(events)` gives (known, codes): the word list of the result and the new code of each of the
    batch's words (None: as it is). It may see a batch that knows only the words of its rows at hand.
    """
    recoded: list[tuple[Events, Index, Codes | None]] = []
    known: list[str] = [""]
    for events, index in parts:
        if len(events.known) <= FEW_WORDS:
            known, codes = recode(events)
        else:
            used = words_used(events.words, index, len(events.known))
            known, few = recode(replace(events, known=[events.known[code] for code in used.tolist()]))
            assert few is not None, "a list made here is nobody's own"
            codes = np.zeros(len(events.known), np.int32)
            codes[used] = few
        recoded.append((events, index, codes))
    return _joined(recoded, known)


def _joined(parts: Sequence[tuple[Events, Index, Codes | None]], known: list[str]) -> Events:
    """Rows of several batches, copied; `known` is the word list of their new codes."""
    sources = [(events.rows(), index, codes) for events, index, codes in parts]
    sizes = np.sum([text_bytes(rows, index) for rows, index, _ in sources], axis=0)
    n = sum(len(index) for _, index, _ in sources)
    out = room(n, parts[0][0].widths, sizes, known)
    to, at = out.rows(), 0
    for rows, index, codes in sources:
        copy_rows(rows, index, _AS_THEY_ARE if codes is None else codes, to, at)
        at += len(index)
    return out


_AS_THEY_ARE: Final = np.empty(0, np.int32)


def room(n: int, widths: tuple[int, int, int], text: Sequence[int], known: list[str]) -> Events:
    """Room for n events in so many journeys (`Events.widths`), with so many bytes of TEXTS."""
    journeys, looking_back, with_objects = widths
    texts = [Text(np.empty(n + 1, np.int32), np.empty(size, np.uint8)) for size in text]
    for made in texts:
        made.offsets[0] = 0
    event_id, visitor, user, url, detail = texts
    return Events(
        at=np.empty(n, np.int64),
        key=np.empty(n, np.uint64),
        id_hash=np.empty(n, np.uint64),
        value_e4=np.empty(n, np.int64),
        partition=np.empty(n, np.int32),
        position=np.empty(n, np.int64),
        fate=np.empty(n, np.uint8),
        match=np.empty((n, journeys), np.uint8),
        bits=np.empty((n, looking_back), np.uint32),
        back=np.empty((n, journeys), np.uint16),
        intent=np.empty((n, with_objects), np.uint8),
        words=np.empty((n, 8), np.int32),
        event_id=event_id,
        visitor=visitor,
        user=user,
        url=url,
        detail=detail,
        known=known,
    )


@dataclass(frozen=True)
class Slice:
    """A shard's part of a batch: row numbers into events that all shards of this process share.

    Sent to another process it takes only its own rows and words along.
    """

    events: Events
    index: Index

    def __len__(self) -> int:
        return len(self.index)

    @cached_property
    def _packed(self) -> bytes:
        """Made once: bytewax asks for what it sends twice, first for how long it is."""
        return pickle.dumps(_small(dump_events(self.events.alone(self.index))), pickle.HIGHEST_PROTOCOL)

    def __reduce__(self) -> tuple[object, ...]:
        return _arrived, (self._packed,)


def _small(dumped: dict[str, Any]) -> dict[str, Any]:
    """The same columns without what another process can make again: a column of one and the same value is its
    shape and value, and codes of words are as narrow as they can be.
    """
    small = dict(dumped)
    small["words"] = dumped["words"].astype(np.min_scalar_type(len(dumped["known"])))
    for name in ("value_e4", "partition", "fate", "match", "bits", "back", "intent"):
        column = dumped[name]
        if column.size and not (column != column.flat[0]).any():
            small[name] = (column.shape, column.flat[0])
    return small


def _arrived(packed: bytes) -> Slice:
    """The slice that was packed by another process of this run, as the whole of its events."""
    small = pickle.loads(packed)  # noqa: S301  as bytewax does with all that it carries
    full = {name: np.full(*column) if isinstance(column, tuple) else column for name, column in small.items()}
    full["words"] = full["words"].astype(np.int32)
    events = load_events(full)
    return Slice(events, np.arange(len(events)))


def dump_events(events: Events) -> dict[str, Any]:
    """Columns for a snapshot."""
    texts = {name: getattr(events, name) for name in TEXTS}
    return {
        **{name: getattr(events, name) for name in (*NUMBERS, "words")},
        **{f"{name}_offsets": text.offsets for name, text in texts.items()},
        **{name: text.data for name, text in texts.items()},
        "known": list(events.known),
    }


def load_events(dumped: dict[str, Any]) -> Events:
    """The events that `dump_events` wrote."""
    texts = {name: Text(dumped[f"{name}_offsets"], dumped[name]) for name in TEXTS}
    columns = {name: dumped[name] for name in (*NUMBERS, "words")}
    made: dict[str, Any] = {**columns, **texts}
    return Events(**made, known=dumped["known"])
