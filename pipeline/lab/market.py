"""What a simulated shop is made of: who may come, which steps there are, how long people hesitate.

Cells are the smallest groups: device × channel × country. Segments are sums of cells, so that whole, single
values and pairs always agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import combinations, product
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.core.detect.minutes import WHOLE, Scope

DEVICES: Final = ("desktop", "mobile", "tablet")
CHANNELS: Final = ("affiliate", "direct", "email", "organic", "paid_search", "paid_social")
COUNTRIES: Final = ("DE", "FR", "GB", "NL", "PL", "US")
DIMENSIONS: Final = {"channel": CHANNELS, "country": COUNTRIES, "device": DEVICES}
"""Ascending by name, as segments write them."""

STAGES: Final = ("landing", "view", "cart", "checkout", "payment", "order")
STEPS: Final = len(STAGES) - 1
"""All but the last can be left without going on."""
JOURNEY: Final = "shop"
VERSION: Final = 1

CELLS: Final = tuple(product(CHANNELS, COUNTRIES, DEVICES))
CHANNEL_OF: Final = np.array([CHANNELS.index(channel) for channel, _, _ in CELLS])
COUNTRY_OF: Final = np.array([COUNTRIES.index(country) for _, country, _ in CELLS])
DEVICE_OF: Final = np.array([DEVICES.index(device) for _, _, device in CELLS])

START: Final = int(datetime(2026, 1, 5, tzinfo=UTC).timestamp()) // 60
"""A Monday, 0:00 UTC, in unix minutes. Fixed, so that the same settings give the same weeks."""
DAY: Final = 1_440
WEEK: Final = 7 * DAY

Segment = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Settings:
    """Which weeks. `salt` keeps the weeks of one purpose apart from those of another at the same seed."""

    weeks: int = 12
    seed: int = 1
    salt: int = 0
    entrants_peak: int = 1_500
    """Who land in five minutes at the height of an ordinary working day, all together."""
    pairs: tuple[tuple[str, str], ...] = (("channel", "device"), ("country", "device"))
    """Dimensions whose values are also looked at in twos."""

    def __post_init__(self) -> None:
        if self.weeks < 1 or self.entrants_peak < 1 or self.seed < 0:
            raise ValueError("at least one week, one entrant, and a seed that is not negative")
        known = set(combinations(DIMENSIONS, 2))
        if not set(self.pairs) <= known:
            raise ValueError(f"pairs are two of {', '.join(DIMENSIONS)}, ascending: {self.pairs}")

    @property
    def days(self) -> int:
        return 7 * self.weeks

    def generator(self, *purpose: int) -> np.random.Generator:
        """Randomness for one purpose: what another draws does not move it."""
        return np.random.default_rng((self.salt, self.seed, *purpose))


def segments(pairs: Sequence[tuple[str, str]]) -> list[Segment]:
    """Everybody, every single value, and the pairs of values of these dimensions."""
    singles: list[Segment] = [((name, value),) for name, values in DIMENSIONS.items() for value in values]
    twos: list[Segment] = [
        ((one, a), (two, b)) for one, two in pairs for a in DIMENSIONS[one] for b in DIMENSIONS[two]
    ]
    return [WHOLE, *singles, *twos]


def members(segment: Segment) -> NDArray[np.bool_]:
    """Which cells a segment is the sum of."""
    return np.array(
        [
            all(
                {"channel": cell[0], "country": cell[1], "device": cell[2]}[name] == value
                for name, value in segment
            )
            for cell in CELLS
        ]
    )


def scopes(names: Sequence[Segment]) -> list[Scope]:
    """Every stage in every segment, stage by stage; ranks count from 1."""
    return [
        Scope(JOURNEY, VERSION, rank, stage, segment)
        for rank, stage in enumerate(STAGES, start=1)
        for segment in names
    ]
