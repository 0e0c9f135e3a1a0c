"""What a small count leaves open."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

ALPHA: Final = 0.05
STEPS: Final = 200


def garwood(events: int, exposure: float, alpha: float = ALPHA) -> tuple[float, float]:
    """Exact bounds of a Poisson rate per unit of exposure, of which `events` were seen; 95 % by default."""
    if exposure <= 0:
        return 0.0, math.inf
    most = events + 10 * math.sqrt(events + 1) + 20
    low = _root(lambda mean: alpha / 2 - _at_least(events, mean), most) if events else 0.0
    high = _root(lambda mean: (1 - alpha / 2) - _at_least(events + 1, mean), most)
    return low / exposure, high / exposure


def wilson(hits: int, tries: int) -> tuple[float, float]:
    """95 % bounds of a share."""
    if not tries:
        return 0.0, 1.0
    z, rate = 1.959964, hits / tries
    middle = rate + z * z / (2 * tries)
    width = z * math.sqrt(rate * (1 - rate) / tries + z * z / (4 * tries * tries))
    scale = 1 + z * z / tries
    return max(0.0, (middle - width) / scale), min(1.0, (middle + width) / scale)


def quantile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that this share of them does not exceed; None of none."""
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def _at_least(events: int, mean: float) -> float:
    """P(count >= events) of a Poisson count."""
    return 1.0 - sum(math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in range(events))


def _root(falling: Callable[[float], float], most: float) -> float:
    """Where a falling function is 0, between 0 and `most`."""
    low, high = 1e-12, most
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if falling(middle) > 0 else (low, middle)
    return (low + high) / 2
