"""What goes wrong, where and when; and how it is put into the shoppers of a day.

`drop`: of those about to go on from a step, a share cannot and give up. `tracking`: the events of a stage are
lost, while people go on. `silence`: nothing at all is heard of a segment, at any stage.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.core.detect.minutes import WHOLE
from pipeline.lab.market import CELLS, DAY, STAGES, START, STEPS, Segment, Settings, members, segments
from pipeline.lab.shoppers import Shoppers

Kind = Literal["drop", "tracking", "silence"]
When = Literal["peak", "night"]
APART: Final = 240
"""Minutes of peace between the end of one incident and the next: longer than any horizon and clearing."""

TRIES: Final = 200
PAIRS: Final = 0.35
"""Share of the incidents of a segment that meet a pair of values."""


@dataclass(frozen=True)
class Incident:
    """`share` of those in `segment` at `rank` are hit, from `begin` (unix minute) for `minutes`."""

    kind: Kind
    rank: int
    segment: Segment
    begin: int
    minutes: int
    share: float
    when: When

    @property
    def end(self) -> int:
        return self.begin + self.minutes

    @property
    def stage(self) -> str:
        return STAGES[self.rank - 1]


@dataclass
class Truth:
    """An incident, and whom it met: by cell, those about to do the thing while it lasted, and those hit."""

    incident: Incident
    at_risk: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(CELLS), np.int64))
    hit: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(CELLS), np.int64))

    def share_in(self, segment: Segment) -> float:
        """How much of what should have happened in a segment did not: how large the incident looks there."""
        inside = members(segment)
        at_risk = int(self.at_risk[inside].sum())
        return int(self.hit[inside].sum()) / at_risk if at_risk else 0.0

    @property
    def sigmas(self) -> float:
        """How far it stands out from chance as a whole, for one who knows its segment and its time."""
        at_risk = int(self.at_risk[members(self.incident.segment)].sum())
        return int(self.hit.sum()) / math.sqrt(at_risk) if at_risk else 0.0


@dataclass(frozen=True)
class Mix:
    """What kinds of incidents, how often and how long. Two mixes never draw the same weeks: see `salt`."""

    salt: int
    a_week: float
    kinds: tuple[tuple[Kind, float], ...]
    shares: tuple[float, ...]
    tracking_shares: tuple[float, ...]
    lengths: tuple[tuple[When, int], ...]


MIXES: Final = {
    "tuning": Mix(
        salt=71,
        a_week=10,
        kinds=(("drop", 0.65), ("tracking", 0.25), ("silence", 0.1)),
        shares=(0.3, 0.6, 1.0),
        tracking_shares=(0.7, 1.0),
        lengths=(("peak", 75), ("night", 200)),
    ),
    "report": Mix(
        salt=1905,
        a_week=14,
        kinds=(("drop", 0.72), ("tracking", 0.18), ("silence", 0.1)),
        shares=(0.25, 0.5, 1.0),
        tracking_shares=(0.6, 0.9, 1.0),
        lengths=(("peak", 90), ("night", 180)),
    ),
    "quiet": Mix(salt=33550336, a_week=0, kinds=(), shares=(), tracking_shares=(), lengths=()),
}
"""`tuning` is for building a detector, `report` for what is told of it, `quiet` for its false pages alone."""


def draw(settings: Settings, mix: Mix, learning_weeks: int) -> list[Incident]:
    """The incidents of all weeks but the first ones, in order, each alone in its time.

    Kind, size, time and whether everybody is met are dealt in turn, not drawn: every class gets its share.
    """
    rng = settings.generator(6)
    dealt = _dealt(rng, mix, round(mix.a_week * (settings.weeks - learning_weeks)))
    out: list[Incident] = []
    for kind, share, when, whole in dealt:
        minutes = dict(mix.lengths)[when]
        begin = _free(rng, settings, learning_weeks, when, minutes, out)
        if begin is None:
            continue
        # silence is of every stage; the first is where it is told
        rank = 1 if kind == "silence" else 1 + int(rng.integers(STEPS))
        segment = WHOLE if whole else _narrow(rng, settings)
        out.append(Incident(kind, rank, segment, begin, minutes, share, when))
    return sorted(out, key=lambda one: one.begin)


def _narrow(rng: np.random.Generator, settings: Settings) -> Segment:
    """A single value, or less often a pair: there are more of these, and each is smaller."""
    size = 2 if settings.pairs and rng.random() < PAIRS else 1
    names = [name for name in segments(settings.pairs) if len(name) == size]
    return names[rng.integers(len(names))]


def _dealt(rng: np.random.Generator, mix: Mix, count: int) -> list[tuple[Kind, float, When, bool]]:
    """So many combinations of kind, size, time and whether everybody is met, in any order."""
    out: list[tuple[Kind, float, When, bool]] = []
    for kind, part in mix.kinds:
        shares = {"drop": mix.shares, "tracking": mix.tracking_shares, "silence": (1.0,)}[kind]
        deck = list(product(shares, (when for when, _ in mix.lengths), (True, False)))
        while deck and sum(one[0] == kind for one in out) < round(part * count):
            missing = round(part * count) - sum(one[0] == kind for one in out)
            out += [(kind, *deck[k]) for k in rng.permutation(len(deck))[:missing]]
    return [out[k] for k in rng.permutation(len(out))]


def _free(
    rng: np.random.Generator,
    settings: Settings,
    learning_weeks: int,
    when: When,
    minutes: int,
    others: Sequence[Incident],
) -> int | None:
    """When it may begin, by day or by night, not near another; None where there is no room."""
    for _ in range(TRIES):
        day = int(rng.integers(7 * learning_weeks, settings.days))
        minute = int(rng.integers(9 * 60, 20 * 60) if when == "peak" else rng.integers(0, 2 * 60))
        begin = START + day * DAY + minute
        if all(begin + minutes + APART <= one.begin or begin >= one.end + APART for one in others):
            return begin
    return None


def put_into(people: Shoppers, truths: Sequence[Truth], settings: Settings, day: int) -> bool:
    """Changes the shoppers of a day as the incidents would have; returns whether any incident was near.

    Each incident has randomness of its own: without it the same shoppers do the same things.
    """
    near = False
    for number, truth in enumerate(truths):
        begin = truth.incident.begin - START
        if begin + truth.incident.minutes <= day * DAY or begin >= (day + 2) * DAY:
            continue
        near = True
        _put(people, truth, settings.generator(7, number, day))
    return near


def _put(people: Shoppers, truth: Truth, rng: np.random.Generator) -> None:
    incident = truth.incident
    begin, end, step = incident.begin - START, incident.end - START, incident.rank - 1
    inside = members(incident.segment)[people.cell]
    stages = range(len(STAGES)) if incident.kind == "silence" else (step,)
    for stage in stages:
        here = np.isfinite(people.entered[stage])
        times = people.went_on_at(stage) if incident.kind == "drop" else people.entered[stage]
        at_risk = here & (times >= begin) & (times < end)
        hit = at_risk & inside & (rng.random(len(inside)) < incident.share)
        truth.at_risk += np.bincount(people.cell[at_risk], minlength=len(CELLS))
        truth.hit += np.bincount(people.cell[hit], minlength=len(CELLS))
        if incident.kind == "drop":
            people.entered[stage + 1 :, hit] = np.inf
        else:
            people.seen[stage, hit] = False
