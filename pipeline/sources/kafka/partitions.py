"""Which partitions a deployment reads, and from where: written down when it begins, and when a topic grows.

The number of a partition in this list is its number everywhere inside; it never changes. New ones come at its
end, and are read from their first record on.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from pipeline.sources.kafka.place import BadPlace, KafkaPlace

ANSWER_SECONDS: Final = 15.0
"""How long brokers may take to say what there is."""
EARLIEST, LATEST, STORED = "earliest", "latest", "stored"


class Unreachable(Exception):  # noqa: N818  the word that users read
    """No broker answers: one may, later."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


class NotLetIn(Unreachable):
    """The brokers do not want us: somebody must mend that."""


@dataclass(frozen=True)
class TopicPart:
    """A partition of a topic; reading begins at `offset`, and ends before `end` where that is set."""

    topic: str
    partition: int
    offset: int
    is_new: bool = False
    """It was not there when the deployment began."""
    end: int | None = None


@dataclass(frozen=True)
class Partitions:
    """The list, in a file of the state folder."""

    path: Path

    def read(self) -> list[TopicPart]:
        """What has been written down: nothing before a deployment has begun."""
        if not self.path.exists():
            return []
        return [TopicPart(**part) for part in json.loads(self.path.read_text())]

    def write(self, parts: Sequence[TopicPart]) -> None:
        """In one move, so that it is whole."""
        draft = self.path.with_suffix(".part")
        with draft.open("w") as file:
            json.dump([asdict(part) for part in parts], file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.path)


def discover(
    place: KafkaPlace, known: Sequence[TopicPart], start: str, group: str, until: str | None = None
) -> list[TopicPart]:
    """The partitions that there are now: those known, and new ones after them. Where none are known reading
    begins at `start`: earliest, latest, stored (what `group` has committed, else earliest) or an ISO time.
    With `until`, an ISO time, it ends before the first message of that time or later, and what was settled
    once stays so. Raises Unreachable, or BadPlace for a topic that does not exist.
    """
    if known and until is not None:
        return list(known)
    client = Consumer(place.client(**{"group.id": group, "enable.auto.commit": False}))
    try:
        have = {(part.topic, part.partition) for part in known}
        new = [pair for pair in _listed(client, place) if pair not in have]
        began = start if not known else EARLIEST
        found = _starts(client, new, began, is_new=bool(known))
        return [*known, *(found if until is None else _ends(client, found, until))]
    except KafkaException as error:
        raise unreachable(place, error.args[0]) from None
    finally:
        client.close()


def unreachable(place: KafkaPlace, error: KafkaError) -> Unreachable:
    """What an error of the client means to a person."""
    code, text = error.code(), error.str()
    if code in (KafkaError._AUTHENTICATION, KafkaError._SSL, KafkaError.SASL_AUTHENTICATION_FAILED):
        return NotLetIn(f"{place.shown}: the brokers do not let us in: {text}", "look at --kafka-config")
    if code in (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED):
        return NotLetIn(f"{place.shown}: {text}", "this user may not read the topic, or not as this group")
    return Unreachable(
        f"{place.shown}: no broker answers: {text}", "check address, port, and whether it runs"
    )


def _listed(client: Consumer, place: KafkaPlace) -> list[tuple[str, int]]:
    """(topic, partition) of all, in the order of the topics."""
    found = client.list_topics(timeout=ANSWER_SECONDS).topics
    listed = []
    for topic in place.topics:
        told = found.get(topic)
        if told is None or told.error is not None:
            raise BadPlace(f"--input: {place.shown}: there is no topic {topic}", _alike(topic, found))
        listed += [(topic, number) for number in sorted(told.partitions)]
    return listed


def _alike(topic: str, found: Any) -> str:
    names = sorted(name for name in found if not name.startswith("__"))
    alike = get_close_matches(topic, names, 3) or names[:10]
    return f"there are {', '.join(alike)}" if names else "the broker has no topics yet: make it first"


def _starts(client: Consumer, new: Sequence[tuple[str, int]], start: str, *, is_new: bool) -> list[TopicPart]:
    parts = []
    asked = [TopicPartition(topic, number) for topic, number in new]
    at: dict[tuple[str, int], int] = {}
    if asked and start == STORED:
        at = _offsets(client.committed(asked, timeout=ANSWER_SECONDS))
    elif asked and start not in (EARLIEST, LATEST):
        at = _offsets_at(client, new, start)
    for topic, number in new:
        low, high = client.get_watermark_offsets(TopicPartition(topic, number), timeout=ANSWER_SECONDS)
        beyond = low if start == STORED else high  # no record after the time: all are before it
        default = {EARLIEST: low, LATEST: high}.get(start, beyond)
        parts.append(TopicPart(topic, number, at.get((topic, number), default), is_new))
    return parts


def _ends(client: Consumer, parts: Sequence[TopicPart], until: str) -> list[TopicPart]:
    """The same with the offset at which each ends: that of now where all records are before `until`."""
    at = _offsets_at(client, [(part.topic, part.partition) for part in parts], until)
    ended = []
    for part in parts:
        key = (part.topic, part.partition)
        end = at[key] if key in at else _high(client, key)
        ended.append(replace(part, end=max(part.offset, end)))
    return ended


def _high(client: Consumer, key: tuple[str, int]) -> int:
    return int(client.get_watermark_offsets(TopicPartition(*key), timeout=ANSWER_SECONDS)[1])


def _offsets_at(client: Consumer, keys: Sequence[tuple[str, int]], time: str) -> dict[tuple[str, int], int]:
    """Where in each partition the first message of `time` or later is; nothing where there is none."""
    asked = [TopicPartition(topic, number, time_ms(time)) for topic, number in keys]
    return _offsets(client.offsets_for_times(asked, timeout=ANSWER_SECONDS)) if asked else {}


def time_ms(text: str) -> int:
    """An ISO time, which is UTC unless it says otherwise. Raises ValueError."""
    at = datetime.fromisoformat(text)
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)


def _offsets(found: Sequence[TopicPartition]) -> dict[tuple[str, int], int]:
    return {(one.topic, one.partition): one.offset for one in found if one.offset >= 0}
