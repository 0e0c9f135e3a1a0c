"""One day's shoppers, one by one: when each entered which stage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.lab.market import CELLS, DAY, DEVICE_OF, STAGES, STEPS, Settings
from pipeline.lab.minds import BLOCK, JUMPS, Minds, minutes_to_go_on
from pipeline.lab.shapes import Floats
from pipeline.lab.traffic import Stream, Traffic

ENTRIES: Final = (0.82, 0.16, 0.02)
"""Where people come in: the landing page, a product, the cart of a mail."""
BASKET: Final = (4.0, 0.7)
"""Values of carts: lognormal, in the currency unit."""
VALUE_FROM: Final = STAGES.index("cart")


@dataclass
class Shoppers:
    """Those who came on one day. Times are minutes since the first day began, infinite where never."""

    cell: NDArray[np.int64]
    entered: Floats  # (stages, shoppers)
    seen: NDArray[np.bool_]  # (stages, shoppers): did an event tell of it
    value_e4: NDArray[np.int64]

    def went_on_at(self, step: int) -> Floats:
        """When each did something beyond `step`, seen or not."""
        return np.asarray(self.entered[step + 1 :].min(axis=0))

    def copy(self) -> Shoppers:
        return Shoppers(self.cell, self.entered.copy(), self.seen.copy(), self.value_e4)


def shoppers(settings: Settings, traffic: Traffic, minds: Minds, day: int) -> Shoppers:
    """All who come on `day`. A day depends on no other, so the same settings give the same shoppers."""
    rng = settings.generator(5, day)
    streams = traffic.streams(day)
    cell, arrived, stream = _arrivals(rng, streams, day)
    shift = np.stack([one.shift if one.human else np.full(STEPS, -np.inf) for one in streams])
    entered = np.full((len(STAGES), len(cell)), np.inf)
    human = np.array([one.human for one in streams])[stream]
    first = np.where(human, np.searchsorted(np.cumsum(ENTRIES)[:-1], rng.random(len(cell)), side="right"), 0)
    entered[first, np.arange(len(cell))] = arrived
    logits = minds.logits(day)
    for step in range(STEPS):
        _go_on(rng, step, entered, logits[step], shift[stream, step], cell, day)
    value = np.rint(rng.lognormal(*BASKET, len(cell)) * 100).astype(np.int64) * 100
    return Shoppers(cell, entered, np.isfinite(entered), value)


def _arrivals(
    rng: np.random.Generator, streams: list[Stream], day: int
) -> tuple[NDArray[np.int64], Floats, NDArray[np.int64]]:
    """Cell, time and stream of everybody."""
    rates = np.stack([one.rate for one in streams])
    counts = rng.poisson(rates).ravel()
    place = np.repeat(np.arange(counts.size), counts)
    cell = place % len(CELLS)
    minute = place // len(CELLS) % DAY
    return cell, day * DAY + minute + rng.random(len(place)), place // (len(CELLS) * DAY)


def _go_on(
    rng: np.random.Generator,
    step: int,
    entered: Floats,
    logits: Floats,
    shift: Floats,
    cell: NDArray[np.int64],
    day: int,
) -> None:
    """Lets those of one step go on to a later one, who have a mind to."""
    here = np.flatnonzero(np.isfinite(entered[step]))
    block = np.minimum((entered[step, here] - day * DAY) / BLOCK, len(logits) - 1).astype(np.int64)
    with np.errstate(over="ignore"):
        chance = 1 / (1 + np.exp(-(logits[block, cell[here]] + shift[here])))
    going = here[rng.random(len(here)) < chance]
    delay = minutes_to_go_on(rng, step, DEVICE_OF[cell[going]])
    to = step + 1 + (rng.random(len(going)) < JUMPS[step])
    entered[to, going] = entered[step, going] + delay
