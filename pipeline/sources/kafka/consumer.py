"""One consumer for all partitions that a process reads: messages come in one queue, and are sorted here.

What waits is bounded twice: in the client by `queued.max.messages.kbytes`, here by pausing a partition that
is ahead of whoever reads it.
"""

from __future__ import annotations

import gc
import threading
import time
from collections import deque
from itertools import groupby
from operator import methodcaller
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from pipeline.sources.blocks import Gap
from pipeline.sources.files import BadInput
from pipeline.sources.kafka.partitions import TopicPart, unreachable
from pipeline.sources.kafka.place import KafkaPlace

PREFETCH_KILOBYTES: Final = 65_536
"""In the client: at a million records a second a good part of a second."""
AHEAD_BYTES_MAX: Final = 32 << 20
"""Of one partition, here: more than a block. Beyond it the partition is paused."""
MESSAGES_A_CALL: Final = 1_000
"""More are not faster."""
SILENCE_SECONDS_MAX: Final = 300.0
"""So long no broker may answer; then the process ends, and is started again from its last snapshot."""
COLLECT_EVERY: Final = 500_000
"""New objects between two looks for cycles: a message is an object that has none, and there are many."""
ASK_SECONDS: Final = 1.0
"""How often brokers are asked whether partitions that are silent are at their end."""
ANSWER_SECONDS: Final = 5.0

FETCHING: Final = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "enable.partition.eof": True,
    "auto.offset.reset": "error",  # a gap is told of, never jumped over
    "queued.max.messages.kbytes": PREFETCH_KILOBYTES,
    "queued.min.messages": 1_000_000,  # the kilobytes are what bounds it
    "fetch.queue.backoff.ms": 10,  # a full queue is emptied in a moment: by default it waits a second
    "fetch.wait.max.ms": 100,
    "isolation.level": "read_committed",
}
_WEATHER: Final = frozenset(
    {
        KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT, KafkaError._RESOLVE, KafkaError._TIMED_OUT,
        KafkaError.LEADER_NOT_AVAILABLE, KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.REQUEST_TIMED_OUT,
        KafkaError._UNKNOWN_PARTITION, KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.COORDINATOR_NOT_AVAILABLE,
    }
)  # fmt: skip
"""Passes by itself: the client tries again."""

_partition: Final = methodcaller("partition")
_topic: Final = methodcaller("topic")
_error: Final = methodcaller("error")


def offset_of(message: Message) -> int:
    """Where a message lies in its partition."""
    offset = message.offset()
    assert offset is not None
    return offset


class Pending:
    """What has come for one partition, and where it stands."""

    def __init__(self, part: TopicPart, offset: int) -> None:
        self.part = part
        self.fetched = offset  # of the next to come
        self.messages: deque[tuple[list[Message], int]] = deque()  # pieces with their bytes
        self.count = 0
        self.bytes = 0
        self.came_at = time.monotonic()  # the last message, or the beginning
        self.taken_at = 0.0  # when the last were taken
        self.is_paused = False
        self.end_offset = 0  # that the broker named last
        self.nothing_until = (
            0  # where the client met the end: there may be no records before, but transactions
        )
        self.end_asked_at = 0.0  # wall clock of the question that it answered with our own position; 0: none
        self.gaps: list[Gap] = []
        self.committed = -1

    @property
    def key(self) -> tuple[str, int]:
        return self.part.topic, self.part.partition

    def put(self, messages: list[Message]) -> None:
        size = sum(map(len, messages))
        self.messages.append((messages, size))
        self.count += len(messages)
        self.bytes += size
        self.fetched = offset_of(messages[-1]) + 1
        self.came_at, self.end_asked_at = time.monotonic(), 0.0

    def take(self, rows_max: int, before: int | None) -> tuple[list[Message], int]:
        """At most so many, all of them `before` an offset, and their bytes."""
        taken: list[Message] = []
        taken_bytes = 0
        while self.messages and len(taken) < rows_max:
            piece, size = self.messages.popleft()
            room = rows_max - len(taken)
            if before is not None and offset_of(piece[-1]) >= before:
                room = min(room, sum(offset_of(message) < before for message in piece))
            taken += piece[:room]
            taken_bytes += size
            if room < len(piece):
                rest = piece[room:]
                rest_bytes = sum(map(len, rest))
                taken_bytes -= rest_bytes
                self.messages.appendleft((rest, rest_bytes))
                break
        self.count -= len(taken)
        self.bytes -= taken_bytes
        self.taken_at = time.monotonic()
        return taken, taken_bytes


