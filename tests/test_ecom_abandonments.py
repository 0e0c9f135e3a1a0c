"""Carts, checkouts and payments of a real shop's half year: `../shared/data/ecom`, if it is there.

A plain loop over the file counts all of them as well; three that `explain` tells were checked by hand.
"""

from __future__ import annotations

import csv
import gzip
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import pytest

from tests.cli.run import pathline
from tests.test_oracle_peers import DATA

FILE = DATA / "ecom" / "ecom.csv.gz"
pytestmark = pytest.mark.skipif(not FILE.exists(), reason="no PATHLINE_DATA and no ../shared/data")

STORIES = Path(__file__).parent / "cli" / "explained"
KINDS = {"product_view": 1, "add_to_cart": 2, "shipping_details": 3, "payment_details": 4, "payment_error": 4}
NAMES = ("", "browse", "cart", "checkout", "payment")
MINUTE, WEEK = 60, 7 * 86_400
ABANDON_AFTER = {2: 60 * MINUTE, 3: 60 * MINUTE, 4: 30 * MINUTE}

TOTALS = {
    "browse": {"completed": 870, "recovered": 52, "expired": 1646},
    "cart": {"superseded": 452, "completed": 47, "recovered": 25, "expired": 400},
    "checkout": {"superseded": 301, "completed": 101, "recovered": 9, "expired": 197},
    "payment": {"completed": 264, "recovered": 24, "expired": 356},
}
"""What became of each object itself. Nothing is void: the file is read in order, so nothing came late."""

ENDS = {
    "browse": {"completed": 870, "recovered": 52, "expired": 1646},
    "cart": {"completed": 231, "recovered": 40, "expired": 653},
    "checkout": {"completed": 250, "recovered": 16, "expired": 342},
    "payment": {"completed": 264, "recovered": 24, "expired": 356},
}
"""What became of it with all that superseded it."""

Counts = dict[str, dict[str, int]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of the half year."""
    folder = tmp_path_factory.mktemp("ecom")
    options = ("--mapping", "ecom", "--sort", "--journey", "checkout", "--store-events")
    done = pathline("run", "--input", FILE, *options, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def counted(folder: Path, column: str) -> Counts:
    statement = f"SELECT kind, {column} AS state, count() AS n FROM bi.abandonments GROUP BY kind, state"
    done = pathline("query", statement, "--format", "json", cwd=folder)
    assert done.returncode == 0, done.stderr
    found: Counts = {}
    for row in map(json.loads, done.stdout.splitlines()):
        found.setdefault(row["kind"], {})[row["state"]] = int(row["n"])
    return found


def test_what_became_of_them_all(folder: Path) -> None:
    assert counted(folder, "state") == TOTALS
    assert counted(folder, "final_state") == ENDS


@dataclass
class Chain:
    """Objects that followed each other, by a reading of the rules that knows this file only: it has neither
    ids of carts nor products, so that every order is about whatever is there.
    """

    kinds: list[int]
    active: int
    end: str = ""
    abandoned: int = 0

    def deadline(self, seen: int) -> int:
        """Browsing ends with its session, 30 minutes after the last event of any kind."""
        return seen + 30 * MINUTE if self.kinds == [1] else self.active + ABANDON_AFTER[self.kinds[-1]]


@dataclass
class Visitor:
    chains: list[Chain] = field(default_factory=list)
    orders: list[int] = field(default_factory=list)
    seen: int = 0

    def pass_until(self, at: int) -> None:
        chain = self.chains[-1] if self.chains else None
        if chain and not chain.end and at > chain.deadline(self.seen):
            chain.end, chain.abandoned = "abandoned", chain.deadline(self.seen)

    def apply(self, at: int, event: str) -> None:
        self.pass_until(at)
        self.seen = at
        kind = KINDS.get(event, 0)
        chain = self.chains[-1] if self.chains and not self.chains[-1].end else None
        if event == "purchase":
            self.orders.append(at)
        if chain and (event == "purchase" or (chain.kinds == [1] and kind > 1)):
            chain.end, chain = "completed", None
        if chain and kind > 1:
            chain.kinds += [kind] if kind > chain.kinds[-1] else []
            chain.active = at
        elif kind and not chain:
            self.chains.append(Chain([kind], at))

    def ends(self) -> Iterator[tuple[Chain, str]]:
        self.pass_until(2**40)
        for chain in self.chains:
            until = chain.abandoned + WEEK
            is_back = any(chain.abandoned < at <= until for at in self.orders)
            yield chain, chain.end if chain.end == "completed" else ("recovered" if is_back else "expired")


def happened() -> Iterator[Iterator[tuple[int, str]]]:
    """The events of each visitor in order; those of one second by what they mean, as the rules say."""
    with gzip.open(FILE, "rt") as file:
        rows = [
            (
                row["user_id"],
                int(datetime.fromisoformat(row["timestamp"] + "+00:00").timestamp()),
                row["event"],
            )
            for row in csv.DictReader(file)
        ]
    rows.sort(key=lambda row: (row[0], row[1], 9 if row[2] == "purchase" else KINDS.get(row[2], 0)))
    for _, own in groupby(rows, key=itemgetter(0)):
        yield ((at, event) for _, at, event in own)


def test_a_plain_loop_over_the_file_counts_the_same() -> None:
    states, ends = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for events in happened():
        visitor = Visitor()
        for at, event in events:
            visitor.apply(at, event)
        for chain, end in visitor.ends():
            names = [NAMES[kind] for kind in chain.kinds]
            states.update([*((name, "superseded") for name in names[:-1]), (names[-1], end)])
            ends.update((name, end) for name in names)
    for found, known in ((states, TOTALS), (ends, ENDS)):
        assert found == {(kind, state): n for kind, counts in known.items() for state, n in counts.items()}


@pytest.mark.parametrize(
    "visitor",
    [
        pytest.param("user_0311", id="a cart comes back with the order of a later session"),
        pytest.param("user_0256", id="a payment that failed is tried again, and expires"),
        pytest.param("user_0245", id="a cart becomes a checkout, a payment and an order"),
    ],
)
def test_three_stories(folder: Path, visitor: str) -> None:
    done = pathline("explain", visitor, "--mapping", "ecom", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout == (STORIES / f"ecom_{visitor}.txt").read_text()
