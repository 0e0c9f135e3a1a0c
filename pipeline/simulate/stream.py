"""The stream that shoppers make: when they come, what is lost or doubled on the way, and in which order."""

from __future__ import annotations

import re
from bisect import bisect
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from pipeline.simulate import stories
from pipeline.simulate.shoppers import HOUR, MINUTE, REPEAT_AFTER_MAX_MS, Sent, Shopper

HORIZON_MINUTES: Final = 180
"""What a shopper does later than this is told again when it is due, so memory does not grow with a day."""

DAY_CURVE: Final = (2, 1, 1, 1, 1, 1, 2, 4, 6, 7, 7, 8, 8, 8, 7, 7, 8, 9, 10, 11, 12, 11, 8, 4)
"""Arrivals by hour of the day, UTC."""

SHARES: Final[Mapping[str, float]] = {name: share for name, (share, _) in stories.STORIES.items()}
"""How often each story is told, unless the settings say otherwise."""

_POISON: Final[tuple[Callable[[bytes], bytes], ...]] = (
    lambda line: line[: len(line) // 2],
    lambda line: b"<html>502 Bad Gateway</html>",
    lambda line: line.replace(b":", b":\x00", 1),
    lambda line: line.replace(b"example", b"ex\xffmple"),
    lambda line: line.replace(b'"event":"', b'"event":{},"was":"'),
    lambda line: line.replace(b'"visitor_id":', b'"visitor":'),
    lambda line: line.replace(b'"event_at":', b'"at":'),
    lambda line: line.replace(b'"event_at":"20', b'"event_at":"19'),
)
"""What goes wrong with records: cut, not JSON, null bytes, not UTF-8, a wrong type, no visitor, no time, an
absurd one."""


@dataclass(frozen=True)
class Settings:
    """What to simulate. `duration_ms` counts in whole minutes; `chunk_ms` divides a minute."""

    seed: int
    visitors: int
    start_ms: int
    duration_ms: int
    stories: Mapping[str, float] = field(default_factory=lambda: SHARES)
    duplicates: float = 0.01
    poison: float = 0.0  # records beside the good ones that cannot be events, per good one
    site: str = "shop"
    chunk_ms: int = MINUTE
    finish: bool = False  # go on after `duration_ms`, without new shoppers, until every story is over

    def __post_init__(self) -> None:
        unknown = sorted(self.stories.keys() - SHARES.keys())
        if unknown:
            raise ValueError(f"no story is called {', '.join(unknown)}; there are {', '.join(SHARES)}")
        if not sum(self.stories.values()) > 0 or min(self.stories.values()) < 0:
            raise ValueError("stories need shares that are not negative, and one above 0")
        if not re.fullmatch(r"[a-z0-9-]+", self.site):
            raise ValueError(f"site must be a part of a host name, and {self.site!r} is not")
        if not 0 < self.chunk_ms <= MINUTE or MINUTE % self.chunk_ms:
            raise ValueError(f"chunk_ms must divide {MINUTE}, and {self.chunk_ms} does not")


def simulate(settings: Settings) -> Iterator[list[bytes]]:
    """The records in arrival order, without line ends: a list, maybe empty, per `chunk_ms` of arrival time.

    The first begins at `start_ms`. A record's `received_at` lies in the time of its list, but for repeated
    and poison ones.
    """
    waiting: dict[int, list[Sent]] = defaultdict(list)
    again: dict[int, list[tuple[int, int]]] = defaultdict(list)  # number and arrival of shoppers to retell
    arrivals = _arrivals(settings)
    minute = 0
    last = -(-settings.duration_ms // MINUTE)
    while minute < last or (settings.finish and (waiting or again)):
        retold = again.pop(minute, [])
        for number, at in [*retold, *(next(arrivals, None) or [])]:
            _plan(tell(settings, number, at), minute, (number, at), settings.start_ms, waiting, again)
        due = sorted(waiting.pop(minute, []))
        yield from _chunks(due, settings.start_ms + minute * MINUTE, settings.chunk_ms)
        minute += 1


def tell(settings: Settings, number: int, at: int) -> list[Sent]:
    """All records of shopper `number`, who arrives at the time `at`, in no particular order."""
    shopper = Shopper(settings.seed, settings.site, number, at, settings.stories)
    sent, random = stories.tell(shopper), shopper.random
    for record in tuple(sent):
        if random.random() < settings.duplicates:
            sent.append(Sent(record.at + random.randrange(300, REPEAT_AFTER_MAX_MS), record.line))
        if random.random() < settings.poison:
            sent.append(Sent(record.at, random.choice(_POISON)(record.line)))
    return sent


def story_of(settings: Settings, visitor_id: str) -> str:
    """The story that the shopper with this visitor id tells."""
    number = int(visitor_id[5:13], 16)
    return Shopper(settings.seed, settings.site, number, 0, settings.stories).story


def _arrivals(settings: Settings) -> Iterator[list[tuple[int, int]]]:
    """Number and time of the shoppers of each minute: `visitors` in all, spread by the day curve."""
    minutes = -(-settings.duration_ms // MINUTE)
    hours = (settings.start_ms / HOUR + np.arange(minutes) / 60) % 24
    weights = np.interp(hours, np.arange(25), (*DAY_CURVE, DAY_CURVE[0]))
    ahead = weights[::-1].cumsum()[::-1]
    random = np.random.default_rng(settings.seed)
    number = 0
    for minute in range(minutes):
        share = min(1.0, weights[minute] / ahead[minute])
        count = int(random.binomial(settings.visitors - number, share))
        offsets = random.integers(0, MINUTE, count).tolist()
        begin = settings.start_ms + minute * MINUTE
        yield [(number + index, begin + offset) for index, offset in enumerate(offsets)]
        number += count


def _plan(
    sent: list[Sent],
    minute: int,
    shopper: tuple[int, int],
    start_ms: int,
    waiting: dict[int, list[Sent]],
    again: dict[int, list[tuple[int, int]]],
) -> None:
    """Put what is near where it is due, and note when to tell the rest. What is past was sent before."""
    later = []
    for record in sent:
        due = (record.at - start_ms) // MINUTE
        if due >= minute + HORIZON_MINUTES:
            later.append(due)
        elif due >= minute:
            waiting[due].append(record)
    if later:
        again[min(later)].append(shopper)


def _chunks(sent: list[Sent], begin: int, chunk_ms: int) -> Iterator[list[bytes]]:
    start = 0
    for end_ms in range(begin + chunk_ms, begin + MINUTE + 1, chunk_ms):
        end = bisect(sent, (end_ms,), start)
        yield [record.line for record in sent[start:end]]
        start = end
