"""Real visits of a shop, and minutes made of visits: what the evidence on data of others is built from.

A visit is a session of `../shared/data/ecom`, as that file numbers them, with the moment at which it first
came as far as each stage of the journey `checkout`. Nothing here knows how a detector judges.
"""

from __future__ import annotations

import csv
import gzip
import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.core.detect import HORIZONS_MINUTES, Minute, Scope

DATA: Final = Path(os.environ.get("PATHLINE_DATA", Path(__file__).parents[3] / "shared" / "data"))
FILE: Final = DATA / "ecom" / "ecom.csv.gz"
MISSING: Final = "no PATHLINE_DATA and no ../shared/data"

DAY: Final = 24 * 60
WEEK: Final = 7 * DAY
STAGES: Final = ("view", "cart", "checkout", "payment", "order")
STEPS: Final = len(STAGES) - 1
"""Stages that somebody can go on from."""
VERSION: Final = 2
RANKS: Final = {
    "home": 1, "promo_page": 1, "search": 1, "catalog": 1, "filter_results": 1, "product_view": 1,
    "add_to_cart": 2, "cart": 2, "shipping_details": 3, "payment_details": 4, "payment_error": 4,
    "purchase": 5,
}  # fmt: skip
"""The stage that each event of the file enters, by the mapping `ecom` and the journey `checkout`."""
DEVICES: Final = ("desktop", "mobile", "tablet")
CHANNELS: Final = ("direct", "email", "organic", "paid_search", "social")
LONGEST: Final = max(HORIZONS_MINUTES)
LASTS: Final = 2 * 60
"""Minutes: no visit of the file lasts so long (`read` makes sure)."""

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Segment = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Visits:
    """Times are unix minutes; of `entered` infinite where the visit never came so far."""

    visitor: Counts
    begin: Floats
    entered: Floats  # (stages, visits)
    device: Counts
    channel: Counts

    def __len__(self) -> int:
        return len(self.begin)

    def some(self, which: NDArray[np.bool_] | Counts) -> Visits:
        return Visits(
            self.visitor[which],
            self.begin[which],
            self.entered[:, which],
            self.device[which],
            self.channel[which],
        )

    def between(self, begin: float, end: float) -> Visits:
        """Those that began then."""
        return self.some((self.begin >= begin) & (self.begin < end))

    def inside(self, segment: Segment) -> NDArray[np.bool_]:
        """Who belongs to a segment."""
        inside = np.ones(len(self), np.bool_)
        for name, value in segment:
            values, column = (DEVICES, self.device) if name == "device" else (CHANNELS, self.channel)
            inside &= column == values.index(value)
        return inside

    def dropped(
        self, rank: int, begin: float, end: float, share: float, segment: Segment, rng: np.random.Generator
    ) -> Visits:
        """The same, but of a segment's visits that would go on in this time a share never does."""
        later = self.entered[rank:].min(axis=0)
        here = np.isfinite(self.entered[rank - 1]) & (later >= begin) & (later < end)
        hit = here & self.inside(segment) & (rng.random(len(self)) < share)
        entered = self.entered.copy()
        entered[rank:, hit] = np.inf
        return Visits(self.visitor, self.begin, entered, self.device, self.channel)


def read(path: Path = FILE) -> Visits:
    """All visits of the file that came to any stage, by when they began."""
    visits: dict[str, list[tuple[float, int]]] = defaultdict(list)
    about: dict[str, tuple[int, int, int]] = {}
    with gzip.open(path, "rt") as file:
        for row in csv.DictReader(file):
            at = datetime.fromisoformat(row["timestamp"]).replace(tzinfo=UTC).timestamp() / 60
            visits[row["session_id"]].append((at, RANKS.get(row["event"], 0)))
            about[row["session_id"]] = (
                int(row["user_id"].removeprefix("user_")),
                DEVICES.index(row["platform"]),
                CHANNELS.index(row["acquisition_channel"]),
            )
    names = sorted(
        (name for name in visits if any(rank for _, rank in visits[name])), key=lambda name: min(visits[name])
    )
    entered = np.full((len(STAGES), len(names)), np.inf)
    for column, name in enumerate(names):
        furthest = 0
        for at, rank in sorted(visits[name]):
            if rank > furthest:
                entered[rank - 1, column] = at
                furthest = rank
    begin = np.array([min(visits[name])[0] for name in names])
    assert (np.where(np.isfinite(entered), entered, 0).max(axis=0) - begin < LASTS).all()
    visitor, device, channel = np.array([about[name] for name in names], np.int64).T
    return Visits(visitor, begin, entered, device, channel)