class Brokers:
    """The consumer of this process. Reading belongs to one thread; a second one asks for ends."""

    def __init__(self, place: KafkaPlace, group: str) -> None:
        self._place = place
        self._silent_since: float | None = None
        self._client = Consumer(place.client(**FETCHING, **{"group.id": group, "error_cb": self._note}))
        self._pending: dict[tuple[str, int], Pending] = {}
        self._readers = 0
        gc.freeze()
        gc.set_threshold(COLLECT_EVERY)
        self._closed = threading.Event()
        self._asker = threading.Thread(target=self._ask_for_ends, name="kafka-ends", daemon=True)
        self._asker.start()

    def join(self) -> None:
        """One more will read, and say so when it is done."""
        self._readers += 1

    def open(self, part: TopicPart, offset: int) -> Pending:
        """Begins to fetch a partition."""
        pending = Pending(part, offset)
        self._pending[pending.key] = pending
        self._client.incremental_assign([TopicPartition(part.topic, part.partition, offset)])
        return pending

    def poll(self) -> bool:
        """Takes in what has come; False where there is nothing. Raises BadInput or Unreachable."""
        messages = self._client.consume(MESSAGES_A_CALL, timeout=0)
        if not messages:
            self._look_at_silence()
            return False
        self._silent_since = None
        if any(map(_error, messages)):
            for message in messages:
                if message.error() is not None:
                    self._judge(message)
            messages = [message for message in messages if message.error() is None]
        self._sort(messages)
        return True

    def _sort(self, messages: list[Message]) -> None:
        if len(self._pending) == 1 and messages:
            self._put(next(iter(self._pending.values())), messages)
            return
        for number, of_number in groupby(messages, _partition):
            for topic, piece in groupby(of_number, _topic):
                self._put(self._pending[topic, number], list(piece))

    def _put(self, pending: Pending, messages: list[Message]) -> None:
        if offset_of(messages[0]) < pending.fetched:  # after a pause the client may give some again
            messages = [message for message in messages if offset_of(message) >= pending.fetched]
            if not messages:
                return
        pending.put(messages)
        if pending.bytes > AHEAD_BYTES_MAX and not pending.is_paused:
            pending.is_paused = True
            self._client.pause([TopicPartition(*pending.key)])

    def resume(self, pending: Pending) -> None:
        """Fetches a paused partition on, once most of what waited is gone."""
        if pending.is_paused and pending.bytes < AHEAD_BYTES_MAX // 2:
            pending.is_paused = False
            self._client.resume([TopicPartition(*pending.key)])

    def end_of(self, part: TopicPart) -> int:
        """Where a partition ends now."""
        return self._ends((part.topic, part.partition))[1]

    def commit(self, pending: Pending, offset: int) -> None:
        """Tells the broker how far a snapshot is, for tools that show lag. Nothing rests on it."""
        pending.committed = offset
        self._client.commit(offsets=[TopicPartition(*pending.key, offset)], asynchronous=True)

    def leave(self, pending: Pending | None) -> None:
        """One that joined reads no more, and lets go of its partition; with the last one the client goes."""
        self._readers -= 1
        if pending is not None:
            self._client.incremental_unassign([TopicPartition(*pending.key)])
            del self._pending[pending.key]
        if not self._readers:
            self._closed.set()
            self._asker.join()
            self._client.close()

    # --- trouble ---

    def _judge(self, message: Message) -> None:
        """What an error that came in a message's place means."""
        error = message.error()
        assert error is not None
        code = error.code()
        pending = self._pending.get((message.topic() or "", message.partition() or 0))
        if code == KafkaError._PARTITION_EOF:
            if pending is not None:
                pending.nothing_until = offset_of(message)
        elif code in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE) and pending is not None:
            self._mend_gap(pending)
        elif code not in _WEATHER:
            raise unreachable(self._place, error)

    def _mend_gap(self, pending: Pending) -> None:
        """The broker no longer has the next record: what is missing is noted, reading goes on after it."""
        low, high = self._ends(pending.key)
        if pending.fetched > high:
            raise BadInput(
                f"--input: {pending.part.topic}/{pending.part.partition} ends at {high}, "
                f"but was read up to {pending.fetched}: the topic was cut, or made anew",
                "a new topic is a new deployment: `pathline reset`, or another --state and database",
            )
        if low > pending.fetched:
            pending.gaps.append(Gap(pending.fetched, low))
            pending.fetched = low
        self._client.incremental_unassign([TopicPartition(*pending.key)])
        self._client.incremental_assign([TopicPartition(*pending.key, pending.fetched)])

    def _ends(self, key: tuple[str, int]) -> tuple[int, int]:
        """The first offset that there is, and the one after the last."""
        try:
            low, high = self._client.get_watermark_offsets(TopicPartition(*key), timeout=SILENCE_SECONDS_MAX)
        except KafkaException as error:
            raise unreachable(self._place, error.args[0]) from None
        return int(low), int(high)

    def _note(self, error: KafkaError) -> None:
        """What the client says beside the messages; called within `consume`."""
        if error.code() not in _WEATHER or error.fatal():
            raise unreachable(self._place, error)
        if error.code() == KafkaError._ALL_BROKERS_DOWN and self._silent_since is None:
            self._silent_since = time.monotonic()

    def _look_at_silence(self) -> None:
        since = self._silent_since
        if since is not None and time.monotonic() - since > SILENCE_SECONDS_MAX:
            raise unreachable(self._place, KafkaError(KafkaError._ALL_BROKERS_DOWN))

    # --- ends ---

    def _ask_for_ends(self) -> None:
        """Asks where partitions end: of the silent ones, whether that is where we are."""
        while not self._closed.wait(ASK_SECONDS):
            for pending in list(self._pending.values()):
                self._ask(pending)

    def _ask(self, pending: Pending) -> None:
        asked_at, fetched = time.time(), pending.fetched
        partition = TopicPartition(*pending.key)
        is_silent = time.monotonic() - pending.came_at > ASK_SECONDS
        try:
            _, high = self._client.get_watermark_offsets(
                partition, timeout=ANSWER_SECONDS, cached=not is_silent
            )
        except (KafkaException, RuntimeError):
            return  # an unreachable broker is not idle
        if high < 0:
            return
        pending.end_offset = high
        if is_silent and high <= max(fetched, pending.nothing_until) and pending.fetched == fetched:
            pending.end_asked_at = asked_at
