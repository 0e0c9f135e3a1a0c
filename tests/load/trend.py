"""Whether a series is flat, and what its percentiles are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Trend:
    """A series over time: its median, and by how much it grows from its begin to its end, along the line
    through it whose slope is the median of the slopes between all pairs of points (Theil-Sen: a few peaks do
    not turn it).
    """

    median: float
    growth: float

    @property
    def share(self) -> float:
        """Growth as a share of the median."""
        return self.growth / self.median if self.median else float(self.growth > 0)


def trend(times: Sequence[float], values: Sequence[float]) -> Trend:
    """Needs two points or more, in the order of time."""
    x, y = np.asarray(times, float), np.asarray(values, float)
    assert len(x) == len(y)
    assert len(x) >= 2, "no line goes through less than two points"
    keep = np.unique(np.linspace(0, len(x) - 1, min(len(x), 1_000)).astype(int))
    x, y = x[keep], y[keep]
    before, after = np.triu_indices(len(x), 1)
    apart = x[after] - x[before]
    slopes = (y[after] - y[before])[apart > 0] / apart[apart > 0]
    return Trend(float(np.median(y)), float(np.median(slopes) * (x[-1] - x[0])))


def percentile(values: Sequence[float], counts: Sequence[int], share: float) -> float:
    """The least value that at least `share` of all counted are not above."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(np.asarray(counts)[order])
    return float(np.asarray(values)[order][np.searchsorted(reached, share * reached[-1])])
