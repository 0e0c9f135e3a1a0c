"""A partition of a topic as blocks of records: the position of a record is its offset."""

from __future__ import annotations

import time
from dataclasses import replace
from operator import itemgetter, methodcaller
from typing import Any, Final

import numpy as np
from confluent_kafka import Message
from numpy.typing import NDArray

from pipeline.core.decode.columns import NO_TIME
from pipeline.core.decode.decoder import Decoder
from pipeline.sources.blocks import NOTHING_YET, Block, Gap, NothingYet
from pipeline.sources.kafka.consumer import Brokers, Pending, offset_of
from pipeline.sources.kafka.headers import headers_of
from pipeline.sources.kafka.partitions import TopicPart

LINGER_SECONDS: Final = 0.2
"""So long after a block few records wait for more: a small block costs as much as a large one. Not from when
they came: those that came while the block before was worked off have waited already.
"""

_value: Final = methodcaller("value")
_timestamp: Final = methodcaller("timestamp")
_time_of: Final = itemgetter(1)


class KafkaReader:
    """Reads one partition from where it is to the end that `part` names. Where it names none: with
    `until_end` to where the topic ended when it was opened, else for ever.
    """

    def __init__(
        self,
        part: TopicPart,
        brokers: Brokers,
        decoder: Decoder,
        *,
        until_end: bool,
        takes_timestamps: bool,
    ) -> None:
        self._part, self._brokers, self._decoder = part, brokers, decoder
        self._until_end, self._takes_timestamps = until_end, takes_timestamps
        self._offset = part.offset
        self._end = part.end
        self._pending: Pending | None = None
        self._snapshot: int | None = None
        brokers.join()
        self._bytes = 0

    @property
    def bytes_read(self) -> int:
        """Of payloads, by this process."""
        return self._bytes

    @property
    def offset(self) -> int:
        return self._offset

    @property
    def next_position(self) -> int:
        """The same: records may be missing from there on, none is before it."""
        return self._offset

    @property
    def lag(self) -> int:
        if self._pending is None:
            return 0
        end = self._pending.end_offset
        return max(0, (end if self._part.end is None else min(end, self._part.end)) - self._offset)

    def read(self, rows_max: int) -> Block | NothingYet | None:
        """The next records, when they are enough or the last block is a while ago; None at the end."""
        pending = self._opened()
        while pending.count < rows_max and self._brokers.poll():
            pass
        come = self._offset if pending.count else max(self._offset, pending.nothing_until)
        if self._end is not None and come >= self._end:
            return None
        waited = time.monotonic() - pending.taken_at
        if not pending.count or (pending.count < rows_max and waited < LINGER_SECONDS):
            return NOTHING_YET
        messages, size = pending.take(rows_max, self._end)
        self._brokers.resume(pending)
        if not messages:  # all that came lies after the end
            self._offset = self._end or self._offset
            return None
        return self._block(messages, size)

    def _opened(self) -> Pending:
        if self._pending is None:
            if self._end is None and self._until_end:
                self._end = self._brokers.end_of(self._part)
            self._pending = self._brokers.open(self._part, self._offset)
        return self._pending

    def _block(self, messages: list[Message], size: int) -> Block:
        first, last = offset_of(messages[0]), offset_of(messages[-1])
        if last - first == len(messages) - 1:
            position = np.arange(first, last + 1)
        else:  # a compacted topic, or one with transactions
            position = np.array([offset_of(message) for message in messages], np.int64)
        values = list(map(_value, messages))
        decoded = replace(
            self._decoder.messages(values, self._received(messages)),
            headers=lambda row: headers_of(messages[row]),
        )
        self._bytes += size
        self._offset = last + 1
        return Block(decoded, position)

    def _received(self, messages: list[Message]) -> NDArray[np.int64] | None:
        if not self._takes_timestamps:
            return None
        # One by one: so many tuples at a time would keep the garbage collector busy for longer than all else.
        stamps = np.fromiter(map(_time_of, map(_timestamp, messages)), np.int64, len(messages))
        stamps[stamps < 0] = NO_TIME  # what the client says where there is none
        return stamps

    # --- what only a topic has ---

    def at_end_ms(self, quiet_seconds: float) -> int | None:
        pending = self._pending
        if pending is None or pending.count or not pending.end_asked_at:
            return None
        is_quiet = time.monotonic() - pending.came_at >= quiet_seconds
        return int(pending.end_asked_at * 1000) if is_quiet else None

    def gaps(self) -> list[Gap]:
        if self._pending is None:
            return []
        found, self._pending.gaps = self._pending.gaps, []
        return found

    def kept(self) -> None:
        """The group's offset follows: that of the snapshot before, which can no longer be taken back."""
        if self._pending is not None and self._snapshot not in (None, self._pending.committed):
            assert self._snapshot is not None
            self._brokers.commit(self._pending, self._snapshot)
        self._snapshot = self._offset

    def dump(self) -> dict[str, Any]:
        return {"offset": self._offset}

    def load(self, state: dict[str, Any]) -> None:
        self._offset = state["offset"]

    def close(self) -> None:
        self._brokers.leave(self._pending)
        self._pending = None
