"""Shop or tracking: are people missing, or only what is told of them?

People who are missing from a step but turn up later in the journey were there: their events were lost.
`skipped` counts them: who reached a later step without having been in this one.
"""

from __future__ import annotations

import math
from typing import Final

SHOP: Final = "shop"
TRACKING: Final = "tracking"
UNSURE: Final = "unsure"
MOST: Final = 0.6  # of those who are missing turn up later: tracking
LITTLE: Final = 0.3  # fewer do: the shop
SEEN_Z: Final = 3.0


def judge(missing: float, skipped: float, usual: float) -> str:
    """`missing` goers (or entrants that would have gone on), of whom `skipped` - `usual` turned up later."""
    more = skipped - usual
    if missing <= 0:
        return UNSURE
    if more > SEEN_Z * math.sqrt(max(usual, 1.0)) and more >= MOST * missing:
        return TRACKING
    return SHOP if more < LITTLE * missing else UNSURE