def _segments() -> list[Segment]:
    devices = [(("device", value),) for value in DEVICES]
    return [(), *((("channel", value),) for value in CHANNELS), *devices]


SEGMENTS: Final = _segments()
SCOPES: Final = [
    Scope("checkout", VERSION, rank, stage, segment)
    for rank, stage in enumerate(STAGES, 1)
    for segment in SEGMENTS
]


class Counted:
    """Cohorts of the minutes from `begin` up to and without `end`: who entered, who went on, who skipped.

    Who goes on within d minutes does so in a minute at most d later than that of the entry.
    """

    def __init__(self, visits: Visits, begin: int, end: int) -> None:
        self.begin, self.length = begin, end - begin
        width = len(SEGMENTS)
        self.entered = np.zeros((self.length, len(STAGES), width), np.int64)
        self.went_on = np.zeros((self.length, len(STAGES), width, len(HORIZONS_MINUTES)), np.int64)
        self.skipped = np.zeros((self.length, len(STAGES), width), np.int64)
        cell, cells = np.unique(visits.device * len(CHANNELS) + visits.channel, return_inverse=True)
        alike = np.array([np.argmax(cells == k) for k in range(len(cell))], np.int64)
        self._cell, self._cells = cells, len(cell)
        columns = [visits.some(alike).inside(segment) for segment in SEGMENTS]
        self._inside = np.stack(columns, axis=1).astype(np.float64)
        later = np.full(len(visits), np.inf)
        for stage in reversed(range(len(STAGES))):
            self._count(stage, visits.entered[stage], later)
            later = np.minimum(later, visits.entered[stage])
        passed = np.isinf(visits.entered[0]) & np.isfinite(
            later
        )  # of the stages only the first is not optional
        self.skipped[:, 0] = self._table(later, passed, np.zeros(len(visits), np.int64), 1)[..., 0]

    def _count(self, stage: int, at: Floats, later: Floats) -> None:
        with np.errstate(invalid="ignore"):
            after = np.floor(later) - np.floor(at)
        horizon = np.searchsorted(HORIZONS_MINUTES, np.nan_to_num(after, nan=np.inf), side="left")
        table = self._table(at, np.isfinite(at), horizon, len(HORIZONS_MINUTES) + 1)
        self.entered[:, stage] = table.sum(axis=2)
        self.went_on[:, stage] = table[:, :, :-1].cumsum(axis=2)

    def _table(self, at: Floats, which: NDArray[np.bool_], kind: Counts, kinds: int) -> Counts:
        """(minutes, segments, kinds): how many at their minute."""
        which = which & (at >= self.begin) & (at < self.begin + self.length)
        minute = np.floor(at[which]).astype(np.int64) - self.begin
        place = (minute * self._cells + self._cell[which]) * kinds + kind[which]
        flat = np.bincount(place, minlength=self.length * self._cells * kinds)
        found = np.einsum("mck,cs->msk", flat.reshape(self.length, self._cells, kinds), self._inside)
        return np.rint(found).astype(np.int64)

    def minutes(self, begin: int, end: int) -> Iterator[Minute]:
        """As a detector gets them; `begin` lies an hour or more behind the first cohort that was counted."""
        nothing = np.zeros(len(SCOPES), np.int64)
        back = np.array(HORIZONS_MINUTES)
        horizons = np.arange(len(HORIZONS_MINUTES))
        for at in range(begin - self.begin, end - self.begin):
            cohorts = at - back
            yield Minute(
                self.begin + at,
                SCOPES,
                self.entered[at].ravel(),
                self.entered[cohorts].reshape(len(back), -1).T,
                self.went_on[cohorts, :, :, horizons].reshape(len(back), -1).T,
                self.skipped[at].ravel(),
                nothing,
            )


def minutes(visits: Visits, begin: int, end: int) -> Iterator[Minute]:
    """The minutes of these visits, a day in memory at a time."""
    for day in range(begin, end, DAY):
        until = min(day + DAY, end)
        near = visits.between(day - LONGEST - LASTS, until)
        yield from Counted(near, day - LONGEST, until).minutes(day, until)
