"""The detector on half a year of a small shop, and on the same with drops put in.

Minutes come from the tables of a run, by the commands that users have. Those of the forks are made of visits,
which count the same: `test_ecom.py` holds them to it.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Final

import numpy as np

from pipeline.core.detect.minutes import Minute
from pipeline.lab.history import History
from pipeline.lab.incidents import Incident
from tests.cli.run import pathline
from tests.detect.forks import Answer, Base, fork
from tests.detect.visits import DAY, FILE, STEPS, Counted, Visits, read

OPTIONS: Final = ("--mapping", "ecom", "--sort", "--journey", "checkout")
DROP_DAYS: Final = 14
DAYS: Final = ("2024-04-03", "2024-04-17", "2024-05-02", "2024-06-05", "2024-06-12")
"""Two weeks from these on nothing is called of the shop itself."""
HOURS: Final = (9, 18)
SHARES: Final = (0.5, 1.0)
BEFORE: Final = 30 * DAY
"""Over which entrants and rates are told."""
TROUBLES: Final = ("payment_error", "checkout_bug")
"""Events of the file that say that something is wrong with the shop. `error_page` comes all the time."""


def minute_of(text: str) -> int:
    """The unix minute of a UTC time as text."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) // 60


def words_of(minute: int) -> str:
    """A unix minute as people read it."""
    return f"{datetime.fromtimestamp(minute * 60, UTC):%Y-%m-%d %H:%M}"


def history(folder: Path) -> Path:
    """The minutes of the half year, by the commands that users have: a run, and `alerts history`."""
    for arguments in (("run", "--input", FILE, *OPTIONS), ("alerts", "history", "ecom.parquet")):
        done = pathline(*arguments, cwd=folder)
        assert done.returncode == 0, done.stderr
    return folder / "ecom.parquet"


def moments() -> list[int]:
    """When drops are put in."""
    return [minute_of(f"{day} {hour:02d}:00") for day, hour in product(DAYS, HOURS)]


@dataclass
class Found:
    """All that the report tells."""

    base: Base
    visits: Visits
    first: int
    last: int
    answers: list[Answer]


def drops(begin: int) -> Iterator[Incident]:
    """What is tried at a moment: each size at each step, and nobody coming at all."""
    for rank, share in product(range(1, STEPS + 1), SHARES):
        yield Incident("drop", rank, (), begin, DROP_DAYS * DAY, share, "peak")
    yield Incident("silence", 1, (), begin, DROP_DAYS * DAY, 1.0, "peak")


def find(path: Path) -> Found:
    """The half year as it was, and the forks: their minutes are made of visits, which count the same."""
    base, first, last = Base(), 0, 0

    def noted() -> Iterator[Minute]:
        nonlocal first, last
        for minute in History(path).minutes():
            first, last = first or minute.at, minute.at
            yield minute

    base.run(noted(), moments())
    assert all(base.is_calm(begin, begin + DROP_DAYS * DAY) for begin in moments())
    visits = read()
    answers = [
        fork(base, drop, visits, np.random.default_rng((17, begin, number)), to_the_end=False)
        for begin in moments()
        for number, drop in enumerate(drops(begin))
    ]
    return Found(base, visits, first, last, answers)


def troubles() -> dict[str, list[int]]:
    """When the file tells of trouble: unix minutes by event, ascending."""
    found: dict[str, list[int]] = {name: [] for name in TROUBLES}
    with gzip.open(FILE, "rt") as file:
        for row in csv.DictReader(file):
            if row["event"] in found:
                found[row["event"]].append(minute_of(row["timestamp"]))
    return {name: sorted(minutes) for name, minutes in found.items()}


def entrants(visits: Visits, begin: int, end: int) -> list[tuple[int, float]]:
    """By stage: who entered it, and of those the share that went on within an hour."""
    cohorts = Counted(visits, begin, end)
    came = cohorts.entered[:, :, 0].sum(axis=0)
    on = cohorts.went_on[:, :, 0, -1].sum(axis=0)
    return [(int(n), float(k) / max(1, int(n))) for n, k in zip(came, on, strict=True)]
