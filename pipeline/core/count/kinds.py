"""Kinds of objects as steps of their journey: of the carts of a minute, how many came to more in time.

A step is who comes to a kind of object (browsing, a cart, a checkout, a payment), and whether they go on: to
a higher kind, or to an order. All others have not: they are still there, gave up, took everything out again,
or their payment failed. Such a step has the name of its kind with ABANDONMENT behind it, which no stage can
have, and a rank above those of all stages, which says of which kind it is and for which stage. A late order
counts from when it takes effect: what was told of a cohort is final.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.core.count.horizons import HORIZONS_MINUTES
from pipeline.core.seen import MINUTE_MS
from pipeline.core.track.layout import COUNT_OUT
from pipeline.core.track.objects.moves import WENT_ON
from schemas.journeys import Journey
from schemas.objects import KINDS

RANKS: Final = 16
"""Stages have ranks below this. A kind is counted at this rank plus its number."""
ABANDONMENT: Final = " (abandonment)"


def step_of(journey: Journey, rank: int) -> tuple[int, str]:
    """Rank and name of what is counted at `rank`: of a stage its own; of a kind (checkout is the third, and
    say stands for stage 4) 3 * RANKS + 4, `checkout (abandonment)`.
    """
    if rank < RANKS:
        return rank, journey.stages[rank - 1].name
    assert journey.objects is not None
    kind = rank - RANKS
    stage = next(one.rank for one in journey.objects.kinds if one.kind == kind)
    return RANKS * kind + stage, KINDS[kind - 1] + ABANDONMENT


def counted(moves: NDArray[np.void], journey: int) -> NDArray[np.void]:
    """COUNT_OUT rows of what the objects of a journey told (MOVE), as `cohorts.py` counts them: with the
    country in the place of the currency.
    """
    came, at = moves["came_at"] // MINUTE_MS, moves["at"] // MINUTE_MS
    late = np.searchsorted(np.array(HORIZONS_MINUTES), at - came)
    went_on = moves["what"] == WENT_ON
    kept = ~went_on | (late < len(HORIZONS_MINUTES))
    moves = moves[kept]
    out = np.zeros(len(moves), COUNT_OUT)
    out["minute"] = came[kept] * MINUTE_MS
    for name in ("value_e4", "site", "device", "channel"):
        out[name] = moves[name]
    out["currency"] = moves["country"]
    out["journey"] = journey
    out["rank"] = RANKS + moves["kind"]
    out["what"] = moves["what"] + np.where(went_on, late, 0)[kept]
    return out
