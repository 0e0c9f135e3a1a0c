"""The detector on resampled weeks: what it calls without an incident, and how soon drops that are put in.

Each seed is a base run of weeks without any incident, of which the first three are for learning; whatever is
called after them is false. From moments of those weeks the detector then goes on with a drop (`forks.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np

from pipeline.core.detect.minutes import Minute
from pipeline.lab.incidents import Incident, When
from pipeline.lab.trial import Page
from tests.detect.forks import Answer, Base, fork, horizons
from tests.detect.resampled import PILE, START, Clock, Resampled
from tests.detect.visits import DAY, LASTS, LONGEST, STEPS, WEEK, Counted, Segment, read

LEARNING_WEEKS: Final = 3
SHARES: Final = (0.25, 0.5, 1.0)
LENGTHS: Final[dict[When, int]] = {"peak": 90, "night": 180}


@dataclass(frozen=True)
class World:
    """A way to make weeks, and between which hours (UTC) a drop may begin in it."""

    what: str
    clock: Clock
    hours: tuple[tuple[When, int, int], ...] = ()
    pile: int = PILE
    crowds: bool = False
    late_minutes: int = 0

    def traffic(self, seed: int) -> Resampled:
        return Resampled(read(), seed, self.clock, self.pile, self.crowds, self.late_minutes)


NIGHTS: Final[tuple[tuple[When, int, int], ...]] = (("peak", 18, 22), ("night", 1, 4))
WORLDS: Final = {
    "shop": World("the shop's hours: nobody from 22:00 to 8:00", "shop", (("peak", 9, 20),)),
    "otto": World("the hours of OTTO's visits, which have a night", "otto", NIGHTS),
    "uneven": World("as `otto`, of 8 days on top of each other", "otto", NIGHTS, pile=8),
    "crowds": World("as `otto`, each day with a crowd of its own", "otto", NIGHTS, crowds=True),
    "half past": World("as `shop`, half an hour later: nobody from 22:30", "shop", late_minutes=30),
}
MOBILE: Final[Segment] = (("device", "mobile"),)
EVERY_DAYS: Final = 4


@dataclass
class Seen:
    """What came of one seed."""

    world: str
    seed: int
    weeks: float
    false_pages: list[Page]
    learning_pages: int
    answers: list[Answer]
    left_out: int
    horizons: dict[int, int]
    entrants: dict[tuple[When, int], float]
    """By time and rank: in five minutes, on average at the moments that were tried."""


def moments(world: World, seed: int, weeks: int) -> dict[int, When]:
    """A moment of each kind every few days of the measured weeks, at any minute of its hours."""
    rng = np.random.default_rng((seed, 7))
    found: dict[int, When] = {}
    for day in range(LEARNING_WEEKS * 7 + 1, weeks * 7 - 1, EVERY_DAYS):
        for when, first, last in world.hours:
            found[START + day * DAY + int(rng.integers(first * 60, last * 60))] = when
    return found


def told(traffic: Resampled, weeks: int) -> Iterator[Minute]:
    """The minutes of all weeks, without an incident."""
    for day in range(weeks * 7):
        begin = START + day * DAY
        near = traffic.between(begin - LONGEST - LASTS, begin + DAY)
        yield from Counted(near, begin - LONGEST, begin + DAY).minutes(begin, begin + DAY)


def drops(begin: int, when: When) -> Iterator[Incident]:
    """What is tried at a moment: each size at each step, and two in a segment."""
    for rank, share in product(range(1, STEPS + 1), SHARES):
        yield Incident("drop", rank, (), begin, LENGTHS[when], share, when)
    for share in (0.5, 1.0):
        yield Incident("drop", 1, MOBILE, begin, LENGTHS[when], share, when)


def seen(world: str, seed: int, weeks: int) -> Seen:
    """One seed: its weeks, and its forks."""
    traffic, tried = WORLDS[world].traffic(seed), moments(WORLDS[world], seed, weeks)
    base = Base().run(told(traffic, weeks), tried)
    answers, left_out, came = [], 0, []
    for begin, when in tried.items():
        if not base.is_calm(begin - 60, begin + LENGTHS[when] + DAY // 8):
            left_out += 1
            continue
        visits = traffic.between(begin - LONGEST - 2 * LASTS, begin + LENGTHS[when] + DAY // 4)
        rows = Counted(visits, begin, begin + LENGTHS[when]).entered[:, :, 0].sum(axis=0)
        came += [((when, rank), n * 5 / LENGTHS[when]) for rank, n in enumerate(rows.tolist(), 1)]
        for number, drop in enumerate(drops(begin, when)):
            answers.append(fork(base, drop, visits, np.random.default_rng((seed, begin, number))))
    first = START + LEARNING_WEEKS * WEEK
    pages = base.pages.all()
    late = [page for page in pages if page.first.detected_at >= first]
    entrants = {key: float(np.mean([n for k, n in came if k == key])) for key in sorted({k for k, _ in came})}
    return Seen(
        world, seed, weeks - LEARNING_WEEKS, late, len(pages) - len(late), answers, left_out,
        horizons(base.states[max(base.states)]) if base.states else {}, entrants,
    )  # fmt: skip
